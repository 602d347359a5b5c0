"""What the teacher says: windows mixed from packages, and YAMNet's answer to each, in shards."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from vggish.frontend import log_mel
from vggish.mini.mixing import Mixer

CLASSES = 521
EMBEDDING_TENSOR, LOGITS_TENSOR = 112, 113
SHARD_WINDOWS = 2000


def label_shard(job: tuple[str, str, str, int, str]) -> None:
    """Mix the windows of a shard, ask the teacher, and write both.

    Parameters
    ----------
    job : tuple
        Path of the teacher, cache, split, the shard's number (which is its seed), path to write.
    """
    teacher, cache, split, number, path = job
    interpreter = tf.lite.Interpreter(
        teacher, experimental_preserve_all_tensors=True, num_threads=1
    )
    interpreter.allocate_tensors()
    mixer = Mixer(Path(cache), split)
    rng = np.random.default_rng([number, int.from_bytes(split.encode(), "little")])
    windows = np.empty((SHARD_WINDOWS, 96, 64), np.float16)
    embeddings = np.empty((SHARD_WINDOWS, 1024), np.float16)
    logits = np.empty((SHARD_WINDOWS, CLASSES), np.float16)
    kinds = []
    for i in range(SHARD_WINDOWS):
        samples, kind = mixer.window(rng)
        interpreter.set_tensor(0, samples)
        interpreter.invoke()
        windows[i] = log_mel(samples)
        embeddings[i] = interpreter.get_tensor(EMBEDDING_TENSOR)[0]
        logits[i] = interpreter.get_tensor(LOGITS_TENSOR)[0]
        kinds.append(kind)
    aside = Path(path).with_suffix(".part.npz")  # a shard is there when it is whole
    np.savez(aside, windows=windows, embeddings=embeddings, logits=logits, kinds=kinds)
    aside.replace(path)


def label(teacher: Path, cache: Path, windows: int, workers: int) -> None:
    """Write the shards of all splits that are not there yet, spread over processes."""
    jobs = []
    (cache / "shards").mkdir(parents=True, exist_ok=True)
    for split, count in (("files", 2), ("packages", 2), ("train", windows // SHARD_WINDOWS)):
        for number in range(count):
            path = cache / "shards" / f"{split}-{number:05d}.npz"
            if not path.exists():
                jobs.append((str(teacher), str(cache), split, number, str(path)))
    # one thread a process: the threads of several BLAS pools only wait for each other
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        list(tqdm(pool.map(label_shard, jobs), total=len(jobs), desc="teacher", unit="shard"))


def load_shards(cache: Path, split: str, count: int | None = None) -> dict[str, np.ndarray]:
    """Read windows (n, 96, 64), embeddings (n, 1024), logits (n, 521) and kinds (n,)."""
    paths = sorted((cache / "shards").glob(f"{split}-?????.npz"))[:count]
    shards = [dict(np.load(path)) for path in tqdm(paths, desc=f"reading {split}", unit="shard")]
    return {key: np.concatenate([shard.pop(key) for shard in shards]) for key in list(shards[0])}
