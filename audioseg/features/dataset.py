"""Read the TFRecord files of a corpus back, and check how they were made.

Training reads a split with :func:`load_split` (whole), :func:`read_split` (recording by recording)
or :func:`stream_split` (batch by batch, if it does not fit into memory). ``dataset.json`` beside
the files says how they were made (:func:`read_dataset`); files that do not match it are refused.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import feat_ext
from audioseg.errors import CourseError
from audioseg.labels import IGNORED, Classes, LabelError

DATASET_FORMAT = 3
HEARD_TWICE = ("VAL", "TST")  # as `audioseg segment` hears; TRN teaches with one hearing
FASTER = ("faster_embedding", "faster_audio_embedding")
HOP_DECIMALS = 2  # hops are whole frames of 10 ms; float32 in the records
DATASET_FOLDER = Path("data/on-hold/embeddings")
# what readers go by
KEYS = ("format", "classes", "hop_seconds", "weights", "weights_sha256", "splits")
MAKE = "run 02-feature-extraction-vggish_embedding.py"


class DatasetError(CourseError):
    """Records are missing or do not fit; one sentence that says what to do."""


class Recording(NamedTuple):
    """The windows of one recording, as read from a TFRecord file.

    Attributes
    ----------
    name, split : str
        Which recording.
    hop_seconds : float
        From one window to the next.
    embedding : np.ndarray [shape=(n, 128), dtype=float32]
    audio_embedding : np.ndarray [shape=(n, 128), dtype=uint8]
        AudioSet's 8-bit form.
    label : np.ndarray [shape=(n,), dtype=int64]
        The class at the centre of each window, see :func:`feat_ext.window_times`; -1 where it is
        to be ignored.
    faster_embedding, faster_audio_embedding : np.ndarray or None
        The same of the recording played a third faster, see :mod:`audioseg.features.faster`; in VAL
        and TST, which are heard twice.
    """

    name: str
    split: str
    hop_seconds: float
    embedding: np.ndarray
    audio_embedding: np.ndarray
    label: np.ndarray
    faster_embedding: np.ndarray | None = None
    faster_audio_embedding: np.ndarray | None = None


class Frames(NamedTuple):
    """The windows of a whole split, one recording after the other.

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
    faster_embedding, faster_audio_embedding : np.ndarray or None
        As in :class:`Recording`.
    """

    embedding: np.ndarray
    audio_embedding: np.ndarray
    label: np.ndarray
    recording: np.ndarray
    names: tuple[str, ...]
    hop_seconds: float
    faster_embedding: np.ndarray | None = None
    faster_audio_embedding: np.ndarray | None = None


def read_dataset(
    folder: str | os.PathLike = DATASET_FOLDER,
    *,
    classes: Sequence[str] | None = None,
    hop_seconds: float | None = None,
    weights_sha256: str | None = None,
) -> dict:
    """Read ``dataset.json``, which says how the records were made, and check that they fit.

    Parameters
    ----------
    folder : str or PathLike
        Where the records are.
    classes : sequence of str, optional
        The expected classes.
    hop_seconds : float, optional
        The expected hop.
    weights_sha256 : str, optional
        The SHA-256 of the expected weights.

    Returns
    -------
    dict
        Among others ``classes``, ``background`` (the one of them where nothing is labelled),
        ``ignore`` (labels that are not classes, -1 in the records), ``hop_seconds``, ``weights``
        (their name), ``weights_sha256``,
        and by split ``splits[split]["recordings"]``, ``["windows"]`` and ``["counts"]``.

    Raises
    ------
    DatasetError
        If there are no records, or they were made in another way than expected.
    """
    path = Path(folder) / "dataset.json"
    try:
        dataset = json.loads(path.read_text(encoding="utf-8"))
        found = dataset["format"]
        if found == DATASET_FORMAT and not set(KEYS) <= set(dataset):
            raise KeyError
        if found == DATASET_FORMAT:
            dataset |= Classes.of(dataset).said()
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist: {MAKE}, which makes the records.") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): check it.") from None
    except LabelError as error:
        reason = str(error).rstrip(".")
        raise DatasetError(f"{path} is damaged ({reason}): {MAKE} with --overwrite.") from None
    except (ValueError, KeyError, TypeError):
        raise DatasetError(f"{path} is damaged: {MAKE} with --overwrite.") from None
    if found != DATASET_FORMAT:
        raise DatasetError(
            f"{path} has the format {found}, not {DATASET_FORMAT}: {MAKE} with --overwrite."
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
                f"records that belong to it, or {MAKE} with --overwrite."
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
        Checked by :func:`read_dataset`.

    Yields
    ------
    Recording
        In the order of the names, and whole, however many examples a recording has.

    Raises
    ------
    DatasetError
        If the records are missing, damaged, or made in another way than expected; the file and
        the number of the record are named.
    """
    dataset, path = _open_split(folder, split, expected)
    parts: list[Recording] = []
    for example in _checked_examples(path, dataset, split):
        if parts and parts[0].name != example.name:
            yield _joined(parts)
            parts = []
        parts.append(example)
    if parts:
        yield _joined(parts)


def load_split(
    folder: str | os.PathLike = DATASET_FOLDER,
    split: str = "TRN",
    *,
    keep_ignored: bool = False,
    **expected,
) -> Frames:
    """Read a whole split into memory: 20 MB an hour of audio, of VAL and TST twice that.

    Parameters
    ----------
    folder, split, **expected
        As for :func:`read_split`, and so are the errors.
    keep_ignored : bool
        Whether to keep windows whose label is not a class (-1). By default they are left out, as
        they teach nothing. The recording then ends before them, and the rest counts as another
        one of the same name, so that no network sees neighbours that are not really adjacent.

    Returns
    -------
    Frames
        The windows of all its recordings, one recording after the other.
    """
    parts = list(read_split(folder, split, **expected))
    if not keep_ignored:
        parts = [piece for part in parts for piece in _without_ignored(part)]
    if not parts:
        raise DatasetError(
            f"{Path(folder) / split}.tfrecord holds no recording: look at what failed in "
            "dataset.json."
        )
    whole = _joined(parts)
    return Frames(
        whole.embedding,
        whole.audio_embedding,
        whole.label,
        np.repeat(np.arange(len(parts)), [len(part.label) for part in parts]),
        tuple(part.name for part in parts),
        whole.hop_seconds,
        whole.faster_embedding,
        whole.faster_audio_embedding,
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
    """Read a split as a stream of batches, if a corpus does not fit into memory.

    Parameters
    ----------
    folder, split, **expected
        As for :func:`read_split`.
    feature : str
        ``"audio_embedding"`` (uint8) or ``"embedding"`` (float32).
    batch_size : int
        Windows in a batch.
    shuffle : int, optional
        Shuffle in every epoch: eight recordings side by side, and their windows in a buffer of
        this many. Without it, windows come in the order of time.
    seed : int
        Of the shuffling.
    shard : tuple of int
        Which part of how many: ``(1, 4)`` takes every fourth record from the second on.

    Returns
    -------
    tf.data.Dataset
        Of pairs: feature (batch, 128) and label (batch,), int64. Each pass over it is an epoch.
    """
    if feature not in ("audio_embedding", "embedding"):
        raise DatasetError(f"the feature {feature!r} is neither audio_embedding nor embedding.")
    index, count = shard
    if not 0 <= index < count:
        raise DatasetError(f"the shard {index} of {count} does not exist: count from 0.")
    dataset, path = _open_split(folder, split, expected)

    def windows_of(serialized: tf.Tensor) -> tf.data.Dataset:
        example = feat_ext.parse_example(serialized)
        known = example["label"] != IGNORED
        windows = example[feature][known], example["label"][known]
        return tf.data.Dataset.from_tensor_slices(windows)

    stream = tf.data.TFRecordDataset(os.fspath(path)).shard(count, index)
    if shuffle:
        stream = stream.shuffle(64, seed=seed)
        stream = stream.interleave(windows_of, cycle_length=8, block_length=16)
        stream = stream.shuffle(shuffle, seed=seed)
    else:
        stream = stream.flat_map(windows_of)
    stream = stream.batch(batch_size)
    if count == 1:  # so that Keras knows how long an epoch is, and can draw its progress
        counts = dataset["splits"][split]["counts"]  # by class: without what is ignored
        windows = sum(counts.values() if isinstance(counts, dict) else counts)
        batches = math.ceil(windows / batch_size)
        stream = stream.apply(tf.data.experimental.assert_cardinality(batches))
    return stream.prefetch(2)


def _open_split(folder: str | os.PathLike, split: str, expected: dict) -> tuple[dict, Path]:
    """Return the contents of dataset.json, and the split's file."""
    dataset = read_dataset(folder, **expected)
    path = Path(folder) / f"{split}.tfrecord"
    said = dataset["splits"].get(split)
    if said is None:
        there = ", ".join(dataset["splits"]) or "none"
        raise DatasetError(f"{path} has not been made (splits made: {there}): {MAKE}.")
    try:
        size = path.stat().st_size
    except OSError as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise DatasetError(f"{path} {why}: {MAKE}, which makes it again.") from None
    if size != said["bytes"]:
        raise DatasetError(
            f"{path} has {size} bytes, not {said['bytes']} as dataset.json says: {MAKE} again."
        )
    return dataset, path


def _checked_examples(path: Path, dataset: dict, split: str) -> Iterator[Recording]:
    """Read the examples of a file, and check each against dataset.json."""
    again = f"{MAKE} with --overwrite"
    second = FASTER if split in HEARD_TWICE else ()
    examples = feat_ext.read_examples(path, faster=bool(second))
    number = 0
    while True:
        number += 1
        where = f"{path}, record {number}"
        try:
            example = next(examples, None)
        except tf.errors.DataLossError:
            raise DatasetError(f"{where}: it is damaged or cut short: {again}.") from None
        except tf.errors.OpError:
            raise DatasetError(f"{where}: it is not one that 02 writes: {again}.") from None
        if example is None:
            return
        part = Recording(
            example["recording"].decode(),
            example["split"].decode(),
            round(float(example["hop_seconds"]), HOP_DECIMALS),
            example["embedding"],
            example["audio_embedding"],
            example["label"],
            *(example[key] for key in second),
        )
        n = len(part.label)
        for what, found, needed in (
            ("split", part.split, split),
            ("hop_seconds", part.hop_seconds, dataset["hop_seconds"]),
            ("number of embeddings", len(part.embedding), n),
            ("number of audio_embeddings", len(part.audio_embedding), n),
            *((f"number of {key}s", len(getattr(part, key)), n) for key in second),
        ):
            if found != needed:
                raise DatasetError(f"{where}: the {what} is {found}, not {needed}: {again}.")
        if n and not IGNORED <= part.label.min() <= part.label.max() < len(dataset["classes"]):
            raise DatasetError(
                f"{where}: the labels {part.label.min()} to {part.label.max()} are none of the "
                f"{len(dataset['classes'])} classes: {again}."
            )
        yield part


def _without_ignored(part: Recording) -> list[Recording]:
    """Cut a recording into the stretches whose windows have a class."""
    known = part.label != IGNORED
    if known.all():
        return [part]
    edges = np.flatnonzero(np.diff(known)) + 1
    none = [None] * (len(edges) + 1)
    pieces = (none if array is None else np.split(array, edges) for array in part[3:])
    stretches = (Recording(*part[:3], *arrays) for arrays in zip(*pieces, strict=True))
    return [piece for piece in stretches if len(piece.label) and piece.label[0] != IGNORED]


def _joined(parts: Sequence[Recording]) -> Recording:
    """Put the windows of several examples or recordings together."""
    columns = zip(*(part[3:] for part in parts), strict=True)
    arrays = (None if column[0] is None else np.concatenate(column) for column in columns)
    return Recording(*parts[0][:3], *arrays)
