"""What 8-bit arithmetic needs: the range of each signal, and how far rounding shifts it.

:func:`calibrate` sends log-mel windows through a network, once unchanged and once with each layer
rounded as :mod:`vggish.graph` rounds it, and keeps for every layer

- the limit of its signal: the greatest value it has, and a tenth more. Lower limits, which clip
  rare peaks for the sake of finer steps, are a little better on average and far worse on sounds
  that are like none of the windows;
- a bias that puts the mean of each channel back where it was.

The windows must be like those of real audio, and must not come from any corpus. They are drawn from
``calibration.npz``, a statistic of 200,000 log-mel frames of the packages that `mini` was trained
on (:mod:`vggish.mini.bank`): 256 typical frames, and how often one follows another. It holds no
recording. ``python -m vggish.calibration AUDIO`` makes it again, from a folder of these packages.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import soundfile as sf
import tensorflow as tf

from vggish.download import sha256_of
from vggish.errors import SentenceError
from vggish.frontend import SAMPLE_RATE, WINDOW_FRAMES, log_mel
from vggish.graph import LEVELS, Calibrated, round_weights

STATISTIC_PATH = Path(__file__).with_name("calibration.npz")
STEP = 1 / 20  # of the typical frames' log-mel values, which are stored as int8
COUNT = 128  # windows
BATCH = 16
FORMAT = 1  # of the file beside a checkpoint; another one when calibration changes
ROOM = 1.1  # above the greatest value
TYPICAL = 256  # frames


def calibration_windows(count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Draw log-mel windows that are like those of real audio.

    Returns
    -------
    np.ndarray [shape=(count, 96, 64), dtype=float32]
        The same on every machine.
    """
    with np.load(STATISTIC_PATH) as file:
        frames, follows = file["frames"] * np.float32(STEP), file["follows"].astype(float)
    random = np.random.default_rng(seed)
    cumulated = np.cumsum(follows, axis=1)
    share = np.cumsum(follows.sum(axis=1))
    state = np.searchsorted(share, random.random(count) * share[-1], side="right")
    states = [state]
    for _ in range(WINDOW_FRAMES - 1):
        drawn = random.random(count) * cumulated[state, -1]
        state = (cumulated[state] <= drawn[:, None]).sum(axis=1)
        states.append(state)
    return frames[np.stack(states, axis=1)]


def calibrate(model: keras.Model, windows: np.ndarray | None = None) -> dict[str, Calibrated]:
    """Find what the layers of a network need in 8 bits.

    Parameters
    ----------
    model : keras.Model
        One layer after the other, from log-mel windows to embeddings, with a ReLU behind every
        layer that has weights but the last.
    windows : np.ndarray [shape=(n, 96, 64)], optional
        :func:`calibration_windows` unless given.

    Returns
    -------
    dict of str to Calibrated
        By layer. The first and the last keep their weights in float32, and so does the signal
        that goes into the last.
    """
    windows = calibration_windows() if windows is None else windows
    exact = [tf.constant(part) for part in np.array_split(windows, -(-len(windows) // BATCH))]
    rounded = exact
    names = [layer.name for layer in model.layers if layer.weights]
    calibration: dict[str, Calibrated] = {}
    for layer in model.layers[1:]:
        if isinstance(layer, keras.layers.ReLU):
            continue  # it is done already
        if layer.name not in names:
            exact, rounded = ([layer(part) for part in parts] for parts in (exact, rounded))
            continue
        kernel, bias = (value.numpy() for value in layer.weights)
        in_8_bits = layer.name not in (names[0], names[-1])
        if in_8_bits:
            integers, scale = round_weights(kernel)
            kernel_rounded = integers * scale
        else:
            kernel_rounded = kernel
        exact = [_linear(layer, part, kernel) + bias for part in exact]
        rounded = [_linear(layer, part, kernel_rounded) for part in rounded]
        bias = (_means(exact) - _means(rounded)).astype(np.float32)
        limit = 0.0
        if layer.name != names[-1]:
            exact = [tf.nn.relu(part) for part in exact]
            rounded = [tf.nn.relu(part + bias) for part in rounded]
            if layer.name != names[-2]:
                limit = ROOM * max(float(tf.reduce_max(part)) for part in exact) or 1.0
                rounded = [_round_signal(part, limit) for part in rounded]
        calibration[layer.name] = Calibrated(limit, bias, in_8_bits)
    return calibration


def _round_signal(signal: tf.Tensor | np.ndarray, limit: float) -> tf.Tensor:
    step = limit / (LEVELS - 1)
    return tf.round(tf.clip_by_value(signal, 0.0, limit) / step) * step


def _linear(layer: keras.Layer, signal: tf.Tensor, kernel: np.ndarray) -> tf.Tensor:
    """Compute a layer with another kernel, without bias and activation."""
    if isinstance(layer, keras.layers.Dense):
        return tf.matmul(signal, kernel)
    return tf.nn.conv2d(signal, kernel, layer.strides, "SAME")


def _means(parts: list[tf.Tensor]) -> np.ndarray:
    """Return the mean of each channel."""
    every = [np.asarray(part).reshape(-1, part.shape[-1]) for part in parts]
    return np.sum([part.sum(axis=0, dtype=float) for part in every], axis=0) / sum(map(len, every))


def kept_calibration(
    model: keras.Model, sha256: str, path: str | os.PathLike | None
) -> dict[str, Calibrated]:
    """Calibrate a network, or read what was kept beside its checkpoint.

    Parameters
    ----------
    model : keras.Model
        As for :func:`calibrate`.
    sha256 : str
        Of the weights: what was kept for others is not used.
    path : str or PathLike, optional
        Where it is kept; nowhere, if not given or not writable.
    """
    if path is not None and (kept := _read(Path(path), model, sha256)) is not None:
        return kept
    calibration = calibrate(model)
    if path is not None:
        arrays = {name: layer.bias for name, layer in calibration.items()}
        limits = [layer.limit for layer in calibration.values()]
        rounded = [layer.rounded for layer in calibration.values()]
        aside = Path(path).with_name(f"{Path(path).name}.{os.getpid()}.part")
        try:
            with aside.open("wb") as file:
                np.savez(file, made_for=_made_for(sha256), limits=limits, rounded=rounded, **arrays)
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)  # a folder for reading only: the next run does it again
    return calibration


def _made_for(sha256: str) -> str:
    return f"{FORMAT} {sha256_of(STATISTIC_PATH)} {sha256}"


def _read(path: Path, model: keras.Model, sha256: str) -> dict[str, Calibrated] | None:
    """Read a kept calibration; None if there is none for these weights."""
    names = [layer.name for layer in model.layers if layer.weights]
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["made_for"]) != _made_for(sha256):
                return None
            rows = zip(names, file["limits"].tolist(), file["rounded"].tolist(), strict=True)
            return {name: Calibrated(limit, file[name], rounded) for name, limit, rounded in rows}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def make_statistic(audio: Path, path: Path, seconds: float = 10, files: int = 8) -> None:
    """Write the statistic that :func:`calibration_windows` draws from.

    Parameters
    ----------
    audio : Path
        The folder of packages that :func:`vggish.mini.bank.collect` takes.
    path : Path
        The file to write.
    seconds : float
        Of each file.
    files : int
        Of each package and role.

    Raises
    ------
    BankError
        If the folder lacks sounds of a role.
    """
    # what only this needs
    from sklearn.cluster import MiniBatchKMeans

    from vggish.mini import bank
    from vggish.mini.mixing import decibels, normalize

    random = np.random.default_rng(0)
    sounds: dict[str, list[np.ndarray]] = {}
    for role, package, pattern in bank.unpacked(audio):
        openers = [
            opener for name, opener in bank.audio_files(audio / package) if re.search(pattern, name)
        ]
        for number in random.permutation(len(openers))[:files]:
            with contextlib.suppress(sf.LibsndfileError), openers[number]() as source:
                samples = bank.decode(source, seconds)
                if len(samples) > SAMPLE_RATE:
                    sounds.setdefault(role, []).append(normalize(samples / 32768))
    for role in bank.ROLES:
        if role not in sounds:
            raise bank.BankError(
                f"{audio} holds no file with {role} that can be read and lasts a second: unpack "
                "its packages again, or more of them."
            )
    spectrograms = []
    for role, heard in sounds.items():
        for samples in heard:
            if role == "speech" and random.random() < 0.5:
                below = sounds["music"][random.integers(len(sounds["music"]))]
                below = np.resize(below, len(samples))
                samples = normalize(samples + decibels(-random.uniform(-5, 20)) * below)
            noise = random.standard_normal(len(samples)) * decibels(random.uniform(-85, -48))
            loud = samples * decibels(random.uniform(-42, -10)) + noise
            spectrograms.append(log_mel(np.clip(loud, -1, 1).astype(np.float32)))
    frames = np.concatenate(spectrograms)
    clusters = MiniBatchKMeans(TYPICAL, batch_size=4096, n_init=1, max_iter=20, random_state=0)
    clusters.fit(frames)
    follows = np.zeros((TYPICAL, TYPICAL), np.uint16)
    for spectrogram in spectrograms:
        which = clusters.predict(spectrogram)
        np.add.at(follows, (which[:-1], which[1:]), 1)
    typical = np.round(clusters.cluster_centers_ / STEP).astype(np.int8)
    np.savez_compressed(path, frames=typical, follows=follows)
    print(f"{len(frames)} frames of {sum(map(len, sounds.values()))} files, in {path}.")


def main(arguments: list[str] | None = None) -> int:
    """Run ``python -m vggish.calibration``; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m vggish.calibration",
        description="Make the statistic of real audio that 8-bit networks are calibrated on.",
    )
    parser.add_argument(
        "audio", type=Path, help="folder of unpacked packages of vggish/mini/bank.csv"
    )
    parser.add_argument("--out", type=Path, default=STATISTIC_PATH, help="the file to write")
    options = parser.parse_args(arguments)
    try:
        make_statistic(options.audio, options.out)
    except SentenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
