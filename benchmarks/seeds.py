"""How much is luck? Run the course's notebooks with several seeds: mean and spread of every score.

    python benchmarks/seeds.py [--seeds 3] [--probe FOLDER]

For each seed, copies of the training notebooks with that ``SEED``, and of 04, are run in a folder
of their own, on the records that 02 made. With ``--probe``, ``benchmarks/elsewhere.py`` then asks
the run that VAL chooses about the recordings in FOLDER. A few minutes a seed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import nbformat
import numpy as np

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
    """Print a line a score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--probe", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "data").symlink_to(Path("data").resolve())
            for name, value in one_seed(Path(folder), seed, options.probe):
                found[name].append(value)
            print(f"seed {seed}: VAL chooses {runs.best(Path(folder) / runs.FOLDER)}", flush=True)
    print(f"{'':52}{'mean':>8}{'lowest':>8}{'highest':>8}  seeds")
    for name, values in found.items():
        numbers = "".join(f"{v:8.3f}" for v in (np.mean(values), min(values), max(values)))
        print(f"{name:52}{numbers}{len(values):>7}")
    return 0


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
