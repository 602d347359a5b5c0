from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from audioseg.corpus.merging import merged
from audioseg.labels import Segment

NAMES = ("owl", "frog")


def tracks(*names):
    def built(drawn):
        edges = sorted(drawn)
        return [
            Segment(a, b, names[i % len(names)])
            for i, (a, b) in enumerate(zip(edges[::2], edges[1::2], strict=False))
        ]

    return st.sets(st.integers(0, 60), max_size=12).map(built)


def at(track, time):
    return next((s.label for s in track if s.start <= time < s.end), None)


@given(tracks("owl", "frog"), tracks("frog", "?", "owl"), tracks("1"))
def test_inside_as_corrected_outside_as_it_was(before, after, reviewed):
    whole = merged(before, after, reviewed, "quiet")
    for time in range(61):
        if at(reviewed, time):
            assert at(whole, time) == (at(after, time) or "quiet")
        else:
            assert at(whole, time) == at(before, time)
    assert all(a.end <= b.start for a, b in pairwise(whole))
