"""The command line, ``audioseg``: the steps of the course for recordings of your own.

A command ends with 0 when all is done, with 1 when something failed (what could be done is done),
with 2 for wrong arguments, and with 130 when it was interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

# before TensorFlow is imported anywhere: no greetings, of oneDNN neither, which is no faster here
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from audioseg.corpus import command as corpus
from audioseg.correction import command as adopt
from audioseg.errors import ArgumentError
from audioseg.features import command as extract
from audioseg.segmentation import command as segment
from audioseg.show.app import command as app
from audioseg.training import command as board
from vggish.errors import SentenceError

COMMANDS = {
    "corpus": corpus,
    "extract": extract,
    "board": board,
    "segment": segment,
    "adopt": adopt,
    "app": app,
}
DONE, FAILED, WRONG_ARGUMENTS, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, as all of the course's are."""

    def error(self, message: str) -> None:
        self.exit(WRONG_ARGUMENTS, f"error: {message}: see {self.prog} --help.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments, those of the process by default.
    """
    parser = _Parser(prog="audioseg", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        about = command.__doc__.partition("\n")[0]
        one = commands.add_parser(name, help=about, description=about, epilog=command.EPILOG)
        one.set_defaults(do=command.run, goes_on="the same command goes on where it stopped")
        command.add_arguments(one)
    options = parser.parse_args(argv)
    if hasattr(sys.stdout, "reconfigure"):  # a file may have a name that no text can hold
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return options.do(options)
    except ArgumentError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_ARGUMENTS
    except SentenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # whoever read our lines, as `head` does, wants no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"error: {what}; check the file, its permissions and the disk.", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"error: interrupted: {options.goes_on}.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
