"""Members of a body with the types they must have."""

from __future__ import annotations

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects.anthropic.members import DEPTH_LIMIT, Members, shallow

BODY = Members({"s": "x", "i": 1, "f": 1.5, "b": True, "o": {"a": 1}, "l": ["a", "b"], "n": None}, ("at", 0))


def test_the_right_types():
    assert (BODY.text("s"), BODY.text("n"), BODY.text("absent")) == ("x", "", "")
    assert (BODY.whole("i"), BODY.whole("n")) == (1, None)
    assert (BODY.number("i"), BODY.number("f")) == (1, 1.5)
    assert (BODY.flag("b"), BODY.flag("n")) == (True, None)
    assert BODY.under("o").at == ("at", 0, "o") and BODY.under("n") is None
    assert BODY.each("l") == [("a", ("at", 0, "l", 0)), ("b", ("at", 0, "l", 1))]
    assert (BODY.strings("l"), BODY.strings("n")) == (("a", "b"), ())
    assert BODY.word("s", ("x", "y")) == "x"


@pytest.mark.parametrize(
    "read",
    [
        lambda: BODY.text("i"),
        lambda: BODY.needed_text("n"),
        lambda: BODY.whole("f"),
        lambda: BODY.whole("b"),
        lambda: BODY.number("b"),
        lambda: BODY.number("s"),
        lambda: BODY.flag("i"),
        lambda: BODY.under("l"),
        lambda: BODY.each("o"),
        lambda: Members({"l": ["a", 1]}, ()).strings("l"),
        lambda: BODY.word("s", ("y",)),
        lambda: Members([], ("messages", 0)),
    ],
)
def test_the_wrong_types_are_400_with_their_path(read):
    with pytest.raises(Fault) as caught:
        read()
    assert caught.value.status == 400
    assert caught.value.message.startswith(caught.value.param + ": ")


def test_a_body_that_is_no_object():
    with pytest.raises(Fault, match="The request body must be a JSON object"):
        Members("x", ())


def nested(depth):
    value = "leaf"
    for _ in range(depth):
        value = [value]
    return value


def test_depth():
    value = nested(DEPTH_LIMIT - 1)
    assert shallow(value, ("x",)) is value
    with pytest.raises(Fault, match=r"x: is nested too deeply"):
        shallow(nested(DEPTH_LIMIT + 1), ("x",))
