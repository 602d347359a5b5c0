"""Classes are told apart, however one sees colours."""

from itertools import combinations

import numpy as np
import pytest

from audioseg.labels import Classes
from audioseg.show.looks import BACKGROUND_COLOR, PALETTE, Look, looks

# Machado, Oliveira & Fernandes 2009, table 1, no cone of one kind at all; on linear RGB
SIGHT = {
    "usual": np.eye(3),
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
       [0.0193339, 0.1191920, 0.9503041]]  # fmt: skip


def lab(color, sight):
    """Return a colour as somebody sees it, in CIELAB under D65."""
    levels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    x, y, z = XYZ @ np.clip(sight @ linear, 0, 1) / [0.95047, 1.0, 1.08883]
    x, y, z = (np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_told_apart_in_every_kind_of_sight(sight):
    seen = [lab(color, np.array(SIGHT[sight])) for color in (*PALETTE, BACKGROUND_COLOR)]
    # 2.3 is just noticeable side by side; these lie apart, in a legend and in a bar
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 5 * 2.3


@pytest.mark.parametrize("count", [2, 4, 8, 20, 22])
def test_each_class_has_a_look_of_its_own(count):
    names = tuple(f"class {i}" for i in range(count))
    found = looks(Classes(names, names[-1]))
    assert len(set(found.values())) == len({look.css for look in found.values()}) == count + 1
    assert list(found)[: count - 1] == list(names[:-1])


def test_ink_is_the_one_of_the_higher_contrast():
    assert Look("#ffff00").ink == "#000000" and Look("#000080").ink == "#ffffff"
    assert all(color in Look(color, "///").css for color in PALETTE)
