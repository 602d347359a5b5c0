"""``make tutorial`` runs what is missing or stale, and nothing twice."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BASE, ANSWER = "03-training-00-keras_2mlp_clsw0", "03-training-90-explaining_0687"
LEAK, ENSEMBLE = "03-training-93-the_leak", "03-training-95-keras_10x2mlp_clsw1"
FIRST = "01-data-acquisition-analysis-splitting"
SCRIPT = "02-feature-extraction-vggish_embedding.py"
LAST = ["04-testing-and-application", "05-your-own-problem"]
RECORDS = "data/on-hold/embeddings/dataset.json"
# notes what it is asked to do, and does it: 02 leaves records that are there, unless told
PYTHON = f"""#!/bin/sh
for last; do :; done
case "$*" in
  *librosa*) echo compiled >> librosa ;;
  *nbconvert*)
    echo "$last" >> asked; touch "executed/$last"
    echo "$last $TF_NUM_INTRAOP_THREADS" >> threads ;;
  0*)
    echo "02 $4" >> asked; mkdir -p {Path(RECORDS).parent}
    [ -e {RECORDS} -a -z "$4" ] || touch {RECORDS} ;;
esac
"""

pytestmark = pytest.mark.skipif(
    not shutil.which("make") or os.name == "nt", reason="no make, or no sh"
)


@pytest.fixture
def made(tmp_path):
    """Return a function that runs `make tutorial` and says what that ran."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    notebooks = [f"{name}.ipynb" for name in (FIRST, BASE, ANSWER, LEAK, ENSEMBLE, *LAST)]
    code = ["audioseg/labels.py", "audioseg/audio.py", "audioseg/decoding.py", "feat_ext.py",
            "vggish/mini/singing.py", "vggish/mini/voice.py", "data/sources.csv", SCRIPT,
            "vggish/fast.py", "requirements.txt", "pyproject.toml"]  # fmt: skip
    for name in (*notebooks, *code, ".venv/.ready"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "executed").mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"python": PYTHON, "audioseg": "#!/bin/sh\n"}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)

    def run(changed=None):
        asked = tmp_path / "asked"
        asked.unlink(missing_ok=True)
        if changed:
            time.sleep(0.1)  # file systems tell no finer
            (tmp_path / changed).touch()
            time.sleep(0.1)
        subprocess.run(["make", "tutorial", "BIN=./tools"], cwd=tmp_path, check=True)
        lines = asked.read_text().split("\n")[:-1] if asked.exists() else []
        return [line.removesuffix(".ipynb").strip() for line in lines]

    run.folder = tmp_path
    return run


def test_nothing_is_run_twice(made):
    ran = made()
    assert ran[:2] == [FIRST, "02"]
    in_order = [FIRST, "02", BASE, ANSWER, ENSEMBLE, LAST[0]]
    assert [name for name in ran if name not in (LEAK, LAST[1])] == in_order
    assert ran.count(LAST[1]) == ran.count(LEAK) == 1
    assert ran.index(LAST[1]) < ran.index(ANSWER)  # beside the base
    assert ran.index(LEAK) > ran.index(ENSEMBLE)  # beside 94 or 04
    assert made() == []


def test_a_new_environment_leaves_05_as_it_is(made):
    made()
    assert made(".venv/.ready") == [FIRST, "02"]


def test_librosa_is_compiled_with_the_setup_and_not_again(made):
    made()
    assert not (made.folder / "librosa").exists()
    (made.folder / ".venv/.ready").unlink()
    made()
    made()
    assert (made.folder / "librosa").read_text() == "compiled\n"


def test_trainings_take_a_thread_each(made):
    made()
    lines = (made.folder / "threads").read_text().split("\n")[:-1]
    alone = [line.split(".")[0] for line in lines if line.endswith(" 1")]
    assert sorted(alone) == [BASE, ANSWER, LEAK, ENSEMBLE]


def test_records_that_stay_train_nothing_again(made):
    made()
    assert made(f"{FIRST}.ipynb") == [FIRST, "02"]
    assert made() == []


def test_what_changed_is_run_again_and_what_reads_it(made):
    made()
    assert made(f"{ANSWER}.ipynb") == [ANSWER, ENSEMBLE, LAST[0]]
    assert made(f"{LEAK}.ipynb") == [LEAK]


def test_records_are_made_anew_for_other_weights_only(made):
    made()
    assert made("feat_ext.py") == ["02"]
    ran = made("vggish/fast.py")
    assert ran[0] == "02 --overwrite"
    assert sorted(ran[1:]) == sorted(
        [BASE, ANSWER, LEAK, ENSEMBLE, *LAST]
    )  # all that embeddings go into


def test_records_that_are_gone_are_made_again_from_what_there_is(made):
    made()
    (made.folder / RECORDS).unlink()
    assert made()[0] == "02"
