"""Pictures: label tracks over time, confusion, learning curves, shares; one look for each class.

Functions draw into the axes they get, or into a new figure, which they return. They show and save
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from audioseg.labels import COURSE, Classes, Segment
from audioseg.show.looks import looks

TRAINING, VALIDATION = "#555555", "#CC3311"  # curves; no class has these
GOAL = 0.80
LEGEND_COLUMNS = 7

# of the course's own corpus
COLORS = {name: look.color for name, look in looks(COURSE).items() if name in COURSE.names}


def legend(axes: Axes, classes: Classes = COURSE, **where) -> None:
    """Draw a legend of the classes in a corner of the axes, or elsewhere by matplotlib's names."""
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2} | where
    handles = [
        Patch(facecolor=look.color, hatch=look.hatch, edgecolor=look.ink, linewidth=0, label=name)
        for name, look in looks(classes).items()
        if name in classes.names
    ]
    columns = min(len(handles), LEGEND_COLUMNS)
    axes.legend(handles=handles, ncols=columns, frameon=False, fontsize=9, **where)


def draw_track(
    axes: Axes,
    track: Sequence[Segment],
    classes: Classes = COURSE,
    *,
    bottom: float = 0.0,
    height: float = 1.0,
) -> None:
    """Draw segments along the time axis, as boxes in the look of their class."""
    look_of = looks(classes)
    for name in sorted({segment.label for segment in track}):
        spans = [(s.start, s.end - s.start) for s in track if s.label == name]
        look = look_of[name]
        edge = "#777777" if name in classes.ignore else look.ink
        axes.broken_barh(
            spans,
            (bottom, height),
            facecolors=look.color,
            hatch=look.hatch,
            edgecolor=edge,
            linewidth=0,
        )


def timeline(
    tracks: Mapping[str, Sequence[Segment]],
    classes: Classes = COURSE,
    *,
    duration: float,
    start: float = 0.0,
    samples: np.ndarray | None = None,
    sample_rate: int = 16_000,
    title: str = "",
) -> Figure:
    """Draw label tracks above each other, below the waveform if there is one.

    Parameters
    ----------
    tracks : mapping of str to sequence of Segment
        From top to bottom, the reference before the estimates.
    classes : Classes
        Those of the corpus.
    duration : float
        Where the time axis ends, in seconds.
    start : float
        Where it starts.
    samples : np.ndarray [shape=(n,)], optional
        The recording from its beginning, between -1 and 1.
    sample_rate : int
        Samples a second.
    title : str
        The title above the picture.

    Returns
    -------
    Figure
    """
    heights = [1.2] * (samples is not None) + [0.45] * len(tracks)
    figure, column = plt.subplots(
        len(heights),
        1,
        figsize=(10, 0.9 + sum(heights)),
        sharex=True,
        squeeze=False,
        height_ratios=heights,
        layout="constrained",
    )
    every = list(column[:, 0])
    if samples is not None:
        _waveform(every[0], samples, sample_rate, start, duration)
    for axes, (name, track) in zip(every[len(every) - len(tracks) :], tracks.items(), strict=True):
        draw_track(axes, track, classes)
        axes.set(ylim=(0, 1), yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    legend(every[0], classes)
    if title:
        every[0].set_title(title, loc="right", fontsize=10)
    every[-1].set(xlim=(start, duration), xlabel="time / s")
    return figure


def _waveform(
    axes: Axes, samples: np.ndarray, sample_rate: int, start: float, end: float, columns: int = 1500
) -> None:
    """Draw the lowest and highest sample of each column of pixels."""
    part = np.asarray(samples)[int(start * sample_rate) : int(end * sample_rate)]
    per_column = max(1, len(part) // columns)
    blocks = part[: len(part) // per_column * per_column].reshape(-1, per_column)
    times = start + (np.arange(len(blocks)) + 0.5) * per_column / sample_rate
    axes.fill_between(
        times, blocks.min(axis=1), blocks.max(axis=1), color="#333333", linewidth=0.3, step="mid"
    )
    top = max(0.05, float(np.abs(part).max(initial=0.0))) * 1.05
    axes.set(ylim=(-top, top), ylabel="amplitude")


def embeddings(
    embedding: np.ndarray,
    track: Sequence[Segment],
    classes: Classes = COURSE,
    *,
    hop_seconds: float,
    title: str = "",
) -> Figure:
    """Draw the embeddings of a recording, time to the right, above its label track.

    Parameters
    ----------
    embedding : np.ndarray [shape=(n, features)]
        One row per window.
    track : sequence of Segment
        The label track.
    classes : Classes
        Those of the corpus.
    hop_seconds : float
        The time between windows.
    title : str
        The title above the picture.

    Returns
    -------
    Figure
    """
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(10, 3.4), sharex=True, height_ratios=[6, 1], layout="constrained"
    )
    end = len(embedding) * hop_seconds
    above.imshow(
        np.asarray(embedding).T,
        aspect="auto",
        origin="lower",
        cmap="magma",
        interpolation="nearest",
        extent=(0, end, 0, embedding.shape[1]),
    )
    above.set_ylabel("dimension")
    above.set_title(title, loc="left", fontsize=10)
    draw_track(below, track, classes)
    below.set(ylim=(0, 1), yticks=[], xlim=(0, end), xlabel="time / s")
    legend(above, classes, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def class_shares(shares: Mapping[str, np.ndarray], classes: Classes = COURSE) -> Figure:
    """Draw the share of each class in each split.

    Parameters
    ----------
    shares : mapping of str to np.ndarray [shape=(classes,)]
        The shares of each split, from top to bottom.
    classes : Classes
        Those of the corpus.

    Returns
    -------
    Figure
    """
    figure, axes = plt.subplots(figsize=(10, 0.9 + 0.5 * len(shares)), layout="constrained")
    table = np.array(list(shares.values()))
    lefts = np.cumsum(table, axis=1) - table
    look_of = looks(classes)
    for name, widths, left in zip(classes.names, table.T, lefts.T, strict=True):
        look = look_of[name]
        bars = axes.barh(
            list(shares),
            widths,
            left=left,
            color=look.color,
            hatch=look.hatch,
            edgecolor=look.ink,
            linewidth=0,
            height=0.7,
        )
        texts = [f"{width:.3f}" if width > 0.04 else "" for width in widths]
        axes.bar_label(bars, texts, label_type="center", color=look.ink)
    axes.set(xlim=(0, 1), xlabel="share of the windows")
    axes.invert_yaxis()
    legend(axes, classes)
    return figure


def learning_curves(
    history: Mapping[str, Sequence[float]], *, majority_share: float, goal: float = GOAL
) -> Figure:
    """Draw loss and accuracy over the epochs, on TRN and VAL.

    Parameters
    ----------
    history : mapping of str to sequence of float
        ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``, one number an epoch, as Keras
        returns them.
    majority_share : float
        The accuracy on VAL of always answering the most frequent class.
    goal : float
        Another accuracy to compare with.

    Returns
    -------
    Figure
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axes, what in ((left, "loss"), (right, "accuracy")):
        axes.plot(epochs, history[what], "o-", color=TRAINING, markersize=4, label="TRN")
        axes.plot(epochs, history[f"val_{what}"], "s-", color=VALIDATION, markersize=4, label="VAL")
        axes.set(xlabel="epoch", ylabel=what, xlim=(0.5, len(epochs) + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    lines = ((majority_share, "always the most frequent class"), (goal, "goal"))
    for level, what in lines:
        right.axhline(level, color="black", linestyle=":", linewidth=1)
        right.annotate(
            f"{what}: {level:.3f}",
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-4, -10),  # clear of a curve that runs just below
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
        )
    values = [*history["loss"], *history["val_loss"]]
    if max(values) > 100 * min(values) > 0:
        left.set_yscale("log")
    lowest = min(*history["accuracy"], *history["val_accuracy"])
    right.set_ylim(min(0.5, lowest - 0.03), 1.0)
    left.legend(frameon=False)
    return figure


def confusion(
    matrix: np.ndarray,
    classes: Classes = COURSE,
    *,
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """Draw a confusion matrix: shares of each true class, with the counts below them.

    Parameters
    ----------
    matrix : np.ndarray [shape=(classes, classes)]
        ``matrix[i, j]`` counts frames of class ``i`` taken for ``j``.
    classes : Classes
        Those of the corpus.
    title : str
        The title above the picture.
    axes : Axes, optional
        Where to draw; by default, in a new figure.

    Returns
    -------
    Figure
    """
    n = len(classes.names)
    crowded = n > 6
    if axes is None:
        size = (3.4 + 0.55 * n, 2.8 + 0.5 * n) if crowded else (5.8, 4.6)
        _, axes = plt.subplots(figsize=size, layout="constrained")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for (i, j), share in np.ndenumerate(shares):
        shade = "white" if share > 0.5 else "black"
        text = f"{share:.2f}" if crowded else f"{share:.3f}\n{matrix[i, j]:,}"
        if not crowded or matrix[i, j]:
            size = 7 if crowded else 9
            axes.text(j, i, text, ha="center", va="center", color=shade, fontsize=size)
    longest = max(map(len, classes.names))
    slant = {"rotation": 45, "ha": "right"} if crowded or longest > 14 else {}
    axes.set_xticks(range(n), classes.names, **slant)
    axes.set_yticks(range(n), classes.names)
    look_of = looks(classes)
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        for text in ticks:  # a coloured bar would be another thing to explain; names suffice
            text.set_fontweight("bold")
            name = text.get_text()
            text.set_color("#777777" if name == classes.background else look_of[name].color)
    axes.set(xlabel="estimate", ylabel="reference")
    axes.set_title(title, fontsize=10)
    return axes.figure


def accuracy_bars(
    axes: Axes, right: np.ndarray, values: np.ndarray, edges: Sequence[float], *, unit: str = ""
) -> None:
    """Draw the accuracy of frames by a property, with the number of frames.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    right : np.ndarray [shape=(n,), dtype=bool]
        Which frames are right.
    values : np.ndarray [shape=(n,)]
        The property; frames where it is nan are left out.
    edges : sequence of float
        Where one bar ends and the next begins. Empty bars at either end are left out.
    unit : str
        Of the edges.
    """
    values, right = (array[~np.isnan(values)] for array in (np.asarray(values), right))
    names = [f"< {edges[0]:g}", *(f"{a:g}–{b:g}" for a, b in pairwise(edges)), f"> {edges[-1]:g}"]
    bins = np.digitize(values, edges)
    first, last = bins.min(initial=len(edges)), bins.max(initial=0)
    shown = range(first, last + 1)
    for i in shown:
        inside = right[bins == i]
        share = inside.mean() if len(inside) else 0.0
        axes.bar(i, share, color=TRAINING)
        if share > 0.15:  # high enough to hold the count
            axes.text(i, 0.02, f"{len(inside):,}", ha="center", color="white", fontsize=8)
            axes.text(i, share + 0.01, f"{share:.2f}", ha="center", fontsize=8)
        else:
            text = f"{share:.2f}\n{len(inside):,}" if len(inside) else "0"
            axes.text(i, share + 0.01, text, ha="center", fontsize=8)
    axes.set_xticks(shown, [names[i] for i in shown])
    axes.set(xlim=(first - 0.6, last + 0.6), ylim=(0, 1.08), ylabel="accuracy", xlabel=unit)
