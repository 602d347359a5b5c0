"""Recordings of hosts, who talk over music."""

import itertools

import numpy as np
from small_corpus import fabricated_sources

from audioseg.corpus import medleys, plan
from audioseg.corpus.hosts import HOST_SECONDS, HOSTS, STREAM, plan_hosts
from vggish.frontend import SAMPLE_RATE


def test_a_host_talks_over_music_all_the_time_and_leaves_it_in_the_end():
    sources, spoken = fabricated_sources(1)
    recordings = plan_hosts("TRN", sources, spoken, seed=1)
    assert len({recording["recording"] for recording in recordings}) == HOSTS
    for recording in recordings:
        assert recording["samples"] > HOST_SECONDS * SAMPLE_RATE
        assert (recording["samples"] - 15_600) % 1_920 == 0
        *talk, end = recording["segments"]
        assert {segment["label"] for segment in talk} == {"speech+music"}
        assert end["label"] == "music"
        assert len({segment["voice"] for segment in talk}) == 1
        assert len({segment["music"] for segment in talk}) > 3
        for segment in talk:  # labels are exact: speech begins and ends each
            *_, (_, first, last, _, at) = segment["phrases"]
            assert segment["phrases"][0][4] == 0
            assert at + last - first == segment["samples"]
        for earlier, later in itertools.pairwise(recording["segments"]):
            assert earlier["start"] + earlier["samples"] == later["start"]
    voices = [recording["segments"][0]["voice"] for recording in recordings]
    assert set(voices) == {"v0", "v1", "v2"}
    assert plan_hosts("TRN", sources, spoken, seed=1) == recordings
    others = plan_hosts("TRN", sources, spoken, seed=2)
    assert [r["segments"] for r in others] != [r["segments"] for r in recordings]


def test_no_host_is_drawn_with_the_numbers_of_another_recording_or_of_a_plan():
    number = plan.split_number("TRN")
    seeds = [r["seed"] for r in plan_hosts("TRN", *fabricated_sources(1), seed=1)]
    seeds += [[1, number, STREAM], [1, number, medleys.STREAM]]
    seeds += [[1, number, medleys.STREAM, i + 1] for i in range(medleys.MEDLEYS)]
    assert len({np.random.default_rng(seed).random() for seed in seeds}) == len(seeds)
