import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from dragoman.relay.owners import BATCH, KEPT_S, OwnerRegister
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
        self.gate: asyncio.Future[Any] | None = None
        self.result: Any = None  # of the write that waits at the gate
        self.written = asyncio.Event()
        self.gated = gated

    def write(self, fn: Callable[[Any], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        if self.gated:
            self.gate = done
        self.written.set()
        try:
            self.result = fn(self.rows)
        except OSError as error:
            done.set_exception(error)
            return done
        if not self.gated:
            done.set_result(self.result)
        return done

    def open_gate(self) -> None:
        assert self.gate is not None
        self.gate.set_result(self.result)

    def store(self, rows: Any, ids: list[Pair], owner: VendorId) -> dict[Pair, VendorId]:
        self.writes.append(list(ids))
        return {pair: rows.setdefault(pair, owner) for pair in ids}

    def erase(self, rows: Any, kind: str, external_id: str) -> None:
        rows.pop((kind, external_id), None)

    def read(self, kind: str, external_id: str) -> VendorId | None:
        self.reads.append((kind, external_id))
        self.read_threads.add(threading.get_ident())
        return self.rows.get((kind, external_id))


def register(store: Store, **more: Any) -> OwnerRegister:
    return OwnerRegister(write=store.write, store=store.store, erase=store.erase, read=store.read, **more)


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
        assert not task.done()
        store.open_gate()
        await task

    asyncio.run(scenario())


def test_a_failed_write_is_raised_and_nothing_is_believed() -> None:
    store = Store()
    owners = register(store)

    def broken(rows: Any, ids: list[Pair], owner: VendorId) -> dict[Pair, VendorId]:
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
        store.open_gate()
        await writing
        assert await owners.find("response", "s") == moved

    asyncio.run(scenario())


def test_memory_holds_what_the_database_kept() -> None:
    """Another process recorded the id for somebody else in the moment before: the first owner stands, here too."""
    store = Store()
    store.rows[("response", "theirs")] = BOB
    owners = register(store)

    async def scenario() -> None:
        await owners.remember([("response", "theirs"), ("response", "mine")], ANN)
        assert await owners.find("response", "theirs") == BOB
        assert await owners.find("response", "mine") == ANN

    asyncio.run(scenario())
    assert store.reads == []


def test_what_was_erased_meanwhile_is_not_believed() -> None:
    store = Store()
    owners = OwnerRegister(write=store.write, store=lambda _r, _i, _o: {}, erase=store.erase, read=store.read)

    async def scenario() -> None:
        await owners.remember([("response", "gone")], ANN)
        assert await owners.find("response", "gone") is None

    asyncio.run(scenario())


def test_a_long_list_is_written_in_pieces_and_each_id_once() -> None:
    store = Store()
    owners = register(store)
    ids = [("item", f"i{n}") for n in range(2 * BATCH + 1)]

    async def scenario() -> None:
        await owners.remember([*ids, *ids], ANN)
        assert await owners.find(*ids[-1]) == ANN

    asyncio.run(scenario())
    assert [len(w) for w in store.writes] == [BATCH, BATCH, 1]
    assert set(store.rows) == set(ids)


def test_what_was_remembered_long_ago_is_asked_again() -> None:
    """The register forgets ids that nobody has seen for months, and renews those that are seen: both need the database."""
    store, now = Store(), [0.0]
    owners = register(store, clock=lambda: now[0])

    async def scenario() -> None:
        await owners.remember([("conversation", "c")], ANN)
        now[0] = KEPT_S - 1
        await owners.remember([("conversation", "c")], ANN)
        assert await owners.find("conversation", "c") == ANN
        assert (len(store.writes), store.reads) == (1, [])
        now[0] = KEPT_S
        await owners.remember([("conversation", "c")], ANN)
        assert (len(store.writes), store.reads) == (2, [])
        now[0] = 2 * KEPT_S
        store.rows.clear()
        assert await owners.find("conversation", "c") is None

    asyncio.run(scenario())


def test_a_read_that_an_erasure_overtook_is_not_kept() -> None:
    store = Store()
    store.rows[("response", "r")] = ANN
    read, go_on = threading.Event(), threading.Event()

    def slow(kind: str, external_id: str) -> VendorId | None:
        found = store.read(kind, external_id)
        read.set()
        go_on.wait(10)
        return found

    owners = OwnerRegister(write=store.write, store=store.store, erase=store.erase, read=slow)

    async def scenario() -> None:
        finding = asyncio.create_task(owners.find("response", "r"))
        await asyncio.to_thread(read.wait, 10)
        await owners.forget("response", "r")
        go_on.set()
        await finding
        assert await owners.find("response", "r") is None

    asyncio.run(scenario())
