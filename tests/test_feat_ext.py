"""Feature extraction, step by step."""

import numpy as np
import pytest
import soundfile
from fake_embedding import FakeEmbedding
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from recordings import encode, tone

import feat_ext
from feat_ext import FeatureError

FAKE = FakeEmbedding("fake", "a" * 64)
CLASSES = ("dog", "cat", "silence")


# -- audio


def test_a_recording_is_16k_mono_and_its_full_scale_is_one(tmp_path):
    stereo = np.array([[-32_768, -32_768], [32_767, -32_768], [16_384, 0]], np.int16)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000)
    samples = feat_ext.load(tmp_path / "a.wav")
    assert samples.dtype == np.float32
    # exact: 16-bit samples and their halves have fewer digits than float32
    assert samples.tolist() == [-1.0, -1 / 65_536, 0.25]


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_rates_are_resampled(tmp_path, rate):
    soundfile.write(tmp_path / "a.flac", tone(2.0, rate), rate)
    samples = feat_ext.load(tmp_path / "a.flac")
    assert len(samples) == 32_000
    middle = slice(8_000, 24_000)  # the filter has no neighbours at the ends
    # 16 bits of flac, and a filter whose ripple in the pass band is far below
    np.testing.assert_allclose(samples[middle], tone(2.0)[middle], atol=1e-3)


def test_formats_that_only_ffmpeg_knows(tmp_path):
    encode(tmp_path / "a.m4a", tone(2.0, 44_100), "aac", rate=44_100)
    samples = feat_ext.load(tmp_path / "a.m4a")
    assert np.std(samples) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    assert np.fft.rfft(samples[:16_000]).__abs__().argmax() == 440


@pytest.mark.parametrize("content", [None, b"", b"no audio", bytes(5000)])
def test_what_cannot_be_read(tmp_path, content):
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(FeatureError, match=r"a\.wav cannot be read \(.*\): check") as error:
        feat_ext.load(tmp_path / "a.wav")
    assert "\n" not in str(error.value)


def test_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000)
    with pytest.raises(FeatureError, match="holds no samples"):
        feat_ext.load(tmp_path / "a.wav")


# -- windows and their labels


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
    with pytest.raises(FeatureError, match=r"multiple of the 0\.01 s"):
        feat_ext.hop_frames_of(seconds)


def test_a_segment_holds_its_start_and_uncovered_time_is_background():
    segments = [(1.0, 2.0, "cat"), (2.0, 2.5, "dog")]
    labels = feat_ext.frame_labels(
        segments, [0.5, 1.0, 1.99, 2.0, 2.5], classes=CLASSES, background="silence"
    )
    assert [CLASSES[i] for i in labels] == ["silence", "cat", "cat", "dog", "silence"]
    none = feat_ext.frame_labels([], np.zeros(3), classes=CLASSES, background="silence")
    assert none.tolist() == [2, 2, 2]


def test_labels_that_are_no_class():
    with pytest.raises(FeatureError, match="'bird' is none of dog, cat, silence"):
        feat_ext.frame_labels([(0, 1, "bird")], [0.5], classes=CLASSES, background="silence")
    with pytest.raises(FeatureError, match="'noise' is none of dog, cat, silence"):
        feat_ext.frame_labels([], [0.5], classes=CLASSES)


# -- embeddings


@pytest.mark.parametrize(("samples", "windows"), [(1, 1), (15_600, 1), (15_600 + 1_920, 2)])
def test_a_window_every_hop(samples, windows):
    assert feat_ext.embed(np.zeros(samples, np.float32), FAKE).shape == (windows, 128)


def test_other_hops():
    assert feat_ext.embed(np.zeros(48_000, np.float32), FAKE, hop_seconds=0.96).shape == (3, 128)


# -- TFRecord

windows = st.integers(0, 9).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, (n, 128), elements=st.floats(-9, 9, width=32), fill=st.nothing()),
        arrays(np.uint8, (n, 128)),
        arrays(np.int64, n, elements=st.integers(0, 2**40)),
    )
)


@given(st.lists(st.tuples(st.text("aß ", max_size=5), windows), max_size=3))
def test_what_is_written_is_read(tmp_path_factory, recordings):
    path = tmp_path_factory.getbasetemp() / "a.tfrecord"
    feat_ext.write_examples(
        path,
        [
            feat_ext.to_example(
                *arrays, recording=name, split="TRN", start_time_seconds=7.5, hop_seconds=0.96
            )
            for name, arrays in recordings
        ],
    )
    read = list(feat_ext.read_examples(path))
    assert len(read) == len(recordings)
    for example, (name, (embedding, audio_embedding, label)) in zip(read, recordings, strict=True):
        assert example["recording"].decode() == name
        assert example["split"] == b"TRN"
        assert example["start_time_seconds"] == 7.5
        assert example["hop_seconds"] == np.float32(0.96)
        np.testing.assert_array_equal(example["embedding"], embedding)
        np.testing.assert_array_equal(example["audio_embedding"], audio_embedding)
        np.testing.assert_array_equal(example["label"], label)


def example_of(name):
    rng = np.random.default_rng(0)
    return feat_ext.to_example(
        rng.normal(size=(5, 128)).astype(np.float32),
        rng.integers(0, 256, (5, 128), dtype=np.uint8),
        rng.integers(0, 4, 5),
        recording=name,
        split="TRN",
    )


def test_files_can_be_put_one_behind_the_other(tmp_path):
    for name in "ab":
        feat_ext.write_examples(tmp_path / name, [example_of(name)])
    feat_ext.write_examples(tmp_path / "both", [example_of("a"), example_of("b")])
    joined = b"".join((tmp_path / name).read_bytes() for name in "ab")
    assert (tmp_path / "both").read_bytes() == joined


def test_examples_are_as_audioset_s_are():
    """One bytes value of 128 for each step, as AudioSet's own records have it."""
    lists = example_of("a").feature_lists.feature_list
    assert set(lists) == {"embedding", "audio_embedding", "label"}
    assert [len(one.bytes_list.value[0]) for one in lists["audio_embedding"].feature] == [128] * 5
    assert [len(one.bytes_list.value[0]) for one in lists["embedding"].feature] == [512] * 5


def test_a_network_trains_on_a_file(tmp_path):
    import keras
    import tensorflow as tf

    feat_ext.write_examples(tmp_path / "a.tfrecord", map(example_of, "abc"))
    stream = tf.data.TFRecordDataset(str(tmp_path / "a.tfrecord")).map(feat_ext.parse_example)
    pairs = stream.map(lambda one: (one["embedding"], one["label"])).unbatch().batch(4)
    model = keras.Sequential([keras.layers.Dense(4, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(pairs, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
