"""Who is in which split: whole groups are dealt out (a voice, an artist, a site), never files.

A network that has heard a voice in TRN may recognise the voice, not the class; so scores on VAL and
TST mean something only if their voices are in no other split.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from audioseg.corpus.sound import CorpusError
from audioseg.corpus.sources import SOUND_KINDS

NOISE_SHARES = {"TRN": 0.6, "VAL": 0.2, "TST": 0.2}
OWN_SHARES = {"TRN": 0.7, "VAL": 0.15, "TST": 0.15}
SHORTEST_SOUND_SECONDS = 0.3


def deal(
    seconds: Mapping[str, float], shares: Mapping[str, float], home: Mapping[str, str]
) -> dict[str, str]:
    """Give each group to the split that lacks most of its share, the longest group first.

    Parameters
    ----------
    seconds : mapping of str to float
        How long each group is.
    shares : mapping of str to float
        The share of each split.
    home : mapping of str to str
        The split of groups that have one already.

    Returns
    -------
    dict of str to str
        The split of every group. No split is empty if there are enough groups.
    """
    home = dict(home)
    have = {s: sum(seconds[group] for group in home if home[group] == s) for s in shares}
    # rounded, and by name where equal: the same order everywhere
    for group in sorted(seconds.keys() - home, key=lambda g: (-round(seconds[g], 3), g)):
        lacking = [s for s in shares if s not in home.values()]
        home[group] = min(lacking or shares, key=lambda s: have[s] / shares[s])
        have[home[group]] += seconds[group]
    return home


def plan_split(files: pd.DataFrame) -> pd.DataFrame:
    """Decide the split of each source of the course: by voice, artist and family of sounds.

    The table of sources gives voices and artists their split; families of noise are dealt out.

    Parameters
    ----------
    files : pd.DataFrame
        As :func:`audioseg.corpus.sources.list_sources` returns it.

    Returns
    -------
    pd.DataFrame
        The same with ``split`` decided, without sounds too short to be used.

    Raises
    ------
    CorpusError
        If a group would be in two splits.
    """
    files = files[~files.kind.isin(SOUND_KINDS) | (files.seconds >= SHORTEST_SOUND_SECONDS)].copy()
    families = files[files.split == "*"].groupby("group").seconds.sum()
    home = deal(families.to_dict(), NOISE_SHARES, {})
    files["split"] = files.split.where(files.split != "*", files.group.map(home))
    splits_of = files.groupby("group").split.nunique()
    if (splits_of > 1).any():
        raise CorpusError(f"the group {splits_of.idxmax()} is in two splits: give it one.")
    return files.reset_index(drop=True)


def split_by_group(
    seconds: Mapping[str, float], table: pd.DataFrame, remedy: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the split and the group of each recording of a corpus of one's own.

    Parameters
    ----------
    seconds : mapping of str to float
        How long each recording is.
    table : pd.DataFrame
        As :func:`audioseg.corpus.finding.read_groups` returns it. A recording that it does not
        name is its own group.
    remedy : str
        What to do about too few groups.

    Raises
    ------
    CorpusError
        If there are too few groups, or one of them would be in two splits.
    """
    group_of = {recording: str(table.group.get(recording, recording)) for recording in seconds}
    home: dict[str, str] = {}
    for recording, group in group_of.items():
        split = table.split.get(recording, "") if "split" in table else ""
        if split and home.setdefault(group, split) != split:
            raise CorpusError(
                f"the group {group!r} would be in {home[group]} and {split}: give all its "
                "recordings one split."
            )
    length = dict.fromkeys(group_of.values(), 0.0)
    for recording, group in group_of.items():
        length[group] += seconds[recording]
    home = deal(length, OWN_SHARES, home)
    empty = [split for split in OWN_SHARES if split not in home.values()]
    if empty and len(home) < len(OWN_SHARES):
        raise CorpusError(
            f"{len(home)} groups cannot be split into {', '.join(OWN_SHARES)}: at least 3 are "
            f"needed, so that no speaker or site is in two splits; {remedy}."
        )
    if empty:
        raise CorpusError(
            f"no group is in {' or '.join(empty)}: give it one in the column split, or leave the "
            "split of some groups open."
        )
    return {recording: home[group] for recording, group in group_of.items()}, group_of
