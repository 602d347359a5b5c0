"""What int8 does to embeddings and to answers, on a corpus of the course.

    python benchmarks/int8_answers.py [--corpus data/on-hold] [--weights mini] [--hop 0.12]

Embeds TRN and TST in float32 and in int8, and prints the distance of the embeddings, how many of
the 8-bit values change and by how many steps; then trains the network of 03-training-90 on one of
them and applies it to the other, with several seeds. Weights ``random`` are random ones of VGGish's
size, whitened by the principal components of their own TRN, as published embeddings are.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import feat_ext
from audioseg import audio, labels
from vggish.embedding import Embedding, load_embedding
from vggish.postprocess import PCA, quantize

PRECISIONS = ("float32", "int8")


def networks(weights: str) -> dict[str, Embedding]:
    """Return the embedding in each precision."""
    if weights != "random":
        return {name: load_embedding(weights, precision=name) for name in PRECISIONS}
    from vggish_speed import random_vggish

    model = random_vggish()
    options = {"name": "random", "sha256": "", "fast": True}
    return {name: Embedding(model, precision=name, **options) for name in PRECISIONS}


def embedded(
    corpus: Path, split: str, embeddings: dict[str, Embedding], hop_seconds: float, seconds: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Embed the start of each recording of a split in every precision; return that and classes."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in embeddings}
    truth = []
    for path in sorted((corpus / split).glob("*.flac")):
        samples = audio.load(path)[: int(seconds * feat_ext.SAMPLE_RATE)]
        for name, embedding in embeddings.items():
            found[name].append(feat_ext.embed(samples, embedding, hop_seconds=hop_seconds))
        times = feat_ext.window_times(len(found[name][-1]), hop_seconds)
        track = labels.read_label_track(path.with_suffix(".txt"))
        truth.append(feat_ext.frame_labels(track, times, classes=labels.CLASSES))
    return {name: np.concatenate(parts) for name, parts in found.items()}, np.concatenate(truth)


def whitening(embeddings: np.ndarray) -> PCA:
    """Return the principal components of embeddings, scaled to a variance of one."""
    mean = embeddings.mean(axis=0, dtype=float)
    values, vectors = np.linalg.eigh(np.cov(embeddings - mean, rowvar=False))
    return PCA((vectors / np.sqrt(np.maximum(values, values.max() * 1e-6))).T, mean)


def trained(given: np.ndarray, truth: np.ndarray, *, seed: int, epochs: int) -> keras.Model:
    """Train a network like 03-training-90's."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((given.shape[1],)),
            keras.layers.Rescaling(1 / 127.5, -1),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(len(labels.CLASSES), activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    network.fit(given, truth, batch_size=256, epochs=epochs, verbose=0)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path, default=Path("data/on-hold"))
    parser.add_argument("--weights", default="mini", help="mini, audioset, a path, or random")
    parser.add_argument("--hop", type=float, default=0.12)
    parser.add_argument("--seconds", type=float, default=1e5, help="of each recording")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    embeddings = networks(options.weights)
    trn, tst = (
        embedded(options.corpus, split, embeddings, options.hop, options.seconds)
        for split in ("TRN", "TST")
    )
    pca = whitening(trn[0]["float32"]) if options.weights == "random" else None
    pca = pca or embeddings["float32"].pca
    exact, rounded = (tst[0][name] for name in PRECISIONS)
    lengths = [np.linalg.norm(array, axis=1) for array in (exact, rounded)]
    cosines = (exact * rounded).sum(axis=1) / (lengths[0] * lengths[1])
    bits = {name: [quantize(split[0][name], pca) for split in (trn, tst)] for name in PRECISIONS}
    steps = np.abs(bits["int8"][1].astype(int) - bits["float32"][1])
    distance = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    print(f"{options.weights}: {len(exact)} windows of TST, relative L2 {distance:.1e}")
    print(f"cosine: mean {cosines.mean():.5f}, least {cosines.min():.5f}")
    said = ", ".join(f"{most} {np.mean(steps <= most):.3f}" for most in (0, 1, 2, 4, 8))
    print(f"8-bit values that change by at most: {said}; most {steps.max()}")
    print("| seed | trained on | TST in float32 | TST in int8 |\n|---|---|---|---|")
    for seed in range(options.seeds):
        for name in PRECISIONS:
            network = trained(bits[name][0], trn[1], seed=seed, epochs=options.epochs)
            scores = [
                np.mean(network.predict(bits[on][1], 4096, verbose=0).argmax(1) == tst[1])
                for on in PRECISIONS
            ]
            print(f"| {seed} | {name} | {scores[0]:.4f} | {scores[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
