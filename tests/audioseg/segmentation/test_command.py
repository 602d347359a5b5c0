import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import write_recording
from stored_runs import saved

from audioseg.__main__ import main
from audioseg.errors import ArgumentError
from audioseg.label_formats import all_agree, tracks_at
from audioseg.labels import read_label_track
from audioseg.segmentation import command
from audioseg.segmentation.command import find_recordings
from audioseg.training import runs
from vggish.embedding import load_embedding


def test_find_recordings(tmp_path):
    folder = tmp_path / "tapes"
    for name in ("a.wav", "deep/a.wav", "deep/b.mp3", "deep/b.flac", ".hidden/c.wav", "note.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    out = tmp_path / "out"
    found = {
        path.relative_to(folder).as_posix(): target.relative_to(out).as_posix()
        for path, target in find_recordings([folder], out)
    }
    assert found == {
        "a.wav": "a",
        "deep/a.wav": "deep/a",
        "deep/b.mp3": "deep/b.mp3",
        "deep/b.flac": "deep/b.flac",
    }
    with pytest.raises(ArgumentError, match="one after the other"):
        find_recordings([folder / "a.wav", folder / "deep" / "a.wav"], out)
    with pytest.raises(ArgumentError, match="does not exist"):
        find_recordings([folder / "no.wav"], out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="holds no audio"):
        find_recordings([tmp_path / "empty"], out)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".rttm", ".TextGrid", ".eaf"])
def test_labels_beside_a_recording_are_not_replaced(tmp_path, suffix):
    (tmp_path / "a.wav").touch()
    (tmp_path / f"a{suffix}").touch()
    with pytest.raises(ArgumentError, match=rf"a\{suffix}, a label track beside its recording"):
        find_recordings([tmp_path / "a.wav"], tmp_path)


def test_what_earlier_calls_have_left_is_no_recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["a.wav", "b_sound.mp3", "c_sound.mp3", "c.html", "segmented/sent/d.wav"]
    for path in map(Path, names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for here in (Path(), tmp_path):
        found = [path.name for path, _ in find_recordings([here], Path("segmented"))]
        assert found == ["a.wav", "b_sound.mp3"]  # no page is beside b
    assert [path.name for path, _ in find_recordings(["segmented"], Path("segmented"))] == ["d.wav"]
    # into a folder above, everything is as before
    assert [path.name for path, _ in find_recordings(["segmented"], Path())] == ["d.wav"]


def test_names_that_differ_in_capitals_only_get_files_of_their_own(tmp_path):
    for name in ("Interview.MP3", "interview.wav", "old/Tape.wav", "new/tape.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths = [tmp_path / "Interview.MP3", tmp_path / "interview.wav"]
    targets = [target.name for _, target in find_recordings(paths, tmp_path / "out")]
    assert targets == ["Interview.MP3", "interview.wav"]
    with pytest.raises(ArgumentError, match="one after the other"):
        find_recordings([tmp_path / "old/Tape.wav", tmp_path / "new/tape.wav"], tmp_path / "out")


@pytest.mark.skipif(os.name == "nt", reason="descriptors")
def test_libraries_are_quiet_although_standard_error_is_closed():
    kept = os.dup(2)
    os.close(2)
    try:
        with command._quiet_libraries() as terminal:
            terminal.write("nobody reads it")
        with pytest.raises(OSError):  # closed, as it was
            os.fstat(2)
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.mark.parametrize("argv", [[], ["a.wav", "--smooth", "mean"], ["no/such.wav"]])
def test_wrong_arguments_end_with_2(argv, capsys):
    try:
        code = main(["segment", *argv])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and len(error.strip().splitlines()) == 1


def test_the_command_line_segments_a_folder_as_04_smooths(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    weights = {"weights": "mini", "weights_sha256": load_embedding("mini").sha256}
    saved("runs/r", dataset=weights)
    write_recording(tmp_path / "tapes" / "deep" / "a.wav", 3.0)
    (tmp_path / "tapes" / "bad.wav").write_text("no audio")
    assert main(["segment", "tapes"]) == 1
    said = capsys.readouterr()
    assert "run: r, embedding: mini, smoothing: viterbi\n" in said.out
    assert "bad.wav" in said.err and "error: 1 of 2 recordings failed." in said.err
    written = sorted(path.name for path in (tmp_path / "segmented" / "deep").iterdir())
    assert written == ["a.csv", "a.rttm", "a.txt"]
    track = read_label_track(tmp_path / "segmented" / "deep" / "a.txt")
    assert (track[0].start, track[-1].end) == (0.0, 3.0)

    runs.write_test("runs/r", {"smoothing": "median 2 s"})
    assert main(["segment", "tapes/deep", "--run", "runs/r/", "--out", "again"]) == 0
    assert "smoothing: median 2 s\n" in capsys.readouterr().out
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "metrics.json").write_text("{")
    again = ["segment", "tapes/deep", "--run", "r", "--smooth", "none", "--out", "again"]
    assert main(again) == 0  # another run's damage is not this one's
    assert "smoothing: none\n" in capsys.readouterr().out


def test_corrected_label_tracks_are_not_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    weights = {"weights": "mini", "weights_sha256": load_embedding("mini").sha256}
    saved("runs/r", dataset=weights)
    for name in "ab":
        write_recording(tmp_path / "tapes" / f"{name}.wav", 3.0)
    assert main(["segment", "tapes", "--format", "textgrid"]) == 0
    # other answers replace them in every format, so that a third call finds nothing corrected
    assert main(["segment", "tapes", "--smooth", "none"]) == 0
    assert main(["segment", "tapes"]) == 0
    assert len(tracks_at("segmented/a")) == 4 and all_agree(tracks_at("segmented/a"))
    corrected = Path("segmented/a.csv")
    corrected.write_text("start,end,label\n0,3,music\n")
    other = Path("segmented/b.txt")
    other.touch()
    before = other.stat().st_ino
    capsys.readouterr()
    assert main(["segment", "tapes"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: segmented holds label tracks that somebody has made or cor")
    assert "(a.txt, a.csv, a.rttm, a.TextGrid): " in said.err and "--overwrite" in said.err
    assert "tapes/b.wav: 3.0 s" in said.out.replace("\\", "/") and "a.wav" not in said.out
    assert corrected.read_text() == "start,end,label\n0,3,music\n"
    assert other.stat().st_ino != before
    assert main(["segment", "tapes", "--overwrite"]) == 0
    assert all_agree(tracks_at("segmented/a"))


def ready(tmp_path, monkeypatch, *names):
    """Go to a folder with a run and three seconds of sound under each name."""
    monkeypatch.chdir(tmp_path)
    saved("runs/r", dataset={"weights": "mini", "weights_sha256": load_embedding("mini").sha256})
    for name in names:
        write_recording(tmp_path / "tapes" / name, 3.0)


def test_a_page_of_an_earlier_call_never_contradicts_the_tracks(tmp_path, monkeypatch):
    ready(tmp_path, monkeypatch, "a.wav", "b.wav")
    assert main(["segment", "tapes/a.wav", "--html"]) == 0
    page, other = Path("segmented/a.html"), Path("segmented/b.html")
    assert "viterbi" in page.read_text(encoding="utf-8")
    other.write_text("<html>somebody's own</html>")
    assert main(["segment", "tapes", "--smooth", "none"]) == 0
    assert "viterbi" not in page.read_text(encoding="utf-8")
    assert other.read_text() == "<html>somebody's own</html>"


def test_what_is_there_in_part_has_not_failed(tmp_path, monkeypatch, capsys):
    ready(tmp_path, monkeypatch, "a.wav", "b.wav")
    whole = (tmp_path / "tapes/b.wav").read_bytes()
    (tmp_path / "tapes/b.wav").write_bytes(whole[: len(whole) // 2])
    assert main(["segment", "tapes"]) == 1
    assert capsys.readouterr().err.endswith("error: 1 of 2 are there in part.\n")
    (tmp_path / "tapes/c.wav").write_text("no audio")
    assert main(["segment", "tapes"]) == 1
    said = capsys.readouterr().err
    assert said.endswith("error: 1 of 3 recordings failed, 1 of 3 are there in part.\n")


@pytest.mark.parametrize(("seconds", "said"), [(0.1, True), (0.9, True), (0.975, False)])
def test_what_is_shorter_than_a_window_is_pointed_out(tmp_path, monkeypatch, capsys, seconds, said):
    ready(tmp_path, monkeypatch)
    write_recording(tmp_path / "tapes" / "short.wav", seconds)
    assert main(["segment", "tapes", "--html"]) == 0
    assert ("shorter than a window (0.975 s)" in capsys.readouterr().out) == said
    page = (tmp_path / "segmented" / "short.html").read_text(encoding="utf-8")
    assert ("shorter than a window (0.975 s)" in page) == said


@pytest.mark.parametrize(("accuracy", "said"), [(0.687, True), (0.7, False)])
def test_a_run_that_only_guesses_is_pointed_out(tmp_path, monkeypatch, capsys, accuracy, said):
    ready(tmp_path, monkeypatch, "a.wav")
    path = Path("runs/r/metrics.json")
    more = {"val_accuracy": accuracy, "val_majority_share": 0.687}
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    assert main(["segment", "tapes"]) == 0
    assert ("no better than always answering" in capsys.readouterr().out) == said


def test_without_a_run_one_sentence_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").touch()
    assert main(["segment", "a.wav"]) == 1
    expected = (
        "error: runs holds no run yet: run one of the 03 notebooks first (a command looks for "
        "runs/ in the folder that it is called from).\n"
    )
    assert capsys.readouterr().err == expected


def test_without_a_folder_to_write_to_it_ends_with_2(tmp_path, capsys):
    (tmp_path / "a.wav").touch()
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "deeper"):
        assert main(["segment", str(tmp_path / "a.wav"), "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: --out {out} cannot be used as a folder (")
        assert error.endswith("): name another.\n")


def test_only_our_own_lines_are_printed(tmp_path):
    """In a process of its own: libraries in C do not ask Python where to write."""
    saved(
        tmp_path / "runs" / "r",
        dataset={"weights": "mini", "weights_sha256": load_embedding("mini").sha256},
    )
    good, damaged = tmp_path / "good.mp3", tmp_path / "damaged.mp3"
    soundfile.write(good, np.random.default_rng(0).normal(0, 0.1, 96_000), 16_000)
    content = good.read_bytes()
    damaged.write_bytes(content[:2000] + bytes(3000) + content[5000:])
    arguments = [sys.executable, "-m", "audioseg", "segment", good.name, damaged.name]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    first, second, third = done.stdout.splitlines()
    assert first == "run: r, embedding: mini, smoothing: viterbi"
    assert second.startswith("good.mp3: 6.0 s, ")
    assert third.startswith("  -> segmented")
    # the bar is drawn again and again, each time after a carriage return
    lines = [line.strip() for line in done.stderr.replace("\r", "\n").split("\n") if line.strip()]
    said = [line for line in lines if not re.match(r"(good|damaged)\.mp3: .*s/s\]", line)]
    assert len(said) == 2
    assert said[0].startswith("error: damaged.mp3 ")
    assert said[1] == "error: 1 of 2 recordings failed."


def test_interrupted_it_says_what_is_true_of_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.wav").touch()

    def pressed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("audioseg.segmentation.command.find_recordings", pressed)
    assert main(["segment", "a.wav"]) == 130
    assert capsys.readouterr().err == "error: interrupted: the files written so far are complete.\n"


@pytest.mark.parametrize("sign", [1, -1])
def test_channels_that_cancel_are_pointed_out(tmp_path, monkeypatch, capsys, sign):
    ready(tmp_path, monkeypatch)
    path = write_recording(tmp_path / "tapes" / "stereo.wav", 2.0)
    samples, rate = soundfile.read(path)
    mono = samples if samples.ndim == 1 else samples[:, 0]
    soundfile.write(path, np.stack([mono, sign * mono], axis=1), rate)
    assert main(["segment", "tapes", "--html"]) == 0
    said = sign < 0
    assert ("note: its channels cancel each other" in capsys.readouterr().out) == said
    page = (tmp_path / "segmented" / "stereo.html").read_text(encoding="utf-8")
    assert ("Its channels cancel each other (opposite phase)" in page) == said
