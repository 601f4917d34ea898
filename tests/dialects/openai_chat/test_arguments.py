from __future__ import annotations

import pytest

from dragoman.dialects.openai_chat.arguments import Arguments

WHOLE = [
    "{}",
    '{"a":1}',
    '{"a":"}"}',
    r'{"a":"\"}"}',
    r'{"a":"\\"}',
    '{"a":{"b":[1,{"c":"]"}]}}',
    ' {"é":"\\u007d"}',
]


@pytest.mark.parametrize("text", WHOLE)
def test_complete_with_the_last_brace_wherever_the_text_is_cut(text: str) -> None:
    for cut in range(len(text) + 1):
        arguments = Arguments()
        arguments.feed(text[:cut])
        assert arguments.complete is (cut == len(text))
        arguments.feed(text[cut:])
        assert arguments.complete


@pytest.mark.parametrize("text", WHOLE)
def test_character_by_character(text: str) -> None:
    arguments = Arguments()
    for character in text:
        assert not arguments.complete
        arguments.feed(character)
    assert arguments.complete


def test_white_space_is_no_start() -> None:
    arguments = Arguments()
    arguments.feed(" \n")
    assert not arguments.started
    arguments.feed("{")
    assert arguments.started
