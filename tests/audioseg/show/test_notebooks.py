from matplotlib.colors import to_hex

from audioseg.show.notebooks import STYLES, cell_map


def test_cells_stand_in_order_and_look_like_what_has_become_of_them():
    status = {"first": "same", "second": "changed", "third": "new", "gone": "left out"}
    (axes,) = cell_map(status).axes
    assert [text.get_text() for text in axes.texts] == list(status)
    boxes = sorted(axes.patches, key=lambda box: box.get_x())
    colors = [to_hex(box.get_facecolor()).upper() for box in boxes]
    assert colors == [to_hex(STYLES[what]["facecolor"]).upper() for what in status.values()]
    assert len(set(colors)) == 4
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(status.values())
