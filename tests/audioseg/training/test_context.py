import keras
import numpy as np
import pytest

from audioseg.features.dataset import Frames
from audioseg.training import context
from audioseg.training.runs import Run


def test_neighbours_stay_in_their_recording():
    values = np.arange(7)[:, None]
    recording = np.array([0, 0, 0, 0, 1, 1, 1])
    around = context.neighbours(values, recording, reach=2)[:, :, 0]
    assert around.tolist() == [
        [0, 0, 0, 1, 2],
        [0, 0, 1, 2, 3],
        [0, 1, 2, 3, 3],
        [1, 2, 3, 3, 3],
        [4, 4, 4, 5, 6],
        [4, 4, 5, 6, 6],
        [4, 5, 6, 6, 6],
    ]


def test_excerpts_cover_their_recordings():
    recording = np.repeat([0, 1, 2], [10, 3, 4])
    cut = context.excerpts(np.arange(17), recording, length=4)
    assert cut.tolist() == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [6, 7, 8, 9],
        [10, 11, 12, 12],  # shorter than an excerpt, and goes on as it ends
        [13, 14, 15, 16],
    ]
    assert context.excerpts(np.array([7]), np.array([0]), length=3).tolist() == [[7, 7, 7]]


def test_a_sequence_goes_on_as_it_ends():
    inputs = keras.Input((None, 128))
    around = keras.layers.AveragePooling1D(2 * 9 + 1, strides=1, padding="valid")(
        keras.layers.ZeroPadding1D(9)(inputs)
    )
    network = keras.Model(inputs, keras.layers.Activation("linear")(around[..., :4]))
    same = np.full((1, 128), 5.0)
    for n in (1, 3, 5_000):  # silence at the ends would be heard
        answer = context.probabilities(network, np.repeat(same, n, axis=0))
        assert answer.shape == (n, 4)
        np.testing.assert_allclose(answer, 5.0, rtol=1e-5)


# sums of 9 * 128 products of float32, with a margin of ten
ROUNDING = 10 * 9 * 128 * np.finfo(np.float32).eps


@pytest.fixture(params=[(128,), (9, 128), (None, 128)], ids=str)
def network(request):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(request.param)
    if request.param == (None, 128):
        outputs = keras.layers.Conv1D(4, 5, padding="same", activation="softmax")(inputs / 255)
    else:
        flat = keras.layers.Flatten()(inputs / 255)
        outputs = keras.layers.Dense(4, activation="softmax")(flat)
    return keras.Model(inputs, outputs)


def test_a_window_alone_is_a_recording_of_one_window(network):
    windows = np.random.default_rng(0).integers(0, 256, (5, 128), dtype=np.uint8)
    each = [context.probabilities(network, window[None])[0] for window in windows]
    np.testing.assert_allclose(context.probabilities_alone(network, windows), each, atol=ROUNDING)
    assert context.probabilities_alone(network, windows[:0]).shape == (0, 4)


def test_recordings_do_not_hear_each_other(network):
    lengths = [3, 1, 70, 3, 1, 3]
    recording = np.repeat(np.arange(6), lengths)
    windows = np.random.default_rng(0).integers(0, 256, (len(recording), 128), dtype=np.uint8)
    each = [context.probabilities(network, windows[recording == i]) for i in range(6)]
    together = context.probabilities_of(network, windows, recording)
    np.testing.assert_allclose(together, np.concatenate(each), atol=ROUNDING)


def test_two_hearings_count_alike(network):
    first, second = np.random.default_rng(0).integers(0, 256, (2, 12, 128), dtype=np.uint8)
    recording = np.repeat([0, 1], 6)
    frames = Frames(None, first, None, recording, ("a", "b"), 0.12, None, second)
    each = [context.probabilities_of(network, heard, recording) for heard in (first, second)]
    once = frames._replace(faster_audio_embedding=None)
    for hearings, heard, expected in (
        (2, frames, np.mean(each, axis=0)),
        (1, frames, each[0]),
        (2, once, each[0]),
    ):
        run = Run("r", {"input": "audio_embedding", "hearings": hearings}, {}, {}, network)
        found = context.probabilities_as_segmented(run, heard)
        np.testing.assert_allclose(found, expected, atol=ROUNDING)
