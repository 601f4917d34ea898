"""F16: how streams are cut into bytes and events, on both sides."""
# ruff: noqa: N802

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

import pytest

from tests.conformance import bodies, streams
from tests.conformance.accumulators import understood
from tests.conformance.bodies import ASK, request_of
from tests.conformance.streams import DONE, ROLE, Folded, Numbered, chunk, data, event, gemini, plays
from tests.conformance.world import AM, CC, DIALECTS, GM, MODEL, RS, Stage
from tests.world.harness import KEY, Exchange

PAIRS = [(c, u) for c in DIALECTS for u in DIALECTS if c != u]
CLIENT_FOR = {CC: AM, RS: AM, AM: CC, GM: CC}
"""For tests in which only the upstream counts."""


def _lean(upstream: str) -> bytes:
    """A whole stream that says "é世" in few bytes, with both kinds of line ends."""
    text = "é世"
    if upstream == CC:
        made = data({"choices": [{"index": 0, "delta": {"content": text}}]})
        made += data({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + DONE
    elif upstream == AM:
        made = event(
            {
                "type": "message_start",
                "message": {"id": "m", "usage": {"input_tokens": 1, "output_tokens": 1}},
            }
        )
        made += event(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        )
        made += event(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        )
        made += event({"type": "content_block_stop", "index": 0}) + streams.message_end()
    elif upstream == GM:
        made = data({"candidates": [{"content": {"parts": [{"text": text}]}}]})
        made += data({"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1}})
    else:
        item = {"type": "message", "id": "m", "role": "assistant", "status": "in_progress", "content": []}
        part = {"type": "output_text", "text": "", "annotations": []}
        where = {"item_id": "m", "output_index": 0, "content_index": 0}
        full = {**item, "status": "completed", "content": [{**part, "text": text}]}
        made = event(
            {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}
        )
        made += event({"type": "response.output_item.added", "output_index": 0, "item": item})
        made += event({"type": "response.content_part.added", **where, "part": part})
        made += event({"type": "response.output_text.delta", **where, "delta": text})
        made += event({"type": "response.output_item.done", "output_index": 0, "item": full})
        made += event(
            {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [full]}}
        )
    head, separator, tail = made.partition(b"\n\n")
    return head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + tail if separator else made


def played(stage: Stage, client: str, upstream: str, answer: Any) -> Folded:
    heard = stage.ask(client, upstream, ASK[client], answer=answer, stream=True)
    assert heard.reply.status == 200, f"{heard.reply.status} {heard.reply.body!r}"
    return streams.FOLD[client](heard.reply.body)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_E270_a_cut_at_any_byte_changes_nothing(stage: Stage, upstream: str) -> None:
    client, whole = CLIENT_FOR[upstream], _lean(upstream)
    uncut = understood(client, played(stage, client, upstream, plays(whole)))
    assert uncut[0] == "é世"
    for at in range(1, len(whole)):
        got = understood(client, played(stage, client, upstream, plays(whole[:at], whole[at:])))
        assert got == uncut, f"cut at {at}: {whole[at - 10 : at]!r} | {whole[at : at + 10]!r}"


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_E270_one_byte_at_a_time(stage: Stage, client: str, upstream: str) -> None:
    whole = _lean(upstream)
    uncut = understood(client, played(stage, client, upstream, plays(whole)))
    got = understood(
        client, played(stage, client, upstream, plays(*(whole[i : i + 1] for i in range(len(whole)))))
    )
    assert got == uncut and uncut[0] == "é世"


BIG = 5_000_000


@pytest.mark.parametrize("upstream", DIALECTS)
def test_E272_an_event_of_5_mb(stage: Stage, upstream: str) -> None:
    client, text = CLIENT_FOR[upstream], "0123456789" * (BIG // 10)
    up = Numbered()
    frames = {
        CC: [ROLE, chunk({"content": text}), chunk({}, "stop"), DONE],
        AM: [streams.message_start(), streams.text_block(0, text), streams.message_end()],
        GM: [gemini({"text": text}, finish="STOP")],
        RS: [up.created(), up.text(text), up.end()],
    }[upstream]
    got = understood(client, played(stage, client, upstream, plays(*frames)))
    assert len(got[0]) == BIG and got[0] == text


def test_E272_an_image_of_5_mb_is_relayed_and_translated(stage: Stage) -> None:
    image = "QUJD" * (BIG // 4)
    frames = [gemini({"inlineData": {"mimeType": "image/png", "data": image}}), gemini(finish="STOP")]
    heard = stage.ask(GM, GM, ASK[GM], answer=plays(*frames), stream=True)
    assert heard.reply.body == b"".join(frames)
    got = understood(CC, played(stage, CC, GM, plays(*frames)))
    assert f"data:image/png;base64,{image}" in got[0]


def _in_steps(upstream: str) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """A stream in which each of "one ", "two " and "three" is a frame of its own."""
    texts = ["one ", "two ", "three"]
    up = Numbered()
    if upstream == CC:
        return [ROLE], [chunk({"content": t}) for t in texts], [chunk({}, "stop"), DONE]
    if upstream == GM:
        return [], [gemini({"text": t}) for t in texts], [gemini(finish="STOP")]
    if upstream == AM:
        begin = event(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        )
        deltas = [
            event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}})
            for t in texts
        ]
        end = event({"type": "content_block_stop", "index": 0}) + streams.message_end()
        return [streams.message_start(), begin], deltas, [end]
    created, frames = up.created(), [f + b"\n\n" for f in up.text(*texts).split(b"\n\n") if f]
    return [created, *frames[:2]], frames[2:5], [*frames[5:], up.end()]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_F16_text_goes_out_with_the_frame_that_it_came_in(stage: Stage, client: str, upstream: str) -> None:
    """The vendor sends the next text only when the client has the last one in its hands."""
    arrived = threading.Semaphore(0)
    begin, steps, end = _in_steps(upstream)

    def play(exchange: Exchange) -> None:
        exchange.start_stream()
        for frame in begin:
            exchange.chunk(frame)
        for frame in steps:
            exchange.chunk(frame)
            assert arrived.acquire(timeout=20), "the client never got the text"
        for frame in end:
            exchange.chunk(frame)
        exchange.end_stream()

    stage.vendor.script = play
    path, body = request_of(client, MODEL[upstream], ASK[client], stream=True)
    connection = http.client.HTTPConnection("127.0.0.1", stage.gateway.port, timeout=30)
    sent = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connection.request("POST", path, json.dumps(body), sent)
    answer = connection.getresponse()
    got = b""
    for text in (b"one ", b"two ", b"three"):
        while text not in got:
            piece = answer.read1(65536)
            assert piece, got
            got += piece
        arrived.release()
    got += answer.read()
    connection.close()
    assert understood(client, streams.FOLD[client](got))[0] == "one two three"


BROKEN = [b"data: {\"oops\": \n\n", b"data: not json\n\n", b"data: {\"choices\": 7, \"candidates\": 7, \"type\": 7}\n\n", b"data: []\n\n", b"data: \xff\xfe\n\n"]  # fmt: skip


def _parts(upstream: str) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Begin, a piece of text, and the end of a stream."""
    delta = {"type": "text_delta", "text": "b"}
    up = Numbered()
    whole = {
        CC: ([ROLE, chunk({"content": "a"})], [chunk({"content": "b"})], [chunk({}, "stop"), DONE]),
        GM: ([gemini({"text": "a"})], [gemini({"text": "b"})], [gemini(finish="STOP")]),
        AM: (
            [
                streams.message_start(),
                event(
                    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
                ),
                event(
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
                ),
            ],
            [event({"type": "content_block_delta", "index": 0, "delta": delta})],
            [event({"type": "content_block_stop", "index": 0}), streams.message_end()],
        ),
    }
    if upstream == RS:
        created, text = up.created(), up.text("a", "b")
        frames = [f + b"\n\n" for f in text.split(b"\n\n") if f]
        return [created, *frames[:3]], frames[3:4], [*frames[4:], up.end()]
    return whole[upstream]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_E274_a_broken_event_in_the_middle_is_skipped(
    stage: Stage, client: str, upstream: str, broken: bytes
) -> None:
    begin, more, end = _parts(upstream)
    got = played(stage, client, upstream, plays(*begin, broken, *more, *end))
    assert got.error is None and understood(client, got)[0] == "ab"


@pytest.mark.parametrize("kind", ["half an event", "a whole event that is no JSON"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_E274_a_broken_last_event_is_a_cut(stage: Stage, client: str, upstream: str, kind: str) -> None:
    begin, more, end = _parts(upstream)
    before = b"".join([*begin, *more, *(f for f in end if f != DONE)])
    frames = [f + b"\n\n" for f in before.replace(b"\r\n", b"\n").split(b"\n\n") if f]
    # All that says "this is the end" is in the last event, but for Messages, whose last but one says so too.
    kept = frames[: -2 if upstream == AM else -1]
    broken = frames[-1][: len(frames[-1]) // 2] + (b"\n\n" if kind.startswith("a whole") else b"")
    got = played(stage, client, upstream, plays(*kept, broken))
    assert got.error is not None


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_E275_a_json_body_becomes_a_stream(stage: Stage, client: str, upstream: str) -> None:
    asked = {**ASK[client], **({"stream_options": {"include_usage": True}} if client == CC else {})}
    heard = stage.ask(client, upstream, asked, answer=bodies.hello(upstream), stream=True)
    assert heard.reply.status == 200 and heard.reply.headers["content-type"].startswith("text/event-stream")
    got = streams.FOLD[client](heard.reply.body)
    assert understood(client, got)[0] == "Hello"
    usage = got.value["usage"]
    told = [usage.get(n) for n in ("prompt_tokens", "input_tokens", "promptTokenCount") if n in usage]
    assert told == [9]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_E275_a_stream_becomes_a_json_body(stage: Stage, client: str, upstream: str) -> None:
    up = Numbered()
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
    frames = {
        CC: [ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop"), streams.chat_usage(9, 2), DONE],
        AM: [streams.message_start(input_tokens=9), streams.text_block(0, "Hel", "lo"), streams.message_end("end_turn", 2)],
        GM: [gemini({"text": "Hel"}), gemini({"text": "lo"}, finish="STOP", usage=usage)],
        RS: [up.created(), up.text("Hel", "lo"), up.end()],
    }[upstream]  # fmt: skip
    heard = stage.ask(client, upstream, ASK[client], answer=plays(*frames))
    assert heard.reply.headers["content-type"].startswith("application/json")
    assert bodies.text_of(client, heard.answer) == "Hello"
    row = stage.gateway.call_row(heard.reply.headers["x-request-id"])
    assert (row["input_tokens"], row["output_tokens"], row["estimated"]) == (9, 2, 0)


# --- further cases of the family --------------------------------------------------------------------------


@pytest.mark.parametrize("client", [c for c in DIALECTS if c != CC])
def test_F16_calls_in_a_json_body_become_a_stream(stage: Stage, client: str) -> None:
    body = {**ASK[client], **bodies.tools(client, "f", "g")}
    answer = bodies.completion(
        "x", calls=[("call_1", "f", '{"a":1}'), ("call_2", "g", "")], finish="tool_calls"
    )
    heard = stage.ask(client, CC, body, answer=answer, stream=True)
    text, calls, _ = understood(client, streams.FOLD[client](heard.reply.body))
    assert (text, calls) == ("x", [("f", {"a": 1}), ("g", {})])


@pytest.mark.parametrize("client", [c for c in DIALECTS if c != CC])
def test_F16_an_error_in_a_stream_that_was_not_asked_for(stage: Stage, client: str) -> None:
    frames = [ROLE, chunk({"content": "par"}), data({"error": {"message": "it broke", "code": 503}})]
    heard = stage.ask(client, CC, ASK[client], answer=plays(*frames))
    assert heard.reply.status >= 500 and "it broke" in heard.reply.json["error"]["message"]
    heard = stage.ask(client, CC, ASK[client], answer=plays(*frames[:2]))
    assert heard.reply.status >= 500, "a truncated stream is no answer"


def test_F16_fields_without_a_space_comments_and_several_data_lines(stage: Stage) -> None:
    one = json.dumps({"choices": [{"index": 0, "delta": {"content": "a"}}]}).encode()
    two = b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "b"}}]}\n\n'
    stop = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode()
    frames = (
        b":hi\n\ndata:"
        + one
        + b"\n\nid: 7\nretry: 10\n"
        + two
        + b"\n\n\n: x\ndata: "
        + stop
        + b"\n\ndata:[DONE]\n\n"
    )
    assert understood(AM, played(stage, AM, CC, plays(frames)))[0] == "ab"


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\r"])
def test_F16_every_line_end_of_the_standard(stage: Stage, end: bytes) -> None:
    frames = [f.replace(b"\n\n", end) for f in (ROLE, chunk({"content": "a"}), chunk({}, "stop"), DONE)]
    assert understood(AM, played(stage, AM, CC, plays(*frames)))[0] == "a"


def test_F16_a_byte_order_mark_and_no_final_blank_line(stage: Stage) -> None:
    frames = [b"\xef\xbb\xbf" + ROLE, chunk({"content": "a"}), chunk({}, "stop"), b"data: [DONE]"]
    assert understood(AM, played(stage, AM, CC, plays(*frames)))[0] == "a"


def test_F16_events_are_known_by_their_type_without_a_name(stage: Stage) -> None:
    whole = b"".join([streams.message_start(), streams.text_block(0, "a"), streams.message_end()])
    bare = b"".join(line + b"\n" for line in whole.split(b"\n")[:-1] if not line.startswith(b"event:"))
    assert understood(CC, played(stage, CC, AM, plays(bare)))[0] == "a"


def test_F16_a_gemini_upstream_that_sends_an_array(stage: Stage) -> None:
    """A vendor that overlooks ``alt=sse`` is read all the same."""
    one, two = (
        {"candidates": [{"content": {"parts": [{"text": t}]}, **f}]}
        for t, f in (("a", {}), ("b", {"finishReason": "STOP"}))
    )

    def play(exchange: Exchange) -> None:
        exchange.start_stream(content_type="application/json")
        exchange.chunk(b"[" + json.dumps(one).encode())
        exchange.chunk(b",\r\n" + json.dumps(two).encode() + b"]")
        exchange.end_stream()

    assert understood(CC, played(stage, CC, GM, play))[0] == "ab"


def test_F16_a_gemini_upstream_is_asked_for_events(stage: Stage) -> None:
    heard = stage.ask(CC, GM, ASK[CC], stream=True)
    assert heard.sent[0].target.endswith(f"{MODEL[GM]}:streamGenerateContent?alt=sse")
    assert stage.ask(CC, GM, ASK[CC]).sent[0].target.endswith(":generateContent")


@pytest.mark.parametrize("client", DIALECTS)
def test_F16_the_headers_of_a_stream(stage: Stage, client: str) -> None:
    upstream = next(u for u in DIALECTS if u != client)
    headers = stage.ask(client, upstream, ASK[client], stream=True).reply.headers
    assert headers["content-type"].startswith("text/event-stream") and "content-length" not in headers
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("client", DIALECTS)
def test_F16_a_json_body_for_a_stream_of_the_same_dialect(stage: Stage, client: str) -> None:
    """The relay lane as well gives a client that asked for a stream a stream."""
    if client == GM:
        pytest.skip("one whole answer of Gemini is a chunk of Gemini")
    heard = stage.ask(client, client, ASK[client], answer=bodies.hello(client), stream=True)
    assert heard.reply.status == 200
    got = streams.FOLD[client](heard.reply.body)
    assert understood(client, got)[0] == "Hello"
