"""The plan of a corpus: what is heard, and when, decided before a sample is computed.

A recording is a telephone line on hold: a voice, music (some of it sung), a voice over music, and
the noise of the line, in segments with known edges. The plan holds everything that a label track
needs, so it can set the share of a class exactly: stretching music or noise by one hop adds one
frame of that class and changes no other label.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

import feat_ext
from audioseg.corpus.material import Deck, Material, Phrases
from audioseg.corpus.noises import KINDS as STEADY
from audioseg.corpus.sound import BLOCK_SAMPLES, CODECS, CorpusError
from audioseg.labels import CLASSES, Segment
from vggish.frontend import (
    FRAME_HOP_SAMPLES,
    HOP_FRAMES,
    SAMPLE_RATE,
    WINDOW_SAMPLES,
    window_count,
)

# the grid of frame labels is that of the features
HOP_SAMPLES = HOP_FRAMES * FRAME_HOP_SAMPLES
FIRST_CENTER_SECONDS = WINDOW_SAMPLES / SAMPLE_RATE / 2
HOP_SECONDS = HOP_SAMPLES / SAMPLE_RATE

MINUTES = {"TRN": 140.0, "VAL": 31.0, "TST": 31.0}
# the rest is noise
SHARES = {
    "TRN": {"speech": 0.45, "speech+music": 0.18, "music": 0.23},
    "VAL": {"speech": 0.687, "speech+music": 0.10, "music": 0.12},
    "TST": {"speech": 0.68, "speech+music": 0.10, "music": 0.12},
}
SEGMENT_SECONDS = {
    "speech": (8.0, 40.0),
    "speech+music": (5.0, 14.0),
    "music": (3.0, 15.0),
    "noise": (2.0, 10.0),
}
FREE_SECONDS = (1.5, 18.0)  # of a stretched segment
RECORDING_SECONDS = (130.0, 240.0)  # when drawn; a long last segment and stretching may add to it
RECORDING_LIMITS_SECONDS = (120.0, 300.0)
GAP_SECONDS = (0.12, 0.7)  # between phrases: shorter than the pause that would end a segment
LEVEL_DB = (-34.0, -11.0)  # of all segments but silence and steady noise, alike for every class
STEADY_DBFS = (-58.0, -10.0)  # of steady noise in the end: up to as loud as it can be
GAIN_DB = (-24.0, 2.0)  # of a recording
FLOOR_DB = (-74.0, -50.0)
SPEECH_OVER_MUSIC_DB = (0.0, 10.0)
SPEECH_OVER_SONG_DB = (6.0, 16.0)  # who talks over a song drowns the singer
# of speech that is shouted, laughed or whispered, as no prompt is; more of it to learn from
LIVELY_SHARES = {"TRN": 0.3, "VAL": 0.12, "TST": 0.12}
SUNG_SHARES = {"music": 0.7, "speech+music": 0.25}  # by a voice of the same split, made to sing
VOICE_OVER_MUSIC_DB = (-3.0, 9.0)  # of a singer's voice
SOLO_SHARE, SOLO_DB = 0.4, 40.0  # of sung music: so loud that the music is not heard
NOISE_KINDS = {"sounds": 0.45, "steady": 0.35, "floor": 0.1, "nothing": 0.1}
NOISE_UNDER_SPEECH, SPEECH_OVER_NOISE_DB = 0.4, (8.0, 30.0)
NARROW_HERTZ = (3_400, 4_000)


def segments_of(recording: Mapping) -> list[Segment]:
    """Return the label track of a planned recording, neighbours of one class joined."""
    track: list[Segment] = []
    for segment in recording["segments"]:
        start = segment["start"] / SAMPLE_RATE
        end = (segment["start"] + segment["samples"]) / SAMPLE_RATE
        if track and track[-1].label == segment["label"]:
            track[-1] = track[-1]._replace(end=end)
        else:
            track.append(Segment(start, end, segment["label"]))
    return track


def frame_labels(recording: Mapping) -> np.ndarray:
    """Return the class number at each window's centre of a planned recording."""
    times = FIRST_CENTER_SECONDS + HOP_SECONDS * np.arange(window_count(recording["samples"]))
    return feat_ext.frame_labels(segments_of(recording), times, classes=CLASSES)


def plan_recordings(
    split: str,
    sources: Sequence[Mapping],
    phrases: Phrases,
    *,
    minutes: float,
    shares: Mapping[str, float],
    seed: int,
) -> list[dict]:
    """Plan the recordings of one split.

    Parameters
    ----------
    split : str
        TRN, VAL or TST.
    sources : sequence of mapping
        The split's sources: ``path``, ``kind``, ``group``, ``seconds``.
    phrases : mapping
        For each path of speech, its phrases: start, end (samples) and level, as
        :func:`audioseg.corpus.phrases.find_phrases` returns them.
    minutes : float
        How many minutes to compose.
    shares : mapping
        The share of each class but noise. Speech gets its share to half a frame, the others come
        close.
    seed : int
        Same seed, same plan.

    Returns
    -------
    list of dict
        Each with ``recording``, ``split``, ``seed``, ``samples``, ``floor_db``, ``gain_db``,
        ``narrow_hertz`` and ``segments``, all of it plain data.

    Raises
    ------
    CorpusError
        If the sources do not suffice, or the shares cannot be met.
    """
    number = split_number(split)
    rng = np.random.default_rng([seed, number])
    material = Material(sources, phrases, rng)
    lowest, highest = RECORDING_SECONDS
    count = max(1, round(minutes * 60 / (0.5 * (lowest + highest))))
    lengths = rng.uniform(lowest, highest, count)
    lengths = np.clip(lengths * (minutes * 60 / lengths.sum()), lowest, highest)
    wanted = {**shares, "noise": 1 - sum(shares.values())}
    had = dict.fromkeys(CLASSES, 0.0)
    recordings = [
        blank_recording(f"{index + 1:02d}", split, [seed, number, index], rng)
        | {"segments": _plan_segments(float(seconds), wanted, had, material, LIVELY_SHARES[split])}
        for index, seconds in enumerate(lengths)
    ]
    for recording in recordings:
        for segment in recording["segments"]:
            # steady noise alone: its level in the end is drawn, whatever the recording's gain
            if segment["label"] == "noise" and segment["steady"]:
                segment["noise_db"] = round(segment["noise_db"] - recording["gain_db"], 2)
        lay_out(recording)
    _meet_share(recordings, shares["speech"], rng)
    return recordings


def split_number(split: str) -> int:
    """Return a number that seeds what is drawn for a split."""
    return sum(ord(letter) * 31**i for i, letter in enumerate(split))


def draw_share(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    """Draw a name by its share."""
    at = np.searchsorted(np.cumsum(list(shares.values())), rng.random(), side="right")
    return list(shares)[min(int(at), len(shares) - 1)]


def draw_narrow(rng: np.random.Generator, probability: float) -> int:
    """Draw the upper end of a narrow band, or 0 for none."""
    hertz = int(rng.integers(*NARROW_HERTZ))
    return hertz if rng.random() < probability else 0


def blank_recording(name: str, split: str, seed: Sequence[int], rng: np.random.Generator) -> dict:
    """Return a recording without segments; ``seed`` is that of its sound."""
    return {
        "recording": f"{split.lower()}-{name}",
        "split": split,
        "seed": list(seed),
        "floor_db": round(rng.uniform(*FLOOR_DB), 2),
        "gain_db": round(rng.uniform(*GAIN_DB), 2),
        "narrow_hertz": draw_narrow(rng, 0.25),
        "codec": draw_share(CODECS, rng),
        "segments": [],
    }


def _plan_segments(
    seconds: float,
    wanted: Mapping[str, float],
    had: dict[str, float],
    material: Material,
    lively_share: float,
) -> list[dict]:
    """Draw segments until a recording is full; ``had`` counts each class's seconds so far."""
    rng = material.rng
    voices = [material.draw_voice()]
    if rng.random() < 0.3:
        voices.append(list(material.voices)[int(rng.integers(len(material.voices)))])
    tracks = [material.draw_track() for _ in range(2 + int(rng.integers(2)))]
    segments: list[dict] = []
    filled = 0.0
    while True:
        # it ends in music or noise, whose length is free
        last = filled > seconds - 10 and segments[-1]["label"] in ("speech", "speech+music")
        label = _next_label(segments, wanted, had, rng, ("music", "noise") if last else CLASSES)
        segment = plan_segment(label, segments, voices, tracks, material, lively_share)
        segments.append(segment)
        had[label] += segment["samples"] / SAMPLE_RATE
        filled += segment["samples"] / SAMPLE_RATE
        if filled > seconds - 10 and label in ("music", "noise"):
            return segments


def _next_label(
    segments: Sequence[Mapping],
    wanted: Mapping[str, float],
    had: Mapping[str, float],
    rng: np.random.Generator,
    allowed: Sequence[str],
) -> str:
    """Draw the next class: what is short of its share is likelier."""
    total = sum(had.values()) + 150
    weights = []
    for label in CLASSES:
        again = segments and segments[-1]["label"] == label
        short = max(wanted[label] * total - had[label], 1.0)
        mean = sum(SEGMENT_SECONDS[label]) / 2
        weights.append(0.0 if again or label not in allowed else short / mean)
    threshold = rng.random() * sum(weights)
    for label, weight in zip(CLASSES, weights, strict=True):
        threshold -= weight
        if weight and threshold < 0:
            return label
    return max(zip(weights, CLASSES, strict=True))[1]


def plan_segment(
    label: str,
    before: Sequence[Mapping],
    voices: list[str],
    tracks: list[str],
    material: Material,
    lively_share: float,
) -> dict:
    """Draw what is heard in a segment of a class; ``before`` are those before it."""
    rng = material.rng
    seconds = rng.uniform(*SEGMENT_SECONDS[label])
    segment = blank_segment(label, seconds, rng)
    if "speech" in label:
        voice = voices[int(rng.integers(len(voices)))]
        phrases, length = _lay_phrases(seconds, material.voices[voice], rng)
        segment |= {"voice": voice, "phrases": phrases, "samples": length}
        material.hear(voice, length)
        segment["speech_db"] = round(rng.uniform(*LEVEL_DB), 2)
        segment["lively"] = bool(rng.random() < lively_share)
    if "music" in label:
        _add_music(segment, before, tracks, material)
    if label == "noise":
        kind = draw_share(NOISE_KINDS, rng)
        segment["silent"] = kind == "nothing"
        if kind in ("sounds", "steady"):
            levels = STEADY_DBFS if kind == "steady" else LEVEL_DB
            _add_noise(segment, rng.uniform(*levels), kind, material)
    elif label == "speech" and rng.random() < NOISE_UNDER_SPEECH:
        below = rng.uniform(*SPEECH_OVER_NOISE_DB)
        kind = "sounds" if rng.random() < 0.6 else "steady"
        _add_noise(segment, segment["speech_db"] - below, kind, material)
    segment["noise_groups"] = sorted({material.group_of[path] for path in segment["noise"]})
    return segment


def blank_segment(label: str, seconds: float, rng: np.random.Generator) -> dict:
    """Return a segment in which nothing is heard yet."""
    return {
        "label": label,
        "samples": int(seconds * SAMPLE_RATE) // BLOCK_SAMPLES * BLOCK_SAMPLES,
        "voice": None,
        "phrases": [],
        "speech_db": None,
        "lively": False,
        "music": None,
        "music_goes_on": False,
        "music_db": None,
        "artist": None,
        "singer": None,
        "recorded": None,
        "sung": [],
        "sung_db": None,
        "noise": [],
        "noise_db": None,
        "noise_groups": [],
        "steady": None,
        "silent": False,
        "narrow_hertz": draw_narrow(rng, 0.3),
    }


def _add_noise(segment: dict, level: float, kind: str, material: Material) -> None:
    """Add recorded sounds, or one noise that goes on."""
    segment["noise_db"] = round(level, 2)
    if kind == "sounds":
        segment["noise"] = material.draw_sounds()
    else:
        segment["steady"] = STEADY[int(material.rng.integers(len(STEADY)))]


def _lay_phrases(seconds: float, deck: Deck, rng: np.random.Generator) -> tuple[list, int]:
    """Place whole phrases with gaps between until they last long enough."""
    placed: list[list] = []
    at = 0
    while at < seconds * SAMPLE_RATE:
        if placed:
            at += int(rng.uniform(*GAP_SECONDS) * SAMPLE_RATE) // BLOCK_SAMPLES * BLOCK_SAMPLES
        for _ in range(4):  # rather a phrase that fits
            path, start, end, level = deck.draw()
            if at + end - start < (seconds + 5) * SAMPLE_RATE:
                break
        placed.append([path, start, end, level, at])
        at += end - start
    return placed, at


def _add_music(
    segment: dict, before: Sequence[Mapping], tracks: list[str], material: Material
) -> None:
    """Continue the music of the segment before, or start another track."""
    rng = material.rng
    goes_on = bool(before) and before[-1]["music"] is not None and rng.random() < 0.7
    if goes_on and segment["phrases"]:
        # the ratio of speech to music is exact for one voice over one run of music
        run = []
        for earlier in reversed(before):
            run.append(earlier)
            if not earlier["music_goes_on"]:
                break
        goes_on = not any(earlier["phrases"] for earlier in run)
    track = before[-1]["music"] if goes_on else tracks[int(rng.integers(len(tracks)))]
    segment |= {"music": track, "music_goes_on": goes_on, "artist": material.group_of[track]}
    segment["music_db"] = round(rng.uniform(*LEVEL_DB), 2)
    if rng.random() < SUNG_SHARES[segment["label"]]:
        singer = list(material.songs)[int(rng.integers(len(material.songs)))]
        sung = [list(material.songs[singer].draw()[:3]) for _ in range(4)]
        ratio = round(rng.uniform(*VOICE_OVER_MUSIC_DB), 2)
        alone = segment["label"] == "music" and rng.random() < SOLO_SHARE
        segment |= {"singer": singer, "sung": sung, "sung_db": SOLO_DB if alone else ratio}
    if segment["phrases"]:
        ratio = rng.uniform(*(SPEECH_OVER_SONG_DB if segment["sung"] else SPEECH_OVER_MUSIC_DB))
        segment["music_db"] = round(segment["speech_db"] - ratio, 2)


def lay_out(recording: dict) -> None:
    """Set the segments' starts, and the recording's end so that it ends with a window."""
    segments = recording["segments"]
    total = sum(segment["samples"] for segment in segments)
    segments[-1]["samples"] += (WINDOW_SAMPLES - total) % HOP_SAMPLES
    at = 0
    for segment in segments:
        segment["start"] = at
        at += segment["samples"]
    recording["samples"] = at


def _meet_share(recordings: Sequence[dict], share: float, rng: np.random.Generator) -> None:
    """Stretch or shorten music and noise, hop by hop, until speech has its share of the frames."""
    labels = np.concatenate([frame_labels(recording) for recording in recordings])
    spoken = int((labels == CLASSES.index("speech")).sum())
    missing = round(spoken / share) - len(labels)
    step = int(math.copysign(HOP_SAMPLES, missing))
    free = [
        (recording, segment)
        for recording in recordings
        for segment in recording["segments"]
        if segment["label"] in ("music", "noise")
    ]
    shortest, longest = (round(seconds * SAMPLE_RATE) for seconds in FREE_SECONDS)
    lowest, highest = (round(seconds * SAMPLE_RATE) for seconds in RECORDING_LIMITS_SECONDS)
    left = abs(missing)
    while left:
        before = left
        for index in rng.permutation(len(free)):
            recording, segment = free[index]
            within = shortest <= segment["samples"] + step <= longest
            if left and within and lowest <= recording["samples"] + step <= highest:
                segment["samples"] += step
                recording["samples"] += step
                left -= 1
        if left == before:
            raise CorpusError(
                f"a share of speech of {share:g} cannot be met, {left} frames are left over: "
                "compose more minutes or another share."
            )
    for recording in recordings:
        lay_out(recording)
