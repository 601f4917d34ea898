"""Whole calls of the translate lane with every port a fake: cancelled anywhere, kept or not."""

from __future__ import annotations

import asyncio
import json
from time import perf_counter
from typing import Any

import pytest

from dragoman.ledger.writer import LedgerUnavailable
from dragoman.relay import flow
from dragoman.relay.state import Continued
from tests.relay.scripted import ACME, NoState, Scripted, call
from tests.relay.test_flow import SSE, World, json_answer, servers, stream
from tests.routing.builders import channel
from tests.world import answers

ANTHROPIC = servers(channel(1, provider=ACME, operations=frozenset({"messages"})))
TURN = b'{"model":"m","input":"hi","stream":true}'


class Slow(Scripted):
    """Every chunk takes a turn of the loop."""

    async def chunk(self) -> bytes | None:
        await asyncio.sleep(0)
        return await super().chunk()


class Keeps(NoState):
    """Keeps what it is told to, slowly; or fails to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.kept: list[bytes] = []
        self.failure = failure

    async def continued(self, body: bytes, user_id: int) -> Continued:
        await asyncio.sleep(0)
        return Continued(None, [], True, body)

    async def keep(self, continued: Continued, user_id: int, told: bytes) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.kept.append(told)


@pytest.mark.parametrize("turns", range(1, 40))
@pytest.mark.parametrize("streaming", [True, False])
def test_a_translated_call_cancelled_at_any_turn_of_the_loop(turns: int, streaming: bool) -> None:
    whole = [json.dumps(answers.MESSAGE).encode()]
    answer = (
        Slow(200, answers.MESSAGE_FRAMES, SSE)
        if streaming
        else Slow(200, whole, [(b"content-type", b"application/json")])
    )
    world = World(answer, snapshot=ANTHROPIC, state=Keeps())

    async def scenario() -> None:
        async def send(message: Any) -> None:
            await asyncio.sleep(0)
            await world.wire.send(message)

        asked = call("responses", stream=streaming)
        body = world.body(TURN if streaming else TURN.replace(b"true", b"false"))
        task = asyncio.create_task(flow.serve(world.gateway, asked, body, send, perf_counter()))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    book = world.book
    assert len(book.posts) + len(book.voids) == len(book.holds) and len(book.records) == 1
    assert world.all_closed() and world.budget.used_bytes == 0 and not world.gateway.later
    assert world.gateway.metrics.open_streams._value.get() == 0
    if turns == 39:
        assert world.wire.whole() and len(book.posts) == 1 and not book.posts[0].record.estimated


@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_that_cannot_be_kept_is_told_all_the_same(streaming: bool) -> None:
    answer = stream(*answers.MESSAGE_FRAMES) if streaming else json_answer(answers.MESSAGE)
    world = World(answer, snapshot=ANTHROPIC, state=Keeps(LedgerUnavailable("away")))
    world.run(call("responses", stream=streaming), TURN)
    assert world.wire.status == 200 and b'"completed"' in world.wire.body and world.wire.whole()
    assert [name for name, _ in world.journal.notes] == ["response_not_kept"]
    assert len(world.book.posts) == 1 and not world.book.posts[0].record.estimated
