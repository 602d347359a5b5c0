"""The records of a corpus, read back, and what says how they were made.

Whoever trains reads a split with :func:`load_split` (whole), :func:`read_split` (recording by
recording) or :func:`stream_split` (a ``tf.data.Dataset`` for what does not fit into memory).
``dataset.json`` beside the records says how they were made (:func:`read_dataset`), and what does
not fit together is refused. :mod:`feat_ext` hands on what is public here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audioseg.errors import CourseError
from audioseg.features import records
from audioseg.labels import CLASSES
from vggish import EMBEDDING_SIZE

if TYPE_CHECKING:  # importing it takes seconds
    import tensorflow as tf

DATASET_FORMAT = 1
HOP_DECIMALS = 2  # hops are whole frames of 10 ms
# what readers go by
KEYS = ("format", "classes", "hop_seconds", "weights", "weights_sha256", "splits")
DATASET_FOLDER = Path("data/on-hold/embeddings")


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
        The class at the centre of each window; see :func:`feat_ext.window_times`.
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
        if found == DATASET_FORMAT and not set(KEYS) <= set(dataset):
            raise KeyError
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
            round(context["hop_seconds"], HOP_DECIMALS),  # it was stored as float32
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
