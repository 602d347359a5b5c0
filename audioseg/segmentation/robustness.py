"""A recording as it may reach you: too quiet, as MP3, by telephone, with a broken channel.

Each of :data:`CONDITIONS` says how to write such a file. Segment it, and compare with what the
same run says of the unchanged recording.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import soundfile

from vggish.frontend import SAMPLE_RATE
from vggish.resample import resample

MP3_BITS = (160_000, 8_000)  # libsndfile's compression level 0 and 1, at 16 kHz
LEVELS_DBFS = (-12, -30, -50)


def at_level(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """Return samples whose root mean square has a level, in decibels of full scale."""
    level = np.sqrt(np.mean(np.square(samples, dtype=float)))
    return samples * (10 ** (dbfs / 20) / max(level, 1e-9))


def compression_level(bits_a_second: int) -> float:
    """Return the level that makes libsndfile write an MP3 of a constant bit rate, at 16 kHz."""
    most, least = MP3_BITS
    return (most - bits_a_second) / (most - least)


# the arguments of write()
CONDITIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    **{f"{dbfs} dBFS": {"change": partial(at_level, dbfs=dbfs)} for dbfs in LEVELS_DBFS},
    "MP3, 64 kbit/s": {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "bitrate_mode": "CONSTANT",
        "compression_level": compression_level(64_000),
    },
    "telephone, 8 kHz": {"sample_rate": 8_000, "subtype": "ULAW"},
    "DC offset of 0.05": {"change": lambda samples: samples + 0.05},
    "one silent channel": {"change": lambda samples: np.stack([samples, 0 * samples], axis=1)},
    "opposite phase": {"change": lambda samples: np.stack([samples, -samples], axis=1)},
}


def write(
    samples: np.ndarray,
    path: str | os.PathLike,
    *,
    change: Callable[[np.ndarray], np.ndarray] = lambda samples: samples,
    sample_rate: int = SAMPLE_RATE,
    format: str = "WAV",
    subtype: str = "PCM_16",
    **options: Any,
) -> None:
    """Write a recording as it sounds, or is stored, under some condition.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)]
        The recording, at 16 kHz, between -1 and 1.
    path : str or PathLike
        Where to write it.
    change : callable
        What happens to the samples, before they are clipped at full scale. It may return several
        channels [shape=(n, channels)].
    sample_rate : int
        Samples a second of the file.
    format, subtype, **options
        See :func:`soundfile.write`.
    """
    changed = np.clip(change(samples), -1, 1)
    if sample_rate != SAMPLE_RATE:
        changed = resample(changed.astype(np.float32), SAMPLE_RATE, sample_rate)
    soundfile.write(path, changed, sample_rate, format=format, subtype=subtype, **options)
