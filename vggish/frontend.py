"""VGGish's front end: a 16 kHz waveform to log-mel windows.

Frames of 25 ms every 10 ms under a periodic Hann window, the magnitude of a 512-point FFT, 64
triangular bands from 125 to 7500 Hz, the logarithm with an offset of 0.01. A window is 96
frames. Constants and definitions are those of Hershey et al., "CNN architectures for large-scale
audio classification", ICASSP 2017, and of the implementation released with AudioSet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import scipy.fft

from vggish.threads import one_blas_thread

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 400  # 0.025 s
FRAME_HOP_SAMPLES = 160  # 0.010 s
FFT_SIZE = 512
MEL_BANDS = 64
MEL_MIN_HZ = 125.0
MEL_MAX_HZ = 7500.0
LOG_OFFSET = 0.01
WINDOW_FRAMES = 96
# 96 frames reach 15 ms beyond the 0.96 s that 96 hops make: the last frame is 400 samples long
WINDOW_SAMPLES = (WINDOW_FRAMES - 1) * FRAME_HOP_SAMPLES + FRAME_SAMPLES  # 15,600 = 0.975 s
HOP_FRAMES = 12  # 0.12 s
BLOCK_FRAMES = 512  # what stays in the processor's cache


def hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    """Convert frequencies to the HTK mel scale, 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(hertz, dtype=float) / 700.0)


@cache
def mel_matrix() -> np.ndarray:
    """Return the weights that sum FFT bins into mel bands.

    The triangles are linear in mel, not in Hz (librosa's are linear in Hz), their edges are
    spaced evenly in mel, and the DC bin has no weight.

    Returns
    -------
    np.ndarray [shape=(257, 64)]
        One column a band.
    """
    bins = hertz_to_mel(np.linspace(0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1))[:, None]
    edges = np.linspace(hertz_to_mel(MEL_MIN_HZ), hertz_to_mel(MEL_MAX_HZ), MEL_BANDS + 2)
    lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - lower) / (center - lower)
    falling = (upper - bins) / (upper - center)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    weights.flags.writeable = False  # it is cached
    return weights


def frame_count(samples: int) -> int:
    """Return how many whole frames fit into a number of samples."""
    return max(0, 1 + (samples - FRAME_SAMPLES) // FRAME_HOP_SAMPLES)


def window_count(samples: int, *, hop_frames: int = HOP_FRAMES) -> int:
    """Return how many whole windows fit into a number of samples."""
    return max(0, 1 + (frame_count(samples) - WINDOW_FRAMES) // hop_frames)


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """Compute the log-mel spectrogram.

    Parameters
    ----------
    waveform : np.ndarray [shape=(samples,)]
        16 kHz, one channel, in [-1, 1].

    Returns
    -------
    np.ndarray [shape=(frames, 64), dtype=float32]
        Frame ``i`` covers the samples ``160 i`` to ``160 i + 400``. No frame is padded: fewer than
        400 samples give none.

    Raises
    ------
    ValueError
        If the waveform is not one-dimensional, or holds integers.
    """
    waveform = np.asarray(waveform)
    if waveform.ndim != 1:
        raise ValueError(f"a waveform has the shape (samples,), not {waveform.shape}.")
    if not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(
            f"a waveform holds floats in [-1, 1], not {waveform.dtype}: divide 16-bit integers "
            "by 32768."
        )
    count = frame_count(len(waveform))
    if not count:
        return np.empty((0, MEL_BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, FRAME_SAMPLES)[::FRAME_HOP_SAMPLES]
    # a periodic window (its period is 400), as for spectral analysis; in float64, as in the
    # reference: in float32, the rounding of a loud tone shows (2.6e-4) in silent bands
    hann = 0.5 - 0.5 * np.cos(2 * np.pi / FRAME_SAMPLES * np.arange(FRAME_SAMPLES))
    weights = mel_matrix()
    used = slice(*(np.flatnonzero(weights.any(axis=1))[[0, -1]] + [0, 1]))
    weights = weights[used]
    result = np.empty((count, MEL_BANDS), np.float32)
    for start in range(0, count, BLOCK_FRAMES):
        spectrum = scipy.fft.rfft(frames[start : start + BLOCK_FRAMES] * hann, FFT_SIZE)
        with one_blas_thread():
            bands = np.abs(spectrum[:, used]) @ weights
        result[start : start + BLOCK_FRAMES] = np.log(bands + LOG_OFFSET)
    return result


def log_mel_blocks(waveform_blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Compute the log-mel spectrogram of a waveform that comes in blocks.

    Parameters
    ----------
    waveform_blocks : iterable of np.ndarray [shape=(samples,)]
        16 kHz, one channel, in [-1, 1]; the blocks may differ in length.

    Yields
    ------
    np.ndarray [shape=(up to 512, 64), dtype=float32]
        Together what :func:`log_mel` returns for the blocks joined, bit for bit: both compute
        the same 512 frames at a time.
    """
    step = BLOCK_FRAMES * FRAME_HOP_SAMPLES
    needed = step - FRAME_HOP_SAMPLES + FRAME_SAMPLES
    pending: list[np.ndarray] = []
    held = 0
    for block in waveform_blocks:
        pending.append(np.asarray(block))
        held += len(pending[-1])
        if held < needed:
            continue
        rest = np.concatenate(pending)
        while len(rest) >= needed:
            yield log_mel(rest[:needed])
            rest = rest[step:]
        pending, held = [rest], len(rest)
    if held >= FRAME_SAMPLES:
        yield log_mel(np.concatenate(pending))


def windows(spectrogram: np.ndarray, *, hop_frames: int = HOP_FRAMES) -> np.ndarray:
    """Cut a log-mel spectrogram into overlapping windows.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(frames, 64)]
        As :func:`log_mel` returns it.
    hop_frames : int
        Frames from one window to the next: 12 is 0.12 s.

    Returns
    -------
    np.ndarray [shape=(windows, 96, 64)]
        A view, not a copy. Window ``i`` covers the frames ``hop_frames * i`` to
        ``hop_frames * i + 96``; fewer than 96 frames give none.
    """
    if len(spectrogram) < WINDOW_FRAMES:
        return np.empty((0, WINDOW_FRAMES, spectrogram.shape[1]), spectrogram.dtype)
    view = np.lib.stride_tricks.sliding_window_view(spectrogram, WINDOW_FRAMES, axis=0)
    return view[::hop_frames].swapaxes(1, 2)
