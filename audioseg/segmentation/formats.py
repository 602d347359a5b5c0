"""Forms in which segments are written: each turns a segmentation into text, :data:`FORMATS` all."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

import numpy as np

from audioseg.files import replacing
from audioseg.labels import CLASSES, label_track
from audioseg.segmentation.segments import Segmentation, SegmentationError


def audacity(result: Segmentation) -> str:
    """Return a label track as Audacity imports it."""
    return label_track(result.track)


def table(result: Segmentation) -> str:
    """Return a CSV table: start, end, label, and the mean probability of that label."""
    changes = np.flatnonzero(np.diff(result.labels)) + 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["start", "end", "label", "probability"])
    parts = np.split(result.probabilities, changes)
    for (start, end, label), probabilities in zip(result.track, parts, strict=True):
        sure = probabilities[:, CLASSES.index(label)].mean()
        writer.writerow([f"{start:.3f}", f"{end:.3f}", label, f"{sure:.3f}"])
    return text.getvalue()


def rttm(result: Segmentation) -> str:
    """Return segments in NIST's Rich Transcription Time Marked form.

    One line a segment: type, file, channel, onset, duration, and the label where diarization has
    the speaker's name. Fields are separated by blanks, so the name may not contain any.
    """
    name = re.sub(r"\s+", "_", result.name)
    return "".join(
        f"SPEAKER {name} 1 {start:.3f} {end - start:.3f} <NA> <NA> {label} <NA> <NA>\n"
        for start, end, label in result.track
    )


FORMATS = {".txt": audacity, ".csv": table, ".rttm": rttm}


def export(result: Segmentation, stem: str | os.PathLike) -> list[Path]:
    """Write a segmentation in each of :data:`FORMATS`.

    Parameters
    ----------
    result : Segmentation
        As :func:`audioseg.segmentation.segments.segment` returns it.
    stem : str or PathLike
        The files' place and name, without a suffix.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    SegmentationError
        If one cannot be written.
    """
    written = []
    for suffix, form in FORMATS.items():
        path = Path(f"{stem}{suffix}")
        try:
            with replacing(path) as aside:
                # a recording may have a name that no text can hold
                aside.write_text(
                    form(result), encoding="utf-8", errors="backslashreplace", newline="\n"
                )
        except OSError as error:
            raise SegmentationError(
                f"{path} cannot be written ({error.strerror}): make room for it, or write into "
                "another folder."
            ) from None
        written.append(path)
    return written
