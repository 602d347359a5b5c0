"""What the exercises of the notebooks 03 come to: the numbers in their solutions.

    python benchmarks/exercises.py [--seeds 3] [--only TEXT]

Each variant is a notebook with a line or two replaced, as a reader would: its own cells train, with
several seeds, and the scores on VAL are printed as mean (lowest to highest). A minute a line.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from audioseg.features import dataset
from audioseg.training import context, scores
from audioseg.training.choice import clips_of

CELLS = ("check", "parameters", "data", "majority", "build_model", "training", "scores", "leak")
BASE = "03-training-00-keras_2mlp_clsw0"
FIXED, WEIGHTED = "03-training-90-explaining_0687", "03-training-91-keras_2mlp_clsw1"
VOTING, LEAK = "03-training-92-keras_2mlp_context", "03-training-93-the_leak"
SEQUENCE, MANY = "03-training-94-keras_tcn_sequence", "03-training-95-keras_10x2mlp_clsw1"
LINE, PLAIN = "((inputs - 127.5) / 127.5)", "(inputs)"
LAYER = "    outputs = keras.layers.Dense(len"
RELU = 'activation="relu"'
SGD = "keras.optimizers.SGD(LEARNING_RATE)"
ADAM = {SGD: "keras.optimizers.Adam()"}
WEIGHTS = "len(trn.label) / (count * np.maximum(counts["
VOTES = (
    "    opinions = keras.layers.Dense(len(classes.names))(x)\n"
    "    outputs = keras.layers.Softmax()(keras.layers.GlobalAveragePooling1D()(opinions))"
)
SIDE_BY_SIDE = '    outputs = keras.layers.Dense(len(classes.names), activation="softmax")(x)'
UNITS, FLAT = "HIDDEN_UNITS = 128", "    x = keras.layers.Flatten()(x)"
EACH = "    x = keras.layers.Dense(HIDDEN_UNITS, "
CONVOLUTIONS = (
    "    for gap in (1, 2, 4, 8):\n"
    "        y = keras.layers.Conv1D(\n"
    '            HIDDEN_UNITS, 3, dilation_rate=gap, padding="same", activation="relu"\n'
    "        )(x)\n"
    "        y = keras.layers.SpatialDropout1D(DROPOUT)(y)\n"
    "        x = x + keras.layers.Dense(HIDDEN_UNITS)(y)"
)
GRU = (
    "    x = keras.layers.Bidirectional(keras.layers.GRU(32, return_sequences=True))(x)\n"
    "    x = keras.layers.SpatialDropout1D(DROPOUT)(x)"
)
DRAWN = "leaky = np.sort(shuffled[: len(shuffled) // 5])"
KEPT = "rest = np.sort(shuffled[len(shuffled) // 5 :])"
HELD = "np.isin(whole.recording, np.random.default_rng(SEED).permutation(len(whole.names))[::5])"
BY_RECORDING = {DRAWN: f"leaky = np.flatnonzero({HELD})", KEPT: f"rest = np.flatnonzero(~{HELD})"}

QUIETER = {"verbose=2": "verbose=0"}

VARIANTS = {
    "00 as it comes": (BASE, {}),
    "00 30 epochs": (BASE, {"EPOCHS = 10": "EPOCHS = 30"}),
    "00 512 units": (BASE, {"HIDDEN_UNITS = 64": "HIDDEN_UNITS = 512"}),
    "00 another layer": (BASE, {LAYER: f"{EACH}{RELU})(x)\n{LAYER}"}),
    "90 as it comes": (FIXED, {}),
    "90 batch normalisation": (FIXED, {LINE: "(keras.layers.BatchNormalization()(inputs))"}),
    "90 Adam": (FIXED, ADAM),
    "90 Adam, without the line": (FIXED, ADAM | {LINE: PLAIN}),
    "90 divided by 255": (FIXED, {LINE: "(inputs / 255)"}),
    "90 tanh, without the line": (FIXED, {LINE: PLAIN, RELU: 'activation="tanh"'}),
    "90 sigmoid, without the line": (FIXED, {LINE: PLAIN, RELU: 'activation="sigmoid"'}),
    "91 as it comes": (WEIGHTED, {}),
    "91 square roots": (WEIGHTED, {f"dict(enumerate({WEIGHTS}": f"dict(enumerate(({WEIGHTS}",
                                   '["TRN"], 1))))': '["TRN"], 1))) ** 0.5))'}),
    **{f"92 REACH = {n}": (VOTING, {"REACH = 4": f"REACH = {n}"}) for n in (0, 2, 4, 8, 16)},
    "92 side by side": (VOTING, {VOTES: SIDE_BY_SIDE, EACH: f"{FLAT}\n{EACH}",
                                 "keras.layers.SpatialDropout1D(DROPOUT)(x)":
                                 "keras.layers.Dropout(DROPOUT)(x)"}),
    **{f"93 {n} units": (LEAK, {UNITS: f"HIDDEN_UNITS = {n}"}) for n in (8, 32, 128, 512)},
    "93 by recording": (LEAK, BY_RECORDING),
    "94 as it comes": (SEQUENCE, {}),
    "94 causal": (SEQUENCE, {'padding="same"': 'padding="causal"'}),
    "94 GRU": (SEQUENCE, {CONVOLUTIONS: GRU}),
    "95 as it comes": (MANY, {}),
    "95 one network, 640 units": (MANY, {"NETWORKS = 10": "NETWORKS = 1",
                                         "HIDDEN_UNITS = 64": "HIDDEN_UNITS = 640"}),
}  # fmt: skip


def changed(notebook: str, changes: dict[str, str], seed: int = 0) -> str:
    """Return the code of a notebook's cells up to its scores, with some of its text changed."""
    cells = json.loads(Path(f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["id"] in CELLS)
    for old, new in (changes | {"SEED = 0": f"SEED = {seed}"} | QUIETER).items():
        if old not in source:
            raise SystemExit(f"error: {notebook}.ipynb no longer holds {old!r}.")
        source = source.replace(old, new)
    return source


def run(notebook: str, changes: dict[str, str], seed: int) -> dict[str, float]:
    """Run a notebook's cells up to its scores, with some of their text changed."""
    source = changed(notebook, changes, seed)
    keras.utils.set_random_seed(seed)
    names: dict = {"display": print}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(source, names)
    if "asked" in names:
        return names["asked"]["without dropout"]
    val = names["val"]
    clips = clips_of(val.recording, step=8)
    alone = context.probabilities_alone(names["network"], val.audio_embedding[clips])
    short = scores.frame_scores(val.label[clips], alone.argmax(axis=1), classes=names["count"])
    result = names["result"]
    return {
        "accuracy": result.accuracy,
        "macro F1": result.macro_f1,
        "1 s": scores.scores_of(scores.equally_many(short.confusion)).macro_f1,
        "balanced": result.balanced_accuracy,
    }


def main() -> int:
    """Run the variants asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--only", default="", help="variants whose name starts so")
    arguments = parser.parse_args()
    # the records are read once
    dataset.load_split = functools.cache(dataset.load_split)
    for title, (notebook, changes) in VARIANTS.items():
        if not title.startswith(arguments.only):
            continue
        started = time.perf_counter()
        found = [run(notebook, changes, seed) for seed in range(arguments.seeds)]
        parts = []
        for key in found[0]:
            values = np.array([one[key] for one in found])
            parts.append(f"{key} {values.mean():.3f} ({values.min():.3f} to {values.max():.3f})")
        print(f"{title:30}", *parts, f"{time.perf_counter() - started:.0f} s", sep="  ", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
