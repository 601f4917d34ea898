"""The response object and the forms of its items."""

from __future__ import annotations

import pytest

from dragoman.core.conversation import Conversation, Finish, Media, Reasoning, Signature, Thinking, Url
from dragoman.core.signatures import unseal
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.openai_responses.response_object import (
    Shell,
    call_seal,
    encrypted,
    image_item,
    reasoning_id,
    reasoning_item,
    status_of,
    usage_object,
)

OWN = Signature(origin="openai_responses", value="gAAA", id="rs_v")


def shell(**fields: object) -> Shell:
    asked = Conversation(origin="openai_responses", turns=(), **fields)  # type: ignore[arg-type]
    return Shell.of(Reply(model="m", response_id="r", created=1, conversation=asked))


def test_usage_is_always_complete() -> None:  # E167
    assert usage_object(Usage()) == {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }
    full = Usage(input=3, cached_input=5, cache_write_5m=7, cache_write_1h=11, output=13, reasoning=2)
    assert usage_object(full) == {
        "input_tokens": 26,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 18},
        "output_tokens": 13,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 39,
    }


def test_states() -> None:
    assert (shell().running()["status"], shell().running()["usage"]) == ("in_progress", None)
    finished = shell().finished([], "stop", None)
    assert (finished["status"], finished["usage"]) == ("completed", usage_object(Usage()))
    assert finished["incomplete_details"] is None
    cut = shell().finished([], "length", None)
    assert (cut["status"], cut["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    failed = shell().failed([], "", "boom", None)
    assert (failed["status"], failed["error"]) == ("failed", {"code": "server_error", "message": "boom"})
    assert failed["usage"] is None


def test_defaults_of_the_api() -> None:
    response = shell().running()
    expected = {
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "background": False,
        "service_tier": "default",
        "user": None,
        "safety_identifier": None,
    }
    assert {name: response[name] for name in expected} == expected


def test_echo_of_special_members() -> None:
    assert shell(reasoning=Reasoning(mode="off")).running()["reasoning"]["effort"] == "none"
    by_user = shell(user="u", fields={"user": ("user",)}).running()
    assert (by_user["user"], by_user["safety_identifier"]) == ("u", None)
    named = shell(user="u").running()
    assert (named["user"], named["safety_identifier"]) == (None, "u")
    # The lane resolves the earlier response into turns; the client still sees what it said.
    resolved = shell(extras={"$echo": {"previous_response_id": "resp_0"}}).running()
    assert resolved["previous_response_id"] == "resp_0"


@pytest.mark.parametrize("finish", ["length", "context_length", "content_filter", "refusal"])
def test_incomplete(finish: Finish) -> None:
    assert status_of(finish) == "incomplete"


def test_content_of_reasoning_and_its_id_belong_together() -> None:
    assert reasoning_id(Thinking(signature=OWN), "rs_made") == "rs_v"
    assert (
        reasoning_id(Thinking(signature=Signature(origin="anthropic", value="x", id="y")), "rs_made")
        == "rs_made"
    )
    assert reasoning_id(Thinking(text="t"), "rs_made") == "rs_made"
    assert encrypted(OWN, "rs_v") == "gAAA"
    assert encrypted(Signature(origin="openai_responses", value="gAAA"), "rs_made") == "gAAA"
    sealed = unseal(encrypted(OWN, "rs_made"), "openai_responses")
    assert sealed is not None
    assert sealed.signature == OWN


def test_reasoning_items() -> None:
    assert reasoning_item("rs_1", "", None, redacted=False) == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "encrypted_content": None,
    }
    google = Signature(origin="gemini", value="R0dH")
    sealed = unseal(call_seal(google, "rs_1", call_id="c1")["encrypted_content"], "openai_responses")
    assert sealed is not None
    assert (sealed.call, sealed.signature.id, sealed.signature.value) == (True, "c1", "R0dH")


def test_image_item_names_its_format() -> None:
    media = Media(kind="image", source=Url("x"), media_type="image/webp")
    assert image_item("ig_1", media, "AAAA")["output_format"] == "webp"
