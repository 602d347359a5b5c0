"""Which run to use: what VAL says of each, and the choice among those that it cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audioseg.smoothing import smooth
from audioseg.training.scores import frame_scores, macro_f1_error


def val_scores(
    label: np.ndarray,
    recording: np.ndarray,
    probabilities: np.ndarray,
    alone: np.ndarray,
    config: Mapping[str, Any],
    *,
    step: int,
) -> dict[str, float]:
    """Score a network on VAL as ``audioseg segment`` would use it, for a run's ``metrics.json``.

    Parameters
    ----------
    label, recording : np.ndarray [shape=(n,), dtype=int]
        The class and the recording of each window of VAL.
    probabilities : np.ndarray [shape=(n, classes)]
        What the network says of each window in its recording.
    alone : np.ndarray [shape=(ceil(n / step), classes)]
        What it says of every ``step``-th window if there is nothing around it: clips of a second.
    config : mapping
        The run's ``config.json``, for ``hop_seconds``, ``priors`` and ``transitions``.
    step : int
        Windows from one clip to the next.

    Returns
    -------
    dict of str to float
        Accuracy and macro F1 of whole recordings, smoothed (``val_smoothed_…``), and of clips
        (``val_short_…``); ``val_score_error``, the standard error of :func:`val_score`.
    """
    count = probabilities.shape[1]
    smoothed = np.empty(len(label), np.int64)
    for inside in _each(recording):
        smoothed[inside] = smooth(
            probabilities[inside],
            "viterbi",
            hop_seconds=config["hop_seconds"],
            transition=config["transitions"],
            priors=config["priors"],
        )
    whole = label, smoothed, recording
    clips = label[::step], alone.argmax(axis=1), recording[::step]
    scores = {}
    for name, (reference, estimate, _) in {"smoothed": whole, "short": clips}.items():
        found = frame_scores(reference, estimate, classes=count)
        scores[f"val_{name}_accuracy"] = found.accuracy
        scores[f"val_{name}_macro_f1"] = found.macro_f1
    confusions = [
        np.stack([frame_scores(a[one], b[one], classes=count).confusion for one in _each(where)])
        for a, b, where in (whole, clips)
    ]
    return scores | {"val_score_error": macro_f1_error(confusions)}


def _each(recording: np.ndarray) -> list[np.ndarray]:
    """Return for each recording which windows are its own."""
    return [recording == one for one in np.unique(recording)]


def val_score(metrics: Mapping[str, Any]) -> float:
    """Return what runs are compared by: the mean macro F1 of whole recordings and of clips of 1 s.

    Both are what ``audioseg segment`` would answer: whole recordings smoothed, clips of a single
    window as the network says. Older runs have neither; theirs is the macro F1 of frames.
    """
    whole = metrics.get("val_smoothed_macro_f1", metrics["val_macro_f1"])
    return (whole + metrics.get("val_short_macro_f1", whole)) / 2


def choose(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Choose a run by VAL: the smallest network among those that VAL cannot tell from the best.

    Another handful of recordings would rank runs differently if their scores are close. All within
    one standard error of the best :func:`val_score` count as equally good, and the simplest of them
    is the one to trust with other recordings (the one-standard-error rule of Breiman et al.,
    "Classification and Regression Trees", 1984).

    Parameters
    ----------
    rows : sequence of mapping
        Runs on one corpus, as :func:`audioseg.training.runs.table` returns them.

    Returns
    -------
    mapping
        One of the rows.
    """
    leader = max(rows, key=val_score)
    enough = val_score(leader) - leader.get("val_score_error", 0.0)
    close = [row for row in rows if val_score(row) >= enough and "network_parameters" in row]
    return min(close, key=lambda row: (row["network_parameters"], -val_score(row)), default=leader)
