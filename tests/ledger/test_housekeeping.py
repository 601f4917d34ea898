"""Old rows go, new partitions come."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from tests.ledger.bank import NOW, QUICK

from dragoman.ledger.book import Book
from dragoman.ledger.housekeeping import BATCH, DAY_S, Retention, housekeep
from dragoman.store.engine import is_sqlite, open_engine
from dragoman.store.publish import changes_since, record_change
from dragoman.store.records import VendorId, find, month_bounds, remember

KEEP, ALL = Retention(details=30, vendor_ids=90), Retention(details=None, vendor_ids=None, responses=None)
ANN = VendorId(1, 1, 0)


@pytest.fixture
def connection(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path).execution_options(dragoman_write=True)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def count(connection, table):
    with connection.begin():
        return connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one()


def test_retention_and_partitions(connection):
    with connection.begin():
        record_change(connection, "key", 1, NOW - 2 * DAY_S)
        record_change(connection, "key", 2, NOW)
        for age in (40, 5):
            connection.execute(
                text("INSERT INTO call_details (created_at, request_id, detail) VALUES (:at, 'r', :d)"),
                {"at": NOW - age * DAY_S, "d": b"{}"},
            )
        remember(connection, [("response", "old")], ANN, NOW - 91 * DAY_S)
        remember(connection, [("response", "new")], ANN, NOW - 89 * DAY_S)
        for age in (31, 29):
            connection.execute(
                text("INSERT INTO responses (id, user_id, cipher, created_at) VALUES (:id, 1, :c, :at)"),
                {"id": f"resp_{age}", "c": b"", "at": NOW - age * DAY_S},
            )
    assert housekeep(connection, NOW, KEEP) is False
    with connection.begin():
        assert [c.id for c in changes_since(connection, 0)] == ["2"]
        left = connection.execute(text("SELECT created_at FROM call_details")).scalars().all()
        assert left == [NOW - 5 * DAY_S]
        assert find(connection, "response", "old") is None
        assert find(connection, "response", "new") == ANN
        assert connection.execute(text("SELECT id FROM responses")).scalars().all() == ["resp_29"]
        if not is_sqlite(connection):
            name = f"call_logs_{month_bounds(NOW, 2)[0]}"
            assert connection.execute(text("SELECT to_regclass(:n)"), {"n": name}).scalar() is not None
    housekeep(connection, NOW + 400 * DAY_S, ALL)
    assert count(connection, "call_details") == count(connection, "vendor_ids") == 1


def test_a_large_backlog_goes_in_batches(connection):
    with connection.begin():
        remember(connection, [("item", f"i{n}") for n in range(BATCH + 1)], ANN, NOW - 91 * DAY_S)
    assert housekeep(connection, NOW, KEEP) is True
    assert count(connection, "vendor_ids") == 1
    assert housekeep(connection, NOW, KEEP) is False
    assert count(connection, "vendor_ids") == 0


def test_the_writer_goes_on_until_all_is_gone(database_url, tmp_path):
    """Batch after batch, money in between, without waiting for the next round (ten minutes)."""
    engine = open_engine(database_url, tmp_path)

    async def main():
        book = Book(engine, limits=replace(QUICK, keep=KEEP), clock=lambda: float(NOW))
        with engine.connect().execution_options(dragoman_write=True) as connection, connection.begin():
            remember(connection, [("item", f"i{n}") for n in range(2 * BATCH + 1)], ANN, NOW - 91 * DAY_S)
        await book.start()
        with engine.connect() as connection:
            async with asyncio.timeout(20):
                while count(connection, "vendor_ids"):
                    await asyncio.sleep(QUICK.beat_s)
        await book.close()

    asyncio.run(main())
    engine.dispose()
