"""Typed access to a request's members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects.openai_responses import checked

AT = ("input", 0, "x")


@pytest.mark.parametrize(
    ("read", "good", "absent", "bad"),
    [
        (checked.string, "a", "", 1),
        (checked.flag, True, None, 1),
        (checked.whole, 3, None, "3"),
        (checked.whole, 0, None, -1),
        (checked.whole, 0, None, 1.5),
        (checked.whole, 0, None, True),
        (checked.number, 0.5, None, "1"),
        (checked.number, 1.0, None, True),
        (checked.mapped, {"a": 1}, {}, []),
        (checked.listed, [1], [], {}),
    ],
)
def test_good_absent_and_bad(read: Callable[..., Any], good: object, absent: object, bad: object) -> None:
    assert read(good, AT) == good
    assert read(None, AT) == absent
    with pytest.raises(Fault) as raised:
        read(bad, AT)
    assert (raised.value.status, raised.value.param) == (400, "input[0].x")
    assert raised.value.message.startswith("input[0].x: ")


def test_whole_numbers_may_be_written_as_floats() -> None:
    assert checked.whole(3.0, AT) == 3


@pytest.mark.parametrize("bad", [None, "", 1])
def test_needed(bad: object) -> None:
    assert checked.needed("a", AT) == "a"
    with pytest.raises(Fault):
        checked.needed(bad, AT)


def test_word_names_what_is_allowed() -> None:
    assert checked.word("a", AT, ("a", "b")) == "a"
    assert checked.word(None, AT, ("a", "b")) == ""
    with pytest.raises(Fault, match="'c' is not one of a, b"):
        checked.word("c", AT, ("a", "b"))


def test_entries_name_the_one_that_is_no_object() -> None:
    assert checked.entries([{}], AT) == [((*AT, 0), {})]
    with pytest.raises(Fault) as raised:
        checked.entries([{}, 1], AT)
    assert raised.value.param == "input[0].x[1]"


def test_depth() -> None:
    value: object = 1
    for _ in range(checked.MOST_DEPTH):
        value = [value]
    checked.not_too_deep(value)
    with pytest.raises(Fault, match="too deeply"):
        checked.not_too_deep({"a": value})
