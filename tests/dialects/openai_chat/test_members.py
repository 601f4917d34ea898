from __future__ import annotations

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects.openai_chat import members as m


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b"[1]", "object"),
        (b"1", "object"),
        (b'{"a":' + b"[" * 201 + b"]" * 201 + b"}", "too deeply"),
        (b'{"a":' + b"[" * 100_000, "not valid JSON|too deeply"),
    ],
)
def test_what_is_no_object_is_400(body: bytes, words: str) -> None:
    with pytest.raises(Fault, match=words) as caught:
        m.decoded(body)
    assert caught.value.status == 400


def test_depth_up_to_the_limit_and_many_shallow_objects_pass() -> None:
    assert m.decoded(b'{"a":' + b"[" * 199 + b"]" * 199 + b"}")
    assert len(m.decoded(b'{"a":[' + b",".join([b"{}"] * 5000) + b"]}")["a"]) == 5000


READERS = [
    (m.string, "x", 1, "a string, got a number"),
    (m.number, 1.5, "x", "a number, got a string"),
    (m.number, 2, True, "a number, got a boolean"),
    (m.whole, 2, 2.5, "an integer, got a number"),
    (m.whole, 2, True, "an integer, got a boolean"),
    (m.flag, True, 1, "a boolean, got a number"),
    (m.record, {"a": 1}, [], "an object, got an array"),
    (m.array, [1], {}, "an array, got an object"),
    (m.strings, ["a"], [1], "a string, got a number"),
]


@pytest.mark.parametrize(("reader", "good", "bad", "words"), READERS)
def test_each_reader_takes_its_type_and_names_the_member_of_another(reader, good, bad, words: str) -> None:  # type: ignore[no-untyped-def]
    assert reader({"n": good}, "n") == (tuple(good) if reader is m.strings else good)
    assert reader({}, "n") is None
    assert reader({"n": None}, "n") is None
    with pytest.raises(Fault, match=words) as caught:
        reader({"n": bad}, "n", ("tools", 3))
    assert caught.value.status == 400
    assert (caught.value.param or "").startswith("tools[3].n")


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert m.whole({"n": 5.0}, "n") == 5


@pytest.mark.parametrize("value", [None, "", "absent"])
def test_needed_wants_something(value: str | None) -> None:
    source = {} if value == "absent" else {"n": value}
    with pytest.raises(Fault, match="required"):
        m.needed(source, "n")


@pytest.mark.parametrize("value", [0, -1])
def test_positive(value: int) -> None:
    with pytest.raises(Fault, match="at least 1"):
        m.positive({"n": value}, "n")
