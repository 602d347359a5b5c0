"""Merge a label track with its corrections."""

from __future__ import annotations

import math
from collections.abc import Sequence

from audioseg.labels import Segment


def merged(
    before: Sequence[Segment],
    after: Sequence[Segment],
    reviewed: Sequence[Segment],
    background: str,
) -> list[Segment]:
    """Return a label track with its corrections inside the stretches under review.

    Time without a label in ``after`` becomes a segment of the background there.
    """
    ends = [0.0, *(time for s in reviewed for time in s[:2]), math.inf]
    outside = list(zip(ends[::2], ends[1::2], strict=True))
    inside = [(s.start, s.end) for s in reviewed]
    whole = []
    for begin, end in inside:
        at = begin
        for segment in cut(after, begin, end):
            if segment.start > at:
                whole.append(Segment(at, segment.start, background))
            whole.append(segment)
            at = segment.end
        if end > at:
            whole.append(Segment(at, end, background))
    return sorted([*whole, *(s for begin, end in outside for s in cut(before, begin, end))])


def cut(track: Sequence[Segment], begin: float, end: float) -> list[Segment]:
    """Return the part of a track between two times."""
    parts = (s._replace(start=max(s.start, begin), end=min(s.end, end)) for s in track)
    return [s for s in parts if s.start < s.end]
