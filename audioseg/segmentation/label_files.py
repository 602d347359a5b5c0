"""A segmentation as files: label tracks for Audacity, Praat and ELAN, a table, RTTM."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audioseg.files import replacing
from audioseg.label_formats import FORMS, all_agree, suffix_of, tracks_at, write_csv
from audioseg.segmentation.segments import Segmentation, SegmentationError

ALWAYS = ("txt", "csv", "rttm")


def sureness(result: Segmentation) -> list[float]:
    """Return the mean probability of each segment's label."""
    changes = np.flatnonzero(np.diff(result.labels)) + 1
    numbers = [result.classes.names.index(segment.label) for segment in result.track]
    parts = np.split(result.probabilities, changes)
    return [float(part[:, i].mean()) for part, i in zip(parts, numbers, strict=True)]


def lost(result: Segmentation, forms: Sequence[str]) -> list[str]:
    """Return a sentence for each thing in this segmentation that a format cannot keep."""
    blank = sorted({s.label for s in result.track if any(c.isspace() for c in s.label)})
    said = []
    if "rttm" in forms and blank:
        said.append(
            f"RTTM holds no blanks, so {blank[0]!r} is {'_'.join(blank[0].split())!r} there"
        )
    if "eaf" in forms and any(round(1000 * s.start) >= round(1000 * s.end) for s in result.track):
        said.append("ELAN counts in milliseconds, so segments shorter than one are missing there")
    return said


def check_unchanged(stem: str | os.PathLike) -> None:
    """Make sure that nobody has made or corrected the label tracks at a place.

    :func:`export` leaves them in all formats of :data:`ALWAYS`, and all saying the same.

    Raises
    ------
    SegmentationError
        If somebody has; one sentence.
    """
    there = tracks_at(stem)
    left = {f"{stem}{suffix_of(form)}" for form in ALWAYS} <= set(map(str, there))
    if there and not (left and all_agree(there)):
        names = ", ".join(path.name for path in there)
        raise SegmentationError(
            f"{there[0].parent} holds label tracks that somebody has made or corrected ({names}): "
            "write into another folder, or replace them (--overwrite; in Python, overwrite=True)."
        )


def export(
    result: Segmentation,
    stem: str | os.PathLike,
    *,
    more: Sequence[str] = (),
    recording: str | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write a segmentation in all formats of :data:`ALWAYS`, and in others if asked to.

    Tracks of an earlier call are replaced in whatever format they are, so that all there agree.

    Parameters
    ----------
    result : Segmentation
        As :func:`audioseg.segmentation.segments.segment` returns it.
    stem : str or PathLike
        The path of the files, without a suffix.
    more : sequence of str
        Of ``textgrid`` (Praat) and ``eaf`` (ELAN).
    recording : str, optional
        The name of the audio file, which ELAN opens as well.
    overwrite : bool
        Replace tracks that somebody has made or corrected, too.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    SegmentationError
        If one cannot be written, or as :func:`check_unchanged` does.
    """
    if not overwrite:
        check_unchanged(stem)
    there = (path.suffix[1:].lower() for path in tracks_at(stem))
    written = []
    for form in dict.fromkeys((*ALWAYS, *more, *there)):
        path = Path(f"{stem}{suffix_of(form)}")
        if form == "csv":
            text = write_csv(result.track, result.name, result.seconds, sureness(result))
        else:
            name = recording if form == "eaf" and recording else result.name
            text = FORMS[f".{form}"].write(result.track, name, result.seconds)
        try:
            with replacing(path) as aside:
                # a recording's name may be no valid text
                aside.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        except OSError as error:
            raise SegmentationError(
                f"{path} cannot be written ({error.strerror}): make room for it, or write into "
                "another folder."
            ) from None
        written.append(path)
    return written
