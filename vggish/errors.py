"""What a person can put right: one sentence that names it, and no stack trace."""

from __future__ import annotations


class SentenceError(ValueError):
    """A mistake that a person can put right; its message is one sentence that says how.

    Command lines print the sentence alone, and so does a notebook.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a stack trace."""
        return [f"{type(self).__name__}: {self}"]
