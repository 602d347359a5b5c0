"""Your own corpus: a folder of recordings with label tracks, split by group.

The folder holds audio in any format that :mod:`audioseg.audio` reads, and beside each recording a
label track of the same name in any format that :mod:`audioseg.label_formats` reads. It becomes
``data/<name>``, in the layout of the course's own corpus, with the classes that the tracks name.
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
from audioseg.corpus.finding import find_recordings, read_groups
from audioseg.corpus.folder import (
    CORPUS,
    DATA_FOLDER,
    SPLITS,
    map_items,
    read_done,
    write_csv,
    writing,
)
from audioseg.corpus.merging import merged
from audioseg.corpus.naming import classes_of, odd_spellings
from audioseg.corpus.sound import SAMPLE_RATE, CorpusError, to_int16
from audioseg.corpus.splitting import split_by_group
from audioseg.files import replacing
from audioseg.label_formats import read_track
from audioseg.labels import (
    BACKGROUND,
    UNKNOWN,
    Classes,
    LabelError,
    Segment,
    label_track,
    read_classes,
    read_label_track,
    write_classes,
    write_label_track,
)
from vggish.download import sha256_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RESERVED = ("raw", CORPUS)
UNLABELLED_SHARE = 0.1  # more than that is worth a note


class Adopted(NamedTuple):
    """The outcome: the table of recordings, why files failed, and notes on possible mistakes."""

    recordings: pd.DataFrame
    failed: dict[str, str]
    notes: Sequence[str] = ()


def adopt(
    folder: str | os.PathLike,
    name: str,
    *,
    groups: str | os.PathLike | None = None,
    classes: Sequence[str] | None = None,
    background: str = BACKGROUND,
    ignore: Sequence[str] = (),
    tier: str | None = None,
    data_folder: str | os.PathLike = DATA_FOLDER,
    workers: int | None = None,
    overwrite: bool = False,
) -> Adopted:
    """Make a corpus from a folder of recordings with label tracks.

    Parameters
    ----------
    folder : str or PathLike
        Recordings, in subfolders too, each with its label track beside it, in any format that
        :mod:`audioseg.label_formats` reads.
    name : str
        The corpus goes to ``data_folder / name``.
    groups : str or PathLike, optional
        A table with the columns ``recording`` (a file, relative to ``folder``) and ``group`` (a
        speaker or a site, which must not be in two splits), and optionally ``split``.
        ``folder / "groups.csv"`` by default. A recording that it does not name is its own group.
    classes, background, ignore
        See :func:`audioseg.corpus.naming.classes_of`.
    tier : str, optional
        Of label tracks from Praat and ELAN, the tier that holds the labels.
    data_folder : str or PathLike
        Where corpora are.
    workers : int, optional
        Processes; as many as processors by default.
    overwrite : bool
        Make the corpus anew, even if that undoes corrections.

    Returns
    -------
    Adopted
        Recordings whose sources have not changed are kept.

    Raises
    ------
    CorpusError
        If the folder or the table of groups cannot be used, there are too few groups, or the corpus
        holds corrections.
    """
    folder, target = Path(folder), Path(data_folder) / name
    if not NAME.fullmatch(name) or name in RESERVED:
        raise CorpusError(
            f"{name!r} cannot be a corpus's name: take letters, digits, dots and dashes, and none "
            f"of {', '.join(RESERVED)}."
        )
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder: give one with recordings and label tracks.")
    if folder.resolve() == target.resolve() or target.resolve() in folder.resolve().parents:
        raise CorpusError(f"{folder} is where the corpus would go: give it another name.")
    corrected = [] if overwrite else corrected_in(read_done(target))
    if corrected:
        raise CorpusError(
            f"{target} holds what `audioseg adopt` has added or corrected ({', '.join(corrected)}),"
            " which this would undo: add recordings with `audioseg adopt`, or make the corpus anew "
            "with --overwrite."
        )
    found, failed = find_recordings(folder, tier)
    tracks = {}
    for recording, (path, track) in found.items():
        try:
            tracks[recording] = read_track(track, tier=tier)
            if classes is not None:
                everything = (*classes, background, *ignore, UNKNOWN)
                read_track(track, classes=everything, tier=tier)
        except LabelError as error:
            failed[str(path)] = str(error)
            tracks.pop(recording, None)
    if not tracks:
        raise _nothing(folder, failed)
    # the last label's end stands for the length: nothing has been decoded yet
    seconds = {r: max((segment.end for segment in tracks[r]), default=0.0) for r in tracks}
    table = read_groups(groups, folder, found)
    remedy = "add recordings or name more groups"
    if failed:
        first = next(iter(failed.values())).rstrip(".")
        remedy = f"{len(failed)} of {len(found)} failed; the first: {first}"
    split_of, group_of = split_by_group(seconds, table, remedy)
    named = classes_of(tracks, classes=classes, background=background, ignore=ignore)
    with writing(target):
        write_classes(target, named)
        done = read_done(target)
        items = [
            {
                "recording": recording,
                "split": split_of[recording],
                "groups": group_of[recording],
                "path": str(found[recording].audio),
                "track": str(found[recording].track),
                "done": done.get(recording),
            }
            for recording in sorted(split_of)
        ]
        _remove_others(target, split_of)
        work = partial(convert, target=target, classes=named, tier=tier)
        count = workers or os.cpu_count() or 1
        rows = map_items(work, items, count, "recordings", [1] * len(items))
        for row in rows:
            if "error" in row:
                failed[row["path"]] = row["error"]
                remove(target, row)
        recordings = pd.DataFrame([row for row in rows if "error" not in row])
        if len(recordings):
            write_csv(target / "recordings.csv", recordings)
    if not len(recordings):
        raise _nothing(folder, failed)
    return Adopted(recordings, failed, odd_spellings(tracks, named))


def _nothing(folder: Path, failed: Mapping[str, str]) -> CorpusError:
    reason = next(iter(failed.values()), "there is no audio")
    return CorpusError(f"{folder} gave no recording: {reason}")


def convert(item: Mapping, target: Path, classes: Classes, tier: str | None) -> dict:
    """Write a recording as FLAC with its label track; return its row, or the error.

    After an error, the files of an earlier call may still be there.
    """
    source, track = Path(item["path"]), Path(item["track"])
    path = target / item["split"] / f"{item['recording']}.flac"
    track_path = path.with_suffix(".txt")
    row = {"recording": item["recording"], "split": item["split"]}
    try:
        origin = "".join(_sha256_of_source(p)[:32] for p in (source, track))
        done = item["done"] or {}
        kept = path.exists() and str(done.get("source"))[:32] == origin[:32]
        if kept and done["split"] == item["split"] and sha256_of(path) == done["sha256"]:
            seconds = float(done["seconds"])
        else:
            seconds = _write_recording(source, path)
        segments = read_track(track, classes=classes.labels, duration=seconds, tier=tier)
        if item.get("review"):
            reviewed = read_label_track(item["review"])
            before = [Segment(0.0, seconds, UNKNOWN)]
            if track_path.exists():
                before = read_label_track(track_path, classes=classes.labels)
            segments = merged(before, segments, reviewed, classes.background)
        # a track that has not changed keeps its time, so that 02 leaves it alone
        if not track_path.exists() or track_path.read_text("utf-8") != label_track(segments):
            write_label_track(track_path, segments)
        return {**row, "seconds": seconds, "groups": item["groups"], "sha256": sha256_of(path),
                "source": origin}  # fmt: skip
    except (AudioError, LabelError) as error:
        return {**row, "path": str(source), "error": str(error)}


def _sha256_of_source(path: Path) -> str:
    """Return the SHA-256 of a file that may be gone or unreadable."""
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
    return samples / SAMPLE_RATE


def corrected_in(done: Mapping[str, Mapping]) -> list[str]:
    """Return the recordings that :func:`audioseg.corpus.corrections.adopt` has put into a corpus.

    Parameters
    ----------
    done : mapping of str to mapping
        As :func:`audioseg.corpus.folder.read_done` returns it.
    """
    return [recording for recording, row in done.items() if str(row.get("corrected")) == "True"]


def _remove_others(target: Path, split_of: Mapping[str, str]) -> None:
    """Remove recordings that are gone now, or in another split.

    This looks at the files: an interrupted call has not written ``recordings.csv``.
    """
    for split in SPLITS:
        for path in list((target / split).glob("*")):
            if path.suffix in (".flac", ".txt") and split_of.get(path.stem) != split:
                path.unlink()


def remove(target: Path, row: Mapping) -> None:
    """Remove a recording and its label track from a corpus."""
    for suffix in (".flac", ".txt"):
        (target / row["split"] / f"{row['recording']}{suffix}").unlink(missing_ok=True)


def report(adopted: Adopted, target: Path) -> Sequence[str]:
    """Return lines on what was made of a folder, and on possible mistakes in it."""
    table = adopted.recordings
    minutes = table.groupby("split").seconds.sum() / 60
    counts = table.groupby("split").size()
    parts = [f"{s} {counts.get(s, 0)} ({minutes.get(s, 0):.1f} min)" for s in SPLITS]
    lines = [f"{target}: {len(table)} recordings: {', '.join(parts)}"]
    classes = read_classes(target)
    aside = [name for name in classes.ignore if name != UNKNOWN]
    ignored = f"; ignored: {', '.join(aside)}" if aside else ""
    lines.append(
        f"classes: {', '.join(classes.names)}; without a label: {classes.background}{ignored}"
    )
    lines += adopted.notes
    tracks = {
        row.recording: read_label_track(target / row.split / f"{row.recording}.txt")
        for row in table.itertuples()
    }
    for split in SPLITS:
        held = {s.label for r in table.recording[table.split == split] for s in tracks[r]}
        missing = [name for name in classes.names if name not in {*held, classes.background}]
        if missing:
            learnt = "no network learns" if split == "TRN" else "its scores say nothing about"
            lines.append(
                f"note: {split} holds no {' and no '.join(missing)}, so {learnt} that: add "
                "recordings, or set the column split of groups.csv."
            )
    labelled = sum(s.end - s.start for track in tracks.values() for s in track)
    if labelled < (1 - UNLABELLED_SHARE) * table.seconds.sum():
        lines.append(
            f"note: {(table.seconds.sum() - labelled) / 60:.1f} min have no label, and count as "
            f"{classes.background}: label them, if that is wrong."
        )
    for _, same in table.groupby("sha256"):
        if same.split.nunique() > 1:
            places = " and ".join(f"{row.recording} ({row.split})" for row in same.itertuples())
            lines.append(f"note: {places} are the same audio: give them one group in groups.csv.")
    return [*lines, *(f"failed: {reason}" for reason in adopted.failed.values())]
