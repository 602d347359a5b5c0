"""``make clean`` removes what can be made again."""

import shutil
import subprocess
from pathlib import Path

import pytest
from archives import files_below

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_what_the_reader_made_is_kept(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    course = ["03-training-00-keras_2mlp_clsw0", "03-training-90-explaining_0687"]
    gone = ["data/on-hold/recordings.csv", "data/who-speaks/corpus.json", "executed/a.ipynb",
            "runs/board.png", *(f"runs/{name}/metrics.json" for name in course)]  # fmt: skip
    mine = ["03-training-01-mine", ".before/03-training-01-mine", f"{course[1]}-Copy1"]
    kept = ["Makefile", "data/raw/a.deb", "data/tapes/recordings.csv", "segmented/a.txt",
            *(f"runs/{name}/metrics.json" for name in mine),
            *(f"{name}.ipynb" for name in (*course, mine[0], mine[2]))]  # fmt: skip
    for path in (tmp_path / name for name in (*gone, *kept)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)
    assert sorted(files_below(tmp_path)) == sorted(kept)
