import numpy as np
import pandas as pd
import pytest

import feat_ext
from audioseg.features.dataset import Frames
from audioseg.labels import CLASSES, Segment, write_label_track
from audioseg.segmentation import evaluation

HOP = 0.12
TRACKS = {
    "a": [Segment(0, 4, "speech"), Segment(4, 7, "speech+music"), Segment(7, 9, "noise")],
    "b": [Segment(1, 5, "music"), Segment(5, 6, "speech")],  # from 0 to 1: noise
}
SECONDS = {"a": 9.0, "b": 6.0}


@pytest.fixture
def corpus(tmp_path):
    """Write the tables and label tracks of two recordings; return the folder and the frames."""
    labels, recording = [], []
    for number, (name, track) in enumerate(TRACKS.items()):
        write_label_track(tmp_path / "TST" / f"{name}.txt", track)
        times = feat_ext.window_times(int((SECONDS[name] - 0.975) / HOP) + 1, HOP)
        labels.append(feat_ext.frame_labels(track, times, classes=CLASSES))
        recording += [number] * len(times)
    table = pd.DataFrame({"recording": SECONDS.keys(), "seconds": SECONDS.values()})
    table.to_csv(tmp_path / "recordings.csv", index=False)
    rows = [(name, *segment) for name, track in TRACKS.items() for segment in track]
    about = pd.DataFrame(rows, columns=["recording", "start", "end", "label"])
    about["voice"] = np.where(about.label.str.contains("speech"), "ada", None)
    about["artist"] = np.where(about.label.str.contains("music"), "bob", None)
    about["singer"] = np.where(about.label == "music", "eve", None)
    about["speech_to_music_db"] = np.where(about.label == "speech+music", 5.0, np.nan)
    about["narrow_band"] = False
    about.sample(frac=1, random_state=0).to_csv(tmp_path / "segments.csv", index=False)
    label, recording = np.concatenate(labels), np.array(recording)
    nothing = np.zeros((len(label), 0))
    return tmp_path, Frames(nothing, nothing, label, recording, ("a", "b"), HOP, nothing, nothing)


def test_references_have_no_gaps(corpus):
    folder, frames = corpus
    a, b = evaluation.references(folder, "TST", frames.names)
    assert a == (TRACKS["a"], 9.0)
    assert b.track[0] == Segment(0.0, 1.0, "noise")
    with pytest.raises(
        evaluation.EvaluationError, match=r"lacks the recording c, .*: run 02 again"
    ):
        evaluation.references(folder, "TST", ["c"])
    (folder / "recordings.csv").unlink()
    with pytest.raises(evaluation.EvaluationError, match=r"recordings\.csv cannot be read"):
        evaluation.references(folder, "TST", ["a"])


def test_excerpts_are_as_files_of_their_own(corpus):
    folder, frames = corpus
    reference = evaluation.references(folder, "TST", frames.names)
    short, cut = evaluation.excerpts(frames, reference, 2.0)
    assert [one.seconds for one in cut] == [2.0] * (4 + 2)  # of 9 s and 6 s, on a grid of 0.12 s
    assert np.bincount(short.recording).tolist() == [9] * 6
    assert short.faster_embedding is None is short.faster_audio_embedding
    for number, one in enumerate(cut):
        times = feat_ext.window_times(9, HOP)
        expected = feat_ext.frame_labels(one.track, times, classes=CLASSES)
        assert (short.label[short.recording == number] == expected).all()
    whole, same = evaluation.excerpts(frames, reference, 9.0)
    assert [one.seconds for one in same] == [9.0, 6.0]
    assert (whole.label == frames.label).all() and (whole.recording == frames.recording).all()


def test_what_is_right_scores_1_and_is_smoothed_by_recording(corpus):
    folder, frames = corpus
    reference = evaluation.references(folder, "TST", frames.names)
    lengths = [one.seconds for one in reference]
    certain = np.eye(len(CLASSES))[frames.label]
    config = {
        "classes": CLASSES,
        "transitions": np.full((4, 4), 0.25),
        "priors": np.full(4, 0.25),
        "hop_seconds": HOP,
    }
    for how in evaluation.CANDIDATES.values():
        estimate = evaluation.estimate(certain, frames, lengths, config, **how)
        assert [track[-1].end for track in estimate.tracks] == lengths
    estimate = evaluation.estimate(certain, frames, lengths, config)
    found = evaluation.score(frames, reference, estimate)
    # a boundary that is off by half a hop may reach into another second
    assert 0.8 < found.pop("segment_f1_1.0s") < 1
    assert set(found.values()) == {1.0}


@pytest.mark.numeric
def test_conditions_are_those_of_the_segment_that_is_heard(corpus):
    folder, frames = corpus
    reference = evaluation.references(folder, "TST", frames.names)
    about = evaluation.conditions(folder, frames, reference, CLASSES)
    assert len(about) == len(frames.label)
    assert about.voice.notna().equals(about.label.str.contains("speech"))
    assert about.artist.notna().equals(about.label.str.contains("music"))
    assert about.singer.notna().equals(about.label == "music")
    assert about.speech_to_music_db.notna().equals(about.label == "speech+music")
    first = about[about.recording == "b"].iloc[0]  # before the first segment of the table
    assert (first.label, first.to_boundary) == ("noise", pytest.approx(1 - 0.4875))
    (folder / "segments.csv").unlink()  # as in a corpus of one's own
    less = evaluation.conditions(folder, frames, reference, CLASSES)
    assert list(less) == ["recording", "time", "label", "to_boundary"]


@pytest.mark.numeric
def test_by_group_counts_each_class(corpus):
    folder, frames = corpus
    about = evaluation.conditions(
        folder, frames, evaluation.references(folder, "TST", frames.names), CLASSES
    )
    right = (about.label == "speech").to_numpy()
    table = evaluation.by_group(about, right, "voice")
    assert list(table) == ["windows", "accuracy", "speech", "speech+music"]
    assert table.loc["ada", ["speech", "speech+music"]].tolist() == [1.0, 0.0]
    assert table.loc["ada", "accuracy"] == pytest.approx(right.sum() / table.loc["ada", "windows"])


@pytest.mark.numeric
def test_what_is_to_be_ignored_is_not_scored(tmp_path):
    (tmp_path / "TST").mkdir()
    (tmp_path / "recordings.csv").write_text("recording,seconds\na,12\n")
    track = [Segment(0, 4, "speech"), Segment(4, 8, "?"), Segment(8, 12, "music")]
    write_label_track(tmp_path / "TST" / "a.txt", track)
    reference = evaluation.references(tmp_path, "TST", ["a"])
    times = feat_ext.window_times(93)
    label = feat_ext.frame_labels(track, times, classes=CLASSES, ignore=("?",))
    frames = Frames(None, None, label, np.zeros(93, int), ("a",), HOP)
    # in the middle, where nothing is scored, it says what it likes
    for middle in ("speech", "noise", "music"):
        said = [Segment(0, 4, "speech"), Segment(4, 8, middle), Segment(8, 12, "music")]
        labels = np.where(label < 0, CLASSES.index(middle), label)
        scores = evaluation.score(frames, reference, evaluation.Estimate(labels, [said], CLASSES))
        assert set(scores.values()) == {1.0}
    about = evaluation.conditions(tmp_path, frames, reference, CLASSES)
    assert about.label.isna().sum() == (label == -1).sum() > 0
