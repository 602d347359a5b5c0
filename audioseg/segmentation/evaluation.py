"""Evaluation: compare a run's answers with the label tracks of a split, and find its mistakes.

Conventions as in ``scores``. Frames are :class:`audioseg.features.dataset.Frames`: the windows of
several recordings, one recording after the other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

import feat_ext
from audioseg.errors import CourseError
from audioseg.labels import Segment, read_classes, read_label_track
from audioseg.segmentation import scores
from audioseg.segmentation.segments import track_of
from audioseg.smoothing import EVIDENCE, WINDOW_SECONDS
from audioseg.training.scores import frame_scores

if TYPE_CHECKING:  # takes TensorFlow along
    from audioseg.features.dataset import Frames

# what 04 chooses from, by name; the choice is made on VAL
CANDIDATES: dict[str, dict[str, Any]] = {
    "none": {"method": "none"},
    **{f"median {s:g} s": {"method": "median", "seconds": s} for s in (0.6, 1.0, 1.5, 2.0)},
    **{f"minimum {s:g} s": {"method": "minimum", "seconds": s} for s in (0.5, 0.75, 1.0, 1.5)},
    **{f"viterbi {e:g}": {"method": "viterbi", "evidence": e} for e in EVIDENCE},
}


class EvaluationError(CourseError):
    """Tables and records do not belong together; one sentence says what to do."""


class Reference(NamedTuple):
    """The label track of a recording, without gaps, and the recording's length."""

    track: list[Segment]
    seconds: float


class Estimate(NamedTuple):
    """A run's labels of all frames, its tracks of all recordings, and the names of its classes."""

    labels: np.ndarray
    tracks: list[list[Segment]]
    classes: tuple[str, ...]


def references(folder: str | os.PathLike, split: str, names: Sequence[str]) -> list[Reference]:
    """Read the label tracks of a split.

    Parameters
    ----------
    folder : str or PathLike
        The corpus, as ``data/on-hold``.
    split : str
        TRN, VAL or TST.
    names : sequence of str
        The recordings.

    Returns
    -------
    list of Reference
        In the order of the names. Ignored time has a label that is not a class.

    Raises
    ------
    EvaluationError
        If ``recordings.csv`` does not know a recording.
    """
    table = _read_table(Path(folder) / "recordings.csv").set_index("recording")
    missing = [name for name in names if name not in table.index]
    if missing:
        raise EvaluationError(
            f"{Path(folder) / 'recordings.csv'} lacks the recording {missing[0]}, but the records "
            "have it: run 02 again, on the corpus as it is now."
        )
    classes, found = read_classes(folder), []
    for name in names:
        seconds = float(table.seconds[name])
        path = Path(folder) / split / f"{name}.txt"
        track = read_label_track(path, classes=classes.labels, duration=seconds)
        found.append(Reference(scores.whole_track(track, seconds, classes.background), seconds))
    return found


def estimate(
    probabilities: np.ndarray,
    frames: Frames,
    lengths: Sequence[float],
    config: Mapping[str, Any],
    *,
    method: str = "none",
    **options: float,
) -> Estimate:
    """Smooth each recording's probabilities, and make a track of them.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(N, classes)]
        Of all frames.
    frames : Frames
        The frames.
    lengths : sequence of float
        The recordings' lengths in seconds.
    config : mapping
        The run's ``config.json``.
    method, **options
        See :func:`audioseg.smoothing.smooth`.

    Returns
    -------
    Estimate
    """
    parts = [probabilities[frames.recording == number] for number in range(len(lengths))]
    found = [
        track_of(part, config, seconds, method=method, **options)
        for part, seconds in zip(parts, lengths, strict=True)
    ]
    labels, tracks = zip(*found, strict=True)
    return Estimate(np.concatenate(labels), list(tracks), tuple(config["classes"]))


def excerpts(
    frames: Frames, reference: Sequence[Reference], seconds: float
) -> tuple[Frames, list[Reference]]:
    """Cut recordings into excerpts, as if each were a file of its own.

    Parameters
    ----------
    frames : Frames
        The frames.
    reference : sequence of Reference
        As :func:`references` returns it.
    seconds : float
        The length of an excerpt, 0.975 or more. The rest of a recording is left out; a shorter
        recording stays whole.

    Returns
    -------
    tuple of (Frames, list of Reference)
        The windows inside each excerpt, heard once: a window of the second hearing would reach
        beyond the excerpt. And the reference of each excerpt.
    """
    hop = frames.hop_seconds
    # a small part of a hop is rounding
    count = 1 + int((seconds - WINDOW_SECONDS) / hop + 1e-6)
    step = max(count, int(np.ceil(seconds / hop - 1e-6)))
    rows, names, cut = [], [], []
    for number, whole in enumerate(reference):
        inside = np.flatnonzero(frames.recording == number)
        for first in range(0, max(1, len(inside) - count + 1), step):
            start, last = first * hop, min(seconds, whole.seconds - first * hop)
            track = [
                Segment(max(0.0, s.start - start), min(last, s.end - start), s.label)
                for s in whole.track
                if s.end > start and s.start < start + last
            ]
            rows.append(inside[first : first + count])
            names.append(f"{frames.names[number]} at {start:.2f} s")
            cut.append(Reference(track, last))
    at = np.concatenate(rows)
    return frames._replace(
        embedding=frames.embedding[at],
        audio_embedding=frames.audio_embedding[at],
        label=frames.label[at],
        recording=np.repeat(np.arange(len(rows)), [len(part) for part in rows]),
        names=tuple(names),
        faster_embedding=None,
        faster_audio_embedding=None,
    ), cut


def score(frames: Frames, reference: Sequence[Reference], estimate: Estimate) -> dict[str, float]:
    """Return the scores of frames, of events and of seconds.

    Parameters
    ----------
    frames : Frames
        The frames, with their labels. Frames with the label -1 do not count, nor do events there.
    reference : sequence of Reference
        As :func:`references` returns it.
    estimate : Estimate
        As :func:`estimate` returns it.

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``event_f1_0.5s``, ``event_f1_1.0s``
        and ``segment_f1_1.0s``.
    """
    classes = estimate.classes
    of_frames = frame_scores(frames.label, estimate.labels, classes=len(classes))
    pairs = [
        (r.track, scores.without(track, r.track, classes))
        for r, track in zip(reference, estimate.tracks, strict=True)
    ]
    return {
        "accuracy": of_frames.accuracy,
        "balanced_accuracy": of_frames.balanced_accuracy,
        "macro_f1": of_frames.macro_f1,
        **{
            f"event_f1_{collar:.1f}s": scores.event_scores(pairs, collar=collar, classes=classes).f1
            for collar in scores.COLLARS
        },
        "segment_f1_1.0s": scores.segment_scores(pairs, classes=classes).f1,
    }


def conditions(
    folder: str | os.PathLike,
    frames: Frames,
    reference: Sequence[Reference],
    classes: Sequence[str],
) -> pd.DataFrame:
    """Return what the corpus knows about each frame, to see where a run goes wrong.

    Parameters
    ----------
    folder : str or PathLike
        The corpus; where it has no ``segments.csv``, less is known.
    frames : Frames
        The frames.
    reference : sequence of Reference
        As :func:`references` returns it.
    classes : sequence of str
        The classes, in the order of their numbers.

    Returns
    -------
    pd.DataFrame
        One row per frame: ``recording`` (its name), ``time`` (of the window's centre), ``label``
        (a category, in the order of the classes; empty where it is ignored),
        ``to_boundary`` (seconds to the nearest change), and from ``segments.csv`` ``voice``,
        ``artist``, ``singer``, ``speech_to_music_db`` and ``narrow_band``, empty where they do
        not apply.
    """
    path = Path(folder) / "segments.csv"
    about = _read_table(path) if path.exists() else pd.DataFrame({"recording": []})
    parts = []
    for number, name in enumerate(frames.names):
        inside = frames.recording == number
        times = feat_ext.window_times(int(inside.sum()), frames.hop_seconds)
        part = pd.DataFrame(
            {
                "recording": name,
                "time": times,
                "label": pd.Categorical.from_codes(frames.label[inside], classes),
                "to_boundary": scores.distance_to_boundary(reference[number].track, times),
            }
        )
        rows = about[about.recording == name].sort_values("start") if len(about) else about
        if len(rows):
            at = np.searchsorted(rows.start.to_numpy(), times, side="right") - 1
            known = (at >= 0) & (times < rows.end.to_numpy()[at])
            for column in ("voice", "artist", "singer", "speech_to_music_db", "narrow_band"):
                part[column] = rows[column].iloc[at].where(known).to_numpy()
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def by_group(about: pd.DataFrame, right: np.ndarray, column: str) -> pd.DataFrame:
    """Return the number of windows of each voice or artist, and the share that is right.

    Parameters
    ----------
    about : pd.DataFrame
        As :func:`conditions` returns it.
    right : np.ndarray [shape=(N,), dtype=bool]
        Which frames are right.
    column : str
        ``voice``, ``artist``, or another column.

    Returns
    -------
    pd.DataFrame
        ``windows``, ``accuracy``, and the accuracy on each class (its recall).
    """
    known = about.assign(right=right)[about.label.notna()]
    table = known.groupby(column).right.agg(windows="size", accuracy="mean")
    recall = known.pivot_table("right", column, "label", aggfunc="mean", observed=True)
    return table.join(recall)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{path} cannot be read ({error}): run notebook 01 again, which writes it."
        ) from None
