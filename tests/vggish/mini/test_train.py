"""The bank that `mini` learns from, and the steps of its training, on sounds made here."""

import io
import shutil
import zipfile

import keras
import numpy as np
import pytest
import soundfile as sf
from rounding import sums

from vggish import calibration
from vggish.frontend import SAMPLE_RATE, WINDOW_SAMPLES
from vggish.mini import bank, mixing
from vggish.mini import train as train_mini


def tone(hertz, seconds=2.0):
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return 0.3 * np.sin(2 * np.pi * hertz * time) * (1 + np.sin(2 * np.pi * 4 * time)) / 2


def spoken(hertz, seconds=4.0):
    """Pulses through a resonance, syllable by syllable."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pulses = np.diff(np.floor(time * hertz), prepend=0.0)
    ring = np.exp(-0.012 * np.arange(400)) * np.cos(0.27 * np.arange(400))
    syllables = np.clip(1.5 * np.sin(2 * np.pi * 2.5 * time), 0, 1)
    return 0.15 * syllables * np.convolve(pulses, ring)[: len(time)]


@pytest.fixture
def audio(tmp_path, monkeypatch):
    """A folder of packages, one of which keeps its sounds in an archive."""
    sources = tmp_path / "bank.csv"
    sources.write_text(
        "role,package,pattern\nspeech,talk,\nspeech,quiz,\nmusic,songs,music/\neffects,songs,sfx/\n"
    )
    monkeypatch.setattr(bank, "SOURCES_PATH", sources)
    monkeypatch.setattr(bank, "HELD_OUT_PACKAGES", ("quiz",))
    monkeypatch.setattr(bank, "HELD_OUT_SHARE", 0.0)
    monkeypatch.setattr(bank, "MADE_MINUTES", {"train": 0.5, "packages": 0.5})
    folder = tmp_path / "audio"
    for package in ("talk", "quiz"):
        (folder / package).mkdir(parents=True)
        for i in range(3):
            sf.write(folder / package / f"{i}.wav", spoken(110 + 40 * i), SAMPLE_RATE)
    (folder / "songs").mkdir()
    with zipfile.ZipFile(folder / "songs" / "sound.pk3", "w") as archive:
        for name, hertz in (("music/one", 440), ("music/two", 523), ("sfx/click", 2000)):
            content = io.BytesIO()
            sf.write(content, tone(hertz), 44_100, format="wav")
            archive.writestr(f"{name}.wav", content.getvalue())
    (folder / "talk" / "broken.wav").write_bytes(b"RIFF and no more")
    return folder


def test_packages_are_decoded_by_role_and_archives_are_looked_into(audio, tmp_path):
    cache = tmp_path / "cache"
    bank.collect(audio, cache)
    music = bank.Sources.load(cache, "music", "train").files["songs"]
    assert len(music) == 2
    # 2 s at 16 kHz, written as if they were 44.1 kHz
    assert len(music[0]) == pytest.approx(2 * SAMPLE_RATE * SAMPLE_RATE / 44_100, abs=100)
    assert len(bank.Sources.load(cache, "effects", "train").files["songs"]) == 1


def test_a_held_out_package_is_in_no_other_split(audio, tmp_path):
    bank.collect(audio, tmp_path / "cache")
    assert set(bank.Sources.load(tmp_path / "cache", "speech", "train").files) == {"talk"}
    assert set(bank.Sources.load(tmp_path / "cache", "speech", "packages").files) == {"quiz"}
    with pytest.raises(bank.BankError, match="no music for the split packages"):
        bank.Sources.load(tmp_path / "cache", "music", "packages")


def test_a_role_without_packages_is_refused(audio, tmp_path):
    (audio / "songs" / "sound.pk3").unlink()
    (audio / "songs").rmdir()
    with pytest.raises(bank.BankError, match="no package with music: unpack at least one of songs"):
        bank.collect(audio, tmp_path / "cache")


def test_a_statistic_without_sounds_of_a_role_is_refused_in_one_sentence(audio, tmp_path, capsys):
    for name, hertz in (("music", 440), ("sfx", 2000)):
        (audio / "songs" / name).mkdir()
        sf.write(audio / "songs" / name / "long.wav", tone(hertz), SAMPLE_RATE)
    wanted = [str(audio), "--out", str(tmp_path / "statistic.npz")]
    assert calibration.main(wanted) == 0
    (tmp_path / "statistic.npz").unlink()
    capsys.readouterr()
    shutil.rmtree(audio / "songs" / "music")
    assert calibration.main(wanted) == 1
    assert capsys.readouterr().err.startswith(
        f"error: {audio} holds no file with music that can be read and lasts a second: "
    )
    shutil.rmtree(audio / "songs")
    assert calibration.main(wanted) == 1
    assert capsys.readouterr().err.startswith(f"error: {audio} holds no package with music: ")
    shutil.rmtree(audio)
    assert calibration.main(wanted) == 1
    assert capsys.readouterr().err.startswith(f"error: {audio} holds no package with speech: ")
    assert not (tmp_path / "statistic.npz").exists()


def test_the_voices_of_a_split_sing_for_it_alone(audio, tmp_path):
    cache = tmp_path / "cache"
    bank.collect(audio, cache)
    bank.make_pools(cache, 1)
    for role in bank.MADE:
        for split, package in (("train", "talk"), ("packages", "quiz")):
            pools = bank.Sources.load(cache, role, split).files
            assert list(pools) == [package]
            if role == "sung":
                assert sum(map(len, pools[package])) == bank.LINE_SECONDS * SAMPLE_RATE
            assert all(np.abs(made.astype(int)).max() > 10_000 for made in pools[package])
    written = [path.stat().st_mtime_ns for path in sorted(cache.glob("*@*"))]
    bank.make_pools(cache, 1)
    assert [path.stat().st_mtime_ns for path in sorted(cache.glob("*@*"))] == written


def test_windows_are_of_one_length_finite_and_repeatable(audio, tmp_path):
    bank.collect(audio, tmp_path / "cache")
    bank.make_pools(tmp_path / "cache", 1)
    mixer = mixing.Mixer(tmp_path / "cache", "train")
    drawn = [mixer.window(np.random.default_rng(seed)) for seed in range(120)]
    again = [mixer.window(np.random.default_rng(seed)) for seed in range(5)]
    assert {kind for _, kind in drawn} == set(mixing.KINDS)
    for samples, _ in drawn:
        assert samples.shape == (WINDOW_SAMPLES,)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1
    for (first, _), (second, _) in zip(drawn, again, strict=False):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "codec", [("g722", 16_000), ("pcm_mulaw", 8_000), ("libopencore_amrnb", 8_000, 12_200)]
)
def test_a_codec_keeps_length_and_pitch(codec):
    samples = tone(700, 1.0)[:WINDOW_SAMPLES]
    result = mixing.codec_round_trip(samples, *codec)
    assert len(result) == len(samples)
    peaks = [np.abs(np.fft.rfft(s)).argmax() for s in (samples, result)]
    assert abs(peaks[0] - peaks[1]) <= 4


def test_targets_are_centred_and_of_unit_size():
    rng = np.random.default_rng(0)
    weights = rng.random((40, 1024)) * 0.2
    embeddings = (rng.random((600, 40)) @ weights).astype(np.float16)
    targets = train_mini.Target(embeddings)(embeddings)
    assert targets.shape == (600, 128)
    assert abs(targets.mean()) < 0.05
    assert targets.std() == pytest.approx(1, abs=0.1)


@pytest.mark.numeric
def test_pca_whitens():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(2, 1, (4000, 128)) @ rng.normal(0, 1, (128, 128))
    eigen_vectors, means = train_mini.fit_pca(embeddings)
    components = (embeddings - means) @ eigen_vectors.T
    # what rounds a direction to float32 counts by the widest spread over the narrowest, and twice
    # in a square
    spread = np.linalg.svd(embeddings - embeddings.mean(0), compute_uv=False)
    bound = 2 * sums(128) * spread[0] / spread[-1]
    np.testing.assert_allclose(np.cov(components.T), np.eye(128), rtol=0, atol=bound)


def test_training_learns_and_what_is_exported_loads(tmp_path):
    from vggish.mini.network import load_mini

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 256)
    data = {
        "windows": (rng.normal(-2, 1, (256, 96, 64)) + labels[:, None, None]).astype(np.float16),
        "targets": np.where(labels[:, None] > 0, 1.0, -1.0) * np.ones((1, 128)),
        "logits": np.where(labels[:, None] > 0, 3, -9) * np.ones((1, 521), np.float16),
    }
    data["targets"] = data["targets"].astype(np.float32)
    model = train_mini.train(data, epochs=6, batch_size=32)
    path = tmp_path / "mini.npz"
    train_mini.export(keras.Model(model.input, model.output[0]), data["windows"], path)
    embeddings = np.asarray(load_mini(path)(data["windows"].astype(np.float32)))
    apart = np.linalg.norm(embeddings[labels == 0].mean(0) - embeddings[labels == 1].mean(0))
    assert apart > 2 * embeddings[labels == 0].std(0).mean()


@pytest.mark.numeric
def test_a_training_starts_where_the_trained_network_ended():
    from vggish.mini.network import build_mini

    keras.utils.set_random_seed(1)
    trained = build_mini()
    rng = np.random.default_rng(0)
    data = {
        "windows": rng.normal(-2, 1, (512, 96, 64)).astype(np.float16),
        "targets": rng.normal(size=(512, 128)).astype(np.float32),
        "logits": rng.normal(size=(512, 521)).astype(np.float16),
    }
    model = train_mini.train(data, epochs=1, batch_size=128, learning_rate=0.0, trained=trained)
    windows = data["windows"][:32].astype(np.float32)
    features = [
        keras.Model(m.input, m.get_layer("mean").output).predict(windows, verbose=0)
        for m in (trained, model)
    ]
    # the moving statistics of four batches are off the true ones by what 128 windows leave open
    assert np.linalg.norm(features[0] - features[1]) < 0.01 * np.linalg.norm(features[0])


def test_a_missing_teacher_is_one_sentence(tmp_path, capsys):
    arguments = ["--teacher", str(tmp_path / "none.tflite"), "--audio", str(tmp_path)]
    assert train_mini.main([*arguments, "--cache", str(tmp_path / "cache")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "none.tflite is not a file" in error
