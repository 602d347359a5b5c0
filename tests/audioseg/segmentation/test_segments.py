import csv
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import write_recording
from sklearn import metrics
from stored_runs import saved

from audioseg.__main__ import main
from audioseg.errors import ArgumentError
from audioseg.labels import CLASSES, Segment, read_label_track, segments_from_frames
from audioseg.segmentation import scores, segments, smoothing
from audioseg.segmentation.command import find_recordings
from audioseg.show import pictures
from audioseg.training import context, runs
from vggish.embedding import load_embedding

HOP = 0.12


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


# -- scores


@pytest.mark.numeric
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
    assert (ours.confusion == metrics.confusion_matrix(reference, estimate)).all()


def test_a_class_that_does_not_occur_does_not_count():
    ours = scores.frame_scores(np.array([0, 0, 1]), np.array([0, 0, 1]))
    assert ours.macro_f1 == ours.balanced_accuracy == 1.0
    assert np.isnan(ours.f1[2:]).all()


def test_always_speech_has_a_quarter_of_balanced_accuracy():
    reference = np.repeat([0, 1, 2, 3], [687, 120, 97, 96])
    ours = scores.frame_scores(reference, np.zeros(1000, dtype=int))
    assert (ours.accuracy, ours.balanced_accuracy) == (0.687, 0.25)


@pytest.mark.parametrize(
    ("reference", "estimate", "part"),
    [([0, 1], [0], "one label a frame"), ([0, 4], [0, 1], "from 0 to 4"), ([0], [-1], "from -1")],
)
def test_labels_that_do_not_fit_are_refused(reference, estimate, part):
    with pytest.raises(scores.ScoreError, match=part):
        scores.frame_scores(np.array(reference), np.array(estimate))


@pytest.mark.numeric
@pytest.mark.parametrize("collar", EVENTS)
def test_event_scores_are_sed_evals(collar):
    ours = scores.event_scores(PAIRS, collar=collar)
    f1, precision, recall, by_class = EVENTS[collar]
    assert ours[:3] == pytest.approx((f1, precision, recall))
    assert ours.by_class == pytest.approx(by_class)


@pytest.mark.numeric
@pytest.mark.parametrize("resolution", SECONDS)
def test_segment_scores_are_sed_evals(resolution):
    ours = scores.segment_scores(PAIRS, resolution=resolution)
    f1, precision, recall, by_class = SECONDS[resolution]
    assert ours[:3] == pytest.approx((f1, precision, recall))
    assert ours.by_class == pytest.approx(by_class)


@pytest.mark.numeric
@pytest.mark.parametrize("seed", range(5))
def test_scores_are_sed_evals_where_it_is_installed(seed):
    sound_event = pytest.importorskip("sed_eval").sound_event
    containers = pytest.importorskip("dcase_util").containers
    rng = np.random.default_rng(seed)

    def listed(track):
        names = ("event_onset", "event_offset", "event_label")
        return containers.MetaDataContainer([dict(zip(names, s, strict=True)) for s in track])

    def drawn(seconds):
        edges = [0, *np.sort(rng.uniform(0, seconds, rng.integers(1, 30))), seconds]
        names = [CLASSES[i] for i in rng.integers(0, 4, len(edges) - 1)]
        rows = [Segment(a, b, c) for a, b, c in zip(edges, edges[1:], names, strict=False)]
        return scores.whole_track(rows, seconds)

    pairs = [(drawn(60.0), drawn(60.0)) for _ in range(3)]
    pairs += [(track, track) for track, _ in pairs[:1]]
    theirs = sound_event.EventBasedMetrics(
        list(CLASSES), t_collar=1.0, empty_system_output_handling="zero_score"
    )
    by_second = sound_event.SegmentBasedMetrics(list(CLASSES), time_resolution=1.0)
    for pair in pairs:
        theirs.evaluate(*map(listed, pair))
        by_second.evaluate(*map(listed, pair))
    ours = scores.event_scores(pairs, collar=1.0)
    assert ours.f1 == pytest.approx(theirs.overall_f_measure()["f_measure"])
    ours = scores.segment_scores(pairs)
    assert ours.f1 == pytest.approx(by_second.overall_f_measure()["f_measure"])


@pytest.mark.numeric
def test_segment_scores_of_some_classes():
    both = scores.segment_scores(PAIRS, classes=("speech", "music"))
    assert both.by_class == pytest.approx(SECONDS[1.0][3][:2])


@pytest.mark.numeric
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


def test_whole_track_fills_and_joins():
    (track,) = tracks([(1, 2, "speech"), (2, 3, "speech"), (3, 4, "noise"), (5, 9, "music")])
    assert scores.whole_track(track, 8.0) == [
        Segment(0.0, 1.0, "noise"),
        Segment(1.0, 3.0, "speech"),
        Segment(3.0, 5.0, "noise"),
        Segment(5.0, 8.0, "music"),
    ]


@pytest.mark.numeric
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


# -- smoothing


def one_hot(labels, sure=0.9):
    answer = np.full((len(labels), len(CLASSES)), (1 - sure) / (len(CLASSES) - 1))
    answer[np.arange(len(labels)), labels] = sure
    return answer


FLICKER = np.array([0] * 20 + [1] + [0] * 20 + [1] * 20)
STEADY = np.array([0] * 41 + [1] * 20)
SWITCH = runs.transitions(STEADY, np.zeros(61, dtype=int), classes=4)


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


@pytest.mark.numeric
def test_transitions_do_not_cross_recordings():
    matrix = runs.transitions(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), classes=2)
    assert matrix == pytest.approx(np.array([[0.75, 0.25], [0.25, 0.75]]))


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
@pytest.mark.parametrize("method", smoothing.METHODS)
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
    with pytest.raises(smoothing.SmoothingError, match="no length of time"):
        smoothing.median(one_hot(FLICKER), seconds=-1, hop_seconds=HOP)


# -- what a network is shown


def test_neighbours_stay_in_their_recording():
    values = np.arange(7)[:, None]
    recording = np.array([0, 0, 0, 0, 1, 1, 1])
    around = context.neighbours(values, recording, reach=2)[:, :, 0]
    assert around.tolist() == [
        [0, 0, 0, 1, 2],
        [0, 0, 1, 2, 3],
        [0, 1, 2, 3, 3],
        [1, 2, 3, 3, 3],
        [4, 4, 4, 5, 6],
        [4, 4, 5, 6, 6],
        [4, 5, 6, 6, 6],
    ]


def test_excerpts_cover_their_recordings():
    recording = np.repeat([0, 1, 2], [10, 3, 4])
    cut = context.excerpts(np.arange(17), recording, length=4)
    assert cut.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9], [13, 14, 15, 16]]


# -- pictures and files


def test_every_class_has_a_colour_of_its_own():
    assert set(pictures.COLORS) == set(CLASSES)
    lightness = []
    for name in CLASSES:
        red, green, blue = (int(pictures.COLORS[name][i : i + 2], 16) for i in (1, 3, 5))
        lightness.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    assert np.diff(sorted(lightness)).min() > 15  # told apart in grey, too


def test_pictures_are_drawn():
    track = REFERENCE[0]
    shares = np.array([0.7, 0.1, 0.1, 0.1])
    history = {key: [900.0, 1.0] for key in ("loss", "val_loss")}
    history |= {key: [0.6, 0.69] for key in ("accuracy", "val_accuracy")}
    drawn = [
        pictures.timeline({"a": track, "b": track}, duration=60.0, samples=np.zeros(960_000)),
        pictures.timeline({"a": track}, start=10.0, duration=20.0),
        pictures.embeddings(np.zeros((10, 128)), track, hop_seconds=HOP),
        pictures.class_shares({"TRN": shares, "VAL": shares}),
        pictures.learning_curves(history, majority_share=0.687),
        pictures.confusion(np.eye(4, dtype=int)),
    ]
    for figure in drawn:
        figure.canvas.draw()
        pictures.plt.close(figure)


def test_accuracy_bars_leave_out_empty_ends():
    figure, axes = pictures.plt.subplots()
    values = np.array([0.5, 1.0, 7.0, 9.5, np.nan])
    pictures.accuracy_bars(axes, np.array([True, False, True, False, True]), values, [0, 3, 6, 9])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0–3", "3–6", "6–9", "> 9"]
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.0, 1.0, 0.0]
    said = [text.get_text() for text in axes.texts]
    assert said == ["2", "0.50", "0", "1", "1.00", "0.00\n1"]
    assert axes.texts[-1].get_color() == "black"  # there is no bar for it to stand in
    pictures.plt.close(figure)


def result_of(labels):
    answer = one_hot(labels, sure=0.8)
    seconds = 0.975 + (len(labels) - 1) * HOP
    track = segments_from_frames(labels, hop_seconds=HOP, first_center=0.4875, duration=seconds)
    return segments.Segmentation("on hold", seconds, HOP, answer, labels, track)


def test_export(tmp_path):
    result = result_of(np.repeat([0, 2, 1], [10, 5, 8]))
    files = segments.export(result, tmp_path / "deep" / "on hold")
    assert [file.name for file in files] == ["on hold.txt", "on hold.csv", "on hold.rttm"]
    assert read_label_track(files[0]) == [
        Segment(round(a, 6), round(b, 6), label) for a, b, label in result.track
    ]
    with files[1].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["speech", "speech+music", "music"]
    assert {row["probability"] for row in rows} == {"0.800"}
    rttm = files[2].read_text().splitlines()
    assert rttm[1] == "SPEAKER on_hold 1 1.627 0.600 <NA> <NA> speech+music <NA> <NA>"
    assert all(len(line.split(" ")) == 10 for line in rttm)


def test_find_recordings(tmp_path):
    folder = tmp_path / "tapes"
    for name in ("a.wav", "deep/a.wav", "deep/b.mp3", "deep/b.flac", ".hidden/c.wav", "note.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    out = tmp_path / "out"
    found = {
        path.relative_to(folder).as_posix(): target.relative_to(out).as_posix()
        for path, target in find_recordings([folder], out)
    }
    assert found == {
        "a.wav": "a",
        "deep/a.wav": "deep/a",
        "deep/b.mp3": "deep/b.mp3",
        "deep/b.flac": "deep/b.flac",
    }
    with pytest.raises(ArgumentError, match="one after the other"):
        find_recordings([folder / "a.wav", folder / "deep" / "a.wav"], out)
    with pytest.raises(ArgumentError, match="does not exist"):
        find_recordings([folder / "no.wav"], out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="holds no audio"):
        find_recordings([tmp_path / "empty"], out)


def test_labels_beside_a_recording_are_not_replaced(tmp_path):
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.txt").touch()
    with pytest.raises(ArgumentError, match="beside its recording"):
        find_recordings([tmp_path / "a.wav"], tmp_path)


@pytest.mark.parametrize("argv", [[], ["a.wav", "--smooth", "mean"], ["no/such.wav"]])
def test_wrong_arguments_end_with_2(argv, capsys):
    try:
        code = main(["segment", *argv])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and len(error.strip().splitlines()) == 1


def test_the_command_line_segments_a_folder_as_04_smooths(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    weights = {"weights": "mini", "weights_sha256": load_embedding("mini").sha256}
    saved("runs/r", dataset=weights)
    write_recording(tmp_path / "tapes" / "deep" / "a.wav", 3.0)
    (tmp_path / "tapes" / "bad.wav").write_text("no audio")
    assert main(["segment", "tapes"]) == 1
    said = capsys.readouterr()
    assert "run: r, embedding: mini, smoothing: viterbi\n" in said.out
    assert "bad.wav" in said.err and "error: 1 of 2 recordings failed." in said.err
    written = sorted(path.name for path in (tmp_path / "segmented" / "deep").iterdir())
    assert written == ["a.csv", "a.rttm", "a.txt"]
    track = read_label_track(tmp_path / "segmented" / "deep" / "a.txt")
    assert (track[0].start, track[-1].end) == (0.0, 3.0)

    runs.write_test("runs/r", {"smoothing": "median 2 s"})
    assert main(["segment", "tapes/deep", "--run", "runs/r/", "--out", "again"]) == 0
    assert "smoothing: median 2 s\n" in capsys.readouterr().out
    assert main(["segment", "tapes/deep", "--smooth", "none", "--out", "again"]) == 0
    assert "smoothing: none\n" in capsys.readouterr().out


def test_without_a_run_one_sentence_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").touch()
    assert main(["segment", "a.wav"]) == 1
    assert capsys.readouterr().err == "error: runs holds no run yet: run a notebook 03 first.\n"
