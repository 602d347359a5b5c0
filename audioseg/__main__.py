"""The command line, ``audioseg``: the steps of the course, for your own recordings.

Exit status: 0 if all is done, 1 if something failed (the rest is done), 2 for wrong arguments, 130
if interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

# before anything imports TensorFlow: no greetings, and no oneDNN, which is no faster here
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
    """A parser that reports an error in one sentence, as the whole course does."""

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
        one.set_defaults(
            parser=one, do=command.run, goes_on="the same command goes on where it stopped"
        )
        command.add_arguments(one)
    options, unknown = parser.parse_known_args(argv)
    if unknown:  # the command's own help has its options
        options.parser.error(f"there is no {' '.join(unknown)}")
    if hasattr(sys.stdout, "reconfigure"):  # a file's name may be no valid text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return options.do(options)
    except ArgumentError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_ARGUMENTS
    except SentenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader of our lines, such as `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"error: {what}: check the file, its permissions and the disk.", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"error: interrupted: {options.goes_on}.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
