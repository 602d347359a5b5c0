"""Malformed recordings: make(path without suffix) writes audio and label track."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soundfile
from archives import make_zip
from recordings import encode, tone

RATE = 16_000
FINE = "(done)"


class Case(NamedTuple):
    """An input: what it is called, what makes it, and what has to be said (a pattern)."""

    name: str
    make: Callable
    said: str


def wav(path, samples=None, rate=RATE, **options):
    samples = tone(2.0) if samples is None else samples
    soundfile.write(path.with_suffix(".wav"), samples, rate, **options)
    label(path)
    return path.with_suffix(".wav")


def label(path, text="0\t0.5\tspeech\n"):
    path.with_suffix(".txt").write_bytes(text if isinstance(text, bytes) else text.encode())


def raw(suffix, content):
    def make(path):
        path.with_suffix(suffix).write_bytes(content)
        label(path)

    return make


def cut(suffix, share=0.5, **options):
    def make(path):
        file = path.with_suffix(suffix)
        if suffix in (".m4a", ".mka", ".aac"):
            encode(file, tone(10.0), "aac", **options)
        else:
            soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, 10 * RATE), RATE)
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * share)])
        label(path)

    return make


def patched(place, content, **options):
    def make(path):
        file = wav(path, **options)
        data = bytearray(file.read_bytes())
        data[place : place + len(content)] = content
        file.write_bytes(data)

    return make


def with_value(value):
    def make(path):
        samples = tone(2.0)
        samples[9000:9002] = value
        wav(path, samples, subtype="FLOAT")

    return make


def shaped(samples, rate=RATE):
    def make(path):
        wav(path, samples, rate)
        label(path, "")

    return make


def labelled(text):
    def make(path):
        wav(path)
        label(path, text)

    return make


def without_label(path):
    wav(path)
    path.with_suffix(".txt").unlink()


def link_to_nowhere(path):
    path.with_suffix(".wav").symlink_to(path.parent / "nowhere.wav")
    label(path)


def link_to_itself(path):
    path.with_suffix(".wav").symlink_to(path.with_suffix(".wav"))
    label(path)


def folder(path):
    path.with_suffix(".wav").mkdir()
    label(path)


def label_is_a_folder(path):
    wav(path)
    path.with_suffix(".txt").unlink()
    path.with_suffix(".txt").mkdir()


def two_formats(path):
    wav(path)
    soundfile.write(path.with_suffix(".flac"), tone(2.0), RATE)


def long_name(path):
    wav(path.with_name("n" * 230))


def silent_video(path):
    import av

    with av.open(str(path.with_suffix(".mp4")), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    label(path)


def wav_header(frames=RATE, *, rate=RATE, channels=1, bits=16, tag=1):
    size = frames * channels * bits // 8
    byte_rate, align = rate * channels * bits // 8, channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, byte_rate % 2**32, align, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", size)
    )


RNG = np.random.default_rng(1)
NOISE = RNG.bytes(4000)
UNREADABLE = "no format that can be read"
CUT = "cut short|breaks off|damaged"
RECORDINGS = [
    Case("empty file", raw(".wav", b""), "0 bytes"),
    Case("one byte", raw(".wav", b"R"), UNREADABLE),
    Case("wav: magic number only", raw(".wav", b"RIFF"), UNREADABLE),
    Case("wav: header without samples", raw(".wav", wav_header(0)), "holds no samples"),
    Case("wav: samples missing", raw(".wav", wav_header(RATE)), f"{CUT}|holds no samples"),
    Case("wav: cut in the middle", cut(".wav"), "should last 10.00 s by its header but ends"),
    Case("wav: cut in its header", cut(".wav", 30 / 320_044), UNREADABLE + "|damaged"),
    Case("wav: says 0 Hz", patched(24, bytes(4)), "samples a second|format|damaged"),
    Case("wav: says 3 Hz", patched(24, struct.pack("<I", 3)), "3 samples a second"),
    Case("wav: says 2 GHz", patched(24, b"\x00\x00\x00\x7f"), "samples a second|format|damaged"),
    Case("wav: says 0 channels", patched(22, bytes(2)), "channels|format|damaged"),
    Case("wav: says 65,535 channels", patched(22, b"\xff\xff"), "channels|format|damaged"),
    Case("wav: says 0 bits", patched(34, bytes(2)), "format|damaged|header|cut short|no samples"),
    Case("wav: unknown codec", patched(20, b"\x77\x77"), "format|damaged|header"),
    Case("wav: more samples than bytes", patched(40, struct.pack("<I", 10**7)), CUT),
    Case("NaN", with_value(np.nan), "samples that are not numbers"),
    Case("infinity", with_value(np.inf), "samples that are not numbers"),
    Case("integers in a float file", with_value(20_000.0), "full scale is 1.0"),
    Case("wrong magic number", patched(0, b"JUNK"), UNREADABLE),
    Case("noise called wav", raw(".wav", NOISE), UNREADABLE),
    Case("noise called flac", raw(".flac", NOISE), UNREADABLE),
    Case("noise called ogg", raw(".ogg", b"OggS" + NOISE), "Ogg page"),
    Case("noise called m4a", raw(".m4a", NOISE), UNREADABLE),
    Case("noise called mp3", raw(".mp3", NOISE), f"{UNREADABLE}|unknown way"),
    Case("g722: empty", raw(".g722", b""), "0 bytes"),
    Case("text called wav", raw(".wav", b"this is not sound\n" * 50), UNREADABLE),
    Case("web page called mp3", raw(".mp3", b"<!DOCTYPE html><html>404" + b" " * 500), UNREADABLE),
    Case("playlist called m4a", raw(".m4a", b"#EXTM3U\n#EXTINF:1,\nother.wav\n"), UNREADABLE),
    Case("picture called wav", raw(".wav", b"\x89PNG\r\n\x1a\n" + NOISE), UNREADABLE),
    Case("gzip called wav", raw(".wav", gzip.compress(bytes(10**6))), UNREADABLE),
    Case("zip called wav", raw(".wav", make_zip([("a.wav", bytes(10**5))])), UNREADABLE),
    Case("flac: cut", cut(".flac"), CUT),
    Case("flac: header only", cut(".flac", 0.0003), f"{CUT}|{UNREADABLE}"),
    Case("ogg: cut", cut(".ogg"), "last Ogg page"),
    Case("mp3: cut", cut(".mp3"), CUT),
    Case("aiff: cut", cut(".aiff"), CUT),
    Case("au: cut", cut(".au"), CUT),
    Case("m4a: cut, index at its end", cut(".m4a"), UNREADABLE),
    Case("m4a: cut, index at its start", cut(".m4a", movflags="faststart"), CUT),
    Case("mka: cut", cut(".mka"), CUT),
    Case("mp4 without a sound track", silent_video, "no sound track"),
    Case("a folder called wav", folder, "folder|cannot be read"),
    Case("link to nowhere", link_to_nowhere, "cannot be read"),
    Case("link to itself", link_to_itself, "cannot be read"),
    Case("a name of 230 bytes", long_name, "longer than 200 bytes"),
    Case("the same name twice", two_formats, "share a name"),
    Case("1 sample", shaped(np.zeros(1)), FINE),
    Case("8 channels", shaped(RNG.normal(0, 0.1, (20_000, 8)).clip(-1, 1)), FINE),
    Case("192 kHz", shaped(tone(1.0, 192_000), 192_000), FINE),
    Case("direct current", shaped(np.ones(RATE)), FINE),
    Case("digital silence", shaped(np.zeros(RATE)), FINE),
    Case("wav streamed, length unknown", patched(40, b"\xff" * 4), FINE),
    Case("no label track", without_label, "txt cannot be read"),
    Case("label track is a folder", label_is_a_folder, "cannot be read"),
    Case("label track is empty", labelled(""), FINE),
    Case("labels: UTF-16", labelled("0\t1\tspeech\n".encode("utf-16")), "UTF-8|line 1"),
    Case("labels: binary", labelled(NOISE[:200]), "UTF-8|line"),
    Case("labels: unknown class", labelled("0\t1\tsinging\n"), "line 1: the label 'singing'"),
    Case("labels: reversed", labelled("0\t1\tmusic\n1.5\t1.2\tspeech\n"), "line 2: "),
    Case("labels: negative", labelled("-1\t1\tspeech\n"), "line 1: "),
    Case("labels: overlap", labelled("0\t1\tspeech\n0.5\t1.5\tmusic\n"), "line 2: "),
    Case("labels: past the end", labelled("0\t99\tspeech\n"), "ends at 99 s, but the recording"),
    Case("labels: milliseconds", labelled("0\t1500\tspeech\n"), "are the times in seconds"),
    Case("labels: not a number", labelled("0\tnan\tspeech\n"), "line 1: "),
    Case("labels: two fields", labelled("0\t1\n"), "line 1: "),
    Case("labels: mark, CRLF, comma", labelled("\ufeff0\t0,5\tSpeech\r\n"), FINE),
]
