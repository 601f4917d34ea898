"""The writer's connection: what a failure means, and a commit of which nobody knows whether it was made."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError, OperationalError
from tests.ledger.bank import NOW, QUICK, account, assert_clean, funded

from dragoman.ledger.book import Book
from dragoman.ledger.core import Credit, Held, LedgerError, Refund
from dragoman.ledger.session import answered, trouble
from dragoman.ledger.writer import LedgerUnavailable
from dragoman.store.engine import open_engine
from dragoman.store.tables import meta

USD = 10**9
STEADY = replace(QUICK, beat_s=3600.0)  # no commits but those of the test
CLOSED = psycopg.OperationalError("server closed the connection unexpectedly")
BROKEN = OSError(9, "Bad file descriptor")  # what comes from below the driver


class Line:
    """The network between the writer and PostgreSQL, which can break at a commit.

    ``after`` the server made it, ``before`` it heard of it, or ``during``: the server has it, and makes it when
    ``go_on`` is called, whatever happens to the client.
    """

    def __init__(self, monkeypatch):
        self._commit, self._close = psycopg.Connection.commit, psycopg.Connection.close
        self._when, self._error = "", CLOSED
        self._left: list[psycopg.Connection] = []
        monkeypatch.setattr(psycopg.Connection, "commit", lambda c: self._at_commit(c))
        monkeypatch.setattr(
            psycopg.Connection, "close", lambda c: None if c in self._left else self._close(c)
        )

    def breaks(self, when, error=CLOSED):
        self._when, self._error = when, error

    @property
    def broken(self):
        return not self._when

    def go_on(self):
        for connection in self._left:
            self._commit(connection)
            self._close(connection)
        self._left.clear()

    def _at_commit(self, connection):
        if not self._when or threading.current_thread().name != "ledger-writer":
            return self._commit(connection)
        when, self._when = self._when, ""
        if when == "after":
            self._commit(connection)
        if when == "during":
            connection.rollback = lambda: (_ for _ in ()).throw(CLOSED)
            self._left.append(connection)
        else:
            self._close(connection)
        raise self._error


@pytest.fixture
def line(monkeypatch):
    return Line(monkeypatch)


def run(url, tmp_path, scenario):
    engine = open_engine(url, tmp_path)

    async def main():
        book = Book(engine, limits=STEADY)
        await book.start()
        try:
            await scenario(book, engine)
        finally:
            await book.close()

    asyncio.run(main())
    assert_clean(engine)
    engine.dispose()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(QUICK.beat_s)


@pytest.mark.parametrize("error", [CLOSED, BROKEN])
@pytest.mark.parametrize("when", ["before", "after"])
def test_each_kind_of_movement_is_made_once(postgres_url, tmp_path, line, when, error):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        for name in ("posted", "voided"):
            await book.hold(ada.hold(name, 20_000))
        for send in (
            lambda: book.post(ada.post("posted", 8_000)),
            lambda: book.void(ada.void("voided")),
            lambda: book.credit(Credit(id="c", wallet_id=ada.wallet_id, amount=10_000, now=NOW)),
            lambda: book.refund(Refund(id="r", of="posted", amount=2_000, now=NOW)),
        ):
            line.breaks(when, error)
            result = await send()
            assert line.broken and result.repeated == (when == "after")
        wallet = account(engine, ada.wallet_id)
        assert (wallet["balance_nanos"], wallet["held_nanos"]) == (USD - 8_000 + 10_000 + 2_000, 0)

    run(postgres_url, tmp_path, scenario)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_hold_in_doubt_is_refused_and_does_not_stand(postgres_url, tmp_path, line, when):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        line.breaks(when)
        with pytest.raises(LedgerUnavailable):
            await book.hold(ada.hold("a", 20_000))
        await until(lambda: not book.trouble() and not book.stats()["backlog"])
        assert account(engine, ada.wallet_id)["held_nanos"] == 0
        assert await book.hold(ada.hold("b", 2_000)) == Held("b", 2_000)
        await book.void(ada.void("b"))

    run(postgres_url, tmp_path, scenario)


def waiting(engine):
    """Whether a session waits for another's lock."""
    with engine.connect() as c:
        return c.execute(text("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")).scalar_one() > 0


def test_a_commit_that_goes_on_without_us_is_waited_for(postgres_url, tmp_path, line):
    """The connection is cut while the server still works at the COMMIT: looking at once would find nothing."""

    async def scenario(book, engine):
        ada = await funded(book, USD, limit_nanos=USD)
        line.breaks("during")
        with pytest.raises(LedgerUnavailable):
            await book.hold(ada.hold("a", 20_000))
        await until(lambda: waiting(engine) or not (book.trouble() or book.stats()["backlog"]))
        await asyncio.to_thread(line.go_on)  # now it stands
        await until(lambda: not book.trouble() and not book.stats()["backlog"])
        assert (
            account(engine, ada.wallet_id)["held_nanos"] == account(engine, ada.account_id)["held_nanos"] == 0
        )
        await book.hold(ada.hold("b", 20_000))
        line.breaks("during")
        post = book.post(ada.post("b", 8_000))
        await until(lambda: waiting(engine))
        await asyncio.to_thread(line.go_on)
        assert (await post).repeated
        assert account(engine, ada.wallet_id)["balance_nanos"] == USD - 8_000

    run(postgres_url, tmp_path, scenario)


@pytest.mark.parametrize("error", [CLOSED, BROKEN])
@pytest.mark.parametrize(("when", "times"), [("before", 0), ("after", 1)])
def test_a_function_in_doubt_is_not_repeated_and_its_caller_is_told(
    postgres_url, tmp_path, line, when, times, error
):
    async def scenario(book, engine):
        ada = await funded(book, USD)
        await book.hold(ada.hold("a", 20_000))
        calls = []

        def declare(c):
            calls.append(c)
            line.breaks(when, error)
            c.execute(insert(meta).values(name=f"n{len(calls)}", value="1"))

        work, post = book.run(declare), book.post(ada.post("a", 8_000))
        with pytest.raises(LedgerUnavailable, match="may have been done"):
            await work
        assert (await post).amount == 8_000
        with engine.connect() as c:
            assert len(c.execute(text("SELECT name FROM meta")).all()) == times
        assert len(calls) == 1

    run(postgres_url, tmp_path, scenario)


def test_our_locks_do_not_outlive_us(postgres_url, tmp_path):
    async def scenario(book, engine):
        show = text("SHOW idle_in_transaction_session_timeout")
        assert await book.run(lambda c: c.execute(show).scalar_one()) == "1min"
        with engine.connect() as c:
            assert c.execute(show).scalar_one() == "0"  # the console's are left alone

    run(postgres_url, tmp_path, scenario)
    name = open_engine(postgres_url, tmp_path).url.database
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '5s'")

    async def theirs(book, _engine):
        show = text("SHOW idle_in_transaction_session_timeout")
        assert await book.run(lambda c: c.execute(show).scalar_one()) == "5s"

    run(postgres_url, tmp_path, theirs)


def wrapped(cause, invalidated=False):
    error = OperationalError("SELECT", {}, cause)
    error.connection_invalidated = invalidated
    return error


def sqlite_error(code):
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (LedgerError("x"), "poison"),
        (psycopg.errors.SerializationFailure(), "again"),
        (wrapped(psycopg.errors.DeadlockDetected()), "again"),
        (wrapped(Exception(), invalidated=True), "lost"),
        (psycopg.OperationalError("server closed the connection"), "lost"),
        (psycopg.InterfaceError("the connection is closed"), "lost"),
        (psycopg.errors.AdminShutdown(), "lost"),
        (psycopg.errors.DiskFull(), "lost"),
        (psycopg.errors.IoError(), "lost"),
        (psycopg.errors.UniqueViolation(), "poison"),
        (psycopg.errors.NumericValueOutOfRange(), "poison"),
        (sqlite_error(sqlite3.SQLITE_BUSY), "lost"),
        (sqlite_error(sqlite3.SQLITE_IOERR | 3 << 8), "lost"),
        (sqlite_error(sqlite3.SQLITE_FULL), "lost"),
        (sqlite_error(sqlite3.SQLITE_ERROR), "poison"),
        (IntegrityError("INSERT", {}, sqlite3.IntegrityError("unique")), "poison"),
        (OverflowError("int too large"), "poison"),
    ],
)
def test_what_an_error_means(error, what):
    assert trouble(error) == what


def test_whether_the_database_answered():
    assert answered(LedgerError("x"))
    assert answered(psycopg.errors.UniqueViolation())
    assert answered(wrapped(sqlite_error(sqlite3.SQLITE_CONSTRAINT)))
    assert not answered(CLOSED)
    assert not answered(BROKEN)
