"""Runs: store what training made in runs/<NAME>/, and load it again.

``config.json`` holds the network's layers and all that is needed to use it: the embedding it was
trained on, the hop, the classes, the priors that it was trained under, the transition
probabilities of TRN, and how often it hears a recording. ``context.py`` explains the networks,
``notebook.py`` which run belongs to which notebook.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audioseg.files import replacing
from audioseg.labels import IGNORED, Classes
from audioseg.show import pictures
from audioseg.training.choice import (
    best_smoothed,
    by_corpus,
    clips_of,
    hearings,
    recordings_of,
    val_score,
    val_scores,
)
from audioseg.training.context import input_shape, probabilities_alone, probabilities_of
from audioseg.training.fields import CONFIG, FOLDER, INPUTS, METRICS, TEST, RunError, read
from audioseg.training.notebook import claim, compared, difference
from audioseg.training.scores import frame_scores
from vggish.download import sha256_of

if TYPE_CHECKING:
    import keras

__all__ = [
    "FOLDER", "INPUTS", "Run", "RunError", "best", "claim", "compared", "corpus_of", "difference",
    "load", "save", "table", "transitions", "val_score", "write_test",
]  # fmt: skip

WEIGHTS = "model.weights.h5"
SHORT_SECONDS = 1.0  # from one window of VAL that is scored alone to the next
AGREEMENT = 0.02  # between VAL accuracy as training saw it, and as the stored network repeats it


class Run(NamedTuple):
    """A stored run: its folder's name, what its files say, and its network.

    ``test`` is empty until 04 has tested the run.
    """

    name: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    test: dict[str, Any]
    network: keras.Model


def corpus_of(val: Any) -> str:
    """Identify a corpus by the SHA-256 of the labels of its VAL, recording by recording.

    It is the same whether ignored windows have been kept or left out.

    Parameters
    ----------
    val : audioseg.features.dataset.Frames
        VAL. Scores of runs can be compared where it is the same.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    known = val.label != IGNORED
    recording = recordings_of(val)
    return hashlib.sha256(recording[known].tobytes() + val.label[known].tobytes()).hexdigest()


def transitions(labels: np.ndarray, recording: np.ndarray, *, classes: int) -> np.ndarray:
    """Count how often each class follows each class, and return the probabilities.

    Parameters
    ----------
    labels : np.ndarray [shape=(n,), dtype=int]
        The frames of TRN.
    recording : np.ndarray [shape=(n,), dtype=int]
        Which recording each frame is of: the step from one to the next is no transition.
    classes : int
        How many classes there are.

    Returns
    -------
    np.ndarray [shape=(classes, classes)]
        Row: the class now. Column: the class one frame later. Half an occurrence is added to each
        pair, so that nothing is impossible.
    """
    together = np.diff(recording) == 0
    counts = np.full((classes, classes), 0.5)
    np.add.at(counts, (labels[:-1][together], labels[1:][together]), 1)
    return counts / counts.sum(axis=1, keepdims=True)


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
    class_weight: Mapping[int, float] | None = None,
) -> dict[str, Any]:
    """Store a run, and score the stored network on VAL.

    The folder appears once it is complete. The network is read back from it and sees VAL exactly as
    the records hold it, so the scores are those that the next user of the run will get.

    Parameters
    ----------
    place : str or PathLike
        As :func:`claim` returns it. A run that is there is replaced as a whole.
    network : keras.Model
        The trained network.
    history : mapping of str to sequence of float
        One number an epoch, as ``fit`` returns it in ``.history``.
    trn, val : audioseg.features.dataset.Frames
        The data that it was trained and validated on.
    dataset : mapping
        As ``audioseg.features.dataset.read_dataset`` returns it.
    parameters : mapping
        The parameters of the notebook, with ``SEED`` among them.
    seconds : float
        How long training took.
    input : str
        Which form of the embedding the network takes, one of :data:`INPUTS`.
    class_weight : mapping of int to float, optional
        As ``fit`` got it. A network that was trained with class weights takes the classes to be
        as frequent as their weights make them, and the run's ``priors`` say so.

    Returns
    -------
    dict
        The contents of ``metrics.json``.

    Raises
    ------
    RunError
        If the stored network does not repeat the accuracy that training saw, for instance because
        the notebook changed the inputs outside the network.
    """
    import keras
    import matplotlib.pyplot as plt
    import pandas as pd

    place = Path(place)
    classes = Classes.of(dataset)
    count = len(classes.names)
    input_shape(network, count)
    counts = np.bincount(trn.label, minlength=count)
    weighted = counts * [(class_weight or {}).get(number, 1.0) for number in range(count)]
    config = {
        "name": place.name,
        "notebook": f"{place.name}.ipynb",
        "parameters": dict(parameters),
        **classes.said(),
        "input": input,
        "hop_seconds": float(trn.hop_seconds),
        "weights": dataset["weights"],
        "weights_sha256": dataset["weights_sha256"],
        "priors": (weighted / weighted.sum()).tolist(),
        "transitions": transitions(trn.label, trn.recording, classes=count).tolist(),
        "keras": keras.__version__,
        "network": keras.saving.serialize_keras_object(network),
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as beside:
        aside = Path(beside) / "new"
        aside.mkdir()
        network.save_weights(aside / WEIGHTS)
        config["network_sha256"] = sha256_of(aside / WEIGHTS)
        stored = _network_of(config, aside / WEIGHTS, place)
        answer = probabilities_of(stored, getattr(val, input), val.recording)
        scores = frame_scores(val.label, answer.argmax(axis=1), classes=count)
        step = max(1, round(SHORT_SECONDS / float(val.hop_seconds)))
        clips = clips_of(recordings_of(val), step=step)
        alone = probabilities_alone(stored, getattr(val, input)[clips])
        whole = {1: best_smoothed(val, answer, config)}
        if (faster := getattr(val, f"faster_{input}")) is not None:
            twice = (answer + probabilities_of(stored, faster, val.recording)) / 2
            whole[2] = best_smoothed(val, twice, config)
        config["hearings"] = hearings(whole[1], whole.get(2))
        _write_json(aside / CONFIG, config)
        seen = list(history.get("val_accuracy", [])) or [scores.accuracy]
        if min(abs(value - scores.accuracy) for value in seen) > AGREEMENT:
            raise RunError(
                f"In training the network reached {seen[-1]:.3f} on VAL, but the stored network, "
                f"given {input} as the records hold it, reaches {scores.accuracy:.3f}: change the "
                "inputs inside build_model, where 04 and `audioseg segment` find it (if it takes "
                "the other form of the embedding, pass "
                f"input={INPUTS[input == INPUTS[0]]!r})."
            )
        metrics = {
            "name": place.name,
            "weights": dataset["weights"],
            "weights_sha256": dataset["weights_sha256"],
            "classes": list(classes.names),
            "seed": parameters.get("SEED"),
            "corpus": corpus_of(val),
            "val_minutes": round(len(val.label) * float(val.hop_seconds) / 60, 1),
            "val_accuracy": scores.accuracy,
            "val_majority_share": float(np.mean(val.label == counts.argmax())),
            "val_macro_f1": scores.macro_f1,
            **val_scores(val, whole[config["hearings"]], clips=clips, alone=alone),
            "val_balanced_accuracy": scores.balanced_accuracy,
            "val_f1": dict(zip(classes.names, scores.f1.tolist(), strict=True)),
            "seconds": round(float(seconds), 1),
            "epochs": len(history["loss"]),
            "network_parameters": network.count_params(),
        }
        _write_json(aside / METRICS, metrics)
        epochs = pd.RangeIndex(1, metrics["epochs"] + 1, name="epoch")
        pd.DataFrame(history, index=epochs).to_csv(aside / "history.csv", lineterminator="\n")
        title = f"{place.name}\nVAL: accuracy {scores.accuracy:.3f}, macro F1 {scores.macro_f1:.3f}"
        figure = pictures.confusion(scores.confusion, classes, title=title)
        figure.savefig(aside / "confusion.png", dpi=110)
        plt.close(figure)
        old = Path(beside) / "old"
        try:
            if place.exists():
                place.replace(old)
            aside.replace(place)
        except BaseException:  # an interruption, too, leaves the run that was there
            if old.exists() and not place.exists():
                old.replace(place)
            raise
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
    place = Path(place)
    config, metrics = read(place / CONFIG), read(place / METRICS)
    if not (config and metrics and (place / WEIGHTS).exists()):
        known = ", ".join(path.name for path in _complete(place.parent)) or "none"
        raise RunError(
            f"{place} is not a complete run ({CONFIG}, {METRICS} and {WEIGHTS}): train one with "
            f"one of the 03 notebooks, or name a run that is there ({known})."
        )
    network = _network_of(config, place / WEIGHTS, place)
    return Run(place.name, config, metrics, read(place / TEST), network)


def _network_of(config: Mapping[str, Any], weights: Path, place: Path) -> keras.Model:
    """Build the network of the run at ``place``, and load its weights."""
    import keras

    try:
        # safe: layers by name, no stored code is run
        network = keras.saving.deserialize_keras_object(
            copy.deepcopy(config["network"]),  # which Keras changes
            safe_mode=True,
        )
        if not isinstance(network, keras.Model):
            raise TypeError("no network, but other things")
    except Exception as error:  # Keras raises whatever its layers raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RunError(
            f"The network of {place} cannot be built again from what was stored ({first}): build "
            "it of Keras's own layers and of operations on tensors, without Lambda."
        ) from None
    try:
        if sha256_of(weights) != config["network_sha256"]:
            raise ValueError
        with warnings.catch_warnings(action="ignore"):  # our sentence says it better
            network.load_weights(weights)
    except Exception:
        raise RunError(
            f"{place / WEIGHTS} does not hold the weights of the network in {place / CONFIG}: "
            "copy the whole folder of the run again, or train it again."
        ) from None
    return network


def table(folder: str | os.PathLike = FOLDER) -> list[dict[str, Any]]:
    """Return ``metrics.json`` and ``test.json`` of every run, the best on VAL first.

    The folder's name is the run's name: to collect the runs of many people, put a name in front
    of each folder.

    Parameters
    ----------
    folder : str or PathLike
        Where the runs are.

    Returns
    -------
    list of dict
        Empty if there is no run yet.

    Raises
    ------
    RunError
        If one of the files cannot be read, or lacks the scores to compare.
    """
    rows = []
    for place in _complete(Path(folder)):
        rows.append(read(place / METRICS) | read(place / TEST) | {"name": place.name})
    return sorted(rows, key=lambda row: (-val_score(row), row["name"]))


def none_yet(folder: str | os.PathLike, why: str = "") -> RunError:
    """Return the error for a folder without runs."""
    return RunError(
        f"{folder} holds no run{why} yet: run one of the 03 notebooks first (a command looks for "
        "runs/ in the folder that it is called from)."
    )


def best(
    folder: str | os.PathLike = FOLDER,
    *,
    weights_sha256: str | None = None,
    corpus: str | None = None,
) -> str:
    """Return the name of the run to use, the best one on VAL.

    "Best" is meant as by :func:`audioseg.training.choice.val_score`.

    Parameters
    ----------
    folder : str or PathLike
        Where the runs are.
    weights_sha256 : str, optional
        Only runs on the embedding with these weights.
    corpus : str, optional
        Only runs on this corpus, as :func:`corpus_of` identifies it.

    Returns
    -------
    str

    Raises
    ------
    RunError
        If there is none, or the best ones on several corpora cannot be compared.
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
        raise none_yet(folder, why)
    chosen = [group[0]["name"] for group in by_corpus(fitting)]
    if len(chosen) > 1:
        raise RunError(
            f"{folder} holds runs on {len(chosen)} corpora, whose scores cannot be compared: name "
            f"one with --run (the best on each: {', '.join(chosen)})."
        )
    return chosen[0]


def write_test(place: str | os.PathLike, scores: Mapping[str, Any]) -> None:
    """Store a run's scores on TST as ``test.json``."""
    _write_json(Path(place) / TEST, dict(scores))


def _complete(folder: Path) -> list[Path]:
    """Return the folders of complete runs."""
    places = (path.parent for path in folder.glob(f"*/{METRICS}"))
    return sorted(place for place in places if not place.name.startswith("."))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
