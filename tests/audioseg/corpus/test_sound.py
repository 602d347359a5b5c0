"""From a source to samples."""

import numpy as np
import pytest
import soundfile
from small_corpus import RATE

from audioseg.corpus import plan, sound
from audioseg.corpus.sound import CorpusError


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
    recording = {
        "recording": "r", "split": "TRN", "seed": [3], "floor_db": -70.0, "gain_db": gain_db,
        "narrow_hertz": 0, "codec": "none", "segments": [hiss, clicks],
    }  # fmt: skip
    plan.lay_out(recording)
    samples = sound.render(recording, tmp_path) / 32_768
    heard = samples[RATE : 9 * RATE]
    assert 20 * np.log10(heard.std()) == pytest.approx(-30, abs=0.5)
    assert 0.9 < np.abs(samples[10 * RATE :]).max() < 1
