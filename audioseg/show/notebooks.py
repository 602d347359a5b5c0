"""What a worked answer changes in the notebook that it was copied from, at a glance."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

STYLES = {
    "same": {"facecolor": "#E3E3E3"},
    "changed": {"facecolor": "#CC3311"},
    "new": {"facecolor": "#332288"},
    "left out": {"facecolor": "white", "edgecolor": "#777777", "linestyle": "--"},
}


def cell_map(status: Mapping[str, str]) -> Figure:
    """Draw a notebook's code cells from first to last, each coloured by what has become of it.

    Parameters
    ----------
    status : mapping of str to str
        As :func:`audioseg.training.notebook.compared` returns it.

    Returns
    -------
    Figure
    """
    figure, axes = plt.subplots(figsize=(10, 1.7), layout="constrained")
    for i, (name, what) in enumerate(status.items()):
        axes.add_patch(Rectangle((i + 0.08, 0), 0.84, 1, **STYLES[what]))
        weight = "normal" if what == "same" else "bold"
        axes.text(
            i + 0.5, -0.15, name, rotation=40, ha="right", va="top", fontsize=8, weight=weight
        )
    axes.set(xlim=(0, len(status)), ylim=(-0.02, 1.02))
    axes.axis("off")
    used = [what for what in STYLES if what in status.values()]
    axes.legend(
        handles=[Patch(label=what, **STYLES[what]) for what in used],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(used),
        frameon=False,
        fontsize=9,
    )
    plt.close(figure)  # a notebook would draw it again at the end of the cell
    return figure
