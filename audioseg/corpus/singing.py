"""A synthetic singer: what a voice says, sung. No openly licensed package of songs was found.

Speech becomes song as in Saitou et al., "Speech-to-singing synthesis", WASPAA 2007: vowels are
held as long as a melody's notes, consonants keep their length, and the melody takes the place of
the speech's own pitch. The voice stays: its envelope, by linear prediction (Makhoul, "Linear
prediction: a tutorial review", Proc. IEEE 63, 1975), filters an artificial glottal source.

The samples are the same on every run. To that end the analysis sums integers, what comes out of a
transcendental function is rounded, and nothing goes through an FFT or a matrix product, whose
last bits depend on the processor.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.signal

SAMPLE_RATE = 16_000
HOP_SAMPLES = 80  # 5 ms: melody and vocal tract move at this rate
FRAME_RATE = SAMPLE_RATE // HOP_SAMPLES
WINDOW_SAMPLES, TAIL_SAMPLES = 320, 160  # of synthesis: four windows overlap, filters ring on
LPC_SAMPLES, LPC_ORDER = 480, 18
PITCH_SAMPLES = 640
SHORTEST_LAG, LONGEST_LAG = 40, 230  # 400 to 70 Hz
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
STEPS = (-3, -2, -1, -1, -1, 0, 1, 1, 1, 2, 3)  # melodies mostly walk
BEATS = (0.5, 0.5, 1.0, 1.0, 1.0, 1.5, 2.0)
NOTE_SECONDS = (0.25, 1.5)
# the pitch follows the notes with a small overshoot: Saitou et al., Speech Communication 46, 2005
GLIDE_RADIANS, GLIDE_DAMPING = 34.8, 0.5422
COMBS, ALL_PASSES = (475, 593, 659, 699), (80, 27)  # samples, none a multiple of another


class Note(NamedTuple):
    """One note: semitones above 1 Hz, seconds."""

    semitones: float
    seconds: float


def _frames_of(samples: np.ndarray, size: int) -> np.ndarray:
    """Return the ``size`` samples around every multiple of 5 ms, zeros beyond the ends."""
    padded = np.pad(samples, (size // 2, size // 2 + HOP_SAMPLES))
    count = len(samples) // HOP_SAMPLES + 1
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::HOP_SAMPLES][:count]


def _pitch_of(samples: np.ndarray) -> np.ndarray:
    """Return the pitch every 5 ms in hertz, 0 where there is none, by autocorrelation."""
    margin = PITCH_SAMPLES // 2 + LONGEST_LAG
    starts = np.arange(len(samples) // HOP_SAMPLES + 1) * HOP_SAMPLES + LONGEST_LAG
    padded = np.pad(samples, margin)
    power = np.cumsum(np.concatenate([[0], padded**2]))
    correlation = np.empty((LONGEST_LAG + 1 - SHORTEST_LAG, len(starts)))
    for row, lag in enumerate(range(SHORTEST_LAG, LONGEST_LAG + 1)):
        sums = np.cumsum(np.concatenate([[0], padded[:-lag] * padded[lag:]]))
        first = starts - lag // 2
        last = first + PITCH_SAMPLES
        energies = (power[last] - power[first]) * 1.0 * (power[last + lag] - power[first + lag])
        correlation[row] = (sums[last] - sums[first]) / np.sqrt(np.maximum(energies, 1e10))
    inner = correlation[1:-1]
    # the shortest of the lags that are about as good: every multiple of a period is good
    peak = (inner >= correlation[:-2]) & (inner > correlation[2:])
    good = peak & (inner >= 0.9 * inner.max(axis=0)) & (inner > 0.6)
    energy = power[starts + PITCH_SAMPLES] - power[starts]
    voiced = good.any(axis=0) & (energy * 3000 > energy.max())
    return np.where(voiced, SAMPLE_RATE / (SHORTEST_LAG + 1 + good.argmax(axis=0)), 0.0)


def _vocal_tract_of(samples: np.ndarray) -> np.ndarray:
    """Return an all-pole filter every 5 ms, by Levinson's recursion."""
    # the first difference takes away the slope of the voice's own source
    emphasised = samples - np.rint(0.97 * np.concatenate([[0], samples[:-1]])).astype(np.int64)
    window = np.rint(127 * scipy.signal.windows.hann(LPC_SAMPLES)).astype(np.int64)
    frames = _frames_of(emphasised, LPC_SAMPLES) * window
    lags = np.arange(LPC_ORDER + 1)
    correlation = np.array(
        [(frames[:, : LPC_SAMPLES - lag] * frames[:, lag:]).sum(axis=1) for lag in lags], float
    )
    # 70 Hz wide, so that no filter rings at the pitch of the speech
    correlation *= np.round(np.exp(-0.5 * (2 * np.pi * 70 * lags / SAMPLE_RATE) ** 2), 9)[:, None]
    error = correlation[0] = correlation[0] * 1.0001 + 1e6
    filters = np.zeros_like(correlation)
    filters[0] = 1.0
    for order in range(1, LPC_ORDER + 1):
        reflection = -sum(filters[j] * correlation[order - j] for j in range(order)) / error
        filters[1 : order + 1] += reflection * filters[order - 1 :: -1]
        error = error * (1 - reflection**2)
    return np.round(filters.T, 10)


def _syllables_of(energy: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames in the middle of vowels, and the edges of the syllables around them."""
    smooth = np.convolve(energy, np.ones(9) / 9, "same") * (pitch > 0)
    level = np.round(10 * np.log10(smooth + energy.max() * 1e-4), 3)
    # no two alike: find_peaks sorts them, and what sorting makes of ties depends on the processor
    level += 1e-7 * np.arange(len(level))
    vowels, _ = scipy.signal.find_peaks(np.pad(level, 1), distance=22, prominence=1.5)
    vowels -= 1
    edges = [a + int(np.argmin(level[a:b])) for a, b in itertools.pairwise(vowels)]
    return vowels, np.array([0, *edges, len(energy) - 1])


def _melody(count: int, center: float, rng: np.random.Generator) -> list[list[Note]]:
    """Invent a melody."""
    scale = SCALES[rng.integers(len(SCALES))]
    tonic = center + 4 * rng.random() - 5
    beat = 0.2 + 0.4 * rng.random()
    degree, song = int(rng.integers(-1, 4)), []
    for syllable in range(count):
        notes = []
        for _ in range(1 + int(rng.random() < 0.15)):
            degree += STEPS[rng.integers(len(STEPS))]
            degree = min(max(degree, -len(scale) // 2), len(scale))
            last = syllable == count - 1
            beats = BEATS[rng.integers(len(BEATS))] * (1 + last)
            height = 12 * (degree // len(scale)) + scale[degree % len(scale)]
            notes.append(Note(tonic + height, float(np.clip(beat * beats, *NOTE_SECONDS))))
        song.append(notes)
    return song


def _sung_pitch(notes: list[Note], rng: np.random.Generator) -> np.ndarray:
    """Return the pitch of notes as a singer meets them: glides, vibrato, a little unsteady.

    Vibrato of 5 to 6.5 Hz and 0.3 to 0.7 semitones sets in late on long notes (Sundberg, "The
    Science of the Singing Voice", 1987).
    """
    lengths = [round(note.seconds * FRAME_RATE) for note in notes]
    target = np.repeat([note.semitones for note in notes], lengths)
    spring = [GLIDE_RADIANS**2], [1.0, 2 * GLIDE_DAMPING * GLIDE_RADIANS, GLIDE_RADIANS**2]
    rise, fall = (np.round(side, 10) for side in scipy.signal.bilinear(*spring, FRAME_RATE))
    start = target[0] - 2 * rng.random()  # scooped from below
    semitones = start + scipy.signal.lfilter(rise, fall, target - start)
    rate, depth = 5 + 1.5 * rng.random(), 0.3 + 0.4 * rng.random()
    depth *= rng.random() < 0.7  # the untrained have none
    since = np.concatenate([np.arange(length) for length in lengths]) / FRAME_RATE
    long = np.repeat([note.seconds > 0.45 for note in notes], lengths)
    swing = np.clip((since - 0.2) / 0.3, 0, 1) * long
    semitones += depth * swing * np.sin(2 * np.pi * rate * np.arange(len(since)) / FRAME_RATE)
    flutter = scipy.signal.lfilter([0.05], [1, -0.95], rng.random(len(since)) - 0.5)
    return np.round(np.exp2((semitones + 1.5 * flutter) / 12), 6)


def _glottal_source(pitch: np.ndarray, breath: float, rng: np.random.Generator) -> np.ndarray:
    """Return the flow derivative of Klatt & Klatt (J. Acoust. Soc. Am. 87, 1990), and breath."""
    samples = np.arange(len(pitch) * HOP_SAMPLES)
    hertz = np.interp(samples / HOP_SAMPLES, np.arange(len(pitch)), pitch)
    phase = np.cumsum(np.round(hertz / SAMPLE_RATE, 10)) % 1.0
    opened = np.minimum(phase / (0.5 + 0.2 * rng.random()), 1.0)
    flow = 6.75 * opened * opened * (1 - opened)
    # differences of the exact flow, not samples of its derivative: these alias less
    source = np.diff(flow, prepend=flow[:1]) * SAMPLE_RATE / hertz
    return source + breath * (0.3 + flow) * (rng.random(len(flow)) - 0.5)


def sing(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sing what is said.

    Parameters
    ----------
    speech : np.ndarray [shape=(samples,)]
        Speech of one voice at 16 kHz, in [-1, 1]; a few seconds.
    rng : np.random.Generator
        Decides on melody, rhythm and voice: same state, same samples.

    Returns
    -------
    np.ndarray [shape=(longer,), dtype=float64]
        The song, at the level of the speech. Empty if nothing in the speech can be sung.
    """
    peak = float(np.abs(speech).max(initial=0.0))
    samples = np.rint(np.asarray(speech, float) * (32_000 / max(peak, 1e-9))).astype(np.int64)
    pitch = _pitch_of(samples)
    if not pitch.any():
        return np.zeros(0)
    frames = _frames_of(samples, WINDOW_SAMPLES)
    vowels, edges = _syllables_of((frames**2).sum(axis=1), pitch)
    if not len(vowels):
        return np.zeros(0)
    spoken = float(np.median(pitch[pitch > 0]))
    song = _melody(len(vowels), round(12 * np.log2(spoken), 6) + 5 * rng.random(), rng)
    places, song = _places(vowels, edges, pitch > 0, song)
    source = _glottal_source(_sung_pitch(song, rng), 0.1 + 0.4 * rng.random(), rng)
    window = np.round(scipy.signal.windows.hann(WINDOW_SAMPLES, sym=False), 9)
    spoken_frames = frames * window
    sung_frames = _frames_of(source, WINDOW_SAMPLES) * window
    energies = (spoken_frames**2).sum(axis=1)
    filters = _vocal_tract_of(samples)
    voiced = np.convolve(pitch > 0, np.full(5, 0.2), "same").round(3)
    sung = np.zeros(len(places) * HOP_SAMPLES + WINDOW_SAMPLES + TAIL_SAMPLES)
    tail = np.zeros(TAIL_SAMPLES)
    for turn, place in enumerate(places):
        part = scipy.signal.lfilter([1.0], filters[place], np.append(sung_frames[turn], tail))
        part *= voiced[place] * np.sqrt(energies[place] / max((part**2).sum(), 1e-9))
        part[:WINDOW_SAMPLES] += (1 - voiced[place]) * spoken_frames[place]
        sung[turn * HOP_SAMPLES :][: len(part)] += part
    # four Hann windows sum to 2
    return _reverberated(sung, rng) * (peak / 64_000)


def sung_line(count: int, phrases: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Sing phrases one after the other, with rests between, until the time is filled.

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
    line, at, silent = np.zeros(count), int(rng.random() * 0.5 * SAMPLE_RATE), 0
    for turn in itertools.count():
        if at >= count or silent == len(phrases):
            return line
        song = sing(phrases[turn % len(phrases)], rng)[: count - at]
        silent = 0 if song.any() else silent + 1
        line[at : at + len(song)] = song / max(np.sqrt((song**2).sum() / max(len(song), 1)), 1e-9)
        at += len(song) + int((0.1 + 1.2 * rng.random() ** 2) * SAMPLE_RATE)


def sing_over(
    music: np.ndarray, phrases: Sequence[np.ndarray], rng: np.random.Generator, *, ratio_db: float
) -> np.ndarray:
    """Add a singer to music.

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
    gain = round(10 ** (ratio_db / 20), 9) * np.sqrt((np.asarray(music, float) ** 2).mean())
    return music + gain * sung_line(len(music), phrases, rng)


def _places(
    vowels: np.ndarray, edges: np.ndarray, voiced: np.ndarray, song: list[list[Note]]
) -> tuple[np.ndarray, list[Note]]:
    """Return which spoken frame is sung when, and the notes with the lengths they really have."""
    places, notes = [], []
    for vowel, start, end, of_syllable in zip(vowels, edges[:-1], edges[1:], song, strict=True):
        low = high = vowel
        while low > max(start, vowel - 5) and voiced[low - 1]:
            low -= 1
        while high < min(end - 1, vowel + 5) and voiced[high + 1]:
            high += 1
        wanted = sum(round(note.seconds * FRAME_RATE) for note in of_syllable)
        held = max(wanted - (end - start), 0) + high - low
        places += [
            np.arange(start, low),
            low + np.arange(held) * (high - low) // max(held, 1),
            np.arange(high, end),
        ]
        late = (end - start) - (high - low) + held - wanted
        *earlier, last = of_syllable
        notes += [*earlier, last._replace(seconds=last.seconds + late / FRAME_RATE)]
    return np.concatenate(places), notes


def _reverberated(dry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a voice into a room (Schroeder, "Natural sounding artificial reverberation", 1962)."""
    seconds, wet = 0.3 + 0.9 * rng.random(), 0.02 + 0.1 * rng.random()
    dry = np.append(dry, np.zeros(int(0.3 * SAMPLE_RATE)))
    echoes = np.zeros_like(dry)
    for delay in COMBS:
        echo = dry.copy()
        gain = round(10 ** (-3 * delay / SAMPLE_RATE / seconds), 9)
        for at in range(delay, len(dry), delay):  # blocks: each hears the one before
            echo[at : at + delay] += gain * echo[at - delay : at][: len(dry) - at]
        echoes += echo
    for delay in ALL_PASSES:
        echo = -0.7 * echoes
        echo[delay:] += echoes[:-delay]
        for at in range(delay, len(dry), delay):
            echo[at : at + delay] += 0.7 * echo[at - delay : at][: len(dry) - at]
        echoes = echo
    return dry + wet * echoes
