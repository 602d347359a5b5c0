"""The lock on other machines: `pytest -m network` asks the package index, so not by default."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PLATFORMS = {
    "Linux x86-64": ("x86_64-manylinux_2_28", {}),
    "Linux arm64": ("aarch64-manylinux_2_28", {}),
    "macOS arm64": ("aarch64-apple-darwin", {"MACOSX_DEPLOYMENT_TARGET": "14.0"}),
    "Windows": ("x86_64-pc-windows-msvc", {}),
}

pytestmark = pytest.mark.network


@pytest.mark.skipif(not shutil.which("uv"), reason="needs uv: `pip install uv`")
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_lock_resolves(platform, python, tmp_path):
    name, environment = PLATFORMS[platform]
    command = ["uv", "pip", "install", "--dry-run", "--target", tmp_path, "--only-binary", ":all:"]
    target = ["--python-platform", name, "--python-version", python]
    done = subprocess.run(
        [*command, *target, "--require-hashes", "-r", ROOT / "requirements.txt"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "tensorflow" in done.stderr


def test_the_pip_part_of_environment_yml_installs(tmp_path):
    """As conda does it: pip, in a clean environment, beside a copy of the lock."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (tmp_path / "pip.txt").write_text("\n".join(environment["dependencies"][-1]["pip"]))
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    venv.create(tmp_path / "clean", with_pip=True)
    folder = "Scripts" if sys.platform == "win32" else "bin"
    python = tmp_path / "clean" / folder / "python"
    lines = (tmp_path / "pip.txt").read_text().split("\n")
    for line in lines:
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *line.split()], cwd=tmp_path, check=True
        )
    code = "import keras, tensorflow, librosa, av, jupyterlab; print(keras.__version__)"
    subprocess.run([python, "-c", code], check=True)
