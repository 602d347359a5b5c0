"""Audio to embeddings: front end, network and postprocessing as one thing.

>>> embedding = load_embedding("mini")
>>> embeddings = embedding.embed(log_mel(waveform))      # (windows, 128), one every 0.12 s
>>> embedding.quantize(embeddings)                       # AudioSet's 8-bit form

Recordings of any length go through :meth:`Embedding.stream` block by block. The network always
sees chunks of ``batch_size`` consecutive windows that start at a multiple of ``batch_size``, the
last one filled up: so the result is the same, bit for bit, however a recording was cut into
blocks, and nothing is compiled anew for another length.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from vggish import EMBEDDING_SIZE
from vggish import weights as _weights
from vggish.calibration import kept_calibration
from vggish.download import sha256_of
from vggish.errors import SentenceError
from vggish.fast import fast_chunks
from vggish.frontend import (
    HOP_FRAMES,
    MEL_BANDS,
    SAMPLE_RATE,
    WINDOW_FRAMES,
    WINDOW_SAMPLES,
    log_mel_blocks,
    windows,
)
from vggish.graph import Calibrated, check_precision, has_openvino
from vggish.int8 import openvino_chunks
from vggish.mini.network import WEIGHTS_PATH as MINI_PATH
from vggish.mini.network import load_mini
from vggish.postprocess import PCA, quantize

BATCH_SIZE = 64
PRECISIONS = ("float32", "bfloat16", "int8")

# from the frames of a whole chunk, (hop (batch - 1) + 96, 64), to its embeddings, (batch, 128)
ChunkFunction = Callable[[np.ndarray], np.ndarray]


class EmbeddingError(SentenceError):
    """Audio or options that cannot be embedded; one sentence that says what to do."""


class Embedding:
    """A network with its postprocessing, ready to use; made by :func:`load_embedding`.

    Attributes
    ----------
    name : str
        ``"mini"``, ``"audioset"``, or the stem of the checkpoint's file name.
    sha256 : str
        Of the weights' file.
    pca : PCA
        The postprocessing that belongs to the weights.
    precision : str
        ``"float32"``, ``"bfloat16"`` or ``"int8"``.
    batch_size : int
        Windows in a chunk.

    Parameters
    ----------
    fast : bool
        Whether to compute float32 the fast way: VGGish as :mod:`vggish.fast` does, others by
        OpenVINO, where it is installed. The plain way (:func:`plain_chunks`) works for every
        network.
    calibration_path : str or PathLike, optional
        Where int8 keeps what it found out about the weights, see :mod:`vggish.calibration`.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        name: str,
        sha256: str,
        pca: PCA | None = None,
        precision: str = "float32",
        batch_size: int = BATCH_SIZE,
        fast: bool = False,
        calibration_path: str | os.PathLike | None = None,
    ):
        if precision not in PRECISIONS:
            raise EmbeddingError(f"precision {precision!r} is none of {', '.join(PRECISIONS)}.")
        if precision != "float32":
            check_precision(precision)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise EmbeddingError(f"a batch has 1 window or more, not {batch_size!r}.")
        self.model = model
        self.name = name
        self.sha256 = sha256
        self.pca = PCA.identity() if pca is None else pca
        self.precision = precision
        self.batch_size = batch_size
        self._has_pca = pca is not None
        self._fast = fast
        self._calibration_path = calibration_path
        self._chunk_functions: dict[int, ChunkFunction] = {}

    def embed(self, spectrogram: np.ndarray, hop_frames: int = HOP_FRAMES) -> np.ndarray:
        """Embed every window of a log-mel spectrogram.

        Parameters
        ----------
        spectrogram : np.ndarray [shape=(frames, 64)]
            As :func:`vggish.frontend.log_mel` returns it.
        hop_frames : int
            Frames from one window to the next: 12 is 0.12 s.

        Returns
        -------
        np.ndarray [shape=(windows, 128), dtype=float32]
            Fewer than 96 frames give none.

        Raises
        ------
        EmbeddingError
            If the shape is wrong, or a value is not finite.
        """
        parts = list(self.embed_blocks([spectrogram], hop_frames))
        return np.concatenate([np.empty((0, EMBEDDING_SIZE), np.float32), *parts])

    def embed_blocks(
        self, spectrogram_blocks: Iterable[np.ndarray], hop_frames: int = HOP_FRAMES
    ) -> Iterator[np.ndarray]:
        """Embed a log-mel spectrogram that comes in blocks of frames.

        Yields
        ------
        np.ndarray [shape=(up to batch_size, 128), dtype=float32]
            Together what :meth:`embed` returns for the blocks joined, bit for bit.
        """
        if hop_frames < 1:
            raise EmbeddingError(f"a hop has 1 frame or more, not {hop_frames}.")
        run = self._chunk_function(hop_frames)
        step = hop_frames * self.batch_size
        needed = step - hop_frames + WINDOW_FRAMES
        rest = np.empty((0, MEL_BANDS), np.float32)
        for block in spectrogram_blocks:
            block = _checked_spectrogram(block)
            rest = np.concatenate([rest, block]) if len(rest) else block
            while len(rest) >= max(needed, step):
                yield run(rest[:needed])
                rest = rest[step:]
        count = len(windows(rest, hop_frames=hop_frames))
        if count:
            chunk = np.zeros((needed, MEL_BANDS), np.float32)
            chunk[: min(len(rest), needed)] = rest[:needed]
            yield run(chunk)[:count]

    def stream(
        self,
        waveform_blocks: Iterable[np.ndarray],
        hop_frames: int = HOP_FRAMES,
        *,
        pad_short: bool = True,
    ) -> EmbeddingStream:
        """Embed 16 kHz audio that comes in blocks, in memory that does not grow with its length.

        Parameters
        ----------
        waveform_blocks : iterable of np.ndarray [shape=(samples,)]
            16 kHz, one channel, floats in [-1, 1]; the blocks may differ in length.
        hop_frames : int
            Frames from one window to the next: 12 is 0.12 s.
        pad_short : bool
            Whether audio shorter than one window (0.975 s) is extended by its mirror image, back
            and forth, until it fills one; if not, it is an error. (Added silence would be heard
            as part of the sound.)

        Returns
        -------
        EmbeddingStream
            To iterate over, once.
        """
        return EmbeddingStream(self, waveform_blocks, hop_frames, pad_short=pad_short)

    def quantize(self, embeddings: np.ndarray) -> np.ndarray:
        """Postprocess embeddings (n, 128) into AudioSet's 8-bit form, uint8 (n, 128)."""
        return quantize(embeddings, self.pca)

    def description(self) -> dict[str, str]:
        """Return what made the embeddings, for a data set's record of itself."""
        return {
            "name": self.name,
            "network": self.model.name,
            "sha256": self.sha256,
            "precision": self.precision,
            "postprocessing": "PCA, clipped to [-2, 2], 8 bit truncated"
            if self._has_pca
            else "no PCA, clipped to [-2, 2], 8 bit truncated",
        }

    def _chunk_function(self, hop_frames: int) -> ChunkFunction:
        if hop_frames not in self._chunk_functions:
            self._chunk_functions[hop_frames] = self._new_chunk_function(
                hop_frames=hop_frames, batch_size=self.batch_size
            )
        return self._chunk_functions[hop_frames]

    def _new_chunk_function(self, **options: int) -> ChunkFunction:
        if self.precision == "int8":
            return openvino_chunks(self.model, self._calibration, precision="f32", **options)
        if self.precision == "bfloat16":
            return openvino_chunks(self.model, None, precision="bf16", **options)
        if self._fast and self.model.name == "vggish":
            return fast_chunks(self.model, **options)
        if self._fast and has_openvino():  # as exact as TensorFlow, and sooner
            return openvino_chunks(self.model, None, precision="f32", **options)
        return plain_chunks(self.model, **options)

    @cached_property
    def _calibration(self) -> dict[str, Calibrated]:
        return kept_calibration(self.model, self.sha256, self._calibration_path)


class EmbeddingStream:
    """The embeddings of one recording, chunk after chunk, and what was found on the way.

    Iterating yields arrays (up to batch_size, 128). Once it has ended:

    Attributes
    ----------
    samples : int
        How many samples came in.
    windows : int
        How many embeddings went out.
    padded : bool
        Whether the audio was shorter than a window and was filled up.

    Raises
    ------
    EmbeddingError
        While iterating: if a block is not one channel of finite floats, if no sample came, or if
        the audio is shorter than a window and may not be filled up.
    """

    def __init__(
        self,
        embedding: Embedding,
        waveform_blocks: Iterable[np.ndarray],
        hop_frames: int,
        *,
        pad_short: bool,
    ):
        self.samples = 0
        self.windows = 0
        self.padded = False
        self._pad_short = pad_short
        spectrogram = log_mel_blocks(self._checked(waveform_blocks))
        self._chunks = embedding.embed_blocks(spectrogram, hop_frames)

    def __iter__(self) -> Iterator[np.ndarray]:
        for chunk in self._chunks:
            self.windows += len(chunk)
            yield chunk

    def _checked(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Pass the blocks on, count their samples, and fill up what is too short."""
        first_window: list[np.ndarray] = []
        for block in blocks:
            block = np.asarray(block)
            if block.ndim != 1 or not np.issubdtype(block.dtype, np.floating):
                raise EmbeddingError(
                    f"a block of audio is {block.dtype} {block.shape} where floats (samples,) in "
                    "[-1, 1] are needed: mix it to one channel, and divide 16-bit integers by "
                    "32768."
                )
            if not np.isfinite(block).all():
                first = self.samples + int(np.flatnonzero(~np.isfinite(block))[0])
                raise EmbeddingError(
                    f"sample {first} (at {first / SAMPLE_RATE:.3f} s) is NaN or infinite: repair "
                    "the audio."
                )
            if self.samples < WINDOW_SAMPLES:
                first_window.append(block)
            self.samples += len(block)
            yield block
        if not self.samples:
            raise EmbeddingError("there is no audio, not one sample: check the source.")
        if self.samples < WINDOW_SAMPLES:
            if not self._pad_short:
                raise EmbeddingError(
                    f"{self.samples} samples at 16 kHz are shorter than one window of "
                    f"{WINDOW_SAMPLES} (0.975 s): use longer audio, or let its mirror image "
                    "fill it up."
                )
            self.padded = True
            missing = WINDOW_SAMPLES - self.samples
            whole = np.pad(np.concatenate(first_window), (0, missing), mode="symmetric")
            yield whole[self.samples :]


def load_embedding(
    weights: str | os.PathLike = "auto",
    *,
    precision: str = "float32",
    batch_size: int = BATCH_SIZE,
) -> Embedding:
    """Load a network, its weights and its postprocessing.

    Parameters
    ----------
    weights : str or PathLike
        ``"audioset"``: Google's, where ``make vggish`` put them. ``"mini"``: the small network
        that ships with the course. ``"auto"``: Google's if they are there, else ``mini``; the
        ``name`` says which. Anything else is the path of a VGGish checkpoint; PCA parameters are
        taken from ``vggish_pca_params.npz`` beside it, where there is such a file.
    precision : str
        ``"float32"``; ``"int8"``: several times faster on processors with VNNI, and off by a
        relative 1e-2 or so; ``"bfloat16"``: off by half of that, and refused where a short
        measurement finds that the processor is hardly faster in it. Both need OpenVINO.
    batch_size : int
        Windows that go through the network at once.

    Returns
    -------
    Embedding
        Ready to use. The network is never fetched here: ``make vggish`` does that.

    Raises
    ------
    WeightsError, PostprocessError
        If the weights, or the PCA parameters beside them, are not there or do not fit.
    EmbeddingError, PrecisionError
        If an option does not exist, or this machine lacks what it needs.
    """
    if weights == "auto":
        weights = "audioset" if _weights.audioset_is_here() else "mini"
    name, calibration_path = str(weights), None
    if weights == "mini":
        model, sha256, pca = load_mini(), sha256_of(MINI_PATH), PCA.load(MINI_PATH)
    elif weights == "audioset":
        model, sha256, pca = _weights.load_audioset()
        calibration_path = _weights.weights_folder() / f"{_weights.CHECKPOINT.name}.int8.npz"
    else:
        model, sha256, pca = _weights.load_own(weights)
        name = Path(weights).stem
        calibration_path = Path(f"{weights}.int8.npz")
    return Embedding(
        model,
        name=name,
        sha256=sha256,
        pca=pca,
        fast=True,
        precision=precision,
        batch_size=batch_size,
        calibration_path=calibration_path,
    )


def plain_chunks(model: keras.Model, *, hop_frames: int, batch_size: int) -> ChunkFunction:
    """Return the plain way through a network: cut a chunk into its windows, embed each.

    Works for every network and every hop.
    """
    network = tf.function(
        lambda batch: model(batch, training=False),
        input_signature=[tf.TensorSpec((batch_size, WINDOW_FRAMES, MEL_BANDS), tf.float32)],
    )

    def run(frames: np.ndarray) -> np.ndarray:
        batch = np.ascontiguousarray(windows(frames, hop_frames=hop_frames))
        return network(tf.constant(batch)).numpy()

    return run


def _checked_spectrogram(block: np.ndarray) -> np.ndarray:
    block = np.asarray(block, dtype=np.float32)
    if block.ndim != 2 or block.shape[1] != MEL_BANDS:
        raise EmbeddingError(
            f"a log-mel spectrogram has the shape (frames, {MEL_BANDS}), not {block.shape}."
        )
    if not np.isfinite(block).all():
        raise EmbeddingError("the log-mel spectrogram holds NaN or infinity: check the audio.")
    return block
