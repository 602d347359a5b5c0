"""The synthetic singer, heard by a pitch tracker; lively speech."""

import numpy as np
import pytest
import pyworld
from hypothesis import given, settings
from hypothesis import strategies as st

from vggish.frontend import SAMPLE_RATE
from vggish.mini import singing
from vggish.mini.singing import Note, Singer, Tune
from vggish.mini.voice import FRAME_SAMPLES, _analyse, analyse, lively, room

TUNE = Tune(3.0, (0, 2, 4, 5, 7, 9, 11), 0.5)
PLAIN = Singer("plain", 1.0, 0.0, 0.0, 0.5, 0.6, 0.2, 0.0, 1)


def spoken(seconds=3.0, pitch=140.0):
    """Vowels of 0.25 s with noise between: a pulse train through two resonances."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pulses = np.diff(np.floor(np.cumsum(pitch * (1 + 0.1 * np.sin(9 * time))) / SAMPLE_RATE))
    ring = np.exp(-0.012 * np.arange(400))
    ring *= np.cos(0.27 * np.arange(400)) + 0.5 * np.cos(0.6 * np.arange(400))
    vowel = np.convolve(np.append(0, pulses), ring)[: len(time)]
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(time))
    syllable = np.clip(1.5 * np.sin(2 * np.pi * 2.5 * time), 0, 1)
    return 0.15 * syllable * vowel + noise * (1 - syllable)


def pitch_of(samples):
    """Hertz every 5 ms, 0 where there is none, by another tracker than the singer's ear."""
    return pyworld.harvest(np.ascontiguousarray(samples), SAMPLE_RATE, f0_ceil=1200)[0]


@pytest.mark.parametrize("style", ["plain", "pop", "classical", "vowel", "humming", "shouted"])
def test_what_is_sung_has_the_pitch_of_the_melody_within_a_quarter_tone(style):
    voice = analyse(spoken())
    tune = singing.octave_for(voice, TUNE, np.random.default_rng(0))
    line = [[Note(d, 0.6)] for d in (0, 4, 2, 1, 0)]
    singer = PLAIN._replace(style=style)
    heard = pitch_of(singing.perform(voice, singer, line, tune, np.random.default_rng(1)))
    for turn, notes in enumerate(line):
        # its middle: beyond the glide from the note before, before the next consonant
        frames = heard[120 * turn + 36 : 120 * turn + 96]
        semitones = 69 + 12 * np.log2(np.median(frames[frames > 0]) / 440)
        assert (frames > 0).mean() > 0.7
        assert semitones == pytest.approx(tune.height(notes[0].degree), abs=0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**32), st.floats(0.3, 1.2))
def test_melodies_keep_to_the_scale_end_at_rest_and_never_hurry(syllables, seed, beat):
    rng = np.random.default_rng(seed)
    tune = singing.random_tune(rng)._replace(beat=beat)
    line = singing.melody(syllables, tune, rng)
    assert len(line) == syllables
    for note in (note for notes in line for note in notes):
        assert singing.SHORTEST_NOTE <= note.seconds <= 3.0
        above = tune.height(note.degree) - tune.tonic
        assert any(abs(above - s - 12 * o) < 1e-9 for s in tune.scale for o in (-1, 0, 1, 2))
    assert tune.scale[line[-1][-1].degree % len(tune.scale)] in (0, 3, 4, 7)


def test_a_song_lasts_as_long_as_its_notes():
    voice = analyse(spoken())
    line = [[Note(0, 0.5)], [Note(1, 0.25), Note(2, 0.75)]]
    sung = singing.perform(voice, PLAIN, line, TUNE._replace(tonic=45), np.random.default_rng(0))
    assert len(sung) == pytest.approx(1.5 * SAMPLE_RATE, abs=FRAME_SAMPLES)


def test_syllables_are_sung_more_evenly_than_they_are_spoken():
    speech = spoken() * np.repeat([1.0, 0.2, 1.0, 0.2, 1.0, 0.2], SAMPLE_RATE // 2)
    voice = analyse(speech)
    line = [[Note(0, 0.5)] for _ in singing._syllables(voice)]
    spread = []
    for evenness in (0.0, 0.9):
        singer = PLAIN._replace(evenness=evenness, breath=0.1)
        sung = singing.perform(
            voice, singer, line, TUNE._replace(tonic=45), np.random.default_rng(0)
        )
        spread.append(np.std([20 * np.log10(np.std(s)) for s in np.array_split(sung, len(line))]))
    assert spread[1] < 0.5 * spread[0]


@pytest.mark.parametrize("style", singing.STYLES)
@pytest.mark.parametrize("voices", [1, 2, 4])
def test_every_style_is_finite_of_one_level_and_repeatable(style, voices):
    rng = np.random.default_rng(voices)
    singer = singing.random_singer(rng, voices=voices)
    while singer.style != style:
        singer = singing.random_singer(rng, voices=voices)
    songs = []
    for _ in range(2):
        songs.append(singing.sing(spoken(), np.random.default_rng(5), singer=singer, tune=TUNE))
        _analyse.cache_clear()
    assert np.sqrt(np.mean(songs[0] ** 2)) == pytest.approx(1)
    assert np.abs(songs[0]).max() < 12
    np.testing.assert_allclose(songs[0], songs[1], rtol=0, atol=1e-9)


def test_a_song_is_sung_no_longer_than_it_is_heard():
    whole, part = (
        singing.sing(spoken(6), np.random.default_rng(1), singer=PLAIN, tune=TUNE, longest=longest)
        for longest in (np.inf, 1.0)
    )
    # the last note may go on, and notes are rounded to frames
    assert SAMPLE_RATE - 14 * FRAME_SAMPLES < len(part) < 5 * SAMPLE_RATE < len(whole)


def test_another_seed_another_song():
    first, second = (singing.sing(spoken(), np.random.default_rng(seed)) for seed in (1, 2))
    assert len(first) != len(second) or not np.allclose(first, second)


NOTHING = {
    "empty": np.zeros(0),
    "short": np.ones(100),
    "silence": np.zeros(SAMPLE_RATE),
    "constant": np.full(SAMPLE_RATE, 0.2),
    "white": 0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE),
    "brown": 1e-3 * np.cumsum(np.random.default_rng(1).standard_normal(2 * SAMPLE_RATE)),
    "clicks": np.eye(1, 2 * SAMPLE_RATE, 5000)[0],
}


@pytest.mark.parametrize("name", NOTHING)
def test_silence_and_noise_sing_nothing_and_stay_as_they_are(name):
    nothing = NOTHING[name]
    assert not len(singing.sing(nothing, np.random.default_rng(0)))
    assert not singing.sing_line(5000, [nothing], np.random.default_rng(0)).any()
    np.testing.assert_array_equal(lively(nothing, np.random.default_rng(0)), nothing)


def test_a_line_fills_its_time_begins_on_beats_and_has_one_level():
    dry = np.random.default_rng(0)
    line = singing.sing_line(20 * SAMPLE_RATE, [spoken()], dry, singer=PLAIN, tune=TUNE)
    assert line.shape == (20 * SAMPLE_RATE,)
    first = np.flatnonzero(line)[0] / SAMPLE_RATE / TUNE.beat
    assert first == pytest.approx(round(first), abs=0.01)
    assert np.sqrt(np.mean(line[line != 0] ** 2)) == pytest.approx(1, abs=0.15)
    assert not singing.sing_line(0, [spoken()], dry).size
    assert not singing.sing_line(1000, [], dry).any()


def test_a_room_rings_on_and_keeps_the_length():
    click = np.eye(1, SAMPLE_RATE, 1000)[0]
    heard = room(click, 0.5, 0.5, np.random.default_rng(0))
    assert len(heard) == len(click)
    assert heard[1000] == pytest.approx(1, abs=1e-9)
    assert np.sum(heard[1001:] ** 2) == pytest.approx(0.25, rel=1e-6)
    early, late = (np.sum(heard[a : a + 800] ** 2) for a in (1200, 5200))
    # a quarter of a second later: half of the 60 dB
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=3)


def test_lively_speech_keeps_its_level_moves_its_pitch_and_never_holds_it():
    speech = spoken()
    seen = []
    for seed in range(8):
        said = lively(speech, np.random.default_rng(seed))
        assert 0.65 < len(said) / len(speech) < 1.55
        assert np.std(said) == pytest.approx(np.std(speech), rel=0.02)
        pitch, times = pyworld.dio(said, SAMPLE_RATE, f0_ceil=1000)
        pitch = pyworld.stonemask(said, pitch, times, SAMPLE_RATE)
        voiced = pitch[pitch > 0]
        seen.append(np.median(voiced) if np.mean(pitch > 0) > 0.2 else 0.0)
        # 0.3 s within a quarter tone would be a note
        runs = np.lib.stride_tricks.sliding_window_view(voiced, 60) if len(voiced) > 60 else []
        held = [np.ptp(12 * np.log2(run)) < 0.5 for run in runs]
        assert not held or np.mean(held) < 0.2
    np.testing.assert_allclose(said, lively(speech, np.random.default_rng(7)), rtol=0, atol=1e-9)
    raised = [pitch for pitch in seen if pitch]
    assert max(raised) > 1.3 * min(raised)
