"""`mini`: a small embedding with VGGish's input and output shapes, trained for this course.

It stands in for VGGish where Google's checkpoint is not available: 0.8 million parameters in place
of 72 million, in a file of 1.6 MB beside this module. It was distilled from YAMNet
(:mod:`vggish.mini.train`). Its 128 numbers are not VGGish's, and the two never mix.
"""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
from keras import layers

from vggish import EMBEDDING_SIZE
from vggish.frontend import LOG_OFFSET, MEL_BANDS, WINDOW_FRAMES
from vggish.weights import WeightsError

WEIGHTS_PATH = Path(__file__).with_name("mini.npz")
# mean and standard deviation of log-mel values over the bank, rounded
LOG_MEL_MEAN, LOG_MEL_STD = -1.7, 1.8
PCA_KEYS = ("pca_eigen_vectors", "pca_means")
# of :class:`Amplify`; with the weights, so that another choice changes the hash of the file, and
# its embeddings are not mixed with those that are there
AMPLIFY_KEY = "amplify"
# speech and music are quiet from about -34 dBFS down; what is fainter than -54 is a pause
QUIET, MOST_GAIN = 0.5, 10.0

# (name, filters, kernel, stride). Plain convolutions, few and wide: on a CPU they run several
# times faster for their arithmetic than the depthwise ones of mobile networks. The two strides
# at the start leave 24 x 16 of 96 x 64 positions before the arithmetic begins.
CONVOLUTIONS = (
    ("conv1", 24, 5, 2),
    ("conv2", 64, 3, 2),
    ("conv3", 128, 3, 2),
    ("conv4", 192, 3, 2),
    ("conv5", 192, 3, 1),
    ("conv6", 512, 1, 1),
)


class Amplify(layers.Layer):
    """Amplifies quiet windows, each as a whole, so that over 20 dB they are the same at any level.

    The logarithm of a log-mel spectrogram has an offset, 0.01, in which quiet sounds drown: the
    same music is one spectrogram at -20 dBFS, and another at -40.

    Parameters
    ----------
    quiet : float
        Windows whose mel bands have a root mean square below it are amplified to it.
    most_gain : float
        But no more than this many times.
    """

    def __init__(self, quiet: float, most_gain: float, **options):
        super().__init__(**options)
        self.quiet, self.most_gain = quiet, most_gain

    def call(self, log_mel):
        """Return log-mel windows (n, 96, 64)."""
        bands = keras.ops.maximum(keras.ops.exp(log_mel) - LOG_OFFSET, 0.0)
        power = keras.ops.mean(keras.ops.square(bands), axis=(1, 2), keepdims=True)
        level = keras.ops.clip(keras.ops.sqrt(power), self.quiet / self.most_gain, self.quiet)
        return keras.ops.log(self.quiet / level * bands + LOG_OFFSET)


def build_mini(
    *,
    batch_norm: bool = False,
    precision: str = "float32",
    quiet: float = QUIET,
    most_gain: float = MOST_GAIN,
) -> keras.Model:
    """Build the network with random weights.

    Parameters
    ----------
    batch_norm : bool
        Put a batch normalisation behind every convolution, as training does. The shipped weights
        have them folded into the convolutions.
    precision : str
        Keras's dtype policy of the convolutions; the embedding itself is always float32.
    quiet, most_gain : float
        Of :class:`Amplify`.

    Returns
    -------
    keras.Model
        Log-mel windows (n, 96, 64), as :func:`vggish.frontend.windows` cuts them, to embeddings
        (n, 128).
    """
    inputs = keras.Input((WINDOW_FRAMES, MEL_BANDS), name="log_mel")
    x = Amplify(quiet, most_gain, name="amplify")(inputs)
    x = layers.Rescaling(1 / LOG_MEL_STD, -LOG_MEL_MEAN / LOG_MEL_STD, name="standardize")(x)
    x = layers.Reshape((WINDOW_FRAMES, MEL_BANDS, 1), name="channel")(x)
    for name, filters, kernel, stride in CONVOLUTIONS:
        x = layers.Conv2D(
            filters,
            kernel,
            stride,
            padding="same",
            use_bias=not batch_norm,
            name=name,
            dtype=precision,
        )(x)
        if batch_norm:
            x = layers.BatchNormalization(momentum=0.98, name=f"{name}_norm", dtype=precision)(x)
        x = layers.ReLU(name=f"{name}_relu", dtype=precision)(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    # no activation, as in VGGish: the embedding takes both signs
    return keras.Model(inputs, layers.Dense(EMBEDDING_SIZE, name="embedding")(x), name="mini")


def fold_batch_norm(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights of a network without batch normalisation that computes the same.

    Parameters
    ----------
    model : keras.Model
        From ``build_mini(batch_norm=True)``.

    Returns
    -------
    dict of str to np.ndarray
        ``<layer>/kernel`` and ``<layer>/bias``, float32, and what :class:`Amplify` goes by.
    """
    amplify = model.get_layer("amplify")
    weights = {AMPLIFY_KEY: np.array([amplify.quiet, amplify.most_gain], np.float32)}
    for name, *_ in CONVOLUTIONS:
        (kernel,) = model.get_layer(name).get_weights()
        norm = model.get_layer(f"{name}_norm")
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        weights[f"{name}/kernel"] = kernel * scale  # the last axis is the output channel
        weights[f"{name}/bias"] = beta - mean * scale
    kernel, bias = model.get_layer("embedding").get_weights()
    return weights | {"embedding/kernel": kernel, "embedding/bias": bias}


def _read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the arrays of a weights file as float32, checked against the network."""
    path = Path(path)
    expected = {
        f"{layer.name}/{kind}": tuple(value.shape)
        for layer in build_mini().layers
        for kind, value in zip(("kernel", "bias"), layer.weights, strict=False)
    }
    expected |= dict(
        zip(PCA_KEYS, ((EMBEDDING_SIZE, EMBEDDING_SIZE), (EMBEDDING_SIZE,)), strict=True)
    )
    expected[AMPLIFY_KEY] = (2,)
    try:
        # a pickle in an npz runs code of whoever made it
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise WeightsError(
            f"{path} is missing: it is part of the repository, restore it with git."
        ) from None
    except Exception as error:
        raise WeightsError(
            f"{path} is not a readable npz file of plain arrays ({error}): restore it with git."
        ) from None
    for name, shape in expected.items():
        if name not in arrays:
            raise WeightsError(f"{path} holds no {name}: restore it with git.")
        if arrays[name].shape != shape:
            raise WeightsError(
                f"{path} holds {name} with the shape {arrays[name].shape}, mini needs {shape}: "
                "restore it with git, or train it again with vggish.mini.train."
            )
        if not np.isfinite(arrays[name]).all():
            raise WeightsError(f"{path} holds {name} with values that are not finite.")
    return {name: arrays[name].astype(np.float32) for name in expected}


def with_weights(arrays: dict[str, np.ndarray]) -> keras.Model:
    """Build the network with weights as :func:`fold_batch_norm` names them."""
    quiet, most_gain = (float(value) for value in arrays[AMPLIFY_KEY])
    model = build_mini(quiet=quiet, most_gain=most_gain)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([arrays[f"{layer.name}/kernel"], arrays[f"{layer.name}/bias"]])
    return model


def load_mini(path: str | os.PathLike = WEIGHTS_PATH) -> keras.Model:
    """Build the network with the trained weights.

    Parameters
    ----------
    path : str or PathLike
        A file of :mod:`vggish.mini.train`; the one beside this module by default.

    Returns
    -------
    keras.Model
        (n, 96, 64) -> (n, 128).

    Raises
    ------
    WeightsError
        If the file is missing, unreadable or does not fit the network.
    """
    return with_weights(_read(path))
