"""VGGish: log-mel front end, network, weights and postprocessing, each usable alone.

``frontend`` (waveform to log-mel), ``network`` (the plain Keras network), ``fast`` (the same
numbers with fewer multiplications), ``weights`` (Google's checkpoint), ``mini`` (the small network
that ships with the course), ``postprocess`` (PCA and 8 bit), ``resample`` (VGGish's resampler).
``embedding`` puts them together; most callers need nothing else.
"""

import os

# Keras picks its backend at its first import; the fast path is written in TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

EMBEDDING_SIZE = 128
