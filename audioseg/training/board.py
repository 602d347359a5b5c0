"""Compare all runs: a table and a chart of ``runs/*/metrics.json``, with guessing and the goal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from audioseg.files import replacing
from audioseg.show.pictures import GOAL, TRAINING, VALIDATION
from audioseg.training import runs
from audioseg.training.choice import by_corpus

CHART = "board.png"
COLUMNS = (
    ("embedding", "weights", "{}"),
    ("VAL acc.", "val_accuracy", "{:.3f}"),
    ("macro F1", "val_macro_f1", "{:.3f}"),
    ("smoothed", "val_smoothed_macro_f1", "{:.3f}"),
    ("of 1 s", "val_short_macro_f1", "{:.3f}"),
    ("TST acc.", "tst_accuracy", "{:.3f}"),
    ("macro F1", "tst_macro_f1", "{:.3f}"),
    ("event F1 0.5 s", "tst_event_f1_0.5s", "{:.3f}"),
    ("1 s", "tst_event_f1_1.0s", "{:.3f}"),
    ("training", "seconds", "{:.0f} s"),
)


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the runs as a table in text, one line per run, with a dash for a missing value.

    Parameters
    ----------
    rows : sequence of mapping
        As :func:`audioseg.training.runs.table` returns them.

    Returns
    -------
    str
    """
    import pandas as pd

    titles, keys, forms = zip(*COLUMNS, strict=True)
    table = pd.DataFrame(rows).set_index("name").reindex(columns=list(keys)).astype(object)
    for key, form in zip(keys, forms, strict=True):
        table[key] = table[key].map(form.format, na_action="ignore").fillna("-")
    table.columns.name, table.index.name = "run", None
    lines = table.to_string(header=[f" {title}" for title in titles]).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def chart(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Draw the accuracy of each run on VAL, and on TST where it has been tested.

    Parameters
    ----------
    rows : sequence of mapping
        As :func:`audioseg.training.runs.table` returns them. Each corpus has its own axes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    groups = by_corpus(rows)
    figure = Figure(
        figsize=(9, 0.4 + sum(1.2 + 0.42 * len(group) for group in groups)), layout="constrained"
    )
    ratios = [1 + len(group) for group in groups]
    every = figure.subplots(len(groups), sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, group in zip(every, groups, strict=True):
        _draw_corpus(axes, group)
        if len(groups) > 1:
            axes.set_title(f"{_name(group[0])}\n\n", loc="left", fontsize=9)
    found = [row.get(key, 1) for row in rows for key in ("val_accuracy", "tst_accuracy")]
    every[-1].set(xlim=(np.nanmin([0.6, *found]) - 0.02, 1.005), xlabel="accuracy")
    handles = {
        label: handle
        for axes in every
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside lower left", ncols=2, frameon=False)
    return figure


def _name(row: Mapping[str, Any]) -> str:
    """Return a name for a run's corpus."""
    return f"VAL {str(row.get('corpus'))[:6]} of {row.get('val_minutes', float('nan')):g} min"


def _draw_corpus(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the runs of one corpus, a line each."""
    of_val = [row["val_accuracy"] for row in rows]
    axes.hlines(range(len(rows)), 0, of_val, color="#DDDDDD", linewidth=6, zorder=1)
    axes.scatter(of_val, range(len(rows)), color=VALIDATION, marker="s", label="VAL", zorder=3)
    tested = [(row["tst_accuracy"], i) for i, row in enumerate(rows) if "tst_accuracy" in row]
    if tested:
        axes.scatter(
            *zip(*tested, strict=True), s=90, color=TRAINING, label="TST, smoothed", zorder=2
        )  # larger, as it may lie below that of VAL
    guess = rows[0]["val_majority_share"]
    for level, what in ((guess, "always one class"), (GOAL, "goal")):
        axes.axvline(level, color="black", linestyle=":", linewidth=1, zorder=0)
        axes.annotate(
            f"{what}\n{level:.3f}",
            (level, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set(ylim=(len(rows) - 0.4, -0.6))


def beside(*names: str, folder: str | os.PathLike = runs.FOLDER) -> Figure:
    """Draw the scores of some runs on VAL side by side.

    Parameters
    ----------
    *names : str
        The runs, from top to bottom. One that has not been run yet is left out, and named.
    folder : str or PathLike
        Where they are.

    Returns
    -------
    Figure
    """
    stored = {row["name"]: row for row in runs.table(folder)}
    rows = [stored[name] for name in dict.fromkeys(names) if name in stored]
    missing = [name for name in names if name not in stored]
    figure = Figure(figsize=(9, 1 + 0.6 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, title, key in zip(
        panels, ("accuracy", "macro F1"), ("val_accuracy", "val_macro_f1"), strict=True
    ):
        scores = [row[key] for row in rows]
        colors = [TRAINING] * (len(rows) - 1) + [VALIDATION]
        bars = axes.barh([row["name"] for row in rows], scores, color=colors, height=0.6)
        axes.bar_label(bars, [f"{score:.3f}" for score in scores], padding=-36, color="white")
        axes.set(xlim=(0, 1), title=f"VAL, {title}")
    panels[0].invert_yaxis()
    if rows:
        panels[0].axvline(rows[0]["val_majority_share"], color="black", linestyle=":", linewidth=1)
    if missing:
        figure.supxlabel(f"not run yet: {', '.join(missing)}", fontsize=9)
    return figure


def show(folder: str | os.PathLike = runs.FOLDER) -> None:
    """Print the table, draw the chart, and print where they are.

    Raises
    ------
    RunError
        If there is no run yet, or one cannot be read.
    """
    rows = runs.table(folder)
    if not rows:
        raise runs.none_yet(folder)
    for group in by_corpus(rows):
        best = group[0]
        print(f"{text_table(group)}\n")
        print(
            f"best on {_name(best)}, by the mean of smoothed and of 1 s: {best['name']};\n"
            f"guessing: {best['val_majority_share']:.3f}, goal: {GOAL}\n"
        )
    place = Path(folder) / CHART
    with replacing(place) as aside:
        chart(rows).savefig(aside, dpi=110)
    print(f"chart: {place}; weights, curves and confusion of a run: {Path(folder)}/<run>/")
    executed = sorted(Path("executed").glob("*.ipynb"))
    if executed:
        print("notebooks with their results: executed/; notebooks to change: in this folder")
