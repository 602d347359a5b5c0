"""Errors that a person can fix: one sentence each, and no stack trace."""

from __future__ import annotations

from vggish.errors import SentenceError


class CourseError(SentenceError):
    """An error that a person can fix; its message is one sentence that says how."""


class ArgumentError(CourseError):
    """A wrong argument; the command line then exits with 2, not 1."""
