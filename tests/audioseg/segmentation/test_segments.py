from itertools import pairwise

import numpy as np
import pytest
import resampy
import soundfile
from recordings import write_recording
from stored_runs import built, saved

import feat_ext
from audioseg.features.faster import embed_faster, spread
from audioseg.labels import CLASSES, Segment
from audioseg.segmentation import segments
from audioseg.training import runs
from audioseg.training.context import probabilities
from vggish.embedding import load_embedding

CONFIG = {
    "classes": CLASSES,
    "hop_seconds": 0.12,
    "transitions": np.full((4, 4), 0.25),
    "priors": np.full(4, 0.25),
}


@pytest.fixture(scope="module")
def mini():
    return load_embedding("mini")


def run_on(embedding, place, **more):
    about = {"weights": embedding.name, "weights_sha256": embedding.sha256}
    saved(place, dataset=about, **more)
    return runs.load(place)


def test_a_track_covers_its_recording():
    labels = np.repeat([0, 2, 1], [10, 5, 8])
    answer = np.eye(len(CLASSES))[labels]
    found, track = segments.track_of(answer, CONFIG, 4.0, method="none")
    assert found.tolist() == labels.tolist()
    assert [segment.label for segment in track] == ["speech", "speech+music", "music"]
    assert (track[0].start, track[-1].end) == (0.0, 4.0)
    assert all(a.end == b.start for a, b in pairwise(track))
    # half a hop before the centre of the first window that is another class
    assert track[1].start == pytest.approx(feat_ext.window_times(11)[10] - 0.06)


@pytest.mark.parametrize("hearings", [1, 2])
@pytest.mark.parametrize("feature", ["embedding", "audio_embedding"])
def test_a_recording_read_in_blocks_is_the_whole_one(tmp_path, mini, feature, hearings):
    network = built(scaled=feature == "audio_embedding")
    run = run_on(mini, tmp_path / "runs" / "r", network=network, input=feature)
    run.config["hearings"] = hearings
    path = write_recording(tmp_path / "a.wav", 30.0)
    told = []
    found = segments.segment(path, run, mini, method="none", progress=told.append)
    samples = feat_ext.load(path)
    as_it_is = feat_ext.embed(samples, mini)
    faster = embed_faster([samples], mini, hop_seconds=0.12)
    faster = spread(faster, len(as_it_is), hop_seconds=0.12)
    once, twice = (
        probabilities(run.network, mini.quantize(rows) if feature == "audio_embedding" else rows)
        for rows in (as_it_is, faster)
    )
    expected = once if hearings == 1 else (once + twice) / 2
    assert found.probabilities.tolist() == expected.tolist()
    assert np.abs(once - twice).max() > 1e-3
    assert (found.name, found.seconds, found.hop_seconds) == ("a", 30.0, 0.12)
    assert found.labels.tolist() == found.probabilities.argmax(axis=1).tolist()
    assert sum(told) == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("samples", "hearings"), [(1, 1), (8_000, 1), (15_599, 1), (15_600, 2), (17_520, 2)]
)
def test_what_is_shorter_than_a_window_is_heard_once(tmp_path, mini, samples, hearings):
    run = run_on(mini, tmp_path / "runs" / "r")
    run.config["hearings"] = 2
    time = np.arange(samples) / 16_000
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * sum(np.cos(2 * np.pi * f * time) for f in (220, 554, 987)), 16_000)
    whole = feat_ext.load(path)
    found = segments.segment(path, run, mini, method="none").probabilities

    def answer(heard):
        padded = np.pad(heard, (0, max(0, 15_600 - len(heard))), mode="symmetric")
        return probabilities(run.network, mini.quantize(feat_ext.embed(padded, mini)))

    expected = answer(whole)
    if hearings == 2:  # the one window of the second hearing is the nearest to each
        expected = (expected + answer(resampy.resample(whole, 4, 3))) / 2
        assert np.abs(found - answer(whole)).max() > 1e-4
    assert found.shape == (1 if samples < 17_520 else 2, 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_run_takes_the_embedding_that_it_was_trained_on(tmp_path, mini):
    run = run_on(mini, tmp_path / "runs" / "r")
    assert segments.embedding_for(run).sha256 == mini.sha256
    run.config["weights_sha256"] = "f" * 64
    with pytest.raises(segments.SegmentationError, match=r"trained on .* \(f+\), but mini is"):
        segments.embedding_for(run)


def test_shares_are_of_time():
    track = [Segment(0, 1, "speech"), Segment(1, 3, "music"), Segment(3, 4, "speech")]
    assert segments.shares(track, CLASSES) == {
        "speech": 0.5, "music": 0.5, "speech+music": 0.0, "noise": 0.0
    }  # fmt: skip
