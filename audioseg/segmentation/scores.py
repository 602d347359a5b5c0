"""Scores: how near an estimate comes to the reference.

Three views of one thing. *Frame scores* count windows. *Event scores* ask for each stretch of one
class whether the estimate has one that starts and ends where it should. *Segment scores* ask for
each second which classes occur in it. The last two are those of Mesaros, Heittola & Virtanen,
"Metrics for polyphonic sound event detection", Applied Sciences 6(6), 2016, as the library
sed_eval computes them, with every class in turn an event.

Conventions: labels are class numbers, tracks are lists of ``Segment``, pairs are
(reference, estimate) of one recording each, times are in seconds. A score that has nothing to
count is ``nan``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from audioseg.errors import CourseError
from audioseg.labels import BACKGROUND, CLASSES, Segment

COLLARS = (0.5, 1.0)  # seconds


class ScoreError(CourseError):
    """Scores that cannot be computed; one sentence with the value and what to do."""


class FrameScores(NamedTuple):
    """Scores over frames; ``recall``, ``precision`` and ``f1`` have one entry a class."""

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    f1: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    confusion: np.ndarray


class EventScores(NamedTuple):
    """Scores over events or seconds; ``by_class`` has one F1 a class."""

    f1: float
    precision: float
    recall: float
    by_class: np.ndarray


def frame_scores(
    reference: np.ndarray, estimate: np.ndarray, *, classes: int = len(CLASSES)
) -> FrameScores:
    """Compare frame labels.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(n,), dtype=int]
        Class numbers.
    classes : int
        How many classes there are.

    Returns
    -------
    FrameScores
        ``confusion[i, j]`` counts frames of class ``i`` taken for ``j``. Balanced accuracy is the
        mean recall of the classes that occur in the reference, macro F1 the mean F1 of those that
        occur in either.

    Raises
    ------
    ScoreError
        If there are not as many labels in both, or a label is no class number.
    """
    reference, estimate = np.asarray(reference), np.asarray(estimate)
    if reference.shape != estimate.shape or reference.ndim != 1:
        raise ScoreError(
            f"The reference has the shape {reference.shape} and the estimate {estimate.shape}: "
            "give one label a frame for both."
        )
    both = np.concatenate([reference, estimate])
    if len(both) and (both.min() < 0 or both.max() >= classes):
        raise ScoreError(
            f"Labels reach from {both.min()} to {both.max()}, but the classes are 0 to "
            f"{classes - 1}: did you give probabilities or other classes?"
        )
    pairs = reference.astype(np.int64) * classes + estimate
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hits = confusion.diagonal().astype(float)
    occurs, claimed = confusion.sum(axis=1), confusion.sum(axis=0)
    recall = _ratio(hits, occurs)
    f1 = _ratio(2 * hits, occurs + claimed)
    return FrameScores(
        accuracy=float(_ratio(hits.sum(), len(reference))),
        balanced_accuracy=_mean(recall),
        macro_f1=_mean(f1),
        f1=f1,
        recall=recall,
        precision=_ratio(hits, claimed),
        confusion=confusion,
    )


def whole_track(segments: Sequence[Segment], duration: float) -> list[Segment]:
    """Fill the gaps of a label track with ``noise``, and join what is of one class and touches.

    Parameters
    ----------
    segments : sequence of Segment
        Sorted, without overlaps.
    duration : float
        The recording's length.

    Returns
    -------
    list of Segment
        The events: from 0 to ``duration`` without gaps, never two of one class in a row.
    """
    filled: list[Segment] = []

    def add(start: float, end: float, label: str) -> None:
        if end <= start:
            return
        if filled and filled[-1].label == label:
            filled[-1] = filled[-1]._replace(end=end)
        else:
            filled.append(Segment(start, end, label))

    at = 0.0
    for start, end, label in segments:
        add(at, min(start, duration), BACKGROUND)
        add(max(start, at), min(end, duration), label)
        at = max(at, end)
    add(at, duration, BACKGROUND)
    return filled


def event_scores(
    pairs: Iterable[tuple[Sequence[Segment], Sequence[Segment]]],
    *,
    collar: float,
    share_of_length: float = 0.5,
    classes: Sequence[str] = CLASSES,
) -> EventScores:
    """Compare events by where they start and end.

    An estimated event is right when a reference event of its class starts within the collar of
    it, and ends within the collar, or within ``share_of_length`` of the reference event's length
    where that is more. Each event is used once; the pairing is the one with the most pairs.

    Parameters
    ----------
    pairs : iterable of (reference, estimate)
        Tracks of one recording each; counts are added over recordings.
    collar : float
        Seconds.
    share_of_length : float
        The tolerance of the end, as a share of the reference event's length.
    classes : sequence of str
        The classes that count as events.

    Returns
    -------
    EventScores
        Over all events, and F1 by class. A class that the reference lacks has none.
    """
    hits, occurs, claimed = (np.zeros(len(classes), dtype=int) for _ in range(3))
    for reference, estimate in pairs:
        for number, name in enumerate(classes):
            ours = np.array([s[:2] for s in reference if s.label == name]).reshape(-1, 2)
            theirs = np.array([s[:2] for s in estimate if s.label == name]).reshape(-1, 2)
            slack = np.maximum(collar, share_of_length * (ours[:, 1] - ours[:, 0]))
            starts = np.abs(ours[:, None, 0] - theirs[None, :, 0]) <= collar
            ends = np.abs(ours[:, None, 1] - theirs[None, :, 1]) <= slack[:, None]
            hits[number] += _most_pairs(starts & ends)
            occurs[number] += len(ours)
            claimed[number] += len(theirs)
    return _event_scores(hits, occurs, claimed)


def segment_scores(
    pairs: Iterable[tuple[Sequence[Segment], Sequence[Segment]]],
    *,
    resolution: float = 1.0,
    classes: Sequence[str] = CLASSES,
) -> EventScores:
    """Compare which classes occur in each stretch of ``resolution`` seconds.

    Parameters
    ----------
    pairs : iterable of (reference, estimate)
        Tracks of one recording each; counts are added over recordings.
    resolution : float
        Seconds.
    classes : sequence of str
        The classes that count.

    Returns
    -------
    EventScores
        Over all classes, and F1 by class. A class that the reference lacks has none.
    """
    hits, occurs, claimed = (np.zeros(len(classes), dtype=int) for _ in range(3))
    for reference, estimate in pairs:
        last = max((s.end for s in (*reference, *estimate)), default=0.0)
        steps = math.ceil(last / resolution)
        rolls = [_roll(track, steps, resolution, classes) for track in (reference, estimate)]
        hits += (rolls[0] & rolls[1]).sum(axis=0)
        occurs += rolls[0].sum(axis=0)
        claimed += rolls[1].sum(axis=0)
    return _event_scores(hits, occurs, claimed)


def boundary_scores(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], *, collar: float
) -> EventScores:
    """Compare times of change, whatever changes.

    Parameters
    ----------
    pairs : iterable of (reference, estimate)
        Times in seconds, of one recording each.
    collar : float
        Seconds by which an estimated time may be off.

    Returns
    -------
    EventScores
        Over all boundaries; ``by_class`` is empty.
    """
    hits = occurs = claimed = 0
    for reference, estimate in pairs:
        near = np.abs(np.subtract.outer(np.asarray(reference), np.asarray(estimate))) <= collar
        hits += _most_pairs(near)
        occurs += near.shape[0]
        claimed += near.shape[1]
    whole = _event_scores(*(np.array([count]) for count in (hits, occurs, claimed)))
    return whole._replace(by_class=np.zeros(0))


def boundaries(track: Sequence[Segment]) -> np.ndarray:
    """Return the times at which one segment ends and the next starts, in seconds."""
    return np.array([segment.start for segment in track[1:]], dtype=float)


def distance_to_boundary(track: Sequence[Segment], times: np.ndarray) -> np.ndarray:
    """Return how far each time is from the nearest boundary of a track.

    Parameters
    ----------
    track : sequence of Segment
        Without gaps, as :func:`whole_track` returns it.
    times : np.ndarray [shape=(n,)]
        Seconds.

    Returns
    -------
    np.ndarray [shape=(n,)]
        Seconds; infinite where the track has no boundary.
    """
    at = boundaries(track)
    if not len(at):
        return np.full(len(times), np.inf)
    return np.abs(np.subtract.outer(np.asarray(times, dtype=float), at)).min(axis=1)


def novelty(embedding: np.ndarray, *, kernel_frames: int) -> np.ndarray:
    """Return how much a recording changes at each frame, without knowing any class.

    The self-similarity (cosine) of the frames is correlated along its diagonal with a
    checkerboard under a Gaussian: high where the frames before resemble each other, the frames
    after resemble each other, and the two do not (Foote, "Automatic audio segmentation using a
    measure of audio novelty", ICME 2000).

    Parameters
    ----------
    embedding : np.ndarray [shape=(n, features)]
        Of one recording.
    kernel_frames : int
        How many frames on each side are compared.

    Returns
    -------
    np.ndarray [shape=(n,)]
        Between 0 and 1.
    """
    rows = np.asarray(embedding, dtype=float) - np.mean(embedding, axis=0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    side = (np.arange(-kernel_frames, kernel_frames) + 0.5) / kernel_frames
    taper = np.exp(-2 * side**2)
    kernel = np.outer(np.sign(side) * taper, np.sign(side) * taper)
    # mirrored, so that the ends of the recording are no boundaries
    padded = np.pad(rows, ((kernel_frames, kernel_frames), (0, 0)), mode="symmetric")
    curve = np.empty(len(rows))
    for i in range(len(rows)):
        around = padded[i : i + 2 * kernel_frames]
        curve[i] = ((around @ around.T) * kernel).sum()
    curve = np.maximum(curve, 0)
    return curve / max(curve.max(initial=0.0), 1e-9)


def _roll(
    track: Sequence[Segment], steps: int, resolution: float, classes: Sequence[str]
) -> np.ndarray:
    """Mark the steps in which each class occurs."""
    roll = np.zeros((steps, len(classes)), dtype=bool)
    for start, end, label in track:
        if label in classes:
            first, last = math.floor(start / resolution), math.ceil(end / resolution)
            roll[first:last, list(classes).index(label)] = True
    return roll


def _most_pairs(allowed: np.ndarray) -> int:
    """Return how many rows and columns can be paired at most, each used once."""
    if not allowed.any():
        return 0
    return int((maximum_bipartite_matching(csr_array(allowed), perm_type="column") >= 0).sum())


def _event_scores(hits: np.ndarray, occurs: np.ndarray, claimed: np.ndarray) -> EventScores:
    """Make scores of counts by class."""
    by_class = _ratio(2.0 * hits, occurs + claimed)
    by_class[occurs == 0] = np.nan
    return EventScores(
        f1=float(_ratio(2.0 * hits.sum(), occurs.sum() + claimed.sum())),
        precision=float(_ratio(float(hits.sum()), claimed.sum())),
        recall=float(_ratio(float(hits.sum()), occurs.sum())),
        by_class=by_class,
    )


def _ratio(part: np.ndarray | float, whole: np.ndarray | int) -> np.ndarray:
    """Divide, nan where there is nothing to divide by."""
    whole = np.asarray(whole, dtype=float)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is a number."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
