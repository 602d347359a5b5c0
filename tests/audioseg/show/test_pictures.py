import numpy as np

from audioseg.labels import CLASSES, Segment
from audioseg.show import pictures

HOP = 0.12


def test_every_class_has_a_colour_of_its_own():
    assert set(pictures.COLORS) == set(CLASSES)
    lightness = []
    for name in CLASSES:
        red, green, blue = (int(pictures.COLORS[name][i : i + 2], 16) for i in (1, 3, 5))
        lightness.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    assert np.diff(sorted(lightness)).min() > 15  # told apart in grey, too


def test_pictures_are_drawn():
    track = [Segment(0, 30, "speech"), Segment(30, 60, "music")]
    shares = np.array([0.7, 0.1, 0.1, 0.1])
    history = {key: [900.0, 1.0] for key in ("loss", "val_loss")}
    history |= {key: [0.6, 0.69] for key in ("accuracy", "val_accuracy")}
    drawn = [
        pictures.timeline({"a": track, "b": track}, duration=60.0, samples=np.zeros(960_000)),
        pictures.timeline({"a": track}, start=10.0, duration=20.0),
        pictures.embeddings(np.zeros((10, 128)), track, hop_seconds=HOP),
        pictures.class_shares({"TRN": shares, "VAL": shares}),
        pictures.learning_curves(history, majority_share=0.687),
        pictures.confusion(np.eye(4, dtype=int)),
    ]
    for figure in drawn:
        figure.canvas.draw()
        pictures.plt.close(figure)


def test_accuracy_bars_leave_out_empty_ends():
    figure, axes = pictures.plt.subplots()
    values = np.array([0.5, 1.0, 7.0, 9.5, np.nan])
    pictures.accuracy_bars(axes, np.array([True, False, True, False, True]), values, [0, 3, 6, 9])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0–3", "3–6", "6–9", "> 9"]
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.0, 1.0, 0.0]
    said = [text.get_text() for text in axes.texts]
    assert said == ["2", "0.50", "0", "1", "1.00", "0.00\n1"]
    assert axes.texts[-1].get_color() == "black"  # there is no bar for it to stand in
    pictures.plt.close(figure)
