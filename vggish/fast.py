"""VGGish over overlapping windows with a quarter of the multiplications, and the same numbers.

The plain network (``vggish.network``) already runs at the speed of the processor's matrix
multiplication, so only fewer multiplications make it faster. Two ideas, both exact but for the
rounding of float32:

**1. Neighbours share.** Windows 12 frames apart overlap by 87.5 %, and a convolution does not
know which window it works for. So the first four convolutions run once over the log-mel
spectrogram of a whole chunk of windows, and each window takes its rows out of that. Only the rows
that a window's own zero padding reaches differ; they are few, and are computed again for each
window. The hop must be a multiple of 4 frames, because two poolings halve the frame rate twice.

::

    frames      ............................................................
    window i      [oo================================================oo]
    window i+1          [oo================================================oo]

    = taken from the shared rows    o computed again, with the window's zero padding

                  rows of a window    of these again, at each edge
    conv1         96                  1, computed as 2 for the pool
    conv2         48                  2
    conv3_1       24                  2
    conv3_2       24                  3

The third pooling starts at a window's first row, and 12 frames are 3 rows there: even and odd
windows pair the rows differently, so the shared rows are pooled at every row and each window
takes every second. From here on, every window is computed for itself.

**2. Winograd's convolution.** A tile of 4 x 4 outputs of a 3 x 3 convolution needs 144
multiplications the direct way and 36 after a change of basis: input tiles and kernels are
evaluated at 6 points in each direction, multiplied there, and interpolated back (Lavin and Gray,
"Fast algorithms for convolutional neural networks", CVPR 2016). The multiplications of all tiles
at one point are one matrix product, so a layer becomes 36 of them between two cheap transforms.
It pays where there are many channels: conv3 and conv4.

Relative to the plain network the result differs by 2e-6 (L2).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import keras
import numpy as np
import tensorflow as tf

from vggish.frontend import MEL_BANDS, WINDOW_FRAMES
from vggish.network import CONV_BLOCKS, DENSE_LAYERS

# the convolutions that neighbours can share, and those behind the third pooling
FIRST = tuple(name for block in CONV_BLOCKS[:3] for name, _ in block)
LAST = tuple(name for name, _ in CONV_BLOCKS[3])
# Winograd's tiles, (rows, bands) of outputs, where rows are shared, at a window's edges, and
# where a window is computed for itself; a tile of 3 is just the 3 rows of conv3_2's edge
SHARED_TILES = {"conv3_1": (4, 4), "conv3_2": (4, 4)}
EDGE_TILES = {"conv3_1": (2, 4), "conv3_2": (3, 4)}
WINDOW_TILES = {name: (4, 4) for name in ("conv3_1", "conv3_2", "conv4_1", "conv4_2")}
# beyond this, the rows computed again at the edges outweigh what neighbours share
MAX_SHARED_HOP = 64

# signal (n, rows, bands, channels) -> (n, rows - 2, bands, channels), or as many rows where
# pad_rows adds a row of zeros on both sides
Convolution = Callable[..., tf.Tensor]


def can_share(hop_frames: int) -> bool:
    """Tell whether it pays to share the first four convolutions of windows this far apart."""
    return hop_frames % 4 == 0 and hop_frames <= MAX_SHARED_HOP


def fast_chunks(
    model: keras.Model, *, hop_frames: int, batch_size: int, precision: str = "float32"
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the fast way through VGGish, for chunks of a fixed number of windows.

    Parameters
    ----------
    model : keras.Model
        A :func:`vggish.network.build_vggish`; its weights are read as they are now.
    hop_frames : int
        Frames from one window to the next. Multiples of 4 up to 64 share; the windows of other
        hops are computed one by one, with Winograd's convolutions.
    batch_size : int
        Windows in a chunk.
    precision : str
        ``"float32"``, or ``"float64"``, which only tests need: it tells errors from rounding.

    Returns
    -------
    callable
        From the frames of a chunk, (hop_frames (batch_size - 1) + 96, 64), to the embeddings of
        its windows, float32 (batch_size, 128).
    """
    dtype = tf.as_dtype(precision)
    weights = {
        name: [tf.cast(variable.value, dtype) for variable in model.get_layer(name).weights]
        for block in (*CONV_BLOCKS, DENSE_LAYERS)
        for name, _ in block
    }

    def convolutions(
        names: tuple[str, ...], tiles: dict[str, tuple[int, int]]
    ) -> dict[str, Convolution]:
        return {
            name: winograd(*weights[name], tile=tiles[name])
            if name in tiles
            else direct(*weights[name])
            for name in names
        }

    if can_share(hop_frames):
        shared, edges = (convolutions(FIRST, tiles) for tiles in (SHARED_TILES, EDGE_TILES))
        alone = convolutions(LAST, WINDOW_TILES)
    else:
        alone = convolutions(FIRST + LAST, WINDOW_TILES)

    # XLA makes one loop of each transform, where TensorFlow would write every sum to memory; and
    # it multiplies at the full speed of the processor, whichever library TensorFlow was told to use
    @tf.function(
        input_signature=[
            tf.TensorSpec((hop_frames * (batch_size - 1) + WINDOW_FRAMES, MEL_BANDS), tf.float32)
        ],
        jit_compile=True,
    )
    def network(frames: tf.Tensor) -> tf.Tensor:
        frames = tf.cast(frames, dtype)
        if can_share(hop_frames):
            signal = _shared_blocks(shared, edges, frames, hop_frames // 4, batch_size)
        else:
            signal = _separate_blocks(alone, frames, hop_frames, batch_size)
        for name in LAST:
            signal = alone[name](signal, pad_rows=True)
        signal = tf.reshape(_pool(signal), (batch_size, -1))
        for name, _ in DENSE_LAYERS:
            kernel, bias = weights[name]
            signal = tf.nn.bias_add(tf.matmul(signal, kernel), bias)
            signal = signal if name == "fc2" else tf.nn.relu(signal)
        return tf.cast(signal, tf.float32)

    return lambda frames: network(tf.constant(frames)).numpy()


def _shared_blocks(
    shared: dict[str, Convolution],
    edges: dict[str, Convolution],
    frames: tf.Tensor,
    step: int,
    count: int,
) -> tf.Tensor:
    """Compute conv1 to the third pooling, shared; windows are ``step`` rows of conv3 apart.

    Returns
    -------
    tf.Tensor [shape=(count, 12, 8, 256)]
    """

    def rows(stream: tf.Tensor, step: int, wanted: list[int]) -> tf.Tensor:
        """Take rows of each window, counted from its own first row, out of the stream."""
        indices = np.arange(count)[:, None] * step + np.array(wanted)
        return tf.gather(stream[0], indices.astype(np.int32))

    def again(name: str, first: list[tf.Tensor], last: list[tf.Tensor]) -> list[tf.Tensor]:
        """Convolve each window's first rows under a row of zeros, its last rows over one."""
        zeros = tf.zeros_like(first[0][:, :1])
        both = [tf.concat([zeros, *first], axis=1), tf.concat([*last, zeros], axis=1)]
        return tf.split(edges[name](tf.concat(both, axis=0)), 2)

    # every row once, over the whole chunk
    log_mel = frames[None, :, :, None]
    pool1 = _pool(shared["conv1"](log_mel, pad_rows=True))
    pool2 = _pool(shared["conv2"](pool1, pad_rows=True))
    conv3_1 = shared["conv3_1"](pool2, pad_rows=True)
    conv3_2 = shared["conv3_2"](conv3_1, pad_rows=True)

    # the rows that see a window's zero padding, and so differ: from the edge inwards, each layer
    # needs the layer before's rows again, and one or two shared ones behind them
    first, last = again(
        "conv1", [rows(log_mel, 4 * step, [0, 1, 2])], [rows(log_mel, 4 * step, [93, 94, 95])]
    )
    first, last = again(
        "conv2",
        [_pool(first), rows(pool1, 2 * step, [1, 2])],
        [rows(pool1, 2 * step, [45, 46]), _pool(last)],
    )
    first, last = again(
        "conv3_1",
        [_pool(first), rows(pool2, step, [1, 2])],
        [rows(pool2, step, [21, 22]), _pool(last)],
    )
    first, last = again(
        "conv3_2",
        [first, rows(conv3_1, step, [2, 3])],
        [rows(conv3_1, step, [20, 21]), last],
    )

    # the third pooling: bands first, then pairs of rows, starting at every row for all windows
    bands = _pool(conv3_2, rows=1)
    first, last = _pool(first, rows=1), _pool(last, rows=1)
    pairs = tf.maximum(bands[:, :-1], bands[:, 1:])
    return tf.concat(
        [
            tf.maximum(first[:, 0:1], first[:, 1:2]),
            tf.maximum(first[:, 2:3], rows(bands, step, [3])),
            rows(pairs, step, list(range(4, 20, 2))),
            tf.maximum(rows(bands, step, [20]), last[:, 0:1]),
            tf.maximum(last[:, 1:2], last[:, 2:3]),
        ],
        axis=1,
    )


def _separate_blocks(
    layers: dict[str, Convolution], frames: tf.Tensor, hop_frames: int, count: int
) -> tf.Tensor:
    """Compute conv1 to the third pooling for each window by itself."""
    indices = np.arange(count)[:, None] * hop_frames + np.arange(WINDOW_FRAMES)
    signal = tf.gather(frames, indices.astype(np.int32))[..., None]
    for block in CONV_BLOCKS[:3]:
        for name, _ in block:
            signal = layers[name](signal, pad_rows=True)
        signal = _pool(signal)
    return signal


def _pool(signal: tf.Tensor, *, rows: int = 2) -> tf.Tensor:
    """Take the maximum over 2 bands and some rows."""
    return tf.nn.max_pool2d(signal, (rows, 2), (rows, 2), "VALID")


def direct(kernel: tf.Tensor, bias: tf.Tensor) -> Convolution:
    """Return a 3 x 3 convolution with ReLU, computed the direct way."""

    def convolve(signal: tf.Tensor, *, pad_rows: bool = False) -> tf.Tensor:
        row = int(pad_rows)
        result = tf.nn.conv2d(signal, kernel, 1, [[0, 0], [row, row], [1, 1], [0, 0]])
        return tf.nn.relu(tf.nn.bias_add(result, bias))

    return convolve


def winograd(kernel: tf.Tensor, bias: tf.Tensor, *, tile: tuple[int, int]) -> Convolution:
    """Return a 3 x 3 convolution with ReLU, computed Winograd's way.

    Parameters
    ----------
    kernel : tf.Tensor [shape=(3, 3, channels in, channels out)]
        The weights.
    bias : tf.Tensor [shape=(channels out,)]
        What is added before the ReLU.
    tile : tuple of int
        Outputs computed together, in rows and in bands. The signal must have a multiple of its
        bands; rows are filled up.
    """
    tile_rows, tile_bands = tile
    row_input, row_kernel, row_output = winograd_matrices(tile_rows)
    band_input, band_kernel, band_output = winograd_matrices(tile_bands)
    points = tile_rows + 2, tile_bands + 2
    channels_in, channels_out = kernel.shape[2:]
    exact = kernel.numpy().astype(np.float64)
    transformed = tf.stack(
        [
            tf.constant(np.tensordot(np.outer(of_row, of_band), exact, axes=2), kernel.dtype)
            for of_band in band_kernel
            for of_row in row_kernel
        ]
    )

    def evaluate(signal: tf.Tensor) -> tf.Tensor:
        """Cut into overlapping tiles, and evaluate them: (points, tiles, channels in)."""
        last_row, last_band = signal.shape[1] - points[0] + 1, signal.shape[2] + 2 - points[1] + 1
        signal = tf.pad(signal, [[0, 0], [0, 0], [1, 1], [0, 0]])
        parts = [signal[:, i : i + last_row : tile_rows] for i in range(points[0])]
        signal = tf.stack(_combine(row_input, parts))
        parts = [signal[:, :, :, j : j + last_band : tile_bands] for j in range(points[1])]
        signal = tf.stack(_combine(band_input, parts))
        return tf.reshape(signal, (points[1] * points[0], -1, channels_in))

    def interpolate(products: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
        """Go back from (points, tiles, channels out) to (n, rows, bands, channels out)."""
        count, down, across = shape
        products = tf.reshape(products, (points[1], points[0], *shape, channels_out))
        products = tf.stack(_combine(band_output, tf.unstack(products)), axis=4)
        products = tf.stack(_combine(row_output, tf.unstack(products)), axis=2)
        result = tf.reshape(products, (count, down * tile_rows, across * tile_bands, channels_out))
        return tf.nn.relu(result + bias)

    def convolve(signal: tf.Tensor, *, pad_rows: bool = False) -> tf.Tensor:
        height = signal.shape[1] if pad_rows else signal.shape[1] - 2
        filling = -height % tile_rows
        signal = tf.pad(signal, [[0, 0], [int(pad_rows), int(pad_rows) + filling], [0, 0], [0, 0]])
        shape = (
            signal.shape[0],
            (height + filling) // tile_rows,
            signal.shape[2] // tile_bands,
        )
        return interpolate(tf.matmul(evaluate(signal), transformed), shape)[:, :height]

    return convolve


def winograd_matrices(outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Winograd's transforms for a number of outputs of a kernel of 3.

    With ``n = outputs + 2`` inputs, ``output @ ((kernel @ k) * (input @ x))`` is the correlation
    of x with k: evaluate both as polynomials at ``n - 1`` points and at infinity, multiply there,
    and, by transposition, interpolate (Toom and Cook's algorithm).

    Returns
    -------
    input : np.ndarray [shape=(n, n)]
        What evaluates a tile.
    kernel : np.ndarray [shape=(n, 3)]
        What evaluates a kernel.
    output : np.ndarray [shape=(outputs, n)]
        What makes outputs of the products.
    """
    points = [Fraction(point) for point in (0, 1, -1, 2, -2)[: outputs + 1]]

    def product_of(roots: list[Fraction]) -> list[Fraction]:
        """Return the coefficients of the polynomial with these roots, the constant first."""
        coefficients = [Fraction(1)]
        for root in roots:
            shifted = [Fraction(0), *coefficients]
            scaled = [-root * value for value in coefficients] + [Fraction(0)]
            coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
        return coefficients

    input_rows, kernel_rows, output_columns = [], [], []
    for i, point in enumerate(points):
        others = points[:i] + points[i + 1 :]
        norm = Fraction(1)
        for other in others:
            norm *= point - other
        input_rows.append([*product_of(others), Fraction(0)])
        kernel_rows.append([point**power / norm for power in range(3)])
        output_columns.append([point**power for power in range(outputs)])
    input_rows.append(product_of(points))
    kernel_rows.append([0, 0, 1])
    output_columns.append([0] * (outputs - 1) + [1])
    return (
        np.array(input_rows, float),
        np.array(kernel_rows, float),
        np.array(output_columns, float).T,
    )


def _combine(matrix: np.ndarray, parts: list[tf.Tensor]) -> list[tf.Tensor]:
    """Multiply a matrix of small numbers with a list of tensors, skipping its zeros."""
    combined = []
    for row in matrix:
        terms = [
            part if factor == 1 else -part if factor == -1 else part * float(factor)
            for factor, part in zip(row, parts, strict=True)
            if factor
        ]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        combined.append(total)
    return combined
