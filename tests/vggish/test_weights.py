"""Weights: the oracle, both formats, faults by name, and downloads from a server in this process.

The network is full-sized, so what is heavy is made once: tf-slim builds the published graph with
random weights, and its own Saver writes them in the format of the published file.
"""

import hashlib
import http.server
import io
import shutil
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from rounding import VGGISH, relative_l2

from vggish import weights
from vggish.download import DownloadError
from vggish.embedding import load_embedding
from vggish.network import build_vggish
from vggish.postprocess import PostprocessError
from vggish.weights import Published, WeightsError, load_checkpoint, variable_names

v1 = tf.compat.v1


def windows_of_noise(count=3):
    return np.random.default_rng(0).uniform(-4.6, 3.0, (count, 96, 64)).astype(np.float32)


def slim_vggish(slim, features):
    """Define VGGish as it was published with tf-slim, with random weights."""
    options = {
        "weights_initializer": v1.initializers.he_uniform(seed=0),
        "biases_initializer": v1.initializers.truncated_normal(stddev=0.1, seed=1),
        "activation_fn": tf.nn.relu,
    }
    with (
        slim.arg_scope([slim.conv2d, slim.fully_connected], **options),
        v1.variable_scope("vggish"),
    ):
        net = tf.reshape(features, [-1, 96, 64, 1])
        net = slim.conv2d(net, 64, 3, scope="conv1")
        net = slim.max_pool2d(net, 2, scope="pool1")
        net = slim.conv2d(net, 128, 3, scope="conv2")
        net = slim.max_pool2d(net, 2, scope="pool2")
        net = slim.repeat(net, 2, slim.conv2d, 256, 3, scope="conv3")
        net = slim.max_pool2d(net, 2, scope="pool3")
        net = slim.repeat(net, 2, slim.conv2d, 512, 3, scope="conv4")
        net = slim.max_pool2d(net, 2, scope="pool4")
        net = slim.flatten(net)
        net = slim.repeat(net, 2, slim.fully_connected, 4096, scope="fc1")
        return slim.fully_connected(net, 128, scope="fc2", activation_fn=None)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """Return tf-slim's checkpoint, in both formats, and its embeddings of noise."""
    slim = pytest.importorskip("tf_slim")
    folder = tmp_path_factory.mktemp("oracle")
    with tf.Graph().as_default(), v1.Session() as session:
        features = v1.placeholder(tf.float32, (None, 96, 64))
        embeddings = slim_vggish(slim, features)
        session.run(v1.global_variables_initializer())
        old, new = folder / "vggish_model.ckpt", folder / "new" / "model.ckpt-7"
        new.parent.mkdir()
        for path, version in ((old, v1.train.SaverDef.V1), (new, v1.train.SaverDef.V2)):
            saver = v1.train.Saver(write_version=version)
            saver.save(session, str(path), write_meta_graph=False, write_state=False)
        expected = session.run(embeddings, {features: windows_of_noise()})
    yield old, new, expected
    shutil.rmtree(folder)  # pytest would keep it, three times over


@pytest.mark.numeric
@pytest.mark.parametrize("format_", ["one file", "index and data"])
def test_network_and_loader_agree_with_tf_slim(oracle, format_):
    old, new, expected = oracle
    assert old.is_file() and not new.exists()
    path = {"one file": old, "index and data": new.with_name("model.ckpt-7.index")}[format_]
    model = load_checkpoint(path)
    assert (expected < 0).any()  # no ReLU on the embedding
    assert relative_l2(model(windows_of_noise()), expected) < VGGISH


def test_the_files_of_a_checkpoint(oracle):
    old, new, _ = oracle
    assert weights.checkpoint_files(old) == [old]
    assert [path.suffix for path in weights.checkpoint_files(new)] == [
        ".index",
        ".data-00000-of-00001",
    ]
    assert weights.checkpoint_files(new.with_name("model.ckpt-70")) == []


def test_what_we_save_is_what_tf_slim_saves(oracle, tmp_path):
    old, *_ = oracle
    model = load_checkpoint(old)
    path = weights.save_checkpoint(model, tmp_path / "ours.ckpt")
    ours = tf.train.load_checkpoint(str(path))
    theirs = tf.train.load_checkpoint(str(old))
    assert ours.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
    for name in ("vggish/conv1/weights", "vggish/fc1/fc1_2/biases", "vggish/fc2/weights"):
        np.testing.assert_array_equal(ours.get_tensor(name), theirs.get_tensor(name))
    path.unlink()


def test_a_loaded_network_can_be_trained_further_stored_and_copied(oracle):
    model = load_checkpoint(oracle[0])
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    layer = model.get_layer("fc2")
    before = layer.bias.numpy()
    layer.bias.assign_add(np.ones(128, np.float32))
    np.testing.assert_array_equal(layer.bias.numpy(), before + 1)
    np.testing.assert_array_equal(copy.get_layer("fc2").bias.numpy(), before)


@pytest.fixture
def any_checkpoint(monkeypatch):
    """Let every file pass for a checkpoint, where only what lies around it is tested."""
    model = keras.Sequential([keras.Input((96, 64)), keras.layers.Flatten()], name="vggish")
    monkeypatch.setattr(weights, "load_checkpoint", lambda path: model)


def test_a_path_is_an_embedding_with_the_pca_beside_it(any_checkpoint, tmp_path):
    checkpoint = tmp_path / "tuned.ckpt"
    checkpoint.write_bytes(b"some weights")
    bare = load_embedding(checkpoint)
    assert bare.name == "tuned"
    assert bare.sha256 == hashlib.sha256(b"some weights").hexdigest()
    assert bare.description()["postprocessing"].startswith("no PCA")
    random = np.random.default_rng(0)
    vectors, means = random.standard_normal((128, 128)), random.standard_normal(128)
    np.savez(tmp_path / "vggish_pca_params.npz", pca_eigen_vectors=vectors, pca_means=means)
    with_pca = load_embedding(str(checkpoint))
    np.testing.assert_array_equal(with_pca.pca.eigen_vectors, vectors)
    assert with_pca.description()["postprocessing"].startswith("PCA")
    np.savez(tmp_path / "vggish_pca_params.npz", pca_eigen_vectors=vectors)
    with pytest.raises(PostprocessError, match="pca_means"):
        load_embedding(checkpoint)


def test_variable_names():
    assert variable_names("conv1") == ("vggish/conv1/weights", "vggish/conv1/biases")
    assert variable_names("conv3_2")[0] == "vggish/conv3/conv3_2/weights"
    assert variable_names("fc1_1")[1] == "vggish/fc1/fc1_1/biases"


def test_missing_and_misshapen_variables_are_named(tmp_path):
    """A small checkpoint, of a network that is not VGGish."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("vggish/conv1/weights", (3, 3, 1, 32))
        v1.get_variable("vggish/conv1/biases", (64,), tf.float64)
        v1.get_variable("vggish/conv2/biases", (128,), initializer=lambda *_, **__: [np.nan] * 128)
        session.run(v1.global_variables_initializer())
        path = tmp_path / "other.ckpt"
        v1.train.Saver(write_version=v1.train.SaverDef.V1).save(
            session, str(path), write_meta_graph=False, write_state=False
        )
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "vggish/conv1/weights has the shape (3, 3, 1, 32), not (3, 3, 1, 64)" in message
    assert "vggish/conv1/biases is float64" in message
    assert "vggish/conv2/biases holds NaN" in message
    assert "vggish/conv2/weights is missing" in message
    assert "vggish/fc2/biases is missing" in message


def test_what_is_no_checkpoint(tmp_path, oracle):
    with pytest.raises(WeightsError, match=r"absent\.ckpt does not exist"):
        load_checkpoint(tmp_path / "absent.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.ckpt is not a TensorFlow checkpoint"):
        load_checkpoint(tmp_path / "text.ckpt")
    with oracle[0].open("rb") as whole:
        (tmp_path / "half.ckpt").write_bytes(whole.read(1_000_000))
    with pytest.raises(WeightsError, match=r"half\.ckpt"):
        load_checkpoint(tmp_path / "half.ckpt")


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves ``files`` with byte ranges; ``cut`` ends that many answers half-way."""

    files: dict[str, bytes]
    cut = 0
    ranges: list[str | None]

    def do_GET(self):
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        wanted = self.headers["Range"]
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if type(self).cut:
            type(self).cut -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *_):
        pass


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Return a function that stands a server in for the place where the files are published."""
    handler = type("ThisMirror", (Mirror,), {"ranges": [], "files": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("VGGISH_WEIGHTS", str(tmp_path / "weights"))

    def serve(model):
        buffer = io.BytesIO()
        np.savez(buffer, pca_eigen_vectors=np.eye(128) / 2, pca_means=np.zeros(128))
        handler.files.update({"/model": model, "/pca": buffer.getvalue()})
        for constant, path in (("CHECKPOINT", "/model"), ("PCA_PARAMETERS", "/pca")):
            content = handler.files[path]
            stand_in = Published(
                getattr(weights, constant).name,
                f"http://127.0.0.1:{server.server_port}{path}",
                len(content),
                hashlib.sha256(content).hexdigest(),
            )
            monkeypatch.setattr(weights, constant, stand_in)
        return handler

    yield serve
    server.shutdown()
    server.server_close()
    shutil.rmtree(tmp_path / "weights", ignore_errors=True)


def test_fetch_resumes_verifies_and_loads(publish, oracle, tmp_path, capsys):
    published = publish(oracle[0].read_bytes())
    folder = tmp_path / "weights"
    published.cut = 2  # the PCA's first answer, and the checkpoint's
    assert not weights.audioset_is_here()
    assert weights.main([]) == 0
    assert str(folder) in capsys.readouterr().out
    assert published.ranges[0] is None and published.ranges[1].startswith("bytes=")
    assert {path.name for path in folder.iterdir()} == {
        "vggish_model.ckpt",
        "vggish_pca_params.npz",
    }
    assert weights.audioset_is_here()

    embedding = load_embedding("auto")
    assert embedding.name == "audioset"
    assert embedding.sha256 == weights.CHECKPOINT.sha256
    assert embedding.pca.eigen_vectors[0, 0] == 0.5
    assert relative_l2(embedding.model(windows_of_noise()), oracle[2]) < VGGISH

    asked = len(published.ranges)
    assert weights.main([]) == 0
    assert len(published.ranges) == asked


def test_a_wrong_file_is_refused_by_its_hash(publish, tmp_path, capsys):
    published = publish(b"model")
    published.files["/pca"] = published.files["/pca"][:-1] + b"?"
    assert weights.main([]) == 1
    message = capsys.readouterr().err
    assert "error: http://127.0.0.1" in message and weights.PCA_PARAMETERS.sha256 in message
    assert not list((tmp_path / "weights").iterdir())


def test_without_the_server_the_way_by_hand_is_told(publish, tmp_path, monkeypatch, capsys):
    published = publish(b"model")
    closed = weights.PCA_PARAMETERS._replace(url="http://127.0.0.1:9/pca")
    monkeypatch.setattr(weights, "PCA_PARAMETERS", closed)
    assert weights.main([]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert closed.url in message and closed.sha256 in message
    assert str(tmp_path / "weights" / "vggish_pca_params.npz") in message
    published.files.clear()
    monkeypatch.setattr(weights, "PCA_PARAMETERS", closed._replace(url=weights.CHECKPOINT.url))
    with pytest.raises(DownloadError, match="404"):
        weights.fetch_audioset()


def test_a_file_put_by_hand_is_checked(publish, any_checkpoint, tmp_path):
    published = publish(b"model")
    folder = tmp_path / "weights"
    folder.mkdir()
    with pytest.raises(WeightsError, match=r"pca_params\.npz does not exist.*make vggish.*sha256"):
        load_embedding("audioset")
    (folder / "vggish_pca_params.npz").write_bytes(published.files["/pca"])
    (folder / "vggish_model.ckpt").write_bytes(b"not it")
    assert weights.audioset_is_here()
    with pytest.raises(WeightsError, match="not Google's file"):
        load_embedding("auto")
    (folder / "vggish_model.ckpt").write_bytes(published.files["/model"])
    assert load_embedding("auto").name == "audioset"


def test_google_s_own_weights_where_they_are():
    """The published smoke test: 3 s of a 1 kHz sine, hop 96."""
    from vggish.frontend import log_mel

    folder = Path(weights.weights_folder())
    if not weights.audioset_is_here():
        pytest.skip(f"Google's weights are not in {folder}: run `make vggish`")
    embedding = load_embedding("audioset")
    sine = np.sin(2 * np.pi * 1000 * np.arange(48_000) / 16_000)
    embeddings = embedding.embed(log_mel(sine), 96)
    assert embeddings.mean() == pytest.approx(0.000657, abs=2e-3)
    assert embeddings.std() == pytest.approx(0.343, rel=0.1)
    bytes_ = embedding.quantize(embeddings)
    assert bytes_.mean() == pytest.approx(126.0, rel=0.1)
    assert bytes_.std() == pytest.approx(89.3, rel=0.1)


def test_random_weights_are_of_a_sensible_size():
    """He's initialization keeps the embedding's scale: what tests with stand-ins rely on."""
    keras.utils.set_random_seed(0)
    embeddings = build_vggish()(windows_of_noise(1)).numpy()
    assert 0.1 < embeddings.std() < 100
