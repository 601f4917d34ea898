"""The strict readers of ``streams`` refuse what a strict client would trip over: without that they would prove nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance import streams
from tests.conformance.streams import DONE, ROLE, Numbered, chunk, data, event, like
from tests.conformance.test_f11 import E180, E182, E184
from tests.conformance.test_f14 import E230


def raw(fixture: str) -> bytes:
    return fixture.strip().encode() + b"\n\n"


@pytest.mark.parametrize("text", [E180, E182, E184])
def test_the_fixtures_of_messages_are_good_streams(text: str) -> None:
    assert streams.messages(raw(text)).error is None


def test_the_fixture_of_responses_is_a_good_stream() -> None:
    assert streams.responses(raw(E230)).value["output"][0]["content"][0]["text"] == "Hello"


GOOD = streams.message_start() + streams.text_block(0, "x") + streams.message_end()
ERROR = event({"type": "error", "error": {"type": "api_error", "message": "m"}})
BAD_MESSAGES = {
    "no end": GOOD.replace(event({"type": "message_stop"}), b""),
    "no beginning": GOOD.replace(streams.message_start(), b""),
    "two ends": GOOD + streams.message_end(),
    "a normal end before the error": GOOD + ERROR,
    "a gap in the indexes": streams.message_start() + streams.text_block(1, "x") + streams.message_end(),
    "a delta for a closed block": streams.message_start() + streams.text_block(0, "x") + event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "y"}}) + streams.message_end(),
    "a name that is not the type": GOOD.replace(b"event: message_stop", b"event: message_end"),
    "no name": GOOD.replace(b"event: message_stop\n", b""),
    "half a call": streams.message_start() + streams.tool_block(0, "t", "f", '{"a":') + streams.message_end(),
    "two signatures": streams.message_start() + streams.block(0, {"type": "thinking", "thinking": "", "signature": ""}, *([{"type": "signature_delta", "signature": "S"}] * 2)) + streams.message_end(),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_MESSAGES)
def test_bad_streams_of_messages_are_refused(what: str) -> None:
    streams.messages(GOOD)
    with pytest.raises(AssertionError):
        streams.messages(BAD_MESSAGES[what])


TEXT = ROLE + chunk({"content": "x"}) + chunk({}, "stop") + DONE
BAD_CHATS = {
    "no done": TEXT.replace(DONE, b""),
    "done after an error": ROLE + data({"error": {"message": "m", "type": "t"}}) + DONE,
    "a word of another dialect": TEXT.replace(b'"stop"', b'"end_turn"'),
    "another id": TEXT.replace(b"chatcmpl-up", b"chatcmpl-other", 1),
    "text after the finish": ROLE + chunk({}, "stop") + chunk({"content": "x"}) + DONE,
    "a call that begins at 1": ROLE + chunk(streams.call(1, "f", "{}")) + chunk({}, "tool_calls") + DONE,
    "no finish": ROLE + chunk({"content": "x"}) + DONE,
    "a role in the middle": ROLE + ROLE + chunk({}, "stop") + DONE,
    "half a frame": TEXT[:-1],
}


@pytest.mark.parametrize("what", BAD_CHATS)
def test_bad_streams_of_chat_are_refused(what: str) -> None:
    streams.chat(TEXT)
    with pytest.raises(AssertionError):
        streams.chat(BAD_CHATS[what])


def response_frames(**change: Any) -> list[dict[str, Any]]:
    up = Numbered()
    body = up.created() + up.text("a", "b") + up.end(
        usage={
            "input_tokens": 1, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2, **change,
        }
    )  # fmt: skip
    return [value for _, value in streams.frames(body)]


def joined(frames: list[dict[str, Any]]) -> bytes:
    return b"".join(event({**f, "sequence_number": n}) for n, f in enumerate(frames))


def test_bad_streams_of_responses_are_refused() -> None:
    good = response_frames()
    assert streams.responses(joined(good)).error is None
    for number in range(len(good)):  # nothing may be missing
        if good[number]["type"] != "response.output_text.delta":
            with pytest.raises((AssertionError, KeyError)):
                streams.responses(joined(good[:number] + good[number + 1 :]))
    bad: list[bytes] = [
        b"".join(map(event, good[:3] + good[4:])),  # a gap in the numbers
        joined(good) + DONE,
        joined([*good, good[-1]]),
        joined([json.loads(json.dumps(f).replace("msg_up0", f"msg_{n}")) for n, f in enumerate(good)]),
        joined(response_frames(total_tokens=7)),
        joined(response_frames(input_tokens_details={"cached_tokens": 0})),
    ]
    for body in bad:
        with pytest.raises((AssertionError, KeyError)):
            streams.responses(body)


def test_bad_streams_of_gemini_are_refused() -> None:
    good = streams.gemini({"text": "x"}) + streams.gemini(finish="STOP")
    assert streams.generated(good).value["finish"] == "STOP"
    for body in (
        streams.gemini({"text": "x"}),
        good + good,
        good + DONE,
        good + data({"error": {"code": 500, "message": "m", "status": "S"}}),
    ):
        with pytest.raises(AssertionError):
            streams.generated(body)


def test_a_comparison_finds_what_differs() -> None:
    one = {
        "type": "message_start",
        "message": {"id": "msg_1", "usage": {"input_tokens": 1}},
        "again": "msg_1",
    }
    like(
        one,
        {**one, "message": {"id": "msg_abc", "usage": {"input_tokens": 5}, "x": None}, "again": "msg_abc"},
        ["message.usage.input_tokens"],
    )
    for other in (
        {**one, "again": "msg_other"},
        {**one, "type": "message_end"},
        {**one, "extra": 1},
        {n: v for n, v in one.items() if n != "again"},
        {**one, "message": {"id": "chatcmpl_1", "usage": {"input_tokens": 1}}},
        {**one, "message": {"id": "msg_1", "usage": {"input_tokens": 2}}},
    ):
        with pytest.raises(AssertionError):
            like(one, other)
