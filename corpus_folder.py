"""The folder of a corpus: held by one run at a time, its tables, work on many processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from corpus_sound import CorpusError
from files import replacing

DATA_FOLDER = Path("data")
CORPUS = "on-hold"
SPLITS = ("TRN", "VAL", "TST")


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Keep a folder for this process, clear what a killed run left, and name what goes wrong."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            _take(lock, folder)
            for left in folder.rglob(".*.part*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
            yield
    except OSError as error:
        where = error.filename or folder
        raise CorpusError(
            f"{where} cannot be written ({error.strerror or error}): make room or give the right "
            "to write, and run the same command again; it goes on where it stopped."
        ) from None


def _take(lock, folder: Path) -> None:
    """Lock a file for this process; the system frees it when the process ends, however it ends."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CorpusError(
            f"{folder} is being written by another run: wait until that has ended."
        ) from None


def read_done(folder: Path) -> dict[str, dict]:
    """Return the rows of ``recordings.csv``, none if there is no such file."""
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
    results = []
    with tqdm(total=sum(amounts), desc=label, unit="", disable=not items) as bar:
        if workers == 1 or len(items) < 2:
            for item, amount in zip(items, amounts, strict=True):
                results.append(work(item))
                bar.update(amount)
            return results
        # spawned, as a fork of a process with threads may hang
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            min(workers, len(items)), mp_context=context, initializer=_end_with_parent
        ) as pool:
            try:
                for result, amount in zip(pool.map(work, items), amounts, strict=True):
                    results.append(result)
                    bar.update(amount)
            except BrokenProcessPool:
                raise CorpusError(
                    "a worker process ended early, most likely for want of memory: run the same "
                    "command again with --workers 1, it goes on where it stopped."
                ) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return results


def _end_with_parent() -> None:
    """Make a worker process end when the process that started it was killed.

    It would else go on, and write into a folder that another run has taken over by then.
    """

    def wait() -> None:
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
