"""The course's notebooks and pages as the site shows them.

A notebook that `make tutorial` has run since it was changed is shown as it ran, any other as it is
committed. What an answer repeats of the base notebook is folded.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

BASE = "03-training-00-keras_2mlp_clsw0"
SAME = "same-as-base"  # the tag of a cell that an answer has from the base notebook
WIDGET = "application/vnd.jupyter.widget-view+json"
# files that have a page of their own
PAGES = {
    "02-feature-extraction-vggish_embedding.py": "docs/02-sound-to-embeddings.md",
    "feat_ext.py": "docs/reference/modules/feat_ext.rst",
}


def shown(name: str, root: Path) -> NotebookNode:
    """Return a notebook as its page shows it.

    Parameters
    ----------
    name : str
        Its file's, without the ending.
    root : Path
        The project's folder.

    Returns
    -------
    NotebookNode
    """
    notebook = nbformat.read(newest(root / f"{name}.ipynb"), as_version=4)
    if name != BASE:
        fold(notebook, nbformat.read(newest(root / f"{BASE}.ipynb"), as_version=4))
    drop_widgets(notebook)
    describe_pictures(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = link_to_pages(cell.source, ".")
    return notebook


def newest(path: Path) -> Path:
    """Return the notebook as it was run last, or as committed if that is newer.

    Parameters
    ----------
    path : Path
        A notebook at the top of the project.

    Returns
    -------
    Path
    """
    executed = path.parent / "executed" / path.name
    if executed.exists() and executed.stat().st_mtime >= path.stat().st_mtime:
        return executed
    return path


def outputs_of(cell: NotebookNode) -> list:
    """Return what a cell put out, without the count of its run."""
    return [{**out, "execution_count": None} for out in cell.get("outputs", [])]


def fold(notebook: NotebookNode, base: NotebookNode) -> None:
    """Fold the cells that are the base notebook's.

    Of code that put out what it did there, the output is folded as well.

    Parameters
    ----------
    notebook : NotebookNode
        An answer; it is changed in place.
    base : NotebookNode
        The base notebook.
    """
    in_base = {cell.id: cell for cell in base.cells}
    for cell in notebook.cells:
        if SAME not in cell.metadata.get("tags", []):
            continue
        if cell.cell_type == "markdown":
            cell.source = folded_text(cell.source)
            continue
        same = cell.id in in_base and outputs_of(cell) == outputs_of(in_base[cell.id])
        cell.metadata.tags.append("hide-cell" if same else "hide-input")
        what = "cell" if same else "code"
        cell.metadata.mystnb = {
            "code_prompt_show": f"As in the base notebook: show the {what}",
            "code_prompt_hide": f"As in the base notebook: hide the {what}",
        }


def folded_text(source: str) -> str:
    """Return Markdown with all but its first heading to unfold."""
    heading, text = re.fullmatch(r"(#+ [^\n]*\n?)?(.*)", source, re.DOTALL).groups()
    if not text.strip():
        return source
    summary = '<details class="same-as-base"><summary>As in the base notebook</summary>'
    return f"{heading or ''}\n{summary}\n\n{text.strip()}\n\n</details>\n"


def describe_pictures(notebook: NotebookNode) -> None:
    """Name each picture by the section that it is in, for who cannot see it."""
    section = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.findall(r"^#+ (.*)$", cell.source, re.MULTILINE)
            section = found[-1] if found else section
        elif any("image/png" in out.get("data", {}) for out in cell.outputs):
            cell.metadata.setdefault("mystnb", {})["image"] = {"alt": f"Figure: {section}"}


def drop_widgets(notebook: NotebookNode) -> None:
    """Leave out what only a running kernel can show."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if WIDGET not in out.get("data", {})]


def link_to_pages(text: str, folder: str) -> str:
    """Return Markdown whose links to some files lead to these files' pages.

    Parameters
    ----------
    text : str
        Markdown of a page in ``folder``.
    folder : str
        That of the page, from the project's: ``"."`` or, say, ``"docs"``.

    Returns
    -------
    str
    """
    up = "../" * len(Path(folder).parts)
    for file, page in PAGES.items():
        text = text.replace(f"]({up}{file})", f"]({up}{page})")
    return text
