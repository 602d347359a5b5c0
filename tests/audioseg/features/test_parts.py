"""One recording: its examples, hour by hour."""

import numpy as np
import pytest
from fake_embedding import FakeEmbedding
from recordings import write_recording

import feat_ext
from audioseg.features import parts
from audioseg.labels import CLASSES, COURSE, LabelError

FAKE = FakeEmbedding("fake", "a" * 64)
MADE = parts.how_made(FAKE, hop_seconds=0.12, batch_size=64, classes=COURSE)


def extract(path, *more):
    """Write the examples of a recording, and read them again; return what was found besides."""
    found = {}
    task = parts.Task("TRN", path.stem, str(path), str(path.with_suffix(".tfrecord")))
    feat_ext.write_examples(task.part, parts.examples_of(task, MADE, FAKE, found, *more))
    return found, list(feat_ext.read_examples(task.part))


def test_labels_are_those_of_the_centres(tmp_path):
    path = write_recording(
        tmp_path / "a.wav", 4.0, labels="0\t1.0\tspeech\n1.0\t2.5\tmusic\n2.5\t3\tspeech+music\n"
    )
    found, (example,) = extract(path)
    times = 0.4875 + 0.12 * np.arange(found["windows"])
    expected = [
        (times < 1.0).sum(),
        ((times >= 1.0) & (times < 2.5)).sum(),
        ((times >= 2.5) & (times < 3)).sum(),
        (times >= 3).sum(),
    ]
    assert found["counts"] == expected
    assert np.bincount(example["label"], minlength=4).tolist() == expected
    assert found["seconds"] == 4.0
    assert found["windows"] == 1 + int((4.0 - 0.975) / 0.12 + 1e-9)
    assert not found["padded"]
    np.testing.assert_array_equal(example["embedding"], feat_ext.embed(feat_ext.load(path), FAKE))
    np.testing.assert_array_equal(example["audio_embedding"], FAKE.quantize(example["embedding"]))


@pytest.mark.parametrize("samples", [1, 100, 400, 15_599])
def test_short_recordings_make_one_window_and_are_counted(tmp_path, samples):
    path = write_recording(tmp_path / "a.wav", samples / 16_000, labels="0\t1\tmusic\n")
    path.with_suffix(".txt").write_text(f"0\t{samples / 16_000}\tmusic\n")
    found, _ = extract(path)
    assert (found["windows"], found["padded"]) == (1, True)
    assert found["counts"][CLASSES.index("music")] == 1  # not the silence that fills it up


def test_labels_past_the_end(tmp_path):
    path = write_recording(tmp_path / "a.wav", 2.0, labels="0\t3\tspeech\n")
    with pytest.raises(LabelError, match="ends at 3 s, but the recording at 2 s"):
        extract(path)


def test_bad_labels_show_before_the_audio_is_read(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"no audio")
    path.with_suffix(".txt").write_text("0\t1\tsinging\n")
    with pytest.raises(LabelError, match="line 1"):
        extract(path)


@pytest.mark.parametrize("windows", [1, 7, 64, 100, 158, 159, 160])
def test_a_long_recording_becomes_several_examples(tmp_path, monkeypatch, windows):
    path = write_recording(tmp_path / "a.wav", 20.0)
    whole, (example,) = extract(path)
    assert whole["windows"] == 159
    monkeypatch.setattr(parts, "EXAMPLE_SECONDS", windows * 0.12 + 0.06)
    found, pieces = extract(path)
    assert [len(piece["label"]) for piece in pieces[:-1]] == [windows] * (len(pieces) - 1)
    assert 1 <= len(pieces[-1]["label"]) <= windows
    for key in ("embedding", "audio_embedding", "label"):
        np.testing.assert_array_equal(
            np.concatenate([piece[key] for piece in pieces]), example[key]
        )
    starts = [piece["start_time_seconds"] for piece in pieces]
    np.testing.assert_array_equal(starts, np.float32(np.arange(len(pieces)) * windows * 0.12))
    assert found["counts"] == whole["counts"]


def test_progress_comes_to_all_of_it(tmp_path):
    told = []
    path = write_recording(tmp_path / "a.wav", 20.0)
    found, _ = extract(path, lambda *so_far: told.append(so_far))
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == (20.0, found["windows"])


def test_threads_are_those_of_the_environment(monkeypatch):
    monkeypatch.setenv(parts.THREADS_VARIABLE, "3")
    assert parts.fix_threads() == 3
    assert parts.fix_threads(2) == 2
