"""Recordings of one's own in a folder: their label tracks, and the table of their groups."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from audioseg import audio
from audioseg.corpus.folder import SPLITS
from audioseg.corpus.sound import CorpusError
from audioseg.label_formats import FORMS, delimiter_of, is_track, suffix_of, the_one_of
from audioseg.labels import LabelError

GROUPS_FILE = "groups.csv"


class Found(NamedTuple):
    """A recording and its label track."""

    audio: Path
    track: Path


def find_recordings(
    folder: Path, tier: str | None = None, tracks_folder: Path | None = None
) -> tuple[dict[str, Found], dict[str, str]]:
    """Find recordings by name, with their label tracks.

    Parameters
    ----------
    folder : Path
        Recordings, in subfolders too; the subfolder's name becomes part of the recording's.
    tier : str, optional
        As for :func:`adopt`.
    tracks_folder : Path, optional
        The folder of the label tracks, with the same subfolders; by default ``folder``.

    Returns
    -------
    found : dict of str to Found
    failed : dict of str to str
        Files without a track, with two tracks that differ, or with the name of another file; and
        the reason.
    """
    found: dict[str, Found] = {}
    taken: dict[str, Path] = {}  # some file systems take A and a for the same name
    failed = {}
    there: dict[str, list[Path]] = {}  # label tracks by their place without the suffix
    base = tracks_folder or folder
    for path in sorted(base.rglob("*")):
        if is_track(path) and not path.is_dir():
            there.setdefault(path.relative_to(base).with_suffix("").as_posix(), []).append(path)
    for name, path in _named_files(folder):
        below = path.relative_to(folder)
        # of a.wav and a.mp3, `segment` calls the tracks a.wav.txt and a.mp3.txt
        tracks = there.get(below.as_posix()) or there.get(below.with_suffix("").as_posix(), [])
        if not tracks:
            if tracks_folder is None:
                failed[str(path)] = (
                    f"{path} has no label track: export one to {path.stem}.txt "
                    f"(or {', '.join(suffix_of(form[1:]) for form in list(FORMS)[1:])})."
                )
        elif name.casefold() in taken:
            other = taken[name.casefold()]
            failed[str(path)] = f"{path} has the name of {other}: rename one of them."
        else:
            taken[name.casefold()] = path
            try:
                found[name] = Found(path, the_one_of(tracks, tier=tier))
            except LabelError as error:
                failed[str(path)] = str(error)
    return found, failed


def _named_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the recordings in a folder and its subfolders: their names and files."""
    for path in audio.files_in(folder):
        below = path.relative_to(folder)
        yield "-".join((*below.parts[:-1], path.stem)), path


def read_groups(
    path: str | os.PathLike | None, folder: Path, found: Mapping[str, Found]
) -> pd.DataFrame:
    """Read the table of groups; its index is the recording.

    A row about a recording that was left out, for want of a label track, is left out too.

    Parameters
    ----------
    path : str or PathLike, optional
        The table; by default ``groups.csv`` in ``folder``, where there is one.
    folder : Path
        What its files are relative to.
    found : mapping of str to Found
        As :func:`find_recordings` returns them.
    """
    if path is None:
        path = folder / GROUPS_FILE
        if not path.exists():
            return pd.DataFrame(columns=["group", "split"])
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            delimiter = delimiter_of(file.readline())
        table = pd.read_csv(
            path, sep=delimiter, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read ({error}): save it as CSV in UTF-8.") from None
    for column in ("recording", "group"):
        if column not in table:
            raise CorpusError(f"{path} lacks the column {column!r}: its columns are "
                              "recording, group and, if you like, split.")  # fmt: skip
    # as Windows writes paths
    table = table.assign(recording=table.recording.str.replace("\\", "/"))
    by_file: dict[str, str | None] = {}
    for name, file in (*_named_files(folder), *((name, one.audio) for name, one in found.items())):
        below = file.relative_to(folder)
        places = (name, below.as_posix(), below.with_suffix("").as_posix())
        places = (place.replace("\\", "/") for place in places)
        by_file |= dict.fromkeys(places, name if name in found else None)
    for line, row in enumerate(table.to_dict("records"), start=2):
        split = row.get("split", "")
        if row["recording"] not in by_file:
            raise CorpusError(
                f"{path}, line {line}: there is no recording {row['recording']!r}: correct the "
                "name or remove the line."
            )
        if not row["group"] or split not in ("", *SPLITS):
            raise CorpusError(
                f"{path}, line {line}: it needs a group, and as its split one of "
                f"{', '.join(SPLITS)}, or none."
            )
    table = table.assign(recording=table.recording.map(by_file)).dropna(subset="recording")
    if table.recording.duplicated().any():
        twice = table.recording[table.recording.duplicated()].iloc[0]
        raise CorpusError(f"{path} names the recording {twice!r} twice: keep one of the lines.")
    return table.set_index("recording")
