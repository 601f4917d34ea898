"""Splitters and the event stream decoder, byte by byte."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

from dragoman.core.framing import (
    EventStreamDecoder,
    JsonArraySplitter,
    SseSplitter,
    sse,
    sse_data,
    sse_event,
    sse_parts,
)

ENDINGS = [b"\n", b"\r\n", b"\r"]


@pytest.mark.parametrize("end", ENDINGS)
def test_every_frame_comes_with_its_last_byte(end):
    frame = b"event: x" + end + b"data: 1" + end + end
    splitter = SseSplitter()
    for _ in range(3):
        given = [splitter.feed(bytes([byte])) for byte in frame]
        assert given[-1] == [frame]
        assert not any(given[:-1])
    assert splitter.finish() == b""


def test_many_frames_and_a_tail_in_one_chunk():
    splitter = SseSplitter()
    assert splitter.feed(b"data: 1\n\ndata: 2\r\n\r\ndata: 3\n\nda") == [
        b"data: 1\n\n",
        b"data: 2\r\n\r\n",
        b"data: 3\n\n",
    ]
    assert splitter.feed(b"ta: 4\n") == []
    assert splitter.feed(b"\n") == [b"data: 4\n\n"]
    splitter.feed(b"data: cut")
    assert splitter.finish() == b"data: cut"


def test_oversize_frames_pass_in_pieces_with_bounded_memory():
    splitter = SseSplitter(limit_bytes=100)
    source = b"data: " + b"x" * 1000 + b"\n\ndata: 2\n\n"
    given, flags = [], []
    for start in range(0, len(source), 50):
        given += splitter.feed(source[start : start + 50])
        flags.append(splitter.oversize)
        assert len(splitter._tail) <= 150
    assert True in flags
    assert not splitter.oversize
    assert b"".join(given) + splitter.finish() == source
    assert given[-1] == b"data: 2\n\n"


@pytest.mark.parametrize(
    ("frame", "event", "data"),
    [
        (b"data: {}\n\n", b"", b"{}"),
        (b"data:{}\n\n", b"", b"{}"),
        (b"data: {}\r\n\r\n", b"", b"{}"),
        (b"event: a\ndata: {}\n\n", b"a", b"{}"),
        (b"event:a\rdata:{}\r\r", b"a", b"{}"),
        (b"data: 1\ndata: 2\n\n", b"", b"1\n2"),
        (b": ping\n\n", b"", b""),
        (b"\n\n", b"", b""),
        (b"id: 7\nretry: 1\ndata\n\n", b"", b""),
        (b"\xef\xbb\xbfdata: 1\n\n", b"", b"1"),
        (b"\ndata: 1\n\n", b"", b"1"),
        (b"data:  two\n\n", b"", b" two"),
    ],
)
def test_parts(frame, event, data):
    assert sse_parts(frame) == (event, data)
    assert (sse_event(frame), sse_data(frame)) == (event, data)


def test_encoder():
    assert sse(b"{}") == b"data: {}\n\n"
    assert sse(b"1\r\n2", b"e") == b"event: e\ndata: 1\ndata: 2\n\n"
    assert sse_parts(sse(b"a\nb", b"e")) == (b"e", b"a\nb")


ARRAY = b'[{"a":"]}\\"{"},\r\n{"b":[{"c":"\\\\"}]}\n,\n{"d":{}}]\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_array_pieces(size):
    splitter = JsonArraySplitter()
    pieces = [p for at in range(0, len(ARRAY), size) for p in splitter.feed(ARRAY[at : at + size])]
    assert pieces == [b'[{"a":"]}\\"{"}', b',\r\n{"b":[{"c":"\\\\"}]}', b'\n,\n{"d":{}}', b"]"]
    assert splitter.finish() == b"\n"
    assert [json.loads(splitter.element(p) or b"0") for p in pieces] == [
        {"a": ']}"{'},
        {"b": [{"c": "\\"}]},
        {"d": {}},
        0,
    ]


def test_array_that_is_a_bare_object_or_empty():
    splitter = JsonArraySplitter()
    assert splitter.feed(b'{"error":{"code":400}}\n') == [b'{"error":{"code":400}}']
    assert splitter.finish() == b"\n"
    assert JsonArraySplitter().feed(b"[]") == [b"[]"]
    assert JsonArraySplitter.element(b"[]") == b""


def test_array_oversize_element():
    splitter = JsonArraySplitter(limit_bytes=64)
    source = b'[{"a":"' + b"x" * 500 + b'"},{"b":1}]'
    given = []
    for at in range(0, len(source), 30):
        given += splitter.feed(source[at : at + 30])
        assert len(splitter._tail) <= 94
    assert b"".join(given) + splitter.finish() == source
    assert given[-2:] == [b',{"b":1}', b"]"]


def message(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def header(name: bytes, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([kind]) + value


def text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


HEADERS = (
    header(b":event-type", 7, text(b"chunk"))
    + header(b"t", 0, b"")
    + header(b"f", 1, b"")
    + header(b"b", 2, b"\xff")
    + header(b"s", 3, struct.pack(">h", -2))
    + header(b"i", 4, struct.pack(">i", 7))
    + header(b"l", 5, struct.pack(">q", 8))
    + header(b"raw", 6, text(b"\x01"))
    + header(b"ts", 8, struct.pack(">q", 9))
    + header(b"u", 9, bytes(16))
)


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_event_stream(size):
    source = message(HEADERS, b'{"bytes":"e30="}') + message(b"", b"")
    decoder = EventStreamDecoder()
    seen = [m for at in range(0, len(source), size) for m in decoder.feed(source[at : at + size])]
    assert seen[0].payload == b'{"bytes":"e30="}'
    assert seen[0].headers == {
        ":event-type": "chunk",
        "t": "true",
        "f": "false",
        "b": "-1",
        "s": "-2",
        "i": "7",
        "l": "8",
        "raw": "01",
        "ts": "9",
        "u": "00000000-0000-0000-0000-000000000000",
    }
    assert seen[1].payload == b""
    assert decoder.finish() == b""


def test_event_stream_damage_comes_after_the_sound_messages():
    good = message(b"", b"ok")
    bad = bytearray(message(b"", b"ko"))
    bad[-6] ^= 1
    decoder = EventStreamDecoder()
    assert [m.payload for m in decoder.feed(good + bytes(bad))] == [b"ok"]
    with pytest.raises(ValueError, match="checksum"):
        decoder.feed(b"")
    with pytest.raises(ValueError, match="checksum"):
        decoder.finish()


@pytest.mark.parametrize(
    "source",
    [
        bytes(16),
        struct.pack(">II", 10, 0) + struct.pack(">I", zlib.crc32(struct.pack(">II", 10, 0))),
        message(header(b"x", 7, struct.pack(">H", 999)), b""),
        message(header(b"x", 42, b""), b""),
        message(b"\x09ab", b""),
    ],
)
def test_event_stream_garbage(source):
    with pytest.raises(ValueError, match="event stream"):
        EventStreamDecoder().feed(source)


def test_event_stream_cut_message_is_left_over():
    decoder = EventStreamDecoder()
    assert decoder.feed(message(b"", b"ok")[:-1]) == []
    assert len(decoder.finish()) == 17
