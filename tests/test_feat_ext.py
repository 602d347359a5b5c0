import json

import numpy as np
import pytest
from fake_embedding import FakeEmbedding, FakeSource
from recordings import write_corpus, write_recording

import feat_ext
from audioseg.audio import AudioError
from audioseg.features import extraction
from audioseg.labels import CLASSES, LabelError
from feat_ext import DatasetError, load_split, read_dataset, read_split, stream_split

HALF = 0.4875


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


def extract(path, tmp_path, **options):
    with (tmp_path / "one.tfrecord").open("wb") as file:
        return feat_ext.write_example(
            file, path, FakeEmbedding("fake", "a" * 64), name="one", split="TRN", **options
        )


@pytest.mark.numeric
def test_window_times():
    np.testing.assert_allclose(feat_ext.window_times(3), [0.4875, 0.6075, 0.7275])
    np.testing.assert_allclose(feat_ext.window_times(2, 0.96), [0.4875, 1.4475])
    assert len(feat_ext.window_times(0)) == 0


@pytest.mark.parametrize(("seconds", "frames"), [(0.12, 12), (0.01, 1), (0.96, 96), (0.29, 29)])
def test_hops(seconds, frames):
    assert feat_ext.hop_frames_of(seconds) == frames


@pytest.mark.parametrize("seconds", [0.0, -0.12, 0.125, 0.005, float("nan"), float("inf")])
def test_hops_that_are_no_frames(seconds):
    with pytest.raises(DatasetError, match=r"multiple of the 0\.01 s"):
        feat_ext.hop_frames_of(seconds)


def test_labels_are_those_of_the_centres(tmp_path):
    path = write_recording(
        tmp_path / "a.wav", 4.0, labels="0\t1.0\tspeech\n1.0\t2.5\tmusic\n2.5\t3\tspeech+music\n"
    )
    found = extract(path, tmp_path)
    times = HALF + 0.12 * np.arange(found.windows)
    expected = [
        (times < 1.0).sum(),
        ((times >= 1.0) & (times < 2.5)).sum(),
        ((times >= 2.5) & (times < 3)).sum(),
        (times >= 3).sum(),
    ]
    assert found.counts == expected
    assert found.seconds == 4.0
    assert found.windows == 1 + int((4.0 - 0.975) / 0.12 + 1e-9)
    assert not found.padded


@pytest.mark.parametrize("samples", [1, 100, 400, 15_599])
def test_short_recordings_make_one_window_and_are_counted(tmp_path, samples):
    path = write_recording(tmp_path / "a.wav", samples / 16_000, labels="0\t1\tmusic\n")
    path.with_suffix(".txt").write_text(f"0\t{samples / 16_000}\tmusic\n")
    found = extract(path, tmp_path)
    assert (found.windows, found.padded) == (1, True)
    assert found.counts[CLASSES.index("music")] == 1  # not the silence that fills it up


def test_labels_past_the_end(tmp_path):
    path = write_recording(tmp_path / "a.wav", 2.0, labels="0\t3\tspeech\n")
    with pytest.raises(LabelError, match="ends at 3 s, but the recording at 2 s"):
        extract(path, tmp_path)


def test_bad_labels_show_before_the_audio_is_read(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"no audio")
    path.with_suffix(".txt").write_text("0\t1\tsinging\n")
    with pytest.raises(LabelError, match="line 1"):
        extract(path, tmp_path)


def test_long_recordings_wait_on_disk(tmp_path, monkeypatch):
    path = write_recording(tmp_path / "a.wav", 20.0)
    extract(path, tmp_path)
    expected = (tmp_path / "one.tfrecord").read_bytes()
    monkeypatch.setattr(feat_ext, "SPOOL_BYTES", 1000)
    monkeypatch.setattr(feat_ext.records, "BLOCK_ROWS", 7)
    extract(path, tmp_path, folder=tmp_path)
    assert (tmp_path / "one.tfrecord").read_bytes() == expected


def test_progress_adds_up(tmp_path):
    path = write_recording(tmp_path / "a.wav", 20.0)
    told = []
    found = extract(path, tmp_path, progress=lambda *added: told.append(added))
    assert sum(seconds for seconds, _ in told) == pytest.approx(20.0)
    assert sum(windows for _, windows in told) == found.windows


def test_embed_recording(tmp_path):
    path = write_recording(tmp_path / "a.wav", 3.0)
    found = feat_ext.embed_recording(path, FakeEmbedding("fake", "a" * 64), hop_seconds=0.96)
    assert found.shape == (3, 128)
    assert found.dtype == np.float32
    with pytest.raises(AudioError):
        feat_ext.embed_recording(tmp_path / "b.wav", FakeEmbedding("fake", "a" * 64))


# -- reading back


def test_what_was_written_is_read(made):
    recordings = list(read_split(made, "TRN"))
    assert [recording.name for recording in recordings] == ["r00", "r02", "r04"]
    fake = FakeEmbedding("fake", "a" * 64)
    for recording in recordings:
        expected = feat_ext.embed_recording(
            made.parent / "TRN" / f"{recording.name}.wav", fake, hop_seconds=0.12
        )
        np.testing.assert_array_equal(recording.embedding, expected)
        np.testing.assert_array_equal(recording.audio_embedding, fake.quantize(expected))
        assert recording.label.dtype == np.int64
        assert (recording.hop_seconds, recording.start_time_seconds) == (0.12, 0.0)


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
    with pytest.raises(DatasetError, match=r"dataset\.json (is damaged|has the format 99)"):
        read_dataset(own)


def test_a_cut_file_is_named_with_the_record(own):
    path = own / "TRN.tfrecord"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"TRN\.tfrecord, record 3"):
        load_split(own, "TRN")


def test_a_damaged_record_is_named(own):
    path = own / "TRN.tfrecord"
    data = bytearray(path.read_bytes())
    data[feat_ext.records.record_offsets(path)[1][0] + 3000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"TRN\.tfrecord, record 2: its checksum is wrong"):
        load_split(own, "TRN")


def test_a_file_of_another_run(own):
    (own / "TRN.tfrecord").write_bytes((own / "VAL.tfrecord").read_bytes())
    with pytest.raises(DatasetError, match=r"not 3 in .* as dataset.json says"):
        load_split(own, "TRN")


@pytest.mark.parametrize("key", ["split", "hop_seconds"])
def test_a_record_of_another_split_or_hop(own, key):
    dataset = json.loads((own / "dataset.json").read_text())
    if key == "split":
        dataset["splits"]["VAL"] = dataset["splits"]["TRN"]
        (own / "VAL.tfrecord").write_bytes((own / "TRN.tfrecord").read_bytes())
    else:
        dataset["hop_seconds"] = 0.96
    (own / "dataset.json").write_text(json.dumps(dataset))
    with pytest.raises(DatasetError, match=f"record 1: the {key} is"):
        list(read_split(own, "VAL"))


def test_records_of_another_kind(own):
    with (own / "VAL.tfrecord").open("wb") as file:
        feat_ext.records.write_record(file, [b"\x0a\x03abc"], 5)
    dataset = json.loads((own / "dataset.json").read_text())
    size = (own / "VAL.tfrecord").stat().st_size
    dataset["splits"]["VAL"] |= {"recordings": 1, "bytes": size}
    (own / "dataset.json").write_text(json.dumps(dataset))
    with pytest.raises(DatasetError, match=r"record 1: it is no recording as 02 writes them"):
        load_split(own, "VAL")
