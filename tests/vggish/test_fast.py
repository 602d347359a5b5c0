"""The fast way is the plain way: on every kind of hop, on extremes, at full size.

What depends on indices (hops, batches, edges) is tested on a network with few channels, which
has the same rows and bands, and in float64, where a fault stands out from rounding; what depends
on rounding, on VGGish itself.
"""

import numpy as np
import pytest
import tensorflow as tf
from networks import frames_of, random_vggish
from rounding import MARGIN, UNIT, VGGISH, in_float64, relative_l2

from vggish.embedding import Embedding, plain_chunks
from vggish.fast import can_share, direct, fast_chunks, winograd, winograd_matrices
from vggish.frontend import log_mel, window_count
from vggish.network import build_vggish

pytestmark = pytest.mark.numeric
# what is computed in float64 is rounded once, to float32, at the end
ROUNDED_ONCE = MARGIN * UNIT


@pytest.fixture(scope="module")
def narrow():
    return random_vggish(narrower=16)


@pytest.fixture(scope="module")
def narrow_in_float64(narrow):
    return in_float64(build_vggish, narrow, narrower=16)


@pytest.fixture
def uncompiled():
    """Run operation by operation: compiling takes longer than a few windows are worth."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize(
    ("hop_frames", "batch_size"),
    [(12, 1), (12, 2), (12, 7), (4, 5), (8, 4), (16, 3), (64, 2), (10, 3), (68, 18), (150, 2)],
)
def test_every_hop_and_batch(narrow_in_float64, uncompiled, hop_frames, batch_size):
    assert can_share(hop_frames) == (hop_frames in (4, 8, 12, 16, 64))
    options = {"hop_frames": hop_frames, "batch_size": batch_size}
    frames = frames_of(**options)
    fast = fast_chunks(narrow_in_float64, precision="float64", **options)(frames)
    plain = plain_chunks(narrow_in_float64, **options)(frames)
    assert fast.shape == (batch_size, 128)
    assert fast.dtype == np.float32
    for estimate, reference in zip(fast, plain, strict=True):  # a fault in one window shows
        assert relative_l2(estimate, reference) < ROUNDED_ONCE


def test_a_window_does_not_see_its_neighbours(narrow_in_float64, uncompiled):
    """What lies outside a window leaves its embedding alone, but for the rounding of tiles."""
    way = fast_chunks(narrow_in_float64, precision="float64", hop_frames=12, batch_size=8)
    frames = frames_of(12, 8)
    before = way(frames)[3]
    changed = frames.copy()
    changed[:36] = 4.0
    changed[36 + 96 :] = -4.6
    assert relative_l2(way(changed)[3], before) < ROUNDED_ONCE


def extremes():
    """Return waveforms of 15,600 + 7 * 1,920 samples: 8 windows, 0.12 s apart."""
    random = np.random.default_rng(0)
    time = np.arange(15_600 + 7 * 1920) / 16_000
    silence = np.zeros(len(time))
    clicks = silence.copy()
    clicks[random.integers(0, len(time), 9)] = 1.0
    speechlike = random.normal(0, 0.1, len(time)) * (np.sin(2 * np.pi * 3 * time) > 0)
    speechlike += 0.3 * np.sin(2 * np.pi * (200 + 80 * np.sin(9 * time)) * time)
    return {
        "silence": silence,
        "square wave at full scale": np.sign(np.sin(2 * np.pi * 440 * time)),
        "clicks": clicks,
        "tone and gated noise": np.clip(speechlike, -1, 1),
    }


@pytest.fixture(scope="module")
def both_ways():
    model = random_vggish()
    options = {"hop_frames": 12, "batch_size": 8}
    exact = plain_chunks(in_float64(build_vggish, model), **options)
    return fast_chunks(model, **options), plain_chunks(model, **options), exact


@pytest.mark.parametrize("name", extremes())
def test_full_size_on_extremes(both_ways, name):
    frames = log_mel(extremes()[name])
    fast, plain, exact = (way(frames) for way in both_ways)
    for estimate, other, reference in zip(fast, plain, exact, strict=True):
        assert relative_l2(estimate, reference) < VGGISH
        assert relative_l2(other, reference) < VGGISH


def test_streamed_blocks_are_the_whole_bit_for_bit(narrow, uncompiled):
    embedding = Embedding(narrow, name="narrow", sha256="0" * 64, batch_size=8, fast=True)
    waveform = np.random.default_rng(0).normal(0, 0.1, 65_000).astype(np.float32)
    whole = embedding.embed(log_mel(waveform))
    assert len(whole) == window_count(len(waveform)) == 26
    for cuts in ([100], [15_600, 40_000], [7, 8, 9, 60_000]):
        parts = list(embedding.stream(np.split(waveform, cuts)))
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("outputs", [2, 3, 4])
def test_winograd_matrices(outputs):
    random = np.random.default_rng(0)
    signal, kernel = random.standard_normal(outputs + 2), random.standard_normal(3)
    of_input, of_kernel, of_output = winograd_matrices(outputs)
    result = of_output @ ((of_kernel @ kernel) * (of_input @ signal))
    # float64, and factors below 10 that meet three times
    np.testing.assert_allclose(result, np.correlate(signal, kernel, "valid"), atol=1e-12)


@pytest.mark.parametrize("tile", [(2, 4), (3, 4), (4, 4), (4, 2)])
@pytest.mark.parametrize(("rows", "pad_rows"), [(12, True), (7, True), (5, False)])
def test_winograd_is_the_direct_convolution(uncompiled, tile, rows, pad_rows):
    random = np.random.default_rng(0)
    kernel = tf.constant(random.standard_normal((3, 3, 5, 6)))
    bias = tf.constant(random.standard_normal(6))
    signal = tf.constant(random.standard_normal((2, rows, 8, 5)))
    estimate = winograd(kernel, bias, tile=tile)(signal, pad_rows=pad_rows)
    reference = direct(kernel, bias)(signal, pad_rows=pad_rows)
    assert estimate.shape == reference.shape
    # float64, and factors below 10 that meet six times
    np.testing.assert_allclose(estimate, reference, atol=1e-10)
