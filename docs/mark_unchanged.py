"""Mark what the worked answers have in common with the base notebook.

    python docs/mark_unchanged.py

A cell that is the base notebook's gets the tag ``same-as-base``, and if it holds code, JupyterLab
folds it. Of cells that have been changed since, the marks are removed.
"""

import json
from pathlib import Path

from audioseg.training.notebook import unchanged

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "03-training-00-keras_2mlp_clsw0.ipynb"
TAG = "same-as-base"


def marked(cell: dict, same: bool) -> dict:
    """Return a cell's metadata with or without the mark."""
    metadata = dict(cell["metadata"])
    tags = [tag for tag in metadata.pop("tags", []) if tag != TAG] + [TAG] * same
    folded = {"jupyter": {"source_hidden": True}} if same and cell["cell_type"] == "code" else {}
    metadata.pop("jupyter", None)
    return metadata | folded | ({"tags": tags} if tags else {})


def mark(notebook: Path) -> None:
    """Mark the cells of a notebook file."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    same = unchanged(BASE, notebook)
    for cell in content["cells"]:
        cell["metadata"] = marked(cell, cell["id"] in same)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    notebook.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for path in sorted(ROOT.glob("03-training-9?-*.ipynb")):
        if "-Copy" not in path.stem:
            mark(path)
