import pytest

from dragoman.simulator.directives import NONE
from dragoman.simulator.reply import Ask, Reply
from dragoman.simulator.wire import STORED_LIMIT, Call, Fault, State, StoredResponse, chars, need


def call(state: State | None = None) -> Call:
    return Call(
        operation="chat", model="", resource="", query={}, headers={}, body={}, wish=NONE,
        credential="sk-a", serial=7, state=state or State(),
    )  # fmt: skip


def test_ids_count_and_can_be_fixed() -> None:
    asked = call()
    assert (asked.new_id("call_", 2), asked.new_id("resp_")) == ("call_sim00000007_2", "resp_sim00000007")
    asked.obey("[[sim id=abc]]")
    assert asked.new_id("resp_") == "resp_abc"


def test_prompt_directives_are_obeyed_and_removed() -> None:
    assert call().obey("[[sim frames=2]] hi") == "hi"
    with pytest.raises(Fault) as caught:
        call().obey("[[sim status=429;retry_after=3;code=slow;message=too_fast]]")
    assert (caught.value.status, caught.value.retry_after, caught.value.code) == (429, 3, "slow")
    assert caught.value.message == "too fast"


def test_the_header_wins_over_the_prompt() -> None:
    asked = call()
    asked.wish = asked.state.directives("frames=1", "sk-a")
    asked.obey("[[sim status=500]]")
    assert asked.wish.frames == 1


def test_times_and_only_key() -> None:
    state = State()
    obeyed = [state.directives("status=500;times=2", "k").status for _ in range(3)]
    assert obeyed == [500, 500, -1]
    assert state.directives("status=500;only_key=a", "a").status == 500
    assert state.directives("status=500;only_key=a", "b") is NONE
    state.clear()
    assert state.directives("status=500;times=2", "k").status == 500


def test_bad_directives_and_missing_models_are_faults() -> None:
    with pytest.raises(Fault) as caught:
        call().obey("[[sim what=1]]")
    assert (caught.value.status, caught.value.code) == (400, "bad_directive")
    with pytest.raises(Fault) as caught:
        call().reply(Ask(model="missing-1"))
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_stored_responses_are_bounded() -> None:
    state = State()
    stored = StoredResponse(body={}, reply=Reply(), input_items=[], context_chars=0, status="completed")
    for number in range(STORED_LIMIT + 1):
        state.store(str(number), stored)
    assert (len(state.responses), "0" in state.responses) == (STORED_LIMIT, False)


def test_need_and_chars() -> None:
    assert need({"a": "x"}, "a", str, "a string") == "x"
    for body in ({}, {"a": None}, {"a": 1}):
        with pytest.raises(Fault):
            need(body, "a", str, "a string")
    assert (chars(None), chars("héé"), chars({"a": "é"})) == (0, 3, 9)
