"""Sphinx extension: the course's notebooks as pages, and a cell's output on any page."""

from __future__ import annotations

from pathlib import Path

import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from docs.site.shown_notebooks import BASE, link_to_pages, newest, shown


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Take the page's text as it shall be shown."""
    root, path = Path(app.srcdir), Path(app.env.doc2path(docname))
    if path.suffix == ".md":
        source[0] = link_to_pages(source[0], path.parent.relative_to(root).as_posix())
    if path.suffix == ".ipynb":
        for name in (docname, BASE):
            app.env.note_dependency(str(newest(root / f"{name}.ipynb")))
        source[0] = nbformat.writes(shown(docname, root))


class CellOutput(Directive):
    """Show the HTML that a notebook's cell put out, a player say: `{cell-output} NOTEBOOK CELL`."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the output as it is."""
        name, cell_id = self.arguments
        env = self.state.document.settings.env
        path = newest(Path(env.srcdir) / f"{name}.ipynb")
        env.note_dependency(str(path))
        cells = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}
        found = [out.get("data", {}).get("text/html") for out in cells[cell_id].outputs]
        first = next(html for html in found if html)
        return [nodes.raw("", f'<div class="heard">{first}</div>', format="html")]


def keep_files_inside(app: Sphinx) -> None:
    """Have MyST-NB keep its copies of the notebooks with Sphinx's, not beside the site."""
    inside = str(Path(app.doctreedir) / "notebooks")
    app.env.mystnb_config = app.env.mystnb_config.copy(output_folder=inside)


def skip_numbered(
    app: Sphinx, what: str, name: str, thing: object, skip: bool, options: dict
) -> bool | None:
    """Skip a named tuple's fields, whose docstrings only count them; None leaves it to Sphinx."""
    return True if (getattr(thing, "__doc__", None) or "").startswith("Alias for field") else None


def name_folded_cells(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Let a folded cell be called what is written on it: MyST-NB gives all of them one name."""
    if "body" in context:
        context["body"] = context["body"].replace(' aria-label="Toggle hidden content"', "")


def setup(app: Sphinx) -> dict:
    """Tell Sphinx what is here."""
    app.connect("builder-inited", keep_files_inside, priority=900)
    app.connect("source-read", read)
    app.connect("html-page-context", name_folded_cells)
    app.connect("autodoc-skip-member", skip_numbered)
    app.add_directive("cell-output", CellOutput)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
