"""Singers listen to the music beneath them."""

import numpy as np
import pytest

from audioseg.corpus import singing
from vggish.frontend import SAMPLE_RATE
from vggish.mini.singing import sing_line


def chords(tonic, steps, beat, seconds=24.0):
    """Triads on the steps of a key, struck on every beat."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    bars = (time // (4 * beat)).astype(int)
    music = np.zeros_like(time)
    for bar in range(bars.max() + 1):
        here = bars == bar
        for semitone in steps[bar % len(steps)]:
            hertz = 440 * 2 ** ((tonic + semitone - 69) / 12)
            music[here] += sum(np.sin(2 * np.pi * hertz * k * time[here]) / k for k in (1, 2, 3))
    struck = np.exp(-6 * (time % beat))
    return 0.05 * music * struck


MAJOR = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))
MINOR = ((0, 3, 7), (5, 8, 12), (0, 3, 7), (7, 10, 14))


def speech(seconds=3.0, pitch=140.0):
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pulses = np.diff(np.floor(np.cumsum(pitch * (1 + 0.1 * np.sin(9 * time))) / SAMPLE_RATE))
    ring = np.exp(-0.012 * np.arange(400)) * np.cos(0.27 * np.arange(400))
    vowel = np.convolve(np.append(0, pulses), ring)[: len(time)]
    return 0.15 * np.clip(1.5 * np.sin(2 * np.pi * 2.5 * time), 0, 1) * vowel


@pytest.mark.parametrize("tonic", [60, 57, 65])
@pytest.mark.parametrize("steps", [MAJOR, MINOR], ids=["major", "minor"])
def test_key_and_beat_are_heard(tonic, steps):
    tune, first = singing.hear(chords(tonic, steps, 0.6), np.random.default_rng(0))
    assert round(tune.tonic) % 12 == tonic % 12
    assert (4 if steps is MAJOR else 3) in tune.scale
    assert tune.beat == pytest.approx(0.6, rel=0.05)
    # on a beat, or between two where the tracker hears eighths
    assert min(first % 0.3, 0.3 - first % 0.3) < 0.08


@pytest.mark.parametrize("seconds", [0.0, 0.3, 3.0])
def test_silence_has_a_drawn_tune(seconds):
    tune, first = singing.hear(np.zeros(int(seconds * SAMPLE_RATE)), np.random.default_rng(0))
    assert singing.BEATS_SECONDS[0] <= tune.beat <= 1.0
    assert first == 0


def test_what_is_sung_over_music_lies_in_its_key():
    import pyworld

    music = chords(60, MAJOR, 0.6)
    off = []
    for seed in range(4):
        both = singing.sing_over(music, [speech()], np.random.default_rng(seed), ratio_db=6)
        voice = np.ascontiguousarray(both - music)
        pitch = pyworld.harvest(voice, SAMPLE_RATE, f0_ceil=1200)[0]
        semitones = 69 + 12 * np.log2(pitch[pitch > 0] / 440) - 60
        off.append(np.abs(semitones[:, None] - [-24, *np.array(MAJOR).ravel() % 12]) % 12)
    near = np.concatenate([np.minimum(o, 12 - o).min(axis=1) for o in off])
    # glides, vibrato and the sixth are elsewhere; drawn at random, under 0.55 would be near
    assert np.mean(near < 0.5) > 0.75


def test_a_singer_over_music_leaves_the_music_and_keeps_the_ratio():
    music = np.random.default_rng(0).random(5 * SAMPLE_RATE) - 0.5
    songs = [
        singing.sing_over(music, [speech()], np.random.default_rng(4), ratio_db=ratio) - music
        for ratio in (0.0, 6.0)
    ]
    assert len(songs[0]) == len(music)
    assert songs[0].std() > 0.3 * music.std()
    assert np.allclose(songs[1], songs[0] * 10 ** (6 / 20))


def test_the_same_seed_sings_the_same_line_and_silence_none():
    first, second = (
        sing_line(6 * SAMPLE_RATE, [speech()], np.random.default_rng(7)) for _ in range(2)
    )
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-9)
    assert first.any()
    assert not sing_line(5000, [np.zeros(8000)], np.random.default_rng(0)).any()
