"""Link each word of the glossary where a notebook first uses it.

    python docs/link_glossary.py

Headings, code, and what is a link already stay as they are.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/glossary.md"
# of each term whose forms are not it or it with an s; words that mean other things as well are
# left out, and linked by hand
FORMS = {
    "accuracy": "accurac(?:y|ies)",
    "batch": "batch(?:es)?",
    "confusion matrix": "confusion matri(?:x|ces)",
    "log-mel spectrogram": "log-mel(?: spectrograms?)?",
    "overfitting": "overfit(?:s|ting)?",
    "class weights": "class weights",
    "loss": "loss",
}
BY_HAND = {
    "background",
    "context",
    "group",
    "hop",
    "run",
    "seed",
    "smoothing",
    "source",
    "split",
    "weight",
}
LEFT_ALONE = re.compile(
    r"```.*?```|`[^`]*`|!?\[[^\]]*\]\([^)]*\)|^#.*?$|<[^>]*>.*?$", re.DOTALL | re.MULTILINE
)


def slug(term: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w-]", "", term.lower().replace(" ", "-"))


def terms() -> list[str]:
    """Return the headings of the glossary."""
    return re.findall(r"^## (.+)$", (ROOT / PAGE).read_text(encoding="utf-8"), re.MULTILINE)


def linked(texts: list[str]) -> list[str]:
    """Link the first use of each term in the Markdown cells of a notebook, given in order."""
    forms = {
        term: FORMS.get(term, re.escape(term) + "s?") for term in terms() if term not in BY_HAND
    }
    longest = sorted(forms, key=len, reverse=True)
    pattern = re.compile(
        "|".join(rf"(?<![\w-])(?P<t{longest.index(t)}>{forms[t]})(?![\w-])" for t in longest),
        re.IGNORECASE,
    )
    seen: set[str] = set()

    def link(match: re.Match) -> str:
        term = longest[int(match.lastgroup[1:])]
        if term in seen:
            return match[0]
        seen.add(term)
        return f"[{match[0]}]({PAGE}#{slug(term)})"

    def of(text: str) -> str:
        parts, at = [], 0
        for kept in LEFT_ALONE.finditer(text):
            parts += [pattern.sub(link, text[at : kept.start()]), kept[0]]
            seen.update(t for t in longest if kept[0].endswith(f"{PAGE}#{slug(t)})"))
            at = kept.end()
        return "".join([*parts, pattern.sub(link, text[at:])])

    return [of(text) for text in texts]


def link(notebook: Path) -> None:
    """Link the terms in a notebook file."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "markdown"]
    for cell, text in zip(cells, linked(["".join(c["source"]) for c in cells]), strict=True):
        cell["source"] = text.splitlines(keepends=True)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    notebook.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for path in sorted(ROOT.glob("0[1345]-*.ipynb")):
        if not re.match(r"03-training-(?!00-keras_2mlp_clsw0$|9\d-\w+$)", path.stem):
            link(path)
