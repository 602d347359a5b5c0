"""Train a run again on a corpus that has grown, and compare its scores."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from audioseg.errors import ArgumentError, CourseError
from audioseg.features import extraction
from audioseg.features.command import report
from audioseg.features.dataset import load_split, read_dataset
from audioseg.features.parts import Source, loaded
from audioseg.segmentation import evaluation
from audioseg.training import context, runs

EXECUTED = Path("executed")
BEFORE = ".before"  # of runs/: the run as it was
SHOWN = {"accuracy": "accuracy", "macro_f1": "macro F1", "event_f1_0.5s": "event F1, 0.5 s"}


class RetrainingError(CourseError):
    """A notebook stopped before it had trained a run; one sentence that says what to do."""


def check(name: str, corpus: Path) -> Path:
    """Return the notebook of a run, before any long work starts.

    Raises
    ------
    ArgumentError
        If it is not here, or its run was trained on another corpus.
    """
    notebook = Path(f"{Path(name).name}.ipynb")
    if not notebook.exists():
        raise ArgumentError(f"--run {name}: {notebook} is not in this folder: name your notebook.")
    run = runs.load(runs.FOLDER / notebook.stem)
    val = load_split(corpus / "embeddings", "VAL")
    if run.metrics.get("corpus") != runs.corpus_of(val):
        raise ArgumentError(
            f"--run {name}: it was not trained with {corpus}: name a run that was, or train one on "
            "it first."
        )
    return notebook


def check_weights(corpus: Path, weights: str | None = None) -> None:
    """Make sure that what is new in a corpus can be extracted as the rest was.

    Parameters
    ----------
    corpus : Path
        Its folder.
    weights : str, optional
        As for :func:`vggish.embedding.load_embedding`; by default what the records name. Of your
        own checkpoint, they hold only the name.

    Raises
    ------
    ArgumentError
        If this is not the embedding of the records.
    """
    dataset = read_dataset(corpus / "embeddings")
    name, expected = dataset["weights"], dataset["weights_sha256"]
    made = f"{corpus / 'embeddings'} was made with {name} ({expected[:12]})"
    if weights is None and name not in ("audioset", "mini"):
        raise ArgumentError(f"{made}, a checkpoint of your own: name its file with --weights.")
    found = loaded(_source(dataset, weights)).sha256  # kept for :func:`extract`
    if found != expected:
        raise ArgumentError(
            f"{made}, but {weights or name} is {found[:12]}: name the right one with --weights, or "
            "extract the whole corpus again first."
        )


def extract(corpus: Path, weights: str | None = None) -> list[dict]:
    """Extract what is new in a corpus, with the settings of the rest; return what failed."""
    dataset = read_dataset(corpus / "embeddings")
    source = _source(dataset, weights)
    summary = extraction.run(corpus, source=source, hop_seconds=dataset["hop_seconds"])
    report(summary)
    return summary.failed


def _source(dataset: Mapping, weights: str | None) -> Source:
    return Source(weights or dataset["weights"], dataset["precision"], dataset["batch_size"])


def on_tst(place: Path, corpus: Path) -> dict[str, str | float]:
    """Return a run's scores on TST, smoothed as 04 chose, or else by Viterbi."""
    run = runs.load(place)
    needed = {key: run.config[key] for key in ("classes", "hop_seconds", "weights_sha256")}
    tst = load_split(corpus / "embeddings", "TST", keep_ignored=True, **needed)
    reference = evaluation.references(corpus, "TST", tst.names)
    answer = context.probabilities_as_segmented(run, tst)
    smoothing = run.test.get("smoothing", "viterbi")
    lengths = [one.seconds for one in reference]
    how = evaluation.CANDIDATES.get(smoothing, {"method": smoothing})
    estimate = evaluation.estimate(answer, tst, lengths, run.config, **how)
    scores = evaluation.score(tst, reference, estimate)
    return {"smoothing": smoothing} | {f"tst_{key}": value for key, value in scores.items()}


def train_again(notebook: Path, corpus: Path) -> Iterator[str]:
    """Run a notebook, and yield lines that compare its run before and after on the same TST.

    The earlier run stays in ``runs/.before``.

    Raises
    ------
    RetrainingError
        If the notebook stops. However this ends early, the earlier run is restored.
    """
    place = runs.FOLDER / notebook.stem
    before = on_tst(place, corpus)
    kept = runs.FOLDER / BEFORE / notebook.stem
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(place, kept)
    try:
        output = _execute(notebook)
        runs.write_test(place, {"smoothing": before["smoothing"]})  # compared with the same one
        after = on_tst(place, corpus)
        runs.write_test(place, after)
    except BaseException:  # Ctrl+C as well
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(kept, place)
        raise
    yield f"{notebook.stem} on TST of {corpus}, smoothed ({before['smoothing']}):"
    yield f"{'':18}{'before':>8}{'after':>8}"
    for key, title in SHOWN.items():
        yield f"{title:18}{before[f'tst_{key}']:8.3f}{after[f'tst_{key}']:8.3f}"
    yield f"the earlier run: {kept}; the notebook with its results: {output}"


def _execute(notebook: Path) -> Path:
    """Run a notebook, and return the copy with its results."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    EXECUTED.mkdir(exist_ok=True)
    output = EXECUTED / notebook.name
    hint = os.environ.get("JPY_SESSION_NAME")
    os.environ["JPY_SESSION_NAME"] = notebook.name  # whose run it is
    try:
        papermill.execute_notebook(
            notebook, output, progress_bar=sys.stderr.isatty(), kernel_name="python3"
        )
    except PapermillExecutionError as error:
        raise RetrainingError(
            f"{notebook} stopped with {error.ename} ({error.evalue}): look at {output}."
        ) from None
    finally:
        os.environ.pop("JPY_SESSION_NAME")
        if hint is not None:
            os.environ["JPY_SESSION_NAME"] = hint
    return output
