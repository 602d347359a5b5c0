"""Malformed inputs, made on the spot, and what is said about each.

``python tests/helpers/malformed.py`` makes them all in a temporary folder, gives them to the
programs, and prints a table. The inputs of 02 go into one corpus and through one run; everything
else goes to the function that reads it.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from fake_embedding import FakeSource
from malformed_files import ARCHIVES, CHECKPOINTS, MINI, RECORD_FILES
from malformed_recordings import FINE, NOISE, RECORDINGS, long_name
from recordings import write_corpus, write_recording

from audioseg.corpus import packages
from audioseg.features import extraction
from audioseg.features.dataset import load_split


def of_recordings(place: Path) -> dict[str, str]:
    """Put all recordings into one corpus beside good ones, run 02, return what was said."""
    corpus = write_corpus(place / "corpus", recordings=4)
    trn = corpus / "TRN"
    for number, case in enumerate(RECORDINGS):
        case.make(trn / f"case{number:02}")
    # in the way, but no recordings
    (trn / ".ipynb_checkpoints").mkdir()
    write_recording(trn / ".ipynb_checkpoints" / "a.wav", 1.0)
    (trn / "Thumbs.db").write_bytes(NOISE)
    summary = extraction.run(corpus, source=FakeSource(), show_progress=False)
    reasons = {fault["recording"]: fault["reason"] for fault in summary.failed}
    names = set(load_split(corpus / "embeddings", "TRN").names)
    said = {}
    for number, case in enumerate(RECORDINGS):
        name = "n" * 230 if case.make is long_name else f"case{number:02}"
        assert (name in names) != (name in reasons), case.name
        said[case.name] = reasons.get(name, FINE).replace(f"{place}{os.sep}", "")
    assert {"r00", "r02"} <= names  # the good ones
    assert len(names) + len(reasons) == len(RECORDINGS) + 2
    return said


def attempt(function: Callable, place: Path) -> str:
    """Return the sentence of the ValueError that a function raises."""
    try:
        function()
    except ValueError as error:
        return str(error).replace(f"{place}{os.sep}", "")
    return FINE


def of_records(place: Path) -> dict[str, str]:
    corpus = write_corpus(place / "records", recordings=6)
    extraction.run(corpus, source=FakeSource(), show_progress=False)
    good = {p.name: p.read_bytes() for p in (corpus / "embeddings").iterdir() if p.is_file()}
    said = {}
    for case in RECORD_FILES:
        for name, data in good.items():
            (corpus / "embeddings" / name).write_bytes(data)
        case.make(corpus / "embeddings")
        said[case.name] = attempt(
            lambda: load_split(corpus / "embeddings", "TRN"), corpus / "embeddings"
        )
    return said


def of_archives(place: Path) -> dict[str, str]:
    said = {}
    for number, case in enumerate(ARCHIVES):
        folder = place / f"archive{number}"
        folder.mkdir()
        case.make(folder / "package.deb")
        said[case.name] = attempt(
            lambda folder=folder: packages.unpack_deb(
                folder / "package.deb", folder / "out", limit=1 << 20
            ),
            folder,
        )
        left = {path.name for path in folder.iterdir()}
        assert left == {"package.deb"} | ({"out"} if said[case.name] == FINE else set()), left
        assert not list(folder.glob("out/*")), case.name
    return said


def of_weights(place: Path) -> dict[str, str]:
    from vggish.mini.network import load_mini
    from vggish.weights import load_checkpoint

    said = {}
    for cases, load, name in (
        (MINI, load_mini, "mini.npz"),
        (CHECKPOINTS, load_checkpoint, "v.ckpt"),
    ):
        for number, case in enumerate(cases):
            folder = place / f"{name}{number}"
            folder.mkdir()
            case.make(folder / name)
            said[case.name] = attempt(lambda f=folder / name, load=load: load(f), folder)
            assert not (folder / f"{name}.run").exists(), "a program from a file was run"
    return said


CASES = RECORDINGS + RECORD_FILES + ARCHIVES + MINI + CHECKPOINTS


def table(said: dict[str, str]) -> str:
    """Return a table in Markdown."""
    rows = (f"| {case.name} | {said[case.name]} |" for case in CASES)
    return "\n".join(["| input | what was said |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
        place = Path(name)
        everything = of_recordings(place) | of_records(place) | of_archives(place)
        everything |= of_weights(place)
    print(table(everything), end="")
