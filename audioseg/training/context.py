"""What a network sees of a recording, and the probabilities that it returns.

A network of this course takes the embeddings of windows exactly as the records hold them, and
returns the probabilities of the classes. Its input shape says what it sees:

``(128,)``
    one window; it returns the class of that window;
``(K, 128)``
    K neighbouring windows (K odd); it returns the class of the one in the middle;
``(None, 128)``
    a recording of any length; it returns the class of each of its windows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audioseg.errors import CourseError

if TYPE_CHECKING:
    import keras

    from audioseg.training.runs import Run

EMBEDDING_SIZE = 128
EDGE_WINDOWS = 32  # a sequence is continued by four seconds of its first and last window
BLOCK_WINDOWS, MARGIN_WINDOWS = 4_096, 1_024  # of a long recording that are taken at once


class NetworkError(CourseError):
    """A network of another form than the course's; one sentence that says what to do."""


def neighbours(embedding: np.ndarray, recording: np.ndarray, *, reach: int) -> np.ndarray:
    """Return each window with its neighbours in the same recording.

    Parameters
    ----------
    embedding : np.ndarray [shape=(n, features)]
        The windows of any number of recordings, one after the other.
    recording : np.ndarray [shape=(n,), dtype=int]
        Which recording each is of.
    reach : int
        How many windows on each side. Beyond its ends, a recording repeats its first or last one.

    Returns
    -------
    np.ndarray [shape=(n, 2 * reach + 1, features)]
        In order of time, the window itself in the middle.
    """
    first = np.searchsorted(recording, recording, side="left")
    last = np.searchsorted(recording, recording, side="right") - 1
    steps = np.arange(len(embedding))[:, None] + np.arange(-reach, reach + 1)
    return embedding[np.clip(steps, first[:, None], last[:, None])]


def excerpts(
    values: np.ndarray, recording: np.ndarray, *, length: int, step: int | None = None
) -> np.ndarray:
    """Cut the windows of recordings into excerpts of one length.

    Parameters
    ----------
    values : np.ndarray [shape=(n, ...)]
        Embeddings or labels of any number of recordings, one after the other.
    recording : np.ndarray [shape=(n,), dtype=int]
        Which recording each is of.
    length : int
        Windows in an excerpt. A shorter recording repeats its first and last window.
    step : int, optional
        Windows from the start of one to the start of the next; ``length`` by default. The last
        excerpt of a recording ends with it, and may overlap the one before.

    Returns
    -------
    np.ndarray [shape=(excerpts, length, ...)]
    """
    rows = []
    edges = [0, *(np.flatnonzero(np.diff(recording)) + 1), len(recording)]
    for begin, end in pairwise(edges):
        starts = [*range(begin, end - length, step or length), end - length]
        if end - begin < length:
            starts = [begin - (length - (end - begin)) // 2]
        rows.append(np.clip(np.array(starts)[:, None] + np.arange(length), begin, end - 1))
    return values[np.concatenate(rows)]


def probabilities(network: keras.Model, embedding: np.ndarray) -> np.ndarray:
    """Return the probabilities of the classes for each window of one recording.

    Parameters
    ----------
    network : keras.Model
        Of one of the three input shapes above.
    embedding : np.ndarray [shape=(n, 128)]
        All windows of the recording, in order.

    Returns
    -------
    np.ndarray [shape=(n, classes), dtype=float32]
        Beyond its ends, a recording repeats its first and its last window.
    """
    return probabilities_of(network, embedding, np.zeros(len(embedding), dtype=int))


def probabilities_of(
    network: keras.Model, embedding: np.ndarray, recording: np.ndarray
) -> np.ndarray:
    """Return :func:`probabilities` of each recording, one after the other as they came."""
    shape = input_shape(network)
    if shape == (None, EMBEDDING_SIZE):
        return _of_sequences(network, embedding, recording)
    reach = 0 if len(shape) == 1 else shape[0] // 2
    first = np.searchsorted(recording, recording, side="left")[:, None]
    last = np.searchsorted(recording, recording, side="right")[:, None] - 1
    parts = [np.zeros((0, network.output_shape[-1]), dtype=np.float32)]
    for begin in range(0, len(embedding), BLOCK_WINDOWS):
        here = slice(begin, begin + BLOCK_WINDOWS)
        steps = np.arange(len(embedding))[here, None] + np.arange(-reach, reach + 1)
        block = embedding[np.clip(steps, first[here], last[here])].reshape(-1, *shape)
        parts.append(np.asarray(network(block.astype(np.float32), training=False)))
    return np.concatenate(parts)


def _of_sequences(network: keras.Model, embedding: np.ndarray, recording: np.ndarray) -> np.ndarray:
    """Return the probabilities from a network that sees recordings as a whole."""
    parts = np.split(embedding, np.flatnonzero(np.diff(recording)) + 1)
    lengths = np.array([len(part) for part in parts])
    answers = [np.zeros(0)] * len(parts)
    # one call for a short recording takes as long as for many: those of one length go together
    for length in set(lengths):
        same = np.flatnonzero(lengths == length)
        together = max(1, BLOCK_WINDOWS // (length + 2 * EDGE_WINDOWS))
        for some in np.split(same, range(together, len(same), together)):
            found = _of_one_length(network, np.stack([parts[i] for i in some]))
            for i, answer in zip(some, found, strict=True):
                answers[i] = answer
    return np.concatenate(answers)


def _of_one_length(network: keras.Model, embedding: np.ndarray) -> np.ndarray:
    """Return the probabilities for recordings of one length [shape=(recordings, n, 128)]."""
    count, n = embedding.shape[:2]
    parts = [np.zeros((count, 0, network.output_shape[-1]), dtype=np.float32)]
    # a long recording goes block by block, each with what is heard before and after it
    for begin in range(0, n, BLOCK_WINDOWS):
        left = max(-EDGE_WINDOWS, begin - MARGIN_WINDOWS)
        end = min(n, begin + BLOCK_WINDOWS)
        right = min(n + EDGE_WINDOWS, end + MARGIN_WINDOWS)
        block = embedding[:, np.clip(np.arange(left, right), 0, n - 1)]
        answer = np.asarray(network(block.astype(np.float32), training=False))
        parts.append(answer[:, begin - left : end - left])
    return np.concatenate(parts, axis=1)


def probabilities_as_segmented(run: Run, frames: Any) -> np.ndarray:
    """Return what a run says of recordings that it hears as often as ``audioseg segment`` lets it.

    Parameters
    ----------
    run : Run
        As :func:`audioseg.training.runs.load` returns it.
    frames : audioseg.features.dataset.Frames
        Of VAL or TST; without a second hearing, the first counts alone.

    Returns
    -------
    np.ndarray [shape=(n, classes), dtype=float32]
        The mean of what :func:`probabilities_of` returns for each hearing.
    """
    feature = run.config["input"]
    answer = probabilities_of(run.network, getattr(frames, feature), frames.recording)
    faster = getattr(frames, f"faster_{feature}")
    if run.config["hearings"] == 1 or faster is None:
        return answer
    return (answer + probabilities_of(run.network, faster, frames.recording)) / 2


def probabilities_alone(network: keras.Model, embedding: np.ndarray) -> np.ndarray:
    """Return what a network says of each window as if it were a whole recording.

    Parameters
    ----------
    network : keras.Model
        Of one of the three input shapes above.
    embedding : np.ndarray [shape=(n, 128)]
        Windows of any recordings.

    Returns
    -------
    np.ndarray [shape=(n, classes), dtype=float32]
        What :func:`probabilities` returns for each of them alone.
    """
    return probabilities_of(network, embedding, np.arange(len(embedding)))


def input_shape(network: keras.Model, classes: int | None = None) -> tuple[int | None, ...]:
    """Check the shapes of a network, and return that of its input without the batch."""
    shape = network.input_shape
    good = isinstance(shape, tuple) and shape[-1] == EMBEDDING_SIZE and len(shape) in (2, 3)
    if not good or (len(shape) == 3 and shape[1] is not None and shape[1] % 2 == 0):
        raise NetworkError(
            f"The network's input has the shape {shape}: a network takes (None, 128), "
            "(None, K, 128) with an odd K, or (None, None, 128)."
        )
    sizes = network.output_shape
    if classes is None:
        classes = sizes[-1]
    if sizes[-1] != classes or len(sizes) != (3 if len(shape) == 3 and not shape[1] else 2):
        raise NetworkError(
            f"The network's output has the shape {sizes} for an input of {shape}: a network "
            f"ends in a softmax over the {classes} classes."
        )
    return shape[1:]
