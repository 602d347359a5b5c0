"""Label tracks: what is heard when, as segments, as files, as one label a frame.

A label track is a list of :class:`Segment`, in seconds, in the form that Audacity imports and
exports: one ``start<TAB>end<TAB>label`` a line. What no segment covers is ``noise``, because the
class noise includes silence.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audioseg.errors import CourseError
from audioseg.files import replacing

CLASSES = ("speech", "music", "speech+music", "noise")
BACKGROUND = "noise"
# Audacity rounds to a microsecond, people drag by eye: overlaps below this are mended, not refused
TOLERANCE_SECONDS = 0.01


class LabelError(CourseError):
    """A label track that cannot be read; one sentence with file, line and what to do."""


class Segment(NamedTuple):
    """A stretch of one class: ``start`` and ``end`` in seconds, and its ``label``."""

    start: float
    end: float
    label: str


def read_label_track(
    path: str | os.PathLike,
    *,
    classes: Sequence[str] = CLASSES,
    duration: float | None = None,
) -> list[Segment]:
    """Read an Audacity label track.

    A byte-order mark, Windows line ends, a decimal comma, blank lines, Audacity's lines on
    spectral selections (they start with a backslash) and capital letters are read as meant.

    Parameters
    ----------
    path : str or PathLike
        The label track.
    classes : sequence of str
        The labels that may occur.
    duration : float, optional
        The recording's length in seconds; a segment may not end later.

    Returns
    -------
    list of Segment
        Sorted by time, without overlaps.

    Raises
    ------
    LabelError
        If a line cannot be understood; it names the file, the line and the remedy.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LabelError(f"{path} is not UTF-8 text: export the label track again.") from None
    except OSError as error:
        raise LabelError(f"{path} cannot be read ({error.strerror}): check the file.") from None
    numbered = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("\\"):
            numbered.append(
                (_segment_of(line, f"{path}, line {number}", classes, duration), number)
            )
    numbered.sort()
    segments = [segment for segment, _ in numbered]
    for (earlier, a), (later, b) in pairwise(numbered):
        if earlier.end - later.start > TOLERANCE_SECONDS:
            raise LabelError(
                f"{path}, line {b}: the segment starts at {later.start:g} s, before the one of "
                f"line {a} ends at {earlier.end:g} s: let them touch, not overlap."
            )
    limits = [*(later.start for later in segments[1:]), math.inf][: len(segments)]
    cut = [s._replace(end=min(s.end, limit)) for s, limit in zip(segments, limits, strict=True)]
    return [s for s in cut if s.start < s.end]


def _segment_of(line: str, where: str, classes: Sequence[str], duration: float | None) -> Segment:
    """Read one line of a label track."""
    fields = line.split("\t") if "\t" in line else line.split(maxsplit=2)
    if len(fields) < 3:
        raise LabelError(
            f"{where}: {line!r} has {len(fields)} of the 3 fields start, end and label: "
            "separate them by tabs."
        )
    try:
        start, end = (float(field.strip().replace(",", ".")) for field in fields[:2])
    except ValueError:
        raise LabelError(
            f"{where}: {fields[0]!r} to {fields[1]!r} are not times: write seconds, as in 12.5."
        ) from None
    label = " ".join(fields[2:]).strip()
    known = {name.lower(): name for name in classes}
    if not (math.isfinite(start) and math.isfinite(end)) or start < 0:
        raise LabelError(
            f"{where}: the times {start:g} to {end:g} s must be finite and not negative."
        )
    if end <= start:
        raise LabelError(
            f"{where}: the segment ends at {end:g} s, not after its start at {start:g} s."
        )
    if label.lower() not in known:
        raise LabelError(f"{where}: the label {label!r} is none of {', '.join(classes)}.")
    if duration is not None and end > duration + TOLERANCE_SECONDS:
        raise LabelError(
            f"{where}: the segment ends at {end:g} s, but the recording at {duration:g} s: "
            "is this the right recording, are the times in seconds?"
        )
    return Segment(start, end if duration is None else min(end, duration), known[label.lower()])


def label_track(segments: Iterable[Segment]) -> str:
    """Return segments as an Audacity label track: seconds with six decimals, tabs between."""
    return "".join(f"{start:.6f}\t{end:.6f}\t{label}\n" for start, end, label in segments)


def write_label_track(path: str | os.PathLike, segments: Iterable[Segment]) -> None:
    """Write segments as an Audacity label track."""
    with replacing(path) as aside:
        aside.write_text(label_track(segments), encoding="utf-8", newline="\n")


def segments_from_frames(
    labels: np.ndarray,
    *,
    hop_seconds: float,
    first_center: float,
    duration: float | None = None,
    classes: Sequence[str] = CLASSES,
) -> list[Segment]:
    """Join equal neighbouring frame labels to segments.

    Parameters
    ----------
    labels : np.ndarray [shape=(n,), dtype=int]
        The class of each frame.
    hop_seconds : float
        The time between the centres of neighbouring frames.
    first_center : float
        The time of the first frame's centre in seconds. A change between two frames is placed
        half-way between their centres.
    duration : float, optional
        The recording's length. The first segment starts at 0 and the last ends there; without
        it, the last ends half a hop after the last frame's centre.
    classes : sequence of str
        The classes, in the order of their numbers.

    Returns
    -------
    list of Segment
        They cover the recording without gaps.
    """
    labels = np.asarray(labels)
    if not len(labels):
        return []
    changes = np.flatnonzero(np.diff(labels)) + 1
    inner = first_center + (changes - 0.5) * hop_seconds
    last = first_center + (len(labels) - 0.5) * hop_seconds if duration is None else duration
    edges = [0.0, *(float(edge) for edge in inner), float(last)]
    names = [classes[labels[i]] for i in (0, *changes)]
    return [Segment(a, b, name) for (a, b), name in zip(pairwise(edges), names, strict=True)]
