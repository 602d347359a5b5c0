"""A button in a notebook: send a recording to a run, and look at its segments."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from audioseg.errors import CourseError
from audioseg.show.app.jobs import UploadError, plain_name
from vggish.errors import SentenceError

if TYPE_CHECKING:
    import ipywidgets

    from audioseg.segmentation.segmenter import Segmenter

HEIGHT = 760  # pixels of a page in a notebook
# Jupyter drops a larger message without a word to us
LIMIT = "up to 9 MB; larger ones by `audioseg segment` or `audioseg app`"


def button(segmenter: Segmenter, folder: str | Path = "segmented") -> ipywidgets.Widget:
    """Return a button that sends recordings, and the place where their pages appear.

    Label files and pages go to a folder. Jupyter accepts messages up to 10 MiB; for a larger
    recording take ``audioseg segment``, ``audioseg app``, or Jupyter's own upload button.

    Parameters
    ----------
    segmenter : Segmenter
        The run, made ready.
    folder : str or Path
        Where label files and pages go.

    Returns
    -------
    ipywidgets.Widget
        To be shown as a cell's last value.
    """
    import ipywidgets
    from IPython.display import HTML, FileLink, display

    folder = Path(folder)
    choose = ipywidgets.FileUpload(
        accept="audio/*,video/*", multiple=True, description="Send a recording"
    )
    choose.layout.width = "auto"
    bar = ipywidgets.FloatProgress(min=0, max=1)
    said = ipywidgets.Label(LIMIT)
    below = ipywidgets.Output()
    bar.layout.visibility = "hidden"

    def one(name: str, content: bytes) -> None:
        from audioseg import audio

        sent = folder / "sent" / plain_name(name)
        sent.parent.mkdir(parents=True, exist_ok=True)
        sent.write_bytes(content)
        try:
            bar.max = audio.stated_seconds(sent) or 60.0
            bar.value, said.value = 0.0, name

            def progress(seconds: float) -> None:
                bar.value += seconds

            result = segmenter.segment(sent, progress)
            *files, page = segmenter.write(sent, result, folder / sent.stem)
        except (SentenceError, ValueError, OSError) as error:
            raise UploadError(str(error).replace(str(sent), name)) from None
        display(HTML(framed(page.read_text(encoding="utf-8"), f"Page of {name}")))
        for file in (page, *files):
            display(FileLink(file))

    def changed(change: dict) -> None:
        files, choose.value = change["new"], ()
        bar.layout.visibility = "visible"
        for file in files:
            with below:
                try:
                    one(file["name"], bytes(file["content"]))
                except CourseError as error:
                    display(HTML(f"<p style='color:#b3261e'>{html.escape(str(error))}</p>"))
        bar.layout.visibility = "hidden"
        said.value = LIMIT

    choose.observe(lambda change: changed(change) if change["new"] else None, names="value")
    return ipywidgets.VBox([ipywidgets.HBox([choose, bar, said]), below])


def framed(page: str, title: str) -> str:
    """Return a page as HTML that can stand in another."""
    return (
        # in a box, or IPython advises its own frame, which takes addresses only
        f'<div><iframe title="{html.escape(title)}" srcdoc="{html.escape(page)}" width="100%" '
        f'height="{HEIGHT}" style="border:0" sandbox="allow-scripts allow-downloads"></iframe>'
        "</div>"
    )
