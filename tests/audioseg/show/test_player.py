"""Players for notebooks, as HTML."""

import re

import numpy as np

from audioseg.labels import Segment
from audioseg.show import player

RATE = 16_000


def test_bars_show_what_lies_within_the_samples():
    track = [Segment(0, 4, "speech"), Segment(4, 6, "music"), Segment(6, 20, "noise")]
    html = player.player(np.zeros(4 * RATE), RATE, {"reference": track}, start=3.0)
    boxes = re.findall(r'title="(\S+), .*?left:([\d.]+)%;width:([\d.]+)%', html)
    assert boxes == [
        ("speech", "0.000", "25.000"),
        ("music", "25.000", "50.000"),
        ("noise", "75.000", "25.000"),
    ]
    assert "currentTime=1.000" in html


def test_players_on_one_page_differ():
    names = {
        re.search(r'audio id="(.*?)"', player.player(np.zeros(RATE), RATE)).group(1)
        for _ in range(3)
    }
    assert len(names) == 3


def test_a_gallery_holds_each_player_under_its_caption():
    cards = [(f"caption {i}", player.player(np.zeros(RATE), RATE)) for i in range(3)]
    html = player.gallery(iter(cards))
    assert html.count("<figure") == html.count("<audio") == 3
    places = [html.index(text) for card in cards for text in card]
    assert places == sorted(places)


def test_the_busiest_clip_holds_the_most_changes():
    starts = [0, 50, 100, 104, 109, 150]
    track = [Segment(a, b, "speech") for a, b in zip(starts, [*starts[1:], 200], strict=True)]
    assert player.busiest(track, 20) == 99  # a second before the first of three changes
    assert player.busiest(track[:1], 20) == 0
    assert player.busiest(track, 200) == 0  # no longer clip than the recording
    assert player.busiest(track[-1:], 20) == 149
