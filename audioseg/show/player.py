"""A player for notebooks: a recording to listen to, with its segments to jump to.

``IPython.display.Audio`` has no segments to click, and no MP3: a minute would add 2 MB to the
notebook.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import soundfile

from audioseg.labels import COURSE, Classes, Segment
from audioseg.show.looks import Look, looks

_numbers = itertools.count()  # players on one page must not answer to each other's clicks


def encoded(samples: np.ndarray, sample_rate: int) -> str:
    """Return audio as a ``data:`` address that every browser plays: MP3, a tenth of a WAV file.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)]
        Between -1 and 1.
    sample_rate : int
        Samples a second.

    Returns
    -------
    str
    """
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="MP3", subtype="MPEG_LAYER_III")
    return "data:audio/mpeg;base64," + base64.b64encode(file.getvalue()).decode()


def player(
    samples: np.ndarray,
    sample_rate: int,
    tracks: dict[str, Sequence[Segment]] | None = None,
    *,
    start: float = 0.0,
    classes: Classes = COURSE,
) -> str:
    """Return a player as HTML; a click on a segment plays it.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)]
        The audio, between -1 and 1.
    sample_rate : int
        Samples a second.
    tracks : dict of str to sequence of Segment, optional
        Bars below the player, by name, in seconds of the recording.
    start : float
        The time in the recording at which the samples start, in seconds.
    classes : Classes
        Those of the corpus.

    Returns
    -------
    str
        For ``IPython.display.HTML``. In a notebook that has not been run yet, the player
        works and the bars are shown, but clicks on them do nothing.
    """
    seconds = len(samples) / sample_rate
    name = f"player-{next(_numbers)}-{abs(hash((len(samples), float(np.sum(samples)))))}"
    look_of = looks(classes)
    rows = "".join(
        _bar(title, track, look_of, name, start, seconds) for title, track in (tracks or {}).items()
    )
    source = encoded(samples, sample_rate)
    audio = f'<audio id="{name}" controls preload="metadata" style="width:100%" src="{source}">'
    return f'<div style="max-width:900px">{audio}</audio>{rows}</div>'


def busiest(track: Sequence[Segment], seconds: float) -> float:
    """Return where a clip of a recording has to begin to show the most changes.

    Parameters
    ----------
    track : sequence of Segment
        Of the whole recording.
    seconds : float
        How long the clip is.

    Returns
    -------
    float
        Seconds; a little before a change, and early enough for a whole clip, where there is one.
    """
    starts = [segment.start for segment in track]
    most = max(starts, key=lambda first: sum(first <= one < first + seconds for one in starts))
    return max(0.0, min(most - 1, track[-1].end - seconds))


def gallery(cards: Iterable[tuple[str, str]]) -> str:
    """Return players side by side, as many as fit, each below its caption.

    Parameters
    ----------
    cards : iterable of (caption, player)
        Both as HTML; see :func:`player`.

    Returns
    -------
    str
        For ``IPython.display.HTML``.
    """
    figures = "".join(
        f'<figure style="margin:0"><figcaption>{caption}</figcaption>{one}</figure>'
        for caption, one in cards
    )
    columns = "repeat(auto-fill,minmax(min(260px,100%),1fr))"
    return f'<div style="display:grid;grid-template-columns:{columns};gap:16px">{figures}</div>'


def _bar(
    title: str,
    track: Sequence[Segment],
    look_of: Mapping[str, Look],
    name: str,
    start: float,
    seconds: float,
) -> str:
    """Return a bar of segments, each as wide as it is long."""
    boxes = []
    for begin, end, label in track:
        left, right = max(begin, start), min(end, start + seconds)
        if right <= left:
            continue
        click = f"var a=document.getElementById('{name}');a.currentTime={left - start:.3f};a.play()"
        tip = html.escape(f"{label}, {begin:.2f} to {end:.2f} s", quote=True)
        style = (
            f"position:absolute;top:0;bottom:0;left:{100 * (left - start) / seconds:.3f}%;"
            f"width:{100 * (right - left) / seconds:.3f}%;background:{look_of[label].css};"
            "cursor:pointer"
        )
        boxes.append(f'<span title="{tip}" style="{style}" onclick="{click}"></span>')
    bar = f'<div style="position:relative;height:22px">{"".join(boxes)}</div>'
    return f'<div style="font-size:12px;margin-top:4px">{html.escape(title)}</div>{bar}'
