"""Segment a recording with a trained run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import feat_ext
from audioseg.errors import CourseError
from audioseg.labels import COURSE, Classes, Segment, segments_from_frames
from audioseg.smoothing import WINDOW_SECONDS, smooth

if TYPE_CHECKING:  # importing these takes seconds
    from audioseg.training.runs import Run
    from vggish.embedding import Embedding


# notes on a recording, in the terminal and on its page
CANCELLED = "its channels cancel each other (opposite phase): the louder one was taken"
TOO_SHORT = (
    f"it is shorter than a window ({WINDOW_SECONDS:g} s), which its mirror image fills: "
    "do not rely on the answer"
)


class SegmentationError(CourseError):
    """A recording cannot be segmented; one sentence says what to do."""


class Segmentation(NamedTuple):
    """The segments of a recording.

    Attributes
    ----------
    name : str
        The recording.
    seconds : float
        Its length.
    hop_seconds : float
        From one frame to the next.
    probabilities : np.ndarray [shape=(n, classes)]
        Of each frame, by the network; the mean of its hearings.
    labels : np.ndarray [shape=(n,)]
        The class of each frame, smoothed.
    track : list of Segment
        The segments; they cover the recording without gaps.
    classes : Classes
        Those of the run.
    broken : str
        If the recording breaks off, a sentence that says where; all else then describes what
        comes before.
    cancelled : bool
        Whether its channels cancel each other somewhere; the louder one is taken there.
    padded : bool
        Whether it is shorter than one window, which its mirror image then fills.
    """

    name: str
    seconds: float
    hop_seconds: float
    probabilities: np.ndarray
    labels: np.ndarray
    track: list[Segment]
    classes: Classes = COURSE
    broken: str = ""
    cancelled: bool = False
    padded: bool = False


def embedding_for(run: Run, weights: str | os.PathLike | None = None) -> Embedding:
    """Load the embedding that a run was trained on.

    Parameters
    ----------
    run : Run
        As :func:`audioseg.training.runs.load` returns it.
    weights : str or PathLike, optional
        The embedding; by default the one that the run names. A run on your own checkpoint needs it.

    Returns
    -------
    Embedding

    Raises
    ------
    SegmentationError
        If it is another embedding: its numbers would mean nothing to the run's network.
    """
    from vggish.embedding import load_embedding

    embedding = load_embedding(weights or run.config["weights"])
    expected = run.config["weights_sha256"]
    if embedding.sha256 != expected:
        raise SegmentationError(
            f"the run {run.name} was trained on the embedding {run.config['weights']} "
            f"({expected[:12]}), but {weights or embedding.name} is {embedding.sha256[:12]}: name "
            "the right one with --weights, or train on the records that 02 writes now."
        )
    return embedding


def track_of(
    probabilities: np.ndarray,
    config: Mapping[str, Any],
    duration: float,
    *,
    method: str,
    **options: float,
) -> tuple[np.ndarray, list[Segment]]:
    """Smooth the probabilities of one recording, and turn them into a track.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, classes)]
        Of each frame.
    config : mapping
        The run's ``config.json``: for the classes, the hop, the priors and the transition
        probabilities.
    duration : float
        The recording's length in seconds.
    method, **options
        See :func:`audioseg.smoothing.smooth`.

    Returns
    -------
    tuple of (np.ndarray [shape=(n,)], list of Segment)
        The class of each frame, and the segments, which cover the recording without gaps.
    """
    hop_seconds = config["hop_seconds"]
    labels = smooth(
        probabilities,
        method,
        hop_seconds=hop_seconds,
        transition=config["transitions"],
        priors=config["priors"],
        **options,
    )
    first_center = feat_ext.FIRST_CENTER_SECONDS
    return labels, segments_from_frames(
        labels,
        hop_seconds=hop_seconds,
        first_center=first_center,
        classes=config["classes"],
        duration=duration,
    )


def segment(
    path: str | os.PathLike,
    run: Run,
    embedding: Embedding,
    *,
    method: str = "viterbi",
    progress: Callable[[float], None] = lambda seconds: None,
    **options: float,
) -> Segmentation:
    """Segment a recording.

    The audio is read, embedded and released block by block; 10 MB an hour stay. A recording that is
    damaged or breaks off is segmented as far as it can be read. A recording is heard twice: as it
    is, and a third faster (:mod:`audioseg.features.faster`). The probabilities are the mean of
    both. What is shorter than a window holds too little for that, and some runs hear once
    (:func:`audioseg.training.choice.hearings`).

    Parameters
    ----------
    path : str or PathLike
        Audio of any common format.
    run : Run
        As :func:`audioseg.training.runs.load` returns it.
    embedding : Embedding
        As :func:`embedding_for` returns it.
    method : str
        How to smooth; see :func:`audioseg.smoothing.smooth`.
    progress : callable
        Called with the seconds of audio read since the last call.
    **options
        ``seconds`` or ``evidence``, for :func:`audioseg.smoothing.smooth`.

    Returns
    -------
    Segmentation

    Raises
    ------
    audio.AudioError
        If nothing of the recording can be read.
    """
    from audioseg import audio
    from audioseg.features.faster import cost, embed_faster, spread
    from audioseg.training.context import probabilities

    hop_seconds = run.config["hop_seconds"]
    findings = audio.Findings()
    blocks = audio.read_16k_blocks(path, findings=findings)
    hop_frames = feat_ext.hop_frames_of(hop_seconds)
    stream = embedding.stream(blocks, hop_frames)
    as_trained = (lambda e: e) if run.config["input"] == "embedding" else embedding.quantize
    twice = run.config["hearings"] == 2
    share = 1 / (1 + cost(hop_seconds)) if twice else 1  # of the work, for the first hearing
    parts, samples = [], 0
    for chunk in stream:
        parts.append(as_trained(chunk))
        progress((stream.samples - samples) / audio.SAMPLE_RATE * share)
        samples = stream.samples
    seconds = stream.samples / audio.SAMPLE_RATE
    answer = probabilities(run.network, np.concatenate(parts))
    if twice and not stream.padded:
        faster = embed_faster(
            _told(audio.read_16k_blocks(path, findings=audio.Findings()), progress, 1 - share),
            embedding,
            hop_seconds=hop_seconds,
            form=as_trained,
        )
        faster = spread(faster, len(answer), hop_seconds=hop_seconds)
        answer = (answer + probabilities(run.network, faster)) / 2
    labels, track = track_of(answer, run.config, seconds, method=method, **options)
    broken = ""
    if findings.broken:
        broken = f"{str(findings.broken).rstrip('.')}; the segments end at {seconds:.2f} s."
    return Segmentation(
        Path(path).stem,
        seconds,
        hop_seconds,
        answer,
        labels,
        track,
        Classes.of(run.config),
        broken,
        findings.cancelled,
        stream.padded,
    )


def _told(
    blocks: Iterable[np.ndarray], progress: Callable[[float], None], share: float
) -> Iterator[np.ndarray]:
    """Pass on the blocks of a second hearing, and tell of the seconds."""
    for block in blocks:
        yield block
        progress(len(block) / feat_ext.SAMPLE_RATE * share)


def shares(track: Sequence[Segment], classes: Sequence[str]) -> dict[str, float]:
    """Return each class's share of the time."""
    whole = sum(s.end - s.start for s in track)
    return {
        name: sum(s.end - s.start for s in track if s.label == name) / whole for name in classes
    }
