"""Audio files of any common format, decoded in blocks.

:func:`open_audio` opens a recording; :func:`read_16k_blocks` reads it at VGGish's rate in blocks,
in memory that does not depend on its length; :func:`load` reads all of it. Samples are float32,
full scale is 1.0 (16-bit samples are divided by 32768). Several channels become one: their mean,
or the loudest one if they cancel each other.

A damaged file is refused, as labels would no longer fit what follows the damage. Where there are
no labels yet, pass :class:`Findings` to read what comes before the damage.
:mod:`audioseg.decoding` knows the formats.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audioseg.decoding import AudioError, Decoder, cut_ogg_page, cut_short, open_decoder
from vggish.frontend import SAMPLE_RATE
from vggish.resample import resample_blocks

BLOCK_VALUES = 1 << 20  # samples times channels that are decoded at a time: 4 MB
SAMPLE_RATE_LIMITS = (1_000, 1_000_000)  # hertz; anything else is no audio but a broken header
CHANNELS_LIMITS = (1, 64)
PEAK_LIMIT = 64.0  # 36 dB over full scale: not loud, but integers in a floating-point file

SUFFIXES = frozenset(
    ".3gp .aac .ac3 .aif .aifc .aiff .amr .au .avi .caf .flac .flv .g722 .gsm .m4a .m4b .mka .mkv "
    ".mov .mp2 .mp3 .mp4 .mpeg .mpg .oga .ogg .opus .rf64 .snd .w64 .wav .wave .webm .wma "
    ".wmv".split()
)

TOLERANT_BLOCK_VALUES = 1 << 14  # so many are lost at most before a damaged place
CANCELLED = 0.01  # power of the mean beside that of the louder channel: 20 dB less


@dataclass
class Findings:
    """Lets a damaged recording be read as far as possible, and keeps what was found on the way.

    Attributes
    ----------
    broken : AudioError or None
        What ended the reading before the recording's end.
    cancelled : bool
        Whether channels cancelled each other somewhere, so that one of them was taken.
    """

    broken: AudioError | None = None
    cancelled: bool = False


@dataclass(frozen=True)
class AudioStream:
    """An open recording.

    Attributes
    ----------
    path : Path
        The file.
    sample_rate : int
        Hertz.
    channels : int
        The channels in the file. :meth:`blocks` gives their mean.
    seconds : float or None
        The length in the header, or None if it has none.
    """

    path: Path
    sample_rate: int
    channels: int
    seconds: float | None
    _decoder: Decoder
    _findings: Findings | None

    def blocks(self) -> Iterator[np.ndarray]:
        """Decode the recording from its start, once.

        Yields
        ------
        np.ndarray [shape=(samples,), dtype=float32]
            Consecutive samples at ``sample_rate``: the mean of the channels, or one of the
            loudest in any second in which they cancel each other. Lengths differ.

        Raises
        ------
        AudioError
            If the file is damaged, holds no samples, or ends before its header says it does. With
            findings, only if it holds no samples before that.
        """
        samples = 0
        try:
            for block in self._seconds():
                mono, cancelled = to_mono(block)
                if self._findings and cancelled:
                    self._findings.cancelled = True
                self._check_sizes(mono, samples)
                samples += len(mono)
                yield mono
            missing = (self.seconds or 0.0) - samples / self.sample_rate
            if samples and missing > self._decoder.tolerance:
                raise cut_short(self.path, self.seconds, samples / self.sample_rate)
        except AudioError as error:
            if self._findings is None or not samples:
                raise
            self._findings.broken = error
        if not samples:
            raise AudioError(f"{self.path} holds no samples: record or export it again.")

    def _seconds(self) -> Iterator[np.ndarray]:
        """Decode; cut several channels into blocks of a second, however long the decoder's are."""
        if self.channels == 1:
            yield from self._decoder.decode()
            return
        failed: list[AudioError] = []

        def until_it_fails() -> Iterator[np.ndarray]:
            try:
                yield from self._decoder.decode()
            except AudioError as error:
                failed.append(error)

        yield from in_pieces(until_it_fails(), self.sample_rate)
        if failed:
            raise failed[0]

    def _check_sizes(self, mono: np.ndarray, before: int) -> None:
        """Refuse samples that are not numbers, or that are integers."""
        loudest = np.abs(mono).argmax() if len(mono) else None  # NaN counts as the largest
        peak = 0.0 if loudest is None else abs(float(mono[loudest]))
        where = f"{self.path} at {(before + (loudest or 0)) / self.sample_rate:.3f} s"
        if not math.isfinite(peak):
            raise AudioError(f"{where} holds samples that are not numbers: export it again.")
        if peak > PEAK_LIMIT:
            raise AudioError(
                f"{where} reaches {peak:g}, where full scale is 1.0: divide the samples by "
                "the full scale of the integers they came from."
            )


def in_pieces(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Cut rows that come in blocks of any length into pieces of one; the last may be shorter."""
    held: list[np.ndarray] = []
    for block in blocks:
        held.append(block)
        if sum(map(len, held)) >= size:
            whole = np.concatenate(held)
            used = len(whole) - len(whole) % size
            yield from (whole[start : start + size] for start in range(0, used, size))
            held = [whole[used:]]
    if any(map(len, held)):
        yield np.concatenate(held)


def to_mono(block: np.ndarray) -> tuple[np.ndarray, bool]:
    """Mix channels to one: their mean, or one of the loudest if they cancel each other.

    The mean of channels with opposite phase (a plug wired the wrong way) is nearly silent.

    Parameters
    ----------
    block : np.ndarray [shape=(samples, channels), dtype=float32]
        A second, or less.

    Returns
    -------
    tuple of (np.ndarray [shape=(samples,), dtype=float32], bool)
        The channel, and whether the channels cancel each other: their mean is 20 dB below it.
    """
    if block.shape[1] == 1:
        return block[:, 0], False
    mean = block.mean(axis=1, dtype=np.float64)
    power = np.square(block, dtype=np.float64).sum(axis=0)
    if np.square(mean).sum() < CANCELLED * power.max():
        # of about equally loud channels always the first: a change between them would click
        return block[:, np.flatnonzero(power >= 0.5 * power.max())[0]], True
    return mean.astype(np.float32), False


@contextmanager
def open_audio(
    path: str | os.PathLike, *, findings: Findings | None = None
) -> Iterator[AudioStream]:
    """Open a recording of any common format.

    Parameters
    ----------
    path : str or PathLike
        The file. Its content tells the format, not its suffix, except for the two formats
        without a header, ``.g722`` (64 kbit/s, 16 kHz) and ``.gsm`` (8 kHz).
    findings : Findings, optional
        If given, a damaged recording is read as far as it goes; what was found is noted here.

    Yields
    ------
    AudioStream
        Open for as long as the ``with`` block runs.

    Raises
    ------
    AudioError
        If the file is missing or empty, has no known format or no sound, or has a false header.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise AudioError(f"{path} is a folder, not a recording: move it away.")
        path.open("rb").close()
    except OSError as error:
        raise AudioError(
            f"{path} cannot be read ({error.strerror}): check that it is there."
        ) from None
    if not size:
        raise AudioError(f"{path} is empty (0 bytes): fetch or export it again.")
    fault = cut_ogg_page(path)
    if fault and findings is None:
        raise fault
    values = BLOCK_VALUES if findings is None else TOLERANT_BLOCK_VALUES
    with open_decoder(path, values) as decoder:
        for number, (low, high), what in (
            (decoder.sample_rate, SAMPLE_RATE_LIMITS, "samples a second"),
            (decoder.channels, CHANNELS_LIMITS, "channels"),
        ):
            if not low <= number <= high:
                raise AudioError(
                    f"{path} says it has {number} {what}, which is not between {low} and {high}: "
                    "its header is broken, export it again."
                )
        fault = fault or decoder.fault
        if findings is not None:
            findings.broken = fault
        elif fault:
            raise fault
        yield AudioStream(path, *decoder[:3], decoder, findings)


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the audio files in a folder and its subfolders, except hidden ones, sorted."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        there = path.is_file() or path.is_symlink()  # a link to nothing is worth an error
        if there and path.suffix.lower() in SUFFIXES and not hidden and not path.is_dir():
            yield path


def stated_seconds(path: str | os.PathLike) -> float | None:
    """Return how long a recording is by its header, damaged or not; None if it states none.

    Raises
    ------
    AudioError
        As :func:`open_audio` does.
    """
    with open_audio(path, findings=Findings()) as stream:
        return stream.seconds


def read_16k_blocks(
    path: str | os.PathLike, *, sample_rate: int = SAMPLE_RATE, findings: Findings | None = None
) -> Iterator[np.ndarray]:
    """Read a recording at VGGish's sample rate, in blocks.

    Parameters
    ----------
    path : str or PathLike
        The file.
    sample_rate : int
        Hertz. Recordings of another rate are resampled with the filter that VGGish was
        published with.
    findings : Findings, optional
        If given, a damaged recording is read as far as it goes; what was found is noted here.

    Yields
    ------
    np.ndarray [shape=(samples,), dtype=float32]
        Consecutive samples, one channel, full scale 1.0. Lengths differ; joined, they are the
        whole recording.

    Raises
    ------
    AudioError
        If the file cannot be read; see :func:`open_audio`.
    """
    samples = 0
    with open_audio(path, findings=findings) as stream:
        for block in resample_blocks(stream.blocks(), stream.sample_rate, sample_rate):
            samples += len(block)
            yield block
    if not samples:
        raise AudioError(f"{path} is shorter than one sample at {sample_rate} Hz: record it again.")


def load(path: str | os.PathLike, *, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read a whole recording.

    Parameters
    ----------
    path : str or PathLike
        The file.
    sample_rate : int
        Hertz; recordings of another rate are resampled.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float32]
        One channel, full scale 1.0.

    Raises
    ------
    AudioError
        If the file cannot be read; see :func:`open_audio`.
    """
    return np.concatenate(list(read_16k_blocks(path, sample_rate=sample_rate)))
