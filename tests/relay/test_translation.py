"""The request side of the translate lane: read once, written for each candidate, losses told or refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.core.conversation import Base64, Loss, Media, Url
from dragoman.core.faults import Fault
from dragoman.relay import bodies
from dragoman.relay.translation import Translation, dropped_header
from tests.relay.scripted import call, candidate

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Loader:
    """Loads every URL as the same picture, and counts."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def load(self, media: Media, origin: str) -> Media:
        assert isinstance(media.source, Url)
        self.urls.append(media.source.url)
        return replace(media, source=Base64("AAAA"), media_type="image/png")


def translating(body: dict[str, Any], loader: Loader | None = None, **fields: Any) -> Translation:
    asked = call(fields.pop("operation", "chat"), **fields)
    return Translation(asked, json.dumps(body).encode(), loader or Loader())  # type: ignore[arg-type]


def written(work: Translation, operation: str = "messages", **fields: Any) -> dict[str, Any]:
    at = replace(candidate(**fields), operation=operation)
    return json.loads(asyncio.run(work.write(at)).written.body)


def test_the_upstreams_own_model_name_is_asked_for_and_the_clients_is_told() -> None:
    work = translating(ASKED, model="fast", include_usage=True, request_id="req_abc")
    assert written(work, model_map={"fast": "vendor-m"})["model"] == "vendor-m"
    reply = asyncio.run(work.reply())
    assert (reply.model, reply.response_id, reply.include_usage) == ("fast", "abc", True)


def test_the_body_is_read_once_for_all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    work = translating({**ASKED, "top_p": 0.5})
    first = written(work, "messages")
    assert written(work, "gemini_generate")["generationConfig"]["topP"] == 0.5
    assert written(work, "messages") == first
    assert asyncio.run(work.conversation()) is asyncio.run(work.conversation())


def test_losses_are_told_or_refused() -> None:
    body = {**ASKED, "frequency_penalty": 0.5, "seed": 3}
    at = replace(candidate(), operation="messages")
    losses = asyncio.run(translating(body).write(at)).written.losses
    assert {loss.at for loss in losses} == {("frequency_penalty",), ("seed",)}
    with pytest.raises(Fault) as caught:
        asyncio.run(translating(body, strict=True).write(at))
    assert caught.value.status == 400 and caught.value.param in ("frequency_penalty", "seed")
    assert "1 more" in caught.value.message


def test_what_only_its_own_dialect_serves_says_which_channel_is_missing() -> None:
    body = {"model": "m", "input": "x", "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}
    work = translating(body, operation="responses")
    with pytest.raises(Fault) as caught:
        asyncio.run(work.check())
    assert caught.value.status == 400 and "tools[0]" in caught.value.message
    assert "openai_responses" in caught.value.message


def test_urls_that_the_upstream_cannot_load_are_loaded_once() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [image, image]}]}
    loader = Loader()
    work = translating(body, loader)
    parts = written(work, "gemini_generate")["contents"][0]["parts"]
    assert parts == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}] * 2
    written(work, "gemini_generate")
    assert loader.urls == ["https://x/y.png"]
    assert written(work, "messages")["messages"][0]["content"][0]["source"] == {
        "type": "url",
        "url": "https://x/y.png",
    }
    assert loader.urls == ["https://x/y.png"]  # this upstream loads it itself


def test_a_large_body_is_translated_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "THREAD_BYTES", 10)
    assert written(translating(ASKED))["messages"][0]["role"] == "user"


def test_a_forgotten_request_holds_nothing() -> None:
    work = translating(ASKED)
    asyncio.run(work.conversation())
    work.forget()
    assert work._conversation is None and work._body == b""


@pytest.mark.parametrize(
    ("at", "origin", "told"),
    [
        (("tools", 0, "cache_control"), "anthropic", b"tools.0.cache_control"),
        (("messages", 2, "name"), "openai_chat", b"messages[2].name"),
        (("sch\u00f6n\r\nx: y",), "openai_chat", b"sch?n??x: y"),
    ],
)
def test_the_header_names_the_clients_own_paths(at: tuple[str | int, ...], origin: str, told: bytes) -> None:
    assert dropped_header([Loss(at, "no"), Loss(at, "no")], origin) == told


def test_a_long_list_of_losses_is_cut_with_its_number() -> None:
    header = dropped_header([Loss(("messages", n, "name"), "no") for n in range(1000)], "openai_chat")
    assert header.endswith(b", and 960 more") and len(header) < 2100
