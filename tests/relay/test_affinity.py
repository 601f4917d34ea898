"""What makes requests parts of one conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.relay.affinity import SESSION_HEADERS, fingerprint
from tests.relay.scripted import call
from tests.routing.builders import key

SYSTEM = {"role": "system", "content": "S"}


def mark(
    operation: str = "chat", headers: Any = (), model: str = "m", user_id: int = 7, **body: Any
) -> bytes | None:
    asked = call(operation, headers=list(headers), model=model, key=key(user_id=user_id))
    return fingerprint(asked, json.dumps(body).encode())


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def test_later_turns_of_a_conversation_have_its_mark_and_another_conversation_has_another() -> None:
    first = mark(messages=[SYSTEM, *said("a")], temperature=1)
    assert first is not None and len(first) == 32
    assert mark(messages=[SYSTEM, *said("a", "b", "c")]) == first
    assert mark(messages=[SYSTEM, *said("x", "b", "c")]) != first
    assert mark(messages=said("a")) != first
    assert mark(messages=[SYSTEM, *said("a")], model="other") != first
    assert mark(messages=[SYSTEM, *said("a")], user_id=8) == first  # an account's cache does not ask who


@pytest.mark.parametrize(
    ("operation", "one", "more", "other"),
    [
        ("messages", {"system": "S", "messages": said("a")}, {"system": "S", "messages": said("a", "b")}, {"system": "T", "messages": said("a")}),
        ("responses", {"input": "a", "instructions": "S"}, {"input": "a", "instructions": "S", "store": False}, {"input": "b", "instructions": "S"}),
        ("responses", {"input": said("a")}, {"input": [*said("a"), {"type": "reasoning"}]}, {"input": said("b")}),
        ("gemini_generate", {"contents": [{"parts": [{"text": "a"}]}]}, {"contents": [{"parts": [{"text": "a"}]}, {"role": "model"}]}, {"contents": [{"parts": [{"text": "b"}]}]}),
        ("completions", {"prompt": "a"}, {"prompt": "a", "stream": True}, {"prompt": "b"}),
    ],
)  # fmt: skip
def test_every_dialect(operation: str, one: Any, more: Any, other: Any) -> None:
    assert mark(operation, **one) == mark(operation, **more) != mark(operation, **other)


def test_an_explicit_key_or_session_counts_alone_and_for_its_user_only() -> None:
    keyed = mark(messages=said("a"), prompt_cache_key="k")
    assert (
        mark(messages=said("b"), prompt_cache_key="k")
        == keyed
        != mark(messages=said("b"), prompt_cache_key="l")
    )
    assert mark(messages=said("b"), prompt_cache_key="k", user_id=8) != keyed
    for name in SESSION_HEADERS:
        session = mark(messages=said("a"), headers=[(name, b"s")])
        assert mark(messages=said("b"), headers=[(name, b"s")]) == session


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages":7}', b'{"messages":[7]}'])
def test_what_cannot_be_read_has_no_mark(body: bytes) -> None:
    assert fingerprint(call(), body) is None
