import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from audioseg.labels import CLASSES, Segment
from audioseg.segmentation import scores


def tracks(*rows):
    return [[Segment(float(a), float(b), label) for a, b, label in row] for row in rows]


REFERENCE = tracks(
    [
        (0, 12.3, "speech"),
        (12.3, 20.1, "music"),
        (20.1, 26.0, "speech+music"),
        (26.0, 27.2, "noise"),
        (27.2, 41.9, "speech"),
        (41.9, 44.0, "noise"),
        (44.0, 60.0, "speech"),
    ],
    [(0, 5.5, "noise"), (5.5, 9.25, "speech"), (9.25, 30.0, "music"), (30.0, 33.0, "speech")],
)
ESTIMATE = tracks(
    [
        (0, 12.7, "speech"),
        (12.7, 19.8, "music"),
        (19.8, 25.2, "speech+music"),
        (25.2, 27.3, "noise"),
        (27.3, 33.0, "speech"),
        (33.0, 33.6, "speech+music"),
        (33.6, 42.8, "speech"),
        (42.8, 43.9, "noise"),
        (43.9, 60.0, "speech"),
    ],
    [
        (0, 5.1, "noise"),
        (5.1, 9.1, "speech"),
        (9.1, 15.0, "music"),
        (15.0, 15.9, "speech+music"),
        (15.9, 29.4, "music"),
        (29.4, 33.0, "speech"),
    ],
)
PAIRS = list(zip(REFERENCE, ESTIMATE, strict=True))

# of sed_eval 0.2.1, EventBasedMetrics(percentage_of_length=0.5, empty system: zero score)
EVENTS = {
    0.2: (3 / 13, 0.2, 3 / 11, [4 / 11, 0, 0, 1 / 3]),
    0.5: (6 / 13, 0.4, 6 / 11, [6 / 11, 0.4, 0.5, 1 / 3]),
    1.0: (9 / 13, 0.6, 9 / 11, [8 / 11, 0.4, 0.5, 1.0]),
}
# of sed_eval 0.2.1, SegmentBasedMetrics
SECONDS = {
    1.0: (
        0.9556650246305419,
        0.9326923076923077,
        0.9797979797979798,
        [0.9719626168224299, 0.983050847457627, 0.8, 0.9090909090909091],
    ),
    0.1: (
        0.9416800428036383,
        0.9391675560298826,
        0.944206008583691,
        [0.9644970414201183, 0.9584086799276672, 0.796875, 0.8620689655172413],
    ),
}


@pytest.mark.parametrize("collar", EVENTS)
def test_event_scores_are_sed_evals(collar):
    ours = scores.event_scores(PAIRS, collar=collar)
    f1, precision, recall, by_class = EVENTS[collar]
    assert ours[:3] == pytest.approx((f1, precision, recall))
    assert ours.by_class == pytest.approx(by_class)


@pytest.mark.parametrize("resolution", SECONDS)
def test_segment_scores_are_sed_evals(resolution):
    ours = scores.segment_scores(PAIRS, resolution=resolution)
    f1, precision, recall, by_class = SECONDS[resolution]
    assert ours[:3] == pytest.approx((f1, precision, recall))
    assert ours.by_class == pytest.approx(by_class)


def test_segment_scores_of_some_classes():
    both = scores.segment_scores(PAIRS, classes=("speech", "music"))
    assert both.by_class == pytest.approx(SECONDS[1.0][3][:2])


def test_each_event_is_paired_once():
    reference, estimate = tracks(
        [(0, 10, "speech"), (10, 12, "music")],
        [(0, 9.9, "speech"), (0.2, 10, "speech"), (10, 12, "music")],
    )
    ours = scores.event_scores([(reference, estimate)], collar=0.5)
    assert (ours.precision, ours.recall) == (pytest.approx(2 / 3), 1.0)


def test_pairs_are_as_many_as_can_be():
    # a greedy pairing gives 10.0 to 10.3 and leaves 10.6 alone
    ours = scores.boundary_scores([([10.0, 10.6], [10.3, 9.7])], collar=0.5)
    assert ours.f1 == 1.0


def test_nothing_to_score_is_nan():
    ours = scores.event_scores([([], [])], collar=0.5)
    assert np.isnan(ours.f1)
    assert np.isnan(scores.boundary_scores([([], [])], collar=0.5).recall)


quarters = st.integers(0, 120).map(lambda n: n / 4)  # times and distances are exact
spans = st.builds(
    lambda start, length, label: Segment(start, start + length, label),
    quarters,
    quarters.map(lambda length: length / 4 + 0.25),
    st.sampled_from(CLASSES),
)
some = st.lists(spans, max_size=12)


def most_pairs(allowed):
    if not allowed.any():
        return 0
    return np.sum(maximum_bipartite_matching(csr_array(allowed), perm_type="column") >= 0)


@given(st.lists(st.tuples(some, some), max_size=3), st.sampled_from([0.25, 0.5, 1.0]))
def test_pairs_are_those_of_the_definition(pairs, collar):
    """By scipy's matching, and with the collar itself still inside."""
    hits, boundary_hits, (ours, theirs) = 0, 0, np.zeros((2, 4), dtype=int)
    for reference, estimate in pairs:
        allowed = np.zeros((len(reference), len(estimate)), dtype=bool)
        near = np.zeros_like(allowed)
        for i, a in enumerate(reference):
            for j, b in enumerate(estimate):
                near[i, j] = abs(a.start - b.start) <= collar
                end = abs(a.end - b.end) <= max(collar, (a.end - a.start) / 2)
                allowed[i, j] = a.label == b.label and near[i, j] and end
        hits += most_pairs(allowed)
        boundary_hits += most_pairs(near)
        ours += [sum(s.label == name for s in reference) for name in CLASSES]
        theirs += [sum(s.label == name for s in estimate) for name in CLASSES]
    counts = ours.sum(), theirs.sum()
    starts = [tuple([s.start for s in track] for track in pair) for pair in pairs]
    for found, right in (
        (scores.event_scores(pairs, collar=collar), hits),
        (scores.boundary_scores(starts, collar=collar), boundary_hits),
    ):
        recall, precision = (right / count if count else np.nan for count in counts)
        f1 = 2 * right / sum(counts) if sum(counts) else np.nan
        assert found[:3] == pytest.approx((f1, precision, recall), nan_ok=True)


def test_whole_track_fills_and_joins():
    (track,) = tracks([(1, 2, "speech"), (2, 3, "speech"), (3, 4, "noise"), (5, 9, "music")])
    assert scores.whole_track(track, 8.0) == [
        Segment(0.0, 1.0, "noise"),
        Segment(1.0, 3.0, "speech"),
        Segment(3.0, 5.0, "noise"),
        Segment(5.0, 8.0, "music"),
    ]


def test_novelty_is_foote_s():
    rng = np.random.default_rng(1)
    rows, reach = rng.normal(0, 1, (40, 8)), 6
    side = (np.arange(-reach, reach) + 0.5) / reach
    checkerboard = np.sign(np.outer(side, side)) * np.exp(-2 * np.add.outer(side**2, side**2))
    centred = rows - rows.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    mirrored = np.pad(unit, ((reach, reach), (0, 0)), mode="symmetric")
    squares = (mirrored[i : i + 2 * reach] for i in range(40))
    curve = np.array([np.sum(square @ square.T * checkerboard) for square in squares])
    # sums of 8 x 12 x 12 products, each of float64's 1.1e-16, with a margin of ten
    error = 10 * 8 * 144 * np.finfo(float).eps / 2
    assert scores.novelty(rows, kernel_frames=reach) == pytest.approx(
        curve / curve.max(), rel=error, abs=error
    )


def test_distance_to_boundary():
    (track,) = tracks([(0, 2, "speech"), (2, 5, "music"), (5, 9, "noise")])
    assert scores.distance_to_boundary(track, [0.5, 2.0, 4.0]) == pytest.approx([1.5, 0.0, 1.0])
    assert np.isinf(scores.distance_to_boundary(track[:1], [1.0])).all()


def test_novelty_peaks_at_a_change():
    rng = np.random.default_rng(0)
    clouds = rng.normal(0, 1, (2, 16))
    rows = np.repeat(clouds, 60, axis=0) + rng.normal(0, 0.3, (120, 16))
    curve = scores.novelty(rows, kernel_frames=12)
    assert abs(int(curve.argmax()) - 60) <= 1
    assert curve[20:40].max() < 0.3
