import io
import os
import shutil

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
from archives import files_below

from audioseg import labels
from audioseg.__main__ import main
from audioseg.corpus import corrections, naming
from audioseg.corpus import own as corpus_own
from audioseg.corpus.own import adopt
from audioseg.corpus.sound import CorpusError


def noise_burst(seconds, rate, channels=1, seed=0):
    """Return a tone of 440 Hz for the first half, silence after."""
    time_ = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (440 + seed) * time_) * (time_ < seconds / 2)
    return np.stack([tone] * channels, axis=1)


def write_m4a(path, samples, rate):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T, dtype=np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


@pytest.fixture
def own(tmp_path):
    """Make a folder with six recordings of different kinds, each with a label track."""
    folder = tmp_path / "mine"
    (folder / "site b").mkdir(parents=True)
    soundfile.write(folder / "one.wav", noise_burst(4, 48_000, 2), 48_000, subtype="PCM_24")
    soundfile.write(folder / "two.flac", noise_burst(3, 16_000), 16_000)
    soundfile.write(folder / "three.ogg", noise_burst(5, 44_100), 44_100)
    soundfile.write(folder / "four.mp3", noise_burst(6, 22_050), 22_050)
    write_m4a(folder / "five.m4a", noise_burst(4, 44_100, 2), 44_100)
    soundfile.write(folder / "site b" / "one.wav", noise_burst(2, 8_000), 8_000)
    for path in sorted(folder.rglob("*.*")):
        half = {"four": 3, "three": 2.5, "two": 1.5}.get(path.stem, 2)
        half = 1 if path.parent != folder else half
        # as people's editors write them: a mark, decimal commas, Windows line ends
        text = f"\ufeff0,0\t{half:.1f}\tMusic\r\n".replace(".", ",")
        path.with_suffix(".txt").write_bytes(text.encode())
    return folder


def test_any_format_becomes_the_course_s_layout(own, tmp_path):
    adopted = adopt(own, "calls", data_folder=tmp_path / "data", workers=1)
    assert not adopted.failed
    table = adopted.recordings
    assert set(table.recording) == {"one", "two", "three", "four", "five", "site b-one"}
    assert set(table.split) == {"TRN", "VAL", "TST"}
    for row in table.itertuples():
        path = tmp_path / "data/calls" / row.split / f"{row.recording}.flac"
        samples, rate = soundfile.read(path)
        assert rate == 16_000 and samples.ndim == 1
        assert len(samples) / rate == row.seconds
        (segment,) = labels.read_label_track(path.with_suffix(".txt"), duration=row.seconds)
        assert segment.label == "Music"
        inside = samples[1_600 : int(segment.end * 16_000) - 3_200]
        assert inside.std() == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
        assert samples[int(segment.end * 16_000) + 3_200 :].std() < 0.02
    again = adopt(own, "calls", data_folder=tmp_path / "data", workers=2)
    assert again.recordings.to_csv() == table.to_csv()


def test_groups_are_kept_together(own, tmp_path):
    rows = "recording,group,split\none.wav,anna,\ntwo,anna,\nthree.ogg,bert,TST\nfour,carl,\n"
    (own / "groups.csv").write_text(rows)
    table = adopt(own, "calls", data_folder=tmp_path, workers=1).recordings.set_index("recording")
    assert table.split["one"] == table.split["two"] and table.groups["two"] == "anna"
    assert table.split["three"] == "TST" and table.groups["five"] == "five"
    assert (table.groupby("groups").split.nunique() == 1).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recording,who\none,a\n", "lacks the column 'group'"),
        ("recording,group\nnine,a\n", "line 2.*'nine'"),
        ("recording,group\none,\n", "line 2.*needs a group"),
        ("recording,group,split\none,a,TEST\n", "line 2.*TRN, VAL, TST"),
        ("recording,group\ntwo,a\ntwo.flac,b\n", "'two' twice"),
        ("recording,group,split\none,a,TRN\ntwo,a,VAL\n", "'a' would be in TRN and VAL"),
        ("recording,group\none,a\ntwo,a\nthree,a\nfour,a\nfive,a\nsite b-one,b\n", "at least 3"),
    ],
)
def test_wrong_groups_are_refused(own, tmp_path, text, says):
    (own / "groups.csv").write_text(text)
    with pytest.raises(CorpusError, match=says):
        adopt(own, "calls", data_folder=tmp_path / "data", workers=1)
    assert not files_below(tmp_path / "data") if (tmp_path / "data").exists() else True


def test_bad_recordings_are_named_and_the_rest_is_done(own, tmp_path, capsys):
    (own / "alone.wav").write_bytes((own / "two.flac").read_bytes())
    (own / "cut.wav").write_bytes((own / "one.wav").read_bytes()[:40_000])
    (own / "cut.txt").write_text("0\t0.1\tspeech\n")
    (own / "late.flac").write_bytes((own / "two.flac").read_bytes())
    (own / "late.txt").write_text("0\t99\tspeech\n")
    (own / "odd.flac").write_bytes((own / "two.flac").read_bytes())
    (own / "odd.txt").write_text("0\tone\tshouting\n")
    (own / "two.wav").write_bytes((own / "two.flac").read_bytes())
    hidden = own / ".ipynb_checkpoints"
    hidden.mkdir()
    shutil.copy(own / "two.flac", hidden)
    argv = [
        "corpus",
        "--own",
        str(own),
        "--name",
        "c",
        "--data",
        str(tmp_path / "d"),
        "--workers",
        "1",
    ]
    assert main(argv) == 1
    said = capsys.readouterr()
    assert "6 recordings" in said.out
    lines = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 5
    for name in ("alone.wav", "cut.wav", "late.txt", "odd.txt", "two.wav"):
        assert sum(name in line for line in lines) == 1, name
    names = files_below(tmp_path / "d")
    assert not any(word in name for name in names for word in ("late", "odd", "cut", "part"))


def test_names_that_differ_in_capitals_only_are_refused(own, tmp_path):
    (own / "sub").mkdir()
    for name in ("Site", "site"):
        path = own / "sub" / f"{name}-x.flac"
        path.write_bytes((own / "two.flac").read_bytes())
        path.with_suffix(".txt").write_text("0\t1\tmusic\n")
    if len(list((own / "sub").iterdir())) == 2:
        pytest.skip("this file system takes them for one")
    adopted = adopt(own, "calls", data_folder=tmp_path / "data", workers=1)
    (reason,) = adopted.failed.values()
    assert "has the name of" in reason


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_a_vanished_recording_is_named_and_the_rest_is_done(own, tmp_path):
    (own / "gone.wav").symlink_to(tmp_path / "not there")
    (own / "gone.txt").write_text("0\t1\tmusic\n")
    adopted = adopt(own, "calls", data_folder=tmp_path / "data", workers=1)
    assert len(adopted.recordings) == 6
    (reason,) = adopted.failed.values()
    assert "gone.wav cannot be read (No such file or directory)" in reason


def test_a_full_disk_is_not_blamed_on_the_recording(own, tmp_path, monkeypatch):
    def full(*_, **__):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(corpus_own.soundfile, "SoundFile", full)
    with pytest.raises(CorpusError, match=r"\.flac cannot be written .*: make room"):
        adopt(own, "calls", data_folder=tmp_path / "data", workers=1)
    assert not list((tmp_path / "data").rglob(".*.part*"))


def test_what_is_gone_or_moved_leaves_no_trace(own, tmp_path):
    adopt(own, "calls", data_folder=tmp_path, workers=1)
    rows = ["recording,group,split"]
    table = pd.read_csv(tmp_path / "calls/recordings.csv").set_index("recording")
    moved = {"TRN": "VAL", "VAL": "TST", "TST": "TRN"}
    rows += [f"{name},{name},{moved[table.split[name]]}" for name in table.index if name != "two"]
    (own / "two.flac").unlink()
    (own / "groups.csv").write_text("\n".join(rows) + "\n")
    after = adopt(own, "calls", data_folder=tmp_path, workers=1).recordings
    audio_files = [name for name in files_below(tmp_path / "calls") if name.endswith(".flac")]
    assert sorted(audio_files) == sorted(
        f"{r.split}/{r.recording}.flac" for r in after.itertuples()
    )


@pytest.mark.parametrize("name", ["raw", "on-hold", "", "../x", "a/b", ".x"])
def test_names_that_cannot_be(own, tmp_path, name):
    with pytest.raises(CorpusError, match="cannot be a corpus's name"):
        adopt(own, name, data_folder=tmp_path)


def test_folders_that_cannot_be(own, tmp_path):
    with pytest.raises(CorpusError, match="is not a folder"):
        adopt(tmp_path / "nowhere", "calls", data_folder=tmp_path)
    with pytest.raises(CorpusError, match="another name"):
        adopt(own, "mine", data_folder=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="there is no audio"):
        adopt(tmp_path / "empty", "calls", data_folder=tmp_path / "d")


def test_the_command_line_wants_both(capsys):
    for argv in (["--own", "x"], ["--name", "x"], ["--groups", "x"], ["--workers", "0"]):
        assert main(["corpus", *argv]) == 2
    assert main(["corpus", "--own", "/nowhere at all", "--name", "x"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_what_may_be_amiss_is_noted(own, tmp_path, capsys):
    shutil.rmtree(own / "site b")
    tracks = {"one": "0\t1\tspeech\n1\t2\tspeech+music\n2\t3\tmusic\n", "two": ""}
    for name, text in tracks.items():
        (own / f"{name}.txt").write_text(text)
    shutil.copy(own / "four.mp3", own / "again.mp3")
    shutil.copy(own / "four.txt", own / "again.txt")
    rows = "one,a,TRN\ntwo,b,VAL\nthree,c,TST\nfour,c,TST\nfive,c,TST\nagain,d,TRN\n"
    (own / "groups.csv").write_text(f"recording,group,split\n{rows}")
    argv = [
        "corpus",
        "--own",
        str(own),
        "--name",
        "calls",
        "--data",
        str(tmp_path),
        "--workers",
        "1",
    ]
    assert main(argv) == 0
    _, classes, *notes = capsys.readouterr().out.splitlines()
    assert classes == "classes: Music, speech, speech+music, noise; without a label: noise"
    # three tracks say Music, which is the class; one says music
    assert notes.pop(0) == "note: the label 'music' (1 segment, as in one) is read as 'Music'."
    assert [note.partition(", so")[0] for note in notes[:2]] == [
        "note: VAL holds no Music and no speech and no speech+music",
        "note: TST holds no speech and no speech+music",
    ]
    # of 28 s 3, 3, 2.5, 3 and 2 are labelled
    assert notes[2].startswith("note: 0.2 min have no label, and count as noise:")
    assert notes[3].startswith("note: again (TRN) and four (TST) are the same audio:")
    assert len(notes) == 4


def test_hours_are_decoded_block_by_block(tmp_path, monkeypatch):
    folder = tmp_path / "long"
    folder.mkdir()
    for name in "abc":
        soundfile.write(folder / f"{name}.wav", noise_burst(100, 16_000), 16_000)
        (folder / f"{name}.txt").write_text("0\t20\tmusic\n")
    largest = 0
    whole = corpus_own.to_int16

    def watched(block):
        nonlocal largest
        largest = max(largest, len(block))
        return whole(block)

    monkeypatch.setattr(corpus_own, "to_int16", watched)
    adopt(folder, "calls", data_folder=tmp_path / "data", workers=1)
    assert 0 < largest < 100 * 16_000


def test_a_table_with_windows_line_ends_is_read(own, tmp_path):
    buffer = io.StringIO("recording,group\r\none,x\r\ntwo,x\r\n")
    (own / "groups.csv").write_bytes(b"\xef\xbb\xbf" + buffer.getvalue().encode())
    table = adopt(own, "calls", data_folder=tmp_path, workers=1).recordings.set_index("recording")
    assert table.groups["one"] == "x"


def test_a_table_of_groups_may_come_from_excel_in_germany_on_windows(own, tmp_path):
    rows = "recording;group;split\none.wav;x;\nsite b\\one.wav;x;VAL\n"
    (own / "groups.csv").write_text(rows)
    table = adopt(own, "calls", data_folder=tmp_path, workers=1).recordings.set_index("recording")
    assert table.split["one"] == table.split["site b-one"] == "VAL"


def test_an_interrupted_call_leaves_no_recording_in_two_splits(own, tmp_path, monkeypatch):
    def interrupted(work, items, *rest):
        for item in items:
            work(item)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(corpus_own, "map_items", interrupted)
        adopt(own, "calls", data_folder=tmp_path, workers=1)
    first = {path.stem: path.parent.name for path in (tmp_path / "calls").glob("*/*.flac")}
    for number in (1, 2):  # the longest, which are dealt out first
        soundfile.write(own / f"new{number}.wav", noise_burst(20 + number, 16_000), 16_000)
        (own / f"new{number}.txt").write_text("0\t20\tmusic\n")
    table = adopt(own, "calls", data_folder=tmp_path, workers=1).recordings
    splits = table.set_index("recording").split
    assert any(splits[name] != split for name, split in first.items())  # else it tests nothing
    for suffix in (".flac", ".txt"):
        there = sorted(
            f"{p.parent.name}/{p.stem}" for p in (tmp_path / "calls").glob(f"*/*{suffix}")
        )
        assert there == sorted(f"{row.split}/{row.recording}" for row in table.itertuples())


def test_what_was_adopted_is_not_undone_in_silence(own, tmp_path, capsys):
    argv = ["corpus", "--own", str(own), "--name", "c", "--data", str(tmp_path), "--workers", "1"]
    assert main(argv) == 0
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    soundfile.write(fixed / "other.wav", noise_burst(2, 8_000), 8_000)
    (fixed / "other.txt").write_text("0\t1\tmusic\n")
    corrections.adopt(fixed, fixed, tmp_path / "c")
    before = files_below(tmp_path / "c")
    capsys.readouterr()
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert "has added or corrected (other), which this would undo" in said
    assert files_below(tmp_path / "c") == before
    assert main([*argv, "--overwrite"]) == 0
    assert not (tmp_path / "c/TRN/other.flac").exists()
    assert main(argv) == 0


def test_a_correction_that_cannot_be_used_leaves_the_corpus_as_it_was(own, tmp_path):
    data = tmp_path / "data"
    table = adopt(own, "mine", data_folder=data, workers=1).recordings
    name = table.recording[table.split == "TRN"].iloc[0]
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    source = next(path for path in own.glob(f"{name}.*") if path.suffix != ".txt")
    shutil.copy(source, fixed)
    soundfile.write(fixed / "other.wav", noise_burst(2, 8_000), 8_000)
    for track in (name, "other"):  # they end long after the recordings
        (fixed / f"{track}.txt").write_text("0\t999\tmusic\n")
    before = files_below(data)
    with pytest.raises(CorpusError, match=r"nothing was adopted: .* ends at 999 s"):
        corrections.adopt(fixed, fixed, data / "mine")
    assert files_below(data) == before


def test_a_table_of_groups_may_name_what_cannot_be_used(own, tmp_path):
    (own / "one.csv").write_text("start,end,label\n0,0.5,rain\n")  # one.txt says otherwise
    (own / "two.txt").unlink()
    (own / "groups.csv").write_text("recording,group\none,x\ntwo.flac,x\nthree,y\n")
    adopted = adopt(own, "calls", data_folder=tmp_path, workers=1)
    assert sorted(adopted.recordings.recording) == ["five", "four", "site b-one", "three"]
    assert sorted(name[len(str(own)) + 1 :] for name in adopted.failed) == ["one.wav", "two.flac"]
    (own / "groups.csv").write_text("recording,group\nthre,x\n")
    with pytest.raises(CorpusError, match="line 2: there is no recording 'thre': correct the name"):
        adopt(own, "calls", data_folder=tmp_path, workers=1)


def test_a_label_whose_blanks_rttm_could_not_hold_is_the_same_class():
    tracks = {name: [labels.Segment(0, 1, label)] for name, label in
              (("a", "an owl"), ("b", "an_owl"), ("c", "An Owl"))}  # fmt: skip
    classes = naming.classes_of(tracks)
    assert classes.names == ("An Owl", "noise")
    said = naming.odd_spellings(tracks, classes)
    assert [" is read as 'An Owl'" in one for one in said] == [True, True]
