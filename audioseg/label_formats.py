"""Label tracks in the formats of other programs: Audacity, CSV, RTTM, Praat, ELAN.

========= ============ ===================================================================
suffix    program      what it cannot hold
========= ============ ===================================================================
.txt      Audacity     times finer than a microsecond
.csv      spreadsheets times finer than a microsecond
.rttm     diarization  times finer than a microsecond; blanks in a label, which become ``_``
.TextGrid Praat        times other than 0 in the first tenth of a millisecond
.eaf      ELAN         times finer than a millisecond
========= ============ ===================================================================

Only CSV holds the probabilities of segments.
"""

from __future__ import annotations

import csv
import io
import mimetypes
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from audioseg.labels import (
    LabelError,
    Row,
    Segment,
    label_rows,
    label_track,
    segments_of,
    text_of,
)

TIER = "segments"  # what ours is called in Praat and ELAN
SMALLEST_SECONDS = 0.0001
AGREE_SECONDS = 0.0015  # two forms of one track: ELAN rounds to a millisecond


class Form(NamedTuple):
    """A format of label tracks.

    Attributes
    ----------
    read : callable
        Takes a path and the name of a tier or None; returns rows for
        :func:`audioseg.labels.segments_of`.
    write : callable
        Takes segments, the recording's name and its length in seconds; returns text.
    """

    read: Callable[[Path, str | None], list[Row]]
    write: Callable[[Sequence[Segment], str, float], str]


def read_track(
    path: str | os.PathLike,
    *,
    classes: Sequence[str] | None = None,
    duration: float | None = None,
    tier: str | None = None,
) -> list[Segment]:
    """Read a label track; the suffix tells its format.

    Parameters
    ----------
    path : str or PathLike
        The label track.
    classes, duration
        As for :func:`audioseg.labels.read_label_track`.
    tier : str, optional
        Which tier of a TextGrid or EAF; by default the only one with intervals.

    Returns
    -------
    list of Segment
        As :func:`audioseg.labels.read_label_track` returns it.

    Raises
    ------
    LabelError
        If the suffix is of no format here, the file cannot be understood, or it has no such tier;
        one sentence with the file and the place in it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMS:
        raise LabelError(f"{path} is not a label track: its suffix is none of {', '.join(FORMS)}.")
    rows = FORMS[suffix].read(path, tier)
    return segments_of(path, rows, classes=classes, duration=duration)


def is_track(path: Path) -> bool:
    """Tell a label track by its suffix; hidden files and ``.review.txt`` do not count."""
    hidden = path.name.startswith(".") or path.stem.endswith(".review")
    return path.suffix.lower() in FORMS and not hidden


def the_one_of(paths: Sequence[Path], *, tier: str | None = None) -> Path:
    """Choose one of several tracks of a recording.

    ``audioseg segment`` writes a track in several formats, and people correct one of them. If all
    agree, the first is taken; if one differs from all others, that one.

    Raises
    ------
    LabelError
        If they disagree in another way, or one cannot be read.
    """
    paths = sorted(paths, key=lambda path: (list(FORMS).index(path.suffix.lower()), path))
    if len(paths) == 1:
        return paths[0]
    tracks = [read_track(path, tier=tier) for path in paths]
    alone = [
        path
        for path, track in zip(paths, tracks, strict=True)
        if not any(_agree(track, other) for other in tracks if other is not track)
    ]
    if not alone:
        return paths[0]
    if len(alone) == 1 and len(paths) > 2:
        return alone[0]
    raise LabelError(
        f"{paths[0].parent} has two label tracks for one recording that differ, {alone[0].name} "
        f"and {next(path for path in paths if path != alone[0]).name}: remove the wrong one."
    )


def all_agree(paths: Sequence[Path]) -> bool:
    """Tell whether all tracks of a recording agree; not if one of them cannot be read."""
    try:
        first, *others = map(read_track, paths)
    except LabelError:
        return False
    return all(_agree(first, other) for other in others)


def _agree(one: Sequence[Segment], other: Sequence[Segment]) -> bool:
    return len(one) == len(other) and all(
        abs(a.start - b.start) < AGREE_SECONDS
        and abs(a.end - b.end) < AGREE_SECONDS
        and _joined(a.label) == _joined(b.label)
        for a, b in zip(one, other, strict=True)
    )


def _joined(label: str) -> str:
    """Return a label without blanks, which RTTM cannot hold."""
    return re.sub(r"\s+", "_", label)


def seconds_text(seconds: float) -> str:
    """Return a time with three to six decimals."""
    text = f"{seconds:.6f}"
    return text[:-3] + text[-3:].rstrip("0")


def _kept(track: Iterable[Segment], decimals: int = 6) -> list[Segment]:
    """Round times, and leave out segments that then have no length: no reader accepts them."""
    rounded = (Segment(round(s[0], decimals), round(s[1], decimals), s[2]) for s in track)
    return [segment for segment in rounded if segment.start < segment.end]


# -- CSV


def delimiter_of(head: str) -> str:
    """Return what separates the columns of a table, by its first line: ``,``, ``;`` or a tab.

    Spreadsheets write semicolons where the comma is for decimals. ``csv.Sniffer`` would take any
    letter that recurs, and refuses a single column.
    """
    return max(",;\t", key=head.count)


def read_csv(path: Path, tier: str | None = None) -> list[Row]:
    """Read a table with the columns start, end and label, in any order, among others or alone."""
    text = text_of(path)
    delimiter = delimiter_of(text.partition("\n")[0])
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    columns = [name.strip().lower() for name in rows[0]] if rows else []
    missing = [name for name in ("start", "end", "label") if name not in columns]
    if missing:
        raise LabelError(
            f"{path}, line 1: the column {missing[0]!r} is missing: the first line is "
            "start,end,label."
        )
    at = [columns.index(name) for name in ("start", "end", "label")]
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(field.strip() for field in row):
            continue
        if len(row) <= max(at):
            raise LabelError(f"{path}, line {number}: it has fewer fields than line 1: fill it.")
        found.append((*(row[i] for i in at), f"line {number}"))
    return found


def write_csv(
    track: Sequence[Segment],
    name: str,
    seconds: float,
    probabilities: Sequence[float] | None = None,
) -> str:
    """Return a CSV table: start, end, label, and the probability of that label if it is known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    more = [[]] * len(track) if probabilities is None else [[f"{p:.3f}"] for p in probabilities]
    writer.writerow(
        ["start", "end", "label", *(["probability"] if probabilities is not None else [])]
    )
    for segment, last in zip(track, more, strict=True):
        for start, end, label in _kept([segment]):
            writer.writerow([seconds_text(start), seconds_text(end), label, *last])
    return text.getvalue()


# -- RTTM


def read_rttm(path: Path, tier: str | None = None) -> list[Row]:
    """Read the SPEAKER lines of NIST's Rich Transcription Time Marked format.

    A file may hold several recordings; the one with the file's own name is taken.
    """
    rows: dict[str, list[Row]] = {}
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise LabelError(
                f"{path}, line {number}: it has {len(fields)} of the 8 fields that a SPEAKER line "
                "needs: type, file, channel, start, duration, -, -, name."
            )
        try:
            start, end = float(fields[3]), float(fields[3]) + float(fields[4])
        except ValueError:
            raise LabelError(
                f"{path}, line {number}: {fields[3]!r} and {fields[4]!r} are not a start and a "
                "duration in seconds."
            ) from None
        # the sum of two decimal fractions has no more decimals than they
        row = (start, round(end, 9), fields[7], f"line {number}")
        rows.setdefault(fields[1], []).append(row)
    if len(rows) > 1 and _joined(path.stem) not in rows:
        raise LabelError(
            f"{path} holds {len(rows)} recordings, and none is called {path.stem}: cut it into "
            "one file per recording."
        )
    return rows.get(_joined(path.stem), next(iter(rows.values()), []))


def write_rttm(track: Iterable[Segment], name: str, seconds: float) -> str:
    """Return segments in NIST's Rich Transcription Time Marked format.

    One line a segment: type, file, channel, onset, duration, and the label where diarization has
    the speaker's name. Fields are separated by blanks, so a name may not contain any.
    """
    lines = []
    for start, end, label in _kept(track):
        lines.append(
            f"SPEAKER {_joined(name)} 1 {seconds_text(start)} {seconds_text(end - start)} <NA> "
            f"<NA> {_joined(label)} <NA> <NA>\n"
        )
    return "".join(lines)


# -- Praat


def read_textgrid(path: Path, tier: str | None = None) -> list[Row]:
    """Read the intervals of one tier of a TextGrid, without the empty ones."""
    from praatio import textgrid

    with _library_of("Praat", path, "TextGrid"):
        grid = textgrid.openTextgrid(os.fspath(path), False, reportingMode="silence")
        tiers = {
            one.name: [(*entry, f"interval at {entry[0]:g} s") for entry in one.entries]
            for one in grid.tiers
            if isinstance(one, textgrid.IntervalTier)
        }
    return _tier_of(path, tiers, tier)


def write_textgrid(track: Sequence[Segment], name: str, seconds: float) -> str:
    """Return a TextGrid with one interval tier, in Praat's long format."""
    from praatio import textgrid

    # praatio writes smaller numbers in a form that it cannot read: 5e-05
    clear = [
        s._replace(start=s.start if s.start >= SMALLEST_SECONDS else 0.0) for s in _kept(track)
    ]
    entries = [tuple(segment) for segment in clear if segment.end >= SMALLEST_SECONDS]
    seconds = round(seconds, 6)
    grid = textgrid.Textgrid(0, seconds)
    grid.addTier(textgrid.IntervalTier(TIER, entries, 0, seconds))
    return _through_file(
        ".TextGrid", lambda path: grid.save(path, "long_textgrid", includeBlankSpaces=True)
    )


# -- ELAN


def read_eaf(path: Path, tier: str | None = None) -> list[Row]:
    """Read the annotations of one tier of an ELAN file, without the empty ones."""
    from pympi import Eaf

    with _library_of("ELAN", path, "ELAN file"):
        elan = Eaf(path, suppress_version_warning=True)
        tiers = {
            name: [
                (start / 1000, end / 1000, value, f"annotation at {start / 1000:g} s")
                for start, end, value, *_ in elan.get_annotation_data_for_tier(name)
                if value.strip()
            ]
            for name in elan.get_tier_names()
        }
    return _tier_of(path, tiers, tier)


def write_eaf(track: Iterable[Segment], name: str, seconds: float) -> str:
    """Return an ELAN file with one tier, without segments shorter than a millisecond."""
    from pympi import Eaf

    elan = Eaf(author="audioseg")
    elan.remove_tier("default")
    elan.add_tier(TIER)
    for start, end, label in _kept(track, decimals=3):
        elan.add_annotation(TIER, round(1000 * start), round(1000 * end), label)
    if Path(name).suffix:  # a recording beside it, which ELAN opens as well
        kind = mimetypes.guess_type(name)[0] or "audio/x-wav"
        elan.add_linked_file(name, f"./{name}", mimetype=kind)
    return _through_file(".eaf", elan.to_file)


# -- both


@contextmanager
def _library_of(program: str, path: Path, what: str) -> Iterator[None]:
    """Report in one sentence whatever a library raises, as a broken file may raise anything."""
    try:
        yield
    except OSError as error:
        raise LabelError(f"{path} cannot be read ({error.strerror}): check the file.") from None
    except Exception:
        raise LabelError(f"{path} is not a readable {what}: save it in {program} again.") from None


def _tier_of(path: Path, tiers: dict[str, list[Row]], tier: str | None) -> list[Row]:
    """Return the rows of the named tier, or else of the only one that has any."""
    if tier is not None:
        if tier not in tiers:
            there = ", ".join(tiers) or "none"
            raise LabelError(f"{path} has no tier {tier!r} of intervals: there is {there}.")
        return tiers[tier]
    filled = [name for name, rows in tiers.items() if rows]
    if len(filled) > 1:
        raise LabelError(
            f"{path} has the tiers {', '.join(filled)}: say with --tier which one holds the labels."
        )
    return tiers[filled[0]] if filled else []


def _through_file(suffix: str, save: Callable[[str], object]) -> str:
    """Return as text what a library can only write to a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"track{suffix}"
        save(os.fspath(path))
        return path.read_text(encoding="utf-8")


FORMS = {
    ".txt": Form(lambda path, tier: label_rows(path), lambda track, *about: label_track(track)),
    ".csv": Form(read_csv, write_csv),
    ".rttm": Form(read_rttm, write_rttm),
    ".textgrid": Form(read_textgrid, write_textgrid),
    ".eaf": Form(read_eaf, write_eaf),
}
SUFFIX = {"textgrid": ".TextGrid"}  # as Praat writes it; the others are lower-case


def tracks_at(stem: str | os.PathLike) -> list[Path]:
    """Return the label tracks that there are at a path without a suffix, in any format."""
    paths = (Path(f"{stem}{suffix_of(form[1:])}") for form in FORMS)
    return [path for path in paths if path.is_file()]


def suffix_of(form: str) -> str:
    """Return the suffix of a format, as its program writes it, by its name on the command line."""
    return SUFFIX.get(form, f".{form}")
