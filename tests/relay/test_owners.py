import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from dragoman.relay.owners import OwnerRegister
from dragoman.store.records import VendorId

ANN, BOB = VendorId(1, 10, 0), VendorId(2, 20, 1)
Pair = tuple[str, str]


class Store:
    """A dictionary that plays the database; ``writes`` are the batches it was given."""

    def __init__(self, *, gated: bool = False) -> None:
        self.rows: dict[Pair, VendorId] = {}
        self.writes: list[list[Pair]] = []
        self.reads: list[Pair] = []
        self.read_threads: set[int] = set()
        self.gate: asyncio.Future[None] | None = None
        self.written = asyncio.Event()
        self.gated = gated

    def write(self, fn: Callable[[Any], None]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if self.gated:
            self.gate = done
        self.written.set()
        try:
            fn(self.rows)
        except OSError as error:
            done.set_exception(error)
            return done
        if not self.gated:
            done.set_result(None)
        return done

    def store(self, rows: Any, ids: list[Pair], owner: VendorId) -> None:
        self.writes.append(list(ids))
        for pair in ids:
            rows.setdefault(pair, owner)

    def erase(self, rows: Any, kind: str, external_id: str) -> None:
        rows.pop((kind, external_id), None)

    def read(self, kind: str, external_id: str) -> VendorId | None:
        self.reads.append((kind, external_id))
        self.read_threads.add(threading.get_ident())
        return self.rows.get((kind, external_id))


def register(store: Store, capacity: int = 10_000) -> OwnerRegister:
    return OwnerRegister(
        write=store.write, store=store.store, erase=store.erase, read=store.read, capacity=capacity
    )


def test_an_id_is_written_before_remember_returns_and_found_without_a_read() -> None:
    store = Store()
    owners = register(store)

    async def scenario() -> None:
        await owners.remember([("response", "r1"), ("item", "i1")], ANN)
        assert store.rows == {("response", "r1"): ANN, ("item", "i1"): ANN}
        assert await owners.find("response", "r1") == ANN

    asyncio.run(scenario())
    assert store.writes == [[("response", "r1"), ("item", "i1")]]
    assert store.reads == []


def test_remember_waits_until_the_write_is_durable() -> None:
    store = Store(gated=True)
    owners = register(store)

    async def scenario() -> None:
        task = asyncio.create_task(owners.remember([("response", "r1")], ANN))
        await store.written.wait()
        assert store.gate is not None and not task.done()
        store.gate.set_result(None)
        await task

    asyncio.run(scenario())


def test_a_failed_write_is_raised_and_nothing_is_believed() -> None:
    store = Store()
    owners = register(store)

    def broken(rows: Any, ids: list[Pair], owner: VendorId) -> None:
        raise OSError("disk full")

    failing = OwnerRegister(write=store.write, store=broken, erase=store.erase, read=store.read)

    async def scenario() -> None:
        with pytest.raises(OSError, match="disk full"):
            await failing.remember([("response", "r1")], ANN)
        assert await failing.find("response", "r1") is None
        assert await owners.find("response", "r1") is None

    asyncio.run(scenario())


def test_known_ids_are_not_written_again_and_keep_their_owner() -> None:
    store = Store()
    owners = register(store)

    async def scenario() -> None:
        await owners.remember([("response", "r1")], ANN)
        await owners.remember([("response", "r1")], BOB)
        await owners.remember([("response", "r1"), ("response", "r2")], BOB)
        assert await owners.find("response", "r1") == ANN
        assert await owners.find("response", "r2") == BOB

    asyncio.run(scenario())
    assert store.writes == [[("response", "r1")], [("response", "r2")]]


def test_the_kind_is_part_of_the_name() -> None:
    store = Store()
    owners = register(store)

    async def scenario() -> None:
        await owners.remember([("response", "x")], ANN)
        assert await owners.find("file", "x") is None

    asyncio.run(scenario())


def test_an_unremembered_id_is_read_once_in_a_thread() -> None:
    store = Store()
    store.rows[("response", "old")] = BOB
    owners = register(store)

    async def scenario() -> None:
        assert [await owners.find("response", "old") for _ in range(3)] == [BOB] * 3
        assert threading.get_ident() not in store.read_threads

    asyncio.run(scenario())
    assert store.reads == [("response", "old")]


def test_an_unknown_id_is_asked_for_each_time_because_another_process_may_record_it() -> None:
    store = Store()
    owners = register(store)

    async def scenario() -> None:
        assert await owners.find("response", "later") is None
        store.rows[("response", "later")] = ANN
        assert await owners.find("response", "later") == ANN

    asyncio.run(scenario())


def test_a_forgotten_id_is_gone_from_memory_and_store() -> None:
    store = Store()
    owners = register(store)

    async def scenario() -> None:
        await owners.remember([("response", "r1"), ("response", "r2")], ANN)
        await owners.forget("response", "r1")
        await owners.forget("response", "never")
        assert await owners.find("response", "r1") is None
        assert await owners.find("response", "r2") == ANN

    asyncio.run(scenario())
    assert store.rows == {("response", "r2"): ANN}


def test_memory_is_bounded_and_the_oldest_leaves_first() -> None:
    store = Store()
    owners = register(store, capacity=2)

    async def scenario() -> None:
        for name in ("a", "b", "c"):
            await owners.remember([("response", name)], ANN)
        assert [await owners.find("response", n) for n in ("c", "b")] == [ANN, ANN]
        assert store.reads == []
        assert await owners.find("response", "a") == ANN
        assert store.reads == [("response", "a")]

    asyncio.run(scenario())


def test_a_changed_channel_is_read_again_and_an_overtaken_read_is_not_kept() -> None:
    store = Store()
    owners = register(store)
    moved = VendorId(ANN.user_id, ANN.channel_id, ANN.credential + 1)

    async def scenario() -> None:
        await owners.remember([("response", "r")], ANN)
        store.rows[("response", "r")] = moved  # another process declared the credentials in another order
        owners.refresh()
        assert await owners.find("response", "r") == moved
        store.gated = True
        writing = asyncio.create_task(owners.remember([("response", "s")], ANN))
        await asyncio.sleep(0)
        owners.refresh()
        store.rows[("response", "s")] = moved
        assert store.gate is not None
        store.gate.set_result(None)
        await writing
        assert await owners.find("response", "s") == moved

    asyncio.run(scenario())
