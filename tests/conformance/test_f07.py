"""F07: reasoning and signatures."""
# ruff: noqa: N802

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conformance.equality import ABSENT, ANY, Like, OneOf, same
from tests.conformance.world import (
    ADAPTIVE,
    AM,
    CC,
    DIALECTS,
    GEMINI_3,
    GENERIC,
    GM,
    REASONER,
    ROUTED,
    RS,
    SHORT,
    Stage,
)
from tests.world import answers

USER = {"role": "user", "content": "U"}
CHAT = {"messages": [USER]}
ORDER = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def asked(client: str) -> dict[str, Any]:
    """A question in each dialect."""
    if client == GM:
        return {"contents": [{"role": "user", "parts": [{"text": "U"}]}]}
    return {"input": "U"} if client == RS else CHAT


# --- how much to think -----------------------------------------------------------------------------------------

TABLE_115 = [
    (model, effort, {"high": "high", "low": "low", "medium": "medium", "minimal": "low"}[effort])
    for model in ("claude-opus-4-6", "claude-sonnet-4-6", ADAPTIVE, "claude-opus-5-5")
    for effort in ("minimal", "low", "medium", "high")
] + [
    ("claude-opus-4-6", "xhigh", "high"),
    ("claude-opus-4-6", "max", "max"),
    (ADAPTIVE, "xhigh", "xhigh"),
    (ADAPTIVE, "max", "max"),
]


@pytest.mark.parametrize(("model", "effort", "word"), TABLE_115)
def test_E115_effort_of_adaptive_models(stage: Stage, model: str, effort: str, word: str) -> None:
    sent = stage.sends(CC, AM, {**CHAT, "reasoning_effort": effort}, model=model)
    same(sent["thinking"], {"type": "adaptive", "display": OneOf(ABSENT, "summarized")})
    same(sent["output_config"], {"effort": word})


def test_E115_the_thinking_member_is_exactly_adaptive(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {**CHAT, "reasoning_effort": "high"}, model=ADAPTIVE)
    same(sent["thinking"], {"type": "adaptive"})


def test_E115_none(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {**CHAT, "reasoning_effort": "none"}, model=ADAPTIVE)
    same(sent, {"thinking": {"type": "disabled"}, "output_config": ABSENT, ...: 0})
    for model in ("claude-fable-5", "claude-mythos-5-1", "claude-opus-5-5"):
        sent = stage.sends(CC, AM, {**CHAT, "reasoning_effort": "none"}, model=model)
        same(sent, {"thinking": ABSENT, "output_config": {"effort": "low"}, ...: 0})


@pytest.mark.parametrize("limit", [900, 1, 1024, 1025, 2000, 20_000])
def test_E117_a_budget_is_always_below_the_limit(stage: Stage, limit: int) -> None:
    sent = stage.sends(CC, AM, {**CHAT, "reasoning_effort": "high", "max_tokens": limit})
    thinking = sent.get("thinking", {"type": "disabled"})
    if thinking["type"] == "enabled":
        assert 1024 <= thinking["budget_tokens"] < sent["max_tokens"] <= 64_000
    else:
        assert sent["max_tokens"] == limit


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt-5", ["minimal", "low", "medium", "high"]),
        ("gpt-5.5", ["none", "low", "medium", "high", "xhigh"]),
    ],
)
def test_E118_budgets_become_monotone_efforts(stage: Stage, model: str, words: list[str]) -> None:
    given = []
    for budget in (1024, 4000, 16_000, 40_000):
        body = {**CHAT, "max_tokens": 50_000, "thinking": {"type": "enabled", "budget_tokens": budget}}
        given.append(stage.sends(AM, CC, body, model=model)["reasoning_effort"])
    assert given == ["low", "medium", "high", "xhigh" if "xhigh" in words else "high"]
    off = stage.sends(AM, CC, {**CHAT, "thinking": {"type": "disabled"}}, model=model)
    same(off.get("reasoning_effort"), "none" if "none" in words else None)
    body = {**CHAT, "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}
    same(stage.sends(AM, CC, body, model=model)["reasoning_effort"], words[-1])


@pytest.mark.parametrize(
    ("effort", "budget"), [("none", 0), ("low", 1024), ("medium", 8192), ("high", 24_576)]
)
def test_E119_gemini_2_5_takes_a_budget(stage: Stage, effort: str, budget: int) -> None:
    config = stage.sends(CC, GM, {**CHAT, "reasoning_effort": effort})["generationConfig"]["thinkingConfig"]
    same(config, {"thinkingBudget": budget, "thinkingLevel": ABSENT, ...: 0})


def test_E119_gemini_2_5_pro_cannot_be_switched_off(stage: Stage) -> None:
    sent = stage.sends(CC, GM, {**CHAT, "reasoning_effort": "none"}, model="gemini-2.5-pro")
    config = sent.get("generationConfig", {}).get("thinkingConfig", {})
    assert config.get("thinkingBudget") != 0 and "thinkingLevel" not in config


@pytest.mark.parametrize(
    ("model", "effort", "level"),
    [
        (GEMINI_3, "low", "LOW"),
        (GEMINI_3, "medium", "HIGH"),
        (GEMINI_3, "high", "HIGH"),
        (GEMINI_3, "none", "LOW"),
        ("gemini-3-flash-preview", "none", "MINIMAL"),
        ("gemini-3-flash-preview", "medium", "MEDIUM"),
        ("gemini-3-flash-preview", "high", "HIGH"),
    ],
)
def test_E119_gemini_3_takes_a_level(stage: Stage, model: str, effort: str, level: str) -> None:
    config = stage.sends(CC, GM, {**CHAT, "reasoning_effort": effort}, model=model)["generationConfig"][
        "thinkingConfig"
    ]
    same(config, {"thinkingLevel": level, "thinkingBudget": ABSENT, ...: 0})


WISHES: list[tuple[str, dict[str, Any], bool]] = [
    (CC, {"reasoning_effort": "low"}, True),
    (AM, {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000}, True),
    (
        AM,
        {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}, "max_tokens": 4000},
        False,
    ),
    (RS, {"reasoning": {"effort": "low", "summary": "auto"}}, True),
    (CC, {}, False),
    (AM, {}, False),
    (RS, {}, False),
    (CC, {"reasoning_effort": "none"}, False),
]


@pytest.mark.parametrize(("client", "wish", "visible"), WISHES)
def test_E120_thoughts_are_included_where_the_client_wants_reasoning(
    stage: Stage, client: str, wish: dict[str, Any], visible: bool
) -> None:
    for model in ("gemini-2.5-flash", GEMINI_3):
        sent = stage.sends(client, GM, {**asked(client), **wish}, model=model)
        included = sent.get("generationConfig", {}).get("thinkingConfig", {}).get("includeThoughts")
        assert bool(included) is visible


# --- what comes back, and goes up again ------------------------------------------------------------------------


def thought(text: str = "t", signature: str = "S") -> dict[str, str]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def message(*blocks: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    return {**answers.MESSAGE, "content": list(blocks), "stop_reason": stop}


def carried(told: Mapping[str, Any]) -> list[str]:
    """Every signature and hidden piece in the carriers of a chat message or delta."""
    entries = [*(told.get("thinking_blocks") or []), *(told.get("reasoning_details") or [])]
    return [entry[name] for entry in entries for name in ("signature", "data") if entry.get(name)]


def test_E122_thinking_is_reasoning_content_and_its_signature_is_carried(stage: Stage) -> None:
    hidden = {"type": "redacted_thinking", "data": "R0lG"}
    heard = stage.ask(CC, AM, CHAT, answer=message(thought(), hidden, {"type": "text", "text": "x"}))
    told = heard.answer["choices"][0]["message"]
    same(told, {"content": "x", "reasoning_content": "t", ...: 0})
    assert carried(told) == ["S", "R0lG"]
    sent = stage.sends(CC, AM, {"messages": [USER, told, USER]})
    same(sent["messages"][1]["content"], [thought(), hidden, {"type": "text", "text": "x"}])


UNSIGNED: list[dict[str, Any]] = [
    {"reasoning_content": "secret"},
    {"thinking_blocks": [{"type": "thinking", "thinking": "secret"}]},
    {"thinking_blocks": [{"type": "thinking", "thinking": "secret", "signature": ""}]},
    {"thinking_blocks": [{"type": "thinking", "thinking": "secret", "signature": None}]},
    {
        "reasoning_details": [
            {"type": "reasoning.text", "text": "secret", "signature": "", "format": "anthropic-claude-v1"}
        ]
    },
    {
        "reasoning_details": [{"type": "reasoning.summary", "summary": "secret"}],
        "reasoning_content": "secret",
    },
]


@pytest.mark.parametrize("carrier", UNSIGNED)
def test_E124_thinking_without_a_signature_is_left_out(stage: Stage, carrier: dict[str, Any]) -> None:
    said = {"role": "assistant", "content": "x", **carrier}
    sent = stage.sends(CC, AM, {"messages": [USER, said, {"role": "user", "content": "V"}]})
    same(sent["messages"][1], {"role": "assistant", "content": "x"})
    assert "secret" not in json.dumps(sent) and "signature" not in json.dumps(sent)


def history(client: str) -> dict[str, Any]:
    """A conversation whose assistant turn holds the vendor's own signature of the client's dialect, "U0lHTkVE"."""
    if client == AM:
        return {"messages": [USER, {"role": "assistant", "content": [thought("t", "U0lHTkVE"), {"type": "redacted_thinking", "data": "U0lHTkVE"}, {"type": "text", "text": "x"}]}, USER]}  # fmt: skip
    if client == RS:
        item = {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "t"}],
            "encrypted_content": "U0lHTkVE",
        }
        return {
            "input": [
                USER,
                item,
                {"role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]},
                USER,
            ]
        }
    parts = [{"text": "t", "thought": True}, {"text": "x", "thoughtSignature": "U0lHTkVE"}]
    turn = {"role": "user", "parts": [{"text": "U"}]}
    return {"contents": [turn, {"role": "model", "parts": parts}, turn]}


@pytest.mark.parametrize(
    ("client", "upstream"),
    [pytest.param(c, u, id=f"{SHORT[c]}-{SHORT[u]}") for c in (AM, RS, GM) for u in DIALECTS if c != u],
)
def test_E125_a_signature_never_goes_to_another_vendor(stage: Stage, client: str, upstream: str) -> None:
    heard = stage.ask(client, upstream, history(client), model=GENERIC if upstream == CC else "")
    assert heard.reply.status == 200
    whole = json.dumps(heard.upstream)
    assert "U0lHTkVE" not in whole and '"x"' in whole and heard.dropped == []


CARRIERS: list[tuple[str, dict[str, Any]]] = [
    (AM, {"thinking_blocks": [thought("t", "U0lHTkVE")]}),
    (AM, {"reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "U0lHTkVE", "format": "anthropic-claude-v1", "index": 0}]}),
    (RS, {"reasoning_details": [{"type": "reasoning.encrypted", "data": "U0lHTkVE", "format": "openai-responses-v1", "id": "rs_1", "index": 0}]}),
    (GM, {"reasoning_details": [{"type": "reasoning.encrypted", "data": "U0lHTkVE", "format": "google-gemini-v1", "index": 0}]}),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "carrier"), CARRIERS)
@pytest.mark.parametrize("upstream", [AM, RS, GM])
def test_E125_a_chat_carrier_goes_to_its_own_vendor_only(
    stage: Stage, upstream: str, owner: str, carrier: dict[str, Any]
) -> None:
    said = {"role": "assistant", "content": "x", "reasoning_content": "t", **carrier}
    sent = stage.sends(
        CC, upstream, {"messages": [USER, said, {"role": "user", "content": "V"}]}, model=REASONER[upstream]
    )
    assert ("U0lHTkVE" in json.dumps(sent)) is (owner == upstream)


SKIP = "skip_thought_signature_validator"
SKIPS = OneOf(SKIP, base64.b64encode(SKIP.encode()).decode())
REAL = base64.b64encode(b"a real signature").decode()


def call(call_id: str, signature: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return {**made, "extra_content": {"google": {"thought_signature": signature}}} if signature else made


def calls(*made: dict[str, Any]) -> list[dict[str, Any]]:
    """An assistant message with these calls, and the answer to each."""
    results = [{"role": "tool", "tool_call_id": m["id"], "content": "r"} for m in made]
    return [{"role": "assistant", "content": None, "tool_calls": list(made)}, *results]


def signatures(sent: Any) -> list[list[Any]]:
    """``thoughtSignature`` (None if absent) of every functionCall part, by model turn."""
    return [
        [part.get("thoughtSignature") for part in turn["parts"] if "functionCall" in part]
        for turn in sent["contents"]
        if turn["role"] == "model"
    ]


def test_E127_the_current_turns_calls_get_a_signature_on_gemini_3(stage: Stage) -> None:
    old = [USER, *calls(call("c1")), {"role": "assistant", "content": "done"}]
    new = [{"role": "user", "content": "V"}, *calls(call("c2"), call("c3")), *calls(call("c4"))]
    sent = stage.sends(CC, GM, {"messages": [*old, *new]}, model=GEMINI_3)
    found = [turn for turn in signatures(sent) if turn]
    same(found, [[None], [SKIPS, None], [SKIPS]])


def test_E127_a_real_signature_is_kept(stage: Stage) -> None:
    sent = stage.sends(CC, GM, {"messages": [USER, *calls(call("c1", REAL), call("c2"))]}, model=GEMINI_3)
    same(signatures(sent), [[REAL, None]])


@pytest.mark.parametrize("client", [AM, RS])
def test_E127_for_every_client(stage: Stage, client: str) -> None:
    body = {
        AM: {"messages": [USER, {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "r"}]}]},
        RS: {"input": [USER, {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "t1", "output": "r"}]},
    }[client]  # fmt: skip
    same(signatures(stage.sends(client, GM, body, model=GEMINI_3)), [[SKIPS]])


def test_E127_gemini_2_5_needs_none(stage: Stage) -> None:
    same(signatures(stage.sends(CC, GM, {"messages": [USER, *calls(call("c1"))]})), [[None]])


def test_E129_a_signature_that_is_not_base64_is_dropped(stage: Stage) -> None:
    bad = {**calls(call("c1", "not!valid!!"))[0], "content": "visible"}
    body = {"messages": [USER, bad, {"role": "tool", "tool_call_id": "c1", "content": "r"}]}
    sent = stage.sends(CC, GM, body)
    same(signatures(sent), [[None]])
    assert "not!valid" not in json.dumps(sent) and sent["contents"][1]["parts"][0] == {"text": "visible"}
    same(signatures(stage.sends(CC, GM, body, model=GEMINI_3)), [[SKIPS]])


def test_E129_base64_without_padding_is_accepted(stage: Stage) -> None:
    found = signatures(stage.sends(CC, GM, {"messages": [USER, *calls(call("c1", "aGVsbG8"))]}))
    same(found, [[OneOf("aGVsbG8", "aGVsbG8=")]])


def chunk(*parts: dict[str, Any], **more: Any) -> bytes:
    return answers.data({"candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}]})


def test_E130_an_empty_text_with_a_signature_is_only_carried(stage: Stage) -> None:
    frames = [chunk({"text": "x"}), chunk({"text": "", "thoughtSignature": REAL}, finishReason="STOP")]
    heard = stage.ask(CC, GM, CHAT, answer=frames, stream=True)
    deltas = [choice["delta"] for c in heard.chunks for choice in c["choices"]]
    assert [d["content"] for d in deltas if d.get("content")] == ["x"]
    assert [s for d in deltas for s in carried(d)] == [REAL]


def test_E132_hidden_thinking_keeps_its_signature(stage: Stage) -> None:
    told = stage.ask(CC, AM, CHAT, answer=message(thought(""), {"type": "text", "text": "x"})).answer[
        "choices"
    ][0]["message"]
    same(told, {"content": "x", "reasoning_content": ABSENT, ...: 0})
    assert carried(told) == ["S"]
    sent = stage.sends(CC, AM, {"messages": [USER, told, USER]})
    same(sent["messages"][1]["content"], [thought(""), {"type": "text", "text": "x"}])


def test_E134_thinking_carries_no_cache_mark(stage: Stage) -> None:
    marked = {**thought(), "cache_control": {"type": "ephemeral"}}
    said = {"role": "assistant", "content": "x", "thinking_blocks": [marked]}
    sent = stage.sends(CC, AM, {"messages": [USER, said, USER]})
    same(sent["messages"][1]["content"], [thought(), {"type": "text", "text": "x"}])


# --- further cases of the same rules: a whole tool turn, and back ------------------------------------------------

ASKS: dict[str, dict[str, Any]] = {
    CC: {"reasoning_effort": "low", "max_tokens": 8000, "tools": [{"type": "function", "function": {"name": "f"}}]},
    RS: {"reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 8000, "tools": [{"type": "function", "name": "f", "parameters": None, "strict": False}]},
    AM: {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 8000, "tools": [{"name": "f", "input_schema": {"type": "object"}}]},
    GM: {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}, "maxOutputTokens": 8000}, "tools": [{"functionDeclarations": [{"name": "f"}]}]},
}  # fmt: skip
DETAIL = {
    "type": "reasoning.text",
    "text": "t",
    "signature": REAL,
    "format": "anthropic-claude-v1",
    "index": 0,
}
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "t"}],
    "encrypted_content": REAL,
}
TURNS: dict[str, dict[str, Any]] = {
    AM: message(thought("t", REAL), {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}, stop="tool_use"),
    RS: {**answers.RESPONSE, "output": [REASONING, {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"a":1}', "status": "completed"}]},
    GM: {**answers.GENERATED, "candidates": [{"content": {"role": "model", "parts": [{"text": "t", "thought": True}, {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": REAL}]}, "finishReason": "STOP"}]},
    CC: {**answers.CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "reasoning_content": "t", "reasoning_details": [DETAIL], "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]}, "finish_reason": "tool_calls"}]},
}  # fmt: skip
THINKERS = {CC: ROUTED, RS: "gpt-5.2", AM: "claude-sonnet-4-5", GM: GEMINI_3}


def replayed(client: str, told: Any) -> dict[str, Any]:
    """The client's next request: its question, the whole answer as it came, and the tool's result."""
    if client == CC:
        said = told["choices"][0]["message"]
        turns = [USER, said, {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "r"}]
        return {**ASKS[CC], "messages": turns}
    if client == AM:
        used = next(b for b in told["content"] if b["type"] == "tool_use")
        answer = {"type": "tool_result", "tool_use_id": used["id"], "content": "r"}
        return {
            **ASKS[AM],
            "messages": [
                USER,
                {"role": "assistant", "content": told["content"]},
                {"role": "user", "content": [answer]},
            ],
        }
    if client == RS:
        made = next(i for i in told["output"] if i["type"] == "function_call")
        return {
            **ASKS[RS],
            "input": [
                USER,
                *told["output"],
                {"type": "function_call_output", "call_id": made["call_id"], "output": "r"},
            ],
        }
    content = told["candidates"][0]["content"]
    made = next(p["functionCall"] for p in content["parts"] if "functionCall" in p)
    answer = {
        "functionResponse": {
            "name": "f",
            "response": {"result": "r"},
            **({"id": made["id"]} if "id" in made else {}),
        }
    }
    return {
        **ASKS[GM],
        "contents": [
            {"role": "user", "parts": [{"text": "U"}]},
            content,
            {"role": "user", "parts": [answer]},
        ],
    }


def assert_own_again(upstream: str, sent: Any) -> None:
    """The upstream received its own reasoning in its own place."""
    if upstream == AM:
        same(
            sent["messages"][1]["content"],
            [thought("t", REAL), {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}],
        )
    elif upstream == GM:
        same(signatures(sent), [[REAL]])
    elif upstream == RS:
        at = next(n for n, item in enumerate(sent["input"]) if item.get("type") == "reasoning")
        same(sent["input"][at], {"type": "reasoning", "encrypted_content": REAL, "summary": ANY, ...: 0})
        assert sent["input"][at + 1]["type"] == "function_call"
    else:
        assert carried(sent["messages"][1]) == [REAL]


PAIRS = [pytest.param(c, u, id=f"{SHORT[c]}-{SHORT[u]}") for c in DIALECTS for u in DIALECTS if c != u]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_F07_a_signature_comes_back_to_who_signed_it(stage: Stage, client: str, upstream: str) -> None:
    model = THINKERS[upstream]
    told = stage.ask(
        client, upstream, {**asked(client), **ASKS[client]}, model=model, answer=TURNS[upstream]
    ).answer
    assert_own_again(upstream, stage.sends(client, upstream, replayed(client, told), model=model))


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_F07_after_a_change_of_vendor_no_signature_and_no_seal_goes_up(
    stage: Stage, client: str, upstream: str
) -> None:
    told = stage.ask(
        client, upstream, {**asked(client), **ASKS[client]}, model=THINKERS[upstream], answer=TURNS[upstream]
    ).answer
    for other in DIALECTS:
        if (
            other == upstream or other == client == CC
        ):  # chat carries bare values, and its relay lane changes nothing
            continue
        model = (
            GENERIC if other == CC else THINKERS[other]
        )  # OpenRouter sorts by the format that each detail names
        whole = json.dumps(stage.sends(client, other, replayed(client, told), model=model))
        assert "ZHJhZ29tYW4x" not in whole, other
        assert REAL not in whole or {other, upstream} == {AM, CC}, other  # what Chat carried was Anthropic's


def test_F07_reasoning_reaches_messages_and_responses_clients(stage: Stage) -> None:
    chat = {**answers.CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": "x", "reasoning_content": "t"}, "finish_reason": "stop"}]}  # fmt: skip
    body = stage.ask(AM, CC, {**CHAT, "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}, model="deepseek-reasoner", answer=chat).answer  # fmt: skip
    same(
        body["content"],
        [
            {"type": "thinking", "thinking": "t", "signature": OneOf("", ABSENT, ANY)},
            {"type": "text", "text": "x"},
        ],
    )
    body = stage.ask(
        RS, CC, {"input": "U", "reasoning": {"summary": "auto"}}, model="deepseek-reasoner", answer=chat
    ).answer
    same(
        body["output"][0],
        {
            "type": "reasoning",
            "id": Like("rs_.+"),
            "summary": [{"type": "summary_text", "text": "t"}],
            ...: 0,
        },
    )
    body = stage.ask(
        RS,
        AM,
        {"input": "U", "reasoning": {"summary": "auto"}},
        answer=message(thought(), {"type": "text", "text": "x"}),
    ).answer
    same(
        body["output"][0],
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "t"}],
            "encrypted_content": ANY,
            ...: 0,
        },
    )
    assert [i["type"] for i in body["output"]] == ["reasoning", "message"]


BARE: dict[str, dict[str, Any]] = {
    CC: {**answers.CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "reasoning_content": "t", "tool_calls": TURNS[CC]["choices"][0]["message"]["tool_calls"]}, "finish_reason": "tool_calls"}]},
    GM: {**answers.GENERATED, "candidates": [{"content": {"role": "model", "parts": [{"text": "t", "thought": True}, {"functionCall": {"name": "f", "args": {"a": 1}}}]}, "finishReason": "STOP"}]},
}  # fmt: skip


@pytest.mark.parametrize("upstream", [CC, GM])
@pytest.mark.parametrize("client", DIALECTS)
def test_F07_reasoning_that_nobody_signed_does_not_stop_the_next_turn(
    stage: Stage, client: str, upstream: str
) -> None:
    if client == upstream:
        return
    model = "deepseek-reasoner" if upstream == CC else "gemini-2.5-flash"
    told = stage.ask(
        client, upstream, {**asked(client), **ASKS[client]}, model=model, answer=BARE[upstream]
    ).answer
    for other, name in ((upstream, model), (AM, "claude-sonnet-4-5"), (RS, "gpt-5.2")):
        if other != client:
            whole = json.dumps(stage.sends(client, other, replayed(client, told), model=name))
            assert '"signature": ""' not in whole and "encrypted_content" not in whole.replace(
                "reasoning.encrypted_content", ""
            )


def test_F07_the_other_name_of_chats_reasoning(stage: Stage) -> None:
    chat = {**answers.CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": "x", "reasoning": "t"}, "finish_reason": "stop"}]}  # fmt: skip
    body = stage.ask(AM, CC, CHAT, model=ROUTED, answer=chat).answer
    same([b["type"] for b in body["content"]], ["thinking", "text"])


def test_F07_deepseek_gets_its_reasoning_back_and_others_no_unknown_member(stage: Stage) -> None:
    content = [
        {"type": "thinking", "thinking": "t", "signature": ""},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
    ]
    body = {
        "messages": [
            USER,
            {"role": "assistant", "content": content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "r"}]},
        ]
    }
    assert stage.sends(AM, CC, body, model="deepseek-v4-pro")["messages"][1]["reasoning_content"] == "t"
    for model in ("gpt-5", GENERIC):
        same(
            stage.sends(AM, CC, body, model=model)["messages"][1],
            {"role": "assistant", "content": OneOf(None, ""), "tool_calls": ANY},
        )


@pytest.mark.parametrize(("effort", "budget"), [("low", 1024), ("medium", 8192), ("high", 24_576)])
@pytest.mark.parametrize("client", [CC, RS])
def test_F07_effort_is_a_budget_where_anthropic_wants_one(
    stage: Stage, client: str, effort: str, budget: int
) -> None:
    wish = {"reasoning_effort": effort, "max_tokens": 50_000} if client == CC else {"reasoning": {"effort": effort}, "max_output_tokens": 50_000}  # fmt: skip
    sent = stage.sends(client, AM, {**asked(client), **wish})
    same(sent, {"thinking": {"type": "enabled", "budget_tokens": budget, "display": OneOf(ABSENT, ANY)}, "output_config": ABSENT, "max_tokens": 50_000, ...: 0})  # fmt: skip


def test_F07_who_does_not_ask_for_reasoning_gets_no_member_about_it(stage: Stage) -> None:
    for client, upstream in (
        (CC, AM),
        (CC, GM),
        (AM, CC),
        (AM, GM),
        (GM, AM),
        (GM, CC),
        (RS, AM),
        (RS, GM),
        (RS, CC),
    ):
        whole = json.dumps(stage.sends(client, upstream, asked(client), model=REASONER[upstream]))
        assert not any(word in whole for word in ("thinking", "effort", "reasoning")), (client, upstream)


@pytest.mark.parametrize("model", ["claude-3-haiku-20240307", "claude-3-5-sonnet-20240620"])
def test_F07_a_model_that_cannot_think_is_not_asked_to(stage: Stage, model: str) -> None:
    sent = stage.sends(CC, AM, {**CHAT, "reasoning_effort": "high"}, model=model)
    same(sent, {"thinking": ABSENT, "output_config": ABSENT, ...: 0})
    body = {**CHAT, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    for other in ("gpt-4o", GENERIC):
        assert "reasoning_effort" not in stage.sends(AM, CC, body, model=other)
    assert "thinkingConfig" not in stage.sends(AM, GM, body, model="gemini-1.5-pro-latest").get(
        "generationConfig", {}
    )


def test_F07_budgets_between_anthropic_and_gemini(stage: Stage) -> None:
    body = {**CHAT, "max_tokens": 60_000, "thinking": {"type": "enabled", "budget_tokens": 5000}}
    assert stage.sends(AM, GM, body)["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 5000
    body["thinking"] = {"type": "enabled", "budget_tokens": 50_000}
    assert stage.sends(AM, GM, body)["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 24_576
    assert (
        "thinkingBudget"
        not in stage.sends(AM, GM, body, model=GEMINI_3)["generationConfig"]["thinkingConfig"]
    )
    assert (
        stage.sends(AM, GM, {**CHAT, "thinking": {"type": "disabled"}})["generationConfig"]["thinkingConfig"][
            "thinkingBudget"
        ]
        == 0
    )
    config = {"maxOutputTokens": 20_000, "thinkingConfig": {"thinkingBudget": 5000}}
    same(stage.sends(GM, AM, {**asked(GM), "generationConfig": config})["thinking"], {"type": "enabled", "budget_tokens": 5000, "display": OneOf(ABSENT, ANY)})  # fmt: skip
    config = {"maxOutputTokens": 20_000, "thinkingConfig": {"thinkingBudget": 0}}
    same(
        stage.sends(GM, AM, {**asked(GM), "generationConfig": config}).get("thinking"),
        OneOf(None, {"type": "disabled"}),
    )


def test_F07_effort_between_chat_and_responses(stage: Stage) -> None:
    sent = stage.sends(CC, RS, {**CHAT, "reasoning_effort": "high"}, model="gpt-5.2")
    same(sent, {"reasoning": {"effort": "high", "summary": OneOf(ABSENT, "auto")}, "include": ["reasoning.encrypted_content"], "store": False, ...: 0})  # fmt: skip
    sent = stage.sends(
        RS, CC, {"input": "U", "reasoning": {"effort": "minimal", "summary": "detailed"}}, model="gpt-5"
    )
    same(sent, {"reasoning_effort": "minimal", "reasoning": ABSENT, ...: 0})
    assert (
        stage.sends(CC, RS, {**CHAT, "reasoning_effort": "max"}, model="gpt-5.2")["reasoning"]["effort"]
        == "xhigh"
    )


def test_F07_thinking_is_left_out_when_a_running_tool_turn_has_none_to_show(stage: Stage) -> None:
    """Anthropic answers 400 when thinking is on and the tool turn that goes on does not begin with signed thinking."""
    body = {"messages": [USER, *calls(call("c1"))], "reasoning_effort": "low", "max_tokens": 8000}
    sent = stage.sends(CC, AM, body)
    same(sent.get("thinking"), OneOf(None, {"type": "disabled"}))


@pytest.mark.parametrize(
    ("client", "body", "path"),
    [
        (CC, {"reasoning_effort": "enormous"}, "reasoning_effort"),
        (CC, {"reasoning_effort": 7}, "reasoning_effort"),
        (RS, {"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
        (AM, {"thinking": {"type": "sometimes"}}, "thinking.type"),
        (AM, {"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        (AM, {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 2048}, "thinking.budget_tokens"),
        (GM, {"generationConfig": {"thinkingConfig": {"thinkingBudget": "x"}}}, "generationConfig.thinkingConfig.thinkingBudget"),
    ],
)  # fmt: skip
def test_F07_a_broken_wish_is_refused_by_name(stage: Stage, client: str, body: Any, path: str) -> None:
    stage.rejects(client, AM if client != AM else GM, {**asked(client), **body}, path)
