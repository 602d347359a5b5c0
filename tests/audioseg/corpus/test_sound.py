"""From a source to samples."""

import numpy as np
import pytest
import soundfile
from small_corpus import RATE

from audioseg.corpus import plan, sound
from audioseg.corpus.sound import CorpusError


def tone(hertz, seconds):
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


def recording_of(*segments, gain_db=0.0):
    recording = {
        "recording": "r", "split": "TRN", "seed": [3], "floor_db": -90.0, "gain_db": gain_db,
        "narrow_hertz": 0, "codec": "none", "segments": list(segments),
    }  # fmt: skip
    plan.lay_out(recording)
    return recording


@pytest.mark.numeric
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000])
def test_every_rate_becomes_16_khz(tmp_path, rate):
    time_ = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_)
    soundfile.write(tmp_path / "x.wav", np.stack([tone, tone], axis=1), rate, subtype="PCM_16")
    samples = sound.read_source(tmp_path / "x.wav")
    assert abs(len(samples) - RATE) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / RATE)
    assert np.abs(samples - expected)[200:-200].max() < 2e-3


def test_excerpts_and_sums(tmp_path):
    rng = np.random.default_rng(2)
    one, two = (0.3 * rng.standard_normal(3 * RATE).clip(-3, 3) for _ in range(2))
    for name, samples in (("song.ogg", one), ("guitar.ogg", two)):
        soundfile.write(tmp_path / name, samples, RATE)
    song, guitar, both = (
        sound.read_source(tmp_path / name)
        for name in ("song.ogg", "guitar.ogg", "song.ogg&guitar.ogg")
    )
    np.testing.assert_array_equal(both, (song + guitar) / 2)
    part = sound.read_source(tmp_path / "song.ogg", start_seconds=1, seconds=1.5)
    assert np.array_equal(part, song[RATE : RATE + RATE * 3 // 2])


def test_the_telephone_keeps_the_time_and_narrows_nothing():
    rng = np.random.default_rng(3)
    sent = sound.to_int16(0.2 * np.diff(rng.standard_normal(RATE + 2)).clip(-3, 3))
    heard = sound.g722_round_trip(sent)
    assert heard.shape == sent.shape and heard.dtype == np.int16
    lags = range(-3, 4)
    match = [np.dot(np.roll(heard, lag).astype(float), sent) for lag in lags]
    assert lags[int(np.argmax(match))] == 0
    narrow = sound.narrowed(sent / 32_768, 3_400)
    spectrum = np.abs(np.fft.rfft(narrow * np.hanning(len(narrow))))
    assert spectrum[4_500:].max() < 0.01 * spectrum[300:3_000].max()


@pytest.mark.numeric
def test_an_undecodable_source_is_named(tmp_path):
    for name in ("x.ogg", "x.wav"):
        (tmp_path / name).write_bytes(b"OggS no audio")
        with pytest.raises(CorpusError, match=r"x\.(ogg|wav)"):
            sound.read_source(tmp_path / name)
        with pytest.raises(CorpusError, match=r"x\.(ogg|wav)"):
            sound.source_seconds(tmp_path / name)
    with pytest.raises(CorpusError, match="gone"):
        sound.read_source(tmp_path / "gone.ogg")


@pytest.mark.parametrize("gain_db", [-20.0, 0.0])
def test_loud_clicks_turn_nothing_else_down(gain_db, tmp_path):
    rng = np.random.default_rng(1)
    hiss, clicks = (plan.blank_segment("noise", 10.0, rng) for _ in range(2))
    hiss |= {"steady": "white", "noise_db": -30.0 - gain_db, "narrow_hertz": 0}
    clicks |= {"steady": "clicks", "noise_db": -10.0 - gain_db, "narrow_hertz": 0}
    samples = sound.render(recording_of(hiss, clicks, gain_db=gain_db), tmp_path) / 32_768
    heard = samples[RATE : 9 * RATE]
    assert 20 * np.log10(heard.std()) == pytest.approx(-30, abs=0.5)
    assert 0.9 < np.abs(samples[10 * RATE :]).max() < 1


def test_a_track_without_sound_is_named(tmp_path):
    soundfile.write(tmp_path / "track.wav", np.zeros(60 * RATE), RATE)
    segment = plan.blank_segment("music", 4.0, np.random.default_rng(1))
    segment |= {"music": "track.wav", "artist": "a", "music_db": -20.0}
    with pytest.raises(CorpusError, match=r"track\.wav holds no sound"):
        sound.render(recording_of(segment), tmp_path)


def test_who_was_recorded_sings_as_loud_above_the_music_as_planned(tmp_path):
    soundfile.write(tmp_path / "music.wav", tone(100, 60), RATE)
    soundfile.write(tmp_path / "song.wav", tone(3_000, 5), RATE)
    rng = np.random.default_rng(1)
    # the music goes on at its own level, whatever level the second segment would have alone
    segments = [
        plan.blank_segment("music", 8.0, rng)
        | {"music": "music.wav", "artist": "a", "music_db": level, "music_goes_on": goes_on}
        | {"singer": "s", "recorded": "song.wav", "sung_db": over, "narrow_hertz": 0}
        for level, goes_on, over in ((-20.0, False, 6.0), (-34.0, True, -3.0))
    ]
    samples = sound.render(recording_of(*segments), tmp_path) / 32_768
    for segment in segments:
        heard = samples[segment["start"] :][: segment["samples"]][RATE:-RATE]
        power = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
        hertz = np.fft.rfftfreq(len(heard), 1 / RATE)
        over = 10 * np.log10(power[hertz > 1_000].sum() / power[hertz < 1_000].sum())
        assert over == pytest.approx(segment["sung_db"], abs=1)  # there are pauses in the song
        assert 20 * np.log10(heard.std()) == pytest.approx(-20, abs=1)


@pytest.mark.parametrize("times", [1 / 3, 2])
def test_a_phrase_that_is_said_sooner_or_later_fills_its_place(times, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "said.wav", tone(200, 4), RATE)
    monkeypatch.setattr(
        sound.singing, "lively", lambda phrase, rng: np.resize(phrase, int(times * len(phrase)))
    )
    segment = plan.blank_segment("speech", 5.0, np.random.default_rng(1))
    segment |= {"voice": "v", "phrases": [["said.wav", 0, 4 * RATE, -13.5, 0]]}
    segment |= {"speech_db": -20.0, "lively": True, "narrow_hertz": 0}
    samples = sound.render(recording_of(segment), tmp_path) / 32_768
    tenths = 20 * np.log10(samples[: 5 * RATE].reshape(50, -1).std(axis=1))
    assert (tenths[:40] > -25).all()
    assert (tenths[40:] < -70).all()
