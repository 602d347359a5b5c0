"""A segmentation as a web page, to look at and to send."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import feat_ext
from audioseg.segmentation.label_files import sureness
from audioseg.segmentation.segments import CANCELLED, TOO_SHORT, Segmentation
from audioseg.show import report

write_index = report.write_index


def is_there(stem: str | os.PathLike) -> bool:
    """Tell whether there is a page of an earlier call, which would contradict newer label files."""
    page = report.page_beside(stem)
    return page.exists() and bool(report.summary_of(page))


def write(
    recording: str | os.PathLike,
    result: Segmentation,
    stem: str | os.PathLike,
    *,
    files: Sequence[Path] = (),
    about: Mapping[str, str] | None = None,
    progress: Callable[[float], None] = lambda seconds: None,
) -> list[Path]:
    """Write the page of a recording; the sound of a long one goes into a file beside it.

    Parameters
    ----------
    recording : str or PathLike
        The audio file.
    result : Segmentation
        As :func:`audioseg.segmentation.segments.segment` returns it.
    stem : str or PathLike
        The path of the page, without a suffix.
    files : sequence of Path
        The label files; the page holds copies.
    about : mapping of str to str, optional
        What else the page says, such as the run's name.
    progress : callable
        Called with the seconds of audio read since the last call.

    Returns
    -------
    list of Path
        What was written.
    """
    return report.write_page(
        report.page_beside(stem),
        recording,
        track=result.track,
        sureness=sureness(result),
        probabilities=result.probabilities,
        classes=result.classes,
        seconds=result.seconds,
        hop_seconds=result.hop_seconds,
        first_center=feat_ext.FIRST_CENTER_SECONDS,
        files=files,
        about=about,
        note=note_on(recording, result),
        progress=progress,
    )


def note_on(recording: str | os.PathLike, result: Segmentation) -> str:
    """Return the note on a recording, without the folder it is in."""
    broken = result.broken.replace(os.fspath(recording), Path(recording).name)
    notes = {CANCELLED: result.cancelled, TOO_SHORT: result.padded}
    said = [f"{note[0].upper()}{note[1:]}." for note, holds in notes.items() if holds]
    return " ".join(filter(None, [broken, *said]))
