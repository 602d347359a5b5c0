"""Labels as people write them: whether two are the same, and which one was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def spelling(label: str, names: Iterable[str]) -> str | None:
    """Return the name that a label is most likely a misspelling of, or None.

    Capitals and blanks do not count. Numbers and a last letter tell things apart, so ``voice 2``
    is not taken for ``voice 1``, nor ``site a`` for ``site b``.
    """
    known = {plain(name): name for name in names if name != label}
    if plain(label) in known:
        return known[plain(label)]
    close = difflib.get_close_matches(plain(label), known, n=1, cutoff=0.82)
    if not close or _stem(close[0]) == _stem(plain(label)):
        return None
    return known[close[0]]


def plain(label: str) -> str:
    """Return a label in a form for comparing: in lower case, with a blank for each ``_``."""
    return " ".join(label.casefold().replace("_", " ").split())


def _stem(label: str) -> str:
    """Return a label without its numbers and without a single letter at its end."""
    letters = "".join(c for c in label if not c.isdigit())
    return letters[:-1].rstrip() if letters[-2:-1] in (" ", "-") else letters
