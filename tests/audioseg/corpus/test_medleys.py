"""Recordings of people who sing and of everyday sounds, besides the others."""

import itertools

import numpy as np
import pytest
import soundfile

from audioseg.corpus import plan, singing, sound
from audioseg.corpus.medleys import (
    ACCOMPANIED_SHARE,
    LOUD_DBFS,
    MEDLEY_SECONDS,
    MEDLEYS,
    MOST,
    NOISES,
    STREAM,
    plan_medleys,
)
from audioseg.corpus.sound import CorpusError
from audioseg.corpus.sources import MEDLEY_KINDS
from vggish.frontend import SAMPLE_RATE

SOURCES = [
    *({"path": f"sung/{i}.wav", "kind": "singing", "group": "choir"} for i in range(3)),
    *({"path": f"heard/{i}.wav", "kind": "sounds", "group": f"dog{i % 2}"} for i in range(5)),
    *({"path": f"there/{i}.wav", "kind": "ambience", "group": f"rain{i}"} for i in range(4)),
    {"path": "hiss.wav", "kind": "noise", "group": "hiss"},
]


def test_singing_and_sounds_take_turns_and_every_one_is_heard():
    recordings = plan_medleys("TRN", SOURCES, seed=1)
    assert len({r["recording"] for r in recordings}) == MEDLEYS
    heard, loud = set(), []
    for recording in recordings:
        assert recording["samples"] >= MEDLEY_SECONDS * SAMPLE_RATE
        assert (recording["samples"] - 15_600) % 1_920 == 0
        for first, second in itertools.pairwise(recording["segments"]):
            assert {first["label"], second["label"]} == {"music", "noise"}
            assert first["start"] + first["samples"] == second["start"]
        for segment in recording["segments"]:
            assert (segment["label"] == "music") == (segment["singer"] == "choir")
            heard |= {segment["recorded"], *segment["noise"]}
            if segment["steady"]:
                loud.append(segment["noise_db"] + recording["gain_db"])
    assert heard - {None} == {s["path"] for s in SOURCES if s["kind"] != "noise"}
    kinds = {s["path"]: s["kind"] for s in SOURCES}
    noises = [s for r in recordings for s in r["segments"] if s["label"] == "noise"]
    for segment, kind in zip(noises, itertools.cycle(NOISES)):
        assert {kinds[path] for path in segment["noise"]} == ({kind} if kind != "loud" else set())
        assert len(segment["noise"]) <= MOST.get(kind, 0)
    lowest, highest = LOUD_DBFS
    assert len(loud) > MEDLEYS
    assert all(lowest - 0.02 <= level <= highest + 0.02 for level in loud)
    assert plan_medleys("TRN", SOURCES, seed=1) == recordings
    others = plan_medleys("TRN", SOURCES, seed=2)
    assert [r["segments"] for r in others] != [r["segments"] for r in recordings]


def test_music_of_the_split_is_beneath_a_share_of_the_songs():
    tracks = [
        {"path": f"m/{i}.ogg", "kind": "music", "group": f"m{i % 2}", "seconds": seconds}
        for i, seconds in enumerate([20.0, 90.0, 120.0, 150.0])
    ]
    recordings = plan_medleys("TRN", [*SOURCES, *tracks], seed=1)
    plain = plan_medleys("TRN", SOURCES, seed=1)
    songs = [s for r in recordings for s in r["segments"] if s["recorded"]]
    over = [song for song in songs if song["music"]]
    assert len(songs) > 100
    assert abs(len(over) / len(songs) - ACCOMPANIED_SHARE) < 0.15  # three standard deviations
    # of 20 seconds is too short a track
    assert {(s["music"], s["artist"]) for s in over} == {
        (t["path"], t["group"]) for t in tracks if t["seconds"] > 20
    }
    lowest, highest = plan.VOICE_OVER_MUSIC_DB
    assert all(lowest <= song["sung_db"] <= highest for song in over)
    beneath = {"music": None, "artist": None, "sung_db": None}
    assert [[s | beneath for s in r["segments"]] for r in recordings] == [
        [s | beneath for s in r["segments"]] for r in plain
    ]  # nothing else changes


def test_no_medley_is_drawn_with_the_numbers_of_another_or_of_the_plan():
    number = plan.split_number("TRN")
    seeds = [r["seed"] for r in plan_medleys("TRN", SOURCES, seed=1)] + [[1, number, STREAM]]
    assert len({np.random.default_rng(seed).random() for seed in seeds}) == MEDLEYS + 1


def test_a_split_without_singing_and_sounds_has_no_medleys():
    assert plan_medleys("TRN", [s for s in SOURCES if s["kind"] == "noise"], seed=1) == []
    for kind in MEDLEY_KINDS:
        with pytest.raises(CorpusError, match=f"TRN has no {kind}, and medleys"):
            plan_medleys("TRN", [s for s in SOURCES if s["kind"] != kind], seed=1)


def test_a_medley_sounds_where_its_plan_says(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("sung", "heard", "there"):
        (tmp_path / folder).mkdir()
        for i in range(5):
            soundfile.write(tmp_path / f"{folder}/{i}.wav", rng.normal(0, 0.1, 8_000), SAMPLE_RATE)
    soundfile.write(tmp_path / "track.wav", rng.normal(0, 0.1, 40 * SAMPLE_RATE), SAMPLE_RATE)
    track = {"path": "track.wav", "kind": "music", "group": "band", "seconds": 40.0}
    recording = plan_medleys("TRN", [*SOURCES, track], seed=1)[0]
    assert any(segment["music"] for segment in recording["segments"])
    samples = sound.render(recording, tmp_path)
    assert len(samples) == recording["samples"]
    for segment in recording["segments"]:
        part = samples[segment["start"] :][: segment["samples"]]
        assert np.abs(part.astype(int)).max() > 20
    (tmp_path / "silent").mkdir()
    soundfile.write(tmp_path / "silent/0.wav", np.zeros(8_000), SAMPLE_RATE)
    recording["segments"][0] |= {"recorded": "silent/0.wav", "music": None}
    with pytest.raises(CorpusError, match="holds no sound: leave it out"):
        sound.render(recording, tmp_path)


def test_a_recording_is_played_again_and_again_at_one_level_and_many_speeds():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    song = 0.01 * np.sin(2 * np.pi * 440 * time)
    played = singing.play(song, 30 * SAMPLE_RATE, np.random.default_rng(0))
    assert played.shape == (30 * SAMPLE_RATE,)
    seconds = played.reshape(30, -1)
    loud = np.sqrt(np.mean(seconds**2, axis=1))
    assert (loud > 0.6).all()  # pauses last 0.4 s at most
    assert (loud < 1.1).all()
    hertz = np.abs(np.fft.rfft(seconds)).argmax(axis=1)
    lowest, highest = singing.TAPE_SPEEDS
    assert ((hertz > 440 * lowest - 3) & (hertz < 440 * highest + 3)).all()
    assert len(set(hertz)) > 10


def test_a_song_begins_anywhere():
    song = np.linspace(0.5, 1, SAMPLE_RATE)
    first = {round(singing.play(song, 9, np.random.default_rng(s))[4], 3) for s in range(20)}
    assert len(first) > 15


def test_a_song_never_begins_in_its_last_moment():
    for seed in range(200):
        played = singing.play(np.ones(SAMPLE_RATE), 2 * SAMPLE_RATE, np.random.default_rng(seed))
        assert np.flatnonzero(played == 0)[0] >= SAMPLE_RATE // 4


@pytest.mark.parametrize("count", [0, 1, 100])
def test_a_song_may_be_cut_or_silent(count):
    silence = singing.play(np.zeros(50), count, np.random.default_rng(0))
    assert silence.shape == (count,) and not silence.any()
