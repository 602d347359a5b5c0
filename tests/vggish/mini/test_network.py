"""`mini`: the network, the shipped weights, and what may not be loaded."""

import zipfile

import keras
import numpy as np
import pytest
from rounding import in_float64, relative_l2, sums

from vggish.frontend import SAMPLE_RATE, log_mel, windows
from vggish.mini import network as mini
from vggish.postprocess import PCA, quantize
from vggish.weights import WeightsError

SECONDS = 6
# the products in a sum of each layer: six convolutions, the mean over 6 x 4 places, the dense one
ROUNDING = sums(25, 9 * 24, 9 * 64, 9 * 128, 9 * 192, 192, 6 * 4, 512)


@pytest.fixture(scope="module")
def model():
    return mini.load_mini()


@pytest.fixture(scope="module")
def stored():
    with np.load(mini.WEIGHTS_PATH, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def embed(model, waveform):
    return np.asarray(model(np.ascontiguousarray(windows(log_mel(waveform))), training=False))


def time():
    return np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE


def chord(fundamental):
    """Notes with partials that decay every half second."""
    partials = [
        np.sin(2 * np.pi * fundamental * ratio * k * time()) / k
        for ratio in (1, 1.25, 1.5)
        for k in range(1, 8)
    ]
    return 0.05 * sum(partials) * np.exp(-4 * (time() % 0.5))


def noise(seed):
    return 0.05 * np.random.default_rng(seed).standard_normal(SECONDS * SAMPLE_RATE)


def test_windows_in_embeddings_out(model):
    result = np.asarray(model(np.zeros((3, 96, 64), np.float32)))
    assert result.shape == (3, 128)
    assert result.dtype == np.float32


@pytest.mark.numeric
def test_same_windows_same_embeddings_whatever_the_batch(model):
    data = np.random.default_rng(0).normal(-3, 2, (7, 96, 64)).astype(np.float32)
    together = np.asarray(model(data))
    np.testing.assert_array_equal(together, np.asarray(model(data)))
    alone = np.concatenate([np.asarray(model(data[i : i + 1])) for i in range(7)])
    exact = in_float64(mini.build_mini, model)(data)
    assert relative_l2(together, exact) < ROUNDING
    assert relative_l2(alone, exact) < ROUNDING


def test_small_half_precision_and_without_pickles(stored):
    assert mini.WEIGHTS_PATH.stat().st_size <= 2_000_000
    assert all(values.dtype.kind == "f" for values in stored.values())
    assert sum(values.size for name, values in stored.items() if "/" in name) < 900_000
    assert {v.dtype for n, v in stored.items() if "/" in n} == {np.dtype(np.float16)}


@pytest.mark.numeric
def test_silence_is_finite(model):
    result = embed(model, np.zeros(2 * SAMPLE_RATE))
    assert np.isfinite(result).all()
    assert relative_l2(result, result[:1].repeat(len(result), 0)) < ROUNDING


def test_clipped_noise_is_finite(model):
    assert np.isfinite(embed(model, np.sign(noise(0)))).all()


def at(dbfs, waveform):
    return waveform * 10 ** (dbfs / 20) / np.sqrt(np.mean(waveform**2))


@pytest.mark.numeric
@pytest.mark.parametrize("sound", [chord(220) + noise(5), noise(1)])
def test_the_level_of_a_quiet_sound_makes_no_difference(model, sound):
    reference = embed(model, at(-41, sound))
    for dbfs in (-45, -50):
        # the rounding of the spectrogram is amplified, too
        assert relative_l2(embed(model, at(dbfs, sound)), reference) < ROUNDING * mini.MOST_GAIN
    assert relative_l2(embed(model, at(-20, sound)), reference) > 0.05


@pytest.mark.parametrize(
    ("sound", "quiet_from"),
    [(np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000), -34.5), (noise(3), -39.6)],
)
def test_how_loud_a_quiet_sound_is(sound, quiet_from):
    bands = np.exp(log_mel(at(-30, sound)).astype(float)) - 0.01
    level = np.sqrt(np.mean(bands**2))
    assert -30 - 20 * np.log10(level / mini.QUIET) == pytest.approx(quiet_from, abs=0.3)


@pytest.mark.numeric
def test_quiet_windows_are_amplified_and_others_are_not(model):
    layer = model.get_layer("amplify")
    for dbfs, gain in ((-80, 10), (-60, 10), (-45, None), (-25, 1), (-3, 1)):
        given = windows(log_mel(at(dbfs, noise(2)))).astype(float)
        bands = np.exp(given) - 0.01
        level = np.sqrt(np.mean(bands**2, axis=(1, 2), keepdims=True))
        expected = np.log(bands * (gain or 0.5 / level) + 0.01)
        # exp and log round by a few units in the last place; what is below 0.01 is amplified
        bound = 10 * mini.MOST_GAIN * np.finfo(np.float32).eps
        np.testing.assert_allclose(layer(given.astype(np.float32)), expected, rtol=0, atol=bound)


@pytest.mark.numeric
def test_tones_lie_apart_from_noise(model):
    tones = [embed(model, chord(f)).mean(0) for f in (196, 262, 330)]
    noises = [embed(model, noise(seed)).mean(0) for seed in (1, 2)]
    within = max(np.linalg.norm(a - b) for group in (tones, noises) for a in group for b in group)
    between = min(np.linalg.norm(a - b) for a in tones for b in noises)
    assert between > 1.5 * within


@pytest.mark.numeric
def test_bytes_use_their_range(model):
    pca = PCA.load(mini.WEIGHTS_PATH)
    signals = [chord(220), noise(3), np.zeros(2 * SAMPLE_RATE), chord(440) + noise(4)]
    result = quantize(np.concatenate([embed(model, signal) for signal in signals]), pca)
    assert result.std() > 20
    assert len(np.unique(result)) > 200
    assert np.mean((result == 0) | (result == 255)) < 0.25


@pytest.mark.numeric
def test_folded_network_computes_what_was_trained():
    keras.utils.set_random_seed(3)
    trained = mini.build_mini(batch_norm=True)
    rng = np.random.default_rng(0)
    for layer in trained.layers:
        if layer.name.endswith("_norm"):
            layer.set_weights([rng.uniform(0.5, 1.5, v.shape) for v in layer.weights])
    folded = mini.with_weights(mini.fold_batch_norm(trained))
    data = rng.normal(-3, 2, (4, 96, 64)).astype(np.float32)
    exact = in_float64(mini.build_mini, trained, batch_norm=True)(data, training=False)
    assert relative_l2(folded(data), exact) < ROUNDING


def test_refuses_a_missing_file_by_name(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.npz is missing"):
        mini.load_mini(tmp_path / "nowhere.npz")


def test_refuses_a_misshapen_file_by_name(stored, tmp_path):
    path = tmp_path / "odd.npz"
    np.savez(path, **(stored | {"conv1/kernel": stored["conv1/kernel"][..., :-1]}))
    with pytest.raises(WeightsError, match=r"odd\.npz holds conv1/kernel with the shape"):
        mini.load_mini(path)


def test_refuses_a_file_that_lacks_something(stored, tmp_path):
    path = tmp_path / "short.npz"
    np.savez(path, **{name: values for name, values in stored.items() if name != "conv2/bias"})
    with pytest.raises(WeightsError, match=r"short\.npz holds no conv2/bias"):
        mini.load_mini(path)


def test_refuses_values_that_are_not_numbers(stored, tmp_path):
    path = tmp_path / "nan.npz"
    np.savez(path, **(stored | {"embedding/bias": np.full(128, np.nan, np.float16)}))
    with pytest.raises(WeightsError, match="embedding/bias with values that are not finite"):
        mini.load_mini(path)


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04" + bytes(50)])
def test_refuses_what_is_no_npz(content, tmp_path):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.npz is not a readable npz"):
        mini.load_mini(path)


def test_runs_no_pickle(stored, tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, **(stored | {"conv1/kernel": np.array([{}], dtype=object)}))
    assert zipfile.is_zipfile(path)
    with pytest.raises(WeightsError, match="not a readable npz file of plain arrays"):
        mini.load_mini(path)
