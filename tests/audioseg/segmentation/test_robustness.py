"""Recordings as they may arrive, read again as ``audioseg segment`` reads them."""

from functools import partial

import numpy as np
import pytest

from audioseg import audio
from audioseg.segmentation import robustness

SECONDS = 3


@pytest.fixture(scope="module")
def samples():
    """A chord below 3.4 kHz, at -20 dBFS."""
    time = np.arange(SECONDS * audio.SAMPLE_RATE) / audio.SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277, 1330))
    return robustness.at_level(chord, -20)


def read(samples, condition, folder):
    path = folder / "recording"
    robustness.write(samples, path, **robustness.CONDITIONS[condition])
    return audio.load(path), path


def level_of(samples):
    return 20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=float))))


@pytest.mark.parametrize("condition", robustness.CONDITIONS)
def test_what_is_heard_stays_in_place(condition, samples, tmp_path):
    heard, _ = read(samples, condition, tmp_path)
    assert len(heard) == len(samples)
    middle = slice(audio.SAMPLE_RATE, 2 * audio.SAMPLE_RATE)
    assert np.corrcoef(heard[middle], samples[middle])[0, 1] > 0.99


@pytest.mark.parametrize("dbfs", [-20, -30, -40, -50])
def test_levels_are_those_asked_for(dbfs, samples, tmp_path):
    path = tmp_path / "recording"
    robustness.write(samples, path, change=partial(robustness.at_level, dbfs=dbfs))
    heard = audio.load(path)
    if dbfs in robustness.LEVELS_DBFS:
        named, _ = read(samples, f"{dbfs} dBFS", tmp_path)
        np.testing.assert_array_equal(named, heard)
    # of 16 bits, rounding is 10 log10(2 ** -30 / 12) dBFS, -101, below all of them
    assert level_of(heard) == pytest.approx(dbfs, abs=0.01)


def test_what_is_too_loud_is_clipped(tmp_path, samples):
    heard, _ = read(8 * samples, "as it is", tmp_path)
    assert np.abs(heard).max() <= 1
    assert np.mean(np.abs(heard) > 0.999) > 0.1


def test_an_mp3_has_its_bit_rate(samples, tmp_path):
    _, path = read(samples, "MP3, 64 kbit/s", tmp_path)
    frames = path.stat().st_size / 288  # 576 samples at 16 kHz, 64 kbit/s: 288 bytes
    assert frames == pytest.approx(SECONDS * audio.SAMPLE_RATE / 576, abs=5)


def test_a_telephone_carries_nothing_above_4_khz(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(SECONDS * audio.SAMPLE_RATE)
    heard, _ = read(noise, "telephone, 8 kHz", tmp_path)
    power = np.abs(np.fft.rfft(heard)) ** 2
    above = power[len(power) * 17 // 32 :].sum() / power.sum()  # from 4.25 kHz
    assert above < 1e-3


def test_channels_and_offset_are_as_named(samples, tmp_path):
    rounding = 2**-15  # of 16 bits, and of half of them
    half, _ = read(samples, "one silent channel", tmp_path)
    np.testing.assert_allclose(half, samples / 2, atol=rounding)
    whole, _ = read(samples, "opposite phase", tmp_path)
    np.testing.assert_allclose(whole, samples, atol=rounding)
    shifted, _ = read(samples, "DC offset of 0.05", tmp_path)
    np.testing.assert_allclose(shifted, samples + 0.05, atol=rounding)
