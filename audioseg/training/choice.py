"""Which run to use: what VAL says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from audioseg.smoothing import EVIDENCE, smooth
from audioseg.training.scores import (
    equally_many,
    frame_scores,
    macro_f1_draws,
    macro_f1_error,
    scores_of,
)

CLEARLY = 2  # standard errors


def recordings_of(val: Any) -> np.ndarray:
    """Return which recording each window is of.

    Where something was left out of a recording, :class:`~audioseg.features.dataset.Frames` hold it
    as several of one name. Here these count as one.

    Parameters
    ----------
    val : audioseg.features.dataset.Frames

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int]
        Numbers from 0 on, in the order of the windows.
    """
    return np.cumsum([0, *(a != b for a, b in pairwise(val.names))])[val.recording]


def clips_of(recording: np.ndarray, *, step: int) -> np.ndarray:
    """Return the numbers of every ``step``-th window of each recording, from its first on.

    Parameters
    ----------
    recording : np.ndarray [shape=(n,), dtype=int]
        Which recording each window is of, one recording after the other.
    step : int
        Windows from one to the next.

    Returns
    -------
    np.ndarray [shape=(clips,), dtype=int]
        At least one of each recording.
    """
    first = np.searchsorted(recording, recording, side="left")
    return np.flatnonzero((np.arange(len(recording)) - first) % step == 0)


def val_scores(
    val: Any, whole: np.ndarray, *, clips: np.ndarray, alone: np.ndarray
) -> dict[str, float]:
    """Score a network on VAL nearly as ``audioseg segment`` uses it, for ``metrics.json``.

    Parameters
    ----------
    val : audioseg.features.dataset.Frames
        VAL.
    whole : np.ndarray [shape=(recordings, classes, classes)]
        What :func:`best_smoothed` returns for the run's hearings.
    clips : np.ndarray [shape=(clips,), dtype=int]
        Windows to score as clips of a second, at least one of each of :func:`recordings_of`; see
        :func:`clips_of`.
    alone : np.ndarray [shape=(clips, classes)]
        What the network says of each clip: of the window with nothing around it, heard once.

    Returns
    -------
    dict of str to float
        Accuracy and macro F1 of whole recordings, smoothed by Viterbi with the weight that suits
        the network best (``val_smoothed_…``), and of clips (``val_short_…``). Clips are weighted as
        if there were equally many of each class: the shares of the classes in VAL are those of its
        recordings, and a clip comes from anywhere.
        ``val_score_error`` is the standard error of :func:`val_score`.
    """
    recording, count = recordings_of(val)[clips], alone.shape[1]
    short = equally_many(_confusions(val.label[clips], alone.argmax(axis=1), recording, count))
    scores = {}
    for name, confusions in {"smoothed": whole, "short": short}.items():
        found = scores_of(confusions.sum(axis=0))
        scores[f"val_{name}_accuracy"] = found.accuracy
        scores[f"val_{name}_macro_f1"] = found.macro_f1
    return scores | {"val_score_error": macro_f1_error([whole, short])}


def best_smoothed(val: Any, probabilities: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    """Smooth VAL by Viterbi with the weight that suits a network best.

    Parameters
    ----------
    val : audioseg.features.dataset.Frames
        VAL.
    probabilities : np.ndarray [shape=(n, classes)]
        What the network says of each window in its recording.
    config : mapping
        The run's ``config.json``, for ``hop_seconds``, ``priors`` and ``transitions``.

    Returns
    -------
    np.ndarray [shape=(recordings, classes, classes)]
        The confusion of each of :func:`recordings_of`, with the highest macro F1 over all.
    """
    recording, count = recordings_of(val), probabilities.shape[1]
    return max(
        (
            _confusions(val.label, _smoothed(val, probabilities, config, weight), recording, count)
            for weight in EVIDENCE
        ),
        key=lambda confusions: scores_of(confusions.sum(axis=0)).macro_f1,
    )


def hearings(once: np.ndarray, twice: np.ndarray | None) -> int:
    """Return how often a run hears a recording: twice, unless VAL is clearly against it.

    The second hearing (:mod:`audioseg.features.faster`) is higher, and shows more of the recording
    at a time. That helps with the course's classes. It can harm where the pitch tells the classes
    apart, as it tells people or birds.

    Parameters
    ----------
    once, twice : np.ndarray [shape=(recordings, classes, classes)]
        What :func:`best_smoothed` returns for the first hearing, and for the mean of both; None
        where VAL has no second one.

    Returns
    -------
    int
        1 if there is no second hearing, or if macro F1 is higher without it by more than two
        standard errors of the difference (which are 0 where VAL is a single recording); else 2.
    """
    if twice is None:
        return 1
    first, both = (scores_of(confusions.sum(axis=0)).macro_f1 for confusions in (once, twice))
    error = np.subtract(*macro_f1_draws([once, twice])).std()
    return 1 if first - both > CLEARLY * error else 2


def _smoothed(
    val: Any, probabilities: np.ndarray, config: Mapping[str, Any], evidence: float
) -> np.ndarray:
    """Return labels (n,), recording by recording."""
    smoothed = np.empty(len(val.label), np.int64)
    for inside in _each(val.recording):
        smoothed[inside] = smooth(
            probabilities[inside],
            "viterbi",
            hop_seconds=config["hop_seconds"],
            evidence=evidence,
            transition=config["transitions"],
            priors=config["priors"],
        )
    return smoothed


def _confusions(
    reference: np.ndarray, estimate: np.ndarray, recording: np.ndarray, count: int
) -> np.ndarray:
    """Return the confusion of each recording, (recordings, classes, classes)."""
    return np.stack(
        [
            frame_scores(reference[one], estimate[one], classes=count).confusion
            for one in _each(recording)
        ]
    )


def _each(recording: np.ndarray) -> list[np.ndarray]:
    """Return for each recording which windows are its own."""
    return [recording == one for one in np.unique(recording)]


def val_score(metrics: Mapping[str, Any]) -> float:
    """Return what runs are compared by: the mean macro F1 of whole recordings and of clips of 1 s.

    Whole recordings are smoothed by Viterbi with the weight that suits the run best (04 chooses the
    smoothing of the chosen run by event F1); clips of a single window get what the network says
    (heard once; most runs hear twice in ``audioseg segment``). Older runs have neither; theirs is
    the macro F1 of frames.
    """
    whole = metrics.get("val_smoothed_macro_f1", metrics["val_macro_f1"])
    return (whole + metrics.get("val_short_macro_f1", whole)) / 2


def by_corpus(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Group the runs by the recordings they were scored on; scores compare only within a group.

    Parameters
    ----------
    rows : sequence of mapping
        As :func:`audioseg.training.runs.table` returns them, on any corpora.

    Returns
    -------
    list of list of mapping
        A list for each corpus, in the order of the rows.
    """
    groups: dict[Any, list] = {}
    for row in rows:
        groups.setdefault(row.get("corpus"), []).append(row)
    return list(groups.values())
