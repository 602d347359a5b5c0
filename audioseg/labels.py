"""Label tracks, as segments and as one label per frame; and the classes of a corpus.

A label track says what is heard when: it is a list of :class:`Segment`, in seconds. In a corpus it
has the format that Audacity imports and exports, one ``start<TAB>end<TAB>label`` per line;
:mod:`audioseg.label_formats` reads and writes other formats. Each corpus has its own
:class:`Classes`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audioseg.errors import CourseError
from audioseg.files import replacing
from audioseg.spelling import plain, spelling

# Audacity rounds to a microsecond, people drag by eye: overlaps below this are mended, not refused
TOLERANCE_SECONDS = 0.01
CORPUS_FILE = "corpus.json"
UNKNOWN = "?"  # the label of what nobody can tell
IGNORED = -1  # the frame label of time that teaches nothing and is not scored
MOST_CLASSES = 20  # that label tracks may name
LONGEST_NAME = 60  # letters


# of a label track as it is written: start, end, label, and where in the file
Row = tuple[str | float, str | float, str, str]


class LabelError(CourseError):
    """A label track that cannot be read; one sentence with file, line and what to do."""


class Segment(NamedTuple):
    """A stretch of one class: ``start`` and ``end`` in seconds, and its ``label``."""

    start: float
    end: float
    label: str


class Classes(NamedTuple):
    """The classes of a corpus.

    Attributes
    ----------
    names : tuple of str
        In the order of their numbers.
    background : str
        The class of time without a segment.
    ignore : tuple of str
        Labels that are not classes: training and scores leave their time out.
    """

    names: tuple[str, ...]
    background: str
    ignore: tuple[str, ...] = (UNKNOWN,)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Classes:
        """Read the classes from the fields of a corpus, of its records or of a run.

        The files are ``corpus.json``, ``dataset.json`` and ``config.json``. Without such fields,
        the classes are those of the course's corpus.

        Raises
        ------
        LabelError
            If they cannot be classes. The message starts with ``classes``; callers add the file.
        """
        names = said.get("classes", COURSE.names)
        background = said.get("background", COURSE.background)
        ignore = said.get("ignore", [UNKNOWN])
        if not all(
            isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
            for value in (names, ignore)
        ):
            raise LabelError("classes and ignore must be lists of names.")
        classes = cls(tuple(names), background, tuple(ignore))
        classes.check()
        return classes

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that a label track may contain."""
        return (*self.names, *self.ignore)

    def said(self) -> dict[str, Any]:
        """Return them as the JSON files of a corpus, of its records and of a run hold them."""
        ignore = list(self.ignore)
        return {"classes": list(self.names), "background": self.background, "ignore": ignore}

    def check(self) -> None:
        """Check the names and their number.

        Raises
        ------
        LabelError
            One sentence on the first fault.
        """
        for name in self.labels:
            if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
                raise LabelError(
                    f"classes: {name!r} cannot be a label: take 1 to {LONGEST_NAME} letters."
                )
        twice = [name for name in self.labels if self.labels.count(name) > 1]
        if twice:
            raise LabelError(
                f"classes: {twice[0]!r} is named twice: name each class once, and no label that "
                "is ignored."
            )
        if self.background not in self.names:
            raise LabelError(
                f"classes: {self.background!r}, for time without a label, is none of "
                f"{', '.join(self.names)}: add it to them."
            )
        named = len(self.names) - 1
        if not 1 <= named <= MOST_CLASSES:
            raise LabelError(
                f"classes: there are {named} besides {self.background!r}, but 1 to {MOST_CLASSES} "
                "are possible: name those that count (--classes), and ignore others (--ignore)."
            )


# of the course's own corpus; its noise includes silence
CLASSES = ("speech", "music", "speech+music", "noise")
BACKGROUND = "noise"
COURSE = Classes(CLASSES, BACKGROUND)


def read_classes(corpus: str | os.PathLike) -> Classes:
    """Return the classes of a corpus, from its ``corpus.json``.

    Parameters
    ----------
    corpus : str or PathLike
        Its folder. Without ``corpus.json``, it has the classes of the course's corpus.

    Raises
    ------
    LabelError
        If the file cannot be read, or what it names cannot be classes.
    """
    path = Path(corpus) / CORPUS_FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return COURSE
    except (OSError, ValueError) as error:
        raise LabelError(f"{path} cannot be read ({error}): make the corpus again.") from None
    if not isinstance(said, dict) or "classes" not in said:
        raise LabelError(f"{path} names no classes: make the corpus again.")
    try:
        return Classes.of(said)
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from None


def write_classes(corpus: str | os.PathLike, classes: Classes) -> None:
    """Write the classes of a corpus into its ``corpus.json``, unless they are there already."""
    path = Path(corpus) / CORPUS_FILE
    text = json.dumps(classes.said(), indent=1, ensure_ascii=False) + "\n"
    if not path.exists() or path.read_bytes() != text.encode():
        with replacing(path) as aside:
            aside.write_text(text, encoding="utf-8", newline="\n")


def read_label_track(
    path: str | os.PathLike,
    *,
    classes: Sequence[str] | None = None,
    duration: float | None = None,
) -> list[Segment]:
    """Read an Audacity label track.

    It may contain a byte-order mark, Windows line ends, decimal commas, blank lines, capital
    letters and Audacity's lines on spectral selections, which start with a backslash.

    Parameters
    ----------
    path : str or PathLike
        The label track.
    classes : sequence of str, optional
        The labels that may occur; any by default.
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
    return segments_of(path, label_rows(path), classes=classes, duration=duration)


def label_rows(path: str | os.PathLike) -> list[Row]:
    """Read the lines of an Audacity label track as they are, for :func:`segments_of`."""
    rows = []
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if line.strip() and not line.startswith("\\"):
            fields = line.split("\t") if "\t" in line else line.split(maxsplit=2)
            if len(fields) < 3:
                raise LabelError(
                    f"{path}, line {number}: {line!r} has {len(fields)} of the 3 fields start, end "
                    "and label: separate them by tabs."
                )
            rows.append((fields[0], fields[1], " ".join(fields[2:]), f"line {number}"))
    return rows


def text_of(path: str | os.PathLike) -> str:
    """Read a text file in UTF-8, with a byte-order mark or without.

    Raises
    ------
    LabelError
        If it cannot be read, or is not such text.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LabelError(f"{path} is not UTF-8 text: export the label track again.") from None
    except OSError as error:
        raise LabelError(f"{path} cannot be read ({error.strerror}): check the file.") from None


def segments_of(
    path: str | os.PathLike,
    rows: Iterable[Row],
    *,
    classes: Sequence[str] | None = None,
    duration: float | None = None,
) -> list[Segment]:
    """Check the rows of a label track, and return its segments.

    Parameters
    ----------
    path : str or PathLike
        The label track, to name it.
    rows : iterable of (start, end, label, where)
        Start and end in seconds, as numbers or as text; ``where`` is the row's place in the file.
    classes, duration
        As for :func:`read_label_track`, and so are the errors.
    """
    placed = sorted(
        (_segment_of(*row[:3], f"{path}, {row[3]}", classes, duration), number, row[3])
        for number, row in enumerate(rows)
    )
    segments = [segment for segment, _, _ in placed]
    for (earlier, _, a), (later, _, b) in pairwise(placed):
        if earlier.end - later.start > TOLERANCE_SECONDS:
            raise LabelError(
                f"{path}, {b}: the segment starts at {later.start:g} s, before the one in "
                f"{a} ends at {earlier.end:g} s: let them touch, not overlap."
            )
    limits = [*(later.start for later in segments[1:]), math.inf][: len(segments)]
    cut = [s._replace(end=min(s.end, limit)) for s, limit in zip(segments, limits, strict=True)]
    return [s for s in cut if s.start < s.end]


def _segment_of(
    start: str | float,
    end: str | float,
    label: str,
    where: str,
    classes: Sequence[str] | None,
    duration: float | None,
) -> Segment:
    """Check one row of a label track."""
    try:
        begins, ends = (float(str(time).strip().replace(",", ".")) for time in (start, end))
    except ValueError:
        raise LabelError(
            f"{where}: {start!r} to {end!r} are not times: write seconds, as in 12.5."
        ) from None
    label = label.strip()
    if not 0 <= begins < ends < math.inf:
        raise LabelError(
            f"{where}: {begins:g} to {ends:g} s is not a stretch of time: let it start at 0 or "
            "later, and end after its start."
        )
    if classes is not None:
        label = _class_of(label, where, classes)
    elif not label.isprintable() or not 1 <= len(label) <= LONGEST_NAME:
        raise LabelError(
            f"{where}: {label[:LONGEST_NAME]!r} cannot be a label: take 1 to {LONGEST_NAME} "
            "letters."
        )
    if duration is not None and ends > duration + TOLERANCE_SECONDS:
        raise LabelError(
            f"{where}: the segment ends at {ends:g} s, but the recording at {duration:g} s: "
            "is this the right recording, are the times in seconds?"
        )
    return Segment(begins, ends if duration is None else min(ends, duration), label)


def _class_of(label: str, where: str, classes: Sequence[str]) -> str:
    """Return the class that a label names, whatever its capitals and blanks."""
    if label in classes:
        return label
    known = {plain(name): name for name in classes}
    if plain(label) not in known:
        meant = spelling(label, classes)
        hint = f"; is {meant!r} meant?" if meant else "."
        named = [name for name in classes if name != UNKNOWN]
        raise LabelError(f"{where}: the label {label!r} is none of {', '.join(named)}{hint}")
    return known[plain(label)]


def label_track(segments: Iterable[Segment]) -> str:
    """Return segments as an Audacity label track: seconds with six decimals, separated by tabs.

    A segment that has no length after rounding is left out: no program would read it.
    """
    written = ((f"{start:.6f}", f"{end:.6f}", label) for start, end, label in segments)
    return "".join(f"{a}\t{b}\t{label}\n" for a, b, label in written if a != b)


def write_label_track(path: str | os.PathLike, segments: Iterable[Segment]) -> None:
    """Write segments as an Audacity label track."""
    with replacing(path) as aside:
        aside.write_text(label_track(segments), encoding="utf-8", newline="\n")


def segments_from_frames(
    labels: np.ndarray,
    *,
    hop_seconds: float,
    first_center: float,
    classes: Sequence[str] = CLASSES,
    duration: float | None = None,
) -> list[Segment]:
    """Join equal neighbouring frame labels into segments.

    Parameters
    ----------
    labels : np.ndarray [shape=(n,), dtype=int]
        The class of each frame.
    hop_seconds : float
        The time between the centres of neighbouring frames.
    first_center : float
        The time of the first frame's centre in seconds. A change between two frames is placed
        half-way between their centres.
    classes : sequence of str
        The classes, in the order of their numbers; those of the course's corpus by default.
    duration : float, optional
        The recording's length. The first segment starts at 0 and the last ends there; without
        it, the last ends half a hop after the last frame's centre.

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
