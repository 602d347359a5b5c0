"""VGGish and `mini` with weights and signals of 8 bits, computed by OpenVINO.

A processor with VNNI multiplies four pairs of 8-bit integers where it multiplies one pair of
float32, so the arithmetic that :mod:`vggish.fast` leaves takes a quarter of its time:

- the layout of overlapping windows is that of :mod:`vggish.fast`: the first four convolutions run
  once over a whole chunk, and only the rows that a window's zero padding reaches are computed
  again. Here a window's row is a *position* and its neighbouring rows are *channels*, so each of
  these rows of all windows is one convolution with a kernel of one row;
- convolutions are direct: Winograd's transforms need more than 8 bits;
- weights have a scale for each channel they put out, signals one for each layer, found by
  :mod:`vggish.calibration`. The first convolution (it has one channel, and takes no time) and the
  last layer stay in float32, and so does what goes into the last.

Without rounding, the same graphs compute `mini` in float32, sooner than TensorFlow does. In
bfloat16 they are worth it only where the processor convolves at least 1.5 times as fast in it as
in float32 (:func:`vggish.graph.bfloat16_gain`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from vggish.fast import can_share
from vggish.frontend import MEL_BANDS, WINDOW_FRAMES, windows
from vggish.graph import (
    Calibrated,
    Layers,
    PrecisionError,
    amplified,
    compiled,
    constant,
    flattened,
    multiplies_exactly,
    need_openvino,
    openvino,
    ops,
    pool,
    reshape,
    same_padding,
    transpose,
)
from vggish.mini.network import Amplify
from vggish.network import DENSE_LAYERS


def shared_network(layers: Layers, *, hop_frames: int, count: int) -> openvino.Model:
    """Build VGGish for windows that share their first four convolutions.

    The rows are those of ``vggish.fast._shared_blocks``, and so are the names.

    Returns
    -------
    openvino.Model
        From frames (hop_frames (count - 1) + 96, 64) to embeddings (count, 128).
    """
    step = hop_frames // 4  # rows of conv3 from one window to the next
    frames = ops.parameter([hop_frames * (count - 1) + WINDOW_FRAMES, MEL_BANDS], np.float32)
    log_mel = reshape(frames, 1, 1, hop_frames * (count - 1) + WINDOW_FRAMES, MEL_BANDS)
    upper, lower, whole = slice(0, 2), slice(1, 3), slice(0, 3)  # of a kernel's rows

    def rows(stream: openvino.Node, step: int, wanted: Sequence[int]) -> list[openvino.Node]:
        """Take rows of each window, counted from its own first row, out of the stream."""
        taken = []
        for row in wanted:
            limits = (row, row + (count - 1) * step + 1, step, 2)  # from, to, every, axis
            taken.append(ops.slice(stream, *(constant([value], np.int64) for value in limits)))
        return taken

    # every row once, over the whole chunk
    conv1 = layers.convolution("conv1", log_mel)
    pool1 = pool(conv1)
    pool2 = pool(layers.convolution("conv2", pool1))
    conv3_1 = layers.convolution("conv3_1", pool2)
    conv3_2 = layers.convolution("conv3_2", conv3_1)

    # the rows that see a window's zero padding, from the edge inwards
    first = layers.row("conv1", rows(log_mel, 4 * step, [0, 1]), lower)
    last = layers.row("conv1", rows(log_mel, 4 * step, [94, 95]), upper)
    (second,), (last_but_one,) = rows(conv1, 4 * step, [1]), rows(conv1, 4 * step, [94])
    first = pool(layers.greater("conv1", first, second), rows=1)
    last = pool(layers.greater("conv1", last_but_one, last), rows=1)

    def two_rows(
        name: str,
        first: Sequence[openvino.Node],
        last: Sequence[openvino.Node],
    ) -> tuple[list[openvino.Node], list[openvino.Node]]:
        """Convolve the first three rows to two, and the last three."""
        return (
            [layers.row(name, first[:2], lower), layers.row(name, first, whole)],
            [layers.row(name, last, whole), layers.row(name, last[1:], upper)],
        )

    firsts, lasts = two_rows(
        "conv2", [first, *rows(pool1, 2 * step, [1, 2])], [*rows(pool1, 2 * step, [45, 46]), last]
    )
    first, last = (pool(layers.greater("conv2", *pair), rows=1) for pair in (firsts, lasts))
    firsts, lasts = two_rows(
        "conv3_1", [first, *rows(pool2, step, [1, 2])], [*rows(pool2, step, [21, 22]), last]
    )
    seen = [*firsts, *rows(conv3_1, step, [2, 3])]
    firsts = [
        layers.row("conv3_2", part, of_kernel)
        for part, of_kernel in ((seen[:2], lower), (seen[:3], whole), (seen[1:], whole))
    ]
    seen = [*rows(conv3_1, step, [20, 21]), *lasts]
    lasts = [
        layers.row("conv3_2", part, of_kernel)
        for part, of_kernel in ((seen[:3], whole), (seen[1:], whole), (seen[2:], upper))
    ]

    # the third pooling
    pairs = pool(conv3_2, rows=2, step=1)
    at_edges = [
        pool(layers.greater("conv3_2", *pair), rows=1)
        for pair in (
            firsts[:2],
            [firsts[2], *rows(conv3_2, step, [3])],
            [*rows(conv3_2, step, [20]), lasts[0]],
            lasts[1:],
        )
    ]
    pool3 = [*at_edges[:2], *rows(pairs, step, range(4, 20, 2)), *at_edges[2:]]
    # windows were rows until here, side by side; now each is one of n. In memory, channels lie
    # innermost, and nothing moves
    signal = transpose(ops.concat(pool3, 3), 0, 2, 3, 1)
    signal = transpose(reshape(signal, count, 12, 8, -1), 0, 3, 1, 2)
    signal = layers.convolution("conv4_2", layers.convolution("conv4_1", signal))
    signal, order = flattened(pool(signal))
    for name, _ in DENSE_LAYERS:
        signal = layers.dense(name, signal, relu=name != "fc2", order=order)
        order = None
    return openvino.Model([signal], [frames])


def plain_network(model: keras.Model, layers: Layers, *, count: int) -> openvino.Model:
    """Build any network that is one layer after the other, for windows cut out one by one.

    Returns
    -------
    openvino.Model
        From windows (count, 96, 64) to embeddings (count, 128).
    """
    cut = ops.parameter([count, WINDOW_FRAMES, MEL_BANDS], np.float32)
    signal, order, before = reshape(cut, count, 1, WINDOW_FRAMES, MEL_BANDS), None, ""
    for layer in model.layers[1:]:
        match layer:
            case Amplify():
                signal = amplified(signal, layer.quiet, layer.most_gain)
            case keras.layers.Rescaling():
                scaled = ops.multiply(signal, constant(layer.scale))
                signal = ops.add(scaled, constant(layer.offset))
            case keras.layers.Reshape():
                pass  # to one channel, which it has
            case keras.layers.Conv2D():
                pads = [
                    same_padding(length, *lengths)
                    for length, *lengths in zip(
                        list(signal.shape)[2:], layer.kernel_size, layer.strides, strict=True
                    )
                ]
                relu = layer.activation is keras.activations.relu
                signal = layers.convolution(
                    layer.name, signal, strides=layer.strides, pads=pads, relu=relu
                )
                before = layer.name
            case keras.layers.ReLU():
                signal = layers.activation(before, signal)
            case keras.layers.MaxPooling2D():
                signal = pool(signal)
            case keras.layers.Flatten():
                signal, order = flattened(signal)
            case keras.layers.GlobalAveragePooling2D():
                signal = ops.reduce_mean(signal, constant([2, 3], np.int64), False)
            case keras.layers.Dense():
                relu = layer.activation is keras.activations.relu
                signal, order = layers.dense(layer.name, signal, relu=relu, order=order), None
            case _:
                kind = type(layer).__name__
                raise PrecisionError(
                    f"{model.name} has a {kind}, and is computed in float32 only: take that."
                )
    return openvino.Model([signal], [cut])


def openvino_chunks(
    model: keras.Model,
    calibration: Mapping[str, Calibrated] | None,
    *,
    hop_frames: int,
    batch_size: int,
    precision: str = "f32",
    threads: int = 0,
    exact: bool | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a network as OpenVINO computes it, for chunks of a fixed number of windows.

    Parameters
    ----------
    model : keras.Model
        VGGish, or another network of one layer after the other; its weights are read as they are
        now.
    calibration : mapping of str to Calibrated, optional
        Of :func:`vggish.calibration.calibrate`; without it, nothing has 8 bits.
    hop_frames, batch_size : int
        As for :func:`vggish.fast.fast_chunks`.
    precision : {"f32", "bf16"}
        Of what does not have 8 bits.
    threads : int
        0 takes as many as TensorFlow.
    exact : bool, optional
        Whether the processor multiplies 8-bit integers correctly; found out if not given.

    Returns
    -------
    callable
        From the frames of a chunk, (hop_frames (batch_size - 1) + 96, 64), to the embeddings of
        its windows, float32 (batch_size, 128). Several threads may call it at once.
    """
    need_openvino()
    if exact is None:
        exact = calibration is None or multiplies_exactly()
    layers = Layers(model, calibration, exact=exact)
    shares = model.name == "vggish" and can_share(hop_frames)
    if shares:
        network = shared_network(layers, hop_frames=hop_frames, count=batch_size)
    else:
        network = plain_network(model, layers, count=batch_size)
    ready = compiled(network, precision, threads)
    own = threading.local()  # a request holds one chunk at a time, so each thread has its own

    def run(frames: np.ndarray) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = ready.create_infer_request()
        given = frames if shares else windows(frames, hop_frames=hop_frames)
        return own.request.infer([np.ascontiguousarray(given, np.float32)])[0].copy()

    return run
