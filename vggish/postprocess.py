"""VGGish's postprocessing: the 128 bytes that AudioSet and YouTube-8M publish.

A PCA with whitening, a clip to [-2, 2], and 8 bits by **truncation**:
``y = eigen_vectors (x - means)``, ``uint8((clip(y, -2, 2) + 2) * 255 / 4)``.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggish import EMBEDDING_SIZE
from vggish.errors import SentenceError
from vggish.threads import one_blas_thread

CLIP = 2.0


class PostprocessError(SentenceError):
    """PCA parameters or embeddings do not fit; one sentence says what to do."""


@dataclass(frozen=True, eq=False)
class PCA:
    """A rotation and whitening of the embedding.

    Parameters
    ----------
    eigen_vectors : np.ndarray [shape=(128, 128)]
        One component a row, already scaled.
    means : np.ndarray [shape=(128,)]
        Subtracted first.

    Raises
    ------
    PostprocessError
        If a shape is wrong, or a value is not finite.
    """

    eigen_vectors: np.ndarray
    means: np.ndarray

    def __post_init__(self):
        square = (EMBEDDING_SIZE, EMBEDDING_SIZE)
        for name, shape in (("eigen_vectors", square), ("means", square[:1])):
            values = np.asarray(getattr(self, name))
            if values.shape != shape and values.size == np.prod(shape) and name == "means":
                values = values.reshape(shape)  # Google's file may hold a column
            if values.shape != shape or not np.issubdtype(values.dtype, np.floating):
                raise PostprocessError(
                    f"the PCA's {name} are {values.dtype} {values.shape} where floats {shape} are "
                    "needed: use the parameters that belong to the weights."
                )
            if not np.isfinite(values).all():
                raise PostprocessError(f"the PCA's {name} hold NaN or infinity: fit them again.")
            # float64: the last bit of a float32 product depends on how many rows it has, and
            # truncation would let that show
            object.__setattr__(self, name, values.astype(np.float64))

    @classmethod
    def identity(cls) -> PCA:
        """Return a PCA that changes nothing, for weights without one."""
        return cls(np.eye(EMBEDDING_SIZE), np.zeros(EMBEDDING_SIZE))

    @classmethod
    def load(cls, path: str | os.PathLike) -> PCA:
        """Read ``pca_eigen_vectors`` and ``pca_means`` from an .npz file.

        Raises
        ------
        PostprocessError
            If the file cannot be read, lacks one of the two, or holds other shapes.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(stored["pca_eigen_vectors"], stored["pca_means"])
        except PostprocessError as error:
            raise PostprocessError(f"{path}: {error}") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise PostprocessError(
                f"{path} is not a file of PCA parameters ({reason}): it must be an .npz with "
                "pca_eigen_vectors (128, 128) and pca_means (128,)."
            ) from None

    def project(self, embeddings: np.ndarray) -> np.ndarray:
        """Return ``eigen_vectors (x - means)`` for embeddings (n, 128), in float64."""
        centered = np.asarray(embeddings, dtype=np.float64) - self.means
        with one_blas_thread():
            return centered @ self.eigen_vectors.T


def quantize(embeddings: np.ndarray, pca: PCA) -> np.ndarray:
    """Postprocess embeddings into AudioSet's 8-bit form.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(n, 128)]
        The network's output.
    pca : PCA
        The parameters that belong to the network.

    Returns
    -------
    np.ndarray [shape=(n, 128), dtype=uint8]
        0 stands for -2 and below, 255 for 2 and above. Truncated, not rounded, as in AudioSet.

    Raises
    ------
    PostprocessError
        If the embeddings have another shape, or hold NaN or infinity.
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or embeddings.shape[1] != EMBEDDING_SIZE:
        raise PostprocessError(f"embeddings have the shape (n, 128), not {embeddings.shape}.")
    if not np.isfinite(embeddings).all():
        raise PostprocessError("the embeddings hold NaN or infinity, which no byte stands for.")
    clipped = np.clip(pca.project(embeddings), -CLIP, CLIP)
    return ((clipped + CLIP) * (255.0 / (2 * CLIP))).astype(np.uint8)
