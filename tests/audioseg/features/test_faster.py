"""The second hearing, a third faster."""

import numpy as np
import pytest
import resampy
from fake_embedding import FakeEmbedding
from hypothesis import given
from hypothesis import strategies as st

import feat_ext
from audioseg.features.faster import cost, embed_faster, spread

FAKE = FakeEmbedding("fake", "a" * 64)
NOISE = np.random.default_rng(0).normal(0, 0.1, 100_000).astype(np.float32)


def test_a_recording_is_embedded_as_if_played_faster():
    played = resampy.resample(NOISE, 4, 3)  # all of it in 3/4 of the time, 4/3 times as high
    expected = feat_ext.embed(played, FAKE, hop_seconds=0.2)  # of 0.27 s of the recording
    found = embed_faster([NOISE[:999], NOISE[999:70_000], NOISE[70_000:]], FAKE, hop_seconds=0.12)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    bytes_of = embed_faster([NOISE], FAKE, hop_seconds=0.12, form=FAKE.quantize)
    np.testing.assert_array_equal(bytes_of, FAKE.quantize(found))
    assert np.abs(found[0] - feat_ext.embed(NOISE, FAKE)[0]).max() > 0.01


def test_the_second_hearing_has_about_half_the_windows_of_the_first():
    windows = len(feat_ext.embed(np.tile(NOISE, 10), FAKE))
    faster = len(embed_faster([np.tile(NOISE, 10)], FAKE, hop_seconds=0.12))
    assert faster / windows == pytest.approx(cost(0.12), abs=0.01)
    assert cost(0.12) < 0.5


@given(
    count=st.integers(1, 400),
    windows=st.integers(1, 300),
    hop_seconds=st.sampled_from([0.01, 0.02, 0.05, 0.12, 0.24, 0.96]),
)
def test_each_window_gets_the_nearest_one(count, windows, hop_seconds):
    found = spread(np.arange(windows), count, hop_seconds=hop_seconds)
    # played: about two hops of the recording, in fours of frames so that windows share work
    step = {0.01: 0.04, 0.02: 0.04, 0.05: 0.08, 0.12: 0.2, 0.24: 0.36, 0.96: 1.44}[hop_seconds]
    centers = (0.4875 + step * np.arange(windows)) * 4 / 3  # in the recording
    away = np.abs(np.subtract.outer(feat_ext.window_times(count, hop_seconds), centers))
    assert found.shape == (count,)
    np.testing.assert_allclose(away[np.arange(count), found], away.min(axis=1), atol=1e-9)
