"""The book on both databases: results, idempotence, races, cancellation, what the writer does with trouble."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import insert, text
from tests.ledger.bank import NOW, QUICK, account, assert_clean, funded

from dragoman.ledger.audit import audit
from dragoman.ledger.book import Book
from dragoman.ledger.core import Credit, Held, Hold, LedgerError, Refund, Refused, Resolution
from dragoman.ledger.writer import LedgerUnavailable, Limits
from dragoman.store.engine import StoreBusy, open_engine
from dragoman.store.tables import meta

USD = 10**9


def with_book(url, tmp_path, scenario, **options):
    """Run ``scenario(book, engine)`` in a started book; the ledger must be clean afterwards."""
    engine = open_engine(url, tmp_path)

    async def main():
        book = Book(engine, limits=options.pop("limits", QUICK), **options)
        await book.start()
        try:
            return await scenario(book, engine)
        finally:
            await book.close()

    try:
        result = asyncio.run(main())
        assert_clean(engine)
        return result
    finally:
        engine.dispose()


def test_hold_and_post_move_wallet_key_and_log_together(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD, limit_nanos=USD // 2)
        assert await book.hold(ada.hold("r1", 20_000)) == Held("r1", 20_000)
        assert account(engine, ada.wallet_id)["held_nanos"] == 20_000
        assert account(engine, ada.account_id)["held_nanos"] == 20_000
        detail = b'{"attempts":[]}'
        assert await book.post(ada.post("r1", 8_000, detail=detail)) == Resolution("r1", "post", 8_000)
        wallet, key = account(engine, ada.wallet_id), account(engine, ada.account_id)
        assert (wallet["balance_nanos"], wallet["held_nanos"], wallet["used_nanos"]) == (
            USD - 8_000,
            0,
            8_000,
        )
        assert (key["balance_nanos"], key["held_nanos"], key["used_nanos"]) == (0, 0, 8_000)
        assert (wallet["request_count"], key["request_count"], key["last_used_at"]) == (1, 1, NOW)
        with engine.connect() as c:
            log = c.execute(text("SELECT * FROM call_logs")).one()
            assert (log.request_id, log.quota, log.nanos, log.user_id, log.key_id) == (
                "r1",
                4,
                8_000,
                ada.user_id,
                ada.key_id,
            )
            assert (log.model, log.model_asked) == ("gpt-5.4-mini", None)
            assert bytes(c.execute(text("SELECT detail FROM call_details")).scalar_one()) == detail
            assert c.execute(text("SELECT COUNT(*) FROM holds")).scalar_one() == 0

    with_book(database_url, tmp_path, scenario)


def test_refusals_say_what_ran_out_and_leave_nothing(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, 100_000, limit_nanos=60_000)
        assert await book.hold(ada.hold("a", 50_000)) == Held("a", 50_000)
        assert await book.hold(ada.hold("b", 60_000)) == Refused("wallet", 50_000)
        assert await book.hold(ada.hold("c", 12_000)) == Refused("key", 10_000)
        assert await book.hold(ada.hold("d", 10_000)) == Held("d", 10_000)
        await book.post(ada.post("a", 102_000))  # an expected hold may cost more than it reserved
        assert account(engine, ada.wallet_id)["balance_nanos"] == -2_000
        assert await book.hold(ada.hold("e", 2_000)) == Refused("wallet", -12_000)
        assert await book.hold(ada.hold("free", 0)) == Held("free", 0)
        await book.void(ada.void("d"))
        await book.post(ada.post("free", 0))
        assert account(engine, ada.wallet_id)["held_nanos"] == 0

    with_book(database_url, tmp_path, scenario)


def test_repeated_commands_return_the_first_result(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        assert await book.hold(ada.hold("a", 90_000)) == Held("a", 20_000)
        await book.post(ada.post("a", 8_000))
        assert await book.post(ada.post("a", 16_000)) == Resolution("a", "post", 8_000, True)
        assert await book.void(ada.void("a")) == Resolution("a", "post", 8_000, True)
        assert await book.hold(ada.hold("a", 90_000)) == Held("a", 20_000)
        await book.hold(ada.hold("b", 20_000))
        await book.void(ada.void("b"))
        assert await book.post(ada.post("b", 8_000)) == Resolution("b", "void", 0, True)
        assert await book.post(ada.post("nobody", 8_000)) == Resolution("nobody", "unknown", 0)
        again = await book.credit(Credit(id="fund:ada", wallet_id=ada.wallet_id, amount=USD, now=NOW))
        assert again == Resolution("fund:ada", "credit", USD, True)
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 8_000

    with_book(database_url, tmp_path, scenario)


def test_refunds_end_at_the_charge(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        await book.post(ada.post("a", 10_000))
        assert await book.refund(Refund(id="x", of="a", amount=6_000, now=NOW)) == Resolution(
            "x", "refund", 6_000
        )
        assert (await book.refund(Refund(id="x", of="a", amount=6_000, now=NOW))).repeated
        with pytest.raises(LedgerError, match="would exceed"):
            await book.refund(Refund(id="y", of="a", amount=6_000, now=NOW))
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 4_000
        assert account(engine, ada.account_id)["used_nanos"] == 4_000

    with_book(database_url, tmp_path, scenario)


def test_two_hundred_at_once_against_money_for_fifty(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, 50 * 20_000)
        results = await asyncio.gather(*(book.hold(ada.hold(f"r{i}", 20_000)) for i in range(200)))
        held = [r.id for r in results if isinstance(r, Held)]
        assert len(held) == 50
        assert account(engine, ada.wallet_id)["held_nanos"] == 50 * 20_000
        await asyncio.gather(*(book.post(ada.post(i, 20_000)) for i in held))
        assert account(engine, ada.wallet_id)["balance_nanos"] == 0
        assert book.stats()["largest_batch"] > 1

    with_book(database_url, tmp_path, scenario)


def test_hold_and_post_of_one_call_in_one_batch(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        gate = threading.Event()
        blocked = book.run(lambda _c: gate.wait(10))
        hold = asyncio.ensure_future(book.hold(ada.hold("a", 20_000)))
        await asyncio.sleep(0)
        post = book.post(ada.post("a", 8_000))
        gate.set()
        assert await blocked
        assert (await hold, await post) == (Held("a", 20_000), Resolution("a", "post", 8_000))

    with_book(database_url, tmp_path, scenario)


def test_a_cancelled_hold_is_voided(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        gate = threading.Event()
        blocked = book.run(lambda _c: gate.wait(10))
        task = asyncio.ensure_future(book.hold(ada.hold("a", 20_000)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        await blocked
        await book.run(lambda _c: None)  # behind the void
        assert account(engine, ada.wallet_id)["held_nanos"] == 0

    with_book(database_url, tmp_path, scenario)


def test_one_bad_command_does_not_hurt_its_batch(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        gate = threading.Event()
        blocked = book.run(lambda _c: gate.wait(10))
        holds = [ada.hold("a", 20_000), ada.hold("b", 20_001), ada.hold("c", 10**17), ada.hold("d", 20_000)]
        holds.append(Hold(id="e", wallet_id=999_999, amount=2_000, user_id=1, now=NOW))
        waiting = asyncio.gather(*(book.hold(h) for h in holds), return_exceptions=True)
        await asyncio.sleep(0)
        odd_row = book.post(ada.post("a", 2_000, channel_id=2**70))
        gate.set()
        await blocked
        a, b, c, d, e = await waiting
        assert (a, d) == (Held("a", 20_000), Held("d", 20_000))
        assert isinstance(b, LedgerError) and isinstance(e, LedgerError)
        assert c == Refused("wallet", USD - 20_000)
        assert (await odd_row).kind == "post"
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 2_000
        await book.void(ada.void("d"))

    with_book(database_url, tmp_path, scenario)


def test_strange_text_does_not_stop_a_charge(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        await book.post(ada.post("a", 2_000, client="curl\0\ud800" + "x" * 500, path="/v1/ünï"))
        with engine.connect() as c:
            row = c.execute(text("SELECT client, path FROM call_logs")).one()
        assert row.client.startswith("curl?xxx") and len(row.client) <= 64
        assert row.path == "/v1/ünï"

    with_book(database_url, tmp_path, scenario)


def test_functions_run_in_order_and_fail_alone(database_url, tmp_path):
    async def scenario(book, engine):
        def good(c):
            c.execute(insert(meta).values(name="good", value="1"))
            return 7

        def bad(c):
            c.execute(insert(meta).values(name="bad", value="1"))
            c.execute(insert(meta).values(name="bad", value="2"))

        gate = threading.Event()
        blocked = book.run(lambda _c: gate.wait(10))
        results = asyncio.gather(book.run(good), book.run(bad), book.run(good), return_exceptions=True)
        gate.set()
        await blocked
        first, second, third = await results
        assert first == 7
        assert "IntegrityError" in type(second).__name__
        assert "IntegrityError" in type(third).__name__
        with engine.connect() as c:
            assert c.execute(text("SELECT name FROM meta")).scalars().all() == ["good"]
        assert (
            await asyncio.to_thread(book.run_blocking, lambda c: c.execute(text("SELECT 1")).scalar_one())
            == 1
        )

    with_book(database_url, tmp_path, scenario)


def test_log_rows_without_money(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        book.log(ada.record("r1", kind=5, status=403, nanos=999, quota=1))
        book.log(ada.record("r1", kind=5, status=403))
        await book.run(lambda _c: None)
        with engine.connect() as c:
            row = c.execute(text("SELECT nanos, quota, status FROM call_logs")).one()
        assert tuple(row) == (0, 0, 403)

    with_book(database_url, tmp_path, scenario)


def test_everything_queued_is_written_before_it_closes(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        for i in range(300):
            await book.hold(ada.hold(f"r{i}", 2_000))
            book.post(ada.post(f"r{i}", 2_000))
        await book.close()
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 300 * 2_000
        with pytest.raises(LedgerUnavailable):
            await book.hold(ada.hold("late", 2_000))
        with pytest.raises(LedgerUnavailable):
            await asyncio.to_thread(book.run_blocking, lambda _c: None)
        assert book.trouble()

    with_book(database_url, tmp_path, scenario)


def test_a_full_queue_refuses_holds(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        gate = threading.Event()
        entered = threading.Event()
        blocked = book.run(lambda _c: (entered.set(), gate.wait(10)))
        await asyncio.to_thread(entered.wait, 10)
        waiting = [asyncio.ensure_future(book.hold(ada.hold(f"r{i}", 2_000))) for i in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(LedgerUnavailable, match="full"):
            await book.hold(ada.hold("r9", 2_000))
        gate.set()
        await blocked
        for i, task in enumerate(waiting):
            await task
            await book.void(ada.void(f"r{i}"))

    with_book(database_url, tmp_path, scenario, limits=Limits(queue=3))


def test_a_second_book_on_sqlite_is_refused_with_the_pid(sqlite_db, tmp_path):
    import os

    async def scenario(book, engine):
        other = open_engine(sqlite_db, tmp_path)
        with pytest.raises(StoreBusy, match=str(os.getpid())):
            await Book(other).start()
        other.dispose()

    with_book(sqlite_db, tmp_path, scenario)


def test_two_books_on_postgres_share_one_wallet(postgres_url, tmp_path):
    async def scenario(book, engine):
        other = Book(engine, limits=QUICK)
        await other.start()
        ada = await funded(book, 50 * 20_000)
        results = await asyncio.gather(
            *((book, other)[i % 2].hold(ada.hold(f"r{i}", 20_000)) for i in range(200))
        )
        held = [r.id for r in results if isinstance(r, Held)]
        assert len(held) == 50
        # Each call is resolved by both at once: one of them wins.
        both = await asyncio.gather(*(b.post(ada.post(i, 2_000)) for i in held for b in (book, other)))
        assert sum(not r.repeated for r in both) == 50
        assert account(engine, ada.wallet_id)["balance_nanos"] == 50 * 18_000
        await other.close()

    with_book(postgres_url, tmp_path, scenario)


def test_audit_beside_a_running_book(database_url, tmp_path):
    async def scenario(book, engine):
        ada = await funded(book, USD)

        async def calls(n):
            for i in range(40):
                await book.hold(ada.hold(f"{n}:{i}", 4_000))
                await book.post(ada.post(f"{n}:{i}", 2_000))

        work = asyncio.gather(*(calls(n) for n in range(8)))
        reports = [await asyncio.to_thread(audit, engine) for _ in range(5)]
        await work
        assert all(r.ok for r in reports), reports

    with_book(database_url, tmp_path, scenario)
