"""The classes of your own corpus: those that its label tracks name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from audioseg.corpus.sound import CorpusError
from audioseg.labels import UNKNOWN, Classes, LabelError, Segment
from audioseg.spelling import plain, spelling


def classes_of(
    tracks: Mapping[str, Sequence[Segment]],
    *,
    classes: Sequence[str] | None = None,
    background: str = "noise",
    ignore: Sequence[str] = (),
) -> Classes:
    """Return the classes of a corpus.

    Parameters
    ----------
    tracks : mapping of str to sequence of Segment
        The label track of each recording.
    classes : sequence of str, optional
        The classes, in the order of their numbers; by default the labels of the tracks, in
        alphabetical order. Of labels that differ only in capitals or in ``_`` for a
        blank, the most frequent one counts.
    background : str
        The class of time without a label; it becomes the last class, if it is not among them.
    ignore : sequence of str
        Labels that are not classes. ``?`` is always among them.

    Returns
    -------
    Classes

    Raises
    ------
    CorpusError
        If these cannot be classes, or are too few or too many.
    """
    ignore = tuple(dict.fromkeys((*ignore, UNKNOWN)))
    if classes is None:
        counts = label_counts(tracks)
        spelled: dict[str, str] = {}
        for label in sorted(counts, key=lambda label: (-counts[label], label)):
            spelled.setdefault(plain(label), label)
        aside = {plain(name) for name in (*ignore, background)}
        classes = sorted(name for key, name in spelled.items() if key not in aside)
    names = tuple(classes)
    if background not in names:
        names = (*names, background)
    found = Classes(names, background, ignore)
    try:
        found.check()
    except LabelError as error:
        raise CorpusError(str(error)) from None
    return found


def label_counts(tracks: Mapping[str, Sequence[Segment]]) -> Counter[str]:
    """Count the segments of each label."""
    return Counter(segment.label for track in tracks.values() for segment in track)


def odd_spellings(tracks: Mapping[str, Sequence[Segment]], classes: Classes) -> list[str]:
    """Return a sentence for each label that looks like a misspelling of another.

    Parameters
    ----------
    tracks : mapping of str to sequence of Segment
        As people wrote them, by recording.
    classes : Classes
        As :func:`classes_of` returns them.
    """
    counts, said = label_counts(tracks), []
    for label in sorted(counts, key=lambda label: (counts[label], label)):
        where = next(name for name, track in tracks.items() if label in {s.label for s in track})
        times = f"{counts[label]} segment{'s' * (counts[label] != 1)}, as in {where}"
        if label not in classes.labels:
            same = next(name for name in classes.labels if plain(name) == plain(label))
            said.append(f"note: the label {label!r} ({times}) is read as {same!r}.")
            continue
        others = [name for name in classes.labels if counts[name] >= counts[label]]
        meant = spelling(label, others)
        # of two equally frequent labels, only one is reported
        if meant and (counts[meant] > counts[label] or meant < label):
            said.append(
                f"note: the label {label!r} ({times}) looks like {meant!r}, but is a class of its "
                "own: correct it, if that was meant."
            )
    return said
