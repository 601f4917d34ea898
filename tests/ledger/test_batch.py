"""A batch against a real database, without the writer: what is read, what is written, how often."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.ledger.bank import NOW, account, assert_clean, open_client

from dragoman.ledger.batch import Sql, grant, run
from dragoman.ledger.core import Credit, Expire, Held, LedgerError, Log, Refund, Resolution
from dragoman.store.engine import is_sqlite, open_engine

USD = 10**9


@pytest.fixture
def engine(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path).execution_options(dragoman_write=True)
    yield engine
    engine.dispose()


class Counting:
    """A cursor that counts statements."""

    def __init__(self, cursor):
        self.cursor, self.statements = cursor, []

    @property
    def connection(self):
        return self.cursor.connection

    def execute(self, sql, parameters=()):
        self.statements.append(sql)
        return self.cursor.execute(sql, parameters)

    def executemany(self, sql, parameters):
        self.statements.append(sql)
        return self.cursor.executemany(sql, parameters)

    def fetchall(self):
        return self.cursor.fetchall()


def commit(engine, commands, lease_id=1):
    with engine.begin() as connection:
        cursor = Counting(connection.connection.cursor())
        return run(cursor, Sql(is_sqlite(engine)), commands, lease_id), cursor.statements


def test_statements_do_not_grow_with_the_batch(engine):
    with engine.begin() as connection:
        clients = [open_client(connection, f"u{i}") for i in range(20)]
        assert grant(connection, "g", clients[0].wallet_id, USD, NOW)
        assert not grant(connection, "g", clients[0].wallet_id, USD, NOW)
    commit(
        engine,
        [Credit(id=f"c{i}", wallet_id=c.wallet_id, amount=USD, now=NOW) for i, c in enumerate(clients)],
    )
    for n in (1, 20):
        held, statements = commit(engine, [c.hold(f"{n}-{c.user_id}", 4_000) for c in clients[:n]])
        assert all(isinstance(r, Held) for r in held)
        assert len(statements) == 5  # holds, accounts, transfers; balances, new holds
        posted, statements = commit(
            engine, [c.post(f"{n}-{c.user_id}", 2_000, detail=b"{}") for c in clients[:n]]
        )
        assert {r.kind for r in posted} == {"post"}
        assert len(statements) == 7  # holds, accounts; balances, holds gone, transfers, log rows, details
    assert_clean(engine)


def test_a_batch_of_everything_in_order(engine):
    with engine.begin() as connection:
        ada, bob = open_client(connection, "ada"), open_client(connection, "bob")
    outcomes, _ = commit(
        engine,
        [
            ada.hold("early", 2_000),  # before the money is there
            Credit(id="c", wallet_id=ada.wallet_id, amount=10_000, now=NOW),
            ada.hold("x", 4_000),
            ada.hold("x", 4_000),
            ada.hold("y", 2_001),
            ada.post("x", 4_000),
            Refund(id="r", of="x", amount=2_000, now=NOW),
            ada.hold("z", 4_000),
            Expire(id="z", now=NOW),
            ada.post("z", 2_000),
            ada.hold("open", 2_000),
            Log(record=bob.record("refused", kind=5)),
        ],
    )
    assert [type(o).__name__ if isinstance(o, LedgerError) else getattr(o, "kind", type(o).__name__) for o in outcomes] == [
        "Refused", "credit", "Held", "Held", "LedgerError", "post", "refund", "Held", "expire", "late", "Held", "log",
    ]  # fmt: skip
    wallet = account(engine, ada.wallet_id)
    assert (wallet["balance_nanos"], wallet["held_nanos"], wallet["used_nanos"]) == (6_000, 2_000, 4_000)
    assert_clean(engine)
    # And again in batches of their own: first results, nothing moves.
    again, _ = commit(
        engine,
        [
            ada.hold("x", 9_000_000),
            ada.post("x", 8_000),
            ada.post("z", 8_000),
            Refund(id="r", of="x", amount=2_000, now=NOW),
        ],
    )
    assert again == [
        Held("x", 4_000),
        Resolution("x", "post", 4_000, True),
        Resolution("z", "late", 2_000, True),
        Resolution("r", "refund", 2_000, True),
    ]
    (outcome,), _ = commit(engine, [Refund(id="r2", of="x", amount=4_000, now=NOW)])
    assert isinstance(outcome, LedgerError)  # the rest of the charge may be given back, not more
    assert account(engine, ada.wallet_id) == wallet
    assert_clean(engine)


def test_grant_refuses_what_is_no_amount(engine):
    with engine.begin() as connection:
        ada = open_client(connection)
        with pytest.raises(LedgerError):
            grant(connection, "g", ada.wallet_id, 1, NOW)


def test_a_log_row_costs_about_300_bytes_on_sqlite(sqlite_db, tmp_path):
    """Row and indexes together, measured over 10 000 calls with realistic values."""
    import random

    from dragoman.relay.ids import request_id

    engine = open_engine(sqlite_db, tmp_path).execution_options(dragoman_write=True)
    dice = random.Random(7)
    with engine.begin() as connection:
        ada = open_client(connection)
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        size = connection.execute(text("PRAGMA page_size")).scalar_one()
        records = []
        for i in range(10_000):
            now = NOW + i * 0.37
            record = ada.record(
                request_id(now, dice.randbytes(9)),
                now,
                model="claude-sonnet-4-6-20260114",
                model_asked="claude-sonnet-4-6" if i % 4 == 0 else "claude-sonnet-4-6-20260114",
                input_tokens=dice.randrange(200_000),
                cached_tokens=dice.randrange(100_000),
                output_tokens=dice.randrange(9_000),
                client="claude-cli/2.1.0",
                path="/v1/messages",
                client_ip="2001:db8:85a3::8a2e:370:7334",
            )
            records.append(Log(record=record))
        run(connection.connection.cursor(), Sql(True), records, 1)
        grown = (connection.execute(text("PRAGMA page_count")).scalar_one() - pages) * size
    assert grown / 10_000 <= 300
    engine.dispose()


def test_postgres_locks_holds_then_accounts_in_id_order():
    sql = Sql(sqlite=False)
    assert sql.holds.endswith("ORDER BY id FOR UPDATE")
    assert sql.accounts.endswith("ORDER BY id FOR UPDATE")
    assert "FOR UPDATE" not in Sql(sqlite=True).accounts
