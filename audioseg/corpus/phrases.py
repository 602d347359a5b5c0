"""Where the speech is in the prompts; the plan of a corpus builds on it.

A phrase starts where the power of decoded samples crosses a threshold, and decoders and resamplers
round differently from one processor to the next. So a table beside the table of sources,
``phrases.csv``, keeps the phrases, and the plan is the same on every machine. A prompt that the
table lacks is measured and added.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from audioseg.corpus import sound
from audioseg.corpus.folder import map_items, write_csv
from audioseg.corpus.sound import BLOCK_SAMPLES, SAMPLE_RATE, CorpusError

PAUSE_SECONDS = 0.8  # a longer pause ends a phrase
SHORTEST_PHRASE_SECONDS = 0.35

# start and end in samples, multiples of 160, and the level of what is active in dB
Phrase = tuple[int, int, float]


def find_phrases(samples: np.ndarray) -> list[Phrase]:
    """Find the stretches of speech in a prompt.

    A block of 10 ms is active if it is 10 dB above the prompt's floor (its quietest 50 ms). A
    prompt without pauses has no floor, so the threshold stays between 38 and 20 dB below the loud
    blocks. Pauses up to 0.8 s are part of a phrase; longer ones end it.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,)]
        16 kHz, full scale 1.

    Returns
    -------
    list of (start, end, level)
        Samples, multiples of 160, and the mean level of the active blocks in dB of full scale.
    """
    powers = sound.block_powers(samples)
    if len(powers) < 5:
        return []
    sums = np.cumsum(np.concatenate([[0.0], powers]))
    floor = np.sort(sums[5:] - sums[:-5])[int(0.03 * (len(powers) - 5))] / 5
    loud = np.sort(powers)[int(0.95 * (len(powers) - 1))]
    threshold = min(max(10 * floor, loud * 10**-3.8), loud * 10**-2)
    active = np.flatnonzero(powers > max(threshold, 2.0**-30))  # a 16-bit step
    if not len(active):
        return []
    pause_blocks = round(PAUSE_SECONDS * SAMPLE_RATE / BLOCK_SAMPLES)
    phrases = []
    for run in np.split(active, np.flatnonzero(np.diff(active) > pause_blocks) + 1):
        # speech begins softly and dies away: 30 ms before, 60 ms after
        start = max(int(run[0]) - 3, 0) * BLOCK_SAMPLES
        end = min(int(run[-1]) + 7, len(powers)) * BLOCK_SAMPLES
        if end - start >= SHORTEST_PHRASE_SECONDS * SAMPLE_RATE and len(run) >= 10:
            level = 10 * np.log10(powers[run].mean())
            phrases.append((start, end, round(float(level), 2)))
    return phrases


def phrases_of(
    paths: Iterable[str], table: str | os.PathLike, raw_folder: Path, workers: int
) -> dict[str, list[Phrase]]:
    """Return the phrases of prompts from the table; measure and add those that it lacks.

    Parameters
    ----------
    paths : iterable of str
        Prompts, relative to ``raw_folder``.
    table : str or PathLike
        ``phrases.csv``. If it is missing, all prompts are measured and it is written.
    raw_folder : Path
        Where sources are unpacked.
    workers : int
        Processes.

    Returns
    -------
    dict
        The phrases of each path; none if nothing is said.

    Raises
    ------
    CorpusError
        If the table or a prompt cannot be read.
    """
    paths, table = list(paths), Path(table)
    known = read_phrases(table) if table.exists() else {}
    lacking = [path for path in paths if path not in known]
    if lacking:
        chunks = [lacking[i : i + 25] for i in range(0, len(lacking), 25)]
        work = partial(measured, raw_folder=raw_folder)
        for found in map_items(work, chunks, workers, "prompts", [len(c) for c in chunks]):
            known |= found
        write_phrases(table, known)
    return {path: known[path] for path in paths}


def measured(paths: Iterable[str], raw_folder: Path) -> dict[str, list[Phrase]]:
    """Return the phrases of prompts as :func:`find_phrases` finds them here."""
    return {path: find_phrases(sound.read_source(raw_folder / path)) for path in paths}


def read_phrases(table: str | os.PathLike) -> dict[str, list[Phrase]]:
    """Read ``phrases.csv``.

    Its rows are a ``folder`` (none: that of the row above), a ``file`` and its ``phrases``:
    ``first block-end block:level``, with ``;`` between, in blocks of 10 ms and dB.

    Raises
    ------
    CorpusError
        If it cannot be understood.
    """
    try:
        rows = pd.read_csv(table, dtype=str, keep_default_na=False)
        rows["folder"] = rows.folder.replace("", None).ffill()
        return {
            f"{row.folder}/{row.file}": [_phrase(text) for text in row.phrases.split(";") if text]
            for row in rows.itertuples()
        }
    except (OSError, ValueError, AttributeError) as error:
        raise CorpusError(
            f"{table} cannot be read ({error}): restore it from the project, or remove it, and "
            "run the same command again."
        ) from None


def _phrase(text: str) -> Phrase:
    blocks, level = text.split(":")
    start, end = blocks.split("-")
    return int(start) * BLOCK_SAMPLES, int(end) * BLOCK_SAMPLES, float(level)


def write_phrases(table: str | os.PathLike, phrases: Mapping[str, Iterable[Phrase]]) -> None:
    """Write ``phrases.csv``, as :func:`read_phrases` reads it."""
    split = [(*path.rsplit("/", 1), found) for path, found in phrases.items()]
    rows = pd.DataFrame(sorted(split), columns=["folder", "file", "phrases"])
    rows["folder"] = rows.folder.mask(rows.folder == rows.folder.shift(), "")
    rows["phrases"] = [
        ";".join(f"{a // BLOCK_SAMPLES}-{b // BLOCK_SAMPLES}:{level:.2f}" for a, b, level in found)
        for found in rows.phrases
    ]
    write_csv(Path(table), rows)
