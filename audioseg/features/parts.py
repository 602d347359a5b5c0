"""Parts: each holds the embeddings of one recording.

A *part* is ``parts/<split>/<recording>.tfrecord``, the examples of one recording, and a ``.json``
beside it, written last, which says what they were made from. A part is used again as long as audio,
label track and settings are the same. So after a killed run, the next one goes on where it stopped
and ends in the same bytes. :mod:`audioseg.features.extraction` joins the parts.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import feat_ext
from audioseg import audio
from audioseg.features.dataset import DATASET_FORMAT, HEARD_TWICE, DatasetError
from audioseg.features.faster import embed_faster, how_heard, spread
from audioseg.files import replacing
from audioseg.labels import IGNORED, Classes, read_label_track
from vggish.download import sha256_of
from vggish.errors import SentenceError

if TYPE_CHECKING:
    import tensorflow as tf

    from vggish.embedding import Embedding

NAME_BYTES = 200  # file systems take 255, and the name of a part is longer than the recording's
EXAMPLE_SECONDS = 3600.0  # what one example holds at most: a longer recording becomes several
THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"  # read when TensorFlow starts

Stamp = list  # bytes, time of the last change in nanoseconds, SHA-256


@dataclass(frozen=True)
class Source:
    """The source of embeddings; every worker process makes its own.

    Attributes
    ----------
    weights, precision, batch_size
        As for :func:`vggish.embedding.load_embedding`.
    """

    weights: str = "auto"
    precision: str = "float32"
    batch_size: int = 64

    def load(self) -> Embedding:
        """Return the embedding."""
        from vggish.embedding import load_embedding

        return load_embedding(self.weights, precision=self.precision, batch_size=self.batch_size)


class Task(NamedTuple):
    """A recording to embed: its audio, its label track beside it, and where its part goes."""

    split: str
    name: str
    path: str
    part: str


class Done(NamedTuple):
    """A recording that is done: ``info``, as in its part, or why it failed."""

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


def how_made(
    embedding: Embedding, *, hop_seconds: float, batch_size: int, classes: Classes
) -> dict[str, Any]:
    """Return the settings, for dataset.json, that the bytes of all records depend on."""
    return {
        "format": DATASET_FORMAT,
        **classes.said(),
        "hop_seconds": hop_seconds,
        "front_end": feat_ext.FRONT_END,
        "second_hearing": how_heard(hop_seconds),
        **_said_of(embedding),
        "batch_size": batch_size,  # the last bits of an embedding can depend on it
    }


def _said_of(embedding: Embedding) -> dict[str, str]:
    said = embedding.description()
    return {
        "network": said["network"],
        "weights": said["name"],
        "weights_sha256": said["sha256"],
        "precision": said["precision"],
        "postprocessing": said["postprocessing"],
    }


def _fingerprint(task: Task, made: Mapping[str, Any], stamps: Sequence[Stamp]) -> str:
    """Return the SHA-256 of all that a recording's examples depend on."""
    contents = [sha256 for _, _, sha256 in stamps]
    depends = json.dumps([made, task.split, task.name, contents], sort_keys=True)
    return hashlib.sha256(depends.encode()).hexdigest()


def finished(task: Task, made: Mapping[str, Any]) -> Done | None:
    """Return the information of a part, if there is a valid one."""
    try:
        info = json.loads(_info_path(task).read_text(encoding="utf-8"))
        fits = _fingerprint(task, made, stamps_of(task, info["stamps"])) == info["fingerprint"]
        whole = sha256_of(task.part) == info["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Done(task, info) if fits and whole else None


def _info_path(task: Task) -> Path:
    return Path(task.part).with_name(f"{task.name}.json")


def stamps_of(task: Task, known: Sequence[Stamp] = ()) -> list[Stamp]:
    """Return size, time of the last change and SHA-256 of a recording and its label track.

    A file whose size and time are those in ``known`` is not read again.
    """
    stamps = []
    for number, path in enumerate((Path(task.path), Path(task.path).with_suffix(".txt"))):
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        old = known[number] if number < len(known) else [None, None, None]
        stamps.append([*stamp, old[2] if old[:2] == stamp else sha256_of(path)])
    return stamps


def fix_threads(threads: int = 0) -> int:
    """Set the number of threads that TensorFlow uses for one operation, or find it out.

    Threads share out sums, so their number shows in the last bit. A run decides on it once, and
    all its workers take the same, however many cores they have. That is why several workers on one
    machine have more threads than it has cores.

    Parameters
    ----------
    threads : int
        0 takes what the environment or the machine says.

    Returns
    -------
    int
        Their number. It holds if TensorFlow has computed nothing yet.
    """
    if not threads:
        schedulable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
        threads = int(os.environ.get(THREADS_VARIABLE) or len(schedulable))
    os.environ[THREADS_VARIABLE] = str(threads)
    return threads


@lru_cache(maxsize=1)
def loaded(source: Source) -> Embedding:
    """Load the embedding, once a process."""
    return source.load()


_loading = threading.Lock()  # a cluster's worker may have several threads


def work_on(
    task: Task,
    *,
    made: Mapping[str, Any],
    source: Source,
    threads: int = 0,
    progress: Callable[[float, int], None] = lambda seconds, windows: None,
) -> Done:
    """Embed a recording and write its part; return, not raise, an error in the recording.

    Parameters
    ----------
    task : Task
        Which recording.
    made : mapping
        As :func:`how_made` returns it.
    source, threads
        The embedding, and what :func:`fix_threads` returned.
    progress : callable
        Called with the seconds of the recording and its windows so far.

    Raises
    ------
    DatasetError
        If the part cannot be written, or this process has other weights than the run.
    """
    with _loading:
        fix_threads(threads)
        embedding = loaded(source)
    if made != {**made, **_said_of(embedding)}:
        raise DatasetError(
            f"{platform.node()} has other weights ({embedding.name}, {embedding.sha256[:12]}) "
            "than this run: give every worker the same files."
        )
    part, info = Path(task.part), {}
    try:
        try:
            stamps = stamps_of(task)
        except OSError as error:
            return Done(task, None, f"{error.filename} cannot be read ({error.strerror}).")
        _info_path(task).unlink(missing_ok=True)  # from here on, it would speak of another part
        with replacing(part) as aside:
            feat_ext.write_examples(aside, examples_of(task, made, embedding, info, progress))
            info["sha256"] = sha256_of(aside)
        if not _unchanged(task, stamps):
            return Done(task, None, f"{task.path} changed while it was read: run again.")
        info |= {"fingerprint": _fingerprint(task, made, stamps), "stamps": stamps}
        with replacing(_info_path(task)) as aside:
            aside.write_text(json.dumps(info), encoding="utf-8")
        return Done(task, info)
    except SentenceError as error:
        return Done(task, None, str(error))
    except Exception as error:  # one bad recording does not end a night's run, whatever it is
        if _is_of_the_disk(error, part):
            raise cannot_write(part.parent, error) from None
        said = str(error).strip().partition("\n")[0]
        return Done(task, None, f"{task.path}: {type(error).__name__}: {said}")


def _is_of_the_disk(error: Exception, part: Path) -> bool:
    """Tell whether writing went wrong: Python raises OSError, TensorFlow errors of its own."""
    import tensorflow as tf

    said = isinstance(error, tf.errors.OpError) and os.fspath(part.parent) in error.message
    return isinstance(error, OSError) or said


def _unchanged(task: Task, stamps: list[Stamp]) -> bool:
    try:
        return stamps_of(task, stamps) == stamps
    except OSError:
        return False


def cannot_write(folder: Path, error: Exception) -> DatasetError:
    """Return the error for a folder that cannot be written to."""
    reason = getattr(error, "strerror", None) or str(error).strip().rpartition("; ")[2]
    return DatasetError(
        f"{folder} cannot be written to ({reason}): put that right, then run the same command "
        "again; it goes on where it stopped."
    )


def examples_of(
    task: Task,
    made: Mapping[str, Any],
    embedding: Embedding,
    info: dict[str, Any],
    progress: Callable[[float, int], None] = lambda seconds, windows: None,
) -> Iterator[tf.train.SequenceExample]:
    """Yield the examples of a recording, of an hour each at most.

    The audio is read, embedded and forgotten block by block. So memory does not grow with its
    length in TRN; in VAL and TST, by 8 MB an hour, for the second hearing. What was found on the
    way then stands in ``info``: ``seconds``, ``windows``, ``padded`` (whether it was shorter than a
    window and filled up) and ``counts`` (windows of each class).

    Raises
    ------
    AudioError, LabelError
        If the recording or its label track cannot be read, or they do not belong together.
    """
    classes, hop_seconds = Classes.of(made), made["hop_seconds"]
    track_path = Path(task.path).with_suffix(".txt")
    track = read_label_track(track_path, classes=classes.labels)  # its faults show before the work
    hop_frames = feat_ext.hop_frames_of(hop_seconds)
    stream = embedding.stream(audio.read_16k_blocks(task.path), hop_frames)
    embedded = windows = 0
    faster = None

    def told() -> Iterator[np.ndarray]:
        nonlocal embedded
        for chunk in stream:
            embedded += len(chunk)
            progress(stream.samples / feat_ext.SAMPLE_RATE, embedded)
            yield chunk

    def heard_faster() -> np.ndarray:
        blocks = audio.read_16k_blocks(task.path)
        return embed_faster(blocks, embedding, hop_seconds=hop_seconds)

    counts = np.zeros(len(classes.names), dtype=int)
    for rows in audio.in_pieces(told(), max(1, int(EXAMPLE_SECONDS / hop_seconds))):
        first, windows = windows, windows + len(rows)
        times = feat_ext.window_times(windows, hop_seconds)[first:]
        if stream.padded:  # what fills a short recording up is not the recording
            times = np.minimum(times, stream.samples / feat_ext.SAMPLE_RATE / 2)
        label = feat_ext.frame_labels(
            track, times, classes=classes.names, background=classes.background,
            ignore=classes.ignore,
        )  # fmt: skip
        counts += np.bincount(label[label != IGNORED], minlength=len(counts))
        second = {}
        if task.split in HEARD_TWICE:
            if faster is None:
                # what is shorter than a window holds too little to be played faster
                faster = rows if stream.padded else heard_faster()
            heard = spread(faster, windows, hop_seconds=hop_seconds)[first:]
            second = {
                "faster_embedding": heard,
                "faster_audio_embedding": embedding.quantize(heard),
            }
        yield feat_ext.to_example(
            rows,
            embedding.quantize(rows),
            label,
            **second,
            recording=task.name,
            split=task.split,
            start_time_seconds=first * hop_seconds,
            hop_seconds=hop_seconds,
        )
    seconds = stream.samples / feat_ext.SAMPLE_RATE
    read_label_track(track_path, classes=classes.labels, duration=seconds)
    info |= {
        "seconds": seconds,
        "windows": windows,
        "padded": stream.padded,
        "counts": counts.tolist(),
    }
