"""Passages worth hearing: where a run is sure but wrong, and where it is least sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import feat_ext
from audioseg.labels import IGNORED


class Passage(NamedTuple):
    """Consecutive frames of a recording with one reference and one estimate.

    Attributes
    ----------
    recording : int
        The number of the recording.
    start, end : float
        Seconds of the recording, from half a hop before the first frame to half a hop after the
        last.
    reference, estimate : int
        Two classes, by number.
    probabilities : np.ndarray [shape=(classes,)]
        The probability of each class, averaged over the frames.
    """

    recording: int
    start: float
    end: float
    reference: int
    estimate: int
    probabilities: np.ndarray

    @property
    def kind(self) -> tuple[int, int]:
        """The reference and the estimate: the cell of the confusion matrix."""
        return self.reference, self.estimate

    @property
    def of_reference(self) -> float:
        """The probability that the network gave to the class of the reference."""
        return float(self.probabilities[self.reference])

    @property
    def of_estimate(self) -> float:
        """The probability that the network gave to the class of the estimate."""
        return float(self.probabilities[self.estimate])

    @property
    def lead(self) -> float:
        """How far the first choice is ahead of the second."""
        second, first = np.sort(self.probabilities)[-2:]
        return float(first - second)


def passages(
    probabilities: np.ndarray,
    estimate: np.ndarray,
    reference: np.ndarray,
    recording: np.ndarray,
    *,
    hop_seconds: float,
) -> list[Passage]:
    """Split recordings wherever the reference or the estimate changes.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, classes)]
        The network's, of the frames of any number of recordings, one recording after the other.
    estimate, reference : np.ndarray [shape=(n,), dtype=int]
        The class of each frame, as the run and as the label tracks have it.
    recording : np.ndarray [shape=(n,), dtype=int]
        The number of each frame's recording.
    hop_seconds : float
        The time between frames.

    Returns
    -------
    list of Passage
        By recording and time, without frames whose label is ignored.
    """
    state = np.stack([recording, reference, estimate])
    edges = [0, *(np.flatnonzero(np.diff(state).any(axis=0)) + 1), len(reference)]
    found = []
    for first, after in pairwise(edges):
        if first == after or reference[first] == IGNORED:
            continue
        number, label, said = (int(value) for value in state[:, first])
        before = first - int(np.searchsorted(recording, number))  # frames of its recording
        start = feat_ext.FIRST_CENTER_SECONDS + (before - 0.5) * hop_seconds
        end = start + (after - first) * hop_seconds
        mean = probabilities[first:after].mean(axis=0)
        found.append(Passage(number, start, end, label, said, mean))
    return found


def sure_and_wrong(
    found: Iterable[Passage], *, count: int = 12, of_a_kind: int = 3, seconds: float = 0.6
) -> list[Passage]:
    """Choose the wrong passages of which the run is most sure.

    Parameters
    ----------
    found : iterable of Passage
        As :func:`passages` returns them.
    count : int
        How many to choose.
    of_a_kind : int
        How many of one kind of confusion at most, so that others are heard too.
    seconds : float
        The shortest passage: five windows by default, as single ones flicker.

    Returns
    -------
    list of Passage
        The surest first: those whose estimate is farthest ahead of the reference.
    """
    wrong = [one for one in found if one.reference != one.estimate]
    wrong.sort(key=lambda one: one.of_reference - one.of_estimate)
    taken: Counter[tuple[int, int]] = Counter()
    chosen = []
    for one in wrong:
        if len(chosen) == count:
            break
        if one.end - one.start >= seconds - 1e-6 and taken[one.kind] < of_a_kind:
            taken[one.kind] += 1
            chosen.append(one)
    return chosen


def least_sure(found: Iterable[Passage], *, count: int = 4, seconds: float = 1.0) -> list[Passage]:
    """Choose the passages, right or wrong, whose first choice leads the second by the least.

    Parameters
    ----------
    found : iterable of Passage
        As :func:`passages` returns them.
    count : int
        How many to choose.
    seconds : float
        How long a passage is at least.

    Returns
    -------
    list of Passage
        The least sure first.
    """
    long_enough = [one for one in found if one.end - one.start >= seconds - 1e-6]
    return sorted(long_enough, key=lambda one: one.lead)[:count]
