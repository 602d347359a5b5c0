"""In 8 bits and in bfloat16: the same windows, near the same numbers, on every processor.

The layout is tested without rounding, where it must give the plain network's numbers; rounding, on
`mini` and on VGGish's size.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from networks import frames_of, random_vggish
from rounding import MARGIN, VGGISH, relative_l2, sums

from vggish import calibration, embedding, graph
from vggish.calibration import calibrate, calibration_windows, kept_calibration
from vggish.embedding import Embedding, load_embedding, plain_chunks
from vggish.errors import SentenceError
from vggish.frontend import log_mel
from vggish.graph import round_weights
from vggish.int8 import openvino_chunks

pytest.importorskip("openvino", reason="OpenVINO is an extra, and is not installed")
pytestmark = pytest.mark.numeric
STEP = 1 / 255  # of a signal; where float32 sums end on its edge, one more or less is as right
BITS_4 = 16  # steps of 8 bits in one of 4


def near(calibrated):
    """Return what 8 bits may cost at most: relative L2.

    Rounding to a step puts numbers off by its ``sqrt(12)``-th part on average. A step is the 255th
    part of a layer's greatest number, and a margin of ten is for the average one, which is
    smaller. Errors of roundings behind one another add up in squares. Processors differ by less
    than a step.
    """
    roundings = sum(layer.rounded + (layer.limit > 0) for layer in calibrated.values())
    return MARGIN * STEP / np.sqrt(12) * np.sqrt(roundings)


@pytest.fixture(scope="module")
def mini():
    model = load_embedding("mini").model
    return model, calibrate(model)


@pytest.fixture(scope="module")
def narrow():
    return random_vggish(narrower=16)


@pytest.fixture(scope="module")
def calibrated(narrow):
    return calibrate(narrow, calibration_windows(8))


def sounds(seconds=3.0):
    """Return a gliding tone with overtones over noise, with pauses."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    phase = 2 * np.pi * (200 * time + 40 * np.sin(3 * time))
    tone = sum(np.sin(k * phase) / k for k in range(1, 9)) * (np.sin(9 * time) > -0.5)
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.05 * tone + 0.003 * noise).astype(np.float32)


@pytest.mark.parametrize(
    ("hop_frames", "batch_size"), [(12, 1), (12, 5), (4, 4), (64, 2), (10, 3), (96, 2)]
)
def test_every_hop_and_batch_without_rounding(narrow, hop_frames, batch_size):
    options = {"hop_frames": hop_frames, "batch_size": batch_size}
    frames = frames_of(**options)
    estimates = openvino_chunks(narrow, None, **options)(frames)
    assert (estimates.shape, estimates.dtype) == ((batch_size, 128), np.float32)
    for estimate, reference in zip(estimates, plain_chunks(narrow, **options)(frames), strict=True):
        assert relative_l2(estimate, reference) < VGGISH


@pytest.mark.parametrize("hop_frames", [12, 10])
def test_integers_give_what_rounded_floats_give(narrow, calibrated, hop_frames):
    options = {"hop_frames": hop_frames, "batch_size": 3}
    frames = frames_of(**options)
    rounded = openvino_chunks(narrow, calibrated, **options, exact=False)(frames)
    plain = plain_chunks(narrow, **options)(frames)
    assert STEP < relative_l2(rounded, plain)  # so 8 bits were really used
    if graph.multiplies_exactly():
        integers = openvino_chunks(narrow, calibrated, **options)(frames)
        assert relative_l2(integers, rounded) < STEP


def test_a_chunk_again_and_a_window_elsewhere_are_the_same(narrow, calibrated):
    """Nothing depends on what a request computed before, nor on a window's place."""
    way = openvino_chunks(narrow, calibrated, hop_frames=12, batch_size=4)
    frames = frames_of(12, 6)
    first = way(frames[: 3 * 12 + 96])
    later = way(frames[2 * 12 : 5 * 12 + 96])
    np.testing.assert_array_equal(way(frames[: 3 * 12 + 96]), first)
    for one, other in zip(first[2:], later[:2], strict=True):
        assert relative_l2(one, other) < STEP


def test_full_size_is_near():
    model = random_vggish()
    options = {"hop_frames": 12, "batch_size": 3}
    frames = log_mel(sounds())[: 2 * 12 + 96]
    plain = plain_chunks(model, **options)(frames)
    calibrated = calibrate(model, calibration_windows(4))
    assert relative_l2(openvino_chunks(model, calibrated, **options)(frames), plain) < near(
        calibrated
    )


@pytest.mark.parametrize(("is_installed", "other_way"), [(True, "plain"), (False, "openvino")])
def test_mini_in_float32_is_what_keras_computes(mini, is_installed, other_way, monkeypatch):
    model, _ = mini
    monkeypatch.setattr(embedding, "has_openvino", lambda: is_installed)
    monkeypatch.delattr(embedding, f"{other_way}_chunks")
    lengths = [np.prod(layer.kernel.shape[:-1]) for layer in model.layers if layer.weights]
    of_a_mean = 6 * 4
    # mini amplifies the last by the most that it does, and the one before by less
    levels = [log_mel(gain * sounds(10.0))[: 63 * 12 + 96] for gain in (0.1, 0.01)]
    for frames in (frames_of(12, 64), *levels):
        plain = plain_chunks(model, hop_frames=12, batch_size=64)(frames)
        assert relative_l2(load_embedding("mini").embed(frames), plain) < sums(lengths, of_a_mean)


def test_mini_is_near(mini):
    exact, rounded = (load_embedding("mini", precision=name) for name in ("float32", "int8"))
    spectrogram = log_mel(sounds())
    apart = relative_l2(rounded.embed(spectrogram), exact.embed(spectrogram))
    assert STEP / 2 < apart < near(mini[1])
    assert rounded.description() == {**exact.description(), "precision": "int8"}


@pytest.mark.parametrize("name", ["conv1", "conv3", "conv5"])
def test_with_one_layer_in_4_bits_it_is_not_near(name, mini):
    model, calibrated = mini
    options = {"hop_frames": 12, "batch_size": 3}
    frames = log_mel(sounds())[: 2 * 12 + 96]
    coarse = calibrated[name]._replace(limit=BITS_4 * calibrated[name].limit)
    way = openvino_chunks(model, {**calibrated, name: coarse}, **options)
    assert relative_l2(way(frames), plain_chunks(model, **options)(frames)) > near(calibrated)


ON_ANOTHER_PROCESSOR = """
import sys
import numpy as np
from vggish.embedding import load_embedding
from vggish.graph import multiplies_exactly

spectrogram = np.load(sys.argv[1])
np.save(sys.argv[2], load_embedding("mini", precision="int8").embed(spectrogram))
print(multiplies_exactly())
"""


def test_without_vnni_it_is_right_and_says_that_it_is_slow(mini, tmp_path):
    spectrogram = log_mel(sounds())
    np.save(tmp_path / "heard.npy", spectrogram)
    paths = [tmp_path / "heard.npy", tmp_path / "embedded.npy"]
    done = subprocess.run(
        [sys.executable, "-c", ON_ANOTHER_PROCESSOR, *map(str, paths)],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    )
    estimate = np.load(paths[1])
    assert relative_l2(estimate, load_embedding("mini").embed(spectrogram)) < near(mini[1])
    if graph.multiplies_exactly():
        here = load_embedding("mini", precision="int8").embed(spectrogram)
        assert relative_l2(estimate, here) < STEP
    if done.stdout.split()[-1] == "False":
        assert "no VNNI" in done.stderr


def test_without_vnni_there_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(graph, "multiplies_exactly", lambda: False)
    graph.check_precision("int8")
    assert capsys.readouterr().err == (
        "note: this processor has no VNNI, so int8 is slower here than float32 would be.\n"
    )


def test_threads_do_not_disturb_each_other(narrow, calibrated):
    way = openvino_chunks(narrow, calibrated, hop_frames=12, batch_size=4)
    chunks = [frames_of(12, 4, seed) for seed in range(40)]
    alone = [way(chunk) for chunk in chunks]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(way, chunks))
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("gain", "said"), [(0.0, "cannot compute in bfloat16"), (1.49, "1.49 times as fast"), (1.5, "")]
)
def test_bfloat16_is_refused_where_it_is_hardly_faster(monkeypatch, gain, said):
    monkeypatch.setattr(graph, "bfloat16_gain", lambda: gain)
    if said:
        with pytest.raises(SentenceError, match=f"{said}.*take float32, or int8"):
            load_embedding("mini", precision="bfloat16")
    else:
        assert load_embedding("mini", precision="bfloat16").precision == "bfloat16"


@pytest.mark.parametrize(("computes_in", "gain"), [("bf16", 2.0), ("f32", 0.0), ("", 0.0)])
def test_the_gain_of_bfloat16_is_a_ratio_of_times(monkeypatch, computes_in, gain):
    clock = [0.0]

    class Compiled:
        """What OpenVINO makes of a network: in float32 it takes twice as long."""

        def __init__(self, network, precision, threads):
            self.seconds = {"f32": 0.02, "bf16": 0.01}[precision]
            if not computes_in:
                raise RuntimeError("object is not initialized")

        def get_property(self, name):
            return getattr(graph.openvino.Type, computes_in)

        def create_infer_request(self):
            return self

        def infer(self, inputs):
            clock[0] += self.seconds

    monkeypatch.setattr(graph, "compiled", Compiled)
    monkeypatch.setattr(graph.time, "process_time", lambda: clock[0])
    assert graph.bfloat16_gain.__wrapped__() == pytest.approx(gain)


def test_bfloat16_is_near(narrow, monkeypatch, request):
    if "ONEDNN_MAX_CPU_ISA" in os.environ:
        # a processor that has bfloat16, held back to AVX2, has no pooling in it: in a process of
        # its own, which is not held back
        free = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
        test = f"{__file__}::{request.node.name}"
        subprocess.run([sys.executable, "-m", "pytest", "-q", test], env=free, check=True)
        return
    monkeypatch.setattr(graph, "bfloat16_gain", lambda: 2.5)
    options = {"name": "narrow", "sha256": "", "batch_size": 2}
    frames = frames_of(12, 2)
    estimate = Embedding(narrow, precision="bfloat16", **options).embed(frames)
    reference = Embedding(narrow, **options).embed(frames)
    # bfloat16 rounds to 2^-9; each of 9 layers rounds its weights and what it puts out
    assert relative_l2(estimate, reference) < MARGIN * 2.0**-9 * np.sqrt(2 * 9)


def test_without_openvino_one_sentence(monkeypatch):
    monkeypatch.setattr(graph, "openvino", None)
    with pytest.raises(SentenceError, match="pip install openvino"):
        load_embedding("mini", precision="int8")
    assert load_embedding("mini").precision == "float32"


def test_a_network_it_does_not_know():
    inputs = keras.Input((96, 64))
    pooled = keras.layers.AveragePooling1D(96)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(128)(keras.layers.Flatten()(pooled)))
    with pytest.raises(SentenceError, match=r"AveragePooling1D.*float32"):
        openvino_chunks(model, None, hop_frames=12, batch_size=1)


def test_calibration_is_kept_for_the_weights_it_was_made_for(narrow, tmp_path, monkeypatch):
    path = tmp_path / "narrow.int8.npz"
    calls = []

    def counted(model):
        calls.append(model)
        return calibrate(model, calibration_windows(2))

    monkeypatch.setattr(calibration, "calibrate", counted)
    made = kept_calibration(narrow, "0" * 64, path)
    read = kept_calibration(narrow, "0" * 64, path)
    assert len(calls) == 1
    assert made.keys() == read.keys()
    for name, layer in made.items():
        assert (layer.limit, layer.rounded) == (read[name].limit, read[name].rounded)
        np.testing.assert_array_equal(layer.bias, read[name].bias)
    kept_calibration(narrow, "1" * 64, path)  # other weights
    assert len(calls) == 2
    path.write_bytes(path.read_bytes()[:1000])
    kept_calibration(narrow, "1" * 64, path)  # cut short
    assert len(calls) == 3
    kept_calibration(narrow, "1" * 64, tmp_path / "absent" / "narrow.int8.npz")
    assert len(calls) == 4
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_calibration_windows_are_like_audio_and_always_the_same():
    drawn = calibration_windows(20)
    assert (drawn.shape, drawn.dtype) == ((20, 96, 64), np.float32)
    np.testing.assert_array_equal(drawn, calibration_windows(20))
    assert not np.array_equal(drawn, calibration_windows(20, seed=1))
    assert drawn.min() > np.log(0.01) - 0.05  # silence, to half a step
    assert drawn.max() < 6
    # frames last: neighbours are nearer to each other than to what comes half a second later
    near, far = (np.abs(drawn[:, lag:] - drawn[:, :-lag]).mean() for lag in (1, 50))
    assert near < far / 2


def test_rounded_weights_are_half_a_step_away_at_most():
    kernel = np.random.default_rng(0).standard_normal((3, 3, 4, 5))
    kernel[..., 2] = 0
    integers, scale = round_weights(kernel)
    assert integers.dtype == np.int8
    assert set(np.abs(integers).max(axis=(0, 1, 2))) == {0, 127}
    assert (np.abs(integers * scale - kernel) <= scale / 2 * 1.0001).all()
