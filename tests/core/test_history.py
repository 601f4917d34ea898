"""Histories in the order that strict vendors demand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import Base64, Media, Text, ToolCall, ToolResult, Turn
from dragoman.core.history import NO_RESULT, answered, call_names, merged, paired, with_ids


def text(words):
    return Text(text=words)


def call(name, arguments="{}"):
    return ToolCall(id=name, name="f", arguments=arguments)


def result(name, words="r"):
    return ToolResult(call_id=name, content=(text(words),) if words else ())


def user(*blocks):
    return Turn(role="user", blocks=blocks)


def assistant(*blocks):
    return Turn(role="assistant", blocks=blocks)


def system(words):
    return Turn(role="system", blocks=(text(words),))


def test_neighbours_become_one():
    turns = [user(text("A")), user(text("B")), assistant(), system("s"), system("t"), user(text("C"))]
    assert merged(turns) == [user(text("A"), text("B")), system("s"), system("t"), user(text("C"))]


def test_results_stand_behind_their_call_and_in_its_order():
    turns = [assistant(call("a")), assistant(call("b")), user(text("note"), result("b"), result("a"))]
    assert paired(turns) == [
        assistant(call("a"), call("b")),
        user(result("a"), result("b"), text("note")),
    ]


def test_what_stands_between_call_and_result_goes_behind_it():
    turns = [assistant(call("a")), user(text("warning")), system("s"), user(result("a"), text("go on"))]
    assert paired(turns) == [
        assistant(call("a")),
        user(result("a"), text("warning")),
        system("s"),
        user(text("go on")),
    ]


def test_results_without_a_call_are_told_as_text():
    picture = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
    lone = ToolResult(call_id="x", content=(text("seen"), picture))
    told = ToolResult(call_id="x", structured={"a": 1})
    assert paired([user(lone), user(result("y", "")), user(told)]) == [
        user(text("Tool result: seen"), picture, text('Tool result: {"a":1}'))
    ]
    assert paired([user(result("y", ""))]) == []


def test_a_second_result_of_one_call_is_not_lost():
    turns = [assistant(call("a")), user(result("a", "one"), result("a", "two"))]
    assert paired(turns) == [
        assistant(call("a")),
        user(result("a", "one"), text("Tool result: two")),
    ]


def test_a_result_before_its_call_is_not_its_result():
    assert paired([user(result("a")), assistant(call("a"))]) == [
        user(text("Tool result: r")),
        assistant(call("a")),
    ]


def no_result(name):
    return ToolResult(call_id=name, name="f", content=(text(NO_RESULT),), is_error=True)


def test_a_call_that_was_interrupted_gets_an_answer():
    turns = [assistant(call("a"), call("b")), user(result("a"), text("V"))]
    once = paired(turns)
    assert once == [assistant(call("a"), call("b")), user(result("a"), no_result("b"), text("V"))]
    assert paired(once) == once
    assert paired([user(text("q")), assistant(call("a"))])[-1] == assistant(call("a"))


def test_ids_that_repeat_in_every_turn():
    turns = [
        assistant(call("0")),
        user(text("never mind")),
        assistant(call("0"), call("0")),
        user(result("0", "one"), result("0", "two")),
    ]
    assert paired(turns) == [turns[0], user(no_result("0"), text("never mind")), *turns[2:]]


blocks = st.one_of(
    st.sampled_from("ab").map(text),
    st.sampled_from("123").map(call),
)
said = st.one_of(
    st.sampled_from("ab").map(text), st.builds(result, st.sampled_from("1234"), st.sampled_from(["r", ""]))
)
turns = st.lists(
    st.one_of(
        st.lists(said, max_size=3).map(lambda found: user(*found)),
        st.lists(blocks, max_size=3).map(lambda found: assistant(*found)),
        st.just(system("s")),
    ),
    max_size=8,
)


@given(turns)
def test_pairing_twice_changes_nothing(history):
    once = paired(history)
    assert paired(once) == once


@given(turns)
def test_pairing_keeps_what_was_said(history):
    """Every call once and in order, every result's words somewhere, results only where they may stand."""
    once = paired(history)
    before = [b for turn in history for b in turn.blocks]
    after = [b for turn in once for b in turn.blocks]
    assert [b for b in after if isinstance(b, ToolCall)] == [b for b in before if isinstance(b, ToolCall)]
    results = [b for b in before if isinstance(b, ToolResult) and b.content]
    kept = [b for b in after if isinstance(b, ToolResult) and b.content and not b.is_error]
    told = [b for b in after if b == text("Tool result: r")]
    assert len(results) == len(kept) + len(told)
    calls = {b.id for turn in once[:-1] for b in turn.blocks if isinstance(b, ToolCall)}
    assert calls == {b.call_id for b in after if isinstance(b, ToolResult)}
    for before_turn, turn in zip([None, *once], once, strict=False):
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                assert before_turn is not None
                assert any(isinstance(b, ToolCall) and b.id == block.call_id for b in before_turn.blocks)


def gemini_call(name):
    return ToolCall(id="", name=name)


def gemini_result(name):
    return ToolResult(call_id="", name=name)


def test_made_ids_pair_by_name_in_order_and_are_the_same_again():
    history = [
        assistant(gemini_call("f"), gemini_call("g"), gemini_call("f")),
        user(gemini_result("f"), gemini_result("g"), gemini_result("f")),
    ]
    calls, results = with_ids(history)
    ids = [block.id for block in calls.blocks]
    assert len(set(ids)) == 3
    assert [block.call_id for block in results.blocks] == ids
    assert with_ids(history) == with_ids(history) == with_ids(with_ids(history))
    longer = with_ids([*history, assistant(gemini_call("f"))])
    assert longer[:2] == [calls, results]


def test_given_ids_are_kept():
    history = [assistant(call("a")), user(result("a"))]
    assert with_ids(history) == history
    mixed = with_ids([assistant(call("a"), gemini_call("f")), user(gemini_result("f"), gemini_result("f"))])
    assert mixed[1].blocks[0].call_id == "a"
    assert mixed[1].blocks[1].call_id == mixed[0].blocks[1].id
    nameless = with_ids(
        [assistant(gemini_call("f"), gemini_call("g")), user(gemini_result(""), gemini_result(""))]
    )
    made, told = (turn.blocks for turn in nameless)
    assert [block.call_id for block in told] == [block.id for block in made]  # type: ignore[union-attr]
    orphan = with_ids([user(gemini_result("z"))])
    assert orphan[0].blocks[0].call_id


def test_call_names():
    assert call_names([assistant(call("a"), text("x")), user(text("y"))]) == {"a": "f"}


def test_open_calls_are_answered_in_place_where_order_is_free():
    turns = [assistant(call("a")), user(text("A")), user(text("B")), assistant(call("b")), user(result("b"))]
    told = answered(turns)
    assert [t.role for t in told] == ["assistant", "user", "user", "user", "assistant", "user"]
    assert told[1].blocks[0].call_id == "a" and told[1].blocks[0].content[0].text == NO_RESULT
    assert told[2:] == turns[1:] and answered(told) == told
    assert answered([user(text("A")), assistant(call("a"))]) == [user(text("A")), assistant(call("a"))]
