"""02 on the workers of a Dask scheduler that somebody else started."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time

import distributed
import pytest
from extract_with_fake import ROOT, SCRIPT, command, hashes, main
from fake_embedding import FakeSource, SlowSource
from recordings import write_corpus


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as local:
        yield local


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_two_workers_one_killed(tmp_path, cluster):
    corpus = write_corpus(tmp_path / "corpus", recordings=20, seconds=1.0)
    assert main(["--corpus", str(corpus)], source_class=FakeSource) == 0
    reference = hashes(corpus / "embeddings")
    (corpus / "embeddings").rename(corpus / "reference")
    with cluster.get_client() as client:
        processes = client.run(os.getpid)
    assert len(processes) == 2
    killed = []

    def kill_one():
        while not list((corpus / "embeddings").rglob("parts/*/r*")):
            time.sleep(0.005)
        killed.append(next(iter(processes.values())))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    options = ["--corpus", str(corpus), "--scheduler", cluster.scheduler_address]
    assert main(options, source_class=SlowSource) == 0
    killer.join(10)
    assert killed
    assert hashes(corpus / "embeddings") == reference


@pytest.mark.skipif(
    not (ROOT / "vggish" / "mini" / "mini.npz").exists(), reason="the weights of mini are not here"
)
def test_mini_killed_and_on_a_cluster(tmp_path, cluster):
    """The program as it is: a run, and one that is killed and goes on elsewhere."""
    corpus = write_corpus(tmp_path / "corpus", recordings=4, seconds=3.0)
    options = ["--corpus", str(corpus), "--weights", "mini"]
    # in a process of its own: in this one, TensorFlow may have started with other threads
    done = command(SCRIPT, *options, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "embeddings: mini" in done.stdout
    reference = hashes(corpus / "embeddings")
    assert json.loads((corpus / "embeddings" / "dataset.json").read_text())["weights"] == "mini"
    (corpus / "embeddings").rename(corpus / "reference")
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), *options], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as child:
        while child.poll() is None and not list((corpus / "embeddings").rglob("parts/*/r*")):
            time.sleep(0.01)
        child.kill()
    done = command(SCRIPT, *options, "--scheduler", cluster.scheduler_address, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert hashes(corpus / "embeddings") == reference


def test_bad_recordings_and_no_scheduler(tmp_path, cluster, capsys):
    corpus = write_corpus(tmp_path / "corpus", recordings=4)
    (corpus / "TRN" / "r00.wav").write_bytes(b"RIFF")
    options = ["--corpus", str(corpus), "--scheduler"]
    assert main([*options, cluster.scheduler_address], source_class=FakeSource) == 1
    assert "TRN/r00: " in capsys.readouterr().err
    before = clients()
    worker = next(iter(cluster.workers.values())).worker_address  # answers, but not as a scheduler
    for address in ("nonsense://x", worker):
        assert main([*options, address], source_class=FakeSource) == 2
        assert f"no Dask scheduler answers at {address}" in capsys.readouterr().err
    # a client that is garbage closes itself, wherever the collector finds it: a deadlock
    assert all(client.status == "closed" for client in clients() if client not in before)


def clients():
    """Return the clients of this process, those that are garbage too."""
    return [one for one in gc.get_objects() if issubclass(type(one), distributed.Client)]


def test_a_worker_with_other_weights(tmp_path, cluster, capsys):
    """The workers take their own files, and these must be those of the run."""
    corpus = write_corpus(tmp_path / "corpus", recordings=2)

    class Here(FakeSource):
        def load(self):
            embedding = super().load()
            embedding.sha256 = "c" * 64
            return embedding

        def __reduce__(self):
            return FakeSource, (self.weights, self.precision, self.batch_size)

    options = ["--corpus", str(corpus), "--scheduler", cluster.scheduler_address]
    assert main(options, source_class=Here) == 1
    assert "has other weights" in capsys.readouterr().err
