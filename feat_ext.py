"""Feature extraction, step by step: audio to windows to embeddings to TFRecord, and back.

>>> samples = load("interview.mp3")                         # 16 kHz, one channel, in [-1, 1]
>>> spectrogram = log_mel(samples)                          # (frames, 64), one every 0.010 s
>>> examples = windows(spectrogram)                         # (n, 96, 64), one every 0.12 s
>>> times = window_times(len(examples))                     # their centres: 0.4875 s, 0.6075 s, ...
>>> labels = frame_labels(segments, times, classes=classes)
>>> embedding = load_embedding("mini")                      # from vggish.embedding
>>> embeddings = embed(samples, embedding)                  # (n, 128), one for each window
>>> example = to_example(embeddings, embedding.quantize(embeddings), labels,
...                      recording="interview", split="TRN")
>>> write_examples("TRN.tfrecord", [example])
>>> tf.data.TFRecordDataset("TRN.tfrecord").map(parse_example)

All functions here take arrays and paths, and need only libraries and :mod:`vggish`, so you can use
this file elsewhere. ``audioseg.features`` calls them, and takes care of hours of audio, broken
files, interruptions and many processors. ``docs/02-sound-to-embeddings.md`` has exercises.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import av
import numpy as np
import soundfile

from vggish import EMBEDDING_SIZE
from vggish.errors import SentenceError
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
    log_mel,
    windows,
)
from vggish.resample import resample

if TYPE_CHECKING:  # slow to import, needed for embeddings and TFRecord only
    import tensorflow as tf

    from vggish.embedding import Embedding

__all__ = [
    "FIRST_CENTER_SECONDS", "FRONT_END", "HOP_SECONDS", "SAMPLE_RATE", "WINDOW_SAMPLES",
    "FeatureError", "embed", "frame_labels", "hop_frames_of", "load", "log_mel", "parse_example",
    "read_examples", "to_example", "window_times", "windows", "write_examples",
]  # fmt: skip

HOP_SECONDS = 0.12
FIRST_CENTER_SECONDS = WINDOW_SAMPLES / SAMPLE_RATE / 2  # 0.4875
# what a dataset records about how its embeddings were made
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


class FeatureError(SentenceError):
    """Features cannot be computed from this input; the message says in one sentence what to do."""


def load(path: str | os.PathLike, *, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read a recording in the form that VGGish takes: 16 kHz, one channel, in [-1, 1].

    *Normalised to [-1, 1]* means that the full scale of the file becomes 1: 16-bit samples are
    divided by 32,768. A quiet recording stays quiet. Lossy formats and resampling can exceed 1 by
    a little; that is not clipped.

    Parameters
    ----------
    path : str or PathLike
        Any format that libsndfile reads (wav, flac, ogg, mp3 and more), or else FFmpeg (m4a, the
        sound of mp4 and webm, and more).
    sample_rate : int
        Hertz. Recordings of another rate are resampled with the filter used to train
        VGGish, resampy's ``kaiser_best``.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float32]
        The mean of the channels.

    Raises
    ------
    FeatureError
        If the file cannot be read or holds no samples.
    """
    path = os.fspath(path)
    try:
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            samples, rate = _read_by_ffmpeg(path)
    except (OSError, av.FFmpegError, IndexError) as error:
        reason = getattr(error, "strerror", None) or "there is no sound in it"
        raise FeatureError(
            f"{path} cannot be read ({reason}): check that it is there, or export it as wav."
        ) from None
    if not len(samples):
        raise FeatureError(f"{path} holds no samples: record or export it again.")
    mono = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    return resample(mono, rate, sample_rate)


def _read_by_ffmpeg(path: str) -> tuple[np.ndarray, int]:
    """Return samples [shape=(n, channels)] and their rate."""
    with av.open(path) as container:
        track = container.streams.audio[0]
        to_float = av.AudioResampler(format="fltp")
        frames = [*container.decode(track), None]  # None asks for what is left
        blocks = [done.to_ndarray() for frame in frames for done in to_float.resample(frame)]
        return np.concatenate(
            [np.empty((track.channels, 0), np.float32), *blocks], axis=1
        ).T, track.rate


def hop_frames_of(hop_seconds: float) -> int:
    """Return a hop in frames of 10 ms.

    Raises
    ------
    FeatureError
        If it is not a positive multiple of 0.01 s.
    """
    frame_seconds = FRAME_HOP_SAMPLES / SAMPLE_RATE
    frames = round(hop_seconds / frame_seconds) if math.isfinite(hop_seconds) else 0
    if frames < 1 or not math.isclose(frames * frame_seconds, hop_seconds, rel_tol=1e-9):
        raise FeatureError(
            f"a hop of {hop_seconds:g} s is not a positive multiple of the {frame_seconds:g} s "
            "from one log-mel frame to the next: take 0.12, for instance."
        )
    return frames


def window_times(count: int, hop_seconds: float = HOP_SECONDS) -> np.ndarray:
    """Return the centres of windows in seconds [shape=(count,)]: 0.4875 + i hop_seconds."""
    return FIRST_CENTER_SECONDS + np.arange(count) * hop_seconds


def frame_labels(
    segments: Sequence[tuple[float, float, str]],
    times: np.ndarray,
    *,
    classes: Sequence[str],
    background: str = "noise",
    ignore: Sequence[str] = (),
) -> np.ndarray:
    """Return the class at each time; at :func:`window_times`, the label of each window.

    Parameters
    ----------
    segments : sequence of (start, end, label)
        In seconds, sorted, without overlaps. A segment includes its start, but not its end.
    times : np.ndarray [shape=(n,)]
        Seconds.
    classes : sequence of str
        The classes, in the order of their numbers.
    background : str
        The class of time without a segment.
    ignore : sequence of str
        Labels that are not classes.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int64]
        The number of the class, and -1 where the label is one of ``ignore``.

    Raises
    ------
    FeatureError
        If a segment has a label that is not one of the classes.
    """
    used = {label for _, _, label in segments} | {background}
    for label in sorted(used - {*classes, *ignore}):
        raise FeatureError(f"the label {label!r} is none of {', '.join(classes)}.")
    times = np.asarray(times, dtype=float)
    labels = np.full(times.shape, classes.index(background), dtype=np.int64)
    if not segments:
        return labels
    starts, ends, names = zip(*segments, strict=True)
    numbers = np.array([-1 if name in ignore else classes.index(name) for name in names])
    at = np.searchsorted(np.array(starts), times, side="right") - 1
    inside = (at >= 0) & (times < np.array(ends)[at])
    labels[inside] = numbers[at[inside]]
    return labels


def embed(
    samples: np.ndarray, embedding: Embedding, *, hop_seconds: float = HOP_SECONDS
) -> np.ndarray:
    """Embed every window of a recording.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,), dtype=float32]
        As :func:`load` returns them.
    embedding : Embedding
        As :func:`vggish.embedding.load_embedding` returns it; its ``quantize`` makes AudioSet's
        8-bit form of the result.
    hop_seconds : float
        From one window to the next.

    Returns
    -------
    np.ndarray [shape=(n, 128), dtype=float32]
        :func:`window_times` gives their times. A recording shorter than 0.975 s is extended
        by its mirror image until it fills one window.
    """
    return np.concatenate(list(embedding.stream([samples], hop_frames_of(hop_seconds))))


def to_example(
    embedding: np.ndarray,
    audio_embedding: np.ndarray,
    label: np.ndarray,
    *,
    recording: str,
    split: str,
    start_time_seconds: float = 0.0,
    hop_seconds: float = HOP_SECONDS,
    faster_embedding: np.ndarray | None = None,
    faster_audio_embedding: np.ndarray | None = None,
) -> tf.train.SequenceExample:
    """Put consecutive windows of a recording into a ``SequenceExample``, in AudioSet's form.

    Parameters
    ----------
    embedding : np.ndarray [shape=(n, 128), dtype=float32]
    audio_embedding : np.ndarray [shape=(n, 128), dtype=uint8]
        AudioSet's 8-bit form.
    label : np.ndarray [shape=(n,), dtype=int64]
    recording, split : str
        The names of the recording and of its split.
    start_time_seconds : float
        When the first of the windows starts.
    hop_seconds : float
        From one window to the next.
    faster_embedding, faster_audio_embedding : np.ndarray [shape=(n, 128)], optional
        The same of the recording played a third faster (``audioseg.features.faster``), both or
        neither; float32 and uint8.

    Returns
    -------
    tf.train.SequenceExample
        Context: ``recording``, ``split``, ``start_time_seconds``, ``hop_seconds``. Feature lists,
        one entry per window: ``embedding`` (512 bytes: 128 little-endian float32),
        ``audio_embedding`` (128 bytes), ``label`` (int64), and in VAL and TST
        ``faster_embedding`` and ``faster_audio_embedding``.
    """
    import tensorflow as tf

    def text(value: str) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))

    def number(value: float) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    def bytes_of(rows: np.ndarray) -> tf.train.FeatureList:
        return tf.train.FeatureList(
            feature=[
                tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.tobytes()]))
                for row in rows
            ]
        )

    integers = [
        tf.train.Feature(int64_list=tf.train.Int64List(value=[value])) for value in label.tolist()
    ]
    lists = {
        "embedding": bytes_of(embedding.astype("<f4")),
        "audio_embedding": bytes_of(audio_embedding),
        "label": tf.train.FeatureList(feature=integers),
    }
    if faster_embedding is not None:
        lists["faster_embedding"] = bytes_of(faster_embedding.astype("<f4"))
        lists["faster_audio_embedding"] = bytes_of(faster_audio_embedding)
    return tf.train.SequenceExample(
        context=tf.train.Features(
            feature={
                "recording": text(recording),
                "split": text(split),
                "start_time_seconds": number(start_time_seconds),
                "hop_seconds": number(hop_seconds),
            }
        ),
        feature_lists=tf.train.FeatureLists(feature_list=lists),
    )


def parse_example(serialized: tf.Tensor, *, faster: bool = False) -> dict[str, tf.Tensor]:
    """Parse a serialized ``SequenceExample``; for ``tf.data.Dataset.map``.

    Parameters
    ----------
    serialized : tf.Tensor [shape=(), dtype=string]
        A record of a TFRecord file.
    faster : bool
        Whether to parse ``faster_embedding`` and ``faster_audio_embedding``, too.

    Returns
    -------
    dict of str to tf.Tensor
        ``recording`` and ``split`` (strings), ``start_time_seconds`` and ``hop_seconds`` (float32),
        ``embedding`` (n, 128) float32, ``audio_embedding`` (n, 128) uint8, ``label`` (n,) int64,
        and if asked for, ``faster_embedding`` and ``faster_audio_embedding`` likewise.
    """
    import tensorflow as tf

    forms = {"embedding": tf.float32, "audio_embedding": tf.uint8}
    if faster:
        forms |= {f"faster_{key}": dtype for key, dtype in forms.items()}
    context, steps = tf.io.parse_single_sequence_example(
        serialized,
        context_features={
            "recording": tf.io.FixedLenFeature([], tf.string),
            "split": tf.io.FixedLenFeature([], tf.string),
            "start_time_seconds": tf.io.FixedLenFeature([], tf.float32),
            "hop_seconds": tf.io.FixedLenFeature([], tf.float32),
        },
        sequence_features={
            "label": tf.io.FixedLenSequenceFeature([], tf.int64),
            **{key: tf.io.FixedLenSequenceFeature([], tf.string) for key in forms},
        },
    )

    def rows(key: str, dtype: tf.DType) -> tf.Tensor:
        values = tf.io.decode_raw(steps[key], dtype)
        return tf.reshape(values, (tf.size(steps[key]), EMBEDDING_SIZE))

    found = {key: rows(key, dtype) for key, dtype in forms.items()}
    return context | found | {"label": steps["label"]}


def write_examples(path: str | os.PathLike, examples: Iterable[tf.train.SequenceExample]) -> None:
    """Write a TFRecord file. Such files can be joined by putting one after the other."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for example in examples:
            # deterministic: otherwise the order of a map's entries is undefined
            writer.write(example.SerializePartialToString(deterministic=True))


def read_examples(
    path: str | os.PathLike, *, faster: bool = False
) -> Iterator[dict[str, np.ndarray]]:
    """Read a TFRecord file; yield what :func:`parse_example` returns for ``faster``, as arrays.

    Raises
    ------
    tf.errors.DataLossError, tf.errors.InvalidArgumentError
        If the file is damaged, or holds something else.
    """
    import tensorflow as tf

    records = tf.data.TFRecordDataset(os.fspath(path))
    yield from records.map(partial(parse_example, faster=faster)).as_numpy_iterator()
