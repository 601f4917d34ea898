from __future__ import annotations

import asyncio
import json

import pytest

from dragoman.core.usage import Usage
from dragoman.dialects.base import Tap
from dragoman.providers.base import Provider
from dragoman.relay import background
from dragoman.upstream.client import UpstreamError
from tests.relay.scripted import Scripted, ScriptedClient, call, candidate, gateway, limits

STORED = Provider(
    id="acme",
    label="Acme",
    base_url="https://acme.example",
    paths={"responses": "/v1/responses", "responses_get": "/v1/responses/{id}"},
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_WAIT_S", 0.0)


def answer(status: str, usage: dict[str, int] | None = None) -> Scripted:
    return Scripted(
        200,
        [
            json.dumps(
                {"id": "resp_1", "object": "response", "status": status, "output": [], "usage": usage}
            ).encode()
        ],
    )


def follow(*script: Scripted | BaseException, **fields: float) -> tuple[Tap | None, ScriptedClient]:
    client = ScriptedClient(*script)
    work = background.finished(
        gateway(client, limits=limits(attempts=1, **fields)),
        call("responses", background=True),
        candidate(provider=STORED),
        "resp_1",
    )
    return asyncio.run(work), client


USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def test_it_asks_until_the_response_is_finished_and_reads_the_usage() -> None:
    tap, client = follow(answer("queued"), answer("in_progress"), answer("completed", USAGE))
    assert tap is not None and tap.usage == Usage(input=10, output=5) and tap.complete
    assert [(s.method, s.target) for s in client.sent] == [(b"GET", b"/v1/responses/resp_1")] * 3


@pytest.mark.parametrize("status", ["failed", "cancelled", "incomplete"])
def test_every_final_status_ends_it(status: str) -> None:
    tap, _ = follow(answer(status, USAGE))
    assert tap is not None and not tap.pending and tap.usage is not None


def test_trouble_on_the_way_is_tried_again() -> None:
    broken = Scripted(200, [b'{"id":', UpstreamError("closed", "gone", sent=True)])
    tap, client = follow(
        UpstreamError("refused", "no", sent=False), Scripted(500, [b"{}"]), broken, answer("completed", USAGE)
    )
    assert tap is not None and len(client.sent) == 4 and broken.closed


def test_a_deleted_response_ends_it_without_a_bill() -> None:
    tap, _ = follow(answer("queued"), Scripted(404, [b'{"error":{"message":"not found"}}']))
    assert tap is None


def test_it_gives_up_when_the_time_is_over() -> None:
    tap, client = follow(background_s=0.0)
    assert tap is None and not client.sent
