"""The sound of a web page: a recording as MP3, and the outline of its waveform.

An outline holds the lowest and highest sample of many short stretches. With it, a browser draws
three hours at once, without decoding them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import numpy as np

from audioseg import audio

MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
BITS_A_SECOND = 64_000
# for each of the three parts of the MP3 standard: its lowest sample rate, and the bit rates of
# libsndfile's compression levels 0 and 1
BIT_RATES = ((32_000, 320_000, 32_000), (16_000, 160_000, 8_000), (8_000, 64_000, 8_000))
STRETCHES_A_SECOND = 200  # as far in as one can zoom: a pixel each
MOST_STRETCHES = 600_000  # 1.2 MB in a page


class Outline(NamedTuple):
    """The outline of a waveform.

    Attributes
    ----------
    low, high : np.ndarray [shape=(n,), dtype=int8]
        The lowest and highest sample of each stretch; 127 is full scale.
    """

    low: np.ndarray
    high: np.ndarray


def write_mp3(
    path: str | os.PathLike,
    file: BinaryIO | str | os.PathLike,
    *,
    seconds: float,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Outline:
    """Write a recording as MP3 that every browser plays, and return its outline.

    One channel, 64 kbit/s: half a megabyte a minute. The bit rate is constant, as browsers find
    times in a file of variable bit rate only roughly.

    Parameters
    ----------
    path : str or PathLike
        The recording, of any common format and length; it is read block by block.
    file : file object, str or PathLike
        Where the MP3 goes.
    seconds : float
        The recording's length, which decides how fine the outline is.
    progress : callable
        Called with the seconds of audio written since the last call.

    Returns
    -------
    Outline

    Raises
    ------
    audio.AudioError
        If nothing of the recording can be read.
    """
    import soundfile

    findings = audio.Findings()  # a damaged one plays as far as it has segments
    with audio.open_audio(path, findings=findings) as stream:
        rate = max((r for r in MP3_RATES if r <= stream.sample_rate), default=MP3_RATES[0])
    most, least = next(limits for low, *limits in BIT_RATES if rate >= low)
    level = (most - BITS_A_SECOND) / (most - least)
    stretch = round(rate / min(STRETCHES_A_SECOND, MOST_STRETCHES / max(seconds, 1.0)))
    lows, highs, rest = [], [], np.zeros(0, np.float32)
    target = os.fspath(file) if isinstance(file, str | os.PathLike) else file
    with soundfile.SoundFile(
        target, "w", rate, 1, "MPEG_LAYER_III", format="MP3",
        bitrate_mode="CONSTANT", compression_level=level,
    ) as mp3:  # fmt: skip
        for block in audio.read_16k_blocks(path, sample_rate=rate, findings=findings):
            mp3.write(np.clip(block, -1.0, 1.0))
            progress(len(block) / rate)
            block = np.concatenate([rest, block])
            whole = len(block) // stretch * stretch
            rest = block[whole:]
            _add(block[:whole].reshape(-1, stretch), lows, highs)
    if len(rest):
        _add(rest[None], lows, highs)
    return Outline(np.concatenate(lows), np.concatenate(highs))


def _add(stretches: np.ndarray, lows: list[np.ndarray], highs: list[np.ndarray]) -> None:
    """Add the outline of stretches [shape=(n, samples)]."""
    for values, extreme in ((lows, stretches.min), (highs, stretches.max)):
        values.append(np.round(np.clip(extreme(axis=1), -1.0, 1.0) * 127).astype(np.int8))
