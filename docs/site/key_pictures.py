"""Take each notebook's key picture out of it, to show it alone: `docs/figures/`.

    python -m docs.site.key_pictures

writes one PNG for each step and a page with all of them. `make site` calls it.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import NamedTuple

import nbformat

from docs.site.shown_notebooks import newest

ROOT = Path(__file__).parent.parent.parent
FIGURES = ROOT / "docs" / "figures"


class KeyPicture(NamedTuple):
    """Where a step's picture is, and what to see in it."""

    step: str
    notebook: str
    cell: str
    title: str
    caption: str


KEY_PICTURES = [
    KeyPicture(
        "01",
        "01-data-acquisition-analysis-splitting",
        "one-figure",
        "One recording",
        "Waveform, log-mel spectrogram and label track of a recording: what goes in, and what a "
        "listener would say of it.",
    ),
    KeyPicture(
        "02",
        "01-data-acquisition-analysis-splitting",
        "windows",
        "What the network will hear",
        "A window of each class, and one whose centre lies just before a boundary. Nothing outside "
        "the window counts.",
    ),
    KeyPicture(
        "03-00",
        "03-training-00-keras_2mlp_clsw0",
        "curves",
        "The riddle",
        "Loss and accuracy, epoch by epoch. The dotted line is what answering the same every time "
        "would get.",
    ),
    KeyPicture(
        "03-90",
        "03-training-90-explaining_0687",
        "alive",
        "What happens inside",
        "How many hidden units are alive after each of the first batches, and the loss. Show it "
        "only when people have searched for themselves.",
    ),
    KeyPicture(
        "03-91",
        "03-training-91-keras_2mlp_clsw1",
        "scores",
        "What class weights buy",
        "The confusion matrix with class weights. Which rows are better than in 03-90, which are "
        "worse?",
    ),
    KeyPicture(
        "03-92",
        "03-training-92-keras_2mlp_context",
        "scores",
        "Neighbours that vote",
        "The confusion matrix when nine windows vote.",
    ),
    KeyPicture(
        "03-93",
        "03-training-93-the_leak",
        "curves",
        "The leak",
        "Learning curves when windows of one recording are in training and in validation.",
    ),
    KeyPicture(
        "03-94",
        "03-training-94-keras_tcn_sequence",
        "scores",
        "A network that listens in time",
        "The confusion matrix of the temporal convolution.",
    ),
    KeyPicture(
        "03-95",
        "03-training-95-keras_10x2mlp_clsw1",
        "alone",
        "Ten opinions, one answer",
        "Balanced accuracy on VAL of ten networks, each alone, and of the mean of the first two, "
        "three, and so on.",
    ),
    KeyPicture(
        "04",
        "04-testing-and-application",
        "picture",
        "Reference and answer",
        "A recording of TST: what a listener says, what the network says frame by frame, and what "
        "smoothing makes of it.",
    ),
    KeyPicture(
        "05",
        "05-your-own-problem",
        "own-13",
        "What to correct first",
        "A new conversation: who speaks, what the network says, and where it is least sure.",
    ),
]


def picture_of(notebook: nbformat.NotebookNode, cell_id: str) -> bytes:
    """Return the last picture that a cell put out.

    Parameters
    ----------
    notebook : NotebookNode
        It has been run.
    cell_id : str
        The cell's.

    Returns
    -------
    bytes
        A PNG file.

    Raises
    ------
    LookupError
        If there is no such cell, or no picture below it.
    """
    cells = [cell for cell in notebook.cells if cell.id == cell_id]
    if not cells:
        raise LookupError(f"no cell {cell_id!r}")
    found = [out.get("data", {}).get("image/png") for out in cells[0].outputs]
    if not any(found):
        raise LookupError(f"no picture below cell {cell_id!r}: run the notebook first")
    return base64.b64decode([image for image in found if image][-1])


def page(pictures: list[KeyPicture]) -> str:
    """Return the page that shows all key pictures, in Markdown; those of answers are folded."""
    parts = [
        "# Figures\n",
        "Each step's picture to remember. A click shows it alone, for the projector. The files are "
        "in `docs/figures/`.\n",
    ]
    for one in sorted(pictures, key=is_answer):
        shown = (
            f"{one.caption} From [this notebook](../../{one.notebook}.ipynb).\n\n"
            f"```{{image}} {one.step}.png\n:alt: {one.title}. {one.caption}\n:scale: 100\n```\n"
        )
        if is_answer(one):
            heading = f"{one.step} · {one.title}"
            shown = f"<details><summary>{heading}</summary>\n\n{shown}\n</details>\n"
            if "## Worked answers\n" not in parts:
                parts += ["## Worked answers\n", "Try before you look.\n"]
        else:
            parts.append(f"## {one.step} · {one.title}\n")
        parts.append(shown)
    return "\n".join(parts)


def is_answer(one: KeyPicture) -> bool:
    """Return whether a picture gives an answer away."""
    return one.step.startswith("03-9")


def main() -> None:
    """Write the pictures and their page."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    for one in KEY_PICTURES:
        notebook = nbformat.read(newest(ROOT / f"{one.notebook}.ipynb"), as_version=4)
        (FIGURES / f"{one.step}.png").write_bytes(picture_of(notebook, one.cell))
    (FIGURES / "index.md").write_text(page(KEY_PICTURES), encoding="utf-8")


if __name__ == "__main__":
    main()
