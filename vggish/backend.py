"""Keras on TensorFlow, imported with the settings that this package wants, and quietly.

TensorFlow greets on the standard error stream of the process before any of its settings that
would keep it quiet is read; what else it has to say there passes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Keras picks its backend at its first import; the fast path is written in TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow turns oneDNN on by itself on some processors only. It rounds differently, and makes
# `mini` a quarter faster.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

GREETINGS = (b"oneDNN custom operations are on.", b"before absl::InitializeLog() is called")


@contextmanager
def _without_greetings() -> Iterator[None]:
    """Hold back what is written to the standard error stream, and drop the greetings."""
    try:
        stream = os.dup(2)
    except OSError:  # closed: nobody would see them
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stream, 2)
            os.close(stream)
            held.seek(0)
            for line in held:
                if not any(greeting in line for greeting in GREETINGS):
                    os.write(2, line)


with _without_greetings():
    import keras
    import tensorflow as tf

__all__ = ["keras", "tf"]
