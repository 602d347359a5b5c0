"""The command line: quick to answer, one sentence where something is wrong."""

import subprocess
import sys

import pytest

from audioseg import __main__ as command_line

SLOW = ("numpy", "scipy", "pandas", "matplotlib", "tensorflow", "keras", "librosa", "mir_eval")


@pytest.mark.parametrize("arguments", [[], *([name] for name in command_line.COMMANDS)])
def test_help_waits_for_no_library(arguments):
    code = (
        "import sys, audioseg.__main__ as command_line\n"
        "try:\n    command_line.main(sys.argv[1:])\n"
        f"finally:\n    print(*(name for name in {SLOW} if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: audioseg")
    assert done.stderr == "\n"


@pytest.mark.parametrize("arguments", [[], ["train"], ["--fast"], ["board", "now"]])
def test_what_is_no_command_ends_with_2_and_one_sentence(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert said.endswith("--help.\n")
    if arguments == ["train"]:
        assert all(name in said for name in command_line.COMMANDS)


@pytest.mark.parametrize(
    "arguments", [["a.wav", "--fast"], ["--format", "eaf", "a.wav"], ["a.wav", "--smooth", "much"]]
)
def test_a_wrong_argument_of_a_command_names_its_help(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["segment", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith(": see audioseg segment --help.\n")
    assert ("files go first" in said) == ("eaf" in arguments)


def test_a_file_that_may_not_be_used_is_named(monkeypatch, capsys):
    def refused(options):
        raise PermissionError(13, "Permission denied", "runs/board.png")

    monkeypatch.setattr("audioseg.training.command.run", refused)
    assert command_line.main(["board"]) == 1
    assert capsys.readouterr().err == (
        "error: runs/board.png: Permission denied: check the file, its permissions and the disk.\n"
    )
