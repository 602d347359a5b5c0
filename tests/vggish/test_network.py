import keras
import numpy as np
import pytest

from vggish.network import LAYERS, build_vggish


@pytest.fixture(scope="module")
def model():
    return build_vggish(kernel_initializer="zeros")


def test_sizes(model):
    assert model.input_shape == (None, 96, 64)
    assert model.output_shape == (None, 128)
    assert model.count_params() == 72_141_184
    assert [layer.name for layer in model.layers if layer.weights] == list(LAYERS)


def test_multiply_adds(model):
    total = 0
    for name in LAYERS:
        layer = model.get_layer(name)
        positions = layer.output.shape[1] * layer.output.shape[2] if "conv" in name else 1
        total += positions * layer.kernel.shape.num_elements()
    assert total == 863_895_552


def test_relu_everywhere_but_on_the_embedding(model):
    activations = {name: model.get_layer(name).activation for name in LAYERS}
    assert activations.pop("fc2") is keras.activations.linear
    assert set(activations.values()) == {keras.activations.relu}


def test_flattens_in_the_order_time_band_channel(model):
    before = model.get_layer("pool4").output
    assert before.shape == (None, 6, 4, 512)
    flatten = keras.Model(before, model.get_layer("flatten").output)
    signal = np.arange(6 * 4 * 512, dtype=np.float32).reshape(1, 6, 4, 512)
    np.testing.assert_array_equal(flatten(signal).numpy()[0], signal.ravel())
