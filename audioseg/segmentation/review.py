"""Choose what to review first: the stretches where a network is least sure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import feat_ext
from audioseg.labels import Segment

STRETCH_SECONDS = 10.0  # long enough to hear what is going on
SUFFIX = ".review.txt"


class Doubt(NamedTuple):
    """How unsure a network is along one recording.

    Attributes
    ----------
    place : Path
        The path of its label tracks, without a suffix.
    seconds : float
        Its length.
    hop_seconds : float
        From one frame to the next.
    doubt : np.ndarray [shape=(n,)]
        Of each frame, from 0 to 1.
    """

    place: Path
    seconds: float
    hop_seconds: float
    doubt: np.ndarray


def doubt(probabilities: np.ndarray) -> np.ndarray:
    """Return how unsure a network is of each frame: 1 minus the lead of its first choice.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, classes)]
        Of each frame.

    Returns
    -------
    np.ndarray [shape=(n,)]
        From 0, sure, to 1, undecided between two. This is margin sampling (Scheffer, Decomain &
        Wrobel, "Active hidden Markov models for information extraction", IDA 2001).
    """
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    return 1 - (first - second)


def stretches(
    doubts: Sequence[Doubt], *, minutes: float, stretch_seconds: float = STRETCH_SECONDS
) -> list[list[Segment]]:
    """Choose the stretches to correct first.

    Parameters
    ----------
    doubts : sequence of Doubt
        Of any number of recordings.
    minutes : float
        How many minutes to choose, from all recordings together.
    stretch_seconds : float
        The length of a stretch; the last of a recording may be shorter.

    Returns
    -------
    list of list of Segment
        The stretches of each recording, by time. Their labels are their ranks; 1 is the least sure.
    """
    found = []
    for number, (_, seconds, hop_seconds, values) in enumerate(doubts):
        times = feat_ext.window_times(len(values), hop_seconds)
        for begin in np.arange(0, seconds, stretch_seconds):
            end = min(begin + stretch_seconds, seconds)
            inside = values[(times >= begin) & (times < end)]
            if len(inside):
                found.append((float(inside.mean()), number, float(begin), float(end)))
    chosen: list[list[Segment]] = [[] for _ in doubts]
    left = 60 * minutes
    for rank, (_, number, begin, end) in enumerate(sorted(found, key=lambda f: -f[0]), start=1):
        if left <= 0:
            break
        end = min(end, begin + left)
        chosen[number].append(Segment(begin, end, str(rank)))
        left -= end - begin
    return [sorted(one) for one in chosen]
