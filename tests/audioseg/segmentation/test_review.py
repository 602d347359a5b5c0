from pathlib import Path

import numpy as np
import pytest

from audioseg.segmentation import review

HOP = 0.12


def test_doubt_is_the_lead_of_the_first_choice():
    answer = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.6, 0.1, 0.3]])
    np.testing.assert_allclose(review.doubt(answer), [0, 1, 0.7], rtol=1e-12)


def recording(seconds, *unsure):
    n = 1 + int((seconds - 0.975) / HOP)
    times = 0.4875 + HOP * np.arange(n)
    values = np.full(n, 0.1)
    for begin, end, value in unsure:
        values[(times >= begin) & (times < end)] = value
    return review.Doubt(Path("a"), seconds, HOP, values)


def test_the_least_sure_come_first_whatever_recording_they_are_of():
    doubts = [recording(65.0, (20, 30, 0.9), (62, 65, 0.5)), recording(30.0, (10, 20, 0.7))]
    one, two = review.stretches(doubts, minutes=0.25)
    assert one == [(20, 30, "1")]
    assert two == [(10, 15, "2")]  # what is left of a quarter of a minute
    one, two = review.stretches(doubts, minutes=100)
    assert sum(s.end - s.start for s in one) == pytest.approx(65)
    assert sum(s.end - s.start for s in two) == pytest.approx(30)
    assert (60, 65, "3") in one
