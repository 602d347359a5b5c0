"""The worth of corrections: accuracy on TST after 2, 5 and 10 minutes, chosen or at random.

    python benchmarks/correcting.py [--embeddings data/on-hold/embeddings] [--start 3] [--seeds 3]

Train a network on a few recordings of TRN. The labels of the other recordings play the person who
corrects: choose minutes of them as `audioseg segment --review` does, in stretches of 10 s, or draw
such stretches at random. Train again with them, and score on TST, frame by frame without smoothing.
Each seed starts with other recordings and other weights.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import feat_ext
from audioseg.features.dataset import Frames, load_split, read_dataset
from audioseg.segmentation import review
from audioseg.training.context import probabilities_of
from audioseg.training.scores import frame_scores

MINUTES = (0, 2, 5, 10)
EPOCHS, UNITS, BATCH = 15, 64, 128


def trained(frames: Frames, taken: np.ndarray, classes: int, seed: int) -> keras.Model:
    """Train the perceptron of 03-90 on some of the windows."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((128,))
    x = keras.layers.Dense(UNITS, activation="relu")(inputs / 127.5 - 1)
    network = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))
    network.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    x, y = frames.audio_embedding[taken], frames.label[taken]
    network.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return network


def corrected(frames: Frames, doubt: np.ndarray, pool: list[int], minutes: float) -> np.ndarray:
    """Return which windows lie in the stretches that come first by their doubt."""
    doubts = []
    for number in pool:
        values = doubt[frames.recording == number]
        seconds = len(values) * frames.hop_seconds + 0.975
        doubts.append(review.Doubt(Path(), seconds, frames.hop_seconds, values))
    taken = np.zeros(len(frames.label), dtype=bool)
    for number, track in zip(pool, review.stretches(doubts, minutes=minutes), strict=True):
        inside = np.flatnonzero(frames.recording == number)
        times = feat_ext.window_times(len(inside), frames.hop_seconds)
        for start, end, _ in track:
            taken[inside[(times >= start) & (times < end)]] = True
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--embeddings", type=Path, default=Path("data/on-hold/embeddings"))
    parser.add_argument("--start", type=int, default=3, help="recordings labelled to begin with")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    classes = len(read_dataset(options.embeddings)["classes"])
    trn, tst = (load_split(options.embeddings, split) for split in ("TRN", "TST"))
    table: dict[str, list[list[tuple[float, float]]]] = {"chosen": [], "random": []}
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        order = [int(number) for number in rng.permutation(len(trn.names))]
        pool = sorted(order[options.start :])
        start = np.isin(trn.recording, order[: options.start])
        first = trained(trn, start, classes, seed)
        sure = probabilities_of(first, trn.audio_embedding, trn.recording)
        doubt = {"chosen": review.doubt(sure), "random": rng.random(len(trn.label))}
        for how, values in doubt.items():
            if how == "random":  # one number a stretch, not the mean of many
                steps = np.arange(len(values)) * trn.hop_seconds // review.STRETCH_SECONDS
                values = values[np.searchsorted(steps, steps)]
            row = []
            for minutes in MINUTES:
                taken = start | corrected(trn, values, pool, minutes) if minutes else start
                network = trained(trn, taken, classes, seed)
                answer = probabilities_of(network, tst.audio_embedding, tst.recording)
                scores = frame_scores(tst.label, answer.argmax(axis=1), classes=classes)
                row.append((scores.accuracy, scores.macro_f1))
            table[how].append(row)
            spent = np.sum(start) * trn.hop_seconds / 60
            said = "  ".join(f"{accuracy:.3f}/{f1:.3f}" for accuracy, f1 in row)
            print(f"seed {seed}, {spent:.1f} min at first, {how}: {said}", flush=True)
    print(f"\nTST accuracy / macro F1, mean of {options.seeds} seeds (spread), after minutes:")
    print("        ", "  ".join(f"{minutes:>19}" for minutes in MINUTES))
    for how, rows in table.items():
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        cells = (
            f"{a:.3f} / {f:.3f} ({s:.3f})" for (a, f), (s, _) in zip(mean, spread, strict=True)
        )
        print(f"{how:8}", "  ".join(cells))


if __name__ == "__main__":
    main()
