"""The TFRecord files of a corpus, read back."""

import json

import numpy as np
import pytest
from fake_embedding import FakeEmbedding, FakeSource
from recordings import write_corpus, write_recording

import feat_ext
from audioseg.features import extraction, parts
from audioseg.features.dataset import (
    DatasetError,
    load_split,
    read_dataset,
    read_split,
    stream_split,
)
from audioseg.features.faster import embed_faster, spread
from audioseg.labels import CLASSES


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("made") / "corpus")
    extraction.run(corpus, source=FakeSource(), show_progress=False)
    return corpus / "embeddings"


@pytest.fixture
def own(made, tmp_path):
    """A copy that a test may damage."""
    for path in made.glob("*.*"):
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_what_was_written_is_read(made):
    recordings = list(read_split(made, "TRN"))
    assert [recording.name for recording in recordings] == ["r00", "r02", "r04"]
    fake = FakeEmbedding("fake", "a" * 64)
    for recording in recordings:
        samples = feat_ext.load(made.parent / "TRN" / f"{recording.name}.wav")
        expected = feat_ext.embed(samples, fake)
        np.testing.assert_array_equal(recording.embedding, expected)
        np.testing.assert_array_equal(recording.audio_embedding, fake.quantize(expected))
        assert recording.label.dtype == np.int64
        assert recording.hop_seconds == 0.12


def test_val_and_tst_are_heard_twice(made):
    fake = FakeEmbedding("fake", "a" * 64)
    for split in ("VAL", "TST"):
        for recording in read_split(made, split):
            samples = feat_ext.load(made.parent / split / f"{recording.name}.wav")
            faster = embed_faster([samples], fake, hop_seconds=0.12)
            expected = spread(faster, len(recording.label), hop_seconds=0.12)
            np.testing.assert_array_equal(recording.faster_embedding, expected)
            np.testing.assert_array_equal(recording.faster_audio_embedding, fake.quantize(expected))
        frames = load_split(made, split)
        assert frames.faster_embedding.shape == frames.embedding.shape
    frames = load_split(made, "TRN")
    assert frames.faster_embedding is None is frames.faster_audio_embedding


@pytest.mark.parametrize("samples", [1, 15_599])
def test_what_is_shorter_than_a_window_is_heard_once(tmp_path, samples):
    corpus = write_corpus(tmp_path / "corpus")
    write_recording(corpus / "VAL" / "short.wav", samples / 16_000, labels="")
    extraction.run(corpus, source=FakeSource(), show_progress=False)
    short = next(r for r in read_split(corpus / "embeddings", "VAL") if r.name == "short")
    np.testing.assert_array_equal(short.faster_embedding, short.embedding)


def test_recordings_in_several_examples_are_whole_again(made, tmp_path, monkeypatch):
    corpus = write_corpus(tmp_path / "corpus")
    monkeypatch.setattr(parts, "EXAMPLE_SECONDS", 0.6)
    extraction.run(corpus, source=FakeSource(), show_progress=False)
    assert len(list(feat_ext.read_examples(corpus / "embeddings" / "TRN.tfrecord"))) > 6
    for split in ("TRN", "VAL", "TST"):
        for cut, whole in zip(
            load_split(corpus / "embeddings", split), load_split(made, split), strict=True
        ):
            np.testing.assert_array_equal(cut, whole)


def test_load_split_joins_recordings(made):
    frames = load_split(made, "TRN")
    parts = list(read_split(made, "TRN"))
    assert frames.names == ("r00", "r02", "r04")
    assert frames.hop_seconds == 0.12
    for number, part in enumerate(parts):
        mine = frames.recording == number
        np.testing.assert_array_equal(frames.embedding[mine], part.embedding)
        np.testing.assert_array_equal(frames.audio_embedding[mine], part.audio_embedding)
        np.testing.assert_array_equal(frames.label[mine], part.label)
    assert frames.embedding.dtype == np.float32
    assert frames.embedding.flags.writeable  # ours to change, no view of the file
    assert len(frames.label) == read_dataset(made)["splits"]["TRN"]["windows"]


@pytest.mark.parametrize("feature", ["embedding", "audio_embedding"])
def test_stream_in_order_is_load(made, feature):
    frames = load_split(made, "TRN")
    x, y = zip(*stream_split(made, "TRN", feature=feature, batch_size=10), strict=True)
    np.testing.assert_array_equal(np.concatenate(x), getattr(frames, feature))
    np.testing.assert_array_equal(np.concatenate(y), frames.label)


def rows(stream):
    return [tuple(row) for x, _ in stream for row in np.asarray(x)]


def test_stream_shuffles_each_epoch_anew_and_loses_nothing(made):
    frames = load_split(made, "TRN")
    stream = stream_split(made, "TRN", feature="embedding", shuffle=20, seed=1)
    first, second = rows(stream), rows(stream)
    expected = sorted(tuple(row) for row in frames.embedding)
    assert sorted(first) == sorted(second) == expected
    assert first != second
    again = stream_split(made, "TRN", feature="embedding", shuffle=20, seed=1)
    assert rows(again) == first


def test_shards_share_out_a_split(made):
    frames = load_split(made, "TRN")
    parts = [rows(stream_split(made, "TRN", feature="embedding", shard=(i, 2))) for i in (0, 1)]
    assert len(parts[0]) > 0 < len(parts[1])
    assert sorted(parts[0] + parts[1]) == sorted(tuple(row) for row in frames.embedding)


def test_stream_trains_a_network(made):
    import keras

    model = keras.Sequential([keras.layers.Dense(4, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    stream = stream_split(made, "TRN", batch_size=10, shuffle=100)
    windows = read_dataset(made)["splits"]["TRN"]["windows"]
    assert stream.cardinality() == -(-windows // 10)
    model.fit(stream, epochs=2, verbose=0, shuffle=False)


def test_stream_refuses(made):
    with pytest.raises(DatasetError, match="neither"):
        stream_split(made, "TRN", feature="log_mel")
    with pytest.raises(DatasetError, match="shard 2 of 2"):
        stream_split(made, "TRN", shard=(2, 2))


# -- what does not fit


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"hop_seconds": 0.96}, "hop_seconds 0.12, where 0.96 is needed"),
        ({"classes": ("speech", "music")}, "classes"),
        ({"weights_sha256": "c" * 64}, r"weights_sha256 a+ \(auto\), where c+ is needed"),
    ],
)
def test_other_settings_are_refused(made, expected, said):
    for read in (load_split, lambda *a, **k: list(read_split(*a, **k)), stream_split):
        with pytest.raises(DatasetError, match=said):
            read(made, "TRN", **expected)


def test_settings_that_fit(made):
    load_split(made, "VAL", hop_seconds=0.12, classes=CLASSES, weights_sha256="a" * 64)
    read_dataset(made, classes=None)


def test_nothing_there(tmp_path):
    with pytest.raises(DatasetError, match=r"dataset\.json does not exist: run 02"):
        load_split(tmp_path, "TRN")


def test_a_missing_split(own):
    (own / "VAL.tfrecord").unlink()
    with pytest.raises(DatasetError, match=r"VAL\.tfrecord does not exist"):
        load_split(own, "VAL")
    with pytest.raises(DatasetError, match=r"splits made: TRN, VAL, TST"):
        load_split(own, "DEV")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}', '"x"'])
def test_a_damaged_description(own, text):
    (own / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json (is damaged|has the format (99|1),)"):
        read_dataset(own)


def test_a_cut_file_is_named(own):
    path = own / "TRN.tfrecord"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        DatasetError, match=r"TRN\.tfrecord has \d+ bytes, not \d+ as dataset\.json says"
    ):
        load_split(own, "TRN")


def test_a_damaged_record_is_named(own, made):
    path = own / "TRN.tfrecord"
    data = bytearray(path.read_bytes())
    data[(made / "parts" / "TRN" / "r00.tfrecord").stat().st_size + 3000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"TRN\.tfrecord, record 2: it is damaged"):
        load_split(own, "TRN")


def test_a_file_of_another_run(own):
    (own / "TRN.tfrecord").write_bytes((own / "VAL.tfrecord").read_bytes())
    with pytest.raises(
        DatasetError, match=r"TRN\.tfrecord has \d+ bytes, not \d+ as dataset\.json says"
    ):
        load_split(own, "TRN")


@pytest.mark.parametrize("key", ["split", "hop_seconds"])
def test_a_record_of_another_split_or_hop(own, key):
    dataset = json.loads((own / "dataset.json").read_text())
    if key == "split":
        dataset["splits"]["TRN"] = dataset["splits"]["VAL"]
        (own / "TRN.tfrecord").write_bytes((own / "VAL.tfrecord").read_bytes())
    else:
        dataset["hop_seconds"] = 0.96
    (own / "dataset.json").write_text(json.dumps(dataset))
    with pytest.raises(DatasetError, match=f"record 1: the {key} is"):
        list(read_split(own, "TRN"))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x0a\x03abc",
        feat_ext.to_example(
            np.zeros((2, 64), np.float32), np.zeros((2, 128), np.uint8), np.zeros(2, np.int64),
            recording="a", split="VAL", faster_embedding=np.zeros((2, 128), np.float32),
            faster_audio_embedding=np.zeros((2, 128), np.uint8),
        ).SerializeToString(),
        feat_ext.to_example(
            np.zeros((2, 128), np.float32), np.zeros((2, 128), np.uint8), np.zeros(2, np.int64),
            recording="a", split="VAL",
        ).SerializeToString(),
    ],
    ids=["empty", "noise", "64 dimensions", "heard once"],
)  # fmt: skip
def test_records_of_another_kind(own, record):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(own / "VAL.tfrecord")) as writer:
        writer.write(record)
    dataset = json.loads((own / "dataset.json").read_text())
    size = (own / "VAL.tfrecord").stat().st_size
    dataset["splits"]["VAL"] |= {"recordings": 1, "bytes": size}
    (own / "dataset.json").write_text(json.dumps(dataset))
    with pytest.raises(DatasetError, match=r"record 1: it is not one that 02 writes"):
        load_split(own, "VAL")
