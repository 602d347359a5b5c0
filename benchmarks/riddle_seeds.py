"""Is the base notebook's riddle reliable? Train it, and its one-line fix, with many seeds.

    python benchmarks/riddle_seeds.py [--seeds 10] [--epochs N] [--random-vggish]

The network, optimizer, batch size, learning rate and epochs are those of the notebook itself. With
``--random-vggish`` the embeddings are those of a VGGish with random weights over the corpus's
recordings, at a hop of 0.96 s, instead of those that 02 made. The exit status is 0 if the base
never beats guessing and the fix always passes the goal, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import feat_ext
from audioseg import audio, labels
from audioseg.features.dataset import load_split, read_dataset
from audioseg.show.pictures import GOAL

CORPUS = Path("data/on-hold")
NOTEBOOK = Path("03-training-00-keras_2mlp_clsw0.ipynb")
LINE = 'activation="relu")(inputs)'
FIXED_LINE = 'activation="relu")((inputs - 127.5) / 127.5)'
GUESSING = 0.002  # how far the base may be from the share of its most frequent class
WINDOWS_AT_ONCE = 256


def notebook_code(*, fixed: bool) -> str:
    """Return the notebook's parameters and its network, with or without the fix."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    source = {cell["id"]: "".join(cell["source"]) for cell in cells}
    build = source["build_model"]
    if build.count(LINE) != 1:
        raise SystemExit(f"error: {NOTEBOOK} has no line with {LINE} to fix.")
    return source["parameters"] + "\n" + (build.replace(LINE, FIXED_LINE) if fixed else build)


def train(trn, val, *, seed: int, epochs: int | None, fixed: bool) -> tuple[float, list[float]]:
    """Train as the notebook does; return the accuracy on VAL and the loss after each epoch."""
    keras.utils.set_random_seed(seed)
    names = {"keras": keras, "classes": labels.COURSE, "print": lambda *_: None}
    exec(notebook_code(fixed=fixed), names)
    options = {"batch_size": names["BATCH_SIZE"], "epochs": epochs or names["EPOCHS"]}
    history = names["network"].fit(trn[0], trn[1], verbose=0, **options).history
    answer = np.asarray(names["network"](val[0].astype(np.float32))).argmax(axis=1)
    return float(np.mean(answer == val[1])), history["loss"]


def random_vggish(split: str, network: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Embed the recordings of a split, one window after the other, and label the windows."""
    from vggish.frontend import log_mel, windows

    parts, truth = [], []
    for path in sorted((CORPUS / split).glob("*.flac")):
        samples = audio.load(path)
        cut = windows(log_mel(samples), hop_frames=96)
        for start in range(0, len(cut), WINDOWS_AT_ONCE):
            block = np.asarray(cut[start : start + WINDOWS_AT_ONCE], np.float32)
            parts.append(np.asarray(network(block, training=False)))
        track = labels.read_label_track(path.with_suffix(".txt"))
        times = feat_ext.window_times(len(cut), 0.96)
        truth.append(feat_ext.frame_labels(track, times, classes=labels.CLASSES))
    return np.concatenate(parts), np.concatenate(truth)


def eight_bits(embedding: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Whiten by the principal components of ``like``, clip, and store in 8 bits."""
    mean = like.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(like - mean, rowvar=False))
    whitened = (embedding - mean) @ (vectors / np.sqrt(np.maximum(values, values.max() * 1e-6)))
    return ((np.clip(whitened, -2, 2) + 2) * (255 / 4)).astype(np.uint8)


def main() -> int:
    """Print one line a seed, and the verdict."""
    parser = argparse.ArgumentParser(description="Train the base notebook with many seeds.")
    parser.add_argument("--embeddings", type=Path, default=CORPUS / "embeddings", metavar="DIR")
    parser.add_argument("--seeds", type=int, default=10, metavar="N")
    parser.add_argument("--epochs", type=int, metavar="N", help="the notebook's by default")
    parser.add_argument("--random-vggish", action="store_true")
    options = parser.parse_args()
    if options.random_vggish:
        from vggish.network import build_vggish

        keras.utils.set_random_seed(0)
        network = build_vggish()
        floats = {split: random_vggish(split, network) for split in ("TRN", "VAL")}
        like = floats["TRN"][0]
        trn, val = ((eight_bits(e, like), truth) for e, truth in floats.values())
        name = "VGGish with random weights"
    else:
        splits = (load_split(options.embeddings, split) for split in ("TRN", "VAL"))
        trn, val = ((frames.audio_embedding, frames.label) for frames in splits)
        name = read_dataset(options.embeddings)["weights"]
    share = float(np.mean(val[1] == np.bincount(trn[1]).argmax()))
    print(f"{name}: {len(trn[1]):,} windows of TRN, {len(val[1]):,} of VAL, majority {share:.4f}")
    print(f"{'seed':>4}  {'base':>6}  {'loss, first three and last':28}  {'fixed':>6}  {'s':>5}")
    stuck = passed = 0
    for seed in range(options.seeds):
        started = time.perf_counter()
        base, loss = train(trn, val, seed=seed, epochs=options.epochs, fixed=False)
        fixed, _ = train(trn, val, seed=seed, epochs=options.epochs, fixed=True)
        stuck += abs(base - share) <= GUESSING
        passed += fixed > GOAL
        curve = " ".join(f"{value:.4g}" for value in loss[:3] + loss[3:][-1:])
        seconds = time.perf_counter() - started
        print(f"{seed:>4}  {base:.4f}  {curve:28}  {fixed:.4f}  {seconds:5.1f}", flush=True)
    print(f"base at {share:.3f}: {stuck} of {options.seeds}; ", end="")
    print(f"fix above {GOAL}: {passed} of {options.seeds}")
    return 0 if stuck == passed == options.seeds else 1


if __name__ == "__main__":
    sys.exit(main())
