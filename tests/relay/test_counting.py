"""Counts: at the vendor where it has one, within bounds; else ours; never held, never logged."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects import DIALECTS
from dragoman.providers.base import Provider
from dragoman.relay.counting import count
from dragoman.relay.lanes import Meter
from dragoman.routing.plan import Attempt
from tests.relay.scripted import PATHS, Scripted, ScriptedClient, Wire, call, gateway, limits
from tests.routing.builders import PROVIDER as CHAT_ONLY
from tests.routing.builders import channel, snapshot

COUNTER = Provider(id="acme", label="Acme", base_url="https://acme.example", paths=PATHS)
BODY = b'{"model":"m","messages":[{"role":"user","content":"how many tokens is this?"}]}'


class Counted:
    """One count: the client's wire, what was sent, the attempts."""

    def __init__(
        self,
        *script: Scripted | BaseException,
        operation: str = "count_tokens",
        body: bytes = BODY,
        provider: Provider = COUNTER,
        slots: int = 4,
        vendor_s: float = 30.0,
        client: Any = None,
        model: str = "m",
    ) -> None:
        self.wire, self.client = Wire(), client or ScriptedClient(*script)
        bounds = limits(counts_at_once=slots, count_vendor_s=vendor_s)
        self.gateway = gateway(self.client, snapshot=snapshot(channel(1, provider=provider)), limits=bounds)
        asked = call(operation, model=model)
        meter = Meter(DIALECTS[asked.dialect].tap(), 0.0)
        self.attempts: tuple[Attempt, ...] = asyncio.run(
            count(self.gateway, asked, body, meter, self.wire.send)
        )


def test_the_vendors_own_count_is_relayed() -> None:
    done = Counted(Scripted(200, [b'{"input_tokens": 7, "more": true}']))
    assert done.wire.body == b'{"input_tokens": 7, "more": true}'
    assert done.client.sent[0].target == b"/v1/messages/count_tokens"
    assert [a.status for a in done.attempts] == [200]


@pytest.mark.parametrize(
    "script", [Scripted(500), Scripted(404, [b"{}"]), Scripted(200, [b"<html>"]), Scripted(401)]
)
def test_whatever_fails_at_the_vendor_is_counted_here(script: Scripted) -> None:
    done = Counted(script)
    assert done.wire.status == 200 and 4 <= done.wire.json()["input_tokens"] <= 20
    assert len(done.client.sent) == 1


def test_the_vendors_verdict_on_the_request_is_told() -> None:
    verdict = b'{"type":"error","error":{"type":"invalid_request_error","message":"messages: too few"}}'
    done = Counted(Scripted(400, [verdict]))
    assert (done.wire.status, done.wire.body) == (400, verdict)


def test_a_slow_vendor_is_not_waited_for() -> None:
    class Slow(ScriptedClient):
        async def send(self, *_: Any, **__: Any) -> Any:
            await asyncio.Event().wait()

    done = Counted(client=Slow(), vendor_s=0.01)
    assert done.wire.status == 200 and done.wire.json()["input_tokens"] > 0


def test_without_a_slot_or_a_vendor_that_counts_it_is_counted_here() -> None:
    assert Counted(slots=0).client.sent == []
    assert Counted(provider=CHAT_ONLY).wire.json()["input_tokens"] > 0


def test_a_slot_is_given_back() -> None:
    done = Counted(Scripted(500))
    assert [done.gateway.count_slots.take(1) for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("operation", "body", "field"),
    [
        ("count_tokens", BODY, "input_tokens"),
        ("gemini_count", b'{"contents":[{"parts":[{"text":"hello there"}]}]}', "totalTokens"),
        (
            "gemini_count",
            b'{"generateContentRequest":{"model":"models/m","contents":[{"parts":[{"text":"hello there"}]}]}}',
            "totalTokens",
        ),
        ("responses_input_tokens", b'{"model":"m","input":"hello there"}', "input_tokens"),
    ],
)
def test_each_dialect_in_its_own_shape(operation: str, body: bytes, field: str) -> None:
    told = Counted(operation=operation, body=body, provider=CHAT_ONLY).wire.json()
    assert told[field] > 0 and "warning" not in told
    assert told.get("object", "response.input_tokens") == "response.input_tokens"


def test_an_image_is_not_counted_and_said_so() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": [image, {"type": "text", "text": "what?"}]}],
    }
    told = Counted(body=json.dumps(body).encode(), provider=CHAT_ONLY).wire.json()
    assert told["input_tokens"] > 0 and "not counted" in told["warning"]


def test_a_body_that_cannot_be_read_is_a_400_and_an_unknown_model_a_404() -> None:
    with pytest.raises(Fault) as caught:
        Counted(body=b'{"model":"m","messages":7}', provider=CHAT_ONLY)
    assert caught.value.status == 400
    with pytest.raises(Fault) as caught:
        Counted(model="nobody-knows")
    assert caught.value.status == 404
