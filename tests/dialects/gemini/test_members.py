"""Both spellings, protobuf's leniency, places in errors."""

from __future__ import annotations

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects.gemini.members import Members, snake, too_deep


def test_spellings():
    assert snake("generationConfig") == "generation_config"
    assert snake("topP") == "top_p"
    members = Members({"top_p": 1, "topK": None, "top_k": 3}, ("generationConfig",))
    assert members.get("topP") == 1
    assert members.path("topP") == ("generationConfig", "top_p")
    assert members.get("topK") == 3
    assert members.path("topK") == ("generationConfig", "top_k")
    assert members.path("seed") == ("generationConfig", "seed")
    assert members.others({"topP"}) == {"top_k": 3}


def test_protobuf_numbers():
    members = Members({"a": "12", "b": 3.0, "c": 1.5, "d": "1.5"}, ())
    assert members.integer("a") == 12
    assert members.integer("b") == 3
    assert members.number("d") == 1.5
    assert members.number("none") is None
    with pytest.raises(Fault, match="c: a whole number"):
        members.integer("c")


@pytest.mark.parametrize("value", [True, [], {}, "x", "NaN", "Infinity", float("inf")])
def test_no_number(value):
    with pytest.raises(Fault, match="n: a number"):
        Members({"n": value}, ()).number("n")


def test_lists_and_words():
    members = Members({"one": {"a": 1}, "many": [1, 2], "s": "x", "mode": 2, "word": "any"}, ("p",))
    assert members.each("one") == [({"a": 1}, ("p", "one"))]
    assert members.each("many") == [(1, ("p", "many", 0)), (2, ("p", "many", 1))]
    assert members.texts("s") == ("x",)
    assert members.word("mode", ("", "AUTO", "ANY")) == "ANY"
    assert members.word("word") == "ANY"
    for read in (members.each, members.flag, members.child):
        with pytest.raises(Fault, match=r"p\.s: "):
            read("s")
    with pytest.raises(Fault, match=r"p\.many: "):
        members.texts("many")
    with pytest.raises(Fault, match=r"p\.many: "):
        members.text("many")


def test_depth():
    shallow = [[[]] * 300]
    assert not too_deep(shallow, b"[" * 302)
    deep: list = []
    for _ in range(250):
        deep = [deep]
    assert too_deep(deep, b"[" * 251)
    assert not too_deep(deep, b"[")  # so few brackets cannot nest
