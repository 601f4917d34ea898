"""One call from plan to settlement, with every port a fake: who is told what, and what the ledger is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.core.money import Price
from dragoman.dialects import DIALECTS
from dragoman.ledger.core import MAX_AMOUNT, CallRecord, Held, Hold, Post, Refused, Void
from dragoman.ledger.writer import LedgerUnavailable
from dragoman.providers.models import ALIASES
from dragoman.relay import flow
from dragoman.relay.bodies import Body, BodyBudget
from dragoman.relay.gateway import Gateway
from dragoman.routing.plan import Call
from dragoman.routing.snapshot import Channel, Group
from dragoman.store.records import VendorId
from dragoman.upstream.client import UpstreamError
from tests.relay.scripted import (
    ACME,
    NOW,
    Headers,
    Lines,
    OwnerBook,
    Scripted,
    ScriptedClient,
    ScriptedCredentials,
    Wire,
    call,
    gateway,
    limits,
)
from tests.routing.builders import channel, key, snapshot
from tests.world import answers

SSE: Headers = [(b"content-type", b"text/event-stream")]
PRICE = Price(version="7", input=10**9, cached_input=10**8, output=10**10)
RESET = UpstreamError("closed", "connection reset", sent=True)
LATER = 1.25  # seconds between a call's start and its end
STORED = ("responses_get", "responses_delete", "responses_cancel", "responses_input_items")
FREE_PATHS = {
    **ACME.paths,
    "responses_get": "/v1/responses/{id}",
    "responses_cancel": "/v1/responses/{id}/cancel",
    "responses_input_items": "/v1/responses/{id}/input_items",
}
SERVER = replace(ACME, paths=FREE_PATHS)


class FakeBook:
    """Keeps what the ledger is told. ``answer`` is what a hold gets; a cancelled hold is voided, as the real one does."""

    def __init__(self, answer: Held | Refused | BaseException | None = None) -> None:
        self.answer = answer
        self.holds, self.posts, self.voids, self.logs = (
            list[Hold](),
            list[Post](),
            list[Void](),
            list[CallRecord](),
        )
        self.cancelled = 0

    async def hold(self, command: Hold) -> Held | Refused:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, BaseException):
            raise self.answer
        if isinstance(self.answer, Refused):
            return self.answer
        self.holds.append(command)
        return Held(id=command.id, amount=command.amount)

    def post(self, command: Post) -> None:
        self.posts.append(command)

    def void(self, command: Void) -> None:
        self.voids.append(command)

    def log(self, record: CallRecord) -> None:
        self.logs.append(record)

    @property
    def records(self) -> list[CallRecord]:
        return [p.record for p in self.posts] + [v.record for v in self.voids if v.record] + self.logs

    @property
    def record(self) -> CallRecord:
        """The one row of the one call."""
        (record,) = self.records
        return record

    @property
    def detail(self) -> dict[str, Any]:
        assert self.record.detail is not None
        found: dict[str, Any] = json.loads(self.record.detail)
        return found


class FakePrices:
    async def find(self, model: str, now: float) -> Price | None:
        await asyncio.sleep(0)
        return PRICE if model == "asked-for" else None


class World:
    """One call and everything around it."""

    def __init__(self, *script: Scripted | BaseException, **ports: Any) -> None:
        clock: Iterator[float] = iter([NOW + LATER] * 100)
        values: dict[str, Any] = {
            "snapshot": servers(channel(1, provider=SERVER)),
            "book": FakeBook(), "prices": FakePrices(), "journal": Lines(), "clock": lambda: next(clock), "owners": OwnerBook([]),
        }  # fmt: skip
        self.script = script
        self.client = ScriptedClient(*script)
        self.gateway: Gateway = gateway(**{"client": self.client, **values, **ports})
        self.book: Any = self.gateway.book
        self.owners: Any = self.gateway.owners
        self.journal: Any = self.gateway.journal
        self.wire = Wire()
        self.budget = BodyBudget()

    def body(self, data: bytes) -> Body:
        assert self.budget.take_now(len(data))
        return Body(data, self.budget, len(data))

    async def serve(self, asked: Call | None = None, body: bytes = b'{"model":"m"}') -> None:
        await flow.serve(
            self.gateway, asked or call(), self.body(body), self.wire.send, perf_counter() - LATER
        )

    def run(self, asked: Call | None = None, body: bytes = b'{"model":"m"}') -> World:
        asyncio.run(self.serve(asked, body))
        assert self.budget.used_bytes == 0
        return self

    def all_closed(self) -> bool:
        """Has every answer that came from upstream been closed?"""
        waiting = [id(s) for s in self.client.script]
        return all(s.closed for s in self.script if isinstance(s, Scripted) and id(s) not in waiting)

    def told(self) -> tuple[int, str]:
        """Status and code of the error that the client got."""
        assert self.wire.whole()
        return self.wire.status, self.wire.json()["error"]["code"]

    def metric(self, name: str, **labels: str) -> float:
        return self.gateway.metrics.registry.get_sample_value(name, labels) or 0.0


def servers(*channels: Channel, **fields: Any) -> Any:
    return snapshot(*channels, **{"prices": {"m": PRICE}, "aliases": ALIASES, **fields})


def json_answer(value: Any = answers.CHAT, status: int = 200) -> Scripted:
    return Scripted(status, [json.dumps(value).encode()])


def stream(*chunks: bytes | BaseException) -> Scripted:
    return Scripted(200, chunks, SSE)


def empty() -> FakeBook:
    return FakeBook(Refused(reason="wallet", available=14_000))


# --- the order of refusals ----------------------------------------------------------------------------------

CHATS_ONLY = servers(
    channel(1, provider=SERVER),
    channel(2, ("elsewhere",), provider=SERVER, groups=("other",)),
    channel(3, ("spoken",), provider=SERVER, operations=frozenset({"messages"})),
    channel(4, ("unpriced", "asked-for"), provider=SERVER),
)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"model": "nobody-knows", "operation": "responses"},
            (404, "not_found"),
        ),  # the foreign id comes first
        ({"model": "nobody-knows"}, (404, "model_not_found")),
        ({"model": "elsewhere"}, (503, "model_not_found")),
        ({"model": "m", "vendor": "mistral"}, (503, "model_not_found")),
        ({"model": "m", "pinned_channel": 4}, (503, "model_not_found")),
        ({"model": "spoken", "operation": "embeddings"}, (404, "not_found")),
        ({"model": "unpriced"}, (503, "model_price_error")),
        ({"model": "m"}, (403, "insufficient_quota")),
        ({"model": "asked-for"}, (403, "insufficient_quota")),  # its price was found
    ],
)
def test_everything_is_checked_before_the_balance(fields: dict[str, Any], expected: tuple[int, str]) -> None:
    world = World(snapshot=CHATS_ONLY, book=empty())
    asked = call(**{"operation": "chat", **fields})
    world.run(asked, b'{"model":"m","previous_response_id":"resp_x"}')
    assert world.told() == expected
    assert world.client.sent == [] and world.book.posts == world.book.voids == []
    record = world.book.record
    assert (record.kind, record.status, record.channel_id, record.quota) == (5, expected[0], None, 0)
    assert record.request_id == "req_1" and record.model == asked.model


@pytest.mark.parametrize(("name", "code"), [("", "no_group_bound"), ("gone", "group_not_allowed")])
def test_a_group_that_went_while_the_body_arrived(name: str, code: str) -> None:
    world = World().run(call(key=key(group=name), group=name))
    assert world.told() == (403, code) and world.book.holds == []


@pytest.mark.parametrize(("reason", "names"), [("wallet", "account balance"), ("key", "key quota")])
def test_the_message_says_what_ran_out_and_never_asks_to_repeat(reason: Any, names: str) -> None:
    world = World(book=FakeBook(Refused(reason=reason, available=14_000))).run()
    message = world.wire.json()["error"]["message"]
    assert names in message and "$0.000014" in message and "does not reset" in message
    assert world.wire.value(b"x-should-retry") == b"false"


def test_a_ledger_that_is_away_is_overload_and_may_be_tried_again() -> None:
    world = World(book=FakeBook(LedgerUnavailable("disk full"))).run()
    assert world.told() == (503, "overloaded")
    assert world.wire.value(b"retry-after") == b"1" and world.wire.value(b"x-should-retry") is None
    assert world.client.sent == [] and world.book.record.status == 503
    assert "disk full" not in world.wire.body.decode()
    assert world.metric("dragoman_errors_total", owner="gateway") == 1


def test_a_ledger_that_goes_away_before_an_id_is_recorded_is_the_same() -> None:
    class Away(OwnerBook):
        async def remember(self, ids: list[tuple[str, str]], owner: VendorId) -> None:
            raise LedgerUnavailable("disk full")

    world = World(json_answer(answers.RESPONSE), owners=Away([])).run(call("responses"))
    assert world.told() == (503, "overloaded")
    assert len(world.book.voids) == 1 and world.book.posts == []


# --- every way out resolves the hold once -------------------------------------------------------------------

HELLO = answers.CHAT_FRAMES
WAYS_OUT: dict[str, tuple[list[Scripted | BaseException], str, int, str]] = {
    "done": ([json_answer()], "post", 200, "done"),
    "stream done": ([stream(*HELLO, answers.CHAT_USAGE, answers.DONE)], "post", 200, "done"),
    "reported zero": ([json_answer({**answers.CHAT, "usage": {"prompt_tokens": 9, "completion_tokens": 0}})], "void", 200, "done"),
    "the vendor's 400": ([json_answer({"error": {"message": "no"}}, 400)], "void", 400, "failed"),
    "the vendor's 429": ([json_answer({"error": {"message": "no"}}, 429)], "void", 429, "failed"),
    "our account's 401": ([json_answer({"error": {"message": "no"}}, 401)], "void", 500, "failed"),
    "a redirect": ([Scripted(302)], "void", 502, "failed"),
    "unreachable": ([UpstreamError("refused", "refused", sent=False)], "void", 502, "failed"),
    "too slow": ([UpstreamError("first_byte_timeout", "slow", sent=True)], "void", 504, "failed"),
    "garbage": ([Scripted(200, [b"<html>"])], "void", 502, "failed"),
    "cut before the head": ([Scripted(200, [b'{"a', RESET])], "void", 502, "failed"),
    "our bug in sending": ([RuntimeError("bug")], "void", 500, "failed"),
    "our bug in the lane": ([Scripted(200, [RuntimeError("bug")])], "void", 500, "failed"),
    "stream cut": ([stream(*HELLO[:3], RESET)], "post", 200, "cut"),
    "stream ended early": ([stream(*HELLO[:3])], "post", 200, "cut"),
    "stream cut before text": ([stream(HELLO[0], RESET)], "void", 200, "cut"),
    "our bug in a stream": ([stream(*HELLO[:3], RuntimeError("bug"))], "post", 500, "failed"),
    "error frame in a stream": ([stream(HELLO[0], answers.data({"error": {"message": "no"}}))], "void", 200, "failed"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_way_out_resolves_the_hold_once(way: str) -> None:
    script, resolution, status, result = WAYS_OUT[way]
    world = World(*_again(script), limits=limits(attempts=1)).run(call(stream="stream" in way))
    assert len(world.book.holds) == 1 and world.wire.whole()
    assert (len(world.book.posts), len(world.book.voids)) == ((1, 0) if resolution == "post" else (0, 1))
    assert world.book.logs == []
    assert (world.book.record.status, world.book.detail["result"]) == (status, result)
    assert world.book.record.kind == (2 if status < 400 else 5)
    (line,) = world.journal.calls
    assert (line["request_id"], line["status"], line["result"]) == ("req_1", status, result)
    assert world.all_closed()
    if "our bug" in way:
        ((event, fields),) = world.journal.notes
        assert event == "internal_error" and fields["request_id"] == "req_1" and "bug" in fields["error"]
        assert b"bug" not in world.wire.body


def _again(script: list[Scripted | BaseException]) -> list[Scripted | BaseException]:
    """A fresh script: the table is read by every parameter, and a script is used up."""
    return [Scripted(s.status, list(s.rest), s.headers) if isinstance(s, Scripted) else s for s in script]


def test_a_client_port_that_breaks_does_not_leave_the_hold() -> None:
    world = World(json_answer())

    async def broken(message: Any) -> None:
        raise RuntimeError("content-length")

    with pytest.raises(RuntimeError):
        asyncio.run(flow.serve(world.gateway, call(), world.body(b'{"model":"m"}'), broken, perf_counter()))
    assert len(world.book.posts) + len(world.book.voids) == 1 and world.budget.used_bytes == 0


def test_a_failure_inside_a_json_array_is_told_inside_the_array() -> None:
    rows: list[bytes | BaseException] = [answers.GEMINI_ARRAY[0], RuntimeError("bug")]
    world = World(Scripted(200, rows)).run(call("gemini_stream", stream=True))
    elements = json.loads(world.wire.body)
    assert elements[-1]["error"]["code"] == 500 and len(elements) == 2


# --- cancellation -------------------------------------------------------------------------------------------


class Gate:
    """Stops whoever passes until the test lets go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()


def stop_at(point: str, world: World, gate: Gate) -> Callable[[Any], Any]:
    """Make one port of ``world`` wait for ever; gives the client's ``send``."""
    ports: Any = world.gateway
    first = world.client.script[0] if world.client.script else None
    sends: list[Any] = []

    async def never(*arguments: Any, **options: Any) -> Any:
        await gate.wait()

    async def send(message: Any) -> None:
        sends.append(message)
        if (point, len(sends)) in (("send head", 1), ("send body", 2)):
            await gate.wait()
        await world.wire.send(message)

    if point == "find owner":
        ports.owners.find = never
    elif point == "find price":
        ports.prices.find = never
    elif point == "hold":
        original = ports.book.hold

        async def holding(command: Hold) -> Any:
            gate.reached.set()
            return await original(command)

        ports.book.hold = holding
    elif point == "credentials":
        ports.credentials.resolve = never
    elif point == "upstream":
        world.client.send = never  # type: ignore[method-assign]
    elif point == "read":
        assert isinstance(first, Scripted)
        first.read = never  # type: ignore[method-assign]
    elif point == "own":
        ports.owners.remember = never
    return send


POINTS = {
    # where: (is there a hold?, what resolves it, status)
    "find owner": ("", 499),
    "find price": ("", 499),
    "hold": ("", 499),
    "credentials": ("void", 499),
    "upstream": ("void", 499),
    "read": ("void", 499),
    "own": ("void", 499),
    "send head": ("post", 200),
    "send body": ("post", 200),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_client_that_leaves_while_the_call_waits(point: str) -> None:
    resolution, status = POINTS[point]

    async def scenario() -> World:
        model = "asked-for" if point == "find price" else "m"
        world = World(json_answer(answers.RESPONSE), snapshot=CHATS_ONLY, credentials=ScriptedCredentials())
        world.owners.owned[("response", "resp_0")] = VendorId(7, 1, 0)
        gate = Gate()
        send = stop_at(point, world, gate)
        body = world.body(b'{"model":"m","previous_response_id":"resp_0"}')
        asked = call("responses", model=model)
        task = asyncio.create_task(flow.serve(world.gateway, asked, body, send, perf_counter()))
        await gate.reached.wait()
        task.cancel()
        with pytest.raises(
            asyncio.CancelledError
        ):  # the front door must know, to tell a client that is still there
            await task
        return world

    world = asyncio.run(scenario())
    book = world.book
    assert (len(book.posts), len(book.voids)) == (int(resolution == "post"), int(resolution == "void"))
    assert len(book.logs) == int(not resolution) and book.cancelled == int(point == "hold")
    assert (book.record.status, book.detail["result"]) == (status, "client_gone")
    assert world.budget.used_bytes == 0
    assert world.metric("dragoman_errors_total", owner="client") == 1


@pytest.mark.parametrize("turns", range(12))
def test_at_whatever_turn_of_the_loop_it_is_cancelled_the_books_balance(turns: int) -> None:
    async def scenario() -> World:
        frames = [*HELLO, answers.CHAT_USAGE, answers.DONE]
        world = World(stream(*frames))

        async def send(message: Any) -> None:
            await asyncio.sleep(0)
            await world.wire.send(message)

        body = world.body(b'{"model":"m"}')
        task = asyncio.create_task(flow.serve(world.gateway, call(stream=True), body, send, perf_counter()))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return world

    world = asyncio.run(scenario())
    if turns == 0:  # cancelled before its first step: the call never began
        assert world.book.records == []
        return
    assert len(world.book.posts) + len(world.book.voids) == len(world.book.holds)
    assert len(world.book.records) == 1 and world.budget.used_bytes == 0
    assert world.all_closed()
    assert world.gateway.metrics.open_streams._value.get() == 0


def test_what_was_produced_before_the_client_left_is_charged_and_marked() -> None:
    world = World(stream(*HELLO[:3], asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        world.run(call(stream=True))
    (post,) = world.book.posts
    assert post.record.estimated and post.record.output_tokens == 2  # "Hello": 5 bytes
    assert (post.record.status, world.book.detail["result"]) == (200, "client_gone")


# --- the vendor's ids ---------------------------------------------------------------------------------------

TWO = servers(
    channel(1, provider=SERVER, credentials=("k1",), priority=9),
    channel(2, provider=SERVER, credentials=("k2a", "k2b")),
    channel(3, ("other-model",), provider=SERVER),
    channel(4, provider=SERVER, groups=("other",)),
    channel(5, provider=ACME),
)
NEXT_TURN = b'{"model":"m","previous_response_id":"resp_0","input":"x"}'


def owned(owner: VendorId | None) -> OwnerBook:
    book = OwnerBook([])
    if owner is not None:
        book.owned[("response", "resp_0")] = owner
    return book


@pytest.mark.parametrize("owner", [None, VendorId(8, 2, 1)])
@pytest.mark.parametrize("operation", ["responses", *STORED])
def test_unknown_and_foreign_ids_are_404_and_nothing_is_sent(operation: str, owner: VendorId | None) -> None:
    world = World(snapshot=TWO, owners=owned(owner))
    world.run(call(operation, resource_id="resp_0", model=""), NEXT_TURN if operation == "responses" else b"")
    assert world.told() == (404, "not_found") and "resp_0" in world.wire.json()["error"]["message"]
    assert world.client.sent == [] and world.book.holds == []


@pytest.mark.parametrize("operation", ["responses", *STORED])
def test_state_is_continued_by_the_credential_that_made_it(operation: str) -> None:
    world = World(json_answer(answers.RESPONSE), snapshot=TWO, owners=owned(VendorId(7, 2, 1)))
    model = "m" if operation == "responses" else ""
    world.run(call(operation, resource_id="resp_0", model=model), NEXT_TURN if model else b"")
    assert world.wire.status == 200
    (sent,) = world.client.sent
    assert sent.headers[b"authorization"] == b"Bearer k2b"
    assert sent.target.startswith(b"/v1/responses" if model else b"/v1/responses/resp_0")


@pytest.mark.parametrize(
    "owner",
    [VendorId(7, 99, 0), VendorId(7, 2, 2), VendorId(7, 3, 0), VendorId(7, 4, 0)],
    ids=["channel gone", "credential gone", "does not serve the model", "not in the key's group"],
)
def test_no_other_channel_takes_it_over(owner: VendorId) -> None:
    world = World(snapshot=TWO, owners=owned(owner)).run(call("responses"), NEXT_TURN)
    assert world.told() == (503, "model_not_found") and world.client.sent == []


def test_a_stored_response_whose_channel_cannot_serve_it() -> None:
    world = World(snapshot=TWO, owners=owned(VendorId(7, 5, 0)))
    world.run(call("responses_get", resource_id="resp_0", model=""), b"")
    assert world.told() == (503, "model_not_found")


def test_a_sticky_call_fails_with_its_channel_instead_of_moving_on() -> None:
    world = World(
        json_answer({"error": {"message": "busy"}}, 429), snapshot=TWO, owners=owned(VendorId(7, 2, 0))
    )
    world.run(call("responses"), NEXT_TURN)
    assert world.wire.status == 429 and len(world.client.sent) == 1 and len(world.book.voids) == 1


def test_a_new_response_is_recorded_with_channel_and_credential() -> None:
    world = World(json_answer({**answers.RESPONSE, "id": "resp_9"}), snapshot=TWO).run(call("responses"))
    assert world.owners.owned[("response", "resp_9")] == VendorId(7, 1, 0)
    assert set(world.owners.owned.values()) == {VendorId(7, 1, 0)}


# --- free operations ----------------------------------------------------------------------------------------


STORED = sorted(flow.STORED)


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ("count_tokens", 200),
        ("count_tokens", 400),
        *((name, status) for name in STORED for status in (200, 404)),
    ],
)
def test_free_operations_are_neither_held_nor_logged(operation: str, status: int) -> None:
    book = empty()  # no balance is needed either
    value: Any = {"input_tokens": 7} if status == 200 else {"error": {"message": "no"}}
    world = World(json_answer(value, status), owners=owned(VendorId(7, 1, 0)), book=book)
    world.run(call(operation, resource_id="resp_0"), b"{}" if operation == "count_tokens" else b"")
    assert world.wire.status == status and world.wire.json() == value
    assert book.holds == [] and book.records == []
    (line,) = world.journal.calls
    assert (line["operation"], line["status"], line["quota"]) == (operation, status, 0)
    assert world.metric("dragoman_requests_total", operation=operation, status=str(status)) == 1


def test_a_count_needs_neither_a_price_nor_a_channel_but_a_model_that_is_known() -> None:
    world = World(json_answer({"input_tokens": 7}), snapshot=CHATS_ONLY)
    assert world.run(call("count_tokens", model="unpriced")).wire.json() == {"input_tokens": 7}
    body = b'{"model":"elsewhere","messages":[{"role":"user","content":"hello there"}]}'
    world = World(snapshot=CHATS_ONLY).run(call("count_tokens", model="elsewhere"), body)
    assert world.wire.status == 200 and world.wire.json()["input_tokens"] > 0 and world.client.sent == []
    world = World(snapshot=CHATS_ONLY).run(call("count_tokens", model="nobody-knows"), body)
    assert world.wire.status == 404 and world.book.records == []


# --- what is held, charged and written ----------------------------------------------------------------------


def test_the_hold_names_the_call_and_both_accounts() -> None:
    world = World(json_answer()).run(call(key=key(user_id=7, wallet_id=3, key_account_id=4), max_output=100))
    assert world.book.holds == [
        Hold(id="req_1", wallet_id=3, key_account_id=4, amount=1_004_000, user_id=7, now=NOW)
    ]  # 13 bytes are 4 tokens at $1, and 100 at $10 a million


@pytest.mark.parametrize(
    ("group", "fields", "amount"),
    [
        ({}, {"max_output": None}, 81_924_000),  # hold_output_tokens
        ({}, {"max_output": 10**9}, 81_924_000),
        ({}, {"max_output": 100, "choices": 3}, 3_004_000),
        ({"multiplier_micros": 2_500_000}, {"max_output": 100}, 2_510_000),
        ({"strict": True}, {"max_output": 100}, 1_014_000),  # a token for every byte, in whole units
        ({"strict": True}, {"max_output": None}, 1_280_014_000),
        ({"strict": True}, {"max_output": 10**30}, MAX_AMOUNT),  # the most that the ledger holds
    ],
)
def test_how_much_is_held(group: dict[str, Any], fields: dict[str, Any], amount: int) -> None:
    groups = [Group(name="default", **group)]
    world = World(json_answer(), snapshot=servers(channel(1, provider=SERVER), groups=groups))
    world.run(call(**fields))
    assert world.book.holds[0].amount == amount


CONTEXT, IMAGE = 10**6, flow.MEDIA_TOKENS


@pytest.mark.parametrize(
    ("refers", "tokens"),
    [
        ({}, 0),
        ({"previous_response_id": "resp_0"}, CONTEXT),
        ({"conversation": {"id": "conv_0"}}, CONTEXT),
        ({"cachedContent": "cachedContents/x"}, CONTEXT),
        (
            {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}] * 2}]},
            2 * IMAGE,
        ),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]}]}, IMAGE),
        ({"messages": [{"content": [{"type": "image", "source": {}}] * 50}]}, CONTEXT),
    ],
)
def test_a_strict_hold_covers_what_the_body_only_refers_to(refers: dict[str, Any], tokens: int) -> None:
    body = json.dumps({"model": "m", **refers}).encode()
    assert flow.referenced_tokens(body, CONTEXT) == tokens
    assert flow.referenced_tokens(b'{"file":{"file_id":"file-1"}}', CONTEXT) == CONTEXT
    groups = [Group(name="default", strict=True)]
    world = World(
        json_answer(),
        snapshot=servers(channel(1, provider=SERVER), groups=groups),
        owners=owned(VendorId(7, 1, 0)),
    )
    world.run(call(max_output=0), body)
    held = world.book.holds[0].amount
    assert held >= (len(body) + tokens) * 1000  # a dollar a million is 1 000 nanos a token
    assert held < (len(body) + tokens) * 1000 + 4000


def test_the_row_of_a_call_that_was_served() -> None:
    rid = [(b"content-type", b"application/json"), (b"x-request-id", b"vendor-7")]
    good = Scripted(200, [json.dumps(answers.CHAT).encode()], rid)
    script = [json_answer({"error": {"message": "busy"}}, 503), good]
    channels = servers(channel(1, provider=SERVER, priority=2), channel(2, provider=SERVER))
    world = World(*script, snapshot=channels)
    asked = call(
        model_asked="alias", path="/v1/chat/completions", original_path="/v1/v1/chat/completions",
        client_ip="192.0.2.7", client="curl", key=key(id=5, user_id=7),
    )  # fmt: skip
    world.run(asked)
    (post,) = world.book.posts
    record, detail = post.record, world.book.detail
    assert post.id == "req_1" and post.amount == answers.NANOS and post.now == NOW + LATER
    assert record == CallRecord(
        request_id="req_1", created_at=int(NOW), user_id=7, key_id=5, model_asked="alias", model="m", channel_id=2,
        group="default", kind=2, input_tokens=10, cached_tokens=4, output_tokens=5, quota=answers.QUOTA,
        nanos=answers.NANOS, latency_ms=record.latency_ms, first_byte_ms=record.first_byte_ms, client_ip="192.0.2.7", client="curl",
        method="POST", path="/v1/chat/completions", status=200, detail=record.detail,
    )  # fmt: skip
    assert record.latency_ms >= max(record.first_byte_ms or 0, 1250)  # from its arrival
    assert record.first_byte_ms and detail["result"] == "done" and "error" not in detail
    assert [(a["channel_id"], a["status"], a["upstream_request_id"]) for a in detail["attempts"]] == [
        (1, 503, ""),
        (2, 200, "vendor-7"),
    ]
    assert detail["original_path"] == "/v1/v1/chat/completions" and detail["multiplier_micros"] == 1_000_000
    assert [
        (x["kind"], x["units"], x["price_nanos_per_million"], x["amount_femtos"]) for x in detail["lines"]
    ] == [
        ("input", 6, 10**9, 6 * 10**9),
        ("cached_input", 4, 10**8, 4 * 10**8),
        ("output", 5, 10**10, 5 * 10**10),
    ]


def test_the_row_of_a_call_that_failed_keeps_no_secret() -> None:
    said = {"error": {"message": "Incorrect API key provided: sk-verysecretverysecret"}}
    world = World(json_answer(said, 400)).run(call(model_asked="x" * 900, path="/" + "p" * 900))
    (void,) = world.book.voids
    assert "lines" not in world.book.detail and "original_path" in world.book.detail
    assert world.book.detail["error"].startswith("Incorrect API key") and "verysecret" not in str(void)
    record = world.book.record
    assert (len(record.model_asked), len(record.path), record.kind, record.channel_id) == (200, 200, 5, 1)
    assert len(world.book.detail["original_path"]) == 2  # what the call was built with
    assert b"verysecret" not in world.wire.body


def test_metrics_of_a_served_call() -> None:
    world = World(json_answer()).run()
    assert world.metric("dragoman_requests_total", operation="chat", status="200") == 1
    tokens = {
        kind: world.metric("dragoman_tokens_total", kind=kind) for kind in ("input", "cached_input", "output")
    }
    assert tokens == {"input": 6, "cached_input": 4, "output": 5}
    assert world.metric("dragoman_charged_quota_units_total") == answers.QUOTA
    assert world.metric("dragoman_overhead_seconds_count", operation="chat") == 1
    assert world.metric("dragoman_first_byte_seconds_count", operation="chat") == 1
    assert all(world.metric("dragoman_errors_total", owner=o) == 0 for o in ("client", "upstream", "gateway"))


@pytest.mark.parametrize(
    ("script", "owner"),
    [
        (json_answer({"error": {"message": "no"}}, 400), "client"),
        (json_answer({"error": {"message": "no"}}, 500), "upstream"),
        (stream(HELLO[0], RESET), "upstream"),
        (RuntimeError("bug"), "gateway"),
    ],
)
def test_every_failure_has_an_owner(script: Scripted | BaseException, owner: str) -> None:
    world = World(*_again([script]))
    world.run(call(stream=isinstance(script, Scripted) and script.status == 200))
    counts = {o: world.metric("dragoman_errors_total", owner=o) for o in ("client", "upstream", "gateway")}
    assert counts == {"client": 0, "upstream": 0, "gateway": 0, owner: 1}


def test_an_open_stream_does_not_hold_its_request() -> None:
    world = World(stream(*HELLO, answers.DONE))
    seen: list[int] = []

    async def send(message: Any) -> None:
        seen.append(world.budget.used_bytes)
        await world.wire.send(message)

    body = world.body(b'{"model":"m"}')
    asyncio.run(flow.serve(world.gateway, call(stream=True), body, send, perf_counter()))
    assert set(seen) == {0} and body.data == b""
    assert (
        world.book.record.estimated and world.book.record.input_tokens == 4
    )  # the body's size is remembered


# --- responses that go on in the background -----------------------------------------------------------------

PENDING = {**answers.RESPONSE, "status": "in_progress", "output": [], "usage": None, "background": True}


@pytest.mark.parametrize("ends", [True, False])
def test_a_background_response_keeps_its_hold_until_it_ends(
    monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    async def scenario() -> World:
        let_go = asyncio.Event()

        async def finished(*arguments: Any) -> Any:
            await let_go.wait()
            if not ends:
                return None
            tap = DIALECTS["openai_responses"].tap()
            tap.body(json.dumps(answers.RESPONSE).encode())
            return tap

        monkeypatch.setattr(flow, "finished", finished)
        world = World(json_answer(PENDING))
        await world.serve(call("responses", background=True), b'{"model":"m","background":true}')
        assert world.wire.status == 200 and len(world.book.holds) == 1 and world.book.records == []
        let_go.set()
        await asyncio.gather(*world.gateway.later)
        return world

    world = asyncio.run(scenario())
    (post,) = world.book.posts
    assert world.book.voids == [] and post.record.estimated is not ends
    # one whose end is never seen may have been read by the caller: it costs what was held
    assert post.amount == (answers.NANOS if ends else world.book.holds[0].amount)
