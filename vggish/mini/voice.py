"""Analyse speech and synthesize it again, with the vocoder WORLD.

:mod:`vggish.mini.singing` sings with the pitch, envelope and breath of a voice (Morise et al.,
IEICE Trans. Inf. & Syst. E99-D, 2016). The vocoder also makes speech lively. That remains speech:
its syllables have no beat, and its pitch never rests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyworld
import scipy.signal

from vggish.frontend import SAMPLE_RATE

FRAME_RATE = 100  # of pitch and vocal tract, a second
FRAME_SAMPLES = SAMPLE_RATE // FRAME_RATE
FRAME_MILLISECONDS = 1000 / FRAME_RATE
BINS = 257  # half of WORLD's, for half of the time; what is synthesized correlates by .999
LOWEST_HERTZ, HIGHEST_HERTZ = 70.0, 500.0  # of speech
LIVELINESS = {"lively": 0.4, "shouted": 0.25, "laughing": 0.2, "whispered": 0.15}


class Voice(NamedTuple):
    """WORLD's analysis of speech, every 10 ms (of breath every 20 ms, and between them the mean).

    ``pitch`` (frames,) in hertz, 0 where there is none; ``envelope`` (frames, bins) of powers;
    ``breath`` (frames, bins), the share of noise in each bin, 0 to 1.
    """

    pitch: np.ndarray
    envelope: np.ndarray
    breath: np.ndarray


def analyse(speech: np.ndarray) -> Voice:
    """Analyse speech.

    Parameters
    ----------
    speech : np.ndarray [shape=(samples,)]
        16 kHz.

    Returns
    -------
    Voice
        Without frames if nothing in the speech is voiced. The last 32 results are cached.
    """
    return _analyse(np.ascontiguousarray(speech, np.float64).tobytes())


@lru_cache(maxsize=32)
def _analyse(content: bytes) -> Voice:
    samples = np.frombuffer(content).copy()
    nothing = Voice(np.zeros(0), np.zeros((0, BINS)), np.zeros((0, BINS)))
    if len(samples) < SAMPLE_RATE // 5 or np.ptp(samples) < 1e-4:
        return nothing
    samples -= samples.mean()
    samples *= 0.5 / np.abs(samples).max()
    coarse, times = pyworld.dio(
        samples,
        SAMPLE_RATE,
        f0_floor=LOWEST_HERTZ,
        f0_ceil=HIGHEST_HERTZ,
        frame_period=FRAME_MILLISECONDS,
    )
    pitch = pyworld.stonemask(samples, coarse, times, SAMPLE_RATE)
    if np.mean(pitch > 0) < 0.15:
        return nothing
    envelope = pyworld.cheaptrick(samples, pitch, times, SAMPLE_RATE)[:, ::2].copy()
    # D4C takes the most time, so it looks every 20 ms
    breath = pyworld.d4c(samples, pitch[::2].copy(), times[::2].copy(), SAMPLE_RATE)
    breath = between(breath[:, ::2], np.arange(len(pitch)) / 2)
    # it takes a frame for noise, whatever DIO said, where its low frequencies hold no pulses
    pitch[breath[:, 16] > 0.9] = 0
    voice = Voice(pitch, envelope, breath) if np.mean(pitch > 0) > 0.1 else nothing
    for array in voice:
        array.setflags(write=False)
    return voice


def between(table: np.ndarray, places: np.ndarray, axis: int = 0) -> np.ndarray:
    """Read a table between its rows or columns; beyond its ends, the outermost one is used."""
    places = np.clip(places, 0, table.shape[axis] - 1)
    low = places.astype(int)
    part = (places - low).reshape((-1, 1) if axis == 0 else (1, -1))
    high = np.minimum(low + 1, table.shape[axis] - 1)
    return table.take(low, axis) * (1 - part) + table.take(high, axis) * part


def coloured(envelope: np.ndarray, size: float, tilt_db: float, ring_db: float) -> np.ndarray:
    """Return logarithms of envelopes, as from another throat."""
    bins = envelope.shape[1]
    hertz = np.linspace(0, SAMPLE_RATE / 2, bins)
    logs = between(np.log(envelope + 1e-16), np.arange(bins) * size, axis=1)
    ring = ring_db * np.exp(-0.5 * ((hertz * size - 2900) / 450) ** 2)
    return logs + np.log(10) / 10 * (ring + tilt_db * hertz / hertz[-1])


def synthesize(pitch: np.ndarray, logs: np.ndarray, breath: np.ndarray) -> np.ndarray:
    """Synthesize a voice from pitch, logarithms of envelopes and breath."""
    return pyworld.synthesize(
        np.clip(pitch, 60, 1200) * (pitch > 0),
        np.ascontiguousarray(np.exp(logs)),
        np.ascontiguousarray(np.clip(breath, 0, 1)),
        SAMPLE_RATE,
        FRAME_MILLISECONDS,
    )[: len(pitch) * FRAME_SAMPLES]


def lively(phrase: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Say a phrase in another mood: lively, shouted, laughing or whispered. It stays speech.

    Parameters
    ----------
    phrase : np.ndarray [shape=(samples,)]
        Speech of one voice at 16 kHz, in [-1, 1].
    rng : np.random.Generator

    Returns
    -------
    np.ndarray [shape=(other samples,), dtype=float64]
        0.7 to 1.5 times as long, at the level of the phrase; a copy if nothing in it is voiced.
    """
    rng = np.random.default_rng(rng.integers(2**63))
    mood = str(rng.choice(list(LIVELINESS), p=list(LIVELINESS.values())))
    voice = analyse(phrase)
    if not len(voice.pitch):
        return np.array(phrase, float)
    frames = len(voice.pitch)
    count = round(frames / rng.uniform(0.72, 1.4))
    # no tempo is kept: faster here, slower there
    speed = np.exp(0.35 * _drift(rng.standard_normal, 0.2, count))
    places = np.cumsum(speed) * (frames - 1) / speed.sum()
    voiced_at = np.flatnonzero(voice.pitch)
    spoken = np.log2(voice.pitch[voiced_at])
    semitones = np.interp(places, voiced_at, 12 * (spoken - np.median(spoken)))
    voiced = between((voice.pitch > 0).astype(float)[:, None], places)[:, 0] > 0.5
    raised, wider, tilt = rng.uniform(0, 6), rng.uniform(1.2, 2.3), rng.uniform(-2, 3)
    if mood == "shouted":
        raised, wider, tilt = rng.uniform(4, 11), rng.uniform(1.0, 1.8), rng.uniform(4, 10)
    elif mood == "laughing":
        raised += 3
    logs = coloured(voice.envelope, 2 ** rng.uniform(-0.15, 0.15), tilt, 0)
    logs, breath = between(logs, places), between(voice.breath, places)
    if mood == "laughing":  # bursts of breath, each lower than the one before
        rate = rng.uniform(4, 6.5)
        # every frame has its own rate; over a whole burst the jitter is about 2 %
        turns = np.cumsum(rate * np.exp(0.106 * rng.standard_normal(count))) / FRAME_RATE
        here = _drift(lambda size: rng.random(size) > 0.4, 0.5, count)
        logs = logs - (5 * here * (turns % 1) ** 1.5)[:, None]
        semitones = semitones + here * (3 - 5 * (turns % 1))
        breath = breath + (0.5 * here * (turns % 1))[:, None]
    pitch = np.median(voice.pitch[voiced_at]) * 2 ** ((raised + wider * semitones) / 12)
    pitch = np.minimum(pitch, 650) * voiced
    if mood == "whispered":
        hertz = np.linspace(0, 1, logs.shape[1])
        logs = logs + np.where(voiced[:, None], 2.5 * np.minimum(4 * hertz, 1) - 4.0, 0)
        pitch, breath = np.zeros(count), np.ones_like(breath)
    sound = synthesize(pitch, logs, breath)
    if mood == "shouted":
        sound = np.tanh(rng.uniform(0.5, 3) * level(sound))
    return level(sound) * np.sqrt(np.mean(np.square(phrase, dtype=float)))


def _drift(draw: Callable[[int], np.ndarray], seconds: float, count: int) -> np.ndarray:
    """Return frames that pass through drawn values, so many seconds apart."""
    frames = round(seconds * FRAME_RATE)
    values = draw(count // frames + 2)
    return np.interp(np.arange(count) / frames, np.arange(len(values)), values)


def level(samples: np.ndarray) -> np.ndarray:
    """Return samples of RMS 1; silence stays silent."""
    return samples / max(np.sqrt(np.mean(samples**2)), 1e-12) if len(samples) else samples


def room(samples: np.ndarray, seconds: float, wet: float, rng: np.random.Generator) -> np.ndarray:
    """Add a room's reverberation.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,)]
        16 kHz.
    seconds : float
        Until the echoes have decayed by 60 dB.
    wet : float
        The level of all echoes together, over that of the sound itself.
    rng : np.random.Generator
        The room is noise that decays.
    """
    count = int(seconds * SAMPLE_RATE)
    echoes = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    echoes[: SAMPLE_RATE // 200] = 0  # no wall is nearer
    echoes *= wet / np.sqrt(np.sum(echoes**2))
    echoes[0] = 1
    return scipy.signal.fftconvolve(samples, echoes)[: len(samples)]
