"""The shared walk: order, repetition, skipped subtrees, escapes."""

from __future__ import annotations

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects.foreign import Pairs, hides_letters, id_or_object, id_strings, may_name, walk


def visit(node, under):
    yield from ((under or "top", value) for value in node.strings("id"))


def test_walk_is_top_down_in_order_and_once():
    body = b'{"a":[{"id":"2"},[{"id":"3"}]],"id":"1","b":{"id":"4"},"c":{"id":"4"},"d":[{"id":"2"}],"a":{"id":"2"}}'
    assert walk(body, visit, frozenset()) == [
        ("top", "1"),
        ("a", "2"),
        ("a", "3"),
        ("b", "4"),
        ("c", "4"),
        ("d", "2"),
    ]


def test_repeated_keys_are_all_seen():
    assert walk(b'{"id":"mine","id":"theirs"}', visit, frozenset()) == [("top", "mine"), ("top", "theirs")]


def test_skipped_subtrees_are_not_entered():
    assert walk(b'{"input":{"id":"1"},"x":{"id":"2"}}', visit, frozenset({"input"})) == [("x", "2")]


def test_escapes_force_the_walk():
    body = b'{"\\u0069d":"1"}'
    assert hides_letters(body)
    assert may_name(body, (b'"id"',))
    assert walk(body, visit, frozenset()) == [("top", "1")]
    assert not may_name(b'{"x":"\\u00e9\\u003c\\u2028"}', (b'"id"',))


def test_long_numbers_and_odd_text_are_no_obstacle():
    assert walk(b'{"n":' + b"9" * 9000 + b',"f":1e999,"id":"\\ud800x"}', visit, frozenset()) == [
        ("top", "?x")
    ]


@pytest.mark.parametrize("body", [b"{", b"[" * 200_000])
def test_unreadable(body):
    with pytest.raises(Fault):
        walk(body, visit, frozenset())


def test_small_readers():
    node = Pairs([("a", 1), ("a", "x"), ("b", None)])
    assert list(node.all("a")) == [1, "x"]
    assert list(node.strings("a")) == ["x"]
    assert node.has("b")
    assert not node.has("c")
    assert list(id_strings(["a", 1, ""])) == ["a"]
    assert list(id_strings("a")) == []
    assert list(id_or_object("a")) == ["a"]
    assert list(id_or_object(Pairs([("id", "b"), ("id", "c")]))) == ["b", "c"]
    assert list(id_or_object(5)) == []
