"""Smoothing: from probabilities frame by frame to labels that change as rarely as the world does.

A network that looks at one window at a time flickers. Three remedies, from plain to principled:
a median over time, a minimum duration, and the most likely path through a hidden Markov model
(Viterbi 1967; Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 77, 1989).

Conventions: probabilities are (n, classes), one recording, one row per frame, rows sum to 1;
labels are (n,) class numbers; times are in seconds.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from audioseg import SMOOTHINGS
from audioseg.errors import CourseError
from vggish.frontend import SAMPLE_RATE, WINDOW_SAMPLES

WINDOW_SECONDS = WINDOW_SAMPLES / SAMPLE_RATE  # 0.975
# If a network knows nothing but the priors, its answers divided by them are nearly equal, and
# rounding would decide a whole recording. A slightly lower power keeps the frequent class ahead.
PRIOR_WEIGHT = 0.9
TINY = 1e-9  # keeps the logarithm of an impossible thing finite
EVIDENCE = (4, 2, 1, 0.5, 0.25)  # weights of a window, for VAL to choose from


class SmoothingError(CourseError):
    """Smoothing is impossible; one sentence with the value and what to do."""


def median(probabilities: np.ndarray, *, seconds: float, hop_seconds: float) -> np.ndarray:
    """Replace each probability by its median over the neighbouring frames.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, classes)]
        Of one recording.
    seconds : float
        The length of the neighbourhood, rounded to an odd number of frames.
    hop_seconds : float
        The time between frames.

    Returns
    -------
    np.ndarray [shape=(n, classes)]
        The medians, scaled to sum to 1 again.
    """
    frames = 2 * _frames(seconds / 2, hop_seconds) + 1
    if not len(probabilities):
        return probabilities
    filtered = median_filter(probabilities, size=(frames, 1), mode="nearest")
    return filtered / np.maximum(filtered.sum(axis=1, keepdims=True), TINY)


def minimum_duration(labels: np.ndarray, *, seconds: float, hop_seconds: float) -> np.ndarray:
    """Merge short stretches with the longer of their neighbours, the shortest first.

    Parameters
    ----------
    labels : np.ndarray [shape=(n,), dtype=int]
        Of one recording.
    seconds : float
        Shorter stretches go, unless the whole recording is shorter.
    hop_seconds : float
        The time between frames.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int]
        The labels; no stretch of equal labels is shorter than ``seconds``.
    """
    labels = np.asarray(labels)
    frames = _frames(seconds, hop_seconds, up=True)
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    classes, lengths = labels[starts], np.diff(starts, append=len(labels))
    while len(lengths) > 1 and lengths.min() < frames:
        shortest = lengths.argmin()
        before, _, after = np.pad(lengths, 1)[shortest : shortest + 3]
        classes[shortest] = classes[shortest - 1 if before >= after else shortest + 1]
        starts = np.flatnonzero(np.diff(classes, prepend=-1))
        classes, lengths = classes[starts], np.add.reduceat(lengths, starts)
    return np.repeat(classes, lengths)


def weights(
    count: int, *, hop_seconds: float, window_seconds: float = WINDOW_SECONDS
) -> np.ndarray:
    """Return how much each window of a recording counts as evidence.

    Overlapping windows hear the same audio, so they are not independent witnesses. The windows
    that hear a moment share it equally; a window's weight is the sum of its shares, divided by its
    length. A window without overlap counts 1; where eight windows overlap, each counts an eighth,
    but more near the ends, where fewer share. All weights together are the length of the audio in
    windows.

    Parameters
    ----------
    count : int
        How many windows there are.
    hop_seconds : float
        From one to the next.
    window_seconds : float
        Their length.

    Returns
    -------
    np.ndarray [shape=(count,)]
        Between 0 and 1.
    """
    if not count:
        return np.zeros(0)
    starts = np.arange(count) * hop_seconds
    ends = starts + window_seconds
    edges = np.sort(np.concatenate([starts, ends]))
    middles = (edges[:-1] + edges[1:]) / 2
    sharing = np.searchsorted(starts, middles) - np.searchsorted(ends, middles)
    shares = np.diff(edges) / np.maximum(sharing, 1)  # also of gaps, which no window covers
    until = np.concatenate([[0.0], np.cumsum(shares)])
    return (np.interp(ends, edges, until) - np.interp(starts, edges, until)) / window_seconds


def viterbi(
    probabilities: np.ndarray,
    transition: np.ndarray,
    priors: np.ndarray,
    *,
    evidence: float = 1.0,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Return the most likely sequence of classes.

    The network gives p(class | window). Divided by the class's prior, this is proportional to
    p(window | class), which a hidden Markov model needs (Bourlard & Morgan, 1994). The prior
    returns once, at the start, with the weight of the evidence, so a recording of one window gets
    the network's own answer. librosa's ``sequence.viterbi_discriminative`` finds the same path, and
    the tests compare with it; but its compiler takes seconds and 60 MB, while this takes 2 s for
    ten hours.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, classes)]
        Of one recording.
    transition : np.ndarray [shape=(classes, classes)]
        Row: the class now. Column: the class one frame later.
    priors : np.ndarray [shape=(classes,)]
        The share of each class that the network was trained under: in TRN, times its class weight.
    evidence : float
        The weight of an independent witness against the transition probabilities.
    weight : np.ndarray [shape=(n,)], optional
        Each frame's share of that weight, as :func:`weights` returns it; 1 by default.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int64]
        The labels.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    if not len(probabilities):
        return np.zeros(0, dtype=np.int64)
    if weight is None:
        weight = np.ones(len(probabilities))
    step = np.log(np.maximum(transition, TINY))
    prior = evidence * np.log(np.maximum(priors, TINY))
    heard = weight[:, None] * (evidence * np.log(np.maximum(probabilities, TINY)) - prior)
    best = prior + heard[0]
    came_from = np.zeros(heard.shape, dtype=np.int64)
    for i in range(1, len(heard)):
        ways = best[:, None] + step
        came_from[i] = ways.argmax(axis=0)
        best = ways.max(axis=0) + heard[i]
    path = np.empty(len(heard), dtype=np.int64)
    path[-1] = best.argmax()
    for i in range(len(heard) - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def smooth(
    probabilities: np.ndarray,
    method: str,
    *,
    hop_seconds: float,
    seconds: float = 1.5,
    evidence: float = 1.0,
    transition: np.ndarray | None = None,
    priors: np.ndarray | None = None,
) -> np.ndarray:
    """Turn the probabilities of one recording into labels, by one of ``audioseg.SMOOTHINGS``.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, classes)]
        Of one recording.
    method : str
        ``none`` takes the most probable class of each frame; ``median`` does so after
        :func:`median`, and ``minimum`` before :func:`minimum_duration`; ``viterbi`` is
        :func:`viterbi`, with each window weighted by :func:`weights`.
    hop_seconds : float
        The time between frames.
    seconds : float
        For ``median`` and ``minimum``.
    evidence, transition, priors
        For ``viterbi``. It takes the priors to the power of :data:`PRIOR_WEIGHT`, and never returns
        a class whose prior is 0: TRN does not say what that class sounds like.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int64]
        The labels.

    Raises
    ------
    SmoothingError
        If there is no such method, or it lacks an argument.
    """
    if method not in SMOOTHINGS:
        raise SmoothingError(
            f"There is no smoothing {method!r}: take one of {', '.join(SMOOTHINGS)}."
        )
    if method == "viterbi":
        if transition is None or priors is None:
            raise SmoothingError(
                "viterbi needs the transition probabilities and the priors of the run: give both."
            )
        priors = np.asarray(priors)
        known = np.flatnonzero(priors > 0)
        transition = np.asarray(transition)[np.ix_(known, known)]
        found = viterbi(
            np.asarray(probabilities)[:, known],
            transition / transition.sum(axis=1, keepdims=True),
            priors[known] ** PRIOR_WEIGHT,
            evidence=evidence,
            weight=weights(len(probabilities), hop_seconds=hop_seconds),
        )
        return known[found]
    if method == "median":
        probabilities = median(probabilities, seconds=seconds, hop_seconds=hop_seconds)
    labels = np.asarray(probabilities).argmax(axis=1)
    if method == "minimum":
        labels = minimum_duration(labels, seconds=seconds, hop_seconds=hop_seconds)
    return labels


def _frames(seconds: float, hop_seconds: float, *, up: bool = False) -> int:
    """Return how many frames a time is."""
    if not (seconds >= 0 and hop_seconds > 0):
        raise SmoothingError(
            f"{seconds:g} s at a hop of {hop_seconds:g} s is not a length of time: "
            "give 0 seconds or more, and a hop above 0."
        )
    frames = seconds / hop_seconds
    return int(np.ceil(frames - 1e-6)) if up else round(frames)
