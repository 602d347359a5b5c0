"""The speed of our VGGish and of others', in one run on this machine.

    python benchmarks/vggish_speed.py                      every part, some minutes
    python benchmarks/vggish_speed.py network chain        only these

network   windows/s of the network alone: tf-slim's graph as it was published, a plain Keras
          ``tf.function``, a PyTorch network laid out like torchvggish's and ONNX Runtime (where
          they are installed), OpenVINO on plain windows; ours in float32, bfloat16 and int8;
          the share of the machine's peak in that precision
chain     from a 44.1 kHz waveform to embeddings: numpy + resampy + tf-slim, and ours; what
          1,000 hours of audio cost
memory    peak memory of 02 over recordings of 1 h and 10 h at 44.1 kHz
scaling   cost against length and hop
exact     how far the fast way is from the plain network on the course's own recordings

The contestants take turns, so that other load on the machine hits all of them, and the best round
of each counts. Weights are random, of VGGish's size; "differs" is the relative L2 distance
to the embeddings of tf-slim's graph with the same weights.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from other_networks import (
    MATRIX_FLOP,
    matrix_products,
    onnx_network,
    openvino_plain,
    slim_network,
    torch_network,
)

from vggish.calibration import calibrate
from vggish.embedding import Embedding, load_embedding, plain_chunks
from vggish.fast import fast_chunks
from vggish.frontend import HOP_FRAMES, WINDOW_FRAMES, log_mel, mel_matrix, windows
from vggish.int8 import openvino_chunks
from vggish.network import LAYERS, build_vggish
from vggish.resample import resample_blocks
from vggish.weights import save_checkpoint

WINDOW_FLOP = 2 * 863_895_552
RECORDINGS = Path("data/on-hold/TST")


def random_vggish() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = build_vggish(kernel_initializer="he_uniform")
    random = np.random.default_rng(0)
    for name in LAYERS:
        bias = model.get_layer(name).bias
        bias.assign(random.normal(0, 0.1, bias.shape))
    return model


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
    if onnx := onnx_network(model, batch_size):
        add("ONNX Runtime", onnx, batch)
    add("OpenVINO, plain windows", openvino_plain(model, batch_size), batch)
    calibration = calibrate(model)
    if not arguments.skip_bfloat16:
        bfloat16 = openvino_chunks(model, None, precision="bf16", **options)
        add("ours, bfloat16", bfloat16, frames)
    add("ours, int8", openvino_chunks(model, calibration, **options), frames)
    reference = ways["tf-slim graph (reference)"]()
    differs = {name: relative_l2(run(), reference) for name, run in ways.items()}

    peaks = matrix_products(bfloat16=not arguments.skip_bfloat16)
    timed = take_turns({**ways, **peaks}, arguments.rounds)
    peak = {name: MATRIX_FLOP / timed.pop(name)[0] for name in peaks}
    base = timed["tf-slim graph (reference)"]
    said = ", ".join(f"{name} {flops / 1e9:.0f}" for name, flops in peak.items())
    print(f"\nNetwork, batches of {batch_size}; matrix products, GFLOP/s: {said}")
    print("                            windows/s  of the peak   ratio  cpu ratio   differs")
    for name, (wall, processor) in timed.items():
        rate = batch_size / wall
        of = next((kind for kind in peak if kind in name), "float32")
        print(
            f"{name:26s}  {rate:9.1f}  {rate * WINDOW_FLOP / peak[of]:10.0%}  "
            f"{base[0] / wall:6.2f}  {base[1] / processor:9.2f}  {differs[name]:8.1e}"
        )


def part_chain(arguments: argparse.Namespace) -> None:
    import resampy  # here, so that it does not count for the memory of what does without

    model, batch_size = random_vggish(), arguments.batch
    waveform = sound(arguments.seconds, 44_100)
    slim = slim_network(model)
    options = {"name": "random", "sha256": "", "batch_size": batch_size, "fast": True}
    embedding = Embedding(model, **options)
    ways = {"ours": embedding, "ours, int8": Embedding(model, precision="int8", **options)}
    ways |= {
        f"mini, {name}": load_embedding("mini", precision=name) for name in ("float32", "int8")
    }
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

    def streamed(name: str) -> None:
        blocks = np.split(waveform, range(44_100, len(waveform), 44_100))
        stream = ways[name].stream(resample_blocks(blocks, 44_100, 16_000))
        results[name] = np.concatenate(list(stream))

    resampy.resample(waveform[:44_100], 44_100, 16_000)  # compiles itself
    contestants = {"reference": reference, "ours, part by part": ours}
    contestants |= {f"{name}, streamed": partial(streamed, name) for name in ways}
    best = take_turns(contestants, max(1, arguments.rounds // 3))
    print(f"\nWhole chain, {arguments.seconds:g} s of 44.1 kHz, {len(results['ours'])} windows")
    for name, (wall, processor) in best.items():
        print(
            f"{name:24s} {wall:7.2f} s  {arguments.seconds / wall:6.1f} x real time  "
            f"ratio {best['reference'][0] / wall:5.2f}  "
            f"cpu ratio {best['reference'][1] / processor:5.2f}  "
            f"1,000 h: {1000 * processor / arguments.seconds:6.1f} core-hours"
        )
    print("  " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()))
    for name in ("ours", "ours, int8"):
        print(f"  {name} differs {relative_l2(results[name], results['reference']):.1e}")


def peak_megabytes() -> float:
    """Return this process's peak memory; what Linux reports to getrusage includes the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def silence(path: Path, hours: float) -> None:
    """Make a wav file of 44.1 kHz whose samples take no place on the disk."""
    rate, size = 44_100, 2 * int(hours * 3600 * 44_100)
    head = struct.pack("<4sI8sIHHIIHH", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 1, rate, 2 * rate,
                       2, 16)  # fmt: skip
    with path.open("wb") as file:
        file.write(head + struct.pack("<4sI", b"data", size))
        file.truncate(file.tell() + size)


def extracted(corpus: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Extract a corpus as 02 does, and return what that took, with this process's peak in MB."""
    from audioseg.features import extraction

    source = extraction.Source(arguments.memory_weights, batch_size=arguments.batch)
    hop_seconds = arguments.memory_hop / 100
    summary = extraction.run(corpus, source=source, hop_seconds=hop_seconds, show_progress=False)
    return {"peak": peak_megabytes(), **summary.run}


def part_memory(arguments: argparse.Namespace) -> None:
    print(f"\nPeak memory of 02, one recording, a window every {arguments.memory_hop / 100:g} s")
    with tempfile.TemporaryDirectory() as folder:
        weights = arguments.memory_weights
        if weights is None:
            weights = str(save_checkpoint(random_vggish(), Path(folder) / "stand_in.ckpt"))
        peaks = []
        for hours in arguments.hours:
            trn = Path(folder) / f"{hours:g}-hours" / "TRN"
            trn.mkdir(parents=True)
            silence(trn / "silence.wav", hours)
            (trn / "silence.txt").touch()
            command = [sys.executable, __file__, "--extract", str(trn.parent)]
            command += ["--memory-weights", weights, "--memory-hop", str(arguments.memory_hop)]
            command += ["--batch", str(arguments.batch)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(answer.stdout.splitlines()[-1])
            peaks.append(found["peak"])
            print(
                f"{hours:5g} h  peak {peaks[-1]:6.0f} MB  x {peaks[-1] / peaks[0]:.3f}  "
                f"{found['windows']} windows in {found['seconds']:.0f} s",
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
    parser.add_argument("--extract", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if arguments.extract:
        print(json.dumps(extracted(arguments.extract, arguments)))
        return 0
    print(f"{os.cpu_count()} processors, TensorFlow {tf.__version__}, Keras {keras.__version__}")
    for name in arguments.parts or PARTS:
        PARTS[name](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
