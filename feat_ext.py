"""Audio to windows to embeddings to TFRecord, and back.

A recording goes through in blocks: :mod:`audio` decodes it, ``vggish`` embeds a window every
``hop_seconds``, the label track gives each window the class at its centre, and one
``tf.train.SequenceExample`` a recording holds the result (:func:`write_example`). Whoever trains
reads it back with :func:`load_split` (whole), :func:`read_split` (recording by recording) or
:func:`stream_split` (a ``tf.data.Dataset`` for what does not fit into memory). ``dataset.json``
beside the records says how they were made, and readers refuse what does not fit together.
:mod:`extraction` runs all this over a corpus.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

import audio
import records
from errors import CourseError
from labels import CLASSES, labels_at, read_label_track
from vggish import EMBEDDING_SIZE
from vggish.frontend import (
    FRAME_HOP_SAMPLES,
    FRAME_SAMPLES,
    LOG_OFFSET,
    MEL_BANDS,
    MEL_MAX_HZ,
    MEL_MIN_HZ,
    SAMPLE_RATE,
    WINDOW_FRAMES,
    WINDOW_SAMPLES,
)

if TYPE_CHECKING:  # importing these takes seconds
    import tensorflow as tf

    from vggish.embedding import Embedding

SPLITS = ("TRN", "VAL", "TST")
HOP_SECONDS = 0.12
FIRST_CENTER_SECONDS = WINDOW_SAMPLES / SAMPLE_RATE / 2  # 0.4875
DATASET_FORMAT = 1
DATASET_FOLDER = Path("data/on-hold/embeddings")
FLOAT_BYTES = 4 * EMBEDDING_SIZE
SPOOL_BYTES = 1 << 23  # longer recordings than this wait on disk until they are complete
FRONT_END = {
    "sample_rate": SAMPLE_RATE,
    "channels": "mean",
    "resampler": "resampy kaiser_best",
    "frame_samples": FRAME_SAMPLES,
    "frame_hop_samples": FRAME_HOP_SAMPLES,
    "mel_bands": MEL_BANDS,
    "mel_hertz": [MEL_MIN_HZ, MEL_MAX_HZ],
    "log_offset": LOG_OFFSET,
    "window_frames": WINDOW_FRAMES,
}


class DatasetError(CourseError):
    """Records that are missing or do not fit; one sentence that says what to do."""


class Recording(NamedTuple):
    """The windows of one recording, as read from a TFRecord file.

    Attributes
    ----------
    name, split : str
        Which recording.
    start_time_seconds : float
        When its first window begins.
    hop_seconds : float
        From one window to the next.
    embedding : np.ndarray [shape=(n, 128), dtype=float32]
    audio_embedding : np.ndarray [shape=(n, 128), dtype=uint8]
        AudioSet's 8-bit form.
    label : np.ndarray [shape=(n,), dtype=int64]
        The class at the centre of each window; see :func:`window_times`.
    """

    name: str
    split: str
    start_time_seconds: float
    hop_seconds: float
    embedding: np.ndarray
    audio_embedding: np.ndarray
    label: np.ndarray


class Frames(NamedTuple):
    """The windows of a whole split, one after the other.

    Attributes
    ----------
    embedding : np.ndarray [shape=(N, 128), dtype=float32]
    audio_embedding : np.ndarray [shape=(N, 128), dtype=uint8]
    label : np.ndarray [shape=(N,), dtype=int64]
    recording : np.ndarray [shape=(N,), dtype=int64]
        Index into ``names``.
    names : tuple of str
        The recordings.
    hop_seconds : float
        From one window of a recording to the next.
    """

    embedding: np.ndarray
    audio_embedding: np.ndarray
    label: np.ndarray
    recording: np.ndarray
    names: tuple[str, ...]
    hop_seconds: float


class Extract(NamedTuple):
    """What :func:`write_example` found in a recording.

    Attributes
    ----------
    seconds : float
        Its length.
    windows : int
        Its windows.
    padded : bool
        Whether it was shorter than a window and was filled up with silence.
    counts : list of int
        Windows of each class.
    """

    seconds: float
    windows: int
    padded: bool
    counts: list[int]


def window_times(count: int, hop_seconds: float = HOP_SECONDS) -> np.ndarray:
    """Return the centres of windows in seconds [shape=(count,)]: 0.4875 + i hop_seconds."""
    return FIRST_CENTER_SECONDS + np.arange(count) * hop_seconds


def hop_frames_of(hop_seconds: float) -> int:
    """Return a hop in frames of 10 ms.

    Raises
    ------
    DatasetError
        If it is not a positive multiple of 0.01 s.
    """
    frame_seconds = FRAME_HOP_SAMPLES / SAMPLE_RATE
    frames = round(hop_seconds / frame_seconds) if math.isfinite(hop_seconds) else 0
    if frames < 1 or not math.isclose(frames * frame_seconds, hop_seconds, rel_tol=1e-9):
        raise DatasetError(
            f"a hop of {hop_seconds:g} s is not a positive multiple of the {frame_seconds:g} s "
            "from one log-mel frame to the next: take 0.12, for instance."
        )
    return frames


def embed_recording(
    path: str | os.PathLike, embedding: Embedding, *, hop_seconds: float = HOP_SECONDS
) -> np.ndarray:
    """Embed a recording; its label track, if any, is not read.

    Parameters
    ----------
    path : str or PathLike
        Audio of any common format.
    embedding : Embedding
        As :func:`vggish.embedding.load_embedding` returns it.
    hop_seconds : float
        From one window to the next.

    Returns
    -------
    np.ndarray [shape=(n, 128), dtype=float32]
        The embeddings; :func:`window_times` says when. Less than 0.975 s gives one, of the
        recording and the silence after it.

    Raises
    ------
    audio.AudioError
        If the recording cannot be read.
    """
    blocks = audio.read_16k_blocks(path)
    return np.concatenate(list(embedding.stream(blocks, hop_frames_of(hop_seconds))))


def write_example(
    file: BinaryIO,
    path: str | os.PathLike,
    embedding: Embedding,
    *,
    name: str,
    split: str,
    hop_seconds: float = HOP_SECONDS,
    classes: Sequence[str] = CLASSES,
    folder: str | os.PathLike | None = None,
    progress: Callable[[float, int], None] = lambda seconds, windows: None,
) -> Extract:
    """Embed a recording and append it to an open TFRecord file, in constant memory.

    Parameters
    ----------
    file : binary file
        Open for writing.
    path : str or PathLike
        The audio. Its label track is the ``.txt`` file beside it.
    embedding : Embedding
        As :func:`vggish.embedding.load_embedding` returns it.
    name, split : str
        What the record calls it.
    hop_seconds : float
        From one window to the next.
    classes : sequence of str
        The classes, in the order of their numbers.
    folder : str or PathLike, optional
        Where long recordings wait until their number of windows is known; the system's folder
        for temporary files by default.
    progress : callable
        Told the seconds and the windows that were added, now and then.

    Returns
    -------
    Extract
        Length, windows and classes.

    Raises
    ------
    audio.AudioError, labels.LabelError
        If the recording or its label track cannot be read or do not belong together.
    """
    track = Path(path).with_suffix(".txt")
    read_label_track(track, classes=classes)  # its own faults show before the work
    stream = embedding.stream(audio.read_16k_blocks(path), hop_frames_of(hop_seconds))
    row_bytes = FLOAT_BYTES + EMBEDDING_SIZE
    # the name is one that the next run clears away, should this one be killed
    with tempfile.SpooledTemporaryFile(
        SPOOL_BYTES, dir=folder, prefix=".spool-", suffix=".part.tmp"
    ) as spool:
        count = samples = 0
        for chunk in stream:
            floats = np.ascontiguousarray(chunk, "<f4").view(np.uint8)
            spool.write(np.hstack([floats, embedding.quantize(chunk)]).tobytes())
            count += len(chunk)
            progress((stream.samples - samples) / SAMPLE_RATE, len(chunk))
            samples = stream.samples
        seconds = stream.samples / SAMPLE_RATE
        progress((stream.samples - samples) / SAMPLE_RATE, 0)
        times = window_times(count, hop_seconds)
        if stream.padded:
            times = np.minimum(times, seconds / 2)  # the silence after it is not the recording
        label = labels_at(
            read_label_track(track, classes=classes, duration=seconds), times, classes=classes
        )

        def column(part: slice) -> Iterator[np.ndarray]:
            spool.seek(0)
            while rows := spool.read(records.BLOCK_ROWS * row_bytes):
                yield np.frombuffer(rows, np.uint8).reshape(-1, row_bytes)[:, part]

        records.write_sequence_example(
            file,
            {
                "recording": name,
                "split": split,
                "start_time_seconds": 0.0,
                "hop_seconds": hop_seconds,
            },
            {
                "embedding": records.Steps(count, column(slice(0, FLOAT_BYTES)), FLOAT_BYTES),
                "audio_embedding": records.Steps(
                    count, column(slice(FLOAT_BYTES, None)), EMBEDDING_SIZE
                ),
                "label": records.Steps(count, [label], None),
            },
        )
    counts = np.bincount(label, minlength=len(classes)).tolist()
    return Extract(seconds, count, stream.padded, counts)


def read_dataset(
    folder: str | os.PathLike = DATASET_FOLDER,
    *,
    classes: Sequence[str] | None = CLASSES,
    hop_seconds: float | None = None,
    weights_sha256: str | None = None,
) -> dict:
    """Read ``dataset.json``, which says how records were made, and check that they fit.

    Parameters
    ----------
    folder : str or PathLike
        Where the records are.
    classes : sequence of str or None
        The classes that are expected; None takes any.
    hop_seconds : float, optional
        The hop that is expected.
    weights_sha256 : str, optional
        The weights that are expected, by their SHA-256.

    Returns
    -------
    dict
        Among others ``classes``, ``hop_seconds``, ``weights`` (their name), ``weights_sha256``,
        and by split ``splits[split]["recordings"]``, ``["windows"]`` and ``["counts"]``.

    Raises
    ------
    DatasetError
        If there are no records, or they were made in another way than expected.
    """
    path = Path(folder) / "dataset.json"
    make = "run 02-feature-extraction-vggish_embedding.py"
    try:
        dataset = json.loads(path.read_text(encoding="utf-8"))
        found = dataset["format"]
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist: {make}, it makes the records.") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): check it.") from None
    except (ValueError, KeyError, TypeError):
        raise DatasetError(f"{path} is damaged: {make} with --overwrite.") from None
    if found != DATASET_FORMAT:
        raise DatasetError(
            f"{path} has the format {found}, not {DATASET_FORMAT}: {make} with --overwrite."
        )
    for key, expected in (
        ("classes", None if classes is None else list(classes)),
        ("hop_seconds", hop_seconds),
        ("weights_sha256", weights_sha256),
    ):
        if expected is not None and dataset[key] != expected:
            name = f" ({dataset['weights']})" if key == "weights_sha256" else ""
            raise DatasetError(
                f"{path} has the {key} {dataset[key]}{name}, where {expected} is needed: use the "
                f"records that belong to it, or {make} with --overwrite."
            )
    return dataset


def read_split(
    folder: str | os.PathLike = DATASET_FOLDER, split: str = "TRN", **expected
) -> Iterator[Recording]:
    """Read a split, recording by recording.

    Parameters
    ----------
    folder : str or PathLike
        Where the records are.
    split : str
        TRN, VAL or TST.
    **expected
        What :func:`read_dataset` shall check.

    Yields
    ------
    Recording
        In the order of the names.

    Raises
    ------
    DatasetError
        If the records are missing, damaged, or made in another way than expected; the file and
        the number of the record are named.
    """
    dataset, path, offsets = _open_split(folder, split, expected)
    for number, (offset, length) in enumerate(offsets, start=1):
        yield _read_recording(path, number, offset, length, dataset, split)


def load_split(
    folder: str | os.PathLike = DATASET_FOLDER, split: str = "TRN", **expected
) -> Frames:
    """Read a whole split into memory: 650 bytes a window, 20 MB an hour of audio.

    Parameters, errors : as for :func:`read_split`.

    Returns
    -------
    Frames
        The windows of all its recordings, one recording after the other.
    """
    parts = list(read_split(folder, split, **expected))
    if not parts:
        raise DatasetError(
            f"{Path(folder) / split}.tfrecord holds no recording: look at what failed in "
            "dataset.json."
        )
    return Frames(
        np.concatenate([part.embedding for part in parts]),
        np.concatenate([part.audio_embedding for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.repeat(np.arange(len(parts)), [len(part.label) for part in parts]),
        tuple(part.name for part in parts),
        parts[0].hop_seconds,
    )


def stream_split(
    folder: str | os.PathLike = DATASET_FOLDER,
    split: str = "TRN",
    *,
    feature: str = "audio_embedding",
    batch_size: int = 256,
    shuffle: int | None = None,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    **expected,
) -> tf.data.Dataset:
    """Read a split as a stream of batches, for a corpus that does not fit into memory.

    Parameters
    ----------
    folder, split, **expected
        As for :func:`read_split`.
    feature : str
        ``"audio_embedding"`` (uint8) or ``"embedding"`` (float32).
    batch_size : int
        Windows in a batch.
    shuffle : int, optional
        Shuffle: the recordings in every epoch, eight of them side by side, and their windows in
        a buffer of this many. Without it, windows come in the order of time.
    seed : int
        Of the shuffling.
    shard : tuple of int
        Which part of how many: ``(1, 4)`` takes every fourth recording from the second on.

    Returns
    -------
    tf.data.Dataset
        Of pairs: feature (batch, 128) and label (batch,), int64. Each pass over it is an epoch.
    """
    import tensorflow as tf

    if feature not in ("audio_embedding", "embedding"):
        raise DatasetError(f"the feature {feature!r} is neither audio_embedding nor embedding.")
    index, count = shard
    if not 0 <= index < count:
        raise DatasetError(f"the shard {index} of {count} does not exist: count from 0.")
    dataset, path, offsets = _open_split(folder, split, expected)
    dtype = tf.uint8 if feature == "audio_embedding" else tf.float32
    numbered = np.array([(i + 1, *place) for i, place in enumerate(offsets)], np.int64)
    numbered = numbered.reshape(-1, 3)[index::count]

    def read(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        recording = _read_recording(path, *place.tolist(), dataset, split)
        return getattr(recording, feature), recording.label

    def windows_of(place: tf.Tensor) -> tf.data.Dataset:
        x, y = tf.numpy_function(read, [place], [dtype, tf.int64], stateful=False)
        x.set_shape((None, EMBEDDING_SIZE))
        y.set_shape((None,))
        return tf.data.Dataset.from_tensor_slices((x, y))

    stream = tf.data.Dataset.from_tensor_slices(numbered)
    if shuffle:
        stream = stream.shuffle(max(1, len(numbered)), seed=seed)
        stream = stream.interleave(windows_of, cycle_length=8, block_length=16)
        stream = stream.shuffle(shuffle, seed=seed)
    else:
        stream = stream.flat_map(windows_of)
    stream = stream.batch(batch_size)
    if count == 1:  # so that Keras knows how long an epoch is, and can draw its progress
        batches = math.ceil(dataset["splits"][split]["windows"] / batch_size)
        stream = stream.apply(tf.data.experimental.assert_cardinality(batches))
    return stream.prefetch(2)


def _open_split(
    folder: str | os.PathLike, split: str, expected: dict
) -> tuple[dict, Path, list[tuple[int, int]]]:
    """Return what dataset.json says, the split's file, and where its records are."""
    dataset = read_dataset(folder, **expected)
    path = Path(folder) / f"{split}.tfrecord"
    make = "run 02-feature-extraction-vggish_embedding.py"
    said = dataset["splits"].get(split)
    if said is None:
        there = ", ".join(dataset["splits"]) or "none"
        raise DatasetError(f"{path} has not been made (splits made: {there}): {make}.")
    try:
        offsets = records.record_offsets(path)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist: {make}, it makes it again.") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): check it.") from None
    except records.RecordError as error:
        raise DatasetError(f"{str(error).rstrip('.')}: {make} again.") from None
    if len(offsets) != said["recordings"] or path.stat().st_size != said["bytes"]:
        raise DatasetError(
            f"{path} holds {len(offsets)} recordings in {path.stat().st_size} bytes, not "
            f"{said['recordings']} in {said['bytes']} as dataset.json says: {make} again."
        )
    return dataset, path, offsets


def _read_recording(
    path: Path, number: int, offset: int, length: int, dataset: dict, split: str
) -> Recording:
    """Read one record and check it against dataset.json."""
    where = f"{path}, record {number}"
    again = "run 02-feature-extraction-vggish_embedding.py with --overwrite"
    try:
        data = records.read_record(path, number, offset, length)
        context, lists = records.parse_sequence_example(data)
        recording = Recording(
            context["recording"],
            context["split"],
            context["start_time_seconds"],
            round(context["hop_seconds"], 6),  # it was stored as float32
            np.ascontiguousarray(lists["embedding"]).view("<f4"),
            np.array(lists["audio_embedding"]),
            lists["label"].astype(np.int64),
        )
    except records.RecordError as error:
        raise DatasetError(f"{str(error).rstrip('.')}: {again}.") from None
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        raise DatasetError(
            f"{where}: it is no recording as 02 writes them ({error or 'empty'}): {again}."
        ) from None
    n = len(recording.label)
    fits: Iterable[tuple[str, object, object]] = (
        ("split", recording.split, split),
        ("hop_seconds", recording.hop_seconds, dataset["hop_seconds"]),
        ("shape of embedding", recording.embedding.shape, (n, EMBEDDING_SIZE)),
        ("shape of audio_embedding", recording.audio_embedding.shape, (n, EMBEDDING_SIZE)),
    )
    for what, found, needed in fits:
        if found != needed:
            raise DatasetError(f"{where}: the {what} is {found}, not {needed}: {again}.")
    if n and recording.label.max() >= len(dataset["classes"]):
        raise DatasetError(
            f"{where}: the label {recording.label.max()} is none of the "
            f"{len(dataset['classes'])} classes: {again}."
        )
    return recording
