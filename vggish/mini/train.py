"""Train `mini`, the small embedding the course ships, by distillation from YAMNet.

    python -m vggish.mini.train --teacher yamnet.tflite --audio FOLDER --cache FOLDER

The teacher is YAMNet as a TensorFlow Lite file (Google, Apache-2.0; one window of 15,600 samples
in, 521 scores out). ``--audio`` holds unpacked Debian packages, one folder each::

    apt-get download asc-music && dpkg -x asc-music_*.deb FOLDER/asc-music

``bank.csv`` lists the packages and says which of their files are speech, music and effects; those
of the list that are missing are left out. Of the course's corpus, only the
medleys of TRN use one of them.

Four steps, each of which goes on where it was interrupted, by what it finds in ``--cache``:

1. decode the packages to 16 kHz (some minutes, 2 GB);
2. mix windows and ask the teacher about each: its embedding of 1024 numbers and 521 logits
   (about 100 windows a second and core);
3. train (about 40 minutes on two cores) a network that predicts 128 principal components of the
   square root of the teacher's embedding, and from them the logits;
4. fold the batch normalisation, fit the PCA of the 8-bit form, write ``mini.npz`` in float16, and
   report how well it matches the teacher on held-out files and on held-out packages.

The components are scaled to the fourth root of their variance ("half whitening"): near silence
saturates the teacher, and in plain PCA most of the loss would be spent on telling silence from
everything else; with full whitening most of it would be spent on noise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit

from vggish import EMBEDDING_SIZE
from vggish.frontend import WINDOW_SAMPLES
from vggish.mini.bank import BankError, collect, make_pools
from vggish.mini.mixing import KINDS
from vggish.mini.network import (
    CONVOLUTIONS,
    WEIGHTS_PATH,
    build_mini,
    fold_batch_norm,
    load_mini,
    with_weights,
)
from vggish.mini.teacher import CLASSES, SHARD_WINDOWS, label, load_shards

WARM_WINDOWS = 6000
# classes of AudioSet by their place among the 521: what the course is about counts more
SPEECH, SINGING, MUSIC = slice(0, 6), slice(24, 33), slice(132, 277)
LOGITS_WEIGHT = 0.02
REPORTED = {"speech": 0, "singing": 24, "music": 132}


def class_weights() -> np.ndarray:
    """Return how much each class counts in the loss of the logits."""
    weights = np.ones(CLASSES, np.float32)
    weights[MUSIC] = 2
    weights[SPEECH] = 4
    weights[SINGING] = 4
    weights[list(REPORTED.values())] = 6
    return weights


class Target:
    """The target of the embedding: half-whitened components of the teacher's.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(n, 1024)]
        The teacher's. They are not negative, and their square root is less skewed.
    """

    def __init__(self, embeddings: np.ndarray):
        roots = np.sqrt(embeddings[:: max(1, len(embeddings) // 60_000)].astype(np.float64))
        self.means = roots.mean(0)
        variances, axes = np.linalg.eigh(np.cov((roots - self.means).T))
        variances, axes = variances[::-1][:EMBEDDING_SIZE], axes[:, ::-1][:, :EMBEDDING_SIZE]
        self.axes = axes / variances**0.25
        self.axes /= ((roots - self.means) @ self.axes).std()

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Return the components (n, 128)."""
        parts = np.array_split(embeddings, 1 + len(embeddings) // 8192)  # for float64's memory
        return np.concatenate(
            [(np.sqrt(part, dtype=float) - self.means) @ self.axes for part in parts],
            dtype=np.float32,
        )


class Batches(keras.utils.PyDataset):
    """Windows in a new order every epoch, with their targets.

    The arrays stay as they are; handed to ``fit`` themselves, they would be copied, all 3 GB.
    """

    def __init__(self, data: dict[str, np.ndarray], batch_size: int, seed: int):
        super().__init__()
        self.data, self.batch_size = data, batch_size
        self.random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.order) // self.batch_size

    def __getitem__(self, number: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        rows = np.sort(self.order[number * self.batch_size :][: self.batch_size])
        windows, targets, logits = (self.data[k][rows] for k in ("windows", "targets", "logits"))
        return windows.astype(np.float32), (targets, expit(logits.astype(np.float32)))

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch."""
        self.order = self.random.permutation(len(self.data["windows"]))


def entropy(scores: tf.Tensor, answer: tf.Tensor) -> tf.Tensor:
    """Return the cross-entropy of the teacher's scores and our logits, summed over classes."""
    each = tf.nn.sigmoid_cross_entropy_with_logits(scores, answer)
    return tf.reduce_sum(class_weights() * each, axis=-1)


def start_from(model: keras.Model, trained: keras.Model, data: dict[str, np.ndarray]) -> None:
    """Start a network with batch normalisation from the weights of a folded one.

    Parameters
    ----------
    model : keras.Model
        With batch normalisation, embedding and logits; changed in place.
    trained : keras.Model
        As :func:`vggish.mini.network.load_mini` returns it.
    data : dict
        ``windows``, ``targets`` and ``logits``, some thousands of each: they tell what the
        normalisations see, and what the two dense layers begin with (ridge regression).
    """
    windows = data["windows"].astype(np.float32)
    names = [name for name, *_ in CONVOLUTIONS]
    outputs = [layer.output for layer in trained.layers if layer.name in names]
    outputs.append(trained.get_layer("mean").output)
    *convolved, means = keras.Model(trained.input, outputs).predict(windows, verbose=0)
    for (name, *_), seen in zip(CONVOLUTIONS, convolved, strict=True):
        kernel, bias = trained.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel])
        norm = model.get_layer(f"{name}_norm")
        variance, mean = seen.var(axis=(0, 1, 2)), seen.mean(axis=(0, 1, 2))
        # what comes out of the convolution itself has no bias yet
        norm.set_weights([np.sqrt(variance + norm.epsilon), mean, mean - bias, variance])
    inputs, wanted = means, data["targets"]
    for name in ("embedding", "logits"):
        full = np.column_stack([inputs, np.ones(len(inputs))]).astype(float)
        gram = full.T @ full + np.diag(np.append(1e-3 * len(full) * full[:, :-1].var(0), 0))
        gram += 1e-6 * len(full) * np.eye(len(gram))  # some units never speak
        solved = np.linalg.solve(gram, full.T @ wanted.astype(float))
        model.get_layer(name).set_weights([solved[:-1], solved[-1]])
        inputs, wanted = full @ solved, np.maximum(data["logits"], -12)


def train(
    data: dict[str, np.ndarray],
    *,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    seed: int = 0,
    precision: str = "float32",
    trained: keras.Model | None = None,
    backup: Path | None = None,
    validate: Callable[[keras.Model], object] | None = None,
) -> keras.Model:
    """Train the network with batch normalisation and a head for the teacher's classes.

    Parameters
    ----------
    data : dict
        From :func:`load_shards`, and ``targets`` (n, 128).
    epochs : int
        Passes over the windows.
    precision : str
        Keras's dtype policy of the convolutions.
    trained : keras.Model, optional
        What to start from, as :func:`vggish.mini.network.load_mini` returns it; else at random.
    backup : Path, optional
        A folder to which every epoch goes, so that an interrupted training goes on.
    validate : callable, optional
        Called with the model after every epoch; what it returns is printed.

    Returns
    -------
    keras.Model
        (n, 96, 64) -> embedding (n, 128) and logits (n, 521).
    """
    keras.utils.set_random_seed(seed)
    body = build_mini(batch_norm=True, precision=precision)
    head = keras.layers.Dense(CLASSES, name="logits")(body.output)
    model = keras.Model(body.input, [body.output, head])
    if trained is not None:
        start_from(model, trained, {key: values[:WARM_WINDOWS] for key, values in data.items()})
    batches = Batches(data, batch_size, seed)
    steps = len(batches) * epochs
    warmup = min(500, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-6, steps - warmup, warmup_target=learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-2, clipnorm=5.0)
    # not the normalisation, nor the biases
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(optimizer, ["mse", entropy], loss_weights=[1, LOGITS_WEIGHT], jit_compile=False)
    callbacks = [
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: print(validate(model)) if validate else None
        )
    ]
    if backup is not None:
        callbacks.append(keras.callbacks.BackupAndRestore(backup))
    model.fit(batches, epochs=epochs, callbacks=callbacks)
    return model


# -- what comes out


def fit_pca(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the PCA of the 8-bit form: rotated, and scaled to unit variance.

    Returns
    -------
    eigen_vectors : np.ndarray [shape=(128, 128), dtype=float32]
        One component a row.
    means : np.ndarray [shape=(128,), dtype=float32]
    """
    embeddings = embeddings.astype(np.float64)
    means = embeddings.mean(0)
    variances, axes = np.linalg.eigh(np.cov((embeddings - means).T))
    eigen_vectors = (axes / np.sqrt(variances + 1e-9)).T[::-1]
    return eigen_vectors.astype(np.float32), means.astype(np.float32)


def match(model: keras.Model, data: dict[str, np.ndarray]) -> dict[str, float]:
    """Compare embeddings and scores with the teacher's.

    Returns
    -------
    dict of str to float
        ``r2`` and ``cosine`` of the 128 components, ``top1`` the share of windows with the same
        first class, and the correlation of the scores of speech, singing and music.
    """
    embedding, logits = model.predict(data["windows"], batch_size=256, verbose=0)
    targets = data["targets"]
    norms = np.linalg.norm(embedding, axis=1) * np.linalg.norm(targets, axis=1)
    residual = ((embedding - targets) ** 2).sum()
    result = {
        "r2": 1 - residual / ((targets - targets.mean(0)) ** 2).sum(),
        "cosine": np.mean((embedding * targets).sum(1) / norms),
        "top1": np.mean(logits.argmax(1) == data["logits"].argmax(1)),
    }
    for name, place in REPORTED.items():
        scores = expit(data["logits"][:, place], dtype=float), expit(logits[:, place], dtype=float)
        result[name] = np.corrcoef(*scores)[0, 1]
    return {name: round(float(value), 3) for name, value in result.items()}


def export(model: keras.Model, windows: np.ndarray, path: Path) -> None:
    """Write the folded weights and the PCA in float16."""
    arrays = {name: value.astype(np.float16) for name, value in fold_batch_norm(model).items()}
    # the PCA is of what the shipped numbers compute
    embeddings = with_weights(arrays).predict(windows, batch_size=256, verbose=0)
    eigen_vectors, means = fit_pca(embeddings)
    aside = path.with_suffix(".part.npz")
    np.savez_compressed(aside, **arrays, pca_eigen_vectors=eigen_vectors, pca_means=means)
    aside.replace(path)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m vggish.mini.train", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--teacher", type=Path, required=True, help="YAMNet as a .tflite file")
    parser.add_argument("--audio", type=Path, required=True, help="folder of unpacked packages")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what can be reused")
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH, help="the weights to write")
    parser.add_argument("--windows", type=int, default=260_000, help="windows to train on")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the windows")
    parser.add_argument("--batch", type=int, default=128, help="windows a step")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="its peak")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="teachers at work")
    parser.add_argument("--start", type=Path, help="weights to start from; at random by default")
    parser.add_argument(
        "--half",
        action="store_true",
        help="convolutions in bfloat16: twice as fast on processors that compute in it",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and order")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the four steps; return the exit status."""
    options = parse(arguments)
    started = time.monotonic()
    try:
        for path, kind in ((options.teacher, "file"), (options.audio, "folder")):
            if not (path.is_file() if kind == "file" else path.is_dir()):
                raise BankError(f"{path} is not a {kind}: name the {kind} that holds it.")
        collect(options.audio, options.cache)
        make_pools(options.cache, options.workers)
        label(options.teacher, options.cache, options.windows, options.workers)
    except BankError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    data = load_shards(options.cache, "train", options.windows // SHARD_WINDOWS)
    target = Target(data["embeddings"])
    held_out = {split: load_shards(options.cache, split) for split in ("files", "packages")}
    for part in (data, *held_out.values()):
        part["targets"] = target(part.pop("embeddings"))

    def keep(model: keras.Model) -> dict[str, float]:
        """Write usable weights after every epoch, and report how good they are."""
        export(keras.Model(model.input, model.output[0]), data["windows"][:40_000], options.out)
        return match(model, held_out["files"])

    model = train(
        data,
        epochs=options.epochs,
        batch_size=options.batch,
        learning_rate=options.learning_rate,
        seed=options.seed,
        precision="mixed_bfloat16" if options.half else "float32",
        trained=load_mini(options.start) if options.start else None,
        backup=options.cache / "backup",
        validate=keep,
    )
    report = {
        "sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(),
        "bytes": options.out.stat().st_size,
        "windows": len(data["windows"]),
        "audio_hours": round(len(data["windows"]) * WINDOW_SAMPLES / 16_000 / 3600, 1),
        "epochs": options.epochs,
        "seconds": round(time.monotonic() - started),
    }
    for split, part in held_out.items():
        report[f"held-out {split}"] = match(model, part)
        for kind in KINDS:
            chosen = part["kinds"] == kind
            subset = {key: values[chosen] for key, values in part.items()}
            report[f"held-out {split}, {kind}"] = match(model, subset)
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
