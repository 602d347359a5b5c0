import subprocess
import sys

import numpy as np
import pytest
import resampy
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import MARGIN, UNIT, relative_l2, sums

from vggish.resample import resample, resample_blocks

pytestmark = pytest.mark.numeric
CROSSINGS = 50  # of zero on each side of kaiser_best's sinc


def bound(rate, target):
    """Return what rounding may do: an output is a sum over all that the filter sees."""
    return sums(2 * CROSSINGS * max(1, rate / target))


def noise(samples, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


# the last two rates repeat so late that resampy does the work itself
RATES = [8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000, 44056, 15999]


@pytest.mark.parametrize("rate", RATES)
def test_is_resampy_s_kaiser_best(rate):
    waveform = noise(rate + 17)
    estimate = resample(waveform, rate, 16_000)
    reference = resampy.resample(waveform.astype(np.float64), rate, 16_000, filter="kaiser_best")
    assert estimate.dtype == np.float32
    assert estimate.shape == reference.shape
    np.testing.assert_allclose(estimate, reference, rtol=0, atol=bound(rate, 16_000))
    assert relative_l2(estimate, reference) < bound(rate, 16_000)


@pytest.mark.parametrize("rate", RATES)
def test_the_weights_are_resampy_s(rate):
    """Of samples far apart, the weights come out, none added to another: rounded once."""
    waveform = np.zeros(rate, np.float32)
    apart = 3 * CROSSINGS * max(1, rate // 16_000)
    waveform[apart : -apart : apart + 1] = 1.0
    reference = resampy.resample(waveform.astype(np.float64), rate, 16_000, filter="kaiser_best")
    estimate = resample(waveform, rate, 16_000)
    # where the filter is read is float64, and counted in samples
    places = MARGIN * 2.0**-53 * rate
    np.testing.assert_allclose(estimate, reference, rtol=MARGIN * UNIT, atol=places)


def test_upwards_and_to_any_rate():
    waveform = noise(16_000)
    reference = resampy.resample(waveform.astype(np.float64), 16_000, 44_100, filter="kaiser_best")
    assert relative_l2(resample(waveform, 16_000, 44_100), reference) < bound(16_000, 44_100)


@settings(max_examples=15)
@given(
    st.sampled_from([8000, 16_000, 44_100, 48_000, 44_056]),
    st.lists(st.integers(0, 100_000), min_size=1, max_size=5),
)
def test_blocks_joined_are_the_whole_bit_for_bit(rate, lengths):
    waveform = noise(sum(lengths))
    blocks = np.split(waveform, np.cumsum(lengths)[:-1])
    joined = np.concatenate([[], *resample_blocks(blocks, rate, 16_000)])
    np.testing.assert_array_equal(joined, resample(waveform, rate, 16_000))


@pytest.mark.parametrize("rate", [44_100, 48_000, 44_056])
@pytest.mark.parametrize("samples", [0, 1, 2, 3, 441, 442, 1000, 65_415, 65_416, 66_150])
def test_lengths(rate, samples):
    assert len(resample(noise(samples), rate, 16_000)) == samples * 16_000 // rate


def test_the_same_rate_changes_nothing():
    waveform = noise(1000)
    np.testing.assert_array_equal(resample(waveform, 16_000, 16_000), waveform)


def test_blocks_come_out_as_they_come_in():
    read = 0

    def blocks():
        nonlocal read
        for _ in range(100):
            read += 1
            yield noise(44_100)

    made = resample_blocks(blocks(), 44_100, 16_000)
    next(made)
    assert read < 4


@pytest.mark.parametrize("rate", [0, -16_000, 44_100.5])
def test_rates_that_are_none(rate):
    with pytest.raises(ValueError, match=str(rate)):
        resample(noise(10), rate, 16_000)


def test_resampy_itself_is_not_imported_for_common_rates():
    code = (
        "import sys, numpy as np; from vggish.resample import resample;"
        "resample(np.zeros(441), 44_100, 16_000); assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
