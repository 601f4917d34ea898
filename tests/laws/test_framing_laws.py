"""Law: wherever a stream is cut, the frames are the same and add up to the input."""

from __future__ import annotations

import json
import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.framing import EventStreamDecoder, JsonArraySplitter, SseSplitter, sse, sse_parts

SSE_SOURCE = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"data: ", b"event: x", b"{}", b"\x00\xff", b": c"]),
    max_size=40,
).map(b"".join)
CUTS = st.lists(st.integers(1, 9), max_size=60)
JSON_TEXT = st.text(alphabet='{}[]",\\ \né', max_size=12)
ELEMENTS = st.lists(
    st.dictionaries(JSON_TEXT, st.one_of(JSON_TEXT, st.lists(JSON_TEXT, max_size=3)), max_size=3), max_size=5
)


def cut(source: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at = [], 0
    for size in sizes:
        chunks.append(source[at : at + size])
        at += size
    return [*chunks, source[at:]]


def run(splitter, chunks):
    frames = [frame for chunk in chunks for frame in splitter.feed(chunk)]
    return frames, splitter.finish()


@given(SSE_SOURCE, CUTS)
def test_sse_frames_do_not_depend_on_the_cuts(source, sizes):
    whole = run(SseSplitter(), [source])
    assert run(SseSplitter(), cut(source, sizes)) == whole
    assert b"".join(whole[0]) + whole[1] == source


@given(SSE_SOURCE, CUTS)
def test_sse_oversize_is_still_the_identity(source, sizes):
    frames, tail = run(SseSplitter(limit_bytes=4), cut(source, sizes))
    assert b"".join(frames) + tail == source


@given(st.binary(max_size=60), st.sampled_from([None, b"message_start"]))
def test_sse_reads_what_it_writes(data, event):
    normal = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    frame = sse(data, event)
    assert sse_parts(frame) == (event or b"", normal)
    assert SseSplitter().feed(frame) == [frame]


@given(ELEMENTS, st.sampled_from(["", "\r\n", " "]), CUTS)
def test_array_pieces_do_not_depend_on_the_cuts(elements, space, sizes):
    source = (
        "[" + f",{space}".join(json.dumps(e, ensure_ascii=False) for e in elements) + "]" + space
    ).encode()
    whole = run(JsonArraySplitter(), [source])
    assert run(JsonArraySplitter(), cut(source, sizes)) == whole
    assert b"".join(whole[0]) + whole[1] == source
    found = [json.loads(e) for piece in whole[0] if (e := JsonArraySplitter.element(piece))]
    assert found == elements


@given(st.binary(max_size=80), CUTS)
def test_array_splitter_is_the_identity_on_anything(source, sizes):
    for limit in (4, 10_000):
        frames, tail = run(JsonArraySplitter(limit_bytes=limit), cut(source, sizes))
        assert b"".join(frames) + tail == source


def message(payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(payload), 0)
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + payload
    return body + struct.pack(">I", zlib.crc32(body))


@given(st.lists(st.binary(max_size=20), max_size=5), CUTS)
def test_event_stream_does_not_depend_on_the_cuts(payloads, sizes):
    source = b"".join(map(message, payloads))
    decoder = EventStreamDecoder()
    seen = [m.payload for chunk in cut(source, sizes) for m in decoder.feed(chunk)]
    assert seen == payloads
    assert decoder.finish() == b""
