"""Singers for the corpus: voices of its prompts that sing, and a few recordings of singing.

The made voice is that of :mod:`vggish.mini.singing`. Here it listens to the music: its key, by the
chroma profiles of Krumhansl, "Cognitive Foundations of Musical Pitch", 1990, and its beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.signal

from vggish.frontend import SAMPLE_RATE
from vggish.mini.singing import SCALES, Tune, random_tune, sing_line
from vggish.mini.voice import lively

__all__ = ["chroma", "hear", "lively", "onset_strength", "play", "sing_over"]

KEYS = (  # major, minor
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)
BEATS_SECONDS = np.linspace(0.4, 0.9, 251)  # faster and slower ones are halves and doubles
TAPE_SPEEDS, PAUSE_SECONDS = (0.8, 1.25), (0.05, 0.4)  # of recordings
# of a song that begins anywhere: less of a voice cannot be told from a click
SHORTEST_SUNG = SAMPLE_RATE // 4
CHROMA_WINDOW, ONSET_HOP, BEAT_PLACES = 4096, 256, 24


def hear(music: np.ndarray, rng: np.random.Generator) -> tuple[Tune, float]:
    """Find what a singer needs to know of music: its key and its beat.

    Parameters
    ----------
    music : np.ndarray [shape=(samples,)]
        16 kHz; one minute of it is analysed.
    rng : np.random.Generator
        Draws the tempo where no beat is heard, and whether the scale has five notes or seven.

    Returns
    -------
    tune : Tune
        The key and the beat.
    first_beat : float
        When the first beat is, in seconds.
    """
    drawn, pentatonic = random_tune(rng), rng.random() < 0.3
    heard = np.asarray(music[: 60 * SAMPLE_RATE], float)
    if len(heard) < SAMPLE_RATE or np.ptp(heard) < 1e-6:
        return drawn, 0.0
    classes = chroma(heard)
    likeness = np.array(
        [[np.corrcoef(np.roll(classes, -k), p)[0, 1] for k in range(12)] for p in KEYS]
    )
    mode, tonic = np.unravel_index(np.argmax(np.nan_to_num(likeness)), likeness.shape)
    beat, first = drawn.beat, 0.0
    strength = onset_strength(heard)
    if strength.any():
        # onsets a beat apart, laid upon each other, pile up on the beat
        frames = np.arange(len(strength)) * ONSET_HOP / SAMPLE_RATE
        piles = [
            np.bincount((frames % b / b * BEAT_PLACES).astype(int), strength, BEAT_PLACES)
            for b in BEATS_SECONDS
        ]
        best = int(np.argmax([pile.max() for pile in piles]))
        beat = float(BEATS_SECONDS[best])
        first = beat * float(piles[best].argmax()) / BEAT_PLACES
    # chroma counts from C, as MIDI's numbers do
    return Tune(float(tonic), SCALES[mode + 2 * pentatonic], beat), first


def chroma(music: np.ndarray) -> np.ndarray:
    """Return how strong each of the twelve pitch classes is, from C upwards.

    librosa has this, and the onsets below; but its import compiles for half a minute on a new
    machine, in every process that composes.
    """
    spectrum = _magnitudes(music, CHROMA_WINDOW, CHROMA_WINDOW // 4).mean(axis=1)
    hertz = np.fft.rfftfreq(CHROMA_WINDOW, 1 / SAMPLE_RATE)
    tonal = (hertz > 55) & (hertz < 2000)
    classes = np.round(69 + 12 * np.log2(hertz[tonal] / 440)).astype(int) % 12
    return np.bincount(classes, spectrum[tonal] ** 2, 12)


def onset_strength(music: np.ndarray) -> np.ndarray:
    """Return how much louder the spectrum gets, in decibels, every 16 ms; 0 where it does not."""
    magnitudes = _magnitudes(music, 4 * ONSET_HOP, ONSET_HOP)
    decibels = 20 * np.log10(np.maximum(magnitudes, 1e-4 * magnitudes.max()))
    return np.maximum(np.diff(decibels, axis=1, prepend=decibels[:, :1]), 0).mean(axis=0)


def _magnitudes(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Return the spectrogram (bins, frames) of Hann windows centred on every hop."""
    return np.abs(scipy.signal.stft(samples, nperseg=window, noverlap=window - hop)[2])


def sing_over(
    music: np.ndarray, phrases: Sequence[np.ndarray], rng: np.random.Generator, *, ratio_db: float
) -> np.ndarray:
    """Add a singer to music, in its key and on its beat.

    Parameters
    ----------
    music : np.ndarray [shape=(samples,)]
        At 16 kHz.
    phrases : sequence of np.ndarray [shape=(samples,)]
        Speech of one voice at 16 kHz, in [-1, 1].
    rng : np.random.Generator
    ratio_db : float
        The level of the voice where it is sung, above that of the music.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float64]
        Louder than the music: the caller sets the level.
    """
    tune, first_beat = hear(music, rng)
    line = sing_line(len(music), phrases, rng, tune=tune, first_beat=first_beat)
    gain = 10 ** (ratio_db / 20) * np.sqrt(np.mean(np.square(music, dtype=float)))
    return music + gain * line


def play(song: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Play a recording of singing again and again, each time at another tape speed.

    The first time it begins anywhere but in its last quarter of a second.

    Parameters
    ----------
    song : np.ndarray [shape=(samples,)]
        At 16 kHz.
    count : int
        How many samples to fill.
    rng : np.random.Generator

    Returns
    -------
    np.ndarray [shape=(count,), dtype=float64]
        Of RMS 1 each time that it is played to its end, with short pauses between.
    """
    played, at = np.zeros(count), 0
    while at < count:
        sung = scipy.signal.resample(song, max(1, int(len(song) / rng.uniform(*TAPE_SPEEDS))))
        sung = sung / max(np.sqrt(np.mean(np.square(sung, dtype=float))), 1e-4)
        if not at:  # not all begins with a first syllable
            sung = sung[rng.integers(max(1, len(sung) - SHORTEST_SUNG)) :]
        heard = sung[: count - at]
        played[at : at + len(heard)] = heard
        at += len(sung) + int(rng.uniform(*PAUSE_SECONDS) * SAMPLE_RATE)
    return played
