"""A run that is ready to segment: its network, its embedding, its smoothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from audioseg.segmentation import label_files, pages, segments
from audioseg.segmentation.evaluation import CANDIDATES

if TYPE_CHECKING:
    from audioseg.training.runs import Run
    from vggish.embedding import Embedding


class Segmenter(NamedTuple):
    """Segments recordings with one run.

    Attributes
    ----------
    run : Run
        As :func:`audioseg.training.runs.load` returns it.
    embedding : Embedding
        The run's embedding.
    smoothing : str
        The name of a smoothing.
    """

    run: Run
    embedding: Embedding
    smoothing: str

    @property
    def how(self) -> dict[str, Any]:
        """The arguments of smoothing."""
        return CANDIDATES.get(self.smoothing, {"method": self.smoothing})

    @property
    def about(self) -> dict[str, str]:
        """The facts that a page gives."""
        return {
            "run": self.run.name,
            "embedding": self.embedding.name,
            "smoothing": self.smoothing,
        }

    @property
    def guesses(self) -> bool:
        """Whether the run is no better on VAL than one answer for everything."""
        metrics = self.run.metrics
        return metrics["val_accuracy"] <= metrics["val_majority_share"]

    def segment(
        self, path: str | os.PathLike, progress: Callable[[float], None] = lambda seconds: None
    ) -> segments.Segmentation:
        """Segment a recording; see :func:`audioseg.segmentation.segments.segment`."""
        return segments.segment(path, self.run, self.embedding, progress=progress, **self.how)

    def write(
        self, path: str | os.PathLike, result: segments.Segmentation, stem: str | os.PathLike
    ) -> list[Path]:
        """Write label files and page of a segmented recording; return them, the page last."""
        files = label_files.export(result, stem)
        page, *sound = pages.write(path, result, stem, files=files, about=self.about)
        return [*files, *sound, page]


def load(
    name: str | os.PathLike | None = None,
    *,
    weights: str | os.PathLike | None = None,
    smoothing: str | None = None,
) -> Segmenter:
    """Load a run and its embedding.

    Parameters
    ----------
    name : str or PathLike, optional
        A run in ``runs/``; by default the one that VAL chooses.
    weights : str or PathLike, optional
        The embedding; by default the run's.
    smoothing : str, optional
        A method, or a candidate of 04; by default the one that 04 chose, else ``viterbi``.

    Returns
    -------
    Segmenter

    Raises
    ------
    CourseError
        If there is no such run, or it does not fit the embedding.
    """
    from audioseg.training import runs

    # runs/NAME/, as a shell completes it, stands for NAME
    run = runs.load(runs.FOLDER / Path(name or runs.best()).name)
    embedding = segments.embedding_for(run, weights)
    chosen = run.test.get("smoothing")
    return Segmenter(run, embedding, smoothing or (chosen if chosen in CANDIDATES else "viterbi"))
