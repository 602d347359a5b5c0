"""Audio to windows to embeddings to TFRecord, and back.

A recording goes through in blocks: ``audioseg.audio`` decodes it, ``vggish`` embeds a window every
``hop_seconds``, the label track gives each window the class at its centre, and one
``tf.train.SequenceExample`` a recording holds the result (:func:`write_example`).
``audioseg.features`` runs all this over a corpus, and reads it back.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from audioseg import audio
from audioseg.features import records
from audioseg.features.dataset import (
    DATASET_FOLDER,
    DATASET_FORMAT,
    DatasetError,
    Frames,
    Recording,
    load_split,
    read_dataset,
    read_split,
    stream_split,
)
from audioseg.labels import CLASSES, labels_at, read_label_track
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

if TYPE_CHECKING:  # importing it takes seconds
    from vggish.embedding import Embedding

__all__ = [
    "DATASET_FOLDER", "DATASET_FORMAT", "FIRST_CENTER_SECONDS", "FRONT_END", "HOP_SECONDS",
    "SPLITS", "DatasetError", "Extract", "Frames", "Recording", "embed_recording",
    "hop_frames_of", "load_split", "read_dataset", "read_split", "stream_split", "window_times",
    "write_example",
]  # fmt: skip

SPLITS = ("TRN", "VAL", "TST")
HOP_SECONDS = 0.12
FIRST_CENTER_SECONDS = WINDOW_SAMPLES / SAMPLE_RATE / 2  # 0.4875
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
