"""Which run VAL chooses."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from audioseg.smoothing import smooth
from audioseg.training.choice import (
    best_smoothed,
    clips_of,
    hearings,
    recordings_of,
    val_score,
    val_scores,
)
from audioseg.training.scores import frame_scores, macro_f1_error

CONFIG = {
    "hop_seconds": 0.12,
    "priors": [0.5, 0.5],
    "transitions": [[0.98, 0.02], [0.02, 0.98]],
}


def scores_by(val, probabilities, **clips):
    return val_scores(val, best_smoothed(val, probabilities, CONFIG), **clips)


def test_scores_are_of_what_segment_answers():
    rng = np.random.default_rng(0)
    label = np.repeat((rng.random(40) < 0.2).astype(int), 100)
    recording = np.repeat([0, 1, 2, 3], 1000)
    right = np.where(rng.random(len(label)) < 0.8, 0.9, 0.2)  # flickers: every fifth is wrong
    probabilities = np.where(np.arange(2) == label[:, None], right[:, None], 1 - right[:, None])
    val = SimpleNamespace(label=label, recording=recording, names=("a", "b", "c", "d"))
    each = clips_of(recording, step=8)
    scores = scores_by(val, probabilities, clips=each, alone=probabilities[each])
    frames = f1_score(label, probabilities.argmax(axis=1), average="macro")
    assert scores["val_smoothed_macro_f1"] > 0.95 > 0.85 > frames
    said, true = probabilities[::8].argmax(axis=1), label[::8]
    alike = 1 / np.bincount(true)[true]  # as many clips of one class as of the other
    clips = f1_score(true, said, average="macro", sample_weight=alike)
    assert scores["val_short_macro_f1"] == pytest.approx(clips)
    assert clips != pytest.approx(f1_score(true, said, average="macro"))
    assert 0 < scores["val_score_error"] < 0.1


def test_smoothing_has_the_weight_that_suits_the_network():
    rng = np.random.default_rng(1)
    label = np.repeat((rng.random(40) < 0.4).astype(int), 30)  # segments of 3.6 s
    right = np.where(rng.random(len(label)) < 0.8, 0.9, 0.2)
    probabilities = np.where(np.arange(2) == label[:, None], right[:, None], 1 - right[:, None])
    recording = np.zeros(len(label), int)
    val = SimpleNamespace(label=label, recording=recording, names=("a",))
    each = clips_of(recording, step=8)
    scores = scores_by(val, probabilities, clips=each, alone=probabilities[each])
    smoothed = [
        smooth(
            probabilities, "viterbi", hop_seconds=0.12, evidence=weight,
            transition=CONFIG["transitions"], priors=CONFIG["priors"],
        )
        for weight in (4, 2, 1, 0.5, 0.25)
    ]  # fmt: skip
    of_each = [f1_score(label, labels, average="macro") for labels in smoothed]
    assert scores["val_smoothed_macro_f1"] == pytest.approx(max(of_each))
    assert max(of_each) > of_each[2] + 0.01  # of 1, which smooth takes if nothing is said


def test_each_recording_has_a_clip_however_short_it_is():
    recording = np.repeat([0, 1, 2], [20, 3, 5])
    assert clips_of(recording, step=8).tolist() == [0, 8, 16, 20, 23]
    assert clips_of(recording[:0], step=8).tolist() == []


def test_the_pieces_of_a_recording_are_one_draw():
    """What is left out in the middle of a recording does not make two of it."""
    label = np.repeat([0, 1, 0, 1], 40)
    said = np.repeat([1, 1, 0, 1], 40)  # the first quarter is wrong
    probabilities = np.where(np.arange(2) == said[:, None], 0.9, 0.1)

    def error(names):
        val = SimpleNamespace(label=label, recording=np.repeat(range(4), 40), names=names)
        clips = clips_of(recordings_of(val), step=8)
        found = scores_by(val, probabilities, clips=clips, alone=probabilities[clips])
        return found["val_score_error"]

    confusions = [[[0, 40], [0, 40]], [[40, 0], [0, 40]]]  # of two recordings, of two pieces each
    assert error(("a", "a", "b", "b")) == pytest.approx(macro_f1_error([np.array(confusions)]))
    assert error(("a", "b", "c", "d")) != pytest.approx(macro_f1_error([np.array(confusions)]))


def test_the_error_of_recordings_that_are_all_alike_is_zero_and_grows_with_their_spread():
    def confusion(share):
        wrong = round(100 * (1 - share))
        return np.array([[100 - wrong, wrong], [wrong, 100 - wrong]])

    alike, apart = ([confusion(s) for s in shares] for shares in ([0.8] * 8, [0.6, 1.0] * 4))
    assert macro_f1_error([np.stack(alike)]) == 0
    # of a mean over 8 draws of 0.6 or 1.0; F1 of these confusions is the share itself
    assert macro_f1_error([np.stack(apart)]) == pytest.approx(0.2 / 8**0.5, rel=0.15)
    half = macro_f1_error([np.stack(alike), np.stack(apart)])
    assert half == pytest.approx(macro_f1_error([np.stack(apart)]) / 2)


def test_runs_from_before_these_scores_are_ranked_by_frames():
    assert val_score({"val_macro_f1": 0.9}) == 0.9
    assert val_score({"val_macro_f1": 0.9, "val_smoothed_macro_f1": 0.7}) == 0.7


def test_scores_ignore_what_is_not_scored():
    label = np.array([0, 1, -1, 1])
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])
    val = SimpleNamespace(label=label, recording=np.zeros(4, int), names=("a",))
    clips = np.arange(4)
    scores = scores_by(val, probabilities, clips=clips, alone=probabilities)
    assert scores["val_short_accuracy"] == 1
    assert frame_scores(label, probabilities.argmax(axis=1)).confusion.sum() == 3


def confusions(*shares):
    """Return the confusion of a recording for each share that is right."""
    return np.array([[[n, 100 - n], [100 - n, n]] for n in (round(100 * s) for s in shares)])


def test_a_run_hears_once_only_if_val_is_clearly_against_twice():
    once = confusions(0.8, 0.9, 0.7, 0.8)
    assert hearings(once, None) == 1
    assert hearings(once, once) == hearings(once, confusions(0.9, 0.9, 0.8, 0.9)) == 2
    # .02 lower on average: each time, or with a spread of .05 from recording to recording
    assert hearings(once, confusions(0.78, 0.88, 0.68, 0.78)) == 1
    assert hearings(once, confusions(0.85, 0.8, 0.75, 0.72)) == 2
    # by one and a third standard errors (.06 / 2 / 2), by four
    assert hearings(once, confusions(0.75, 0.91, 0.65, 0.81)) == 2
    assert hearings(once, confusions(0.69, 0.85, 0.59, 0.75)) == 1
    # not by the spread that the recordings have anyway
    assert hearings(once, confusions(0.7, 0.8, 0.6, 0.7)) == 1


def test_one_recording_has_no_spread():
    assert hearings(confusions(0.8), confusions(0.79)) == 1
    assert hearings(confusions(0.8), confusions(0.8)) == 2
