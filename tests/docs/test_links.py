"""Links between the project's pages and notebooks: their files exist, and so do their headings."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    *ROOT.glob("*.md"),
    *(p for p in ROOT.glob("docs/*.md")),
    ROOT / "data/README.md",
    ROOT / "vggish/README.md",
    *(p for p in ROOT.glob("0*.ipynb") if "-Copy" not in p.name),
]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
MADE = ("docs/figures/", "docs/reference/modules/")  # by `make site`


def text_of(path):
    """Return a page's Markdown, code left out."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def slugs_of(path):
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.strip().lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for link in LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:", link):
            continue
        address, _, anchor = link.partition("#")
        target = (page.parent / address).resolve() if address else page
        place = target.relative_to(ROOT.resolve()).as_posix()
        if place.startswith(MADE):
            continue
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix in {".md", ".ipynb"}:
            assert anchor in slugs_of(target), f"{link}: no such heading"
