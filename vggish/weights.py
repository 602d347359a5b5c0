"""Google's VGGish weights: fetch, verify, read.

``python -m vggish.weights`` (``make vggish``) fetches the checkpoint and the PCA parameters
published with AudioSet into ``weights/``, or into the folder that the environment variable
``VGGISH_WEIGHTS`` names. TensorFlow alone reads a checkpoint, in both of its formats (one file, as
Google's; or ``.index`` and ``.data-...``, as TensorFlow 1 and 2 write today). The variables have
the names of the published graph, ``vggish/conv3/conv3_1/weights`` and so on.
"""

from __future__ import annotations

import argparse
import glob
import math
import os
import sys
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from vggish.download import DownloadError, download, sha256_of
from vggish.errors import SentenceError
from vggish.network import LAYERS, build_vggish
from vggish.postprocess import PCA

FOLDER_VARIABLE = "VGGISH_WEIGHTS"
DEFAULT_FOLDER = "weights"

# what TensorFlow raises for files that are no checkpoint
READ_ERRORS = (tf.errors.OpError, OSError, ValueError, KeyError, TypeError, RuntimeError)


class WeightsError(SentenceError):
    """Weights are missing or do not fit; one sentence says what to do."""


class Published(NamedTuple):
    """A published file: its address, its name here, and its checksum."""

    name: str
    url: str
    size: int
    sha256: str


CHECKPOINT = Published(
    "vggish_model.ckpt",
    "https://storage.googleapis.com/audioset/vggish_model.ckpt",
    291_108_469,
    "0962b1914e3e053922d957c45bc84a78c985765641dc6bceeeb3a7d8dfecfdf6",
)
PCA_PARAMETERS = Published(
    "vggish_pca_params.npz",
    "https://storage.googleapis.com/audioset/vggish_pca_params.npz",
    73_020,
    "4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d",
)


def weights_folder() -> Path:
    """Return the folder of the weights: ``$VGGISH_WEIGHTS``, or ``weights``."""
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def variable_names(layer: str) -> tuple[str, str]:
    """Return the checkpoint's names of a layer's kernel and bias.

    ``conv3_1`` is ``vggish/conv3/conv3_1/weights`` and ``vggish/conv3/conv3_1/biases``; layers
    that stand alone have no group: ``vggish/conv1/weights``.
    """
    group = layer.partition("_")[0]
    scope = f"vggish/{group}/{layer}" if layer != group else f"vggish/{layer}"
    return f"{scope}/weights", f"{scope}/biases"


def load_checkpoint(path: str | os.PathLike) -> keras.Model:
    """Read a VGGish checkpoint into the plain network.

    Parameters
    ----------
    path : str or PathLike
        A checkpoint in the single-file format, or the common start of the names of the newer
        format's files (its ``.index`` file will do, too).

    Returns
    -------
    keras.Model
        From log-mel windows (n, 96, 64) to embeddings (n, 128).

    Raises
    ------
    WeightsError
        If there is no readable checkpoint, or variables are missing, misshapen or not finite;
        they are named.
    """
    path = Path(path)
    prefix = _prefix(path)
    if not checkpoint_files(prefix):
        raise WeightsError(f"{path} does not exist: give the path of a VGGish checkpoint.")
    wanted = {name for layer in LAYERS for name in variable_names(layer)}
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        # the largest first, while nothing else is in memory: reading takes several copies of it
        names = sorted(wanted & set(shapes), key=lambda name: -math.prod(shapes[name]))
        values = {name: _read_variable(prefix, name, types[name]) for name in names}
    except READ_ERRORS as error:
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"{path} is not a TensorFlow checkpoint, or is damaged ({reason}): fetch it again."
        ) from None
    model = build_vggish(kernel_initializer="zeros")
    faults = []
    for name, variable in _variables(model).items():
        value = values.pop(name, None)
        if value is None:
            faults.append(f"{name} is missing")
        elif value.shape != variable.shape:
            faults.append(f"{name} has the shape {tuple(value.shape)}, not {variable.shape}")
        elif value.dtype != tf.float32:
            faults.append(f"{name} is {value.dtype.name}, not float32")
        elif not np.isfinite(value).all():
            faults.append(f"{name} holds NaN or infinity")
        else:
            variable.assign(value)  # takes the value over, without a copy
    if faults:
        raise WeightsError(
            f"{path} does not hold VGGish: {'; '.join(faults)}: use a checkpoint of the network "
            "as released with AudioSet."
        )
    return model


def save_checkpoint(model: keras.Model, path: str | os.PathLike) -> Path:
    """Write a network in the format and under the names of Google's checkpoint.

    Other VGGish programs can then read a network that you have trained further.

    Parameters
    ----------
    model : keras.Model
        A :func:`vggish.network.build_vggish`.
    path : str or PathLike
        The single file to write.

    Returns
    -------
    Path
        ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    named = _variables(model)
    values = [variable.value for variable in named.values()]
    tf.raw_ops.Save(filename=str(path), tensor_names=list(named), data=values)
    return path


def audioset_is_here() -> bool:
    """Tell whether Google's weights are in the weights' folder."""
    return (weights_folder() / CHECKPOINT.name).is_file()


def load_audioset() -> tuple[keras.Model, str, PCA]:
    """Load Google's weights from the weights' folder.

    Returns
    -------
    model : keras.Model
        The plain network.
    sha256 : str
        Of the published checkpoint.
    pca : PCA
        The published PCA parameters.

    Raises
    ------
    WeightsError
        If they are not there, or are not the published files.
    """
    folder = weights_folder()
    for file in (PCA_PARAMETERS, CHECKPOINT):
        path = folder / file.name
        if not path.is_file():
            raise WeightsError(
                f"{path} does not exist: run `make vggish`, or fetch {file.url} by hand to there "
                f"(sha256 {file.sha256})."
            )
        if (got := sha256_of(path)) != file.sha256:
            raise WeightsError(
                f"{path} has the sha256 {got} and not {file.sha256}, so it is not Google's file: "
                "remove it and run `make vggish`."
            )
    pca = PCA.load(folder / PCA_PARAMETERS.name)
    return load_checkpoint(folder / CHECKPOINT.name), CHECKPOINT.sha256, pca


def load_own(path: str | os.PathLike) -> tuple[keras.Model, str, PCA | None]:
    """Load any VGGish checkpoint, with the PCA parameters beside it.

    Returns
    -------
    model : keras.Model
        The plain network.
    sha256 : str
        Of the checkpoint's files, one after the other.
    pca : PCA or None
        From ``vggish_pca_params.npz`` in the same folder, if there is one.

    Raises
    ------
    WeightsError
        If there is no readable checkpoint, or it does not fit.
    PostprocessError
        If the PCA parameters do not fit.
    """
    path = Path(path)
    model = load_checkpoint(path)
    beside = path.with_name(PCA_PARAMETERS.name)
    pca = PCA.load(beside) if beside.exists() else None
    return model, sha256_of(*checkpoint_files(_prefix(path))), pca


def fetch_audioset() -> Path:
    """Fetch Google's weights into the weights' folder, and verify them.

    The next call resumes a broken download; files that are there are not fetched again.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DownloadError
        If a file cannot be fetched, or is not the published one.
    """
    folder = weights_folder()
    for file in (PCA_PARAMETERS, CHECKPOINT):
        download(file.url, folder / file.name, sha256=file.sha256, size=file.size)
    return folder


def main(arguments: list[str] | None = None) -> int:
    """Run ``python -m vggish.weights``."""
    parser = argparse.ArgumentParser(
        prog="python -m vggish.weights",
        description="Fetch Google's VGGish checkpoint (291 MB) and PCA parameters, verified.",
        epilog=f"They go into {weights_folder()}, or where {FOLDER_VARIABLE} says.",
    )
    parser.parse_args(arguments)
    try:
        folder = fetch_audioset()
    except DownloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted: the same command goes on where it stopped.", file=sys.stderr)
        return 130
    except OSError as error:
        print(
            f"error: {error.filename or weights_folder()} cannot be written ({error.strerror}): "
            f"make room, or name another folder in {FOLDER_VARIABLE}.",
            file=sys.stderr,
        )
        return 1
    print(f"Google's VGGish is in {folder}.")
    return 0


def checkpoint_files(prefix: Path) -> list[Path]:
    """Return the files of a checkpoint: one, or an index and its data; none if there is none."""
    if prefix.is_file():
        return [prefix]
    index = prefix.with_name(prefix.name + ".index")
    if not index.is_file():
        return []
    return [index, *sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))]


def _prefix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == ".index" else path


def _read_variable(prefix: Path, name: str, dtype: tf.DType) -> tf.Tensor:
    """Read one variable; without the copy into numpy that a checkpoint's reader makes."""
    (value,) = tf.raw_ops.RestoreV2(
        prefix=str(prefix), tensor_names=[name], shape_and_slices=[""], dtypes=[dtype]
    )
    return value


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables of the plain network by the checkpoint's names."""
    named = {}
    for layer in LAYERS:
        named |= zip(variable_names(layer), model.get_layer(layer).weights, strict=True)
    return named


if __name__ == "__main__":
    sys.exit(main())
