"""What rounding may do to a float32 result, on every processor.

Processors sum in different orders: with vectors of 4, 8 or 16 numbers, with one rounding for a
product and its sum or with two, on one thread or on several. In whichever order, the rounding
errors of a sum of n products add up to about ``sqrt(n)`` unit roundoffs of its size (Higham and
Mary, "A new approach to probabilistic rounding error analysis", SIAM J. Sci. Comput. 2019), and
the independent errors of sums behind one another add up in squares. With a margin of ten.
"""

import keras
import numpy as np

UNIT = 2.0**-24  # float32's unit roundoff
MARGIN = 10
# the products in a sum of each of VGGish's layers, from conv1 to fc2
VGGISH_SUMS = 9 * np.array([1, 64, 128, 256, 256, 512]), np.array([6 * 4 * 512, 4096, 4096])


def sums(*lengths):
    """Return how far a result of float32 sums of these lengths may lie off, relatively."""
    return MARGIN * UNIT * np.sqrt(np.sum(np.concatenate([np.atleast_1d(n) for n in lengths])))


VGGISH = sums(*VGGISH_SUMS)  # 1.1e-4


def relative_l2(estimate, reference):
    """Return the relative distance of arrays, computed in float64."""
    estimate, reference = np.asarray(estimate, float), np.asarray(reference, float)
    return np.linalg.norm(estimate - reference) / np.linalg.norm(reference)


def in_float64(build, model, **options):
    """Build a network again in float64, with the weights of a model."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        exact = build(**options)
    finally:
        keras.config.set_dtype_policy(before)
    exact.set_weights([value.astype(np.float64) for value in model.get_weights()])
    return exact
