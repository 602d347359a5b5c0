"""The speed of our VGGish and of others', in one run on this machine.

    python benchmarks/vggish_speed.py                      every part, some minutes
    python benchmarks/vggish_speed.py network chain        only these

network   windows/s of the network alone: tf-slim's graph as it was published, a plain Keras
          ``tf.function``, a PyTorch network laid out like torchvggish's (where torch is
          installed), the fast way in float32 and bfloat16; the machine's matrix-multiply peak
chain     from a 44.1 kHz waveform to embeddings: numpy + resampy + tf-slim, and ours
memory    peak memory of embedding 1 h and 10 h of streamed 44.1 kHz audio
scaling   cost against length and hop
exact     how far the fast way is from the plain network on the course's own recordings

The contestants take turns, so that other load on the machine hits all of them, and the best round
of each counts. Weights are random, of VGGish's size; "differs" is the relative L2 distance
to the embeddings of tf-slim's graph with the same weights.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from vggish.embedding import Embedding, load_embedding, plain_chunks
from vggish.fast import fast_chunks
from vggish.frontend import HOP_FRAMES, WINDOW_FRAMES, log_mel, mel_matrix, windows
from vggish.network import CONV_BLOCKS, DENSE_LAYERS, LAYERS, build_vggish
from vggish.resample import resample_blocks
from vggish.weights import save_checkpoint, variable_names

v1 = tf.compat.v1
WINDOW_FLOP = 2 * 863_895_552
MATRIX_SIZE = 2048
RECORDINGS = Path("data/on-hold/TST")


def random_vggish() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = build_vggish(kernel_initializer="he_uniform")
    random = np.random.default_rng(0)
    for name in LAYERS:
        bias = model.get_layer(name).bias
        bias.assign(random.normal(0, 0.1, bias.shape))
    return model


def slim_network(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Build the published graph with tf-slim, run in a session as Google's demo does."""
    import tf_slim as slim

    def scope(layer: str) -> str:
        return variable_names(layer)[0].removeprefix("vggish/").removesuffix("/weights")

    values = {}
    for layer in LAYERS:
        arrays = [value.numpy() for value in model.get_layer(layer).weights]
        values |= zip(variable_names(layer), arrays, strict=True)
    graph = tf.Graph()
    with graph.as_default(), v1.variable_scope("vggish"):
        features = v1.placeholder(tf.float32, (None, 96, 64))
        net = tf.reshape(features, [-1, 96, 64, 1])
        for number, block in enumerate(CONV_BLOCKS, start=1):
            for name, channels in block:
                net = slim.conv2d(net, channels, 3, activation_fn=tf.nn.relu, scope=scope(name))
            net = slim.max_pool2d(net, 2, scope=f"pool{number}")
        net = slim.flatten(net)
        for name, units in DENSE_LAYERS:
            activation = None if name == "fc2" else tf.nn.relu
            net = slim.fully_connected(net, units, activation_fn=activation, scope=scope(name))
        session = v1.Session(graph=graph)
        for variable in v1.global_variables():
            variable.load(values[variable.op.name], session)
    return lambda batch: session.run(net, {features: batch})


def torch_network(model: keras.Model) -> Callable[[np.ndarray], np.ndarray] | None:
    """Build the network the way torchvggish lays it out: channels first, flattened last."""
    try:
        import torch
    except ImportError:
        return None
    layers: list[torch.nn.Module] = []
    for block in CONV_BLOCKS:
        for name, channels in block:
            kernel, bias = (torch.tensor(value.numpy()) for value in model.get_layer(name).weights)
            layer = torch.nn.Conv2d(kernel.shape[2], channels, 3, padding=1)
            layer.weight.data, layer.bias.data = kernel.permute(3, 2, 0, 1).contiguous(), bias
            layers += [layer, torch.nn.ReLU(inplace=True)]
        layers.append(torch.nn.MaxPool2d(2))
    dense: list[torch.nn.Module] = []
    for name, units in DENSE_LAYERS:
        kernel, bias = (torch.tensor(value.numpy()) for value in model.get_layer(name).weights)
        layer = torch.nn.Linear(kernel.shape[0], units)
        layer.weight.data, layer.bias.data = kernel.T.contiguous(), bias
        dense += [layer, torch.nn.ReLU(inplace=True)]
    features, embeddings = torch.nn.Sequential(*layers), torch.nn.Sequential(*dense[:-1])

    @torch.inference_mode()
    def run(batch: np.ndarray) -> np.ndarray:
        signal = features(torch.from_numpy(batch)[:, None])
        return embeddings(signal.permute(0, 2, 3, 1).flatten(1)).numpy()

    return run


def reference_log_mel(waveform: np.ndarray) -> np.ndarray:
    """Compute the log-mel spectrogram at once, in float64, as the published front end does."""
    waveform = waveform.astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 400)[::160]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi / 400 * np.arange(400))
    return np.log(np.abs(np.fft.rfft(frames * hann, 512)) @ mel_matrix() + 0.01)


def take_turns(
    contestants: dict[str, Callable[[], object]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Return the best wall and processor seconds of each, after a first run that does not count."""
    best = dict.fromkeys(contestants, (np.inf, np.inf))
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            took = time.perf_counter() - wall, time.process_time() - processor
            best[name] = tuple(map(min, best[name], took))
    return best


def sound(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """Make noise with a beat and tones, so that no part of the spectrum is empty."""
    at = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.1, len(at))
    noise *= np.sin(2 * np.pi * 2 * at) ** 2
    return (noise + 0.2 * np.sin(2 * np.pi * (300 + 100 * np.sin(at)) * at)).astype(np.float32)


def relative_l2(estimate: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(estimate - reference) / np.linalg.norm(reference))


def part_network(arguments: argparse.Namespace) -> None:
    model, batch_size = random_vggish(), arguments.batch
    options = {"hop_frames": HOP_FRAMES, "batch_size": batch_size}
    frames = log_mel(sound((HOP_FRAMES * (batch_size - 1) + WINDOW_FRAMES) / 100 + 0.02, 16_000))
    frames = frames[: HOP_FRAMES * (batch_size - 1) + WINDOW_FRAMES]
    batch = np.ascontiguousarray(windows(frames))
    ways: dict[str, Callable[[], np.ndarray]] = {}

    def add(name: str, network: Callable[[np.ndarray], np.ndarray], given: np.ndarray) -> None:
        ways[name] = lambda: network(given)

    add("tf-slim graph (reference)", slim_network(model), batch)
    add("Keras in a tf.function", plain_chunks(model, **options), frames)
    if pytorch := torch_network(model):
        add("PyTorch, as torchvggish", pytorch, batch)
    add("ours, float32", fast_chunks(model, **options), frames)
    if not arguments.skip_bfloat16:
        add("ours, bfloat16", fast_chunks(model, precision="bfloat16", **options), frames)
    reference = ways["tf-slim graph (reference)"]()
    differs = {name: relative_l2(run(), reference) for name, run in ways.items()}

    square = tf.random.normal((MATRIX_SIZE, MATRIX_SIZE))
    # short, so often, to catch the machine unhindered
    peaks = {f"peak {i}": lambda: tf.matmul(square, square).numpy() for i in range(5)}
    timed = take_turns({**ways, **peaks}, arguments.rounds)
    peak = 2 * MATRIX_SIZE**3 / min(timed.pop(name)[0] for name in peaks)
    base = timed["tf-slim graph (reference)"]
    print(f"\nNetwork, batches of {batch_size}; float32 matrix product {peak / 1e9:.0f} GFLOP/s")
    print("                            windows/s  of the peak   ratio  cpu ratio   differs")
    for name, (wall, processor) in timed.items():
        rate = batch_size / wall
        print(
            f"{name:26s}  {rate:9.1f}  {rate * WINDOW_FLOP / peak:10.0%}  {base[0] / wall:6.2f}  "
            f"{base[1] / processor:9.2f}  {differs[name]:8.1e}"
        )


def part_chain(arguments: argparse.Namespace) -> None:
    import resampy  # here, so that it does not count for the memory of what does without

    model, batch_size = random_vggish(), arguments.batch
    waveform = sound(arguments.seconds, 44_100)
    slim = slim_network(model)
    embedding = Embedding(model, name="random", sha256="", batch_size=batch_size, fast=True)
    took: dict[str, float] = {}
    results: dict[str, np.ndarray] = {}

    def timed(name: str, run: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = run()
        took[name] = min(took.get(name, np.inf), time.perf_counter() - start)
        return result

    def reference() -> None:
        at_16k = timed("resampy", lambda: resampy.resample(waveform, 44_100, 16_000))
        spectrogram = timed("numpy log-mel", lambda: reference_log_mel(at_16k))
        cut = windows(spectrogram.astype(np.float32))
        batches = [cut[start : start + batch_size] for start in range(0, len(cut), batch_size)]
        network = timed("tf-slim", lambda: np.concatenate([slim(batch) for batch in batches]))
        results["reference"] = network

    def ours() -> None:
        at_16k = timed("our resampling", lambda: list(resample_blocks([waveform], 44_100, 16_000)))
        spectrogram = timed("our log-mel", lambda: log_mel(np.concatenate(at_16k)))
        timed("our network", lambda: embedding.embed(spectrogram))

    def streamed() -> None:
        blocks = np.split(waveform, range(44_100, len(waveform), 44_100))
        results["ours"] = np.concatenate(
            list(embedding.stream(resample_blocks(blocks, 44_100, 16_000)))
        )

    resampy.resample(waveform[:44_100], 44_100, 16_000)  # compiles itself
    contestants = {"reference": reference, "ours, part by part": ours, "ours, streamed": streamed}
    best = take_turns(contestants, max(1, arguments.rounds // 3))
    print(f"\nWhole chain, {arguments.seconds:g} s of 44.1 kHz, {len(results['ours'])} windows")
    for name, (wall, processor) in best.items():
        print(
            f"{name:20s} {wall:7.2f} s  {arguments.seconds / wall:6.1f} x real time  "
            f"ratio {best['reference'][0] / wall:.2f}  "
            f"cpu ratio {best['reference'][1] / processor:.2f}"
        )
    print("  " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()))
    print(f"  differs {relative_l2(results['ours'], results['reference']):.1e}")


def peak_megabytes() -> float:
    """Return this process's peak memory; what Linux reports to getrusage includes the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def streamed_hours(weights: str, hours: float, hop_frames: int, batch_size: int) -> dict:
    """Embed synthetic audio that is made as it is read, and return the peak memory in MB."""
    embedding = load_embedding(weights, batch_size=batch_size)
    loaded = peak_megabytes()

    def blocks() -> Iterator[np.ndarray]:
        random = np.random.default_rng(0)
        for _ in range(int(hours * 3600)):
            yield random.normal(0, 0.1, 44_100).astype(np.float32)

    start = time.perf_counter()
    stream = embedding.stream(resample_blocks(blocks(), 44_100, 16_000), hop_frames)
    for _ in stream:
        pass
    return {
        "loaded": loaded,
        "peak": peak_megabytes(),
        "windows": stream.windows,
        "seconds": time.perf_counter() - start,
    }


def part_memory(arguments: argparse.Namespace) -> None:
    print(f"\nPeak memory, 44.1 kHz streamed, a window every {arguments.memory_hop / 100:g} s")
    with tempfile.TemporaryDirectory() as folder:
        weights = arguments.memory_weights
        if weights is None:
            weights = str(save_checkpoint(random_vggish(), Path(folder) / "stand_in.ckpt"))
            keras.backend.clear_session()
            gc.collect()
        peaks = []
        for hours in arguments.hours:
            command = [sys.executable, __file__, "--stream", weights, str(hours)]
            command += ["--memory-hop", str(arguments.memory_hop)]
            command += ["--batch", str(arguments.batch)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            measured = json.loads(answer.stdout.splitlines()[-1])
            peaks.append(measured["peak"])
            print(
                f"{hours:5g} h  peak {measured['peak']:6.0f} MB  "
                f"(after loading {measured['loaded']:.0f} MB)  x {peaks[-1] / peaks[0]:.3f}  "
                f"{measured['windows']} windows in {measured['seconds']:.0f} s",
                flush=True,
            )


def part_scaling(arguments: argparse.Namespace) -> None:
    model, batch_size = random_vggish(), arguments.batch
    embedding = Embedding(model, name="random", sha256="", batch_size=batch_size, fast=True)
    print("\nCost against length, 16 kHz, a window every 0.12 s")
    for seconds in (1, 10, 60, 240):
        waveform = sound(seconds, 16_000)
        best = take_turns({"ours": lambda heard=waveform: list(embedding.stream([heard]))}, 2)
        wall, processor = best["ours"]
        print(f"{seconds:5d} s   {wall:7.2f} s   cpu {processor:7.2f} s   {seconds / wall:6.1f} x")
    print("Cost against hop, one batch each")
    for hop_frames in (4, 8, 12, 24, 48, 96, 10):
        frames = log_mel(sound((hop_frames * (batch_size - 1) + 98) / 100, 16_000))
        frames = frames[: hop_frames * (batch_size - 1) + WINDOW_FRAMES]
        ours = fast_chunks(model, hop_frames=hop_frames, batch_size=batch_size)
        plain = plain_chunks(model, hop_frames=hop_frames, batch_size=batch_size)
        best = take_turns(
            {"ours": partial(ours, frames), "plain": partial(plain, frames)},
            max(1, arguments.rounds // 2),
        )
        wall, processor = best["ours"]
        print(
            f"{hop_frames / 100:5.2f} s  {batch_size / wall:6.1f} windows/s  "
            f"{hop_frames / 100 * batch_size / wall:6.1f} x real time  "
            f"plain Keras / ours {best['plain'][0] / wall:.2f}  "
            f"cpu {best['plain'][1] / processor:.2f}"
        )


def part_exact(arguments: argparse.Namespace) -> None:
    from audioseg import audio

    recordings = sorted(RECORDINGS.glob("*.flac"))[:3]
    if not recordings:
        print(f"\nNo recordings in {RECORDINGS}: run `make tutorial` first.")
        return
    model, batch_size = random_vggish(), arguments.batch
    options = {"name": "random", "sha256": "", "batch_size": batch_size}
    plain, ours = (Embedding(model, fast=fast, **options) for fast in (False, True))
    differs = []
    for path in recordings:
        frames = log_mel(audio.load(path)[: 60 * 16_000])
        pairs = zip(ours.embed(frames), plain.embed(frames), strict=True)
        differs += [relative_l2(*pair) for pair in pairs]
    print(f"\nOurs against the plain network, {len(differs)} windows of {RECORDINGS}: ", end="")
    print(f"median {np.median(differs):.1e}, worst {max(differs):.1e}")


PARTS = {
    "network": part_network,
    "chain": part_chain,
    "memory": part_memory,
    "scaling": part_scaling,
    "exact": part_exact,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--batch", type=int, default=64, help="windows in a batch")
    parser.add_argument("--rounds", type=int, default=6, help="how often each takes its turn")
    parser.add_argument("--seconds", type=float, default=120, help="of audio, for chain")
    parser.add_argument("--skip-bfloat16", action="store_true", help="slow where emulated")
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 10], help="for memory")
    parser.add_argument(
        "--memory-hop",
        type=int,
        default=WINDOW_FRAMES,
        help="frames between windows, for memory; 96 lets 10 h pass in minutes",
    )
    parser.add_argument("--memory-weights", help="mini, or a checkpoint; random ones by default")
    parser.add_argument("--stream", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if arguments.stream:
        weights, hours = arguments.stream
        measured = streamed_hours(weights, float(hours), arguments.memory_hop, arguments.batch)
        print(json.dumps(measured))
        return 0
    print(f"{os.cpu_count()} processors, TensorFlow {tf.__version__}, Keras {keras.__version__}")
    for name in arguments.parts or PARTS:
        PARTS[name](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
