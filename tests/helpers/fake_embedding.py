"""A deterministic stand-in for a network: what runs in a moment, for tests of everything else."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import numpy as np

from vggish.frontend import WINDOW_SAMPLES, log_mel_blocks, windows


class FakeStream:
    def __init__(self, blocks, hop_frames):
        self.samples = 0
        self.padded = False
        self._blocks, self._hop_frames = blocks, hop_frames

    def _counted(self):
        for block in self._blocks:
            self.samples += len(block)
            yield block
        if self.samples < WINDOW_SAMPLES:
            self.padded = True
            yield np.zeros(WINDOW_SAMPLES - self.samples, np.float32)

    def __iter__(self):
        frames = np.concatenate(list(log_mel_blocks(self._counted())))
        view = windows(frames, hop_frames=self._hop_frames)
        for start in range(0, len(view), 64):
            chunk = view[start : start + 64]
            yield np.hstack([chunk.mean(axis=1), chunk.std(axis=1)]).astype(np.float32)


class FakeEmbedding:
    def __init__(self, name, sha256):
        self.name, self.sha256 = name, sha256

    def stream(self, blocks, hop_frames):
        return FakeStream(blocks, hop_frames)

    def quantize(self, embeddings):
        return np.clip(embeddings * 20 + 128, 0, 255).astype(np.uint8)

    def description(self):
        return {
            "name": self.name,
            "network": "fake",
            "sha256": self.sha256,
            "precision": "float32",
            "postprocessing": "none",
        }


@dataclass(frozen=True)
class FakeSource:
    """Stands in for ``extraction.Source``. The weights "other" are another kind."""

    weights: str = "auto"
    precision: str = "float32"
    batch_size: int = 64

    def load(self):
        name = os.path.basename(self.weights)  # noqa: PTH119
        return FakeEmbedding(name, {"other": "b" * 64}.get(name, "a" * 64))


@dataclass(frozen=True)
class SlowSource(FakeSource):
    """Takes its time, so that a run can be killed in the middle of it."""

    def load(self):
        embedding = super().load()
        quantize = embedding.quantize

        def slow(embeddings):
            time.sleep(0.02)
            return quantize(embeddings)

        embedding.quantize = slow
        return embedding


class DeadlyEmbedding(FakeEmbedding):
    """Dies, as if for want of memory, while there is a file, and removes it."""

    def __init__(self, name, sha256, trigger):
        super().__init__(name, sha256)
        self.trigger = trigger

    def quantize(self, embeddings):
        if os.path.exists(self.trigger):  # noqa: PTH110
            os.unlink(self.trigger)  # noqa: PTH108
            os.kill(os.getpid(), signal.SIGKILL)
        return super().quantize(embeddings)


@dataclass(frozen=True)
class DeadlySource(FakeSource):
    """``weights`` is a file: the first process that embeds removes it and dies."""

    def load(self):
        return DeadlyEmbedding("deadly", "a" * 64, self.weights)
