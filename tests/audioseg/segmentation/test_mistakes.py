"""Passages on which a run is sure and wrong."""

import numpy as np
import pytest

from audioseg.segmentation import mistakes

HOP = 0.12


def probabilities_of(first, second, lead, count, classes=3):
    """Return frames that put ``lead`` between two classes, and nothing on the others."""
    rows = np.zeros((count, classes))
    rows[:, first], rows[:, second] = (1 + lead) / 2, (1 - lead) / 2
    return rows


@pytest.fixture
def found():
    # (recording, reference, estimate, lead of the first choice, frames)
    parts = [
        (0, 0, 0, 1.0, 20),
        (0, 0, 1, 0.9, 10),
        (0, 0, 1, 0.2, 8),  # joins the one before
        (0, 1, 1, 0.1, 20),
        (1, 1, 1, 1.0, 5),
        (1, 1, 2, 0.8, 10),
        (1, -1, 2, 1.0, 10),  # ignored
        (1, 2, 0, 0.99, 4),  # too short to count
        (1, 2, 0, 0.99, 5),
    ]
    rows, estimate, reference, recording = [], [], [], []
    for number, label, said, lead, count in parts:
        rows.append(probabilities_of(said, (said + 1) % 3 if label == said else label, lead, count))
        estimate += [said] * count
        reference += [label] * count
        recording += [number] * count
    return mistakes.passages(
        np.concatenate(rows),
        np.array(estimate),
        np.array(reference),
        np.array(recording),
        hop_seconds=HOP,
    )


def test_passages_split_where_recording_reference_or_estimate_changes(found):
    assert [(p.recording, *p.kind) for p in found] == [
        (0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 1, 2), (1, 2, 0),
    ]  # fmt: skip


def test_times_are_those_of_the_frames_in_their_recording(found):
    assert found[1].start == pytest.approx(0.4875 + 19.5 * HOP)
    assert found[1].end == pytest.approx(0.4875 + 37.5 * HOP)
    assert found[3].start == pytest.approx(0.4875 - 0.5 * HOP)
    assert found[5].start == pytest.approx(0.4875 + 24.5 * HOP)


def test_probabilities_are_means(found):
    assert found[1].of_estimate == pytest.approx((10 * 0.95 + 8 * 0.6) / 18)
    assert found[1].of_estimate + found[1].of_reference == pytest.approx(1)


def test_the_surest_mistakes_come_first(found):
    assert [p.kind for p in mistakes.sure_and_wrong(found)] == [(2, 0), (1, 2), (0, 1)]
    assert [p.kind for p in mistakes.sure_and_wrong(found, seconds=1.1)] == [(1, 2), (0, 1)]
    assert [p.kind for p in mistakes.sure_and_wrong(found, count=2)] == [(2, 0), (1, 2)]


def test_no_kind_takes_all_places(found):
    twice = [p for p in found for _ in range(4)]
    kinds = [p.kind for p in mistakes.sure_and_wrong(twice, of_a_kind=2)]
    assert kinds == [(2, 0)] * 2 + [(1, 2)] * 2 + [(0, 1)] * 2


def test_the_least_sure_may_be_right(found):
    assert [p.kind for p in mistakes.least_sure(found, count=2)] == [(1, 1), (0, 1)]


def test_no_frames_have_no_passages():
    none = np.zeros(0, dtype=int)
    assert mistakes.passages(np.zeros((0, 3)), none, none, none, hop_seconds=HOP) == []
