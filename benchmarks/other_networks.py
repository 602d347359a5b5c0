"""VGGish the ways others compute it, and how fast the machine multiplies: for `vggish_speed.py`."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import openvino
import tensorflow as tf
from openvino import opset13 as ops

from vggish.graph import Layers, compiled, constant
from vggish.int8 import plain_network
from vggish.network import CONV_BLOCKS, DENSE_LAYERS, LAYERS
from vggish.weights import variable_names

v1 = tf.compat.v1
MATRIX_SIZE = 2048
MATRIX_FLOP = 2 * MATRIX_SIZE**3


def slim_network(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Build the published graph with tf-slim, run in a session as Google's demo does."""
    import tf_slim as slim

    def scope(layer: str) -> str:
        return variable_names(layer)[0].removeprefix("vggish/").removesuffix("/weights")

    values = {}
    for layer in LAYERS:
        arrays = [value.numpy() for value in model.get_layer(layer).weights]
        values |= zip(variable_names(layer), arrays, strict=True)
    graph = tf.Graph()
    with graph.as_default(), v1.variable_scope("vggish"):
        features = v1.placeholder(tf.float32, (None, 96, 64))
        net = tf.reshape(features, [-1, 96, 64, 1])
        for number, block in enumerate(CONV_BLOCKS, start=1):
            for name, channels in block:
                net = slim.conv2d(net, channels, 3, activation_fn=tf.nn.relu, scope=scope(name))
            net = slim.max_pool2d(net, 2, scope=f"pool{number}")
        net = slim.flatten(net)
        for name, units in DENSE_LAYERS:
            activation = None if name == "fc2" else tf.nn.relu
            net = slim.fully_connected(net, units, activation_fn=activation, scope=scope(name))
        session = v1.Session(graph=graph)
        for variable in v1.global_variables():
            variable.load(values[variable.op.name], session)
    return lambda batch: session.run(net, {features: batch})


def torch_network(model: keras.Model) -> Callable[[np.ndarray], np.ndarray] | None:
    """Build the network the way torchvggish lays it out: channels first, flattened last."""
    try:
        import torch
    except ImportError:
        return None
    layers: list[torch.nn.Module] = []
    for block in CONV_BLOCKS:
        for name, channels in block:
            kernel, bias = (torch.tensor(value.numpy()) for value in model.get_layer(name).weights)
            layer = torch.nn.Conv2d(kernel.shape[2], channels, 3, padding=1)
            layer.weight.data, layer.bias.data = kernel.permute(3, 2, 0, 1).contiguous(), bias
            layers += [layer, torch.nn.ReLU(inplace=True)]
        layers.append(torch.nn.MaxPool2d(2))
    dense: list[torch.nn.Module] = []
    for name, units in DENSE_LAYERS:
        kernel, bias = (torch.tensor(value.numpy()) for value in model.get_layer(name).weights)
        layer = torch.nn.Linear(kernel.shape[0], units)
        layer.weight.data, layer.bias.data = kernel.T.contiguous(), bias
        dense += [layer, torch.nn.ReLU(inplace=True)]
    features, embeddings = torch.nn.Sequential(*layers), torch.nn.Sequential(*dense[:-1])

    @torch.inference_mode()
    def run(batch: np.ndarray) -> np.ndarray:
        signal = features(torch.from_numpy(batch)[:, None])
        return embeddings(signal.permute(0, 2, 3, 1).flatten(1)).numpy()

    return run


def onnx_network(model: keras.Model, batch_size: int) -> Callable[[np.ndarray], np.ndarray] | None:
    """Build the network for ONNX Runtime, where that and onnx are installed."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return None
    nodes, values, signal = [], [], "signal"

    def add(kind: str, *inputs: str, **attributes: object) -> None:
        nonlocal signal
        nodes.append(
            onnx.helper.make_node(kind, [signal, *inputs], [f"{len(nodes)}"], **attributes)
        )
        signal = f"{len(nodes) - 1}"

    def constant(name: str, array: np.ndarray) -> str:
        values.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weights(name: str, *axes: int) -> tuple[str, str]:
        kernel, bias = (value.numpy() for value in model.get_layer(name).weights)
        return constant(name, kernel.transpose(axes)), constant(f"{name} bias", bias)

    for block in CONV_BLOCKS:
        for name, _ in block:
            add("Conv", *weights(name, 3, 2, 0, 1), pads=[1, 1, 1, 1])
            add("Relu")
        add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    add("Transpose", perm=[0, 2, 3, 1])
    add("Flatten")
    for name, _ in DENSE_LAYERS:
        add("Gemm", *weights(name, 0, 1))
        if name != "fc2":
            add("Relu")
    real = onnx.TensorProto.FLOAT
    given = onnx.helper.make_tensor_value_info("signal", real, (batch_size, 1, 96, 64))
    result = onnx.helper.make_tensor_value_info(signal, real, (batch_size, 128))
    graph = onnx.helper.make_graph(nodes, "vggish", [given], [result], values)
    network = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    network.ir_version = 10
    session = onnxruntime.InferenceSession(network.SerializeToString())
    return lambda batch: session.run(None, {"signal": batch[:, None]})[0]


def openvino_plain(model: keras.Model, batch_size: int) -> Callable[[np.ndarray], np.ndarray]:
    """Build the network for OpenVINO, window by window."""
    network = plain_network(model, Layers(model, None, exact=True), count=batch_size)
    request = compiled(network).create_infer_request()
    return lambda batch: request.infer([batch])[0]


def matrix_products(*, bfloat16: bool) -> dict[str, Callable[[], object]]:
    """Return products of square matrices in each precision, for the machine's peak."""
    size = MATRIX_SIZE
    whole = {"float32": ("f32", None), "int8": ("f32", 1.0)}
    if bfloat16:
        whole["bfloat16"] = ("bf16", None)
    ways: dict[str, Callable[[], object]] = {}
    square = np.random.default_rng(0).uniform(0, 1, (size, size)).astype(np.float32)
    for name, (precision, limit) in whole.items():
        given = ops.parameter([size, size], np.float32)
        signal, weights = given, constant(square)
        if limit:
            ends = constant(0), constant(limit)
            signal = ops.fake_quantize(signal, *ends, *ends, 256)
            integers = constant(np.round(square * 127).astype(np.int8), np.int8)
            weights = ops.multiply(
                ops.convert(integers, np.float32), constant(np.full((size, 1), 1 / 127))
            )
        product = ops.matmul(signal, weights, False, True)
        # small enough an answer that writing it does not count
        result = ops.reduce_max(product, constant([1], np.int64), False)
        network = openvino.Model([result], [given])
        request = compiled(network, precision).create_infer_request()
        ways[name] = lambda request=request: request.infer([square])[0]
    return ways
