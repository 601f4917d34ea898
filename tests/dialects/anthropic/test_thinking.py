"""How Anthropic models are asked to think."""

from __future__ import annotations

import pytest

from dragoman.core.conversation import (
    Conversation,
    Reasoning,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from dragoman.core.facts import Facts
from dragoman.dialects.anthropic.thinking import is_written, plan

BUDGET = Facts(max_output=64_000, thinking="budget", most_budget=63_999)
ADAPTIVE = Facts(max_output=64_000, thinking="adaptive", efforts=("low", "medium", "high", "max"))
ALWAYS = Facts(max_output=64_000, thinking="adaptive", thinking_off=False)


def planned(
    facts, reasoning, *, limit=None, turns=(), forced=False, origin="openai_chat", at="reasoning_effort"
):
    conversation = Conversation(
        origin=origin, turns=turns, reasoning=reasoning, max_output=limit, fields={"reasoning": (at,)}
    )
    return plan(conversation, facts, turns, forced=forced)


@pytest.mark.parametrize(
    ("effort", "word"),
    [("minimal", "low"), ("low", "low"), ("high", "high"), ("xhigh", "high"), ("max", "max")],
)
def test_adaptive_models_take_words_e115(effort, word):
    found = planned(ADAPTIVE, Reasoning(effort=effort))
    assert (found.thinking, found.effort, found.on) == ({"type": "adaptive"}, word, True)


@pytest.mark.parametrize(
    ("budget", "word"), [(1024, "low"), (4000, "medium"), (16_000, "high"), (40_000, "high")]
)
def test_budgets_become_words_e118(budget, word):
    assert planned(ADAPTIVE, Reasoning(budget=budget)).effort == word
    assert planned(ADAPTIVE, Reasoning(budget=-1)).effort == ""


def test_visible_reasoning_is_asked_for():
    seen = Reasoning(effort="low", visible=True)
    assert planned(ADAPTIVE, seen, at="reasoning").thinking == {"type": "adaptive", "display": "summarized"}
    assert planned(ADAPTIVE, seen, at="reasoning_effort").thinking == {"type": "adaptive"}
    own = planned(ADAPTIVE, Reasoning(mode="adaptive"), origin="anthropic", at="thinking")
    assert own.thinking == {"type": "adaptive", "display": "omitted"}


@pytest.mark.parametrize("off", [Reasoning(mode="off"), Reasoning(effort="none"), Reasoning(budget=0)])
def test_no_thinking_e115(off):
    assert planned(ADAPTIVE, off).thinking == planned(BUDGET, off).thinking == {"type": "disabled"}
    always = planned(ALWAYS, off)
    assert (always.thinking, always.effort) == (None, "low")
    never = planned(Facts(thinking="none"), off)
    assert (never.thinking, never.losses) == (None, ())


def test_nothing_said():
    assert planned(ADAPTIVE, None).thinking is None
    assert planned(ADAPTIVE, None).max_tokens == 64_000  # E085: the model's own limit
    assert planned(ADAPTIVE, None, limit=100_000).max_tokens == 64_000


@pytest.mark.parametrize(
    ("effort", "limit", "budget", "max_tokens"),
    [
        ("low", None, 1024, 64_000),
        ("high", None, 24_576, 64_000),
        ("medium", 10_000, 8192, 10_000),
        ("high", 900, 24_576, 25_476),  # E117: raised to hold both
        ("high", 24_576, 24_576, 49_152),
        ("max", 40_000, 32_768, 40_000),
        ("max", 32_768, 31_232, 64_000),  # no room for all of it
    ],
)
def test_budgets(effort, limit, budget, max_tokens):
    found = planned(BUDGET, Reasoning(effort=effort), limit=limit)
    assert found.thinking == {"type": "enabled", "budget_tokens": budget}
    assert found.max_tokens == max_tokens and 1024 <= budget < max_tokens
    assert found.effort == ""


def test_budgets_that_do_not_fit():
    small = Facts(max_output=2000, thinking="budget")
    assert planned(small, Reasoning(effort="high")).losses[0].at == ("reasoning_effort",)
    tight = planned(small, Reasoning(effort="high"), limit=1500)
    assert (tight.thinking, tight.max_tokens, len(tight.losses)) == (None, 1500, 1)
    room = planned(Facts(max_output=8192), Reasoning(effort="high"))
    assert room.thinking == {"type": "enabled", "budget_tokens": 4096} and room.max_tokens == 8192


def test_small_budgets_are_raised_c6():
    found = planned(BUDGET, Reasoning(budget=128, visible=True), limit=320, origin="anthropic", at="thinking")
    assert found.thinking == {"type": "enabled", "budget_tokens": 1024}
    assert found.max_tokens == 1344


def test_models_that_cannot_think():
    found = planned(Facts(thinking="none"), Reasoning(effort="high"))
    assert found.thinking is None and found.losses[0].at == ("reasoning_effort",)


def test_an_effort_alone_asks_for_no_thinking():
    reasoning = Reasoning(mode="adaptive", effort="max")
    found = planned(ADAPTIVE, reasoning, origin="anthropic", at="output_config")
    assert (found.thinking, found.effort, found.on) == (None, "max", False)


def test_no_thinking_with_a_forced_call_e107():
    for facts, thinking in ((BUDGET, None), (ADAPTIVE, {"type": "disabled"})):
        found = planned(facts, Reasoning(effort="high"), forced=True)
        assert (found.thinking, found.on, len(found.losses)) == (thinking, False, 1)
    always = planned(ALWAYS, Reasoning(effort="high"), forced=True)
    assert always.loosen and always.on and always.losses[0].at == ("tool_choice",)


def test_no_great_effort_beside_disabled_thinking():
    for off in (Reasoning(mode="off", effort="max"), Reasoning(effort="max")):
        found = planned(ADAPTIVE, off, origin="anthropic", at="thinking", forced=True)
        assert (found.thinking, found.effort) == ({"type": "disabled"}, "high")
    low = planned(ADAPTIVE, Reasoning(mode="off", effort="low"), origin="anthropic", at="thinking")
    assert low.effort == "low"
    alone = Reasoning(mode="adaptive", effort="max")
    assert planned(ADAPTIVE, alone, origin="anthropic", at="output_config").effort == "max"


CALL = ToolCall(id="t", name="f")
RESULT = Turn(role="user", blocks=(ToolResult(call_id="t"),))
SIGNED = Thinking(text="t", signature=Signature(origin="anthropic", value="S"))
FOREIGN = Thinking(text="t", signature=Signature(origin="gemini", value="S"))


@pytest.mark.parametrize(
    ("blocks", "thinks"),
    [
        ((SIGNED, CALL), True),
        ((FOREIGN, SIGNED, CALL), True),
        ((CALL,), False),
        ((FOREIGN, CALL), False),
        ((Text(text="well"), SIGNED, CALL), False),
        ((Text(text="answer"),), True),
    ],
)
def test_running_tool_loops_need_signed_thinking(blocks, thinks):
    turns = (Turn(role="user", blocks=(Text(text="q"),)), Turn(role="assistant", blocks=blocks), RESULT)
    found = planned(BUDGET, Reasoning(effort="low"), turns=turns)
    assert found.on is thinks and bool(found.losses) is not thinks
    assert planned(ADAPTIVE, Reasoning(effort="low"), turns=turns).on


def test_no_thinking_with_a_prefill():
    turns = (Turn(role="assistant", blocks=(Text(text="Answer:"),)),)
    assert not planned(BUDGET, Reasoning(effort="low"), turns=turns).on


def test_what_is_written():
    assert [
        is_written(block) for block in (Text(text=" \n"), Text(text="x"), SIGNED, FOREIGN, Thinking(), CALL)
    ] == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]
