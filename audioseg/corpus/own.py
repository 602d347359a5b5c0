"""A corpus of one's own: a folder of recordings with label tracks, split by group.

Any audio format that :mod:`audioseg.audio` reads, at any rate, with an Audacity label track of the
same name beside each recording, becomes ``data/<name>``, in the layout of the course's own corpus.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile

from audioseg import audio
from audioseg.audio import AudioError
from audioseg.corpus.folder import (
    CORPUS,
    DATA_FOLDER,
    SPLITS,
    map_items,
    read_done,
    write_csv,
    writing,
)
from audioseg.corpus.sound import SAMPLE_RATE, CorpusError, to_int16
from audioseg.files import replacing
from audioseg.labels import BACKGROUND, CLASSES, LabelError, read_label_track, write_label_track
from vggish.download import sha256_of

SHARES = {"TRN": 0.7, "VAL": 0.15, "TST": 0.15}
GROUPS_FILE = "groups.csv"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RESERVED = ("raw", CORPUS)
UNLABELLED_SHARE = 0.1  # more than that is worth a note


class Adopted(NamedTuple):
    """What became of a folder: the table of recordings, and for each failed file the reason."""

    recordings: pd.DataFrame
    failed: dict[str, str]


def adopt(
    folder: str | os.PathLike,
    name: str,
    *,
    groups: str | os.PathLike | None = None,
    data_folder: str | os.PathLike = DATA_FOLDER,
    workers: int | None = None,
) -> Adopted:
    """Make a corpus of a folder of recordings with label tracks.

    Parameters
    ----------
    folder : str or PathLike
        Recordings, in folders below it too, each with its label track (``.txt``) beside it.
    name : str
        The corpus goes to ``data_folder / name``.
    groups : str or PathLike, optional
        A table with the columns ``recording`` (a file, relative to ``folder``) and ``group`` (who
        or what must not be in two splits), and, to decide it yourself, ``split``.
        ``folder / "groups.csv"`` by default; a recording that it does not name is a group of its
        own.
    data_folder : str or PathLike
        Where corpora are.
    workers : int, optional
        Processes; as many as processors by default.

    Returns
    -------
    Adopted
        Recordings that are there already and whose sources are unchanged are kept.

    Raises
    ------
    CorpusError
        If the folder or the table of groups cannot be used, or there are too few groups.
    """
    folder, target = Path(folder), Path(data_folder) / name
    if not NAME.fullmatch(name) or name in RESERVED:
        raise CorpusError(
            f"{name!r} cannot be a corpus's name: take letters, digits, dots and dashes, and none "
            f"of {', '.join(RESERVED)}."
        )
    if not folder.is_dir():
        raise CorpusError(f"{folder} is no folder: give one with recordings and label tracks.")
    if folder.resolve() == target.resolve() or target.resolve() in folder.resolve().parents:
        raise CorpusError(f"{folder} is where the corpus would go: give it another name.")
    found, failed = _find(folder)
    seconds = {}
    for recording, path in found.items():
        try:
            track = read_label_track(path.with_suffix(".txt"))
            # the last label's end stands for the length: nothing has been decoded yet
            seconds[recording] = max((segment.end for segment in track), default=0.0)
        except LabelError as error:
            failed[str(path)] = str(error)
    groups = Path(groups) if groups else folder / GROUPS_FILE
    table = _read_groups(groups, folder, found) if groups.exists() else pd.DataFrame()
    split_of, group_of = _deal(seconds, table)
    with writing(target):
        done = read_done(target)
        items = [
            {
                "recording": recording,
                "split": split_of[recording],
                "groups": group_of[recording],
                "path": str(found[recording]),
                "done": done.get(recording),
            }
            for recording in sorted(split_of)
        ]
        _remove_others(target, done, split_of)
        work = partial(_convert, target=target)
        count = workers or os.cpu_count() or 1
        rows = map_items(work, items, count, "recordings", [1] * len(items))
        failed.update((row["path"], row["error"]) for row in rows if "error" in row)
        recordings = pd.DataFrame([row for row in rows if "error" not in row])
        if len(recordings):
            write_csv(target / "recordings.csv", recordings)
    if not len(recordings):
        reason = next(iter(failed.values()), "there is no audio")
        raise CorpusError(f"{folder} gave no recording: {reason}")
    return Adopted(recordings, failed)


def _find(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Find recordings by name; names of folders below become part of a recording's name."""
    found: dict[str, Path] = {}
    taken: dict[str, Path] = {}  # some file systems take A and a for the same name
    failed = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if hidden or path.suffix.lower() not in audio.SUFFIXES or path.is_dir():
            continue
        name = "-".join((*parts[:-1], path.stem))
        if not path.with_suffix(".txt").exists():
            failed[str(path)] = f"{path} has no label track: export one to {path.stem}.txt."
        elif name.casefold() in taken:
            other = taken[name.casefold()]
            failed[str(path)] = f"{path} has the name of {other}: rename one of them."
        else:
            found[name] = taken[name.casefold()] = path
    return found, failed


def _read_groups(path: Path, folder: Path, found: Mapping[str, Path]) -> pd.DataFrame:
    """Read the table of groups; its index is the recording."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read ({error}): save it as CSV in UTF-8.") from None
    for column in ("recording", "group"):
        if column not in table:
            raise CorpusError(f"{path} lacks the column {column!r}: its columns are "
                              "recording, group and, if you like, split.")  # fmt: skip
    by_file = {}
    for name, file in found.items():
        below = file.relative_to(folder)
        by_file |= dict.fromkeys((name, below.as_posix(), below.with_suffix("").as_posix()), name)
    for line, row in enumerate(table.to_dict("records"), start=2):
        split = row.get("split", "")
        if row["recording"] not in by_file:
            raise CorpusError(
                f"{path}, line {line}: there is no recording {row['recording']!r} with a label "
                "track: correct the name or remove the line."
            )
        if not row["group"] or split not in ("", *SPLITS):
            raise CorpusError(
                f"{path}, line {line}: it needs a group, and a split of {', '.join(SPLITS)} "
                "or none."
            )
    table = table.assign(recording=table.recording.map(by_file))
    if table.recording.duplicated().any():
        twice = table.recording[table.recording.duplicated()].iloc[0]
        raise CorpusError(f"{path} names the recording {twice!r} twice: keep one of the lines.")
    return table.set_index("recording")


def _deal(
    seconds: Mapping[str, float], table: pd.DataFrame
) -> tuple[dict[str, str], dict[str, str]]:
    """Give each group to one split, longest first, to the one that is furthest below its share."""
    group_of = {r: str(table.group.get(r, r)) if len(table) else r for r in seconds}
    home: dict[str, str] = {}
    for recording in seconds:
        split = table.split.get(recording, "") if "split" in table else ""
        if split and home.setdefault(group_of[recording], split) != split:
            raise CorpusError(
                f"the group {group_of[recording]!r} would be in {home[group_of[recording]]} and "
                f"{split}: give all its recordings one split."
            )
    length: dict[str, float] = {}
    for recording, group in group_of.items():
        length[group] = length.get(group, 0.0) + seconds[recording]
    have = {s: sum(length[g] for g in home if home[g] == s) for s in SHARES}
    for group in sorted(set(length) - set(home), key=lambda g: (-length[g], g)):
        # an empty split comes first, however the lengths are
        lacking = [s for s in SHARES if s not in home.values()]
        home[group] = min(lacking or SHARES, key=lambda s: have[s] / SHARES[s])
        have[home[group]] += length[group]
    if seconds and set(home.values()) != set(SHARES):
        raise CorpusError(
            f"{len(home)} groups cannot be split into {', '.join(SHARES)}: at least 3 are needed, "
            "so that no speaker or site is in two splits; add recordings or name more groups."
        )
    return {r: home[group_of[r]] for r in seconds}, group_of


def _convert(item: Mapping, target: Path) -> dict:
    """Write one recording as FLAC with its label track; return its row, or the error."""
    source = Path(item["path"])
    path = target / item["split"] / f"{item['recording']}.flac"
    track_path = path.with_suffix(".txt")
    row = {"recording": item["recording"], "split": item["split"]}
    try:
        origin = "".join(_sha256_of_source(p)[:32] for p in (source, source.with_suffix(".txt")))
        done = item["done"] or {}
        kept = path.exists() and track_path.exists() and done.get("source") == origin
        if kept and done["split"] == item["split"] and sha256_of(path) == done["sha256"]:
            seconds = float(done["seconds"])
        else:
            seconds = _write_recording(source, path)
        return {**row, "seconds": seconds, "groups": item["groups"], "sha256": sha256_of(path),
                "source": origin}  # fmt: skip
    except (AudioError, LabelError) as error:
        for stale in (path, track_path):
            stale.unlink(missing_ok=True)
        return {**row, "path": str(source), "error": str(error)}


def _sha256_of_source(path: Path) -> str:
    """Return the SHA-256 of a file that may have vanished, or be another's."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise AudioError(
            f"{path} cannot be read ({error.strerror}): check that it is there."
        ) from None


def _write_recording(source: Path, path: Path) -> float:
    """Decode block by block, as recordings may last hours; return the seconds."""
    with replacing(path) as aside:
        samples = 0
        try:
            with soundfile.SoundFile(aside, "w", SAMPLE_RATE, 1, subtype="PCM_16") as file:
                for block in audio.read_16k_blocks(source):
                    file.write(to_int16(block.astype(np.float64)))
                    samples += len(block)
        except soundfile.LibsndfileError as error:  # those of reading are AudioErrors
            raise CorpusError(
                f"{path} cannot be written ({error}): make room on the disk."
            ) from None
        seconds = samples / SAMPLE_RATE
        track = read_label_track(source.with_suffix(".txt"), duration=seconds)
        write_label_track(path.with_suffix(".txt"), track)
    return seconds


def _remove_others(target: Path, done: Mapping[str, Mapping], split_of: Mapping[str, str]) -> None:
    """Remove recordings of an earlier call that are gone now, or in another split."""
    for recording, row in done.items():
        if split_of.get(recording) != row["split"]:
            for suffix in (".flac", ".txt"):
                (target / row["split"] / f"{recording}{suffix}").unlink(missing_ok=True)


def report(adopted: Adopted, target: Path) -> Sequence[str]:
    """Return lines that say what became of a folder, and what may be amiss with it."""
    table = adopted.recordings
    minutes = table.groupby("split").seconds.sum() / 60
    counts = table.groupby("split").size()
    parts = [f"{s} {counts.get(s, 0)} ({minutes.get(s, 0):.1f} min)" for s in SPLITS]
    lines = [f"{target}: {len(table)} recordings: {', '.join(parts)}"]
    tracks = {
        row.recording: read_label_track(target / row.split / f"{row.recording}.txt")
        for row in table.itertuples()
    }
    for split in SPLITS:
        held = {s.label for r in table.recording[table.split == split] for s in tracks[r]}
        missing = [name for name in CLASSES if name not in {*held, BACKGROUND}]
        if missing:
            lines.append(
                f"note: {split} holds no {' and no '.join(missing)}, so its scores say nothing of "
                "that: add recordings, or deal them out in a column split of groups.csv."
            )
    labelled = sum(s.end - s.start for track in tracks.values() for s in track)
    if labelled < (1 - UNLABELLED_SHARE) * table.seconds.sum():
        lines.append(
            f"note: {(table.seconds.sum() - labelled) / 60:.1f} min carry no label, and count as "
            f"{BACKGROUND}: label what is heard there, if it is not that."
        )
    for _, same in table.groupby("sha256"):
        if same.split.nunique() > 1:
            places = " and ".join(f"{row.recording} ({row.split})" for row in same.itertuples())
            lines.append(f"note: {places} are the same audio: give them one group in groups.csv.")
    return [*lines, *(f"failed: {reason}" for reason in adopted.failed.values())]
