import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import relative_l2, sums

from vggish.embedding import Embedding, EmbeddingError, load_embedding
from vggish.frontend import log_mel
from vggish.postprocess import PCA, quantize


@pytest.fixture(scope="module")
def small():
    """A network with VGGish's input and output that costs nothing."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((96, 64))
    pooled = keras.layers.AveragePooling1D(8)(inputs)
    outputs = keras.layers.Dense(128)(keras.layers.Flatten()(pooled))
    model = keras.Model(inputs, outputs, name="small")
    return Embedding(model, name="small", sha256="0" * 64, batch_size=8)


def noise(samples, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


@pytest.mark.numeric
@pytest.mark.parametrize("hop_frames", [1, 12, 13, 96, 150])
@pytest.mark.parametrize("frames", [0, 95, 96, 97, 96 + 12 * 7, 96 + 12 * 8, 1000])
def test_every_window_once_and_in_order(small, hop_frames, frames):
    spectrogram = np.random.default_rng(frames).standard_normal((frames, 64)).astype(np.float32)
    starts = range(0, frames - 95, hop_frames)
    embeddings = small.embed(spectrogram, hop_frames)
    assert embeddings.shape == (len(starts), 128)
    assert embeddings.dtype == np.float32
    if frames >= 96:
        cut = np.stack([spectrogram[start : start + 96] for start in starts])
        kernel, bias = small.model.layers[-1].get_weights()
        pooled = cut.reshape(-1, 12, 8, 64).mean(axis=2, dtype=float)
        expected = pooled.reshape(-1, 12 * 64) @ kernel + bias
        assert relative_l2(embeddings, expected) < sums(8, 12 * 64)


@pytest.mark.numeric
@settings(max_examples=20)
@given(
    st.lists(st.integers(0, 60_000), min_size=1, max_size=6),
    st.sampled_from([4, 12, 13, 96]),
)
def test_blocks_joined_are_the_whole_bit_for_bit(small, lengths, hop_frames):
    waveform = noise(sum(lengths) + 1)
    blocks = np.split(waveform, np.cumsum(lengths))
    stream = small.stream(blocks, hop_frames)
    parts = list(stream)
    assert stream.samples == len(waveform)
    assert stream.windows == sum(len(part) for part in parts)
    assert stream.padded == (len(waveform) < 15600)
    if not stream.padded:
        whole = small.embed(log_mel(waveform), hop_frames)
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_stream_takes_in_no_more_than_it_needs(small):
    """Memory is bounded: what has been embedded is not held, what is not needed is not read."""
    read = 0

    def blocks():
        nonlocal read
        for _ in range(1000):
            read += 1
            yield noise(16_000)

    chunks = iter(small.stream(blocks()))
    next(chunks)
    assert read < 15  # one chunk of 8 windows and one of 512 frames
    next(chunks)
    assert read < 20


def test_short_audio_is_filled_up_by_its_mirror_image_and_reported(small):
    waveform = noise(5000)
    stream = small.stream([waveform])
    (embeddings,) = stream
    padded = np.concatenate([waveform, waveform[::-1], waveform, waveform[::-1]])[:15_600]
    np.testing.assert_array_equal(embeddings, small.embed(log_mel(padded)))
    assert (stream.samples, stream.windows, stream.padded) == (5000, 1, True)


def test_short_audio_can_be_an_error(small):
    with pytest.raises(EmbeddingError, match=r"15599 samples.*15600"):
        list(small.stream([noise(15_599)], pad_short=False))
    assert len(list(small.stream([noise(15_600)], pad_short=False))) == 1


@pytest.mark.parametrize("blocks", [[], [np.empty(0, np.float32)]])
def test_no_audio_is_an_error(small, blocks):
    with pytest.raises(EmbeddingError, match="no audio"):
        list(small.stream(blocks))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_an_error_with_its_place(small, value):
    bad = noise(16_000)
    bad[8000] = value
    with pytest.raises(EmbeddingError, match=r"sample 40000 \(at 2\.500 s\)"):
        list(small.stream([noise(32_000), bad]))


@pytest.mark.parametrize("block", [np.zeros((2, 100), np.float32), np.zeros(100, np.int16)])
def test_what_is_no_block_of_audio(small, block):
    with pytest.raises(EmbeddingError, match="floats"):
        list(small.stream([block]))


def test_bad_spectrograms_and_hops(small):
    with pytest.raises(EmbeddingError, match=r"\(frames, 64\)"):
        small.embed(np.zeros((100, 40)))
    with pytest.raises(EmbeddingError, match="NaN"):
        small.embed(np.full((100, 64), np.nan))
    with pytest.raises(EmbeddingError, match="hop"):
        small.embed(np.zeros((100, 64)), 0)


def test_bad_options(small):
    with pytest.raises(EmbeddingError, match="float16"):
        Embedding(small.model, name="", sha256="", precision="float16")
    with pytest.raises(EmbeddingError, match="0"):
        Embedding(small.model, name="", sha256="", batch_size=0)


def test_quantize_and_description_tell_of_the_pca(small):
    embeddings = np.random.default_rng(0).standard_normal((5, 128))
    np.testing.assert_array_equal(small.quantize(embeddings), quantize(embeddings, PCA.identity()))
    assert small.description()["postprocessing"].startswith("no PCA")
    pca = PCA(2 * np.eye(128), np.ones(128))
    with_pca = Embedding(small.model, name="small", sha256="1" * 64, pca=pca)
    np.testing.assert_array_equal(with_pca.quantize(embeddings), quantize(embeddings, pca))
    assert with_pca.description() == {
        "name": "small",
        "network": "small",
        "sha256": "1" * 64,
        "precision": "float32",
        "postprocessing": "PCA, clipped to [-2, 2], 8 bit truncated",
    }


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.ckpt does not exist"):
        load_embedding(tmp_path / "absent.ckpt")
