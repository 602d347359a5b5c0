"""The notebook behind a run: which one runs here, and how a copy differs from its original."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from audioseg.training.fields import CONFIG, FOLDER, RunError

GLOSSARY_LINK = r"\[([^\]]*)\]\(docs/glossary\.md#[^)]*\)"


def this_notebook() -> Path | None:
    """Return the notebook that runs in this kernel, or None if that is unknown.

    Jupyter puts the file's name into the environment of a kernel, Visual Studio Code into a
    variable. Neither follows when the file is renamed, so a name without a file is not believed.
    """
    hints = [os.environ.get("JPY_SESSION_NAME", "")]
    try:
        from IPython import get_ipython

        hints.append(getattr(get_ipython(), "user_ns", {}).get("__vsc_ipynb_file__", ""))
    except ImportError:
        pass
    for hint in hints:
        file = Path(Path(hint.replace("\\", "/")).name)
        if file.suffix == ".ipynb" and file.exists():
            return file
    return None


def claim(name: str, *, folder: str | os.PathLike = FOLDER) -> Path:
    """Check that a run's name is that of the notebook.

    Parameters
    ----------
    name : str
        The run's name: that of the notebook without ``.ipynb``.
    folder : str or PathLike
        Where the runs are.

    Returns
    -------
    Path
        ``folder/name``, where ``runs.save`` may put the run. Nothing is written yet.

    Raises
    ------
    RunError
        If the notebook has another name, like a copy whose ``NAME`` has not been changed, or if the
        folder holds the run of another notebook.
    """
    if not name or name[0] in ". " or re.search(r'[\x00-\x1f<>:"/\\|?*]', name):
        raise RunError(f"NAME = {name!r} cannot be a folder's name: use letters, digits, - and _.")
    notebook = this_notebook()
    if notebook is None:
        claimants = [file for file in sorted(Path().glob("*.ipynb")) if _name_in(file) == name]
        others = [file for file in claimants if file.stem != name]
        if others:
            raise RunError(
                f"{others[0]} carries NAME = {name!r}, which is another notebook's: write "
                f'NAME = "{others[0].stem}" into its parameters cell, save it and run it again.'
            )
    elif notebook.stem != name:
        raise RunError(
            f"This notebook is {notebook}, but NAME is {name!r}, so its run would replace that of "
            f'another notebook: write NAME = "{notebook.stem}" into the parameters cell.'
        )
    place = Path(folder) / name
    if place.exists():
        made_by = _content(place / CONFIG).get("notebook")
        if made_by != f"{name}.ipynb":
            raise RunError(
                f"{place} is not a run of {name}.ipynb (it says {made_by}): move that folder away "
                "or choose another NAME."
            )
    return place


def _name_in(notebook: Path) -> str | None:
    """Return the value of NAME in the parameters cell of a notebook."""
    for cell in _content(notebook).get("cells", []):
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            found = re.search(r"""^NAME\s*=\s*(["'])(.*?)\1""", "".join(cell["source"]), re.M)
            if found:
                return found[2]
    return None


def compared(original: str | os.PathLike, copy: str | os.PathLike) -> dict[str, str]:
    """Return how each code cell of a copied notebook relates to the original.

    Parameters
    ----------
    original, copy : str or PathLike
        The two files. A copied cell keeps its id, whatever has changed in it.

    Returns
    -------
    dict of str to str
        For each cell, in order, ``"same"``, ``"changed"``, ``"new"`` or ``"left out"``. A cell that
        was left out comes after the one that it followed. Exercises do not count.
    """
    before, after = (_code_of(Path(file)) for file in (original, copy))
    status = {
        key: "new" if key not in before else "same" if before[key] == after[key] else "changed"
        for key in after
    }
    order = list(after)
    for previous, key in pairwise([None, *before]):
        if key not in after:
            order.insert(order.index(previous) + 1 if previous else 0, key)
    return {key: status.get(key, "left out") for key in order}


def unchanged(original: str | os.PathLike, copy: str | os.PathLike) -> set[str]:
    """Return the ids of the cells, text and code, that a copied notebook has left as they were.

    Links to the glossary do not count: they stand where a notebook first uses a word.
    """
    before, after = (
        {key: re.sub(GLOSSARY_LINK, r"\1", "\n".join(lines)) for key, lines in cells.items()}
        for cells in (_cells(Path(original)), _cells(Path(copy)))
    )
    return {key for key in after if after[key] == before.get(key)}


def difference(original: str | os.PathLike, copy: str | os.PathLike) -> str:
    """Return how a copied notebook differs from the original, as Markdown.

    Parameters
    ----------
    original, copy : str or PathLike
        As :func:`compared` takes them.

    Returns
    -------
    str
        A diff of the code cells that both have, and the number of other cells.
    """
    before, after = (_code_of(Path(file)) for file in (original, copy))
    status = compared(original, copy)
    lines: list[str] = []
    for key in (key for key in status if status[key] == "changed"):
        changes = difflib.unified_diff(before[key], after[key], lineterm="", n=1)
        lines += [f"@@ {key} @@"]
        lines += [line for line in list(changes)[2:] if not line.startswith("@@")] + [""]
    counts = Counter(status.values())
    others = [
        f"{counts['new']} new code cell{'s' * (counts['new'] > 1)}" * (counts["new"] > 0),
        f"{counts['left out']} left out" * (counts["left out"] > 0),
    ]
    others = [text for text in others if text]
    summary = f"Against `{Path(original).name}`" + (f": {', '.join(others)}." if others else ":")
    return "\n".join([summary, "", "```diff", *lines, "```"])


def _cells(notebook: Path, kind: str | None = None) -> dict[str, list[str]]:
    """Return the lines of each cell of a notebook, or of those of a kind, by the cell's id."""
    cells = _content(notebook).get("cells")
    if cells is None:
        raise RunError(f"{notebook} cannot be read as a notebook: is it in this folder?")
    return {
        cell["id"]: "".join(cell["source"]).splitlines()
        for cell in cells
        if kind in (None, cell["cell_type"])
    }


def _code_of(notebook: Path) -> dict[str, list[str]]:
    """Return the lines of each code cell, except exercises, which differ by notebook."""
    cells = _cells(notebook, "code").items()
    return {key: lines for key, lines in cells if not key.startswith("exercise")}


def _content(path: Path) -> dict[str, Any]:
    """Return the contents of a JSON file, or nothing if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
