"""Check the files of a run, so that one sentence reports an edited or truncated one."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from audioseg.errors import CourseError
from audioseg.labels import BACKGROUND, Classes, LabelError

FOLDER = Path("runs")
CONFIG, METRICS, TEST = "config.json", "metrics.json", "test.json"
INPUTS = ("audio_embedding", "embedding")  # the two forms that a record holds


class RunError(CourseError):
    """A run cannot be stored or used; one sentence that says what to do."""


def _is_number(value: Any) -> bool:
    """Tell whether this is a number; ``True`` is not."""
    return type(value) in (int, float)


def _are_shares(value: Any, shape: tuple[int, ...]) -> bool:
    """Tell whether this holds probabilities of all classes, in each row if it has rows."""
    shares = np.array(value)
    fitting = shares.dtype.kind in "fi" and shares.shape == shape and bool((shares >= 0).all())
    return fitting and np.allclose(shares.sum(axis=-1), 1)


def _are_classes(value: Any) -> bool:
    """Tell whether this is a list of names that can be classes."""
    try:
        Classes.of({"classes": value, "background": value[-1]})
    except LabelError:
        return False
    return isinstance(value, list)


TEXT = ("a text", lambda value, classes: isinstance(value, str))
NUMBER = ("a number", lambda value, classes: _is_number(value))
SHARE = ("a number from 0 to 1", lambda value, classes: _is_number(value) and 0 <= value <= 1)
# for each field: what it should be, and a check that takes its value and the classes
FIELDS: dict[str, tuple[str, Callable[[Any, list[str]], bool]]] = {
    "classes": ("a list of names of classes", lambda value, classes: _are_classes(value)),
    "background": ("one of the classes", lambda value, classes: value in classes),
    "priors": (
        "a share for each class, adding up to 1",
        lambda value, classes: _are_shares(value, (len(classes),)),
    ),
    "transitions": (
        "a row for each class, of shares that add up to 1",
        lambda value, classes: _are_shares(value, (len(classes), len(classes))),
    ),
    "hearings": ("1 or 2", lambda value, classes: type(value) is int and value in (1, 2)),
    "input": (" or ".join(INPUTS), lambda value, classes: value in INPUTS),
    "hop_seconds": (
        "a number of seconds from 0.01 to 60",
        lambda value, classes: _is_number(value) and 0.01 <= value <= 60,
    ),
    "network": ("a network as Keras writes it", lambda value, classes: isinstance(value, dict)),
    **dict.fromkeys(("network_sha256", "weights", "weights_sha256", "corpus", "smoothing"), TEXT),
    **dict.fromkeys(("val_accuracy", "val_majority_share", "val_macro_f1"), SHARE),
    **dict.fromkeys(("val_smoothed_accuracy", "val_smoothed_macro_f1"), SHARE),
    **dict.fromkeys(("val_short_accuracy", "val_short_macro_f1", "val_score_error"), SHARE),
    "network_parameters": NUMBER,
    **dict.fromkeys(("seconds", "val_minutes", "tst_accuracy", "tst_macro_f1"), NUMBER),
    **dict.fromkeys(("tst_event_f1_0.5s", "tst_event_f1_1.0s"), NUMBER),
}
NEEDED = {
    CONFIG: (
        "classes", "input", "hop_seconds", "weights", "weights_sha256", "priors", "transitions",
        "network", "network_sha256",
    ),
    METRICS: ("val_accuracy", "val_majority_share", "val_macro_f1"),
    TEST: (),
}  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a run.

    Parameters
    ----------
    path : Path
        Its ``config.json``, ``metrics.json`` or ``test.json``.

    Returns
    -------
    dict
        Empty if there is no such file.

    Raises
    ------
    RunError
        If it cannot be read, or a field is missing or not what it should be.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): train that run again.") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} holds no fields with names: train that run again.")
    for key in NEEDED[path.name]:
        if key not in content:
            raise RunError(f"{path} has no {key}: train that run again.")
    if path.name == CONFIG:
        content.setdefault("background", BACKGROUND)
        content.setdefault("hearings", 1)  # of a run from before there were two
    for key in [key for key in FIELDS if key in content]:
        should_be, is_it = FIELDS[key]
        try:
            fits = is_it(content[key], content.get("classes", []))
        except (TypeError, ValueError):  # nothing of the kind
            fits = False
        if not fits:
            raise RunError(
                f"{path} says {key} = {reprlib.repr(content[key])}, which is not {should_be}: "
                "train that run again."
            )
    return content
