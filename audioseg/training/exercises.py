"""Whether an exercise is solved. A check prints its verdict and never stops a notebook."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from audioseg.training.fields import CONFIG, FOLDER, METRICS, RunError, read

LONGEST_SHOWN = 60  # letters
COURSE_RUN = r"03-training-(00-keras_2mlp_clsw0|9\d-\w+)$"


def check(answer: Any, right: Any, *, within: float = 0.0, hint: str = "") -> None:
    """Print whether an answer is right.

    Parameters
    ----------
    answer : anything
        ``None`` as long as there is none.
    right : anything
        What it should be: a number or several, a text, a set, True or False.
    within : float
        How far off a number may be.
    hint : str
        What to think of when the answer is wrong.
    """
    if answer is None:
        print("Not yet: put your answer in place of None, then run this cell again.")
    elif _equal(answer, right, within):
        print("Right.")
    else:
        print(f"Not yet: {_shown(answer)} is not it. {hint}".strip())


def _shown(answer: Any) -> str:
    """Return a short answer as it is."""
    text = repr(answer)
    return text if len(text) <= LONGEST_SHOWN and "\n" not in text else "That"


def _equal(answer: Any, right: Any, within: float) -> bool:
    """Compare numbers with their tolerance, and everything else as it is."""
    try:
        if isinstance(right, (bool, np.bool_, str, set, frozenset)):
            return bool(answer == right)
        apart = np.abs(np.subtract(answer, right, dtype=float))
        return np.shape(answer) == np.shape(right) and bool(np.all(apart <= within))
    except Exception:  # nothing that can be compared, whatever it is
        return False


def check_run(
    asked: str, fits: Callable[[dict[str, Any]], bool], *, folder: str | os.PathLike = FOLDER
) -> None:
    """Print whether one of the reader's own runs does what an exercise asks for.

    Parameters
    ----------
    asked : str
        What the run must have, in words: "a VAL accuracy above 0.80".
    fits : function of dict
        Says whether a run will do; it is given what ``config.json`` and ``metrics.json`` hold.
    folder : str or PathLike
        Where the runs are. Those of the course's own notebooks do not count.
    """
    mine = list(_runs_of_the_reader(Path(folder)))
    good = [run for run in mine if _will_do(run, fits)]
    if not good:
        print(f"Not yet: none of your {len(mine)} runs has {asked}.")
    for run in good:
        print(
            f"Right: {run['name']}, VAL accuracy {run['val_accuracy']:.3f}, "
            f"macro F1 {run['val_macro_f1']:.3f}."
        )


def _will_do(run: dict[str, Any], fits: Callable[[dict[str, Any]], bool]) -> bool:
    """Ask about a run, which may lack what is asked about."""
    try:
        return bool(fits(run))
    except Exception:  # an older run, or another's: an exercise never stops a notebook
        return False


def _runs_of_the_reader(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what is stored about each run that is not one of the course's."""
    for path in sorted(folder.glob(f"*/{METRICS}")):
        if re.search(COURSE_RUN, path.parent.name):
            continue
        with suppress(RunError):  # `make board` says what is wrong with it
            yield read(path.with_name(CONFIG)) | read(path) | {"name": path.parent.name}
