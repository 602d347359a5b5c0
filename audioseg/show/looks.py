"""How classes look, in pictures and on pages: a colour each, and hatches once these are used up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from audioseg.labels import Classes

# Okabe and Ito's palette: told apart in every common kind of colour vision. The first three, and
# the grey of the background, are of four different lightnesses, so they differ in grey as well.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
HATCHES = ("", "///", "...")  # once all colours are used, they come again with these
BACKGROUND_COLOR = "#C8C8C8"


class Look(NamedTuple):
    """How a class is drawn: its ``color`` (``#rrggbb``) and matplotlib's ``hatch`` over it."""

    color: str
    hatch: str = ""

    @property
    def ink(self) -> str:
        """Black or white, whichever is easier to read on the colour.

        By the contrast ratio of WCAG 2.2, from relative luminances.
        """
        levels = np.array([int(self.color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        luminance = float(linear @ [0.2126, 0.7152, 0.0722])
        return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"

    @property
    def css(self) -> str:
        """The same as a value of CSS's ``background``."""
        over = f"{self.ink}99"
        line = f"repeating-linear-gradient({{}}deg,{over} 0 1.5px,transparent 1.5px 6px)"
        layers = {
            "": [],
            "/": [line.format(135)],
            ".": [f"radial-gradient(circle,{over} 1.2px,transparent 1.7px) 0 0/5px 5px"],
            "x": [line.format(45), line.format(135)],
        }
        return ",".join([*layers[self.hatch[:1]], self.color])


def looks(classes: Classes) -> dict[str, Look]:
    """Return how to draw each class, and each label that is ignored.

    The background is grey. The others have the colours of :data:`PALETTE` in order, with hatches
    from the eighth on. Ignored time is white with crosses. Colour-blind readers can tell 21 classes
    and the background apart.
    """
    others = [name for name in classes.names if name != classes.background]
    styles = [Look(color, hatch) for hatch in HATCHES for color in PALETTE]
    return {
        **{name: styles[i % len(styles)] for i, name in enumerate(others)},
        classes.background: Look(BACKGROUND_COLOR),
        **dict.fromkeys(classes.ignore, Look("#FFFFFF", "xx")),
    }
