import hashlib
import os
import sys
from pathlib import Path

import pytest
from extract_with_fake import FAKE, SCRIPT, command, hashes, main, run
from fake_embedding import DeadlySource, FakeSource
from recordings import write_recording

import feat_ext
from audioseg.features import parts
from audioseg.features.dataset import load_split, read_dataset

# -- arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hop", "0.125"], "0.125"),
        (["--hop", "x"], "--hop"),
        (["--batch", "0"], "'0' is not a whole number of 1 or more"),
        (["--workers", "-1"], "-1"),
        (["--splits", "DEV"], "DEV"),
        (["--workers", "2", "--scheduler", "tcp://x"], "not allowed with"),
        (["--precision", "float16"], "float16"),
        (["--nonsense"], "--nonsense"),
        (["--corpus", "/does/not/exist"], "/does/not/exist does not exist"),
    ],
)
def test_wrong_arguments(capsys, corpus, arguments, said):
    try:
        code = main(["--corpus", str(corpus), *arguments], source_class=FakeSource)
    except SystemExit as end:
        code = end.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not (corpus / "embeddings").exists()


def test_a_split_or_recordings_that_are_not_there(capsys, tmp_path):
    (tmp_path / "TRN").mkdir()
    assert run(tmp_path) == 2
    assert "holds no recordings" in capsys.readouterr().err
    assert run(tmp_path, "--splits", "VAL") == 2
    assert "has no folder VAL: choose among TRN" in capsys.readouterr().err
    assert run(tmp_path / "TRN") == 2
    assert "none of the folders TRN, VAL, TST" in capsys.readouterr().err


def test_weights_that_are_not_there(capsys, corpus):
    assert run(corpus, "--weights", "nowhere.ckpt", source_class=parts.Source) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "nowhere.ckpt does not exist: give the path" in error


def test_help_needs_neither_tensorflow_nor_a_corpus(tmp_path):
    code = (
        "import runpy, sys\n"
        f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'tensorflow' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = command("-c", code, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for option in "corpus splits weights hop precision batch workers scheduler overwrite".split():
        assert f"--{option}" in done.stdout


# -- a run, and what it leaves


def test_a_run(capsys, corpus):
    assert run(corpus) == 0
    out, err = capsys.readouterr()
    assert "this run: 6 recordings" in out
    assert "h of audio" in err
    assert "windows/s" in err
    dataset = read_dataset(corpus / "embeddings")
    assert list(dataset["splits"]) == ["TRN", "VAL", "TST"]
    for split, entry in dataset["splits"].items():
        frames = load_split(corpus / "embeddings", split)
        assert entry["recordings"] == len(frames.names)
        assert entry["windows"] == len(frames.label) == sum(entry["counts"].values())
        path = corpus / "embeddings" / f"{split}.tfrecord"
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert dataset["failed"] == []
    assert dataset["run"]["recordings"] == 6
    assert dataset["run"]["windows"] == sum(e["windows"] for e in dataset["splits"].values())
    seconds = sum(2.0 + 0.3 * number for number in range(6))
    assert dataset["run"]["hours"] == pytest.approx(seconds / 3600, rel=1e-3)
    assert {"tensorflow", "numpy", "python"} <= set(dataset["versions"])


def test_the_second_run_changes_nothing(capsys, corpus):
    assert run(corpus) == 0
    before = {p: p.stat().st_mtime_ns for p in (corpus / "embeddings").rglob("*.*")}
    assert run(corpus) == 0
    assert "nothing new" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (corpus / "embeddings").rglob("*.*")} == before


def test_the_same_recordings_with_other_dates_change_nothing(capsys, corpus):
    assert run(corpus) == 0
    for path in corpus.glob("T*/*"):
        os.utime(path, (1, 1))
    assert run(corpus) == 0
    assert "nothing new" in capsys.readouterr().out


def test_only_what_changed_is_made_anew(capsys, corpus):
    assert run(corpus) == 0
    before = hashes(corpus / "embeddings")
    write_recording(corpus / "TRN" / "r00.wav", 3.0, seed=77)
    (corpus / "VAL" / "r01.txt").write_text("0\t1\tmusic\n")
    write_recording(corpus / "TRN" / "new.wav", 2.0, seed=78)
    (corpus / "TRN" / "r02.wav").unlink()
    (corpus / "TRN" / "r02.txt").unlink()
    assert run(corpus) == 0
    assert "this run: 3 recordings" in capsys.readouterr().out
    after = hashes(corpus / "embeddings")
    assert after["TST.tfrecord"] == before["TST.tfrecord"]
    assert after["TRN.tfrecord"] != before["TRN.tfrecord"]
    assert load_split(corpus / "embeddings", "TRN").names == ("new", "r00", "r04")
    frames = load_split(corpus / "embeddings", "VAL")
    assert frames.names == ("r01", "r05")
    assert frames.label[frames.recording == 0].tolist()[-3:] == [3, 3, 3]
    (corpus / "embeddings").rename(corpus / "old")
    assert run(corpus) == 0
    assert hashes(corpus / "embeddings") == after


def test_without_parts_the_records_are_still_up_to_date(corpus, reference):
    assert run(corpus) == 0
    for path in (corpus / "embeddings" / "parts").rglob("*.tfrecord"):
        path.write_bytes(path.read_bytes()[:-7])  # and damaged parts are no parts
    assert run(corpus) == 0
    assert hashes(corpus / "embeddings") == reference


def test_a_lost_or_cut_record_file_is_joined_again(corpus, reference):
    assert run(corpus) == 0
    (corpus / "embeddings" / "TRN.tfrecord").unlink()
    path = corpus / "embeddings" / "VAL.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    assert run(corpus) == 0
    assert hashes(corpus / "embeddings") == reference


def test_records_of_a_run_that_was_killed_before_it_described_them_are_joined_again(
    corpus, reference
):
    assert run(corpus) == 0
    dataset = corpus / "embeddings" / "dataset.json"
    described = dataset.read_bytes()
    track = corpus / "VAL" / "r01.txt"
    before = track.read_text()
    track.write_text("0\t1\tmusic\n")
    assert run(corpus) == 0
    dataset.write_bytes(described)
    track.write_text(before)
    assert run(corpus) == 0
    assert hashes(corpus / "embeddings") == reference


@pytest.mark.parametrize("hop", ["0.30000000000000004", "20.03"])
def test_hops_that_float32_rounds_are_read_back(corpus, hop):
    assert run(corpus, "--hop", hop) == 0
    frames = load_split(corpus / "embeddings", "TRN", hop_seconds=round(float(hop), 2))
    assert frames.hop_seconds == round(float(hop), 2)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_names_that_are_no_text(corpus):
    for name in (b"ignored\xff.xyz", b"bad\xff.wav"):
        Path(os.fsdecode(bytes(corpus / "TRN") + b"/" + name)).touch()
    done = command(FAKE, "--corpus", corpus, env=os.environ | {"PYTHONUTF8": "1"})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ignored\\udcff.xyz" in done.stdout
    assert "bad\\udcff: its name is" in done.stderr


def test_splits_one_by_one(corpus, reference):
    for split in ("VAL", "TRN", "TST"):
        assert run(corpus, "--splits", split) == 0
        assert read_dataset(corpus / "embeddings")["splits"][split]["recordings"]
    assert hashes(corpus / "embeddings") == reference


def test_other_settings_never_mix(capsys, corpus, reference):
    assert run(corpus) == 0
    dataset = (corpus / "embeddings" / "dataset.json").read_bytes()
    for more, said in (
        (["--weights", "other"], "weights auto (aaaaaaaaaaaa), not other (bbbbbbbbbbbb)"),
        (["--hop", "0.96"], "hop_seconds 0.12, not 0.96"),
    ):
        assert run(corpus, *more) == 1
        assert said in capsys.readouterr().err
        assert run(corpus, *more, "--overwrite", "--splits", "VAL") == 1
        assert "overwrite all splits together" in capsys.readouterr().err
        assert hashes(corpus / "embeddings") == reference
        assert (corpus / "embeddings" / "dataset.json").read_bytes() == dataset
    assert run(corpus, "--weights", "other", "--hop", "0.96", "--overwrite") == 0
    found = read_dataset(corpus / "embeddings", hop_seconds=0.96, weights_sha256="b" * 64)
    assert found["weights"] == "other"
    assert run(corpus, "--overwrite") == 0
    assert hashes(corpus / "embeddings") == reference


def test_overwrite_makes_all_anew(capsys, corpus, reference):
    assert run(corpus) == 0
    path = corpus / "embeddings" / "TRN.tfrecord"
    path.write_bytes(bytes(len(path.read_bytes())))  # damaged, but of the right size
    capsys.readouterr()
    assert run(corpus, "--overwrite") == 0
    assert "this run: 6 recordings" in capsys.readouterr().out
    assert hashes(corpus / "embeddings") == reference


def test_workers_make_the_same_bytes(corpus, reference):
    done = command(FAKE, "--corpus", corpus, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert hashes(corpus / "embeddings") == reference


def test_a_worker_that_dies_costs_a_retry(corpus, reference, tmp_path):
    (tmp_path / "trigger").touch()
    assert (
        run(
            corpus,
            "--workers",
            "2",
            "--weights",
            str(tmp_path / "trigger"),
            source_class=DeadlySource,
        )
        == 0
    )
    assert not (tmp_path / "trigger").exists()
    assert hashes(corpus / "embeddings") == reference


# -- bad recordings


def test_bad_recordings_are_listed_and_the_rest_is_done(capsys, corpus, reference):
    trn = corpus / "TRN"
    (trn / "bad1.wav").write_bytes(b"RIFF")
    (trn / "bad1.txt").touch()
    write_recording(trn / "bad2.wav", 2.0, labels="0\t1\tsinging\n")
    write_recording(trn / "bad3.wav", 2.0)
    (trn / "bad3.txt").unlink()
    write_recording(trn / "bad4.wav", 2.0)
    write_recording(trn / "bad4.flac", 2.0)
    (trn / f"{'x' * 240}.wav").touch()
    (trn / ".ipynb_checkpoints").mkdir()
    write_recording(trn / ".ipynb_checkpoints" / "r00-checkpoint.wav", 2.0)
    write_recording(trn / ".hidden.wav", 2.0)
    (trn / "cover.jpg").write_bytes(b"\xff\xd8")
    (trn / "notes.xyz").touch()
    (trn / "link.wav").symlink_to(corpus / "nowhere.wav")
    assert run(corpus) == 1
    out, err = capsys.readouterr()
    failed = {f["recording"]: f["reason"] for f in read_dataset(corpus / "embeddings")["failed"]}
    assert set(failed) == {"bad1", "bad2", "bad3", "bad4", "x" * 240, "link"}
    assert "singing" in failed["bad2"]
    assert "bad3.txt" in failed["bad3"]
    assert "bad4.flac and bad4.wav share a name" in failed["bad4"]
    for reason in failed.values():
        assert reason in err
        assert "\n" not in reason
        assert reason.endswith(".")
    assert "ignored: 2 files that are not recordings, such as TRN/cover.jpg" in out
    assert hashes(corpus / "embeddings") == reference
    # once they are mended, they are taken in, and nothing else is done again
    write_recording(trn / "bad1.wav", 2.0)
    for name in ("bad2.wav", "bad3.wav", "bad4.wav", "bad4.flac", f"{'x' * 240}.wav", "link.wav"):
        (trn / name).unlink()
    assert run(corpus) == 0
    assert "this run: 1 recordings" in capsys.readouterr().out
    assert load_split(corpus / "embeddings", "TRN").names == ("bad1", "r00", "r02", "r04")


def test_a_bug_or_a_lack_of_memory_fails_one_recording(capsys, corpus, monkeypatch):
    write_examples = feat_ext.write_examples

    def failing(path, examples):
        write_examples(path, examples)
        if ".r02-" in str(path):
            raise MemoryError("no more")

    monkeypatch.setattr(feat_ext, "write_examples", failing)
    assert run(corpus) == 1
    assert "MemoryError: no more" in capsys.readouterr().err
    assert load_split(corpus / "embeddings", "TRN").names == ("r00", "r04")


def test_a_recording_that_vanishes_or_changes(capsys, corpus, monkeypatch):
    write_examples = feat_ext.write_examples

    def meddling(path, examples):
        write_examples(path, examples)
        if ".r00-" in str(path):
            (corpus / "TRN" / "r00.txt").write_text("0\t1\tnoise\n")
        if ".r02-" in str(path):
            (corpus / "TRN" / "r04.wav").unlink()

    monkeypatch.setattr(feat_ext, "write_examples", meddling)
    assert run(corpus) == 1
    error = capsys.readouterr().err
    assert "r00.wav changed while it was read" in error
    assert "r04.wav cannot be read (No such file or directory)" in error
    assert load_split(corpus / "embeddings", "TRN").names == ("r02",)


def test_if_all_fail_the_old_records_stay(capsys, corpus):
    assert run(corpus) == 0
    before = hashes(corpus / "embeddings")
    for path in corpus.glob("*/*.wav"):
        path.write_bytes(b"the disk was not mounted")
    assert run(corpus) == 1
    assert "failed: 6 recordings" in capsys.readouterr().err
    assert hashes(corpus / "embeddings") == before
    read_dataset(corpus / "embeddings")
