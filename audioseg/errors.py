"""What a person can put right: one sentence that names it, and no stack trace."""

from __future__ import annotations

from vggish.errors import SentenceError


class CourseError(SentenceError):
    """A mistake that a person can put right; its message is one sentence that says how."""


class ArgumentError(CourseError):
    """An argument that names what is not there; the command line ends with 2, not 1."""
