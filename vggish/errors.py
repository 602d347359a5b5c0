"""Errors that a person can fix: one sentence each, and no stack trace."""

from __future__ import annotations


class SentenceError(ValueError):
    """An error that a person can fix; its message is one sentence that says how.

    Command lines and notebooks print the sentence alone.
    """

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in place of a stack trace."""
        return [f"{type(self).__name__}: {self}"]
