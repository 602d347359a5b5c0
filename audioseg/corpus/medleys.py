"""Recordings of what there is little of: people who sing, by turns with noise.

About half of the songs have music of the split beneath them. The noise is everyday sounds, field
recordings and loud rushes. The medleys come in addition to the recordings of
:mod:`audioseg.corpus.plan`. So another source of these kinds changes nothing there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from audioseg.corpus import plan
from audioseg.corpus.material import Deck, tracks_of
from audioseg.corpus.sound import CorpusError
from audioseg.corpus.sources import MEDLEY_KINDS
from vggish.frontend import SAMPLE_RATE

MEDLEYS, MEDLEY_SECONDS = 16, 120.0
STREAM = 1_000  # of random numbers; those of the recordings of the plan are numbered from 0
ACCOMPANIED_SHARE = 0.5  # of the songs
NOISES = ("sounds", "ambience", "sounds", "ambience", "loud")  # one after the other
MOST = {"sounds": 3, "ambience": 1}  # in a segment
# a rush, as of wind or water, as loud as other classes get
LOUD, LOUD_DBFS = ("white", "pink", "brown"), (-24.0, -10.0)


def plan_medleys(split: str, sources: Sequence[Mapping], *, seed: int) -> list[dict]:
    """Plan recordings of singing and noise.

    Parameters
    ----------
    split : str
        TRN, VAL or TST.
    sources : sequence of mapping
        Those of the kinds ``singing``, ``sounds`` and ``ambience`` are used: ``path``, ``group``.
        Music, if there is some, is put beneath songs.
    seed : int
        Same seed, same plan.

    Returns
    -------
    list of dict
        As :func:`audioseg.corpus.plan.plan_recordings` returns them; none if the split has
        no singing, sounds and ambience.

    Raises
    ------
    CorpusError
        If one of these three is missing.
    """
    kept = {k: [s for s in sources if s["kind"] == k] for k in MEDLEY_KINDS}
    if not any(kept.values()):
        return []
    for kind, found in kept.items():
        if not found:
            raise CorpusError(
                f"{split} has no {kind}, and medleys need {', '.join(MEDLEY_KINDS)}: add a row of "
                "this kind to the table of sources, or leave out the others."
            )
    number = plan.split_number(split)
    rng = np.random.default_rng([seed, number, STREAM])
    decks = {kind: Deck(found, rng) for kind, found in kept.items()} | {"loud": Deck(LOUD, rng)}
    noises = itertools.cycle(NOISES)
    recordings = []
    for index in range(MEDLEYS):
        # 0 would be the stream of this plan
        own = [seed, number, STREAM, index + 1]
        recording = plan.blank_recording(f"medley-{index + 1}", split, own, rng)
        filled = 0
        while filled < MEDLEY_SECONDS * SAMPLE_RATE:
            kind = next(noises)
            pair = [
                _sung(decks["singing"], rng),
                _loud(decks[kind], recording, rng)
                if kind == "loud"
                else _heard(decks[kind], MOST[kind], rng),
            ]
            recording["segments"] += pair
            filled += sum(segment["samples"] for segment in pair)
        plan.lay_out(recording)
        recordings.append(recording)
    if tracks := tracks_of(sources):
        _accompany(recordings, Deck(tracks, rng), rng)
    return recordings


def _accompany(recordings: Sequence[dict], tracks: Deck, rng: np.random.Generator) -> None:
    """Put music beneath a share of the songs."""
    for segment in (segment for recording in recordings for segment in recording["segments"]):
        if segment["recorded"] and rng.random() < ACCOMPANIED_SHARE:
            track, ratio = tracks.draw(), round(rng.uniform(*plan.VOICE_OVER_MUSIC_DB), 2)
            segment |= {"music": track["path"], "artist": track["group"], "sung_db": ratio}


def _sung(songs: Deck, rng: np.random.Generator) -> dict:
    segment = plan.blank_segment("music", rng.uniform(*plan.SEGMENT_SECONDS["music"]), rng)
    song = songs.draw()
    level = round(rng.uniform(*plan.LEVEL_DB), 2)
    return segment | {"singer": song["group"], "recorded": song["path"], "music_db": level}


def _loud(loud: Deck, recording: Mapping, rng: np.random.Generator) -> dict:
    segment = plan.blank_segment("noise", rng.uniform(*plan.SEGMENT_SECONDS["noise"]), rng)
    level = round(rng.uniform(*LOUD_DBFS) - recording["gain_db"], 2)
    return segment | {"steady": loud.draw(), "noise_db": level}


def _heard(sounds: Deck, most: int, rng: np.random.Generator) -> dict:
    segment = plan.blank_segment("noise", rng.uniform(*plan.SEGMENT_SECONDS["noise"]), rng)
    heard = [sounds.draw() for _ in range(int(rng.integers(1, most + 1)))]
    return segment | {
        "noise": [sound["path"] for sound in heard],
        "noise_groups": sorted({sound["group"] for sound in heard}),
        "noise_db": round(rng.uniform(*plan.LEVEL_DB), 2),
    }
