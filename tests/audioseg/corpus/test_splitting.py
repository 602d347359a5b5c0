"""Who is in which split."""

import pandas as pd
import pytest

from audioseg.corpus.sound import CorpusError
from audioseg.corpus.sources import KINDS, SOUND_KINDS
from audioseg.corpus.splitting import plan_split, split_by_group

REMEDY = "add more recordings"


def split(groups, splits):
    """Split recordings of a minute each, one of each group."""
    table = pd.DataFrame({"group": groups, "split": splits}, index=groups)
    return split_by_group(dict.fromkeys(groups, 60.0), table, REMEDY)[0]


def test_a_split_that_is_left_empty_by_hand_is_named():
    voices = [f"voice {i}" for i in range(10)]
    with pytest.raises(CorpusError, match=r"^no group is in TST: .* column split"):
        split(voices, ["TRN"] * 7 + ["VAL"] * 3)
    with pytest.raises(CorpusError, match=r"^no group is in VAL or TST: "):
        split(voices, ["TRN"] * 10)
    assert set(split(voices, ["TRN"] * 7 + ["VAL"] * 2 + [""]).values()) == {"TRN", "VAL", "TST"}


def test_too_few_groups_are_counted():
    with pytest.raises(CorpusError, match=r"^2 groups cannot be split .* at least 3 .* add more"):
        split(["anna", "bert"], ["", ""])


def test_sounds_too_short_to_be_heard_are_left_out_and_prompts_are_not():
    rows = [
        {
            "path": f"{kind}{seconds}",
            "kind": kind,
            "group": kind,
            "split": "TRN",
            "seconds": seconds,
        }
        for kind in KINDS
        for seconds in (0.2, 0.4)
    ]
    kept = set(plan_split(pd.DataFrame(rows)).path)
    assert {row["path"] for row in rows} - kept == {f"{kind}0.2" for kind in SOUND_KINDS}
