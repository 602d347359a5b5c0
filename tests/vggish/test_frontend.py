import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import MARGIN, UNIT

from vggish import frontend
from vggish.frontend import log_mel, log_mel_blocks, mel_matrix, window_count, windows

pytestmark = pytest.mark.numeric
# computed in float64, and rounded once, to float32
ROUNDED_ONCE = MARGIN * UNIT


def sine(seconds=3.0, hertz=1000.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16000)) / 16000)


def test_golden_values_of_a_sine():
    patches = windows(log_mel(sine()), hop_frames=96)
    assert patches.shape == (3, 96, 64)
    assert patches.dtype == np.float32
    patches = patches.astype(np.float64)
    # the values are given to five decimals
    assert patches.mean() == pytest.approx(-3.42962, abs=6e-6)
    assert patches.std() == pytest.approx(2.12658, abs=6e-6)
    assert patches.min() == pytest.approx(-4.60116, abs=6e-6)
    assert patches.max() == pytest.approx(4.81112, abs=6e-6)


def reference_log_mel(waveform):
    """Compute it by the book: explicit DFT sums, explicit triangles, float64."""
    count = 1 + (len(waveform) - 400) // 160
    frames = np.stack([waveform[160 * i : 160 * i + 400] for i in range(count)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    dft = np.exp(-2j * np.pi * np.outer(np.arange(400), np.arange(257)) / 512)
    magnitude = np.abs((frames * hann) @ dft)

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    edges = np.linspace(mel(125), mel(7500), 66)
    weights = np.zeros((257, 64))
    for band in range(64):
        low, centre, high = edges[band : band + 3]
        for k in range(1, 257):
            at = mel(k * 8000 / 256)
            if low <= at <= high:
                weights[k, band] = min((at - low) / (centre - low), (high - at) / (high - centre))
    return np.log(magnitude @ weights + 0.01)


def test_against_the_definition():
    waveform = np.random.default_rng(0).uniform(-1, 1, 8000)
    expected = reference_log_mel(waveform)
    np.testing.assert_allclose(log_mel(waveform), expected, rtol=ROUNDED_ONCE)


def test_extremes():
    square = np.sign(sine(1.0, 440.0))
    for waveform in (square, np.eye(1, 16000, 8000)[0], 1e-4 * square):
        waveform = waveform.astype(np.float32)
        expected = reference_log_mel(waveform.astype(np.float64))
        np.testing.assert_allclose(log_mel(waveform), expected, rtol=ROUNDED_ONCE)
    np.testing.assert_allclose(log_mel(np.zeros(16000)), np.log(0.01), rtol=ROUNDED_ONCE)


def test_mel_matrix_leaves_out_dc_and_the_edges():
    weights = mel_matrix()
    assert weights.shape == (257, 64)
    assert (weights >= 0).all() and (weights <= 1).all()
    assert not weights[:4].any()  # below 125 Hz
    assert not weights[241:].any()  # above 7500 Hz
    with pytest.raises(ValueError):
        weights[0, 0] = 1.0


@pytest.mark.parametrize(
    ("samples", "frames", "whole_windows"),
    [(0, 0, 0), (399, 0, 0), (400, 1, 0), (15599, 95, 0), (15600, 96, 1), (15600 + 1920, 108, 2)],
)
def test_counts(samples, frames, whole_windows):
    spectrogram = log_mel(np.zeros(samples))
    assert spectrogram.shape == (frames, 64)
    assert frontend.frame_count(samples) == frames
    assert window_count(samples) == whole_windows == len(windows(spectrogram))


def test_windows_are_a_view_with_the_hop_asked_for():
    spectrogram = np.arange(200 * 64, dtype=float).reshape(200, 64)
    cut = windows(spectrogram, hop_frames=10)
    assert cut.shape == (11, 96, 64)
    assert np.shares_memory(cut, spectrogram)
    for i in range(11):
        np.testing.assert_array_equal(cut[i], spectrogram[10 * i : 10 * i + 96])


@settings(max_examples=25)
@given(st.lists(st.integers(0, 120_000), min_size=0, max_size=5), st.integers(0, 2**32 - 1))
def test_blocks_joined_are_the_whole_bit_for_bit(lengths, seed):
    waveform = np.random.default_rng(seed).standard_normal(sum(lengths)).astype(np.float32)
    blocks = np.split(waveform, np.cumsum(lengths)[:-1]) if lengths else []
    joined = np.concatenate([np.empty((0, 64), np.float32), *log_mel_blocks(blocks)])
    np.testing.assert_array_equal(joined, log_mel(waveform))


def test_what_is_no_waveform_is_refused():
    with pytest.raises(ValueError, match=r"\(samples,\), not \(2, 400\)"):
        log_mel(np.zeros((2, 400)))
    with pytest.raises(ValueError, match=r"int16.*divide"):
        log_mel(np.zeros(400, np.int16))
