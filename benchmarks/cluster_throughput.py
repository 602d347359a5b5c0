"""Throughput of 02 against the number of workers, as processes and in Dask, on this machine.

    python benchmarks/cluster_throughput.py [--workers 1 2 4] [--recordings 16] [--weights mini]
                                            [--precision float32]

Makes a corpus of noise in a temporary folder, runs 02 with so many processes and on local clusters
of each size, and prints windows a second and what 1,000 hours of audio would cost; the records
must be the same bytes every time. The workers share the cores of one machine, so the result shows
the cost of distribution. Processes count from their start; a cluster's workers are there already.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16_000
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def write_corpus(trn: Path, *, recordings: int, seconds: float) -> None:
    trn.mkdir(parents=True)
    for number in range(recordings):
        noise = np.random.default_rng(number).normal(0, 0.1, round(seconds * SAMPLE_RATE))
        soundfile.write(trn / f"r{number:03}.flac", noise.clip(-1, 1), SAMPLE_RATE)
        (trn / f"r{number:03}.txt").write_text(f"0\t{seconds}\tspeech\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--workers", type=int, nargs="+", default=sorted({1, 2, os.cpu_count() or 1})
    )
    parser.add_argument("--recordings", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=120.0, help="of each recording")
    parser.add_argument("--weights", default="mini")
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    import distributed

    from audioseg.features import extraction
    from audioseg.features.parts import Source

    source = Source(options.weights, options.precision)
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name) / "corpus"
        write_corpus(corpus / "TRN", recordings=options.recordings, seconds=options.seconds)
        print("| workers | windows/s | against one | core-hours for 1,000 h | bytes |")
        print("|---|---|---|---|---|")
        first_rate = first_hash = None

        def report(name: str, summary: extraction.Summary) -> None:
            nonlocal first_rate, first_hash
            rate = summary.run["windows_per_second"]
            made = (corpus / "embeddings" / "TRN.tfrecord").read_bytes()
            digest = hashlib.sha256(made).hexdigest()
            first_rate, first_hash = first_rate or rate, first_hash or digest
            same = "same" if digest == first_hash else "DIFFERENT"
            core_hours = (os.cpu_count() or 1) * summary.run["seconds"] / 3600
            cost = 1000 * core_hours / summary.run["hours"]
            print(
                f"| {name} | {rate:.0f} | {rate / first_rate:.2f} | {cost:.1f} | {same} |",
                flush=True,
            )

        run = partial(extraction.run, corpus, source=source, overwrite=True, show_progress=False)
        for workers in options.workers:
            run(workers=workers)  # this process loads the network and compiles it
            report(f"{workers} processes", run(workers=workers))
        for workers in options.workers:
            with distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
            ) as cluster:
                # once before it counts: the workers import TensorFlow and load the network
                for _ in range(2):
                    summary = run(scheduler=cluster.scheduler_address)
            report(f"{workers} of Dask", summary)


if __name__ == "__main__":
    main()
