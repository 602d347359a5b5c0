"""How the site shows notebooks: the newest run, unchanged cells folded, pictures described."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from docs.site import key_pictures, shown_notebooks

ROOT = Path(__file__).parent.parent.parent
COURSE = re.compile(r"01-|03-training-00-|03-training-9\d-|04-|05-")
NAMES = {p.stem for p in ROOT.glob("*.ipynb") if COURSE.match(p.stem) and "-Copy" not in p.stem}


def code(cell_id, source="x = 1", tags=(), output="1"):
    outputs = [v4.new_output("stream", text=output)] if output else []
    metadata = {"tags": list(tags)} if tags else {}
    return v4.new_code_cell(source, id=cell_id, metadata=metadata, outputs=outputs)


def test_a_notebook_is_shown_as_it_ran_unless_it_was_changed_since(tmp_path):
    path, executed = tmp_path / "a.ipynb", tmp_path / "executed" / "a.ipynb"
    path.write_text("")
    assert shown_notebooks.newest(path) == path
    executed.parent.mkdir()
    executed.write_text("")
    os.utime(path, (1000, 1000))
    os.utime(executed, (2000, 2000))
    assert shown_notebooks.newest(path) == executed
    os.utime(path, (3000, 3000))
    assert shown_notebooks.newest(path) == path


def test_of_what_is_the_bases_the_output_is_folded_only_if_it_is_the_same():
    same = ["same-as-base"]
    base = v4.new_notebook(cells=[code("a"), code("b"), code("c")])
    answer = v4.new_notebook(
        cells=[code("a", tags=same), code("b", tags=same, output="2"), code("c")]
    )
    answer.cells[0].execution_count = 7
    shown_notebooks.fold(answer, base)
    assert answer.cells[0].metadata.tags == ["same-as-base", "hide-cell"]
    assert answer.cells[1].metadata.tags == ["same-as-base", "hide-input"]
    assert "tags" not in answer.cells[2].metadata


def test_of_text_that_is_the_bases_the_heading_stays():
    folded = shown_notebooks.folded_text("## Training\n\nOne line an epoch.")
    assert folded.startswith("## Training\n\n<details")
    assert "\n\nOne line an epoch.\n\n</details>" in folded
    assert shown_notebooks.folded_text("## Training") == "## Training"
    assert shown_notebooks.folded_text("Only text.").lstrip().startswith("<details")


def test_a_picture_is_described_by_its_section():
    picture = v4.new_output("display_data", {"image/png": "", "text/plain": "<Figure>"})
    cells = [v4.new_markdown_cell("# One\n\ntext\n\n## Two"), code("a")]
    cells[1].outputs.append(picture)
    notebook = v4.new_notebook(cells=cells)
    shown_notebooks.describe_pictures(notebook)
    assert cells[1].metadata["mystnb"]["image"]["alt"] == "Figure: Two"


def test_links_to_files_with_a_page_lead_there():
    text = "[a](feat_ext.py) [b](audioseg/audio.py)"
    page = "docs/reference/modules/feat_ext.rst"
    assert shown_notebooks.link_to_pages(text, ".") == f"[a]({page}) [b](audioseg/audio.py)"
    up = shown_notebooks.link_to_pages("[a](../feat_ext.py)", "docs")
    assert up == f"[a](../{page})"


@pytest.mark.parametrize("one", key_pictures.KEY_PICTURES, ids=lambda one: one.step)
def test_key_pictures_are_in_the_committed_notebooks(one):
    notebook = nbformat.read(ROOT / f"{one.notebook}.ipynb", as_version=4)
    assert key_pictures.picture_of(notebook, one.cell).startswith(b"\x89PNG")


def test_every_notebook_has_a_key_picture():
    assert {one.notebook for one in key_pictures.KEY_PICTURES} == NAMES


def test_a_picture_that_is_not_there_is_named():
    notebook = v4.new_notebook(cells=[code("a")])
    with pytest.raises(LookupError, match="no cell 'b'"):
        key_pictures.picture_of(notebook, "b")
    with pytest.raises(LookupError, match="no picture below cell 'a'"):
        key_pictures.picture_of(notebook, "a")


def test_the_page_of_figures_folds_answers():
    page = key_pictures.page(key_pictures.KEY_PICTURES)
    before, answers = page.split("## Worked answers")
    assert "alive" not in before
    assert (
        answers.count("<details>")
        == answers.count("</details>")
        == sum(one.step.startswith("03-9") for one in key_pictures.KEY_PICTURES)
    )
