"""Label tracks: read as meant, refused by line number, joined and sampled without drift."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audioseg.labels import (
    CLASSES,
    LabelError,
    Segment,
    read_label_track,
    segments_from_frames,
    write_label_track,
)
from feat_ext import frame_labels


def track(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_plain_track(tmp_path):
    path = track(tmp_path, "0.000000\t1.500000\tspeech\n1.500000\t4.000000\tspeech+music\n")
    assert read_label_track(path) == [(0.0, 1.5, "speech"), (1.5, 4.0, "speech+music")]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("0\t1.5\tspeech\n", "utf-8-sig"),  # byte-order mark
        ("0\t1.5\tspeech\r\n\r\n", "utf-8"),  # Windows
        ("0,0\t1,5\tSpeech\n", "utf-8"),  # decimal comma, capital
        ("0 1.5 speech", "utf-8"),  # spaces, no final line end
        ("0\t1.5\tspeech\n\\\t100.0\t4000.0\n", "utf-8"),  # Audacity's spectral selection
        ("0\t1.5\t speech \n", "utf-8"),
    ],
)
def test_what_is_meant_is_read(tmp_path, text, encoding):
    assert read_label_track(track(tmp_path, text, encoding), classes=CLASSES) == [
        (0.0, 1.5, "speech")
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1.0\t2.0", "2 of the 3 fields"),
        ("1.0\ttwo\tspeech", "not times"),
        ("1.0\t2.0\tbirds", "none of speech, music"),
        ("-1.0\t2.0\tspeech", "not a stretch of time"),
        ("3.0\t2.0\tspeech", "not a stretch of time"),
        ("2.0\t2.0\tspeech", "not a stretch of time"),
        ("1.0\tnan\tspeech", "not a stretch of time"),
        ("1.0\tinf\tspeech", "not a stretch of time"),
        ("1.0\t9.0\tspeech", "the recording at 5 s"),
        ("0.2\t2.0\tmusic", "before the one in line 1 ends"),
    ],
)
def test_what_is_not_plain_is_refused_by_line(tmp_path, line, says):
    path = track(tmp_path, f"0.0\t0.5\tspeech\n{line}\n")
    with pytest.raises(LabelError, match=says) as error:
        read_label_track(path, classes=CLASSES, duration=5.0)
    assert "line 2" in str(error.value)
    assert "\n" not in str(error.value)


def test_lines_may_be_in_any_order_and_touch(tmp_path):
    path = track(tmp_path, "1.0\t2.0\tmusic\n0.0\t1.0004\tspeech\n")
    assert read_label_track(path) == [(0.0, 1.0, "speech"), (1.0, 2.0, "music")]


def test_not_text_and_not_there(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(LabelError, match="cannot be read"):
        read_label_track(path)
    path.write_bytes(b"\xff\xfe0\x001\x00")
    with pytest.raises(LabelError, match="not UTF-8"):
        read_label_track(path)


def test_other_classes(tmp_path):
    path = track(tmp_path, "0\t1\tnoise\n1\t2\tbirds\n")
    assert read_label_track(path, classes=("birds", "noise"))[1].label == "birds"


lines = st.lists(
    st.tuples(
        st.floats(-1, 9).map("{:.3f}".format) | st.text(max_size=5),
        st.sampled_from(["\t", " ", ",", ""]),
        st.floats(-1, 9).map("{:.2f}".format) | st.sampled_from(["inf", "nan", "1,5"]),
        st.sampled_from(["\tspeech\n", "\tMusic\r\n", "\tbirds\n", "\n"]),
    ).map("".join),
    max_size=4,
).map(lambda parts: "".join(parts).encode())


@given(st.binary(max_size=50) | lines)
def test_any_bytes_are_read_or_refused_in_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.txt"
    path.write_bytes(content)
    try:
        segments = read_label_track(path)
    except LabelError as error:
        assert str(error).startswith(str(path))
    else:
        assert all(s.start < s.end for s in segments)
        assert all(a.end <= b.start for a, b in pairwise(segments))


@st.composite
def drawn_labels(draw):
    return np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=200)))


@given(drawn_labels(), st.sampled_from([0.01, 0.12, 0.5]), st.floats(0.01, 2))
def test_frames_to_segments_and_back(labels, hop, first):
    segments = segments_from_frames(labels, hop_seconds=hop, first_center=first)
    times = first + np.arange(len(labels)) * hop
    np.testing.assert_array_equal(frame_labels(segments, times, classes=CLASSES), labels)
    assert segments[0].start == 0
    assert all(a.end == b.start and a.label != b.label for a, b in pairwise(segments))


@given(drawn_labels())
def test_files_keep_the_labels(tmp_path_factory, labels):
    path = tmp_path_factory.getbasetemp() / "round.txt"
    segments = segments_from_frames(labels, hop_seconds=0.12, first_center=0.4875)
    write_label_track(path, segments)
    times = 0.4875 + np.arange(len(labels)) * 0.12
    np.testing.assert_array_equal(
        frame_labels(read_label_track(path), times, classes=CLASSES), labels
    )


def test_segments_cover_the_recording():
    segments = segments_from_frames(
        np.array([0, 0, 1]), hop_seconds=0.12, first_center=0.4875, duration=3.0
    )
    assert segments[0].start == 0.0
    assert segments[-1].end == 3.0
    assert segments[0].end == pytest.approx(0.4875 + 1.5 * 0.12)


def test_no_frames_no_segments():
    assert segments_from_frames(np.array([], int), hop_seconds=0.12, first_center=0.5) == []


def test_what_six_decimals_leave_no_length_is_not_written(tmp_path):
    """As where a recording ends between two microseconds, and the last segment with it."""
    path = tmp_path / "a.txt"
    track = [Segment(0.0, 62.997062, "speech"), Segment(62.997062, 62.9970625, "noise")]
    write_label_track(path, track)
    assert read_label_track(path, duration=62.9970625) == track[:1]
