"""VGGish's network, the plain way: a Keras model from log-mel windows to embeddings.

This is the readable definition; everything faster is tested against it. Hershey et al., "CNN
architectures for large-scale audio classification", ICASSP 2017, in the form released with
AudioSet: 3x3 convolutions and 2x2 pooling, three dense layers, and **no activation on the
embedding** (the release of 2017 had a ReLU there, and some ports still have).

::

    window        (96 frames, 64 bands, 1)
    conv1         (96, 64,  64)   pool -> (48, 32,  64)
    conv2         (48, 32, 128)   pool -> (24, 16, 128)
    conv3_1, 3_2  (24, 16, 256)   pool -> (12,  8, 256)
    conv4_1, 4_2  (12,  8, 512)   pool -> ( 6,  4, 512)
    flatten       12,288          in the order time, band, channel
    fc1_1, fc1_2  4096, 4096
    fc2           128             the embedding
"""

from __future__ import annotations

import keras

from vggish import EMBEDDING_SIZE
from vggish.frontend import MEL_BANDS, WINDOW_FRAMES

# blocks of convolutions, by the number of channels they put out; a pooling ends each block
CONV_BLOCKS = (
    (("conv1", 64),),
    (("conv2", 128),),
    (("conv3_1", 256), ("conv3_2", 256)),
    (("conv4_1", 512), ("conv4_2", 512)),
)
DENSE_LAYERS = (("fc1_1", 4096), ("fc1_2", 4096), ("fc2", EMBEDDING_SIZE))
LAYERS = tuple(name for block in (*CONV_BLOCKS, DENSE_LAYERS) for name, _ in block)


def build_vggish(*, kernel_initializer: str = "he_normal", narrower: int = 1) -> keras.Model:
    """Build VGGish with random weights.

    Parameters
    ----------
    kernel_initializer : str
        Keras's name for how the weights start. Seed random ones with
        ``keras.utils.set_random_seed``.
    narrower : int
        Divides the number of channels and units, for quick tests; the embedding keeps its 128.

    Returns
    -------
    keras.Model
        From log-mel windows (n, 96, 64) to embeddings (n, 128): 72,141,184 parameters,
        863,895,552 multiply-adds a window.
    """
    windows = keras.Input((WINDOW_FRAMES, MEL_BANDS), name="log_mel")
    signal = keras.layers.Reshape((WINDOW_FRAMES, MEL_BANDS, 1), name="one_channel")(windows)
    for number, block in enumerate(CONV_BLOCKS, start=1):
        for name, channels in block:
            signal = keras.layers.Conv2D(
                channels // narrower,
                3,
                padding="same",
                activation="relu",
                data_format="channels_last",
                name=name,
                kernel_initializer=kernel_initializer,
            )(signal)
        pool = keras.layers.MaxPooling2D(2, data_format="channels_last", name=f"pool{number}")
        signal = pool(signal)
    signal = keras.layers.Flatten(data_format="channels_last", name="flatten")(signal)
    for name, units in DENSE_LAYERS:
        last = name == DENSE_LAYERS[-1][0]
        signal = keras.layers.Dense(
            units if last else units // narrower,
            activation=None if last else "relu",
            name=name,
            kernel_initializer=kernel_initializer,
        )(signal)
    return keras.Model(windows, signal, name="vggish")
