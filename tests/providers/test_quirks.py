"""Each quirk alone: what it changes, and that it touches nothing else."""

from __future__ import annotations

import json

import pytest

from dragoman.core.faults import Fault
from dragoman.providers import quirks
from dragoman.providers.quirks import Edit, Quirk


@pytest.mark.parametrize(
    ("model", "applies"),
    [
        ("gpt-5", True), ("gpt-5.4", True), ("gpt-5-mini", True), ("gpt-5.1-codex-max", True), ("openai/gpt-5", True),
        ("o1", True), ("o3", True), ("o3-mini", True), ("o4-mini-2026-01-01", True), ("gpt-6", True),
        ("gpt-4o", False), ("gpt-4.1", False), ("gpt-4o-mini", False), ("claude-opus-4-6", False), ("foo1", False),
        ("o1x", False),
    ],
)  # fmt: skip
def test_reasoning_models(model: str, applies: bool) -> None:
    assert quirks.MAX_COMPLETION_TOKENS.applies("chat", model, "") is applies
    assert quirks.MAX_COMPLETION_TOKENS.applies("chat", "deployment", model) is applies
    assert not quirks.MAX_COMPLETION_TOKENS.applies("completions", model, model)


@pytest.mark.parametrize(
    ("quirk", "before", "after"),
    [
        (quirks.MAX_COMPLETION_TOKENS, b'{"a": 1.50, "max_tokens" : 5}', b'{"a": 1.50, "max_completion_tokens" : 5}'),
        (quirks.MAX_COMPLETION_TOKENS, b'{"max_tokens":5,"max_completion_tokens":6}', b'{"max_completion_tokens":6}'),
        (quirks.MISTRAL_MAX_TOKENS, b'{"max_completion_tokens":6}', b'{"max_tokens":6}'),
        (quirks.MISTRAL_STRICT, b'{"stream_options":{},"x":1,"user":"u","store":true}', b'{"x":1}'),
        (
            quirks.NULL_MEMBERS,
            b'{"messages":[{"role":"user" },{"role":"assistant","content":null,"tool_calls":null,"refusal" : null}],"n":2}',
            b'{"messages":[{"role":"user" },{"role":"assistant","content":null}],"n":2}',
        ),
        (
            quirks.NULL_MEMBERS,
            b'{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":null}]}',
            b'{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}]}]}',
        ),
        (
            quirks.NO_REASONING_CONTENT,
            b'{"messages":[{"role":"assistant","reasoning_content":"hm","content":"x"}]}',
            b'{"messages":[{"role":"assistant","content":"x"}]}',
        ),
        (quirks.GEMINI_INNER_MODELS, b'{"model":"models/asked","content":{}}', b'{"model":"models/up","content":{}}'),
        (
            quirks.GEMINI_INNER_MODELS,
            b'{"requests":[{"model":"models/asked","content":{"a": 1}},{"content":{}}]}',
            b'{"requests":[{"model":"models/up","content":{"a": 1}},{"content":{}}]}',
        ),
        (
            quirks.GEMINI_INNER_MODELS,
            b'{"generateContentRequest":{"model":"models/asked","contents":[]}}',
            b'{"generateContentRequest":{"model":"models/up","contents":[]}}',
        ),
    ],
)  # fmt: skip
def test_edits(quirk: Quirk, before: bytes, after: bytes) -> None:
    assert quirk.fn(before, "up") == after


UNTOUCHED = [
    b'{"messages" : [ {"role":"user", "content":"set \\"max_tokens\\" to null"} ], "x":1.50}',
    b'{"messages":[{"role":"assistant","content":"tool_calls: null"}]}',
    b'{"messages":[{"role":"user","content":[{"type":"text","text":"\\"tool_calls\\":null"}]}]}',
    b'{"messages":"none"}',
    b'{"messages":[1,null,"x"],"tool_calls":null}',
    b'{"contents":[{"parts":[{"functionResponse":{"response":{"model":"asked"}}}]}]}',
    b'{"requests":"x","y":{"model":"asked"}}',
    b'{"requests":[{"content":{"model":"asked"}}]}',
    b'{"metadata":{"max_tokens":"5","stream_options":"x","max_completion_tokens":1}}',
    b"{}",
]


@pytest.mark.parametrize("body", UNTOUCHED)
@pytest.mark.parametrize(
    "edit",
    [
        quirks.MAX_COMPLETION_TOKENS.fn,
        quirks.MISTRAL_MAX_TOKENS.fn,
        quirks.MISTRAL_STRICT.fn,
        quirks.NULL_MEMBERS.fn,
        quirks.NO_REASONING_CONTENT.fn,
        quirks.GEMINI_INNER_MODELS.fn,
    ],
)
def test_a_body_that_needs_nothing_keeps_its_bytes(edit: Edit, body: bytes) -> None:
    assert edit(body, "up") == body


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"a":1}', b'{"stream_options":{"include_usage":true},"a":1}'),
        (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":{"include_usage":false}}', b'{"stream_options":{"include_usage":true}}'),
        (
            b'{"stream_options":{"include_obfuscation": false}}',
            b'{"stream_options":{"include_usage":true,"include_obfuscation": false}}',
        ),
        (b'{"stream_options" : {"include_usage": true}}', b'{"stream_options" : {"include_usage": true}}'),
    ],
)
def test_asking_for_usage(before: bytes, after: bytes) -> None:
    assert quirks.ask_usage(before) == after


def thinking(model: str, budget: int, most: int | None = 320, **fields: object) -> dict[str, object]:
    body: dict[str, object] = {
        "model": "x",
        "thinking": {"type": "enabled", "budget_tokens": budget},
        **fields,
    }
    if most is not None:
        body["max_tokens"] = most
    return json.loads(quirks.claude_thinking(json.dumps(body).encode(), model))


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(128, "low"), (2_000, "low"), (2_001, "medium"), (16_000, "medium"), (16_001, "high")],
)
@pytest.mark.parametrize(
    "model", ["claude-opus-4-7", "anthropic.claude-opus-4-7-v1:0", "claude-sonnet-5", "claude-opus-4-10"]
)
def test_models_that_think_adaptively_get_an_effort(model: str, budget: int, effort: str) -> None:
    sent = thinking(model, budget, most=20_000)
    assert sent["thinking"] == {"type": "adaptive", "display": "summarized"} and sent["output_config"] == {
        "effort": effort
    }
    assert sent["max_tokens"] == 20_000


def test_the_callers_own_effort_and_format_stay() -> None:
    sent = thinking(
        "claude-opus-4-7", 128, output_config={"effort": "max", "format": {"type": "json_schema"}}
    )
    assert sent["output_config"] == {"effort": "max", "format": {"type": "json_schema"}}


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-6", "claude-opus-4-20250514", "claude-opus-4-1", "claude-haiku-4-5-20251001"]
)
def test_other_models_get_the_least_budget(model: str) -> None:
    sent = thinking(model, 128)
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 1024} and sent["max_tokens"] == 320 + 896
    body = b'{"thinking" : {"type":"enabled", "budget_tokens":1024}, "max_tokens":2000}'
    assert quirks.claude_thinking(body, model) == body


@pytest.mark.parametrize("budget", [320, 321, 5000])
def test_a_budget_that_leaves_no_room_is_refused(budget: int) -> None:
    for model in ("claude-opus-4-7", "claude-sonnet-4-6"):
        with pytest.raises(Fault) as caught:
            thinking(model, budget)
        assert caught.value.status == 400 and "budget_tokens" in caught.value.message


@pytest.mark.parametrize(
    "value",
    [
        {"type": "disabled"},
        {"type": "adaptive"},
        {"type": "enabled"},
        {"type": "enabled", "budget_tokens": "9"},
        None,
        7,
    ],
)
def test_thinking_in_any_other_form_is_the_vendors_business(value: object) -> None:
    body = json.dumps({"thinking": value, "max_tokens": 1}).encode()
    assert quirks.claude_thinking(body, "claude-opus-4-7") == body


# --- thinking that nobody signed --------------------------------------------------------------------------


def test_unsigned_thinking_leaves_the_messages_and_the_rest_keeps_its_bytes():
    body = (
        b'{"model":"claude-x", "messages":[{"role":"user","content":"q"},{"role":"assistant","content":[ '
        b'{"type":"thinking","thinking":"t","signature": ""},{"type":"text","text":"a" }]}],"n":1.50}'
    )
    edited = quirks.drop_unsigned_thinking(body, "claude-x")
    assert json.loads(edited)["messages"][1]["content"] == [{"type": "text", "text": "a"}]
    assert b'{"type":"text","text":"a" }' in edited and b'"n":1.50' in edited


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "thinking", "thinking": "t", "signature": "S"}, {"type": "text", "text": '"signature":""'}],
        [{"type": "tool_use", "id": "c", "name": "f", "input": {"signature": ""}}],
        [
            {"type": "thinking", "thinking": "t", "signature": ""}
        ],  # nothing would be left: the vendor's verdict
        'a text with "signature":"" in it',
        7,
    ],
)
def test_what_is_no_unsigned_thinking_stays(content):
    body = json.dumps({"messages": [{"role": "assistant", "content": content}]}).encode()
    assert quirks.drop_unsigned_thinking(body, "claude-x") == body
