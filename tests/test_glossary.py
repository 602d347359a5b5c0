"""The glossary: links to it find their word, and a notebook links a word's first use."""

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
links = runpy.run_path(str(ROOT / "docs" / "link_glossary.py"))
ANCHORS = {links["slug"](term) for term in links["terms"]()}
LINKED = sorted(
    path
    for path in ROOT.glob("0[13]-*.ipynb")
    if re.fullmatch(r"01-data-\S+splitting|03-training-(00-keras_2mlp_clsw0|9\d-\w+)", path.stem)
)


def texts(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("0*.ipynb"), *ROOT.glob("docs/*.md"), ROOT / "README.md"],
    ids=lambda p: p.name,
)
def test_links_to_the_glossary_find_their_word(path):
    text = "".join(texts(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    found = set(re.findall(r"glossary\.md#([\w-]+)\)", text))
    if path.name == "glossary.md":
        found |= set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert found <= ANCHORS


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.stem)
def test_a_word_is_linked_where_it_comes_first(path):
    assert links["linked"](texts(path)) == texts(path), "run docs/link_glossary.py"
    found = re.findall(r"glossary\.md#([\w-]+)\)", "".join(texts(path)))
    assert len(found) == len(set(found)), "a word is linked twice"
    assert len(found) > 8


def test_the_glossary_is_in_order_and_its_pictures_are_there():
    words = [term.lower() for term in links["terms"]()]
    assert words == sorted(words)
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", GLOSSARY):
        assert (ROOT / "docs" / picture).stat().st_size < 80_000


def test_words_are_linked_once_and_not_in_code_or_headings():
    text = (
        "# Hidden units\n`loss` and *losses*, a loss; macro F1, then F1. "
        "[Viterbi](docs/glossary.md#viterbi)"
    )
    expected = (
        "# Hidden units\n`loss` and *losses*, a [loss](docs/glossary.md#loss); "
        "[macro F1](docs/glossary.md#macro-f1), then [F1](docs/glossary.md#f1). "
        "[Viterbi](docs/glossary.md#viterbi)"
    )
    assert links["linked"]([text, "loss, Viterbi"]) == [expected, "loss, Viterbi"]
