"""The command line of 02 with a stand-in for the network, and a way to kill it over and over.

``extract_with_fake.py ARGUMENTS`` runs 02. ``extract_with_fake.py --kill N SEED ARGUMENTS`` runs it
until it has been killed N times at random moments, and then until it ends; whenever it ends
before, the records are kept aside as ``embeddings-<k>`` and it starts from nothing.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fake_embedding import FakeSource, SlowSource  # noqa: E402

SCRIPT = ROOT / "02-feature-extraction-vggish_embedding.py"


def load_script():
    spec = importlib.util.spec_from_file_location("script02", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def run_and_kill(kills: int, seed: int, argv: list[str]) -> None:
    """Fork a run, kill it, again and again: what it has imported need not be imported anew."""
    import extraction  # noqa: F401  before the fork

    script = load_script()
    corpus = Path(argv[argv.index("--corpus") + 1])
    rng = random.Random(seed)
    killed = finished = 0
    while True:
        child = os.fork()
        if not child:
            os._exit(script.main(argv, source_class=SlowSource))
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
        sys.exit(load_script().main(source_class=FakeSource))
