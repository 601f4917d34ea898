"""Whole answers as events and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import (
    Answer,
    Block,
    Choice,
    Citation,
    Closed,
    Delta,
    Ended,
    Failed,
    Finished,
    Opened,
    Refusal,
    Signature,
    Start,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    UsageSeen,
)
from dragoman.core.faults import Fault
from dragoman.core.streams import Folded, events_of
from dragoman.core.usage import Usage

SIGNED = Signature(origin="anthropic", value="S")
WORDS = st.text(min_size=1, max_size=8)
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    st.builds(
        Text, text=WORDS, citations=st.sampled_from([(), (Citation(url="https://x", start=0, end=1),)])
    ),
    st.builds(Thinking, text=st.text(max_size=8), signature=st.sampled_from([None, SIGNED])),
    st.just(Thinking(redacted=True, signature=SIGNED)),
    st.builds(Refusal, text=WORDS),
    st.builds(ToolCall, id=WORDS, name=WORDS, arguments=st.just('{"a":1}')),
)
CHOICES = st.builds(
    Choice,
    blocks=st.lists(BLOCKS, max_size=4).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls"]),
    stop_sequence=st.sampled_from(["", "X"]),
    logprobs=st.sampled_from([(), (TokenLogprob(token="a", logprob=-0.5),)]),
)
ANSWERS = st.builds(
    Answer,
    choices=st.lists(CHOICES, min_size=1, max_size=2).map(tuple),
    usage=st.sampled_from([None, Usage(input=3, output=4)]),
    model=st.just("m"),
    id=st.just("i"),
    created=st.just(7),
)


def folded(answer: Answer) -> Answer:
    fold = Folded()
    for event in events_of(answer):
        fold.feed(event)
    return fold.answer()


@given(ANSWERS)
def test_folding_the_events_of_an_answer_gives_the_answer(answer: Answer) -> None:
    assert folded(answer) == answer


@given(ANSWERS)
def test_every_block_is_opened_once_and_closed(answer: Answer) -> None:
    events = events_of(answer)
    assert isinstance(events[0], Start) and isinstance(events[-1], Ended)
    opened = [(e.choice, e.index) for e in events if isinstance(e, Opened)]
    closed = [(e.choice, e.index) for e in events if isinstance(e, Closed)]
    assert opened == closed and len(set(opened)) == len(opened)
    assert len([e for e in events if isinstance(e, Finished)]) == len(answer.choices)


def test_a_call_without_arguments_has_an_empty_object() -> None:
    fold = Folded()
    for event in (Opened(index=0, block=ToolCall(id="c", name="f", arguments="")), Closed(index=0), Ended()):
        fold.feed(event)
    assert fold.answer().choices[0].blocks == (ToolCall(id="c", name="f", arguments="{}"),)


def test_a_later_count_replaces_an_earlier_one_and_a_delta_for_nothing_is_left_out() -> None:
    fold = Folded()
    for event in (
        Start(model="m", usage=Usage(input=1)),
        Delta(index=4, text="lost"),
        UsageSeen(usage=Usage(input=1, output=2)),
        Ended(),
    ):
        fold.feed(event)
    assert fold.answer().usage == Usage(input=1, output=2) and fold.answer().choices[0].blocks == ()


def test_a_failure_is_raised() -> None:
    with pytest.raises(Fault, match="cut"):
        Folded().feed(Failed(fault=Fault(502, "upstream_cut", "cut")))
