"""The rules of comparison can tell right from wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.equality import ABSENT, ANY, Like, OneOf, Where, is_same, same

SAME: list[tuple[Any, Any]] = [
    ({"a": 1, "b": None}, {"a": 1}),
    ({"a": 1}, {"a": 1, "b": None}),
    ({"content": "x"}, {"content": [{"type": "text", "text": "x"}]}),
    ({"content": [{"type": "text", "text": "x"}]}, {"content": "x"}),
    ({"arguments": '{"a": 1}'}, {"arguments": '{"a":1}'}),
    ({"a": 1, "b": 2}, {"a": 1, ...: 0}),
    ({"a": 1}, {"a": ANY, "b": ABSENT}),
    ([{"id": "c1"}, {"ref": "c1"}], [{"id": Like("c.", "id")}, {"ref": Like("c.", "id")}]),
    ({"a": 2}, {"a": OneOf(1, 2)}),
    ({"a": 2}, {"a": Where("even", lambda n: n % 2 == 0)}),
]
OTHER: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": 2}),
    ({"a": 1, "b": 2}, {"a": 1}),
    ({"a": True}, {"a": 1}),
    ({"a": 1}, {"a": True}),
    ({}, {"a": ANY}),
    ({"a": 0}, {"a": ABSENT}),
    ({"content": "x"}, {"content": "y"}),
    ({"content": []}, {"content": "x"}),
    ({"arguments": '{"a": 1}'}, {"arguments": '{"a":"1"}'}),
    ([1, 2], [2, 1]),
    ([1], [1, 1]),
    ([{"id": "c1"}, {"ref": "c2"}], [{"id": Like("c.", "id")}, {"ref": Like("c.", "id")}]),
    ({"a": "cd"}, {"a": Like("c")}),
    ({"a": 3}, {"a": OneOf(1, 2)}),
    ({"a": 3}, {"a": Where("even", lambda n: n % 2 == 0)}),
    ("x", {"a": 1}),
    ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}),
]


@pytest.mark.parametrize(("got", "want"), SAME)
def test_what_is_the_same(got: Any, want: Any) -> None:
    same(got, want)


@pytest.mark.parametrize(("got", "want"), OTHER)
def test_what_is_not_the_same(got: Any, want: Any) -> None:
    assert not is_same(got, want)
    with pytest.raises(AssertionError, match=r"\$"):
        same(got, want)
