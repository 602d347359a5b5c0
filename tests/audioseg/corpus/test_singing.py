import numpy as np
import pytest

from audioseg.corpus import singing
from audioseg.corpus.singing import SAMPLE_RATE, Note


def spoken(seconds=2.0, pitch=150.0):
    """Vowels of 0.2 s with noise between: a pulse train through two resonances."""
    count = int(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    pulses = np.diff(np.floor(time * pitch), prepend=0.0)
    vowel = np.convolve(pulses, np.exp(-0.01 * np.arange(400)) * np.cos(0.27 * np.arange(400)))
    noise = 0.05 * (np.random.default_rng(0).random(count) - 0.5)
    syllable = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, None)
    return 0.2 * syllable * vowel[:count] + noise * (1 - syllable)


def test_the_same_seed_sings_the_same_song_and_another_seed_another():
    songs = [singing.sing(spoken(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(songs[0], songs[1])
    assert len(songs[0]) != len(songs[2]) or not np.array_equal(songs[0], songs[2])


def test_a_song_lasts_longer_at_about_the_level_of_the_speech():
    speech = spoken()
    song = singing.sing(speech, np.random.default_rng(3))
    assert len(song) > len(speech)
    assert np.isfinite(song).all()
    level = 20 * np.log10(song.std() / speech.std())
    assert -6 < level < 10


@pytest.mark.parametrize("hertz", [90.0, 150.0, 320.0])
def test_pitch_is_found(hertz):
    samples = np.rint(20_000 * spoken(pitch=hertz) / 0.3).astype(np.int64)
    pitch = singing._pitch_of(samples)
    assert np.median(pitch[pitch > 0]) == pytest.approx(hertz, rel=0.03)


def test_silence_and_noise_cannot_be_sung():
    rng = np.random.default_rng(0)
    for nothing in (np.zeros(0), np.zeros(8000), rng.random(8000) - 0.5):
        assert not len(singing.sing(nothing, rng))
    assert not singing.sung_line(5000, [np.zeros(8000)], rng).any()


def test_the_pitch_meets_its_notes_and_its_length():
    notes = [Note(90.0, 1.0), Note(97.0, 0.3), Note(85.0, 1.5)]
    pitch = singing._sung_pitch(notes, np.random.default_rng(5))
    assert len(pitch) == round(2.8 * singing.FRAME_RATE)
    semitones = 12 * np.log2(pitch)
    for start, end, height in ((0.3, 1.0, 90.0), (1.7, 2.8, 85.0)):
        part = semitones[int(start * 200) : int(end * 200)]
        assert np.median(part) == pytest.approx(height, abs=0.5)


def test_what_is_sung_has_the_pitch_of_the_melody():
    source = singing._glottal_source(np.full(200, 220.0), 0.1, np.random.default_rng(0))
    strength = np.abs(np.fft.rfft(source))
    assert np.argmax(strength) == pytest.approx(220, abs=1)


def test_a_singer_over_music_leaves_the_music_and_keeps_the_ratio():
    music = np.random.default_rng(0).random(5 * SAMPLE_RATE) - 0.5
    songs = [
        singing.sing_over(music, [spoken()], np.random.default_rng(4), ratio_db=ratio) - music
        for ratio in (0.0, 6.0)
    ]
    assert len(songs[0]) == len(music)
    assert songs[0].std() > 0.3 * music.std()
    assert np.allclose(songs[1], songs[0] * 10 ** (6 / 20))
