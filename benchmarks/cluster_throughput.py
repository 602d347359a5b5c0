"""Throughput of 02 against the number of Dask workers, on this machine.

    python benchmarks/cluster_throughput.py [--workers 1 2 4] [--recordings 16] [--weights mini]

Makes a corpus of noise in a temporary folder, runs 02 on local clusters of each size, and prints
windows a second; the records must be the same bytes every time. The workers share the cores of one
machine, so the result shows the cost of distribution.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "helpers"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--workers", type=int, nargs="+", default=sorted({1, 2, os.cpu_count() or 1})
    )
    parser.add_argument("--recordings", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=120.0, help="of each recording")
    parser.add_argument("--weights", default="mini")
    options = parser.parse_args()
    import distributed
    from recordings import write_recording

    from audioseg.features import extraction
    from audioseg.features.parts import Source

    source = Source(options.weights)
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name) / "corpus"
        for number in range(options.recordings):
            write_recording(corpus / "TRN" / f"r{number:03}.flac", options.seconds, seed=number)
        print("| workers | windows/s | against one | bytes |\n|---|---|---|---|")
        first_rate = first_hash = None
        for workers in options.workers:
            with distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
            ) as cluster:
                # once before it counts: the workers import TensorFlow and load the network
                for _ in range(2):
                    summary = extraction.run(
                        corpus,
                        source=source,
                        scheduler=cluster.scheduler_address,
                        overwrite=True,
                        show_progress=False,
                    )
            rate = summary.windows / summary.seconds
            made = (corpus / "embeddings" / "TRN.tfrecord").read_bytes()
            digest = hashlib.sha256(made).hexdigest()
            first_rate, first_hash = first_rate or rate, first_hash or digest
            same = "same" if digest == first_hash else "DIFFERENT"
            print(f"| {workers} | {rate:.0f} | {rate / first_rate:.2f} | {same} |", flush=True)


if __name__ == "__main__":
    main()
