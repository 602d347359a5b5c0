"""The command line of 02 with a stand-in for the network, and a way to kill it over and over.

``extract_with_fake.py ARGUMENTS`` runs 02. ``extract_with_fake.py --kill N SEED ARGUMENTS`` runs it
until it has been killed N times at random moments, and then until it ends; whenever it ends
before, the records are kept aside as ``embeddings-<k>`` and it starts from nothing.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

from fake_embedding import FakeSource, SlowSource

from audioseg.__main__ import main as command_line
from audioseg.features import extraction

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "02-feature-extraction-vggish_embedding.py"
FAKE = Path(__file__)


def main(argv=None, *, source_class=FakeSource):
    """Run 02 with a stand-in for the network; return its exit status."""
    with mock.patch.object(extraction, "Source", source_class):
        return command_line(["extract", *(sys.argv[1:] if argv is None else argv)])


def run(corpus, *more, source_class=FakeSource):
    return main(["--corpus", str(corpus), *more], source_class=source_class)


def hashes(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.tfrecord"))
    }


def command(*arguments, **options):
    """Run a Python program to its end, away from the repository's folder."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, **options
    )


def run_and_kill(kills: int, seed: int, argv: list[str]) -> None:
    """Fork a run, kill it, again and again: what it has imported need not be imported anew."""
    corpus = Path(argv[argv.index("--corpus") + 1])
    rng = random.Random(seed)
    killed = finished = 0
    while True:
        child = os.fork()
        if not child:
            os._exit(main(argv, source_class=SlowSource))
        if killed < kills:
            time.sleep(rng.uniform(0.0, 0.25))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            continue
        assert os.WEXITSTATUS(status) == 0
        if killed == kills:
            print(f"killed {killed} times, ended {finished + 1} times")
            return
        (corpus / "embeddings").rename(corpus / f"embeddings-{finished}")
        finished += 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--kill"]:
        run_and_kill(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    else:
        sys.exit(main())
