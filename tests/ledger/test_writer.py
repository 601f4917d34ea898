"""The writer in trouble: the database goes away and comes back, leases are lost, holds of the dead are expired."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tests.ledger.bank import NOW, QUICK, account, assert_clean, funded, open_client

from dragoman.ledger import writer
from dragoman.ledger.audit import audit
from dragoman.ledger.book import Book
from dragoman.ledger.core import Held, LedgerError, Refused, Void
from dragoman.ledger.leases import living
from dragoman.ledger.session import RETRIES
from dragoman.ledger.writer import LedgerUnavailable
from dragoman.store.engine import is_sqlite, open_engine

USD = 10**9


@pytest.fixture
def impatient(monkeypatch):
    """SQLite gives up a lock after 20 ms, not 5 s."""
    monkeypatch.setattr("dragoman.store.engine.BUSY_TIMEOUT_MS", 20)


async def until(condition, book):
    """Wait, in steps of the writer's own heartbeat, for something that happens in its thread."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(QUICK.beat_s)


def run(url, tmp_path, scenario):
    engine = open_engine(url, tmp_path)

    async def main():
        book = Book(engine, limits=QUICK)
        await book.start()
        try:
            await scenario(book, engine)
        finally:
            await book.close()

    asyncio.run(main())
    assert_clean(engine)
    engine.dispose()


def test_sqlite_is_busy_then_free(sqlite_db, tmp_path, impatient):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        intruder = sqlite3.connect(engine.url.database, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        post = book.post(ada.post("a", 8_000))
        with pytest.raises(LedgerUnavailable, match="locked"):
            await book.hold(ada.hold("b", 20_000))
        with pytest.raises(LedgerUnavailable):
            await book.run(lambda _c: None)
        assert "locked" in book.trouble()
        assert not post.done() and book.stats()["backlog"] == 1
        intruder.execute("COMMIT")
        intruder.close()
        assert (await post).amount == 8_000
        assert book.trouble() == ""
        assert await book.hold(ada.hold("b", 20_000)) == Held("b", 20_000)
        await book.void(ada.void("b"))
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 8_000

    run(sqlite_db, tmp_path, scenario)


def test_postgres_cuts_every_connection(postgres_url, postgres_server, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        name = engine.url.database
        with psycopg.connect(postgres_server, autocommit=True) as admin:

            def kill():
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
                )

            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            kill()
            post = book.post(ada.post("a", 8_000))
            with pytest.raises(LedgerUnavailable):
                await book.hold(ada.hold("b", 20_000))
            assert book.trouble()
            assert not post.done()
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        # The hold may have been expired meanwhile (its lease's lock was cut too): the post is then a late one.
        result = await post
        assert (result.amount, result.repeated) == (8_000, False)
        await until(lambda: not book.trouble(), book)
        assert await book.hold(ada.hold("c", 20_000)) == Held("c", 20_000)
        assert (await book.post(ada.post("c", 2_000))).amount == 2_000
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 10_000

    run(postgres_url, tmp_path, scenario)


def test_what_cannot_be_written_at_the_end_is_told(sqlite_db, tmp_path, impatient):
    engine = open_engine(sqlite_db, tmp_path)

    async def main():
        book = Book(engine, limits=type(QUICK)(beat_s=0.05, retry_s=0.05, drain_s=0.2))
        await book.start()
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        intruder = sqlite3.connect(engine.url.database, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        post = book.post(ada.post("a", 8_000))
        await book.close()
        with pytest.raises(LedgerUnavailable, match="were not written"):
            await post
        intruder.close()

    asyncio.run(main())
    assert_clean(engine)
    engine.dispose()


def test_a_restart_expires_what_the_dead_process_held(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path)

    async def first():
        book = Book(engine, limits=QUICK)
        await book.start()
        ada = await funded(book, 100_000)
        await book.hold(ada.hold("call", 60_000))
        await book.hold(ada.hold("task", 40_000, task=True, deadline=2**33))
        await book.close()  # as a crash would: the hold stays open, the lease is gone
        return ada

    async def second(ada):
        book = Book(engine, limits=QUICK)
        await book.start()
        assert book.stats()["expired"] == 1
        assert account(engine, ada.wallet_id)["held_nanos"] == 40_000
        assert await book.hold(ada.hold("next", 80_000)) == Refused("wallet", 60_000)
        late = await book.post(ada.post("call", 20_000))
        assert (late.kind, late.amount) == ("late", 20_000)
        assert (await book.post(ada.post("task", 20_000))).kind == "post"
        await book.close()

    ada = asyncio.run(first())
    asyncio.run(second(ada))
    assert_clean(engine)
    engine.dispose()


def test_a_tasks_hold_expires_at_its_deadline(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("task", 60_000, task=True, deadline=NOW - 10**8))
        await until(lambda: account(engine, ada.wallet_id)["held_nanos"] == 0, book)
        assert (await book.post(ada.post("task", 2_000))).kind == "late"

    run(database_url, tmp_path, scenario)


def test_postgres_a_live_process_expires_a_dead_ones_holds(postgres_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        other = Book(engine, limits=type(QUICK)(beat_s=3600.0))
        await other.start()
        await other.hold(ada.hold("orphan", 60_000))
        await book.hold(ada.hold("mine", 2_000))
        other._writer._lease.drop()  # its session ends, as when the process is killed
        await until(lambda: account(engine, ada.wallet_id)["held_nanos"] == 2_000, book)
        assert (await book.void(ada.void("mine"))).kind == "void"
        assert (await other.post(ada.post("orphan", 4_000))).kind == "late"
        await other.close()

    run(postgres_url, tmp_path, scenario)


def test_a_lost_lease_is_replaced(postgres_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        before = book._writer.lease_id
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM leases"))
        await until(lambda: book._writer.lease_id != before, book)
        assert await book.hold(ada.hold("a", 2_000)) == Held("a", 2_000)
        await book.void(ada.void("a"))

    run(postgres_url, tmp_path, scenario)


def test_an_idle_writer_tells_that_the_database_is_back(sqlite_db, tmp_path, impatient):
    async def scenario(book, engine):
        intruder = sqlite3.connect(engine.url.database, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        await until(book.trouble, book)  # a heartbeat found out
        intruder.execute("COMMIT")
        intruder.close()
        await until(lambda: not book.trouble(), book)  # no traffic comes while it says that it is down

    run(sqlite_db, tmp_path, scenario)


def test_postgres_only_the_leases_session_is_cut(postgres_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        before = book._writer.lease_id
        with engine.connect() as connection:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = :id"
            connection.execute(text(cut), {"id": before})
        await until(lambda: book._writer.lease_id != before, book)
        with engine.connect() as connection:
            assert living(connection) == {book._writer.lease_id}
        assert await book.hold(ada.hold("a", 2_000)) == Held("a", 2_000)
        await book.void(ada.void("a"))

    run(postgres_url, tmp_path, scenario)


def test_a_hold_whose_answer_was_lost_does_not_stand(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        transact = book._writer._session.transact

        def lose_the_answer(works):
            transact(works)
            book._writer._session.transact = transact
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        book._writer._session.transact = lose_the_answer
        with pytest.raises(LedgerUnavailable):
            await book.hold(ada.hold("a", 2_000))  # committed, but nobody knows
        await until(lambda: account(engine, ada.wallet_id)["held_nanos"] == 0, book)
        assert await book.hold(ada.hold("b", 2_000)) == Held("b", 2_000)
        await book.void(ada.void("b"))

    run(database_url, tmp_path, scenario)


def test_an_outage_is_felt_once_a_round(sqlite_db, tmp_path):
    """Each try may wait for a timeout: a long backlog must not pay it for each of its batches."""
    tries = []

    def away(works):
        tries.append(len(works))
        time.sleep(0.1)
        raise psycopg.OperationalError("connection timeout expired")

    async def scenario(book, engine):
        transact = book._writer._session.transact
        book._writer._session.transact = away
        posts = [book.void(Void(id=f"h{i}", now=NOW)) for i in range(2_000)]
        await until(lambda: book.stats()["backlog"] == 2_000, book)
        tries.clear()
        begun = time.monotonic()
        await until(lambda: len(tries) >= 4, book)
        assert time.monotonic() - begun > 3 * (0.1 + QUICK.retry_s)  # four rounds, not one of four batches
        book._writer._session.transact = transact
        assert [(await p).id for p in posts] == [f"h{i}" for i in range(2_000)]

    run(sqlite_db, tmp_path, scenario)


def test_what_comes_while_it_closes_is_written_or_told(sqlite_db, tmp_path):
    engine = open_engine(sqlite_db, tmp_path)

    async def main():
        book = Book(engine, limits=QUICK)
        await book.start()
        gate = threading.Event()
        book.run(lambda _c: gate.wait(10))
        book._writer._queue.put((None, None), urgent=True)  # as close() does; it is still busy
        late = [book.void(Void(id=f"h{i}", now=NOW)) for i in range(1_500)]
        gate.set()
        await book.close()
        async with asyncio.timeout(5):
            assert {r.kind for r in await asyncio.gather(*late)} == {"unknown"}

    asyncio.run(main())
    assert_clean(engine)
    engine.dispose()


def test_start_fails_with_the_databases_error(tmp_path):
    engine = open_engine("postgresql://nobody@127.0.0.1:1/none", tmp_path)

    async def main():
        with pytest.raises(OperationalError):
            await Book(engine).start()

    asyncio.run(main())
    empty = open_engine("", tmp_path / "empty")

    async def unmigrated():
        for _ in range(2):  # and the lock is free again
            with pytest.raises(OperationalError, match="no such table"):
                await Book(empty).start()

    asyncio.run(unmigrated())
    empty.dispose()


# --------------------------------------------------------------------------------------- what the database refuses


def logged(engine):
    with engine.connect() as c:
        return c.execute(
            text("SELECT request_id, nanos, channel_id, model FROM call_logs ORDER BY request_id")
        ).all()


def holds(engine):
    with engine.connect() as c:
        return sorted(c.execute(text("SELECT id FROM holds")).scalars())


@pytest.mark.parametrize(
    "odd",
    [{"channel_id": 2**70}, {"status": 70_000}, {"created_at": 2**70}, {"detail": object()}, {"model": None}, {"path": 5}],
)  # fmt: skip
def test_a_record_that_cannot_be_stored_does_not_stop_the_charge(database_url, tmp_path, odd):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        for name in ("posted", "voided", "fine"):
            await book.hold(ada.hold(name, 20_000))
        values = dict(odd)
        now = values.pop("created_at", NOW)
        charge = replace(ada.post("posted", 8_000), record=ada.record("posted", now, **values))
        free = replace(ada.void("voided"), record=ada.record("voided", now, **values))
        results = await asyncio.gather(book.post(charge), book.void(free), book.post(ada.post("fine", 2_000)))
        assert [(r.kind, r.amount) for r in results] == [("post", 8_000), ("void", 0), ("post", 2_000)]
        assert holds(engine) == []
        kept = is_sqlite(engine) and "status" in odd  # a small integer may be large there
        assert book.stats()["salvaged"] == (0 if kept else 2)
        assert {row.request_id: row.nanos for row in logged(engine)} == {
            "fine": 2_000,
            "posted": 8_000,
            "voided": 0,
        }
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 10_000
        assert (await book.post(charge)).repeated

    run(database_url, tmp_path, scenario)


def test_a_log_that_cannot_be_written_at_all_does_not_stop_the_charge(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path)

    async def main():
        book = Book(engine, limits=QUICK)
        await book.start()
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        await book.run(lambda c: c.execute(text("ALTER TABLE call_logs RENAME TO call_logs_lost")))
        assert (await book.post(ada.post("a", 8_000))).amount == 8_000
        await book.run(lambda c: c.execute(text("ALTER TABLE call_logs_lost RENAME TO call_logs")))
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 8_000
        await book.close()

    asyncio.run(main())
    assert [(f.kind, f.subject) for f in audit(engine).findings] == [("missing log", "transfer a")]
    engine.dispose()


@pytest.mark.parametrize("amount", [2_001, -2_000, 10**18])
def test_an_amount_that_cannot_be_charged_frees_its_hold(database_url, tmp_path, amount):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        with pytest.raises(LedgerError, match="not an amount"):
            await book.post(ada.post("a", amount))
        assert holds(engine) == []
        assert [(e.hold_id, e.reason) for e in audit(engine).exposures] == [
            ("a", "could not be written: LedgerError")
        ]

    run(database_url, tmp_path, scenario)


def test_a_balance_that_would_not_fit_frees_the_hold(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        with engine.connect().execution_options(dragoman_write=True) as c, c.begin():
            c.execute(
                text("UPDATE accounts SET used_nanos = :n WHERE id = :i"),
                {"n": 2**63 - 1, "i": ada.wallet_id},
            )
        post = book.post(ada.post("a", 8_000))
        if is_sqlite(engine):  # it would make a real number of it
            await post
        else:
            with pytest.raises(Exception, match="out of range"):
                await post
        assert holds(engine) == []
        used = 0 if not is_sqlite(engine) else 8_000
        with engine.connect().execution_options(dragoman_write=True) as c, c.begin():
            c.execute(
                text("UPDATE accounts SET used_nanos = :n WHERE id = :i"), {"n": used, "i": ada.wallet_id}
            )

    run(database_url, tmp_path, scenario)


def test_what_keeps_colliding_waits_rather_than_be_dropped(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        session, tries = book._writer._session, []
        transact = session.transact

        def collide(works):
            tries.append(works)
            if len(tries) > 2 * RETRIES:
                session.transact = transact
            raise psycopg.errors.SerializationFailure("could not serialize access")

        session.transact = collide
        assert (await book.post(ada.post("a", 8_000))).amount == 8_000

    run(database_url, tmp_path, scenario)


# ------------------------------------------------------------------------------------------------------- the sweep


def orphaned(engine, ada, *ids):
    """Holds of a process that died, and one that no account stands behind."""
    with engine.connect().execution_options(dragoman_write=True) as c, c.begin():
        for i, wallet in ids:
            c.execute(
                text("INSERT INTO holds (id, wallet_id, user_id, amount, lease_id, created_at) VALUES (:i, :w, 1, 0, 0, 1)"),
                {"i": i, "w": wallet},
            )  # fmt: skip


def test_a_hold_that_cannot_be_expired_stops_neither_start_nor_the_others(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path)

    async def main():
        book = Book(engine, limits=QUICK)
        await book.start()
        ada = await funded(book, USD)
        await book.hold(ada.hold("resolved", 2_000))
        await book.post(ada.post("resolved", 2_000))
        await book.close()
        good = [(f"good{n}", ada.wallet_id) for n in range(5)]
        orphaned(engine, ada, ("nobody's", 999_999), *good, ("resolved", ada.wallet_id))
        async with asyncio.timeout(20):
            book = Book(engine, limits=QUICK)
            await book.start()
            assert holds(engine) == ["nobody's", "resolved"]
            assert book.stats()["expired"] == 5
            orphaned(engine, ada, ("later", ada.wallet_id))  # the next sweeps work, and pass over those two
            await until(lambda: holds(engine) == ["nobody's", "resolved"], book)
            assert await book.hold(ada.hold("b", 2_000)) == Held("b", 2_000)
            await book.void(ada.void("b"))
            await book.close()

    asyncio.run(main())
    assert {f.subject for f in audit(engine).findings} >= {"hold nobody's", "hold resolved"}
    engine.dispose()


def test_a_sweep_ends_even_if_the_database_keeps_offering_the_same_holds(sqlite_db, tmp_path):
    async def scenario(book, engine):
        asked = []
        lease = book._writer._lease

        def same_again(connection, now, limit):
            asked.append(limit)
            return [("x", "process died"), ("y", "process died")]

        lease.orphans = same_again
        await until(lambda: len(asked) >= 4, book)  # two beats; money moves between them
        assert (await book.void(Void(id="z", now=NOW))).kind == "unknown"
        del lease.orphans

    run(sqlite_db, tmp_path, scenario)


def test_a_sweep_leaves_what_is_too_much_for_the_next_one(sqlite_db, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_SWEEP_LIMIT", 2)
    monkeypatch.setattr(writer, "_SWEEP_ROUNDS", 2)
    engine = open_engine(sqlite_db, tmp_path)

    async def main():
        with engine.connect().execution_options(dragoman_write=True) as c, c.begin():
            ada = open_client(c)
            c.execute(text("UPDATE accounts SET hold_count = 7 WHERE id = :i"), {"i": ada.wallet_id})
        orphaned(engine, ada, *((f"h{n}", ada.wallet_id) for n in range(7)))
        book = Book(engine, limits=replace(QUICK, beat_s=3600.0))
        await book.start()
        assert len(holds(engine)) == 3
        await book.close()
        book = Book(engine, limits=QUICK)
        await book.start()
        assert holds(engine) == []
        await book.close()

    asyncio.run(main())
    assert_clean(engine)
    engine.dispose()
