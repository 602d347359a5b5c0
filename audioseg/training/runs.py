"""Runs: what training leaves in runs/<NAME>/, whose it is, and how it is used again.

``config.json`` holds the network's layers and all that is needed to use it: the embedding it was
trained on, the hop, the classes, and the priors and transition probabilities of TRN. What a
network may look like is told in ``context.py``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audioseg.errors import CourseError
from audioseg.files import replacing
from audioseg.labels import CLASSES
from audioseg.segmentation.scores import frame_scores
from audioseg.segmentation.smoothing import transitions
from audioseg.show import pictures
from audioseg.training.context import input_shape, probabilities_of

if TYPE_CHECKING:
    import keras

FOLDER = Path("runs")
INPUTS = ("audio_embedding", "embedding")  # the two forms that a record holds
AGREEMENT = 0.02  # between VAL accuracy as training saw it, and as the stored network repeats it


class RunError(CourseError):
    """A run that cannot be kept or used; one sentence that says what to do."""


class Run(NamedTuple):
    """A stored run: its folder's name, its ``config.json``, its ``metrics.json``, its network."""

    name: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    network: keras.Model


# -- whose run is it ------------------------------------------------------------------------


def this_notebook() -> Path | None:
    """Return the notebook that runs in this kernel, or None where nobody says.

    Jupyter names the file in the environment when it starts a kernel, Visual Studio Code in a
    variable. After a file has been renamed under a running kernel both are out of date: a name
    that no file has any more is not believed.
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
    """Check that a run's name belongs to the notebook that asks for it.

    Parameters
    ----------
    name : str
        The run's name: that of the notebook without ``.ipynb``.
    folder : str or PathLike
        Where the runs are.

    Returns
    -------
    Path
        ``folder/name``, where :func:`save` may put the run. Nothing is written yet.

    Raises
    ------
    RunError
        If the notebook has another name, as a copy has in which ``NAME`` has not been changed,
        or if what is there is not a run of this notebook.
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
        made_by = _read_json(place / "config.json").get("notebook")
        if made_by not in (f"{name}.ipynb", None if notebook is None else notebook.name):
            raise RunError(
                f"{place} is not a run of {name}.ipynb (it says {made_by}): move that folder away "
                "or choose another NAME."
            )
    return place


def _name_in(notebook: Path) -> str | None:
    """Return what a notebook file assigns to NAME in its parameters cell."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return None
    for cell in cells:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            found = re.search(r"""^NAME\s*=\s*(["'])(.*?)\1""", "".join(cell["source"]), re.M)
            if found:
                return found[2]
    return None


def difference(original: str | os.PathLike, copy: str | os.PathLike) -> str:
    """Return how a copied notebook differs from the original, as Markdown.

    Parameters
    ----------
    original, copy : str or PathLike
        The two files. A copied cell keeps its identity, whatever has been changed in it.

    Returns
    -------
    str
        A diff of the code cells that both have, and what the copy has beyond them.
    """
    before, after = (_code_cells(Path(file)) for file in (original, copy))
    lines: list[str] = []
    for identity in (key for key in before if key in after and before[key] != after[key]):
        changes = difflib.unified_diff(before[identity], after[identity], lineterm="", n=1)
        lines += [line for line in list(changes)[2:] if not line.startswith("@@")] + [""]
    new, gone = (len(a.keys() - b.keys()) for a, b in ((after, before), (before, after)))
    others = [
        f"{count} code cell{'s' * (count > 1)} {what}"
        for count, what in ((new, "more"), (gone, "less"))
        if count
    ]
    summary = f"Against `{Path(original).name}`" + (f": {', '.join(others)}." if others else ":")
    return "\n".join([summary, "", "```diff", *lines, "```"])


def _code_cells(notebook: Path) -> dict[str, list[str]]:
    """Return the lines of each code cell of a notebook, by the cell's identity."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        raise RunError(f"{notebook} cannot be read as a notebook: is it in this folder?") from None
    code = (cell for cell in cells if cell["cell_type"] == "code")
    return {cell["id"]: "".join(cell["source"]).splitlines() for cell in code}


def corpus_of(val: Any) -> str:
    """Return what tells corpora apart: the SHA-256 of the labels of their VAL, by recording.

    Parameters
    ----------
    val : feat_ext.Frames
        VAL. Scores of runs compare where it is the same.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    return hashlib.sha256(val.recording.tobytes() + val.label.tobytes()).hexdigest()


# -- keeping a run, and finding it again ------------------------------------------------------


def save(
    place: str | os.PathLike,
    network: keras.Model,
    history: Mapping[str, Sequence[float]],
    *,
    trn: Any,
    val: Any,
    dataset: Mapping[str, Any],
    parameters: Mapping[str, Any],
    seconds: float,
    input: str = "audio_embedding",
) -> dict[str, Any]:
    """Store a run, and score the network on VAL as it was stored.

    The folder is written aside and put in place when it is complete. The network is read back
    from it and given VAL as it stands in the records, so the scores are those that the next user
    of the run will get.

    Parameters
    ----------
    place : str or PathLike
        What :func:`claim` returned. A run that is there is replaced as a whole.
    network : keras.Model
        The trained network.
    history : mapping of str to sequence of float
        One number an epoch, as ``fit`` returns it in ``.history``.
    trn, val : feat_ext.Frames
        What it was trained and validated on.
    dataset : mapping
        What ``feat_ext.read_dataset`` says of them.
    parameters : mapping
        What was set by hand, with ``SEED`` among it.
    seconds : float
        How long training took.
    input : str
        Which form of the embedding the network takes, one of :data:`INPUTS`.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    RunError
        If the stored network does not repeat what training saw, for instance because something
        was done to its inputs outside it.
    """
    import keras
    import matplotlib.pyplot as plt

    place = Path(place)
    input_shape(network)
    shares = np.bincount(trn.label, minlength=len(CLASSES)) / len(trn.label)
    config = {
        "name": place.name,
        "notebook": f"{place.name}.ipynb" if this_notebook() is None else this_notebook().name,
        "parameters": dict(parameters),
        "classes": list(CLASSES),
        "input": input,
        "hop_seconds": float(trn.hop_seconds),
        "weights": dataset["weights"],
        "weights_sha256": dataset["weights_sha256"],
        "priors": shares.tolist(),
        "transitions": transitions(trn.label, trn.recording, classes=len(CLASSES)).tolist(),
        "keras": keras.__version__,
        "network": keras.saving.serialize_keras_object(network),
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=".new-"))
    try:
        network.save_weights(aside / "model.weights.h5")
        _write_json(aside / "config.json", config)
        stored = load(aside)
        answer = probabilities_of(stored.network, getattr(val, input), val.recording)
        scores = frame_scores(val.label, answer.argmax(axis=1))
        seen = list(history.get("val_accuracy", [])) or [scores.accuracy]
        if min(abs(value - scores.accuracy) for value in seen) > AGREEMENT:
            raise RunError(
                f"In training the network got {seen[-1]:.3f} on VAL, but as stored, given "
                f"{input} as it stands in the records, it gets {scores.accuracy:.3f}: whatever is "
                "done to the inputs has to be done inside build_model, where 04 and segments.py "
                "find it (for the other form of the embedding, say so with "
                f"input={INPUTS[input == INPUTS[0]]!r})."
            )
        metrics = {
            "name": place.name,
            "weights": dataset["weights"],
            "weights_sha256": dataset["weights_sha256"],
            "seed": parameters.get("SEED"),
            "corpus": corpus_of(val),
            "val_minutes": round(len(val.label) * float(val.hop_seconds) / 60, 1),
            "val_accuracy": scores.accuracy,
            "val_majority_share": float(np.mean(val.label == shares.argmax())),
            "val_macro_f1": scores.macro_f1,
            "val_balanced_accuracy": scores.balanced_accuracy,
            "val_f1": dict(zip(CLASSES, scores.f1.tolist(), strict=True)),
            "seconds": round(float(seconds), 1),
            "epochs": len(history["loss"]),
            "network_parameters": network.count_params(),
        }
        names = list(history)
        rows = zip(range(1, len(history["loss"]) + 1), *history.values(), strict=True)
        table = [",".join(["epoch", *names])] + [",".join(map(str, row)) for row in rows]
        (aside / "history.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
        title = f"{place.name}\nVAL: accuracy {scores.accuracy:.3f}, macro F1 {scores.macro_f1:.3f}"
        figure = pictures.confusion(scores.confusion, title=title)
        figure.savefig(aside / "confusion.png", dpi=110)
        plt.close(figure)
        _write_json(aside / "metrics.json", metrics)
        _put_in_place(aside, place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return metrics


def load(place: str | os.PathLike) -> Run:
    """Read a run back.

    Parameters
    ----------
    place : str or PathLike
        Its folder.

    Returns
    -------
    Run

    Raises
    ------
    RunError
        If it is not a complete run, or its network cannot be built again.
    """
    import keras

    place = Path(place)
    config, metrics = (_read_json(place / name) for name in ("config.json", "metrics.json"))
    if not config or not (place / "model.weights.h5").exists():
        known = ", ".join(sorted(path.name for path in _complete(place.parent))) or "none"
        raise RunError(
            f"{place} is not a complete run (config.json and model.weights.h5): train one with a "
            f"notebook 03, or name one that is there ({known})."
        )
    if tuple(config["classes"]) != CLASSES:
        raise RunError(
            f"{place} was trained on the classes {', '.join(config['classes'])}, not on "
            f"{', '.join(CLASSES)}: train it again."
        )
    try:
        # safe: layers by name, no stored code is run
        network = keras.saving.deserialize_keras_object(config["network"], safe_mode=True)
        network.load_weights(place / "model.weights.h5")
    except Exception as error:  # Keras raises whatever its layers raise
        first = str(error).strip().splitlines()[0][:200]
        raise RunError(
            f"The network of {place} cannot be built again from what was stored ({first}): build "
            "it of Keras's own layers and of operations on tensors, without Lambda."
        ) from None
    return Run(place.name, config, metrics, network)


def table(folder: str | os.PathLike = FOLDER) -> list[dict[str, Any]]:
    """Return ``metrics.json`` of every run, with what ``test.json`` adds, best on VAL first.

    A run is called by its folder's name: whoever collects the runs of many people puts a name in
    front of each folder.

    Parameters
    ----------
    folder : str or PathLike
        Where the runs are.

    Returns
    -------
    list of dict
        Empty where there is no run yet.

    Raises
    ------
    RunError
        If one of the files cannot be read, or lacks the scores that runs are compared by.
    """
    rows = []
    for place in _complete(Path(folder)):
        metrics = _read_json(place / "metrics.json")
        for key in ("val_accuracy", "val_majority_share", "val_macro_f1"):
            if not isinstance(metrics.get(key), float):
                raise RunError(f"{place / 'metrics.json'} has no {key}: train that run again.")
        rows.append(metrics | _read_json(place / "test.json") | {"name": place.name})
    return sorted(rows, key=lambda row: (-row["val_macro_f1"], row["name"]))


def best(
    folder: str | os.PathLike = FOLDER,
    *,
    weights_sha256: str | None = None,
    corpus: str | None = None,
) -> str:
    """Return the name of the run with the highest macro F1 on VAL.

    Parameters
    ----------
    folder : str or PathLike
        Where the runs are.
    weights_sha256 : str, optional
        Only runs on the embedding with these weights.
    corpus : str, optional
        Only runs on the corpus that :func:`corpus_of` calls so.

    Returns
    -------
    str

    Raises
    ------
    RunError
        If there is none.
    """
    rows = table(folder)
    fitting = [
        row
        for row in rows
        if weights_sha256 in (None, row.get("weights_sha256"))
        and corpus in (None, row.get("corpus"))
    ]
    if not fitting:
        why = " on this corpus and its embeddings" if rows else ""
        raise RunError(f"{folder} holds no run{why} yet: run a notebook 03 first.")
    return fitting[0]["name"]


def write_test(place: str | os.PathLike, scores: Mapping[str, Any]) -> None:
    """Store a run's scores on TST as ``test.json``."""
    _write_json(Path(place) / "test.json", dict(scores))


def _complete(folder: Path) -> list[Path]:
    """Return the folders of complete runs."""
    return sorted(
        path.parent
        for path in folder.glob("*/metrics.json")
        if not path.parent.name.startswith(".")
    )


def _put_in_place(aside: Path, place: Path) -> None:
    """Replace one folder by another."""
    umask = os.umask(0)
    os.umask(umask)
    aside.chmod(0o777 & ~umask)
    if place.exists():
        old = Path(tempfile.mkdtemp(dir=place.parent, prefix=".old-"))
        place.replace(old / place.name)
        aside.replace(place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        aside.replace(place)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's content, nothing where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): train that run again.") from None
