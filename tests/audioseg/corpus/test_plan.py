"""What is planned before a sample is computed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_corpus import RATE, fabricated_sources

from audioseg import labels
from audioseg.corpus import plan as planning
from audioseg.corpus.sound import CorpusError
from vggish import frontend


def plan(seed, minutes=31.0, share=0.687):
    sources, spoken = fabricated_sources(seed)
    return planning.plan_recordings(
        "VAL",
        sources,
        spoken,
        minutes=minutes,
        shares={"speech": share, "speech+music": 0.1, "music": 0.12},
        seed=seed,
    )


@given(st.integers(0, 10**6), st.sampled_from([16.0, 31.0, 60.0]))
@settings(max_examples=15)
def test_the_share_of_speech_is_met_by_construction(seed, minutes):
    recordings = plan(seed, minutes)
    frames = np.concatenate([planning.frame_labels(r) for r in recordings])
    share = np.bincount(frames, minlength=4) / len(frames)
    assert 0.6865 <= share[labels.CLASSES.index("speech")] <= 0.6875
    assert (share > 0.04).all()
    assert abs(len(frames) * 0.12 / 60 - minutes) < 0.15 * minutes
    for recording in recordings:
        check_recording(recording)


def check_recording(recording):
    """Hold a plan to what is promised of every recording."""
    segments = recording["segments"]
    assert 120 <= recording["samples"] / RATE <= 300
    assert (recording["samples"] - 15_600) % 1_920 == 0
    assert len({s["label"] for s in segments}) >= 2
    for earlier, later in itertools.pairwise(segments):
        assert earlier["start"] + earlier["samples"] == later["start"]
        assert earlier["label"] != later["label"]
    for segment in segments:
        placed = segment["phrases"]
        assert bool(placed) == ("speech" in segment["label"]) == (segment["voice"] is not None)
        assert bool(segment["music"]) == ("music" in segment["label"])
        if placed:  # labels are exact: the first phrase starts, the last ends the segment
            ends = [at + end - start for _, start, end, _, at in placed]
            assert placed[0][4] == 0 and ends[-1] == segment["samples"]
            gaps = [phrase[4] - end for phrase, end in zip(placed[1:], ends, strict=False)]
            assert all(0 < gap <= 0.8 * RATE for gap in gaps)
        if segment["label"] == "speech+music":
            over = segment["speech_db"] - segment["music_db"]
            assert -0.01 <= over - (6 if segment["sung"] else 0) <= 10.01


def test_frames_are_those_of_the_front_end():
    recording = plan(3)[0]
    assert len(planning.frame_labels(recording)) == frontend.window_count(recording["samples"])


def test_every_phrase_is_drawn_before_one_comes_again():
    used = [tuple(p[:3]) for r in plan(5, 16.0) for s in r["segments"] for p in s["phrases"]]
    assert max(used.count(phrase) for phrase in set(used)) == 1


def test_voices_and_artists_are_heard_about_equally():
    voices, artists = {}, {}
    for segment in itertools.chain.from_iterable(r["segments"] for r in plan(7)):
        for heard, group in ((voices, segment["voice"]), (artists, segment["artist"])):
            heard[group] = heard.get(group, 0) + segment["samples"]
    assert min(voices.values()) > 0.4 * max(v for k, v in voices.items() if k)
    assert min(artists.values()) > 0.25 * max(v for k, v in artists.items() if k)


def test_steady_noise_is_as_loud_as_planned_whatever_the_gain_of_its_recording():
    levels = [
        segment["noise_db"] + recording["gain_db"]
        for recording in plan(4)
        for segment in recording["segments"]
        if segment["label"] == "noise" and segment["steady"]
    ]
    lowest, highest = planning.STEADY_DBFS
    assert all(lowest - 0.02 <= level <= highest + 0.02 for level in levels)
    assert np.ptp(levels) > 0.5 * (highest - lowest)


def test_too_little_material_is_refused(monkeypatch):
    sources, spoken = fabricated_sources(1)
    shares = planning.SHARES["VAL"]
    for kind in ("speech", "music", "noise"):
        fewer = [source for source in sources if source["kind"] != kind]
        with pytest.raises(CorpusError, match="speech, music"):
            planning.plan_recordings("VAL", fewer, spoken, minutes=9, shares=shares, seed=1)
    with pytest.raises(CorpusError, match="cannot be met"):
        monkeypatch.setattr(planning, "FREE_SECONDS", (2.0, 2.0))
        plan(1)
