import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audioseg.features.records import (
    RecordError,
    Steps,
    crc32c,
    parse_sequence_example,
    read_record,
    record_offsets,
    write_record,
    write_sequence_example,
)

RNG = np.random.default_rng(0)
CONTEXT = {"recording": "Grüße", "split": "TRN", "start_time_seconds": 0.0, "hop_seconds": 0.12}


def columns(count):
    return {
        "embedding": RNG.integers(0, 256, (count, 512), dtype=np.uint8),
        "audio_embedding": RNG.integers(0, 256, (count, 128), dtype=np.uint8),
        "label": RNG.integers(0, 4, count),
    }


def write(path, examples):
    with path.open("wb") as file:
        for lists in examples:
            steps = {
                name: Steps(
                    len(values),
                    np.array_split(values, 3),
                    values.shape[1] if values.ndim == 2 else None,
                )
                for name, values in lists.items()
            }
            write_sequence_example(file, CONTEXT, steps)
    return path


def slow_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_crc_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(b"") == 0


@given(st.binary(max_size=700), st.integers(0, 700))
def test_crc_is_the_bitwise_one_and_can_go_on(data, cut):
    assert crc32c(data) == slow_crc32c(data)
    assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)


def test_crc_of_long_data_in_pieces():
    data = RNG.integers(0, 256, 300_001, dtype=np.uint8)
    parts = 0
    for start in range(0, len(data), 777):
        parts = crc32c(data[start : start + 777], parts)
    assert crc32c(data) == parts


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_tensorflow_reads_what_we_write(tmp_path, count):
    import tensorflow as tf

    written = [columns(count), columns(count + 1)]
    path = write(tmp_path / "a.tfrecord", written)
    read = list(tf.data.TFRecordDataset(str(path)))
    assert len(read) == 2
    for record, lists in zip(read, written, strict=True):
        context, steps = tf.io.parse_single_sequence_example(
            record,
            {
                "recording": tf.io.FixedLenFeature([], tf.string),
                "split": tf.io.FixedLenFeature([], tf.string),
                "start_time_seconds": tf.io.FixedLenFeature([], tf.float32),
                "hop_seconds": tf.io.FixedLenFeature([], tf.float32),
            },
            {
                "embedding": tf.io.FixedLenSequenceFeature([], tf.string),
                "audio_embedding": tf.io.FixedLenSequenceFeature([], tf.string),
                "label": tf.io.FixedLenSequenceFeature([], tf.int64),
            },
        )
        assert context["recording"].numpy().decode() == "Grüße"
        assert context["hop_seconds"].numpy() == np.float32(0.12)
        np.testing.assert_array_equal(steps["label"], lists["label"])
        for name in ("embedding", "audio_embedding"):
            got = tf.io.decode_raw(steps[name], tf.uint8).numpy().reshape(lists[name].shape)
            np.testing.assert_array_equal(got, lists[name])


def test_we_read_what_tensorflow_writes(tmp_path):
    import tensorflow as tf

    path = write(tmp_path / "ours.tfrecord", [columns(300)])
    example = tf.train.SequenceExample.FromString(
        next(iter(tf.data.TFRecordDataset(str(path)))).numpy()
    )
    again = example.SerializeToString()
    with tf.io.TFRecordWriter(str(tmp_path / "theirs.tfrecord")) as file:
        file.write(again)
    (place,) = record_offsets(tmp_path / "theirs.tfrecord")
    theirs = parse_sequence_example(read_record(tmp_path / "theirs.tfrecord", 1, *place))
    (place,) = record_offsets(path)
    ours = parse_sequence_example(read_record(path, 1, *place))
    assert theirs[0] == ours[0]
    for name, values in ours[1].items():
        np.testing.assert_array_equal(theirs[1][name], values)
    # the order of a protocol buffer's map is free, the rest of the bytes is the same
    assert len(again) == place[1]


def test_every_cut_is_found(tmp_path):
    path = write(tmp_path / "a.tfrecord", [columns(2), columns(1)])
    data = path.read_bytes()
    (_, (second, _)) = record_offsets(path)
    for end in range(1, len(data)):
        path.write_bytes(data[:end])
        if end == second - 12:
            assert len(record_offsets(path)) == 1  # between two records: whoever reads counts
            continue
        with pytest.raises(RecordError, match=r"record [12]:"):
            record_offsets(path)


def test_every_damaged_byte_is_found(tmp_path):
    path = write(tmp_path / "a.tfrecord", [columns(1)])
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
        with pytest.raises(RecordError, match="record 1"):
            for offset in record_offsets(path):
                read_record(path, 1, *offset)


def test_a_wrong_length_is_refused():
    with pytest.raises(ValueError, match="differs by 1 bytes"):
        write_record(io.BytesIO(), [b"abc"], 4)


@given(st.binary(max_size=200))
# two floats where one is expected
@example(b"\x0a\x13\x0a\x11\x0a\x01a\x12\x0c\x12\x0a\x0a\x08" + bytes(8))
def test_other_records_are_refused(data):
    try:
        parse_sequence_example(np.frombuffer(data, np.uint8))
    except (ValueError, KeyError, StopIteration):
        pass
