"""Frame scores: the share of windows that are right, overall and class by class.

scikit-learn computes the same, and the tests compare; but it refuses empty input, and three
divisions need no library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audioseg.errors import CourseError
from audioseg.labels import IGNORED


class ScoreError(CourseError):
    """Scores cannot be computed; one sentence with the value and what to do."""


class FrameScores(NamedTuple):
    """Scores over frames; ``recall``, ``precision`` and ``f1`` have one entry per class."""

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    f1: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    confusion: np.ndarray


def frame_scores(
    reference: np.ndarray, estimate: np.ndarray, *, classes: int | None = None
) -> FrameScores:
    """Compare frame labels.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(n,), dtype=int]
        Class numbers. Where the reference is -1 (``labels.IGNORED``), a frame does not count.
    classes : int, optional
        How many classes there are; by default as many as the labels need.

    Returns
    -------
    FrameScores
        ``confusion[i, j]`` counts frames of class ``i`` taken for ``j``. Balanced accuracy is the
        mean recall of the classes that occur in the reference, macro F1 the mean F1 of those that
        occur in either. A score without anything to count is ``nan``.

    Raises
    ------
    ScoreError
        If the two have different lengths, or a label is no class number.
    """
    reference, estimate = np.asarray(reference), np.asarray(estimate)
    if reference.shape != estimate.shape or reference.ndim != 1:
        raise ScoreError(
            f"The reference has the shape {reference.shape} and the estimate {estimate.shape}: "
            "give one label per frame for both."
        )
    known = reference != IGNORED
    reference, estimate = reference[known], estimate[known]
    both = np.concatenate([reference, estimate])
    if classes is None:
        classes = int(both.max(initial=0)) + 1
    if len(both) and (both.min() < 0 or both.max() >= classes):
        raise ScoreError(
            f"Labels reach from {both.min()} to {both.max()}, but the classes are 0 to "
            f"{classes - 1}: did you give probabilities or other classes?"
        )
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (reference.astype(int), estimate.astype(int)), 1)
    return scores_of(confusion)


def macro_f1_draws(confusions: Sequence[np.ndarray], *, draws: int = 400) -> np.ndarray:
    """Return the macro F1 on other recordings, as the bootstrap imagines them (Efron, 1979).

    Parameters
    ----------
    confusions : sequence of np.ndarray [shape=(recordings, classes, classes)]
        For each task or network, the confusion of each recording; the recordings are the same.
    draws : int
        How often recordings are drawn with replacement.

    Returns
    -------
    np.ndarray [shape=(len(confusions), draws)]
        In each draw, the recordings are the same for all.
    """
    count = len(confusions[0])
    chosen = np.random.default_rng(0).integers(count, size=(draws, count))
    return np.array(
        [[scores_of(c[rows].sum(axis=0)).macro_f1 for rows in chosen] for c in confusions]
    )


def macro_f1_error(confusions: Sequence[np.ndarray]) -> float:
    """Return the standard error of a macro F1: how much it would differ on other recordings.

    Parameters
    ----------
    confusions : sequence of np.ndarray [shape=(recordings, classes, classes)]
        The confusion of each recording. For several tasks on the same recordings, their mean
        macro F1 is used.

    Returns
    -------
    float
        The standard deviation over :func:`macro_f1_draws`; 0 for a single recording.
    """
    return float(np.mean(macro_f1_draws(confusions), axis=0).std())


def equally_many(confusions: np.ndarray) -> np.ndarray:
    """Weight confusions as if there were equally many frames of each class.

    Parameters
    ----------
    confusions : np.ndarray [shape=(..., classes, classes)]
        One, or one for each recording. Row: the class. Column: what it was taken for.

    Returns
    -------
    np.ndarray [shape=(..., classes, classes)]
        Over all recordings, the row of a class that occurs sums to 1.
    """
    of_class = confusions.sum(axis=(*range(confusions.ndim - 2), -1))
    return confusions / np.maximum(of_class, 1)[:, None]


def scores_of(confusion: np.ndarray) -> FrameScores:
    """Compute the scores of a confusion matrix.

    Parameters
    ----------
    confusion : np.ndarray [shape=(classes, classes)]
        Row: the class. Column: what it was taken for. Counts, or weights.

    Returns
    -------
    FrameScores
        See :func:`frame_scores`.
    """
    hits, occurs, claimed = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan; nothing else is divided by 0
        recall, precision, f1 = hits / occurs, hits / claimed, 2 * hits / (occurs + claimed)
        return FrameScores(
            accuracy=float(hits.sum() / confusion.sum()),
            balanced_accuracy=_mean_of_numbers(recall),
            macro_f1=_mean_of_numbers(f1),
            f1=f1,
            recall=recall,
            precision=precision,
            confusion=confusion,
        )


def _mean_of_numbers(values: np.ndarray) -> float:
    """Return the mean of all values but nan; if there are none, nan without a warning."""
    return float(np.nansum(values) / np.count_nonzero(~np.isnan(values)))
