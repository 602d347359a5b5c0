"""A network that knows the answer, and a run of it."""

import keras
import numpy as np

from audioseg.features.dataset import Frames
from audioseg.training import runs

DATASET = {"weights": "mini", "weights_sha256": "0" * 64}


def frames(n=240, seed=0):
    rng = np.random.default_rng(seed)
    label = np.repeat(rng.integers(0, 4, n // 20), 20)
    # each class lights up a quarter of the numbers
    raised = label[:, None] == np.arange(128) // 32
    coded = np.where(raised, 200, 60) + rng.integers(0, 30, (n, 128))
    return Frames(
        audio_embedding=coded.astype(np.uint8),
        embedding=((coded - 127.5) / 64).astype(np.float32),
        label=label,
        recording=np.repeat([0, 1], n // 2),
        names=("a", "b"),
        hop_seconds=0.12,
    )


TRN, VAL = frames(), frames(seed=1)


def built(shape=(128,), scaled=True):
    """Build a network that knows the answer."""
    inputs = keras.Input(shape)
    x = (inputs - 127.5) / 127.5 if scaled else inputs
    if len(shape) == 2 and shape[0]:
        x = x[:, shape[0] // 2]
    dense = keras.layers.Dense(4, activation="softmax")
    network = keras.Model(inputs, dense(x))
    kernel = np.repeat(np.eye(4), 32, axis=0)
    dense.set_weights([kernel.astype(np.float32), np.zeros(4, np.float32)])
    return network


def saved(place, network=None, history=None, **more):
    return runs.save(
        place,
        network or built(),
        history or {"loss": [0.5, 0.1], "val_accuracy": [0.9, 1.0]},
        **({"trn": TRN, "val": VAL, "dataset": DATASET} | more),
        parameters={"SEED": 3},
        seconds=1.23,
    )
