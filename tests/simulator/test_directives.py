import pytest

from dragoman.simulator.directives import NONE, BadDirective, in_text, parse


def test_nothing_asked_is_the_default() -> None:
    assert parse("") == NONE
    assert parse(" ; ") == NONE


@pytest.mark.parametrize(
    "text", ["status=429;retry_after=2", "status=429, retry_after=2", " status=429 retry_after=2;"]
)
def test_separators(text: str) -> None:
    found = parse(text)
    assert (found.status, found.retry_after) == (429, 2)


def test_text_values() -> None:
    found = parse("message=out_of_order;code=broken;id=x1;only_key=sk-a;malformed=http")
    assert (found.message, found.code, found.id) == ("out of order", "broken", "x1")
    assert (found.only_key, found.malformed) == ("sk-a", "http")


@pytest.mark.parametrize("text", ["stauts=429", "status", "status=x", "status=-1"])
def test_mistakes_are_errors(text: str) -> None:
    with pytest.raises(BadDirective):
        parse(text)


def test_directives_in_a_prompt() -> None:
    assert in_text("[[sim status=500;times=1]] hello") == ("hello", "status=500;times=1")
    assert in_text("a [[sim cut=1]] b [[sim frames=3]]") == ("a b", "cut=1;frames=3")
    assert in_text("[[similar]] text") == ("[[similar]] text", "")
