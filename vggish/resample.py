"""VGGish's resampler, as one matrix product, block by block.

VGGish was trained on audio that ``resampy`` resampled to 16 kHz with its filter ``kaiser_best``, a
windowed sinc. Another filter moves the embeddings; soxr's best one by a relative 6.5e-3. Between
two fixed rates the weights of the filter repeat: from 44,100 to 16,000 Hz, every 441 samples become
160, always with the same weights. So resampling is a product of the signal, cut into overlapping
rows, with one small matrix:

::

    signal   ----------------------------------------------
    row 0    [  before  |   441    |  after   ]                  x matrix  =  160 samples
    row 1               [  before  |   441    |  after   ]       x matrix  =  160 samples

Pairs of rates with a large matrix (44,056 to 16,000 Hz repeats only every 5,507 samples) go through
resampy itself, block by block too.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from vggish.threads import one_blas_thread

FILTER = "kaiser_best"
ROW_OUTPUTS = 128  # a row makes at least so many samples, to be worth a matrix product
MATRIX_ENTRIES = 1 << 21  # what counts as small: 8 MB
BLOCK_SAMPLES = 1 << 16  # what is resampled at a time, roughly


def resample(waveform: np.ndarray, sample_rate: int, target_rate: int) -> np.ndarray:
    """Resample a waveform as resampy's ``kaiser_best`` does.

    Parameters
    ----------
    waveform : np.ndarray [shape=(samples,)]
        One channel, floats.
    sample_rate, target_rate : int
        In hertz.

    Returns
    -------
    np.ndarray [shape=(floor(samples * target_rate / sample_rate),), dtype=float32]
        Equal to ``resampy.resample(waveform, sample_rate, target_rate)`` to 1e-6 of its peak.

    Raises
    ------
    ValueError
        If a rate is not a positive whole number.
    """
    blocks = list(resample_blocks([waveform], sample_rate, target_rate))
    return np.concatenate([np.empty(0, np.float32), *blocks])


def resample_blocks(
    blocks: Iterable[np.ndarray], sample_rate: int, target_rate: int
) -> Iterator[np.ndarray]:
    """Resample a waveform that comes in blocks of any length.

    Yields
    ------
    np.ndarray [shape=(samples,), dtype=float32]
        Together what :func:`resample` returns for the blocks joined, bit for bit.
    """
    for rate in (sample_rate, target_rate):
        if rate != int(rate) or rate < 1:
            raise ValueError(f"a sample rate is a positive whole number of hertz, not {rate}.")
    sample_rate, target_rate = int(sample_rate), int(target_rate)
    if sample_rate == target_rate:
        for block in blocks:
            yield np.asarray(block, dtype=np.float32)
        return
    divisor = math.gcd(sample_rate, target_rate)
    inputs, outputs = sample_rate // divisor, target_rate // divisor  # of one repetition
    reach = _reach(target_rate / sample_rate)
    repeat = max(1, round(ROW_OUTPUTS / outputs))
    if (repeat * inputs + 2 * reach) * repeat * outputs <= MATRIX_ENTRIES:
        yield from _by_matrix(blocks, repeat * inputs, repeat * outputs)
    else:
        yield from _by_resampy(blocks, inputs, outputs, reach)


def _by_matrix(blocks: Iterable[np.ndarray], inputs: int, outputs: int) -> Iterator[np.ndarray]:
    """Resample with one matrix product for every few rows."""
    matrix = filter_matrix(inputs, outputs)
    width = len(matrix)
    before = (width - inputs) // 2
    # always the same number of rows: the last bits of a product depend on it
    rows = max(1, BLOCK_SAMPLES // inputs)
    for piece, wanted in _pieces(blocks, rows, inputs, outputs, before):
        view = np.lib.stride_tricks.sliding_window_view(piece, width)[::inputs]
        with one_blas_thread():  # closed before the yield: others compute then
            resampled = np.ascontiguousarray(view) @ matrix
        yield resampled.reshape(-1)[:wanted]


def _by_resampy(
    blocks: Iterable[np.ndarray], inputs: int, outputs: int, reach: int
) -> Iterator[np.ndarray]:
    """Resample with resampy, piece by piece, each with what the filter sees around it."""
    import resampy  # its compiler takes seconds and 60 MB: only where it is needed

    repetitions = -(-BLOCK_SAMPLES // inputs)
    ahead = -(-reach // inputs)  # in whole repetitions, so that the samples' times stay in step
    skip = ahead * outputs
    for piece, wanted in _pieces(blocks, repetitions, inputs, outputs, ahead * inputs):
        resampled = resampy.resample(piece, inputs, outputs, filter=FILTER)
        yield resampled[skip : skip + wanted]


def _pieces(
    blocks: Iterable[np.ndarray], count: int, inputs: int, outputs: int, around: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Cut a signal into pieces of ``count`` repetitions, with samples around each.

    Yields
    ------
    piece : np.ndarray [shape=(around + count * inputs + around,), dtype=float32]
        Zeros stand before the beginning and behind the end.
    wanted : int
        How many of the ``count * outputs`` samples it makes are of the signal; fewer than all
        only in the last one.
    """
    step = count * inputs
    rest = np.zeros(around, np.float32)
    samples = made = 0
    for block in blocks:
        samples += len(block)
        rest = np.concatenate([rest, np.asarray(block, dtype=np.float32)])
        while len(rest) >= step + 2 * around:
            yield rest[: step + 2 * around], count * outputs
            made += count * outputs
            rest = rest[step:]
    while (left := samples * outputs // inputs - made) > 0:
        piece = np.zeros(step + 2 * around, np.float32)
        piece[: len(rest)] = rest
        yield piece, min(left, count * outputs)
        made += count * outputs
        rest = rest[step:]


def _reach(ratio: float) -> int:
    """Return how many input samples the filter sees on each side of an output."""
    window, precision = _table()
    return len(window) // int(min(1.0, ratio) * precision) + 1


@cache
def _table() -> tuple[np.ndarray, int]:
    """Read the right half of resampy's filter, and how many entries it has for one sample."""
    package = importlib.util.find_spec("resampy")  # finds it, and does not import it
    path = Path(package.origin).with_name("data") / f"{FILTER}.npz"
    with np.load(path, allow_pickle=False) as stored:
        return stored["half_window"], int(stored["precision"])


@lru_cache(maxsize=8)
def filter_matrix(inputs: int, outputs: int) -> np.ndarray:
    """Return the weights of resampy's filter from one number of samples to another.

    The weights are those of J. O. Smith's bandlimited interpolation: a table of the right half
    of a windowed sinc, read in steps, with linear interpolation between its entries. Where the
    rate falls, the steps are shorter; they are whole numbers, as resampy's are.

    Returns
    -------
    np.ndarray [shape=(inputs + 2 * reach, outputs), dtype=float32]
        Row ``reach + n`` holds what input ``n`` adds to each output.
    """
    ratio = outputs / inputs
    window, precision = _table()
    window = min(1.0, ratio) * window
    slope = np.diff(window, append=window[-1])
    scale = min(1.0, ratio)
    step = int(scale * precision)
    reach = _reach(ratio)
    matrix = np.zeros((inputs + 2 * reach, outputs))
    columns = np.arange(outputs)
    nearest, remainder = np.divmod(columns * inputs, outputs)
    left = scale * remainder / outputs
    for position, first, direction in ((left, 0, -1), (scale - left, 1, 1)):
        offset = (position * precision).astype(int)
        fraction = position * precision - offset
        taps = (len(window) - offset) // step
        for tap in range(taps.max()):
            seen = tap < taps
            index = offset[seen] + tap * step
            weights = window[index] + fraction[seen] * slope[index]
            matrix[reach + nearest[seen] + first + direction * tap, columns[seen]] += weights
    matrix = matrix.astype(np.float32)
    matrix.flags.writeable = False  # it is cached
    return matrix
