"""One recording each: found, embedded, kept aside as a part.

A finished recording is a *part*, ``parts/<split>/<recording>.tfrecord``, a TFRecord file of two
records: the example, and what it was made from (JSON). A part is used again as long as audio,
label track and settings are the same, so a killed run goes on where it stopped, and ends in the
bytes of a run that was never killed. :mod:`audioseg.features.extraction` joins the parts.

Where recordings are worked on, here (:func:`in_this_process`), in worker processes
(:func:`in_processes`) or on a cluster (``cluster``), makes no difference to the result.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from audioseg import audio
from audioseg.features import records
from audioseg.files import replacing, sha256_of
from audioseg.labels import CLASSES, LabelError
from audioseg.processes import held_interrupts, worker_pool
from feat_ext import (
    DATASET_FORMAT,
    FRONT_END,
    DatasetError,
    write_example,
)

NAME_BYTES = 200  # file systems take 255, and the name of a part is longer than the recording's
WORKER_TRIES = 3
LOOK_SECONDS = 0.2  # how often Ctrl-C is asked for
THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"  # read when TensorFlow is imported

Stamp = list  # bytes, time of the last change in nanoseconds, SHA-256


@dataclass(frozen=True)
class Source:
    """Where embeddings come from; made anew in every worker process.

    Attributes
    ----------
    weights, precision, batch_size
        As for :func:`vggish.embedding.load_embedding`.
    """

    weights: str = "auto"
    precision: str = "float32"
    batch_size: int = 64

    def load(self):
        """Return the Embedding."""
        from vggish.embedding import load_embedding  # takes seconds, as TensorFlow comes with it

        return load_embedding(self.weights, precision=self.precision, batch_size=self.batch_size)


@dataclass(frozen=True)
class Task:
    """A recording to work on.

    Attributes
    ----------
    split, name : str
        Which recording.
    path : str
        The audio, its label track beside it.
    part : str
        Where the result goes.
    """

    split: str
    name: str
    path: str
    part: str


@dataclass(frozen=True)
class Settings:
    """What all recordings of a run have in common, and what their bytes depend on.

    Attributes
    ----------
    embedding : tuple
        The items of the Embedding's description.
    hop_seconds : float
        From one window to the next.
    batch_size : int
        The last bits of an embedding can depend on it.
    threads : int
        Threads of TensorFlow; see :func:`fix_threads`.
    classes : tuple of str
        The classes, in the order of their numbers.
    """

    embedding: tuple[tuple[str, str], ...]
    hop_seconds: float
    batch_size: int
    threads: int = 0
    classes: tuple[str, ...] = CLASSES

    def fingerprint(self, task: Task, stamps: Sequence[Stamp]) -> str:
        """Return the SHA-256 of everything that a recording's record depends on."""
        made_from = [
            DATASET_FORMAT,
            FRONT_END,
            dict(self.embedding),
            self.hop_seconds,
            self.batch_size,
            self.classes,
            task.split,
            task.name,
            [sha256 for _, _, sha256 in stamps],
        ]
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


class Done(NamedTuple):
    """A recording that has been worked on: ``info`` as the part holds it, or why it failed."""

    task: Task
    info: dict | None
    reason: str = ""


def find_tasks(corpus: Path, split: str, folder: Path) -> tuple[list[Task], list[Done], list[str]]:
    """Find the recordings of a split.

    Parameters
    ----------
    corpus : Path
        The corpus; the recordings are in its folder ``split``.
    split : str
        TRN, VAL or TST.
    folder : Path
        Where parts go.

    Returns
    -------
    tasks : list of Task
        Sorted by name. Everything that has the suffix of an audio format or a label track
        beside it; nothing hidden (which ``.ipynb_checkpoints`` is, too), nothing in folders
        below.
    failed : list of Done
        Recordings whose names cannot be used.
    ignored : list of str
        Other files.
    """
    here = [entry for entry in (corpus / split).iterdir() if not entry.name.startswith(".")]
    tracks = {entry.stem for entry in here if entry.suffix == ".txt"}
    tasks: dict[str, list[Task]] = {}
    ignored = []
    for entry in here:
        is_audio = entry.suffix.lower() in audio.SUFFIXES
        if entry.suffix == ".txt" or (entry.is_dir() and not is_audio):
            continue
        if not is_audio and entry.stem not in tracks:
            ignored.append(f"{split}/{entry.name}")
            continue
        part = folder / "parts" / split / f"{entry.stem}.tfrecord"
        task = Task(split, entry.stem, os.fspath(entry), os.fspath(part))
        tasks.setdefault(entry.stem, []).append(task)
    good, failed = [], []
    for name in sorted(tasks):
        first, *others = sorted(tasks[name], key=lambda task: task.path)
        if others:
            names = " and ".join(Path(task.path).name for task in (first, *others))
            failed.append(Done(first, None, f"{names} share a name: rename all but one."))
        elif not name.isprintable() or len(os.fsencode(name)) > NAME_BYTES:
            reason = f"its name is longer than {NAME_BYTES} bytes or not printable: rename it."
            failed.append(Done(first, None, reason))
        else:
            good.append(first)
    return good, failed, sorted(ignored)


def read_part(path: str | os.PathLike) -> tuple[dict, tuple[int, int]]:
    """Read what a part was made from, and where in the file its example is.

    Raises
    ------
    OSError, ValueError
        If there is no part, or it is none.
    """
    example, info = records.record_offsets(path)
    return json.loads(bytes(records.read_record(path, 2, *info))), example


def finished(task: Task, settings: Settings) -> Done | None:
    """Return what a part says, if there is one and it still holds."""
    try:
        info, _ = read_part(task.part)
        stamps = stamps_of(task, info["stamps"])
        fits = settings.fingerprint(task, stamps) == info["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Done(task, info) if fits else None


def stamps_of(task: Task, known: Sequence[Stamp] = ()) -> list[Stamp]:
    """Return size, time of the last change and SHA-256 of a recording and its label track.

    A file whose size and time are those in ``known`` is not read again.
    """
    stamps = []
    for place, path in enumerate((Path(task.path), Path(task.path).with_suffix(".txt"))):
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        old = known[place] if place < len(known) else []
        stamps.append([*stamp, old[2] if old[:2] == stamp else sha256_of(path)])
    return stamps


def fix_threads(threads: int = 0) -> int:
    """Set, or else find out, how many threads TensorFlow uses for one operation.

    Sums are shared out among the threads, so their number shows in the last bit. A run decides on
    it once, and all its workers take the same, however many cores they have; that is also why
    several workers on one machine have more threads than it has cores.

    Parameters
    ----------
    threads : int
        0 takes what the environment or the machine says.

    Returns
    -------
    int
        Their number. It holds if TensorFlow was not imported before.
    """
    if not threads:
        schedulable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
        threads = int(os.environ.get(THREADS_VARIABLE) or len(schedulable))
    os.environ[THREADS_VARIABLE] = str(threads)
    return threads


@lru_cache(maxsize=1)
def loaded(source):
    """Load the embedding, once a process."""
    return source.load()


_loading = threading.Lock()  # a cluster's worker may have several threads


def work_on(
    task: Task,
    settings: Settings,
    source: Source,
    progress: Callable[[float, int], None] = lambda seconds, windows: None,
) -> Done:
    """Embed a recording and write its part; what is wrong with it is returned, not raised.

    Raises
    ------
    DatasetError
        If the part cannot be written, or this process has other weights than the run.
    """
    with _loading:
        fix_threads(settings.threads)
        embedding = loaded(source)
    if tuple(embedding.description().items()) != settings.embedding:
        raise DatasetError(
            f"{platform.node()} has other weights ({embedding.name}, {embedding.sha256[:12]}) "
            "than this run: give every worker the same files."
        )
    part = Path(task.part)
    try:
        try:
            stamps = stamps_of(task)
        except OSError as error:
            return Done(task, None, f"{error.filename} cannot be read ({error.strerror}).")
        with replacing(part) as aside:
            with aside.open("wb") as file:
                found = write_example(
                    file,
                    task.path,
                    embedding,
                    name=task.name,
                    split=task.split,
                    hop_seconds=settings.hop_seconds,
                    classes=settings.classes,
                    folder=part.parent,
                    progress=progress,
                )
                fingerprint = settings.fingerprint(task, stamps)
                info = {**found._asdict(), "fingerprint": fingerprint, "stamps": stamps}
                line = json.dumps(info).encode()
                records.write_record(file, [line], len(line))
            if not _unchanged(task, stamps):
                return Done(task, None, f"{task.path} changed while it was read: run again.")
        return Done(task, info)
    except OSError as error:
        raise cannot_write(part.parent, error) from None
    except (audio.AudioError, LabelError) as error:
        return Done(task, None, str(error))
    except Exception as error:  # one bad recording does not end a night's run, whatever it is
        said = str(error).strip().partition("\n")[0]
        return Done(task, None, f"{task.path}: {type(error).__name__}: {said}")


def _unchanged(task: Task, stamps: list[Stamp]) -> bool:
    try:
        return stamps_of(task, stamps) == stamps
    except OSError:
        return False


def cannot_write(folder: Path, error: OSError) -> DatasetError:
    """Return the error for a folder that cannot be written to."""
    return DatasetError(
        f"{folder} cannot be written to ({error.strerror}): see to that, then run the same command "
        "again, it goes on where it stopped."
    )


def in_this_process(
    tasks: Iterable[Task],
    settings: Settings,
    source: Source,
    progress: Callable[[float, int], None],
) -> Iterator[Done]:
    """Work on recordings one after the other."""
    for task in tasks:
        yield work_on(task, settings, source, progress)


def in_processes(
    tasks: Iterable[Task], settings: Settings, source: Source, workers: int
) -> Iterator[Done]:
    """Work on recordings in several processes of this machine.

    A process that dies (for want of memory, say) takes along what the others had in hand, too.
    All that is tried again, one at a time, so that in the end it is known whose fault it is.
    """
    waiting = deque(tasks)
    tries: Counter[Task] = Counter()
    any_done = False
    while waiting:
        running: dict[Future, Task] = {}
        try:
            with worker_pool(workers) as pool, held_interrupts() as check_interrupt:
                while waiting or running:
                    check_interrupt()
                    while waiting and len(running) < (1 if tries[waiting[0]] else workers):
                        task = waiting[0]
                        running[pool.submit(work_on, task, settings, source)] = task
                        waiting.popleft()  # only now: a pool that has just broken takes nothing
                        if tries[task]:
                            break
                    done = wait(running, LOOK_SECONDS, return_when=FIRST_COMPLETED).done
                    for future in done:
                        result = future.result()
                        del running[future]
                        any_done = True
                        yield result
        except BrokenProcessPool:
            for task in running.values():
                tries[task] += 1
                if tries[task] < WORKER_TRIES:
                    waiting.appendleft(task)
                elif not any_done:
                    raise DatasetError(
                        f"the worker processes died {WORKER_TRIES} times before one recording "
                        "was done: take fewer --workers, or 1 to see why."
                    ) from None
                else:
                    reason = f"{task.path}: the process died {WORKER_TRIES} times (memory?)."
                    yield Done(task, None, reason)
