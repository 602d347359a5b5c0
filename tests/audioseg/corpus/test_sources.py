"""The table of sources, what is fetched, and who is in which split."""

import itertools
from pathlib import Path

import pandas as pd
import pytest

from audioseg.corpus import folder
from audioseg.corpus import sources as sources_module
from audioseg.corpus.sound import CorpusError
from audioseg.corpus.sources import acquire, inspect, list_sources, read_sources
from audioseg.corpus.splitting import plan_split
from vggish.download import DownloadError

ROOT = Path(__file__).parents[3]


# -- the project's own table


def test_the_projects_table_is_sound():
    sources = read_sources(ROOT / "data/sources.csv")
    pins = sources.drop_duplicates("package")
    assert pins.bytes.sum() < 460e6  # what a workshop downloads; pages say how much
    for split in ("VAL", "TST"):
        for kind in ("speech", "music"):
            assert sources[(sources.split == split) & (sources.kind == kind)].group.nunique() >= 2
    assert (sources.licence != "").all() and (sources.attribution != "").all()
    en, es = (f"asterisk-core-sounds-{code}-g722" for code in ("en", "es"))
    assert sources[sources.package.isin([en, es])].group.nunique() == 1  # perhaps one voice


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("sha256", "abc", "line 3.*sha256"),
        ("bytes", "many", "line 3.*bytes"),
        ("kind", "talk", "line 3.*kind"),
        ("package", "../evil", "line 3.*package"),
        ("version", "1/../2", "line 3.*version"),
        ("split", "TEST", "line 3.*split"),
        ("split", "VAL", "more than one split"),
    ],
)
def test_a_wrong_table_is_refused_by_line(tmp_path, column, value, says):
    table = pd.read_csv(ROOT / "data/sources.csv", dtype=str, keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(tmp_path / "sources.csv", index=False)
    with pytest.raises(CorpusError, match=says):
        read_sources(tmp_path / "sources.csv")


def test_medleys_are_for_trn_alone(tmp_path):
    table = pd.read_csv(ROOT / "data/sources.csv", dtype=str, keep_default_na=False)
    table.loc[table.kind == "singing", "split"] = "VAL"
    table.to_csv(tmp_path / "sources.csv", index=False)
    with pytest.raises(CorpusError, match="singing of scratch would be in VAL"):
        read_sources(tmp_path / "sources.csv")


def test_a_missing_table_or_column_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"sources\.csv"):
        read_sources(tmp_path / "sources.csv")
    (tmp_path / "sources.csv").write_text("package,version\na,1\n")
    with pytest.raises(CorpusError, match="'source'"):
        read_sources(tmp_path / "sources.csv")


# -- acquiring


def test_acquire_goes_without_network_when_the_packages_are_there(made, monkeypatch):
    sources = read_sources(made[0] / "sources.csv")
    monkeypatch.setattr(
        sources_module, "find_mirrors", lambda: pytest.fail("a mirror was asked for")
    )
    acquire(sources, made[0] / "raw")


def test_acquire_refuses_a_package_that_is_not_the_pinned_one(made, tmp_path, monkeypatch):
    sources = read_sources(made[0] / "sources.csv")
    deb = tmp_path / "raw" / "sounds_1.0_all.deb"
    deb.parent.mkdir()
    deb.write_bytes((made[0] / "raw" / deb.name).read_bytes()[:-9])
    sources = sources[sources.package == "sounds"]
    monkeypatch.setenv("DEBIAN_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setattr("vggish.download.time.sleep", lambda seconds: None)
    with pytest.raises(DownloadError, match=r"sounds_1\.0_all\.deb"):
        acquire(sources, tmp_path / "raw")
    assert not (tmp_path / "raw" / "sounds_1.0").exists()


def test_missing_sources_say_what_to_run(made, tmp_path):
    with pytest.raises(CorpusError, match=r"audioseg corpus"):
        list_sources(read_sources(made[0] / "sources.csv"), tmp_path)


# -- splitting


def test_no_group_is_in_two_splits(made):
    files = plan_split(list_sources(read_sources(made[0] / "sources.csv"), made[0] / "raw"))
    assert set(files.split) == set(folder.SPLITS)
    assert (files.groupby("group").split.nunique() == 1).all()
    assert not files.path.str.contains("beep|silence").any()
    takes = files[files.kind == "noise"].groupby("group").size()
    assert (takes == 2).all()  # both takes of a sound stay together
    summary = inspect(files)
    assert summary.minutes.sum() == pytest.approx(files.seconds.sum() / 60, abs=1)


def test_what_a_split_used_is_its_own(made):
    data, table = made
    groups = {s: set(";".join(table[table.split == s].groups).split(";")) for s in folder.SPLITS}
    for one, other in itertools.combinations(folder.SPLITS, 2):
        assert not groups[one] & groups[other]
    segments = pd.read_csv(data / "on-hold/segments.csv")
    assert (segments.groupby("voice").split.nunique() == 1).all()
    assert (segments.groupby("artist").split.nunique() == 1).all()
