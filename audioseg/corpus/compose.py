"""The corpus: fetch its sources, show what they hold, split them, compose recordings of them.

A run skips the steps that are done, and goes on where a killed run stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import soundfile

from audioseg.corpus import plan, sound
from audioseg.corpus.folder import (
    CORPUS,
    DATA_FOLDER,
    SPLITS,
    map_items,
    read_done,
    write_csv,
    writing,
)
from audioseg.corpus.hosts import plan_hosts
from audioseg.corpus.medleys import plan_medleys
from audioseg.corpus.phrases import phrases_of
from audioseg.corpus.sound import SAMPLE_RATE, CorpusError
from audioseg.corpus.sources import list_sources, read_sources
from audioseg.corpus.splitting import plan_split
from audioseg.files import replacing
from audioseg.labels import COURSE, write_classes, write_label_track
from vggish.download import sha256_of

SEED = 2024
VERSION = 11  # raised when the same sources are to make another plan or sound


def compose_corpus(
    data_folder: str | os.PathLike = DATA_FOLDER,
    *,
    corpus: str = CORPUS,
    sources: pd.DataFrame | None = None,
    raw_folder: str | os.PathLike | None = None,
    minutes: Mapping[str, float] = plan.MINUTES,
    seed: int = SEED,
    workers: int | None = None,
) -> pd.DataFrame:
    """Compose the recordings and their label tracks, and keep those that are there.

    Parameters
    ----------
    data_folder : str or PathLike
        Holds ``sources.csv`` and ``raw``; the corpus goes there.
    corpus : str
        The name of the corpus's folder.
    sources : pd.DataFrame, optional
        By default those of ``data_folder / "sources.csv"``; they must have been acquired.
    raw_folder : str or PathLike, optional
        Where they are unpacked; ``data_folder / "raw"`` by default.
    minutes : mapping
        How much to compose for each split, medleys and hosts not counted.
    seed : int
        Same seed: same plan and label tracks everywhere, same sound to within rounding.
    workers : int, optional
        Processes; as many as processors by default. The result does not depend on it.

    Returns
    -------
    pd.DataFrame
        ``recordings.csv``: ``recording``, ``split``, ``seconds``, ``groups``, ``sha256`` of the
        FLAC file. Beside it, ``segments.csv`` says of each segment what is in it.

    Raises
    ------
    CorpusError
        If sources are missing or cannot be used, or a file cannot be written.
    """
    data_folder = Path(data_folder)
    raw_folder = Path(raw_folder) if raw_folder else data_folder / "raw"
    sources = read_sources(data_folder / "sources.csv") if sources is None else sources
    folder = data_folder / corpus
    workers = workers or os.cpu_count() or 1
    made_of = _fingerprint(sources, minutes, seed)
    with writing(folder):
        write_classes(folder, COURSE)
        planned = _read_json(folder / "plan.json")
        if planned.get("made_of") != made_of:
            recordings = _plan(sources, data_folder, raw_folder, minutes, seed, workers)
            # from here on, what stands in the folder is of the new plan
            _remove_recordings(folder, [*planned.get("recordings", []), *recordings])
            with replacing(folder / "plan.json") as aside:
                text = json.dumps({"made_of": made_of, "recordings": recordings})
                aside.write_text(text, encoding="utf-8")
        else:
            recordings = planned["recordings"]
        done = read_done(folder)
        lacking = [r for r in recordings if not _is_done(folder, r, done.get(r["recording"]))]
        for recording in lacking:
            _audio_path(folder, recording).unlink(missing_ok=True)
        work = partial(_compose_recording, folder=folder, raw_folder=raw_folder)
        map_items(work, lacking, workers, "recordings", [1] * len(lacking))
        if lacking or not (folder / "segments.csv").exists():
            write_csv(folder / "segments.csv", _segment_rows(recordings))
        table = pd.DataFrame([_recording_row(folder, r, done) for r in recordings])
        if lacking or not (folder / "recordings.csv").exists():
            write_csv(folder / "recordings.csv", table)
    return table


def _fingerprint(sources: pd.DataFrame, minutes: Mapping[str, float], seed: int) -> str:
    """Identify everything that the plan and the sound depend on."""
    made_of = [VERSION, sources.to_csv(index=False), dict(sorted(minutes.items())), seed]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def _plan(
    sources: pd.DataFrame,
    data_folder: Path,
    raw_folder: Path,
    minutes: Mapping[str, float],
    seed: int,
    workers: int,
) -> list[dict]:
    """Find the phrases in the speech, and plan each split."""
    files = plan_split(list_sources(sources, raw_folder))
    speech = files.path[files.kind == "speech"]
    phrases = phrases_of(speech, data_folder / "phrases.csv", raw_folder, workers)
    recordings = []
    for split in SPLITS:
        its_files = files[files.split == split].to_dict("records")
        recordings += plan.plan_recordings(
            split,
            its_files,
            phrases,
            minutes=minutes[split],
            shares=plan.SHARES[split],
            seed=seed,
        )
        if split == "TRN":  # the shares of the others are kept
            medleys = plan_medleys(split, its_files, seed=seed)
            # they make up for the medleys, and leave other tables of sources as they are
            hosts = plan_hosts(split, its_files, phrases, seed=seed) if medleys else []
            recordings += medleys + hosts
    return recordings


def _audio_path(folder: Path, recording: Mapping) -> Path:
    return folder / recording["split"] / f"{recording['recording']}.flac"


def _compose_recording(recording: Mapping, folder: Path, raw_folder: Path) -> None:
    """Write one recording: the label track first, as the audio file stands for both."""
    samples = sound.render(recording, raw_folder)
    path = _audio_path(folder, recording)
    write_label_track(path.with_suffix(".txt"), plan.segments_of(recording))
    try:
        with replacing(path) as aside:
            # level 0 has fixed predictors: what the processor can do has no say in the bytes
            soundfile.write(aside, samples, SAMPLE_RATE, subtype="PCM_16", compression_level=0.0)
    except soundfile.LibsndfileError as error:
        raise CorpusError(f"{path} cannot be written ({error}): make room on the disk.") from None


def _is_done(folder: Path, recording: Mapping, row: Mapping | None) -> bool:
    path = _audio_path(folder, recording)
    if not (path.exists() and path.with_suffix(".txt").exists()):
        return False
    return row is None or sha256_of(path) == row["sha256"]


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _remove_recordings(folder: Path, recordings: Sequence[Mapping]) -> None:
    for name in ("recordings.csv", "segments.csv", "plan.json"):
        (folder / name).unlink(missing_ok=True)
    for recording in recordings:
        for suffix in (".flac", ".txt"):
            _audio_path(folder, recording).with_suffix(suffix).unlink(missing_ok=True)


def _recording_row(folder: Path, recording: Mapping, done: Mapping) -> dict:
    segments = recording["segments"]
    groups = {s[key] for s in segments for key in ("voice", "artist", "singer") if s[key]}
    groups.update(group for s in segments for group in s["noise_groups"])
    name = recording["recording"]
    return {
        "recording": name,
        "split": recording["split"],
        "seconds": recording["samples"] / SAMPLE_RATE,
        "groups": ";".join(sorted(groups)),
        "sha256": sha256_of(_audio_path(folder, recording)),
    }


def _segment_rows(recordings: Sequence[Mapping]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recording": recording["recording"],
            "split": recording["split"],
            "start": round(segment["start"] / SAMPLE_RATE, 6),
            "end": round((segment["start"] + segment["samples"]) / SAMPLE_RATE, 6),
            "label": segment["label"],
            "voice": segment["voice"],
            "artist": segment["artist"],
            "singer": segment["singer"],
            "sounds": ";".join(segment["noise_groups"]),
            "steady": segment["steady"],
            "speech_db": segment["speech_db"],
            "music_db": segment["music_db"],
            "speech_to_music_db": (
                round(segment["speech_db"] - segment["music_db"], 2)
                if segment["label"] == "speech+music"
                else None
            ),
            "narrow_band": bool(segment["narrow_hertz"] or recording["narrow_hertz"]),
        }
        for recording in recordings
        for segment in recording["segments"]
    )
