"""Label tracks of other programs: there and back, refused in a sentence, told apart."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audioseg import label_formats
from audioseg.labels import LabelError, Segment

FINEST = {".txt": 6, ".csv": 6, ".rttm": 6, ".textgrid": 6, ".eaf": 3}  # decimals of a second

names = st.text(
    st.characters(categories=["L", "N", "P", "S"], include_characters=" "), min_size=1, max_size=20
).filter(lambda name: name == " ".join(name.split()) and name.isprintable())


@st.composite
def drawn_tracks(draw, decimals):
    unit = 10**decimals
    edges = sorted(draw(st.sets(st.integers(0, 20_000 * unit), min_size=2, max_size=20)))
    spans = draw(st.lists(st.booleans(), min_size=len(edges) - 1, max_size=len(edges) - 1))
    labels = draw(st.lists(names, min_size=len(edges), max_size=len(edges)))
    return [
        Segment(a / unit, b / unit, label)
        for (a, b), taken, label in zip(pairwise(edges), spans, labels, strict=False)
        if taken
    ]


@pytest.mark.parametrize("suffix", label_formats.FORMS)
@given(data=st.data())
def test_what_a_form_holds_comes_back(tmp_path_factory, suffix, data):
    track = data.draw(drawn_tracks(FINEST[suffix]))
    if suffix == ".rttm":
        track = [s._replace(label="_".join(s.label.split())) for s in track]
    if suffix == ".textgrid":
        assume(all(time == 0 or time >= 0.0001 for s in track for time in s[:2]))
    seconds = max((s.end for s in track), default=1.0) + data.draw(st.sampled_from([0.0, 1.5]))
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    path.write_text(
        label_formats.FORMS[suffix].write(track, "round", seconds), "utf-8", newline="\n"
    )
    assert label_formats.read_track(path, duration=seconds) == track


@given(data=st.data())
def test_any_form_turns_into_any_other(tmp_path_factory, data):
    track = data.draw(drawn_tracks(3))
    track = [s._replace(label="_".join(s.label.split())) for s in track]
    seconds = max((s.end for s in track), default=1.0)
    folder = tmp_path_factory.getbasetemp()
    for suffix in data.draw(st.permutations(list(label_formats.FORMS))):
        path = folder / f"chain{suffix}"
        path.write_text(
            label_formats.FORMS[suffix].write(track, "chain", seconds), "utf-8", newline="\n"
        )
        assert label_formats.read_track(path, duration=seconds) == track
        track = label_formats.read_track(path)


@pytest.mark.parametrize("suffix", label_formats.FORMS)
def test_what_rounding_leaves_no_length_is_left_out(tmp_path, suffix):
    track = [Segment(0, 1.5, "owl"), Segment(1.5, 1.5000001, "frog"), Segment(1.5000001, 2, "tit")]
    path = tmp_path / f"a{suffix}"
    path.write_text(label_formats.FORMS[suffix].write(track, "a", 2.0000001), "utf-8")
    assert label_formats.read_track(path) == [(0, 1.5, "owl"), (1.5, 2, "tit")]


LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = {count}
item []:
{tiers}"""
TIER = """    item [{number}]:
        class = "IntervalTier"
        name = "{name}"
        xmin = 0
        xmax = 4
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "{text}"
        intervals [2]:
            xmin = 1.5
            xmax = 4
            text = ""
"""


def grid(*tiers):
    parts = [TIER.format(number=i + 1, name=n, text=t) for i, (n, t) in enumerate(tiers)]
    return LONG.format(count=len(tiers), tiers="".join(parts))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])  # Praat writes both
def test_what_praat_writes(tmp_path, encoding):
    path = tmp_path / "a.TextGrid"
    path.write_text(grid(("birds", "Zaunkönig"), ("notes", "")), encoding)
    assert label_formats.read_track(path) == [(0, 1.5, "Zaunkönig")]
    path.write_text(grid(("birds", "owl"), ("notes", "windy")), encoding)
    with pytest.raises(LabelError, match="has the tiers birds, notes: say with --tier"):
        label_formats.read_track(path)
    assert label_formats.read_track(path, tier="notes") == [(0, 1.5, "windy")]
    with pytest.raises(LabelError, match="has no tier 'frogs' of intervals: there is birds, notes"):
        label_formats.read_track(path, tier="frogs")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "start,label\n0,owl\n", "line 1: the column 'end' is missing"),
        ("a.csv", "start,end,label\n0,1\n", "line 2: it has fewer fields"),
        ("a.csv", "start,end,label\n0,x,owl\n", "line 2: .*are not times"),
        ("a.csv", "", "line 1: the column 'start' is missing"),
        ("a.rttm", "SPEAKER a 1 0.0\n", "line 1: it has 4 of the 8 fields"),
        ("a.rttm", "SPEAKER a 1 0 x <NA> <NA> owl\n", "line 1: '0' and 'x' are not a start"),
        ("a.rttm", "SPEAKER b 1 0 1 - - o\nSPEAKER c 1 0 1 - - o\n", "2 recordings, and none"),
        ("a.rttm", "SPEAKER a 1 0 2 - - o\nSPEAKER a 1 1 2 - - p\n", "line 2: .*not overlap"),
        ("a.TextGrid", "0 1 owl", "not a readable TextGrid"),
        ("a.TextGrid", grid(("b", "owl"))[:300], "not a readable TextGrid|at"),
        ("a.eaf", "<ANNOTATION_DOCUMENT>", "not a readable ELAN file"),
        ("a.eaf", "0 1 owl", "not a readable ELAN file"),
        ("a.srt", "", "its suffix is none of"),
        ("a.csv", "start,end,label\n0,1,\n", "cannot be a label"),
    ],
)
def test_bad_tracks_are_told_in_a_sentence(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(LabelError, match=says) as error:
        label_formats.read_track(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", label_formats.FORMS)
def test_what_is_not_there_or_no_text(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(LabelError, match="cannot be read"):
        label_formats.read_track(path)
    path.write_bytes(b"\xff\xfe\xfd\x00\x01")
    with pytest.raises(LabelError, match="a\\."):
        label_formats.read_track(path)


def test_tables_of_other_hands(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffLabel;Start;End\r\nowl;0,5;1,25\r\n\r\n".encode())
    assert label_formats.read_track(path) == [(0.5, 1.25, "owl")]


def written(folder, track, *suffixes):
    paths = [folder / f"a{suffix}" for suffix in suffixes]
    for path in paths:
        path.write_text(label_formats.FORMS[path.suffix.lower()].write(track, "a", 9.0), "utf-8")
    return paths


def test_of_several_tracks_the_corrected_one_is_taken(tmp_path):
    track = [Segment(0, 1.23456, "an owl"), Segment(1.23456, 3, "frog")]
    paths = written(tmp_path, track, ".txt", ".csv", ".rttm", ".TextGrid", ".eaf")
    assert label_formats.the_one_of(paths).name == "a.txt"
    written(tmp_path, [*track, Segment(4, 5, "frog")], ".TextGrid")
    assert label_formats.the_one_of(paths).name == "a.TextGrid"
    written(tmp_path, track[:1], ".eaf")
    with pytest.raises(LabelError, match="two label tracks for one recording that differ"):
        label_formats.the_one_of(paths)
    with pytest.raises(LabelError, match=r"a\.txt and a\.TextGrid: remove the wrong one"):
        label_formats.the_one_of([paths[0], paths[3]])
