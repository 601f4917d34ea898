import asyncio
import threading
from collections.abc import Callable

import pytest

from dragoman.relay.keys import Keys, plausible
from dragoman.routing.keytable import KeyRecord, KeyTable
from tests.routing.builders import key

KEY = "sk-" + "a" * 48
OTHER = "sk-" + "b" * 48
RECORD = key(id=1)


class Database:
    """``load`` as a thread sees it: counts, may be held at a gate, may fail."""

    def __init__(self, rows: dict[bytes, KeyRecord] | None = None, *, gated: bool = False) -> None:
        self.rows = {KEY.encode(): RECORD} if rows is None else rows
        self.loads: list[bytes] = []
        self.gate = threading.Event()
        self.failure: Exception | None = None
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        self.entered = threading.Semaphore(0)
        if not gated:
            self.gate.set()

    def load(self, lookup: bytes) -> KeyRecord | None:
        with self.lock:
            self.loads.append(lookup)
            self.busy += 1
            self.most_busy = max(self.busy, self.most_busy)
        self.entered.release()
        assert self.gate.wait(20)
        with self.lock:
            self.busy -= 1
        if self.failure is not None:
            raise self.failure
        return self.rows.get(lookup)

    async def loading(self) -> None:
        """Returns when one more load has begun."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=20)


def keys(
    database: Database,
    *,
    table: KeyTable | None = None,
    clock: Callable[[], float] = lambda: 0.0,
    concurrency: int = 8,
) -> Keys:
    return Keys(
        KeyTable() if table is None else table,
        lookup=str.encode,
        load=database.load,
        clock=clock,
        concurrency=concurrency,
    )


@pytest.mark.parametrize("text", ["", "short-7", "x" * 129, "sk-ключ-ключ"])
def test_what_cannot_be_a_key_never_reaches_the_database(text: str) -> None:
    database = Database({text.encode(): RECORD})
    finder = keys(database)
    assert not plausible(text)
    assert finder.cached(text) is None
    assert asyncio.run(finder.find(text)) is None
    assert database.loads == []


def test_bounds_of_a_plausible_key() -> None:
    assert plausible("x" * 8) and plausible("x" * 128)


def test_a_record_is_loaded_once_and_then_cached() -> None:
    database = Database()
    finder = keys(database)

    async def scenario() -> None:
        assert finder.cached(KEY) is None
        assert await finder.find(KEY) == RECORD
        assert finder.cached(KEY) == RECORD
        assert await finder.find(KEY) == RECORD

    asyncio.run(scenario())
    assert database.loads == [KEY.encode()]


def test_nobodys_key_is_remembered_until_its_time_is_over() -> None:
    database, now = Database({}), [100.0]
    finder = keys(database, table=KeyTable(negative_ttl_s=2.0), clock=lambda: now[0])

    async def scenario() -> None:
        assert await finder.find(KEY) is None
        now[0] = 101.9
        assert await finder.find(KEY) is None
        assert len(database.loads) == 1
        now[0] = 102.0
        database.rows[KEY.encode()] = RECORD
        assert await finder.find(KEY) == RECORD

    asyncio.run(scenario())
    assert len(database.loads) == 2


def test_callers_of_one_moment_share_one_load() -> None:
    database = Database(gated=True)
    finder = keys(database)

    async def scenario() -> None:
        waiting = [asyncio.create_task(finder.find(KEY)) for _ in range(20)]
        await database.loading()
        database.gate.set()
        assert await asyncio.gather(*waiting) == [RECORD] * 20

    asyncio.run(scenario())
    assert database.loads == [KEY.encode()]


def test_a_caller_that_leaves_does_not_take_the_load_with_it() -> None:
    database = Database(gated=True)
    finder = keys(database)

    async def scenario() -> None:
        first, second = asyncio.create_task(finder.find(KEY)), asyncio.create_task(finder.find(KEY))
        await database.loading()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        database.gate.set()
        assert await second == RECORD

    asyncio.run(scenario())
    assert database.loads == [KEY.encode()]


def test_a_failed_load_is_told_to_all_and_tried_again_by_the_next() -> None:
    database = Database(gated=True)
    database.failure = OSError("database away")
    finder = keys(database)

    async def scenario() -> None:
        waiting = [asyncio.create_task(finder.find(KEY)) for _ in range(3)]
        await database.loading()
        database.gate.set()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(t) for t in told] == [OSError] * 3
        database.failure = None
        assert await finder.find(KEY) == RECORD

    asyncio.run(scenario())
    assert len(database.loads) == 2


def test_a_load_overtaken_by_a_change_is_not_cached() -> None:
    database, table = Database(gated=True), KeyTable()
    finder = keys(database, table=table)

    async def scenario() -> None:
        waiting = asyncio.create_task(finder.find(KEY))
        await database.loading()
        table.drop_key(RECORD.id)
        database.gate.set()
        await waiting
        assert finder.cached(KEY) is None
        await finder.find(KEY)
        assert finder.cached(KEY) == RECORD

    asyncio.run(scenario())
    assert len(database.loads) == 2


def test_wrong_keys_take_a_bounded_number_of_connections() -> None:
    database = Database({}, gated=True)
    finder = keys(database, concurrency=2)

    async def scenario() -> None:
        waiting = [asyncio.create_task(finder.find(f"{OTHER}{n}")) for n in range(6)]
        await database.loading()
        await database.loading()
        database.gate.set()
        assert await asyncio.gather(*waiting) == [None] * 6

    asyncio.run(scenario())
    assert len(database.loads) == 6 and database.most_busy == 2
