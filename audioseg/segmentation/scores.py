"""Scores of segments: how close an estimated track comes to the reference.

*Event scores* ask, for each stretch of one class, whether the estimate has one that starts and ends
where it should. *Segment scores* ask, for each second, which classes occur in it. Both are those of
Mesaros, Heittola & Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences
6(6), 2016, with every class in turn an event. *Boundary scores* ask where anything changes.

mir_eval finds the pairs. The library of the paper's authors, sed_eval, is no longer maintained, and
no other library has segment scores; the tests hold sed_eval's results.

Conventions: tracks are lists of ``Segment``, pairs are (reference, estimate) of one recording
each, times are in seconds. A score without anything to count is ``nan``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from mir_eval.transcription import match_notes
from mir_eval.util import match_events
from scipy.ndimage import correlate1d

from audioseg.labels import CLASSES, Segment

COLLARS = (0.5, 1.0)  # seconds


class EventScores(NamedTuple):
    """Scores over events or seconds; ``by_class`` has one F1 per class."""

    f1: float
    precision: float
    recall: float
    by_class: np.ndarray


def whole_track(
    segments: Sequence[Segment], duration: float, background: str = "noise"
) -> list[Segment]:
    """Fill the gaps of a label track, and join neighbours of one class.

    Parameters
    ----------
    segments : sequence of Segment
        Sorted, without overlaps.
    duration : float
        The recording's length.
    background : str
        The class of the gaps; ``noise`` in the course's corpus.

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
        add(at, min(start, duration), background)
        add(max(start, at), min(end, duration), label)
        at = max(at, end)
    add(at, duration, background)
    return filled


def without(
    track: Sequence[Segment], reference: Sequence[Segment], classes: Sequence[str]
) -> list[Segment]:
    """Cut out of a track the time for which the reference has no class, and no score is due.

    Parameters
    ----------
    track : sequence of Segment
        An estimate.
    reference : sequence of Segment
        Without gaps; a label that is none of the classes marks time to ignore.
    classes : sequence of str
        The classes.

    Returns
    -------
    list of Segment
        The parts of the estimate's segments that lie where the reference has a class.
    """
    ignored = [s for s in reference if s.label not in classes]
    if not ignored:
        return list(track)
    ends = max([s.end for s in track], default=0.0)
    edges = [0.0, *(time for s in ignored for time in s[:2]), max(ends, ignored[-1].end)]
    return [
        segment._replace(start=max(segment.start, begin), end=min(segment.end, end))
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
        for segment in track
        if min(segment.end, end) > max(segment.start, begin)
    ]


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
    where that is more. Each event is used once; the pairing is the one with the most pairs. That
    is how mir_eval compares the notes of a melody, to a tenth of a millisecond.

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
    hits, occurs, claimed = np.zeros((3, len(classes)), dtype=int)
    for pair in pairs:
        for number, name in enumerate(classes):
            reference, estimate = (
                np.array([s[:2] for s in track if s.label == name]).reshape(-1, 2) for track in pair
            )
            matched = match_notes(
                reference,
                np.ones(len(reference)),  # of one pitch
                estimate,
                np.ones(len(estimate)),
                onset_tolerance=collar,
                offset_ratio=share_of_length,
                offset_min_tolerance=collar,
            )
            hits[number] += len(matched)
            occurs[number] += len(reference)
            claimed[number] += len(estimate)
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
    hits, occurs, claimed = np.zeros((3, len(classes)), dtype=int)
    for pair in pairs:
        last = max((segment.end for track in pair for segment in track), default=0.0)
        rolls = np.zeros((2, math.ceil(last / resolution), len(classes)), dtype=bool)
        for roll, track in zip(rolls, pair, strict=True):
            for start, end, label in track:
                if label in classes:
                    first, after = math.floor(start / resolution), math.ceil(end / resolution)
                    roll[first:after, classes.index(label)] = True
        hits += rolls.all(axis=0).sum(axis=0)
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
    counts = [
        (len(match_events(reference, estimate, collar)), len(reference), len(estimate))
        for reference, estimate in pairs
    ]
    together = np.array(counts, dtype=int).reshape(-1, 3).sum(axis=0)
    return _event_scores(*together[:, None])._replace(by_class=np.zeros(0))


def boundaries(track: Sequence[Segment]) -> np.ndarray:
    """Return the times at which one segment ends and the next starts, in seconds."""
    return np.array([segment.start for segment in track[1:]], dtype=float)


def distance_to_boundary(track: Sequence[Segment], times: np.ndarray) -> np.ndarray:
    """Return the distance of each time from the nearest boundary of a track.

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
    away = np.abs(np.subtract.outer(np.asarray(times, dtype=float), boundaries(track)))
    return away.min(axis=1, initial=np.inf)


def novelty(embedding: np.ndarray, *, kernel_frames: int) -> np.ndarray:
    """Return how much a recording changes at each frame, without knowing any class.

    The self-similarity (cosine) of the frames is correlated along its diagonal with a checkerboard
    under a Gaussian. The result is high where the frames before resemble each other, the frames
    after resemble each other, and the two groups differ (Foote, "Automatic audio segmentation
    using a measure of audio novelty", ICME 2000). librosa has no such curve. The checkerboard is
    the outer product of one curve with itself, so neither it nor the similarities are computed:
    correlate the frames with the curve, and take the squared length.

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
    before_and_after = np.sign(side) * np.exp(-2 * side**2)
    # mirrored, so that the ends of the recording are no boundaries
    change = correlate1d(rows, before_and_after, axis=0, mode="reflect")
    curve = np.sum(change**2, axis=1)
    return curve / max(curve.max(initial=0.0), 1e-9)


def _event_scores(hits: np.ndarray, occurs: np.ndarray, claimed: np.ndarray) -> EventScores:
    """Compute scores from counts by class."""
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan; nothing else is divided by 0
        by_class = 2 * hits / (occurs + claimed)
        by_class[occurs == 0] = np.nan
        return EventScores(
            f1=float(2 * hits.sum() / (occurs + claimed).sum()),
            precision=float(hits.sum() / claimed.sum()),
            recall=float(hits.sum() / occurs.sum()),
            by_class=by_class,
        )
