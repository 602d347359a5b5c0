"""Singers for the corpus: voices of its prompts that sing, alone or to music.

The voice is :mod:`vggish.mini.singing`'s. Here it listens to the music: its key, by the chroma
profiles of Krumhansl, "Cognitive Foundations of Musical Pitch", 1990, and its beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import librosa
import numpy as np

from vggish.frontend import SAMPLE_RATE
from vggish.mini.singing import SCALES, Tune, random_tune, sing_line
from vggish.mini.voice import lively

__all__ = ["hear", "lively", "sing_over", "sung_line"]

MAJOR, MINOR = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)
BEAT_SECONDS = (0.4, 0.9)  # faster and slower ones are halves and doubles
ONSET_HOP, BEAT_PLACES = 256, 24


def hear(music: np.ndarray, rng: np.random.Generator) -> tuple[Tune, float]:
    """Find what a singer needs to know of music: its key and its beat.

    Parameters
    ----------
    music : np.ndarray [shape=(samples,)]
        16 kHz; one minute of it is analysed.
    rng : np.random.Generator
        Draws the tempo where no beat is heard, and between five notes and seven.

    Returns
    -------
    tune : Tune
        The key and the beat.
    first_beat : float
        When the first beat is, in seconds.
    """
    drawn, pentatonic = random_tune(rng), rng.random() < 0.3
    heard = np.asarray(music[: 60 * SAMPLE_RATE], np.float32)
    if len(heard) < SAMPLE_RATE or np.ptp(heard) < 1e-6:
        return drawn, 0.0
    # librosa's own tuning and beat tracker are compiled by numba, which takes longer than all songs
    chroma = librosa.feature.chroma_stft(
        y=heard, sr=SAMPLE_RATE, n_fft=4096, hop_length=1024, tuning=0.0
    ).mean(axis=1)
    likeness = np.array(
        [[np.corrcoef(np.roll(chroma, -k), p)[0, 1] for k in range(12)] for p in (MAJOR, MINOR)]
    )
    mode, tonic = np.unravel_index(np.argmax(np.nan_to_num(likeness)), likeness.shape)
    strength = librosa.onset.onset_strength(y=heard, sr=SAMPLE_RATE, hop_length=ONSET_HOP)
    beat, first = drawn.beat, 0.0
    if strength.any():
        (tempo,) = librosa.feature.tempo(
            onset_envelope=strength, sr=SAMPLE_RATE, hop_length=ONSET_HOP
        )
        beat = 60 / tempo
        while beat < BEAT_SECONDS[0]:
            beat *= 2
        while beat > BEAT_SECONDS[1]:
            beat /= 2
        # onsets a beat apart, laid upon each other, pile up on the beat. The tempo is as fine as
        # its grid; of those about it, the one with the highest pile does not drift off
        frames = np.arange(len(strength)) * ONSET_HOP / SAMPLE_RATE
        beats = beat * np.linspace(0.97, 1.03, 61)
        piles = [
            np.bincount((frames % b / b * BEAT_PLACES).astype(int), strength, BEAT_PLACES)
            for b in beats
        ]
        best = int(np.argmax([pile.max() for pile in piles]))
        beat = float(beats[best])
        first = beat * float(piles[best].argmax()) / BEAT_PLACES
    # chroma counts from C, as MIDI's numbers do
    return Tune(float(tonic), SCALES[mode + 2 * pentatonic], beat), first


def sung_line(count: int, phrases: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Sing phrases without accompaniment, with rests between, until the time is filled.

    Parameters
    ----------
    count : int
        How many samples.
    phrases : sequence of np.ndarray [shape=(samples,)]
        Speech of one voice at 16 kHz, in [-1, 1].
    rng : np.random.Generator

    Returns
    -------
    np.ndarray [shape=(count,), dtype=float64]
        The line, of RMS 1 where it is sung; zeros if nothing in the phrases can be sung.
    """
    return sing_line(count, phrases, rng)


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
