import numpy as np
import pytest
import scipy.signal

from audioseg.corpus import noises, sound


@pytest.mark.parametrize("kind", noises.KINDS)
@pytest.mark.parametrize("count", [1, 160, 15_600, 100_003])
def test_noise_has_level_1_and_is_the_same_for_a_seed(kind, count):
    noise = noises.steady_noise(kind, count, np.random.default_rng(3))
    assert noise.shape == (count,)
    assert np.isfinite(noise).all()
    # a single sample of a tone may be nearly 0
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1) or count == 1
    again = noises.steady_noise(kind, count, np.random.default_rng(3))
    np.testing.assert_array_equal(noise, again)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_colour_is_the_slope_of_the_spectrum(exponent):
    noise = noises.coloured(2**20, exponent, np.random.default_rng(0))
    hertz, power = scipy.signal.welch(noise, 16_000, nperseg=4_096)
    used = (hertz > 100) & (hertz < 7_000)
    slope = np.polyfit(np.log(hertz[used]), np.log(power[used]), 1)[0]
    # 512 segments: each bin is off by 4 %, the slope over 1,700 bins by far less than 0.02
    assert slope == pytest.approx(-exponent, abs=0.02)


def test_mp3_keeps_length_and_place():
    rng = np.random.default_rng(0)
    samples = sound.to_int16(0.2 * noises.coloured(30_001, 2, rng))
    again = sound.mp3_round_trip(samples)
    assert again.shape == samples.shape and again.dtype == np.int16
    likeness = scipy.signal.correlate(again.astype(float), samples.astype(float), "full")
    assert np.argmax(likeness) == len(samples) - 1  # no delay
