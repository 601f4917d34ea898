"""Names, ids and arguments on their way to a vendor and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dragoman.core.conversation import (
    Answer,
    Choice,
    Closed,
    Delta,
    Ended,
    Finished,
    Function,
    Opened,
    Text,
    ToolCall,
    WebSearch,
)
from dragoman.core.tools import Restored, WireNames, is_object, unwrapped, wire_id, wrapped

CLEAN = re.compile(r"[a-zA-Z0-9_-]+")


@given(st.text(max_size=120), st.sampled_from([40, 64]))
def test_wire_ids_fit_and_are_stable(call_id, limit):
    made = wire_id(call_id, limit)
    assert CLEAN.fullmatch(made) and len(made) <= limit
    assert made == wire_id(call_id, limit)
    assert wire_id(made, limit) == made


@given(st.lists(st.text(max_size=60), unique=True, max_size=30))
def test_different_ids_stay_different(ids):
    assert len({wire_id(one, 40) for one in ids}) == len(ids)


def test_good_ids_are_kept():
    assert wire_id("call_1-A") == "call_1-A"
    assert wire_id("functions.f:0") != wire_id("functions_f_0") == "functions_f_0"
    assert wire_id("a" * 41, 40) != wire_id("a" * 42, 40)


@given(st.text())
def test_wrapping_free_text(text):
    assert is_object(wrapped(text)) and unwrapped(wrapped(text)) == text


@pytest.mark.parametrize("arguments", ["", "{", "[1]", '{"other":1}', '{"input":1}', "[" * 100_000])
def test_what_is_not_wrapped_stays(arguments):
    assert unwrapped(arguments) == arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [("{}", True), (' {"a":1}', True), ("[]", False), ("null", False), ('{"a":', False), ("", False)],
)
def test_is_object(text, expected):
    assert is_object(text) is expected


TOOLS = (
    Function(name="plain"),
    Function(name="dotted.name"),
    Function(name="inner", namespace="space"),
    Function(name="patch", custom=True),
    WebSearch(),
)


def test_wire_names():
    names = WireNames(TOOLS)
    assert names.wire("plain") == "plain"
    assert names.wire("inner", "space") == "space__inner"
    assert set(names.back) == {names.wire("dotted.name"), "space__inner", "patch"}
    native = WireNames(TOOLS, custom=True, namespaces=True)
    assert set(native.back) == {native.wire("dotted.name")}


def test_answers_get_the_clients_names_back():
    names = WireNames(TOOLS)
    blocks = (
        Text(text="t"),
        ToolCall(id="1", name=names.wire("dotted.name"), arguments='{"a":1}'),
        ToolCall(id="2", name="space__inner"),
        ToolCall(id="3", name="patch", arguments=wrapped("*** Begin")),
        ToolCall(id="4", name="unknown"),
    )
    restored = Restored(names.back).answer(Answer(choices=(Choice(blocks=blocks),)))
    assert restored.choices[0].blocks == (
        Text(text="t"),
        ToolCall(id="1", name="dotted.name", arguments='{"a":1}'),
        ToolCall(id="2", name="inner", namespace="space"),
        ToolCall(id="3", name="patch", arguments="*** Begin", custom=True),
        ToolCall(id="4", name="unknown"),
    )
    answer = Answer(choices=())
    assert Restored({}).answer(answer) is answer


def test_streamed_free_text_comes_in_one_piece():
    back = Restored(WireNames(TOOLS).back)
    opened = Opened(index=1, block=ToolCall(id="1", name="patch", arguments=""))
    assert back.event(opened) == [
        Opened(index=1, block=ToolCall(id="1", name="patch", arguments="", custom=True))
    ]
    text = wrapped('say "hi"')
    assert [back.event(Delta(index=1, text=piece)) for piece in (text[:7], text[7:])] == [[], []]
    assert back.event(Delta(index=0, text="other")) == [Delta(index=0, text="other")]
    assert back.event(Closed(index=1)) == [Delta(index=1, text='say "hi"'), Closed(index=1)]
    assert back.event(Closed(index=1)) == [Closed(index=1)]
    assert back.event(Ended()) == [Ended()]


def test_a_free_text_call_without_arguments_has_no_delta():
    back = Restored(WireNames(TOOLS).back)
    back.event(Opened(index=0, block=ToolCall(id="1", name="patch", arguments="")))
    assert back.event(Closed(index=0)) == [Closed(index=0)]


# --- a tool whose arguments are the answer ----------------------------------------------------------------


def test_the_answer_tools_arguments_become_the_text_of_a_plain_stop():
    said = Answer(
        choices=(Choice(blocks=(ToolCall(id="c", name="R", arguments='{"a":1}'),), finish="tool_calls"),)
    )
    told = Restored({}, "R").answer(said).choices[0]
    assert told.blocks == (Text(text='{"a":1}'),) and told.finish == "stop"


def test_the_answer_tool_streams_its_arguments_as_text():
    restored = Restored({}, "R")
    events = [
        Opened(index=0, block=ToolCall(id="c", name="R", arguments="")),
        Delta(index=0, text='{"a":'),
        Delta(index=0, text="1}"),
        Closed(index=0),
        Finished(finish="tool_calls"),
    ]
    told = [one for event in events for one in restored.event(event)]
    assert told == [replace(events[0], block=Text(text="")), *events[1:4], Finished(finish="stop")]


def test_an_answer_tool_without_arguments_says_an_empty_object_and_other_calls_stay_calls():
    restored = Restored({}, "R")
    opened = Opened(index=0, block=ToolCall(id="c", name="R", arguments=""))
    other = Opened(index=1, block=ToolCall(id="d", name="f", arguments=""))
    told = [one for event in (opened, Closed(index=0), other) for one in restored.event(event)]
    assert told[1:] == [Delta(index=0, text="{}"), Closed(index=0), other]
    assert restored.event(Finished(finish="tool_calls")) == [Finished(finish="tool_calls")]
