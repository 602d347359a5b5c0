"""A synthetic singer, which sings what a voice says; we found no songs under an open licence.

Speech becomes song as in Saitou et al., "Speech-to-singing synthesis", WASPAA 2007: vowels are
held as long as a melody's notes, consonants keep their length, and the melody takes the place of
the speech's own pitch. The voice stays: its envelope and its breath, taken apart and put together
by the vocoder WORLD (Morise et al., IEICE Trans. Inf. & Syst. E99-D, 2016).

Every function is pure: the same samples and the same state of the random generator give the same
result, to within rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.signal

from vggish.frontend import SAMPLE_RATE
from vggish.mini.voice import (
    FRAME_RATE,
    Voice,
    analyse,
    between,
    coloured,
    level,
    room,
    synthesize,
)

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
STEPS = (-3, -2, -1, -1, -1, 0, 0, 1, 1, 1, 2, 3)  # melodies mostly walk
BEATS = (0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.5, 2.0)
SHORTEST_NOTE = 0.2  # s: what changes faster is spoken
MOST_SYLLABLES = 14  # in one breath
# the pitch follows the notes with a small overshoot: Saitou et al., Speech Communication 46, 2005
GLIDE_RADIANS, GLIDE_DAMPING = 34.8, 0.5422
STYLES = {
    "plain": 0.24,
    "pop": 0.22,
    "classical": 0.18,
    "breathy": 0.08,
    "shouted": 0.14,
    "vowel": 0.08,  # "ah" all the way
    "humming": 0.06,
}


class Tune(NamedTuple):
    """The frame of a melody: a tonic in semitones (MIDI numbers), a scale, seconds per beat."""

    tonic: float
    scale: tuple[int, ...]
    beat: float

    def height(self, degree: int) -> float:
        """Return the semitones of a degree of the scale, 0 the tonic."""
        octave, step = divmod(degree, len(self.scale))
        return self.tonic + 12 * octave + self.scale[step]


class Note(NamedTuple):
    """One note: a degree of the scale, and seconds."""

    degree: int
    seconds: float


class Singer(NamedTuple):
    """How somebody sings."""

    style: str
    size: float  # of the vocal tract: formants lie lower by this factor
    ring_db: float  # the singer's formant near 3 kHz (Sundberg, 1974)
    tilt_db: float  # more of the high frequencies, at 8 kHz
    breath: float  # times the speech's own
    evenness: float  # 0: the syllables as loud as spoken, 1: all alike
    vibrato: float  # semitones
    drive: float  # 0: none; a microphone or a throat that is too loud for its own good
    voices: int


def random_tune(rng: np.random.Generator) -> Tune:
    """Draw a key and a tempo of 60 to 140 beats a minute."""
    scale = SCALES[rng.integers(len(SCALES))]
    return Tune(12 * rng.random(), scale, 60 / rng.uniform(60, 140))


def random_singer(rng: np.random.Generator, *, voices: int | None = None) -> Singer:
    """Draw a singer, or several who sing together: ``voices``, by default in a third of draws."""
    style = str(rng.choice(list(STYLES), p=list(STYLES.values())))
    drawn = 1 if rng.random() < 0.65 else int(rng.choice([2, 2, 3, 4, 6]))
    ring, tilt, vibrato = 8 * rng.random() ** 2, rng.uniform(-4, 4), rng.uniform(0, 0.4)
    breath, evenness = rng.uniform(0.3, 1.0), rng.uniform(0.4, 0.8)
    drive = rng.uniform(1, 3) if rng.random() < 0.15 else 0.0
    if style == "classical":
        ring, vibrato, breath = rng.uniform(6, 14), rng.uniform(0.4, 1.0), 0.4 * breath
        evenness = rng.uniform(0.6, 0.95)
    elif style == "pop":
        vibrato = rng.uniform(0.2, 0.6)
    elif style == "breathy":
        breath, tilt = rng.uniform(1.5, 3), tilt - 3
    elif style == "shouted":
        tilt, drive, evenness = rng.uniform(4, 12), rng.uniform(2, 9), rng.uniform(0.5, 0.9)
    size = 2 ** rng.uniform(-0.2, 0.2)
    return Singer(style, size, ring, tilt, breath, evenness, vibrato, drive, voices or drawn)


# -- what is in the speech


def _syllables(voice: Voice) -> list[tuple[int, int, int, int]]:
    """Return start, vowel's start, vowel's end and end of each syllable, in frames."""
    power = voice.envelope.sum(axis=1) * (voice.pitch > 0)
    level = 10 * np.log10(np.convolve(power, np.hanning(7), "same") + power.max() * 1e-4)
    vowels = scipy.signal.find_peaks(np.pad(level, 1), distance=11, prominence=1.5)[0] - 1
    edges = [a + int(np.argmin(level[a:b])) for a, b in itertools.pairwise(vowels)]
    syllables = []
    for vowel, start, end in zip(vowels, [0, *edges], [*edges, len(level) - 1], strict=True):
        open_ = (voice.pitch > 0) & (level > level[vowel] - 8)
        low = high = vowel
        while low > max(start, vowel - 6) and open_[low - 1]:
            low -= 1
        while high < min(end, vowel + 8) and open_[high + 1]:
            high += 1
        if high - low >= 2:
            # not the pause before it, nor that after it
            syllables.append((max(start, low - 12), low, high, min(end, high + 7)))
    return syllables


# -- what is sung to it


def melody(syllables: int, tune: Tune, rng: np.random.Generator) -> list[list[Note]]:
    """Invent a line: one note to a syllable, now and then two or three, the last one long."""
    top = len(tune.scale)
    degree, line = int(rng.integers(0, top)), []
    slow = rng.choice([1.0, 1.0, 2.0])
    for syllable in range(syllables):
        last = syllable == syllables - 1
        notes = []
        for _ in range(1 + int(rng.random() < 0.18) + int(rng.random() < 0.06)):
            degree = int(np.clip(degree + STEPS[rng.integers(len(STEPS))], -3, top + 1))
            beats = slow * BEATS[rng.integers(len(BEATS))]
            if last:
                beats += rng.integers(1, 4)
            seconds = tune.beat * beats
            while seconds < SHORTEST_NOTE:
                seconds *= 2
            notes.append(Note(degree, min(seconds, 3.0)))
        line.append(notes)
    # lines end at rest: on the tonic, its third or its fifth
    rest = [d for d in range(-3, top + 2) if tune.scale[d % top] in (0, 3, 4, 7)]
    if line:
        nearest = min(rest, key=lambda d: abs(d - line[-1][-1].degree))
        line[-1][-1] = line[-1][-1]._replace(degree=nearest)
    return line


def octave_for(voice: Voice, tune: Tune, rng: np.random.Generator) -> Tune:
    """Move a tune by octaves to where a voice sings: a little higher than it speaks."""
    spoken = 69 + 12 * np.log2(np.median(voice.pitch[voice.pitch > 0]) / 440)
    wanted = np.clip(spoken + rng.uniform(-4, 8), 40, 65)  # 82 to 350 Hz; lines go above it
    return tune._replace(tonic=tune.tonic + 12 * round((wanted - tune.tonic) / 12))


def sung_pitch(
    notes: Sequence[Note], tune: Tune, vibrato: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the pitch of notes as a singer meets them: glides, vibrato, a little unsteady.

    Vibrato of 4.8 to 6.8 Hz sets in late on long notes (Sundberg, "The Science of the Singing
    Voice", 1987).

    Returns
    -------
    np.ndarray [shape=(frames,)]
        Hertz, every 10 ms.
    """
    lengths = [frames_of(note) for note in notes]
    heights = [tune.height(note.degree) + 0.08 * rng.standard_normal() for note in notes]
    target = np.repeat(heights, lengths)
    spring = [GLIDE_RADIANS**2], [1.0, 2 * GLIDE_DAMPING * GLIDE_RADIANS, GLIDE_RADIANS**2]
    start = target[0] - 2.5 * rng.random()  # scooped from below
    semitones = start + scipy.signal.lfilter(
        *scipy.signal.bilinear(*spring, FRAME_RATE), target - start
    )
    since = np.concatenate([np.arange(length) for length in lengths]) / FRAME_RATE
    swing = np.clip((since - 0.15) / 0.3, 0, 1)
    rate = rng.uniform(4.8, 6.8)
    semitones += vibrato * swing * np.sin(2 * np.pi * rate * np.arange(len(since)) / FRAME_RATE)
    flutter = scipy.signal.lfilter([0.07], [1, -0.9], rng.standard_normal(len(since)))
    return 440 * 2 ** ((semitones + 0.4 * flutter - 69) / 12)


def frames_of(note: Note) -> int:
    """Return how many frames a note lasts."""
    return round(note.seconds * FRAME_RATE)


def _places(syllables: Sequence[tuple], line: Sequence[Sequence[Note]]) -> np.ndarray:
    """Return the spoken frame for each sung one: vowels are held, consonants keep their length."""
    places = []
    for (start, low, high, end), notes in zip(syllables, line, strict=True):
        wanted = sum(map(frames_of, notes))
        onset, coda = (min(length, wanted // 4) for length in (low - start, end - high))
        places += [
            np.linspace(start, low, onset, endpoint=False),
            np.linspace(low, high, wanted - onset - coda, endpoint=False),
            np.linspace(high, end, coda),
        ]
    return np.concatenate(places)


# -- the voice


def perform(
    voice: Voice,
    singer: Singer,
    line: Sequence[Sequence[Note]],
    tune: Tune,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sing a line with the syllables of a voice, one after the other.

    Parameters
    ----------
    voice : Voice
        Of at least as many syllables as the line has groups of notes.
    singer : Singer
        One voice of it.
    line : sequence of sequences of Note
        Notes of each syllable.
    tune : Tune
    rng : np.random.Generator

    Returns
    -------
    np.ndarray [shape=(samples,)]
        As long as the notes.
    """
    syllables = _syllables(voice)[: len(line)]
    places = _places(syllables, line)
    pitch = sung_pitch([n for notes in line for n in notes], tune, singer.vibrato, rng)
    voiced = between((voice.pitch > 0).astype(float)[:, None], places)[:, 0] > 0.5
    logs = coloured(voice.envelope, singer.size, singer.tilt_db, singer.ring_db)
    breath = voice.breath
    if singer.style in ("vowel", "humming"):
        lengths = [end - start for _, start, end, _ in syllables]
        _, low, high, _ = syllables[int(np.argmax(lengths))]
        hertz = np.linspace(0, SAMPLE_RATE / 2, logs.shape[1])
        # the lips are closed: little above the first formant
        closed = -14 * np.log2(np.maximum(hertz, 350) / 350) if singer.style == "humming" else 0
        still = logs[low:high].mean(axis=0) + np.log(10) / 10 * closed
        logs = still + 0.25 * (between(logs, places) - logs[low:high].mean(axis=0))
        logs = np.where(voiced[:, None], logs, still)
        breath = np.tile(breath[low:high].mean(axis=0), (len(places), 1))
        voiced = np.ones(len(places), bool)
    else:
        logs, breath = between(logs, places), between(breath, places)
    breath = np.where(voiced[:, None], breath * singer.breath, breath)
    # singers sustain: the levels of syllables are evened out, consonants move with their vowels
    level = np.log(np.exp(logs).sum(axis=1))
    sung = np.flatnonzero(voiced)
    gain = np.interp(np.arange(len(level)), sung, np.median(level[sung]) - level[sung])
    swell = np.cumsum(rng.standard_normal(len(level))) * 0.014
    gain = np.clip(singer.evenness * gain, -4, 4) + np.clip(swell, -0.8, 0.8)
    logs = logs + np.convolve(np.pad(gain, 3, "edge"), np.full(7, 1 / 7), "valid")[:, None]
    sound = synthesize(pitch * voiced, logs, breath)
    fade = min(480, len(sound) // 4)
    sound[:fade] *= np.linspace(0, 1, fade)
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade)
    return sound


def sing(
    speech: np.ndarray,
    rng: np.random.Generator,
    *,
    singer: Singer | None = None,
    tune: Tune | None = None,
    longest: float = np.inf,
) -> np.ndarray:
    """Sing speech.

    Parameters
    ----------
    speech : np.ndarray [shape=(samples,)]
        Speech of one voice at 16 kHz, in [-1, 1]; a few seconds. Of more syllables than one breath
        holds, the first 14 are sung.
    rng : np.random.Generator
        Decides on the melody and on what is not given.
    singer : Singer, optional
    tune : Tune, optional
        The melody keeps to its key and its beat, in the octave that suits the voice.
    longest : float
        Seconds after which no syllable begins.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float64]
        The song, of RMS 1, without a room. Empty if nothing in the speech can be sung.
    """
    # a generator of its own: what is drawn later does not depend on what is heard here
    rng = np.random.default_rng(rng.integers(2**63))
    singer, tune = singer or random_singer(rng), tune or random_tune(rng)
    voice = analyse(speech)
    syllables = _syllables(voice)[:MOST_SYLLABLES] if len(voice.pitch) else []
    if not syllables:
        return np.zeros(0)
    tune = octave_for(voice, tune, rng)
    line = melody(len(syllables), tune, rng)
    begins = np.cumsum([0, *(sum(map(frames_of, notes)) for notes in line[:-1])])
    line = line[: max(1, int(np.sum(begins < longest * FRAME_RATE)))]
    sound = level(perform(voice, singer, line, tune, rng))
    for _ in range(singer.voices - 1):
        # others of the choir: other throats, a little late, now and then in thirds or octaves
        other = singer._replace(
            size=singer.size * 2 ** rng.uniform(-0.12, 0.12),
            vibrato=singer.vibrato * rng.uniform(0.5, 1.2),
        )
        apart = int(rng.choice([0, 0, 0, 2, len(tune.scale), -len(tune.scale)]))
        if singer.voices == 2:
            apart = int(rng.choice([0, 0, 2]))  # a doubled voice, or a second one
        theirs = [[n._replace(degree=n.degree + apart) for n in notes] for notes in line]
        late = int(rng.uniform(0, 0.04) * SAMPLE_RATE)
        part = level(perform(voice, other, theirs, tune, rng))[: len(sound) - late]
        sound[late : late + len(part)] += rng.uniform(0.4, 1) * part
    # without a drive, only plosives that would dwarf the vowels are held back
    drive = singer.drive or 0.2
    return level(np.tanh(drive * level(sound)))


def sing_line(
    count: int,
    phrases: Sequence[np.ndarray],
    rng: np.random.Generator,
    *,
    singer: Singer | None = None,
    tune: Tune | None = None,
    first_beat: float = 0.0,
) -> np.ndarray:
    """Sing phrases one after the other, with rests between, until the time is filled.

    Parameters
    ----------
    count : int
        How many samples.
    phrases : sequence of np.ndarray [shape=(samples,)]
        Speech of one voice at 16 kHz, in [-1, 1].
    rng : np.random.Generator
    singer : Singer, optional
    tune : Tune, optional
    first_beat : float
        When a beat is, in seconds: phrases begin on it, or whole beats later.

    Returns
    -------
    np.ndarray [shape=(count,), dtype=float64]
        The line in its room, of RMS 1 where it is sung; zeros if nothing can be sung.
    """
    singer, tune = singer or random_singer(rng), tune or random_tune(rng)
    space = rng.uniform(0.3, 2.0), 0.6 * rng.random() ** 1.5
    line, unheard = np.zeros(count), 0
    at = first_beat % tune.beat + tune.beat * rng.integers(0, 3)
    for turn in itertools.count():
        start = round(at * SAMPLE_RATE)
        if start >= count or unheard >= len(phrases):
            break
        left = (count - start) / SAMPLE_RATE
        song = sing(phrases[turn % len(phrases)], rng, singer=singer, tune=tune, longest=left)
        unheard = 0 if len(song) else unheard + 1
        line[start : start + len(song)] = song[: count - start]
        rest = int(rng.choice([0, 1, 1, 2, 4], p=[0.35, 0.25, 0.15, 0.15, 0.1]))
        sung_beats = int(np.ceil(len(song) / SAMPLE_RATE / tune.beat - 0.05))
        at += tune.beat * (sung_beats + rest * bool(len(song)))
    sung = line != 0
    if not sung.any():
        return line
    line = room(line, *space, rng)
    return line / np.sqrt(np.mean(line[sung] ** 2))
