import csv

import numpy as np
import pytest

from audioseg.labels import Segment, read_label_track, segments_from_frames
from audioseg.segmentation import label_files, segments

HOP = 0.12


def result_of(labels):
    answer = np.full((len(labels), 4), 0.2 / 3)
    answer[np.arange(len(labels)), labels] = 0.8
    seconds = 0.975 + (len(labels) - 1) * HOP
    track = segments_from_frames(labels, hop_seconds=HOP, first_center=0.4875, duration=seconds)
    return segments.Segmentation("on hold", seconds, HOP, answer, labels, track)


def test_export(tmp_path):
    result = result_of(np.repeat([0, 2, 1], [10, 5, 8]))
    files = label_files.export(result, tmp_path / "deep" / "on hold")
    assert [file.name for file in files] == ["on hold.txt", "on hold.csv", "on hold.rttm"]
    assert read_label_track(files[0]) == [
        Segment(round(a, 6), round(b, 6), label) for a, b, label in result.track
    ]
    with files[1].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["speech", "speech+music", "music"]
    assert {row["probability"] for row in rows} == {"0.800"}
    rttm = files[2].read_text().splitlines()
    assert rttm[1] == "SPEAKER on_hold 1 1.6275 0.600 <NA> <NA> speech+music <NA> <NA>"
    assert all(len(line.split(" ")) == 10 for line in rttm)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(segments.SegmentationError, match=r"a\.csv cannot be written \(.*\): make"):
        label_files.export(result_of(np.array([0, 1])), tmp_path / "a")


def test_a_recording_s_name_may_be_no_text(tmp_path):
    result = result_of(np.array([0, 1]))._replace(name="tape\udcff 1")
    rttm = label_files.export(result, tmp_path / "a")[2].read_text().splitlines()
    assert rttm[0].startswith("SPEAKER tape\\udcff_1 1 0.000 ")


def test_what_somebody_has_made_or_corrected_is_kept(tmp_path):
    first, second = result_of(np.repeat([0, 2], 10)), result_of(np.repeat([1, 0, 2], 10))
    label_files.export(first, tmp_path / "a", more=["eaf"])
    written = label_files.export(second, tmp_path / "a")  # nobody has corrected the first
    assert [path.suffix for path in written] == [".txt", ".csv", ".rttm", ".eaf"]
    for name, text in (("a.eaf", "no longer ELAN"), ("b.TextGrid", "made by hand")):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(segments.SegmentationError, match=name):
            label_files.export(second, path.with_suffix(""))
        assert path.read_text() == text
    assert len(label_files.export(second, tmp_path / "a", overwrite=True)) == 4
    label_files.check_unchanged(tmp_path / "a")
