"""Add corrected label tracks to a corpus; the splits stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from audioseg.corpus import own
from audioseg.corpus.finding import find_recordings, read_groups
from audioseg.corpus.folder import CORPUS, read_done, write_csv, writing
from audioseg.corpus.sound import CorpusError
from audioseg.label_formats import read_track
from audioseg.labels import LabelError, read_classes
from vggish.download import sha256_of

HOME = "TRN"  # corrections go here: in VAL or TST they would change what scores are measured on


def adopt(
    tracks: str | os.PathLike,
    recordings: str | os.PathLike,
    corpus: str | os.PathLike,
    *,
    groups: str | os.PathLike | None = None,
    tier: str | None = None,
) -> own.Adopted:
    """Add recordings with corrected label tracks to TRN of your own corpus.

    If ``<name>.review.txt`` lies beside a track, only the stretches in it count as corrected; the
    rest keeps the labels that it has in the corpus, or is ignored (``?``) if it has none.

    Parameters
    ----------
    tracks : str or PathLike
        A folder of label tracks, as ``audioseg segment`` writes it.
    recordings : str or PathLike
        The folder of the recordings, as given to ``audioseg segment``.
    corpus : str or PathLike
        Its folder, as ``data/tapes``.
    groups : str or PathLike, optional
        As for :func:`audioseg.corpus.own.adopt`; ``groups.csv`` beside the recordings by default.
    tier : str, optional
        Of label tracks from Praat and ELAN, the tier that holds the labels.

    Returns
    -------
    own.Adopted
        The recordings that were adopted, and the reason for each that was not.

    Raises
    ------
    CorpusError
        If there is no such corpus, or nothing to adopt.
    """
    tracks, recordings, corpus = Path(tracks), Path(recordings), Path(corpus)
    done = rows_of(corpus)
    for folder in (tracks, recordings):
        if not folder.is_dir():
            raise CorpusError(f"{folder} is not a folder: name the folder of the files.")
    classes = read_classes(corpus)
    found, failed = find_recordings(recordings, tier, tracks)
    table = read_groups(groups, recordings, found)
    home = {row["groups"]: row["split"] for row in done.values()}
    items = []
    for name, (audio, track) in found.items():
        before = done.get(name)
        group = (
            before["groups"] if before else str(table.group.get(name, name) if len(table) else name)
        )
        split = before["split"] if before else home.get(group, HOME)
        try:
            read_track(track, classes=classes.labels, tier=tier)
            if split != HOME:
                raise CorpusError(
                    f"{audio} belongs to {split}, on which runs are compared, so its corrections "
                    f"cannot go into {HOME}: leave it out, or make the corpus again."
                )
            if before and before["source"][:32] != sha256_of(audio)[:32]:
                raise CorpusError(f"{audio} is not the recording {name} of {corpus}: rename it.")
        except (LabelError, CorpusError) as error:
            failed[str(audio)] = str(error)
            continue
        review = track.with_name(f"{track.stem}.review.txt")
        items.append(
            {
                "recording": name,
                "split": split,
                "groups": group,
                "path": str(audio),
                "track": str(track),
                "review": str(review) if review.exists() else None,
                "done": before,
            }
        )
    rows = []
    with writing(corpus):
        for item in items:
            row = own.convert(item, corpus, classes, tier)
            if "error" in row:
                failed[row["path"]] = row["error"]
                if not item["done"]:  # what is there already stays as it was
                    own.remove(corpus, row)
            else:
                rows.append({**row, "corrected": True})
        done |= {row["recording"]: row for row in rows}
        write_csv(corpus / "recordings.csv", pd.DataFrame([done[name] for name in sorted(done)]))
    if not rows:
        reason = next(
            iter(failed.values()), f"{tracks} holds no label track of any recording in {recordings}"
        )
        raise CorpusError(f"nothing was adopted: {reason}")
    return own.Adopted(pd.DataFrame(rows), failed)


def rows_of(corpus: Path) -> dict[str, dict]:
    """Return the rows of ``recordings.csv`` of your own corpus.

    Raises
    ------
    CorpusError
        If it is none.
    """
    done = read_done(corpus)
    if not done or corpus.name == CORPUS:
        raise CorpusError(
            f"{corpus} is not a corpus of your own: make one with `audioseg corpus --own` first."
        )
    return done
