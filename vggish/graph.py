"""Layers of a network as operations of OpenVINO, with 8-bit weights and signals.

A ``FakeQuantize`` behind a layer rounds its signal to 256 levels. OpenVINO sees that a convolution
has rounded signals and 8-bit weights, and computes with integers from there on.

Without VNNI, sums of two products overflow 16 bits, and OpenVINO lets them. So the program asks
the processor (:func:`multiplies_exactly`); if its answer is no, the same rounded numbers are
computed in float32: right, but slow.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import parent_process
from typing import NamedTuple

import keras
import numpy as np

from vggish.errors import SentenceError
from vggish.frontend import LOG_OFFSET

try:
    import openvino
    from openvino import opset13 as ops
except ImportError:
    openvino = ops = None

LEVELS = 256  # of a signal: its values are not negative
WEIGHT_MAX = 127  # of a weight, which has a sign
# VGGish takes a shorter way in float32 (:mod:`vggish.fast`): where a convolution is 1.9 times as
# fast in bfloat16 (Zen 5), the network is 1.44 times as fast, and 1.2 times is the least that is
# worth it
BFLOAT16_LEAST_GAIN = 1.5
BFLOAT16_TRIES = 20


class PrecisionError(SentenceError):
    """A precision that this machine or network lacks; one sentence that says what to do."""


class Calibrated(NamedTuple):
    """What 8-bit arithmetic needs to know about a layer.

    Attributes
    ----------
    limit : float
        The signal's greatest value, which 255 stands for; 0 leaves the signal in float32.
    bias : np.ndarray [shape=(channels out,)]
        In place of the layer's own bias: corrected by the average shift through rounding.
    rounded : bool
        Whether the weights have 8 bits.
    """

    limit: float
    bias: np.ndarray
    rounded: bool


def has_openvino() -> bool:
    """Tell whether OpenVINO is installed."""
    return openvino is not None


def need_openvino() -> None:
    """Raise an error if OpenVINO is not installed."""
    if not has_openvino():
        raise PrecisionError(
            "this precision needs OpenVINO, which is not installed: `pip install openvino` "
            "(0.2 GB), or take float32."
        )


def round_weights(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round weights to 8 bits, with a scale for each channel that they put out.

    Parameters
    ----------
    kernel : np.ndarray [shape=(..., channels out)]

    Returns
    -------
    integers : np.ndarray [dtype=int8]
        In [-127, 127].
    scale : np.ndarray [shape=(channels out,)]
        ``integers * scale`` is near ``kernel``.
    """
    most = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)))
    scale = np.where(most > 0, most, 1).astype(np.float32) / WEIGHT_MAX
    return np.round(kernel / scale).astype(np.int8), scale


class Layers:
    """The layers of a network as OpenVINO's operations, in (n, channels, rows, bands).

    Parameters
    ----------
    model : keras.Model
        Whose weights they have.
    calibration : mapping of str to Calibrated, optional
        By layer. Without it, nothing is rounded.
    exact : bool
        Whether the processor can be trusted with integers.
    """

    def __init__(
        self, model: keras.Model, calibration: Mapping[str, Calibrated] | None, *, exact: bool
    ):
        self._model, self._calibration, self._exact = model, calibration, exact

    def convolution(
        self,
        name: str,
        signal: openvino.Node,
        *,
        strides: Sequence[int] = (1, 1),
        pads: Sequence[tuple[int, int]] = ((1, 1), (1, 1)),
        relu: bool = True,
    ) -> openvino.Node:
        """Return a convolution, zeros added as ``pads`` says, with its ReLU."""
        kernel = self._model.get_layer(name).kernel.numpy()
        before, after = zip(*pads, strict=True)
        weights = self._weights(name, kernel, (3, 2, 0, 1))
        result = ops.convolution(signal, weights, [*strides], [*before], [*after], [1, 1])
        return self._finished(name, result, relu=relu)

    def row(self, name: str, rows: Sequence[openvino.Node], of_kernel: slice) -> openvino.Node:
        """Return one row of a convolution for all windows, from the rows that it needs.

        Parameters
        ----------
        rows : sequence of nodes [shape=(1, channels, windows, bands)]
            The rows that it sees; those of zeros are left out.
        of_kernel : slice
            The kernel's rows for these.
        """
        kernel = self._model.get_layer(name).kernel.numpy()[of_kernel]
        weights = self._weights(name, kernel, (3, 0, 2, 1), (kernel.shape[3], -1, 1, 3))
        result = ops.convolution(ops.concat([*rows], 1), weights, [1, 1], [0, 1], [0, 1], [1, 1])
        return self._finished(name, result, relu=True)

    def greater(self, name: str, one: openvino.Node, other: openvino.Node) -> openvino.Node:
        """Return the greater of two signals of a layer, element by element."""
        return self._rounded(name, ops.maximum(one, other))

    def dense(
        self, name: str, signal: openvino.Node, *, relu: bool, order: Sequence[int] | None = None
    ) -> openvino.Node:
        """Return a dense layer; ``order`` says how its inputs are ordered in the signal."""
        kernel = self._model.get_layer(name).kernel.numpy()
        weights = self._weights(name, kernel if order is None else kernel[order], (1, 0))
        return self._finished(name, ops.matmul(signal, weights, False, True), relu=relu)

    def activation(self, name: str, signal: openvino.Node) -> openvino.Node:
        """Return the signal after a ReLU that is a layer of its own."""
        return self._rounded(name, ops.relu(signal))

    def _weights(
        self,
        name: str,
        kernel: np.ndarray,
        axes: Sequence[int],
        shape: Sequence[int] | None = None,
    ) -> openvino.Node:
        """Return weights, channels out first; with the scales of the whole kernel."""
        if self._calibration is None or not self._calibration[name].rounded:
            values = kernel.transpose(axes)
            return constant(values if shape is None else values.reshape(shape))
        whole = self._model.get_layer(name).kernel.numpy()
        _, scale = round_weights(whole)
        integers = np.round(kernel / scale).astype(np.int8).transpose(axes)
        integers = integers if shape is None else integers.reshape(shape)
        scale = scale.reshape(-1, *(1,) * (integers.ndim - 1))
        if not self._exact:
            return constant(integers * scale)
        real = ops.convert(constant(integers, np.int8), np.float32)
        return ops.multiply(real, constant(scale))

    def _finished(self, name: str, signal: openvino.Node, *, relu: bool) -> openvino.Node:
        """Add the bias, and what comes behind it."""
        if self._calibration is None:
            bias = self._model.get_layer(name).bias.numpy()
        else:
            bias = self._calibration[name].bias
        spatial = len(signal.get_output_partial_shape(0)) - 2
        signal = ops.add(signal, constant(bias.reshape(1, -1, *(1,) * spatial)))
        return self._rounded(name, ops.relu(signal)) if relu else signal

    def _rounded(self, name: str, signal: openvino.Node) -> openvino.Node:
        if self._calibration is None or not self._calibration[name].limit:
            return signal
        ends = constant(0), constant(self._calibration[name].limit)
        return ops.fake_quantize(signal, *ends, *ends, LEVELS)


def constant(values: np.ndarray | Sequence, dtype: type = np.float32) -> openvino.Node:
    """Return numbers as a node."""
    return ops.constant(np.ascontiguousarray(values, dtype).reshape(np.shape(values)))


def reshape(signal: openvino.Node, *shape: int) -> openvino.Node:
    """Return the signal in another shape."""
    return ops.reshape(signal, constant(shape, np.int64), False)


def transpose(signal: openvino.Node, *axes: int) -> openvino.Node:
    """Return the signal with its axes in another order."""
    return ops.transpose(signal, constant(axes, np.int64))


def amplified(signal: openvino.Node, quiet: float, most_gain: float) -> openvino.Node:
    """Return log-mel windows (n, 1, 96, 64) as :class:`vggish.mini.network.Amplify` does."""
    offset = constant(LOG_OFFSET)
    bands = ops.relu(ops.subtract(ops.exp(signal), offset))
    power = ops.reduce_mean(ops.multiply(bands, bands), constant([2, 3], np.int64), True)
    level = ops.clamp(ops.sqrt(power), quiet / most_gain, quiet)
    return ops.log(ops.add(ops.multiply(ops.divide(constant(quiet), level), bands), offset))


def pool(signal: openvino.Node, *, rows: int = 2, step: int | None = None) -> openvino.Node:
    """Return the maximum over 2 bands and some rows, from every ``step``-th row on."""
    nothing = [0, 0]
    size, strides = [rows, 2], [step or rows, 2]
    return ops.max_pool(signal, strides, [1, 1], nothing, nothing, size, "floor", "valid").output(0)


def flattened(signal: openvino.Node) -> tuple[openvino.Node, np.ndarray]:
    """Return (n, everything else), and where its values are in Keras's order."""
    count, channels, rows, bands = signal.shape
    order = np.arange(rows * bands * channels).reshape(rows, bands, channels)
    return reshape(signal, count, -1), order.transpose(2, 0, 1).ravel()


def compiled(
    network: openvino.Model, precision: str = "f32", threads: int = 0
) -> openvino.CompiledModel:
    """Compile a network for this processor."""
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # every worker would take the same processors
    }
    return _core().compile_model(network, "CPU", options)


@cache
def _core() -> openvino.Core:
    need_openvino()
    return openvino.Core()


@cache
def multiplies_exactly() -> bool:
    """Tell whether this processor sums the largest products of 8-bit integers correctly."""
    channels, size = 64, 8
    most = LEVELS - 1
    given = np.full((1, channels, size, size), most, np.float32)
    signal = ops.parameter(given.shape, np.float32)
    ends = constant(0), constant(most)
    kernel = np.full((channels, channels, 3, 3), WEIGHT_MAX, np.int8)
    ones = np.full((channels, 1, 1, 1), 1 / WEIGHT_MAX)
    weights = ops.multiply(ops.convert(constant(kernel, np.int8), np.float32), constant(ones))
    rounded = ops.fake_quantize(signal, *ends, *ends, LEVELS)
    nothing = [0, 0]
    result = ops.convolution(rounded, weights, [1, 1], nothing, nothing, [1, 1])
    found = compiled(openvino.Model([result], [signal])).create_infer_request().infer([given])[0]
    return bool(np.allclose(found, most * channels * 9, rtol=1e-3))


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after that Keras's ``"same"`` adds."""
    missing = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return missing // 2, missing - missing // 2


@cache
def bfloat16_gain() -> float:
    """Return how many times as fast as in float32 this processor convolves in bfloat16; 0: not.

    Measured, since the instructions that a processor has do not tell: with AVX-512's for bfloat16,
    one processor is faster and another slower. It takes half a second.
    """
    channels, shape = 256, (2, 256, 24, 16)
    given = ops.parameter(shape, np.float32)
    kernel = constant(np.full((channels, channels, 3, 3), 1 / (9 * channels)))
    result = ops.convolution(given, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
    # small enough an answer that writing it does not count
    network = openvino.Model([ops.reduce_max(result, constant([1, 2, 3], np.int64))], [given])
    try:
        made = {name: compiled(network, name, 1) for name in ("f32", "bf16")}
    except RuntimeError:  # a processor that has bfloat16, held back to instructions without it
        return 0.0
    if made["bf16"].get_property("INFERENCE_PRECISION_HINT") != openvino.Type.bf16:
        return 0.0  # OpenVINO computes in float32 where there is no bfloat16
    requests = {name: ready.create_infer_request() for name, ready in made.items()}
    samples, seconds = np.ones(shape, np.float32), dict.fromkeys(requests, 0.0)
    for _ in range(BFLOAT16_TRIES):
        for name, request in requests.items():  # by turns: the machine's speed changes
            started = time.process_time()  # not the wall's: other programs compute as well
            request.infer([samples])
            seconds[name] += time.process_time() - started
    return seconds["f32"] / max(seconds["bf16"], 1e-9)


def check_precision(precision: str) -> None:
    """Raise an error if this machine cannot compute in bfloat16 or int8, or is hardly faster in it.

    int8 on a processor without VNNI is correct but slow, so it is only noted.
    """
    need_openvino()
    if parent_process() is not None:  # a worker: the process that started it has asked
        return
    if precision == "bfloat16" and (gain := bfloat16_gain()) < BFLOAT16_LEAST_GAIN:
        raise PrecisionError(
            "bfloat16 is not worth it on this processor: a convolution in it is "
            f"{gain:.2f} times as fast as in float32, and {BFLOAT16_LEAST_GAIN} is the least: take "
            "float32, or int8."
            if gain
            else "OpenVINO cannot compute in bfloat16 on this processor: take float32, or int8."
        )
    if precision == "int8" and not multiplies_exactly():
        print(
            "note: this processor has no VNNI, so int8 is slower here than float32 would be.",
            file=sys.stderr,
        )
