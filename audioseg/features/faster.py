"""A second hearing: a recording embedded as if it were played a third faster.

A window of the second hearing holds 1.3 s of the recording in place of 0.975 s, and all of it
sounds higher. So a network that hears a recording twice gives two opinions, the second with more of
the recording in view. With the course's classes, their mean is right more often than the first
alone, most of all on recordings unlike those of the corpus; VAL decides for each run
(:func:`audioseg.training.choice.hearings`).

About every second window is enough, so the second hearing costs half of the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from feat_ext import FIRST_CENTER_SECONDS, hop_frames_of, window_times
from vggish.frontend import FRAME_HOP_SAMPLES, SAMPLE_RATE
from vggish.resample import resample_blocks

if TYPE_CHECKING:
    from vggish.embedding import Embedding

PLAYED, RECORDED = 4, 3  # so many seconds of the recording are played in so many
STEP = 2  # from one window of the second hearing to the next: so many hops of the recording
SHARED_FRAMES = 4  # windows share work if their hop is a multiple of so many (vggish.fast)


def embed_faster(
    blocks: Iterable[np.ndarray],
    embedding: Embedding,
    *,
    hop_seconds: float,
    form: Callable[[np.ndarray], np.ndarray] = lambda rows: rows,
) -> np.ndarray:
    """Embed a recording played a third faster.

    Parameters
    ----------
    blocks : iterable of np.ndarray [shape=(samples,)]
        The recording, as :meth:`vggish.embedding.Embedding.stream` takes it.
    embedding : Embedding
        As :func:`vggish.embedding.load_embedding` returns it.
    hop_seconds : float
        From one window of the recording to the next.
    form : callable
        What becomes of each chunk of embeddings, as ``embedding.quantize``.

    Returns
    -------
    np.ndarray [shape=(windows, 128)]
        About half as many as the recording has as it is; see :func:`spread`.

    Raises
    ------
    EmbeddingError
        If a block is not one channel of finite floats, or too few samples came to be played faster.
    """
    faster = resample_blocks(blocks, PLAYED, RECORDED)
    stream = embedding.stream(faster, _hop_frames(hop_seconds))
    return np.concatenate([form(chunk) for chunk in stream])


def spread(rows: np.ndarray, count: int, *, hop_seconds: float) -> np.ndarray:
    """Give each window of a recording its window of the second hearing.

    Parameters
    ----------
    rows : np.ndarray [shape=(windows, ...)]
        One for each window of the second hearing, as :func:`embed_faster` returns them.
    count : int
        How many windows the recording has as it is.
    hop_seconds : float
        From one window of the recording to the next.

    Returns
    -------
    np.ndarray [shape=(count, ...)]
        The rows whose centres are nearest; neighbours share them. At the edges of the recording,
        where the second hearing has no centre, its first or last one.
    """
    played = window_times(count, hop_seconds) * RECORDED / PLAYED
    step = _hop_frames(hop_seconds) * FRAME_HOP_SAMPLES / SAMPLE_RATE
    nearest = np.rint((played - FIRST_CENTER_SECONDS) / step).astype(int)
    return rows[np.clip(nearest, 0, len(rows) - 1)]


def cost(hop_seconds: float) -> float:
    """Return how many windows the second hearing has for one of the first."""
    return hop_frames_of(hop_seconds) * RECORDED / PLAYED / _hop_frames(hop_seconds)


def how_heard(hop_seconds: float) -> dict[str, float]:
    """Return what the second hearing depends on, for a data set's record of itself."""
    return {"speed": round(PLAYED / RECORDED, 4), "hop_frames": _hop_frames(hop_seconds)}


def _hop_frames(hop_seconds: float) -> int:
    """Return the hop of the second hearing, in frames of 10 ms as it is played."""
    least = STEP * hop_frames_of(hop_seconds) * RECORDED / PLAYED
    return SHARED_FRAMES * math.ceil(least / SHARED_FRAMES)
