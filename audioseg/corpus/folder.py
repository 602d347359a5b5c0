"""The folder of a corpus: one run at a time writes to it; its tables; work on many processes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from audioseg.corpus.sound import CorpusError
from audioseg.files import only_run, replacing
from audioseg.workers import Died, run_each

DATA_FOLDER = Path("data")
CORPUS = "on-hold"
SPLITS = ("TRN", "VAL", "TST")


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Lock a folder, clear what a killed run left, and report what cannot be written."""
    try:
        with only_run(folder):
            # not in all folders below: 02 may be at work in one of them
            for place in ("", *(f"{split}/" for split in SPLITS)):
                for left in list(folder.glob(f"{place}.*.part*")):
                    if left.is_dir():
                        shutil.rmtree(left, ignore_errors=True)
                    else:
                        left.unlink(missing_ok=True)
            yield
    except OSError as error:
        where = error.filename or folder
        raise CorpusError(
            f"{where} cannot be written ({error.strerror or error}): make room or permit "
            "writing, and run the same command again; it goes on where it stopped."
        ) from None


def read_done(folder: Path) -> dict[str, dict]:
    """Return the rows of ``recordings.csv``, or none if there is no such file."""
    try:
        table = pd.read_csv(folder / "recordings.csv", dtype=str)
        return {row["recording"]: row for row in table.to_dict("records")}
    except (OSError, ValueError, KeyError):
        return {}


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table, whole or not at all."""
    with replacing(path) as aside:
        table.to_csv(aside, index=False, lineterminator="\n")


def map_items(
    work: Callable, items: Sequence, workers: int, label: str, amounts: Sequence[int]
) -> list:
    """Do the work on each item, in the items' order, with a progress bar."""
    results = [None] * len(items)
    numbered = run_each(
        partial(_at, work), enumerate(items), workers=max(1, min(workers, len(items)))
    )
    # an error here ends the workers while the folder is still held
    with (
        contextlib.closing(numbered),
        # without it, what TQDM_DISABLE says
        tqdm(
            total=sum(amounts), desc=label, unit="", **({} if items else {"disable": True})
        ) as bar,
    ):
        for (number, _), result in numbered:
            if isinstance(result, Died):
                raise CorpusError(
                    "a worker process ended early, most likely for want of memory: run the same "
                    "command again with --workers 1; it goes on where it stopped."
                )
            results[number] = result
            bar.update(amounts[number])
    return results


def _at(work: Callable, numbered: tuple) -> object:
    """Do the work on an item that comes with its number."""
    return work(numbered[1])
