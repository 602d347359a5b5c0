from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from librosa.sequence import viterbi_discriminative

from audioseg import SMOOTHINGS, smoothing
from audioseg.labels import CLASSES
from audioseg.training.runs import transitions

HOP = 0.12


def one_hot(labels, sure=0.9):
    answer = np.full((len(labels), len(CLASSES)), (1 - sure) / (len(CLASSES) - 1))
    answer[np.arange(len(labels)), labels] = sure
    return answer


FLICKER = np.array([0] * 20 + [1] + [0] * 20 + [1] * 20)
STEADY = np.array([0] * 41 + [1] * 20)
SWITCH = transitions(STEADY, np.zeros(61, dtype=int), classes=4)


@pytest.mark.parametrize("method", ["median", "minimum", "viterbi"])
def test_smoothing_removes_a_flicker_and_keeps_a_change(method):
    smooth = smoothing.smooth(
        one_hot(FLICKER),
        method,
        hop_seconds=HOP,
        seconds=0.6,
        transition=SWITCH,
        priors=np.full(4, 0.25),
    )
    assert (smooth == STEADY).all()


def test_no_smoothing_takes_the_most_probable():
    assert (smoothing.smooth(one_hot(FLICKER), "none", hop_seconds=HOP) == FLICKER).all()


def test_viterbi_finds_the_best_of_all_paths():
    rng = np.random.default_rng(1)
    answer = rng.dirichlet(np.ones(3), 6)
    switch, priors = rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(3))

    def log_probability(path):
        heard = np.log(answer[np.arange(6), path] / priors[list(path)]).sum()
        return heard + np.log(priors[path[0]]) + np.log(switch[path[:-1], path[1:]]).sum()

    every = [np.array(path) for path in np.ndindex(*[3] * 6)]
    best = max(every, key=log_probability)
    assert (smoothing.viterbi(answer, switch, priors) == best).all()


@settings(deadline=None)  # librosa compiles at its first call
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([1.0, 0.125, 0.03]))
def test_viterbi_finds_librosa_s_path(seed, n, evidence):
    rng = np.random.default_rng(seed)
    answer = rng.dirichlet(np.full(4, 0.3), n)
    switch = rng.dirichlet(np.ones(4), 4) + np.eye(4)
    switch /= switch.sum(axis=1, keepdims=True)
    priors = rng.dirichlet(np.ones(4))

    def weakened(shares):
        powers = np.maximum(shares, smoothing.TINY) ** evidence
        return powers / powers.sum(axis=-1, keepdims=True)

    theirs = viterbi_discriminative(
        weakened(answer).T, switch, p_state=weakened(priors), p_init=weakened(priors)
    )
    assert (smoothing.viterbi(answer, switch, priors, evidence=evidence) == theirs).all()


@given(st.integers(1, 60), st.floats(0.05, 3))
def test_windows_count_together_what_the_audio_is_long(count, hop):
    weight = smoothing.weights(count, hop_seconds=hop)
    heard = (count - 1) * min(hop, smoothing.WINDOW_SECONDS) + smoothing.WINDOW_SECONDS
    assert weight.sum() == pytest.approx(heard / smoothing.WINDOW_SECONDS)
    assert (weight > 0).all() and (weight < 1 + 1e-9).all()
    assert weight == pytest.approx(weight[::-1])


def test_a_window_counts_what_its_overlap_leaves_it():
    assert smoothing.weights(1, hop_seconds=HOP) == pytest.approx([1])
    assert smoothing.weights(3, hop_seconds=2.0) == pytest.approx([1, 1, 1])  # none overlaps
    half = smoothing.weights(4, hop_seconds=0.5, window_seconds=1.0)
    assert half == pytest.approx([0.75, 0.5, 0.5, 0.75])
    assert smoothing.weights(40, hop_seconds=HOP)[20] == pytest.approx(HOP / 0.975)
    assert not len(smoothing.weights(0, hop_seconds=HOP))


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 1, 0.25]))
def test_a_recording_of_one_window_gets_what_the_network_says(seed, evidence):
    rng = np.random.default_rng(seed)
    answer, priors = rng.dirichlet(np.full(4, 0.3), 1), np.array([0.97, 0.01, 0.01, 0.01])
    labels = smoothing.smooth(
        answer, "viterbi", hop_seconds=HOP, evidence=evidence, transition=SWITCH, priors=priors
    )
    assert labels.tolist() == [answer[0].argmax()]


def test_viterbi_finds_no_class_that_trn_lacks():
    """Divided by a prior of 0, the faintest probability would outweigh all others."""
    labels = np.repeat([0, 1, 0], 30)
    answer = np.where(np.arange(3) == labels[:, None], 0.89, 0.1)
    answer[:, 2] = 0.01
    switch = transitions(labels, np.zeros(90, dtype=int), classes=3)
    how = {"hop_seconds": HOP, "transition": switch}
    found = smoothing.smooth(answer, "viterbi", priors=[0.6, 0.4, 0], **how)
    assert found.tolist() == labels.tolist()
    first = smoothing.smooth(answer[:, ::-1], "viterbi", priors=[0, 0.4, 0.6], **how)
    assert set(first.tolist()) == {1, 2}  # the numbers of the classes stay


@given(st.lists(st.integers(0, 3), max_size=80), st.integers(0, 12))
def test_minimum_duration_leaves_nothing_shorter(labels, frames):
    smooth = smoothing.minimum_duration(
        np.array(labels, dtype=int), seconds=frames * HOP, hop_seconds=HOP
    )
    lengths = [len(list(group)) for _, group in groupby(smooth.tolist())]
    assert len(smooth) == len(labels)
    assert set(smooth.tolist()) <= set(labels)
    assert len(lengths) <= 1 or min(lengths) >= frames


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("method", SMOOTHINGS)
def test_short_recordings_are_smoothed_too(method, n):
    labels = smoothing.smooth(
        one_hot(FLICKER[:n]), method, hop_seconds=HOP, transition=SWITCH, priors=np.full(4, 0.25)
    )
    assert labels.tolist() == [0] * n


def test_smoothing_errors():
    with pytest.raises(smoothing.SmoothingError, match="take one of none, median"):
        smoothing.smooth(one_hot(FLICKER), "mean", hop_seconds=HOP)
    with pytest.raises(smoothing.SmoothingError, match="viterbi needs"):
        smoothing.smooth(one_hot(FLICKER), "viterbi", hop_seconds=HOP)
    with pytest.raises(smoothing.SmoothingError, match="not a length of time"):
        smoothing.median(one_hot(FLICKER), seconds=-1, hop_seconds=HOP)
