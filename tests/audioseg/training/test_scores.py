import numpy as np
import pytest
from sklearn import metrics

from audioseg.training import scores


def test_frame_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    reference = rng.choice(4, 500, p=(0.6, 0.2, 0.1, 0.1))
    estimate = np.where(rng.random(500) < 0.7, reference, rng.integers(0, 4, 500))
    ours = scores.frame_scores(reference, estimate)
    assert ours.accuracy == pytest.approx(metrics.accuracy_score(reference, estimate))
    assert ours.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(reference, estimate)
    )
    assert ours.macro_f1 == pytest.approx(metrics.f1_score(reference, estimate, average="macro"))
    assert ours.f1 == pytest.approx(metrics.f1_score(reference, estimate, average=None))
    assert ours.recall == pytest.approx(metrics.recall_score(reference, estimate, average=None))
    assert ours.precision == pytest.approx(
        metrics.precision_score(reference, estimate, average=None)
    )
    assert (ours.confusion == metrics.confusion_matrix(reference, estimate)).all()


def test_a_class_that_does_not_occur_does_not_count():
    ours = scores.frame_scores(np.array([0, 0, 1]), np.array([0, 0, 1]))
    assert ours.macro_f1 == ours.balanced_accuracy == 1.0
    more = scores.frame_scores(np.array([0, 0, 1]), np.array([0, 0, 1]), classes=4)
    assert more.macro_f1 == more.balanced_accuracy == 1.0
    assert np.isnan(more.f1[2:]).all()


def test_always_speech_has_a_quarter_of_balanced_accuracy():
    reference = np.repeat([0, 1, 2, 3], [687, 120, 97, 96])
    ours = scores.frame_scores(reference, np.zeros(1000, dtype=int))
    assert (ours.accuracy, ours.balanced_accuracy) == (0.687, 0.25)


@pytest.mark.parametrize(
    ("reference", "estimate", "part"),
    [([0, 1], [0], "one label per frame"), ([0, 4], [0, 1], "from 0 to 4"), ([0], [-1], "from -1")],
)
def test_labels_that_do_not_fit_are_refused(reference, estimate, part):
    with pytest.raises(scores.ScoreError, match=part):
        scores.frame_scores(np.array(reference), np.array(estimate), classes=4)


@pytest.mark.filterwarnings("error")
def test_nothing_to_score_is_nan():
    nothing = scores.frame_scores(np.zeros(0, int), np.zeros(0, int))
    assert np.isnan([nothing.accuracy, nothing.balanced_accuracy, nothing.macro_f1]).all()
    assert np.isnan([nothing.f1, nothing.recall, nothing.precision]).all()
    assert nothing.confusion.sum() == 0
