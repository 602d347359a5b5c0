"""A web page to look at and to send: a recording, its segments, and how sure the network is.

One HTML file with everything in it: it opens from the disk, in any browser, without a network. The
sound of a long recording lies beside it as MP3. ``pages/`` holds the template; this fills it in.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from audioseg.errors import CourseError
from audioseg.files import replacing
from audioseg.labels import BACKGROUND, Classes, Segment
from audioseg.show.looks import looks
from audioseg.show.sound import Outline, write_mp3

PAGES = Path(__file__).parent / "pages"
EMBEDDED_SECONDS = 20 * 60.0  # a page of 13 MB; with a longer sound it would be too large to mail
OPEN_ROWS = 200  # a longer table of segments is folded
INDEX = "index.html"
SOUND = "_sound.mp3"  # beside a page, after its stem
SUMMARY = re.compile(r'<meta name="audioseg" content="([A-Za-z0-9+/=]*)">')
SUMMARY_BYTES = 1 << 16  # of a page, within which its summary stands


class ReportError(CourseError):
    """A page cannot be written; one sentence that says what to do."""


def write_page(
    page: str | os.PathLike,
    recording: str | os.PathLike,
    *,
    track: Sequence[Segment],
    sureness: Sequence[float],
    probabilities: np.ndarray,
    classes: Classes,
    seconds: float,
    hop_seconds: float,
    first_center: float,
    files: Sequence[Path] = (),
    about: Mapping[str, str] | None = None,
    note: str = "",
    progress: Callable[[float], None] = lambda seconds: None,
) -> list[Path]:
    """Write the page of a recording.

    Parameters
    ----------
    page : str or PathLike
        Where it goes, such as ``segmented/interview.html``.
    recording : str or PathLike
        The recording.
    track : sequence of Segment
        The segments, sorted by time.
    sureness : sequence of float
        The probability of each segment's label.
    probabilities : np.ndarray [shape=(n, classes)]
        Of each frame.
    classes : Classes
        Those of the run.
    seconds : float
        The length of the recording.
    hop_seconds, first_center : float
        The time from one frame to the next, and that of the first frame's centre.
    files : sequence of Path
        Label files; the page holds copies to save.
    about : mapping of str to str, optional
        What else to say, such as the run's name.
    note : str
        A note on the recording, such as that it breaks off.
    progress : callable
        Called with the seconds of audio read since the last call.

    Returns
    -------
    list of Path
        The page, and its sound if the recording is longer than :data:`EMBEDDED_SECONDS`.

    Raises
    ------
    audio.AudioError
        If nothing of the recording can be read.
    ReportError
        If the page cannot be written.
    """
    page = Path(page)
    beside = page.with_name(f"{page.stem}{SOUND}")
    written = [page]
    try:
        if seconds <= EMBEDDED_SECONDS:
            file = io.BytesIO()
            outline = write_mp3(recording, file, seconds=seconds, progress=progress)
            sound = {"name": beside.name, "mp3": _base64(file.getvalue())}
        else:
            with replacing(beside) as aside:
                outline = write_mp3(recording, aside, seconds=seconds, progress=progress)
            sound = {"name": beside.name}
            written.append(beside)
        text = page_of(
            Path(recording).name, sound, outline,
            track=track, sureness=sureness, probabilities=probabilities, classes=classes,
            seconds=seconds, hop_seconds=hop_seconds, first_center=first_center, files=files,
            about=about or {}, note=printable(note),
        )  # fmt: skip
        _write(page, text)
    except OSError as error:
        raise ReportError(
            f"{page} cannot be written ({error.strerror}): make room for it, or write into "
            "another folder."
        ) from None
    return written


def page_of(
    name: str,
    sound: Mapping[str, str],
    outline: Outline,
    *,
    track: Sequence[Segment],
    sureness: Sequence[float],
    probabilities: np.ndarray,
    classes: Classes,
    seconds: float,
    hop_seconds: float,
    first_center: float,
    files: Sequence[Path],
    about: Mapping[str, str],
    note: str,
) -> str:
    """Return the page as HTML; :func:`write_page` explains the arguments.

    ``sound`` has the ``name`` of the MP3 beside the page, and ``mp3``, its content in base 64, if
    the page holds it.
    """
    name = printable(name)
    look_of = looks(classes)
    drawn = [look_of[label] for label in classes.names]
    rows = [
        {"segment": segment, "number": classes.names.index(segment.label), "sure": sure}
        for segment, sure in zip(track, sureness, strict=True)
    ]
    shares = []
    for label, look in zip(classes.names, drawn, strict=True):
        lengths = [s.end - s.start for s in track if s.label == label]
        shares.append(
            {"label": label, "look": look, "seconds": sum(lengths),
             "share": sum(lengths) / seconds, "segments": len(lengths)}
        )  # fmt: skip
    data = {
        "seconds": seconds,
        "hop": hop_seconds,
        "first": first_center,
        "classes": classes.names,
        "colors": [look.color for look in drawn],
        "hatches": [look.hatch[:1] for look in drawn],
        "inks": [look.ink for look in drawn],
        "backgrounds": [look.css for look in drawn],
        "starts": [round(s.start, 3) for s in track],
        "ends": [round(s.end, 3) for s in track],
        "labels": [row["number"] for row in rows],
        "low": _base64(outline.low.tobytes()),
        "high": _base64(outline.high.tobytes()),
        "probabilities": _base64(np.round(probabilities * 255).astype(np.uint8).tobytes()),
        "sound": sound["name"],
    }
    summary = {
        "name": name,
        "seconds": seconds,
        "segments": len(track),
        "shares": {s["label"]: round(s["share"], 4) for s in shares},
        "background": classes.background,
        "note": note,
    }
    return render(
        "report",
        ("wavesurfer.min.js", "regions.min.js", "minimap.min.js"),
        name=name,
        seconds=seconds,
        about=about,
        note=note,
        rows=rows,
        shares=shares,
        open=len(rows) <= OPEN_ROWS,
        data=data,
        mp3=sound.get("mp3", ""),
        files=[{"name": f.name, "content": _base64(f.read_bytes())} for f in files],
        summary=_base64(json.dumps(summary).encode()),
    )


def write_index(folder: str | os.PathLike) -> Path | None:
    """Write ``index.html``, a list of all pages in a folder and the folders in it.

    Parameters
    ----------
    folder : str or PathLike
        Where :func:`write_page` has written pages, in this run or earlier.

    Returns
    -------
    Path or None
        The index, or None if there are no pages.

    Raises
    ------
    ReportError
        If it cannot be written.
    """
    folder = Path(folder)
    found = []
    for page in sorted(folder.rglob("*.html")):
        if summary := summary_of(page):
            link = page.relative_to(folder).as_posix()
            found.append(summary | {"page": link, "folder": link.rpartition("/")[0]})
    if not found:
        return None
    names = tuple(dict.fromkeys(label for one in found for label in one["shares"]))
    look_of = looks(Classes(names, found[0].get("background", BACKGROUND)))
    whole = sum(one["seconds"] for one in found)
    legend = [
        {
            "label": label,
            "look": look_of[label],
            "share": sum(one["shares"].get(label, 0.0) * one["seconds"] for one in found) / whole,
        }
        for label in names
    ]
    text = render("index", (), pages=found, legend=legend, seconds=whole)
    try:
        _write(folder / INDEX, text)
    except OSError as error:
        raise ReportError(
            f"{folder / INDEX} cannot be written ({error.strerror}): make room for it."
        ) from None
    return folder / INDEX


def summary_of(page: Path) -> dict[str, Any]:
    """Return what a page that :func:`write_page` has written says of itself; nothing of others."""
    with page.open("rb") as file:
        said = SUMMARY.search(file.read(SUMMARY_BYTES).decode("utf-8", "replace"))
    return json.loads(base64.b64decode(said[1])) if said else {}


def page_beside(stem: str | os.PathLike) -> Path:
    """Return the path of the page for label files with this path; never that of the index."""
    page = Path(f"{stem}.html")
    return page.with_name("index_.html") if page.name.lower() == INDEX else page


def clock(seconds: float, decimals: int = 1) -> str:
    """Return a time as people write it: 0:07.5, 12:00.0, 2:05:09.3."""
    ticks = round(seconds * 10**decimals)
    whole, part = divmod(ticks, 10**decimals)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{front}:{rest:02}" + (f".{part:0{decimals}}" if decimals else "")


def printable(name: str) -> str:
    """Return a file's name as text, whatever its bytes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _write(path: Path, text: str) -> None:
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = clock
    return environment


def render(name: str, libraries: Sequence[str], /, *, policy: str = "", **what: Any) -> str:
    """Return a page: a template of ``pages/`` with its style and scripts in it.

    Parameters
    ----------
    name : str
        The template, style and script, as ``report`` for ``report.html``.
    libraries : sequence of str
        The files of ``pages/wavesurfer/`` that it needs.
    policy : str
        What the page may do besides running these scripts, as a Content-Security-Policy.
    **what
        The values to fill in; all of them are escaped.

    Returns
    -------
    str
    """
    texts = [(PAGES / "wavesurfer" / library).read_text("utf-8") for library in libraries]
    own = PAGES / f"{name}.js"
    texts += [own.read_text("utf-8")] if own.exists() else []
    hashes = [_base64(hashlib.sha256(text.encode()).digest()) for text in texts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    styles = "\n".join((PAGES / f"{style}.css").read_text("utf-8") for style in ("page", name))
    # ours and the library's, no text of anybody's in them
    return (
        _environment()
        .get_template(f"{name}.html")
        .render(
            scripts=[Markup(text) for text in texts],
            style=Markup(styles),
            policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
            f"img-src data: blob:; media-src 'self' file: blob: data:; {policy}"
            "base-uri 'none'; form-action 'none'",
            **what,
        )
    )
