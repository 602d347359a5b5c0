"""How much is luck? Run the course's notebooks with several seeds: mean and spread of every score.

    python benchmarks/seeds.py [--seeds 3] [--draws 1] [--probe FOLDER]

For each seed, copies of the training notebooks with that ``SEED``, and of 04, are run in a folder
of their own, on the records that 02 made. With ``--probe``, ``benchmarks/elsewhere.py`` then asks
the run that VAL chooses about the recordings in FOLDER. A few minutes a seed. With ``--draws 3``,
the same is then done on two more corpora, composed of the same sources with other seeds; each takes
a few minutes more, and has a VAL and a TST of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import nbformat
import numpy as np

from audioseg.corpus import compose
from audioseg.training import runs

TRAINING, TEST = "03-training-[09]*.ipynb", "04-testing-and-application.ipynb"
SCORES = {
    "metrics.json": (
        "val_accuracy",
        "val_macro_f1",
        "val_smoothed_accuracy",
        "val_smoothed_macro_f1",
        "val_short_macro_f1",
    ),
    "test.json": ("tst_accuracy", "tst_macro_f1", "tst_event_f1_0.5s"),
}
TABLE_ROW = re.compile(r"^(\S+) +[\d.]+ +([\d.]+)( +[\d.]+){4}$")  # of elsewhere.py


def main() -> int:
    """Print a table for each corpus, with a line for each score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--draws", type=int, default=1, metavar="N", help="of the corpus")
    parser.add_argument("--probe", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    for draw in range(options.draws):
        with tempfile.TemporaryDirectory() as folder:
            data = another_corpus(Path(folder), draw) if draw else Path("data").resolve()
            print(f"corpus of seed {compose.SEED + draw}" if draw else "corpus in data", flush=True)
            found = scores_on(data, options.seeds, options.probe)
        print(f"{'':52}{'mean':>8}{'lowest':>8}{'highest':>8}  seeds")
        for name, values in found.items():
            numbers = "".join(f"{v:8.3f}" for v in (np.mean(values), min(values), max(values)))
            print(f"{name:52}{numbers}{len(values):>7}", flush=True)
    return 0


def another_corpus(data: Path, draw: int) -> Path:
    """Compose the course's sources once more, with another seed, and embed the recordings."""
    for name in ("sources.csv", "phrases.csv"):
        shutil.copy(Path("data") / name, data)
    compose.compose_corpus(data, raw_folder=Path("data/raw"), seed=compose.SEED + draw)
    dataset = Path("data") / compose.CORPUS / "embeddings/dataset.json"
    here = json.loads(dataset.read_text(encoding="utf-8"))  # embedded alike
    command = [sys.executable, "-m", "audioseg", "extract", "--workers", "2"]
    command += ["--weights", here["weights"], "--hop", str(here["hop_seconds"])]
    subprocess.run([*command, "--corpus", str(data / compose.CORPUS)], check=True)
    return data


def scores_on(data: Path, seeds: int, probe: Path | None) -> dict[str, list[float]]:
    """Run the notebooks with each seed on one corpus; return each score with every seed."""
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "data").symlink_to(data)
            for name, value in one_seed(Path(folder), seed, probe):
                found[name].append(value)
            print(f"seed {seed}: VAL chooses {runs.best(Path(folder) / runs.FOLDER)}", flush=True)
    return found


def one_seed(folder: Path, seed: int, probe: Path | None) -> list[tuple[str, float]]:
    """Run the notebooks with a seed; return the name and value of each score."""
    for path in [*sorted(Path().glob(TRAINING)), Path(TEST)]:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if "parameters" in cell.metadata.get("tags", ()):
                cell.source = re.sub(r"(?m)^SEED = \d+", f"SEED = {seed}", cell.source)
        nbformat.write(notebook, folder / path.name)
        command = ["jupyter", "nbconvert", "--log-level=WARN", "--to=notebook", "--execute"]
        subprocess.run(
            [sys.executable, "-m", *command, "--inplace", path.name],
            cwd=folder,
            env=os.environ | {"JPY_SESSION_NAME": path.name},
            check=True,
        )
    found = []
    for run in sorted((folder / runs.FOLDER).iterdir()):
        for file, names in SCORES.items():
            kept = json.loads((run / file).read_text(encoding="utf-8"))
            found += [(f"{run.name}: {name}", kept[name]) for name in names if name in kept]
    if probe:
        command = [sys.executable, str(Path(__file__).with_name("elsewhere.py").resolve())]
        said = subprocess.run(
            [*command, str(probe.resolve())], cwd=folder, check=True, text=True, capture_output=True
        ).stdout
        title = ""
        for line in said.splitlines():
            title = line[:22].strip() if line.startswith(("whole files", "files of")) else title
            if row := TABLE_ROW.match(line):
                found.append((f"elsewhere, {title}: {row[1]}", float(row[2])))
    return found


if __name__ == "__main__":
    sys.exit(main())
