"""Recordings of hosts who talk over one piece of music after the other, as on the radio.

A network that has learnt songs from the medleys takes a voice over music for one. So the hosts come
with the medleys, in addition to the recordings of :mod:`audioseg.corpus.plan`, and change nothing
else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from audioseg.corpus import plan
from audioseg.corpus.material import Material, Phrases
from vggish.frontend import SAMPLE_RATE

HOSTS, HOST_SECONDS = 6, 120.0
STREAM = 2_000  # of random numbers; medleys have 1,000


def plan_hosts(
    split: str, sources: Sequence[Mapping], phrases: Phrases, *, seed: int
) -> list[dict]:
    """Plan recordings of one speaker each, over one piece of music after the other.

    Parameters
    ----------
    split : str
        TRN, VAL or TST.
    sources, phrases, seed
        As :func:`audioseg.corpus.plan.plan_recordings` takes them.

    Returns
    -------
    list of dict
        As that function returns them.

    Raises
    ------
    CorpusError
        If the sources do not suffice.
    """
    number = plan.split_number(split)
    rng = np.random.default_rng([seed, number, STREAM])
    material = Material(sources, phrases, rng)
    recordings = []
    for index in range(HOSTS):
        # 0 would be the stream of this plan
        own = [seed, number, STREAM, index + 1]
        recording = plan.blank_recording(f"host-{index + 1}", split, own, rng)
        segments, voices = recording["segments"], [material.draw_voice()]
        while sum(segment["samples"] for segment in segments) <= HOST_SECONDS * SAMPLE_RATE:
            segments.append(_draw_segment("speech+music", segments, voices, material, split))
        # it ends in a class whose length is free
        segments.append(_draw_segment("music", segments, voices, material, split))
        plan.lay_out(recording)
        recordings.append(recording)
    return recordings


def _draw_segment(
    label: str, before: Sequence[Mapping], voices: list[str], material: Material, split: str
) -> dict:
    """Draw a segment over another track, unless the one before goes on."""
    tracks = [material.draw_track()]
    return plan.plan_segment(label, before, voices, tracks, material, plan.LIVELY_SHARES[split])
