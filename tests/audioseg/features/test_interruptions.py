"""Two runs at a time, full disks, signals: nothing is lost, and it ends in the same bytes."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from extract_with_fake import FAKE, command, hashes, run
from recordings import write_corpus

import feat_ext
from audioseg import files
from audioseg.features import extraction, parts
from audioseg.features.dataset import load_split, read_dataset


def test_a_second_run_at_the_same_time(capsys, corpus):
    with extraction.only_run(corpus / "embeddings"):
        assert run(corpus) == 1
        assert "another run is writing to" in capsys.readouterr().err
    assert run(corpus) == 0


@pytest.mark.parametrize("raised_by", ["Python", "TensorFlow"])
def test_a_full_disk(capsys, corpus, reference, monkeypatch, raised_by):
    """Not one recording is blamed, the run ends with one sentence, and goes on later."""
    real, calls = feat_ext.write_examples, []

    def full(path, examples):
        real(path, examples)
        calls.append(path)
        if len(calls) == 2:
            reason = os.strerror(errno.ENOSPC)
            if raised_by == "Python":
                raise OSError(errno.ENOSPC, reason)
            # what TFRecordWriter raises
            raise tf.errors.ResourceExhaustedError(None, None, f"{path}; {reason}")

    monkeypatch.setattr(feat_ext, "write_examples", full)
    assert run(corpus) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert "cannot be written to (No space left on device)" in said
    assert "failed" not in said
    monkeypatch.undo()
    assert run(corpus) == 0
    assert "this run: 5 recordings" in capsys.readouterr().out
    assert hashes(corpus / "embeddings") == reference


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limits on the size of files")
@pytest.mark.parametrize("limit", [5_000, 25_000], ids=["parts", "joined"])
def test_a_limit_of_the_system(corpus, reference, limit):
    import resource

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    assert run(corpus, "--hop", "0.24") == 0
    before = hashes(corpus / "embeddings")
    done = command(FAKE, "--corpus", corpus, "--overwrite", preexec_fn=limited)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((corpus / "embeddings").rglob(".*.part.*"))
    if limit == 5_000:  # nothing has been joined: what was there is as it was
        assert hashes(corpus / "embeddings") == before
        assert read_dataset(corpus / "embeddings")["hop_seconds"] == 0.24
    assert run(corpus, "--overwrite") == 0
    assert hashes(corpus / "embeddings") == reference


def test_a_folder_that_cannot_be_made(capsys, corpus):
    (corpus / "embeddings").write_text("in the way")
    assert run(corpus) == 1
    assert "embeddings cannot be written to (File exists)" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(capsys, corpus):
    corpus.chmod(0o555)
    assert run(corpus) == 1
    assert "Permission denied" in capsys.readouterr().err
    corpus.chmod(0o755)


def test_an_interrupted_run(capsys, corpus, reference, monkeypatch):
    replacing = files.replacing
    made = []

    def interrupting(path):
        made.append(path)
        if len(made) == 4:
            raise KeyboardInterrupt
        return replacing(path)

    monkeypatch.setattr(parts, "replacing", interrupting)
    assert run(corpus) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: interrupted")
    monkeypatch.undo()
    assert run(corpus) == 0
    assert hashes(corpus / "embeddings") == reference


@pytest.mark.skipif(os.name == "nt", reason="needs fork")
def test_thirty_kills(tmp_path):
    """SIGKILL at random moments over 22 recordings, going on each time: the same bytes."""
    corpus = write_corpus(tmp_path / "corpus", recordings=22, seconds=1.0)
    assert run(corpus) == 0
    reference = hashes(corpus / "embeddings")
    (corpus / "embeddings").rename(corpus / "reference")
    done = command(FAKE, "--kill", "30", "1", "--corpus", corpus)
    assert done.returncode == 0, done.stderr
    assert "killed 30 times" in done.stdout
    ended = sorted(corpus.glob("embeddings*"))
    for folder in ended:
        assert hashes(folder) == reference
        assert not list(folder.rglob(".*.part.*"))
        for split in ("TRN", "VAL", "TST"):
            load_split(folder, split)


PATIENCE = 300.0  # what is waited for comes in seconds, or never


@pytest.fixture
def two_workers(corpus):
    """A run with two workers; whatever becomes of the test, nothing of it stays."""
    child = subprocess.Popen(
        [sys.executable, str(FAKE), "--corpus", str(corpus), "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    yield child
    child.kill()
    child.communicate()


def wait_for_parts(corpus, count):
    end = time.monotonic() + PATIENCE
    while len(list((corpus / "embeddings").rglob("parts/*/r*"))) < count:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_workers_end_with_their_parent(corpus, two_workers):
    """A killed run with workers leaves nobody behind who holds the folder."""
    wait_for_parts(corpus, 1)
    two_workers.send_signal(signal.SIGKILL)
    two_workers.communicate(timeout=PATIENCE)  # until the last process has closed the pipe
    assert run(corpus) == 0


@pytest.fixture
def endless(corpus):
    """A recording that never ends."""
    os.mkfifo(corpus / "TRN" / "r99.wav")
    (corpus / "TRN" / "r99.txt").write_text("0\t1\tspeech\n")
    return corpus / "TRN" / "r99.wav"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interruption_does_not_wait_for_the_workers(corpus, reference, endless, two_workers):
    """Only the parent is told, and a worker is held up."""
    wait_for_parts(corpus, 6)
    two_workers.send_signal(signal.SIGINT)
    error = two_workers.communicate(timeout=PATIENCE)[1]
    assert two_workers.returncode == 130
    assert error.splitlines()[-1].startswith("error: interrupted")
    assert "Traceback" not in error
    endless.unlink()
    endless.with_suffix(".txt").unlink()
    assert run(corpus) == 0
    assert hashes(corpus / "embeddings") == reference
