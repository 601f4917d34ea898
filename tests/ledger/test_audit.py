"""The audit notices whatever is changed by hand, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from tests.ledger.bank import NOW, QUICK, funded

from dragoman.ledger.audit import audit
from dragoman.ledger.batch import Sql, run
from dragoman.ledger.book import Book
from dragoman.ledger.core import Credit, Expire, Refund
from dragoman.store.engine import is_sqlite, open_engine
from dragoman.store.records import purge_logs

USD = 10**9


def expire(connection, hold_id):
    run(
        connection.connection.cursor(),
        Sql(is_sqlite(connection)),
        [Expire(id=hold_id, reason="process died", now=NOW)],
        None,
    )


async def business(book):
    """A little of everything: posted, voided, open, expired, late, refunded."""
    ada = await funded(book, USD, "ada")
    bob = await funded(book, USD, "bob", limit_nanos=USD)
    for client, tag in ((ada, "a"), (bob, "b")):
        for what in ("posted", "voided", "open", "expired", "late"):
            await book.hold(client.hold(f"{tag}-{what}", 20_000))
        await book.post(client.post(f"{tag}-posted", 8_000, detail=b"{}"))
        await book.void(client.void(f"{tag}-voided"))
        await book.run(lambda c, tag=tag: (expire(c, f"{tag}-expired"), expire(c, f"{tag}-late")))
        await book.post(client.post(f"{tag}-late", 6_000))
        await book.refund(Refund(id=f"{tag}-refund", of=f"{tag}-posted", amount=2_000, now=NOW))
        await book.credit(Credit(id=f"{tag}-correction", wallet_id=client.wallet_id, amount=-4_000, now=NOW))
        book.log(client.record(f"{tag}-refused", kind=5, status=403))
    return ada, bob


@pytest.fixture
def ledger(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path)

    async def main():
        book = Book(engine, limits=QUICK)
        await book.start()
        people = await business(book)
        await book.close()
        return people

    people = asyncio.run(main())
    yield engine, people
    engine.dispose()


def test_clean_books_and_what_they_hold(ledger):
    engine, (ada, _bob) = ledger
    report = audit(engine)
    assert report.ok, report.findings
    assert report.counts["open_holds"] == 2
    assert report.counts["open_holds_nanos"] == 40_000
    assert report.counts["credited_nanos"] == 2 * (USD - 4_000)
    assert report.counts["charged_nanos"] == 2 * 14_000
    assert report.counts["refunded_nanos"] == 2 * 2_000
    assert report.counts["late_posts"] == 2
    assert report.counts["log_rows"] == 2 * 4
    assert report.counts["unbilled_holds"] == 2
    assert report.counts["unbilled_nanos"] == 40_000
    exposure = next(e for e in report.exposures if e.hold_id == "a-expired")
    assert (exposure.wallet_id, exposure.held, exposure.reason) == (ada.wallet_id, 20_000, "process died")


TAMPERING = {
    "balance": ("wallet", "UPDATE accounts SET balance_nanos = balance_nanos + 2000 WHERE id = :wallet"),
    "wallet used": ("wallet", "UPDATE accounts SET used_nanos = 0 WHERE id = :wallet"),
    "wallet held": ("wallet", "UPDATE accounts SET held_nanos = 0 WHERE id = :wallet"),
    "wallet requests": ("wallet", "UPDATE accounts SET request_count = 99 WHERE id = :wallet"),
    "wallet holds": ("wallet", "UPDATE accounts SET hold_count = 99 WHERE id = :wallet"),
    "key used": ("key budget", "UPDATE accounts SET used_nanos = 0 WHERE id = :key"),
    "key held": ("key budget", "UPDATE accounts SET held_nanos = 0 WHERE id = :key"),
    "wallet deleted": ("parties", "DELETE FROM accounts WHERE id = :wallet"),
    "hold deleted": ("wallet", "DELETE FROM holds WHERE id = 'a-open'"),
    "hold changed": ("wallet", "UPDATE holds SET amount = 2000 WHERE id = 'a-open'"),
    "hold moved": ("wallet", "UPDATE holds SET wallet_id = :other WHERE id = 'a-open'"),
    "hold invented": ("hold", "INSERT INTO holds (id, wallet_id, user_id, amount, created_at) VALUES ('a-posted', :wallet, 1, 0, 1)"),
    "hold on nothing": ("hold", "INSERT INTO holds (id, wallet_id, user_id, amount, created_at) VALUES ('x', 12345, 1, 2000, 1)"),
    "post changed": ("wallet", "UPDATE transfers SET amount = 10000 WHERE id = 'a-posted'"),
    "post deleted": ("log", "DELETE FROM transfers WHERE id = 'a-posted'"),
    "post moved": ("wallet", "UPDATE transfers SET debit_id = :other WHERE id = 'a-posted'"),
    "post's key moved": ("key budget", "UPDATE transfers SET key_account_id = :other_key WHERE id = 'a-posted'"),
    "post's kind": ("amount", "UPDATE transfers SET kind = 2 WHERE id = 'a-posted'"),
    "post without log": ("missing log", "UPDATE transfers SET log_at = NULL WHERE id = 'a-posted'"),
    "odd amount": ("amount", "UPDATE transfers SET amount = 8001 WHERE id = 'a-posted'"),
    "void deleted": ("wallet", "DELETE FROM transfers WHERE id = 'a-voided'"),
    "expiry deleted": ("late post", "DELETE FROM transfers WHERE id = 'a-late'"),
    "late deleted": ("log", "DELETE FROM transfers WHERE id = 'a-late:late'"),
    "credit deleted": ("wallet", "DELETE FROM transfers WHERE id = 'fund:ada'"),
    "credit changed": ("wallet", "UPDATE transfers SET amount = amount + 2000 WHERE id = 'fund:ada'"),
    "credit from a user": ("parties", "UPDATE transfers SET debit_id = :other WHERE id = 'fund:ada'"),
    "refund deleted": ("wallet", "DELETE FROM transfers WHERE id = 'a-refund'"),
    "refund too large": ("refund", "UPDATE transfers SET amount = 10000 WHERE id = 'a-refund'"),
    "log changed": ("missing log", "UPDATE call_logs SET nanos = 2000, quota = 1 WHERE request_id = 'a-posted'"),
    "log's quota": ("log", "UPDATE call_logs SET quota = 1 WHERE request_id = 'a-posted'"),
    "log deleted": ("missing log", "DELETE FROM call_logs WHERE request_id = 'a-posted'"),
    "void's log deleted": ("missing log", "DELETE FROM call_logs WHERE request_id = 'a-voided'"),
    "log invented": ("log", "UPDATE call_logs SET nanos = 2000, quota = 1 WHERE request_id = 'a-refused'"),
    "log's user": ("log owner", "UPDATE call_logs SET user_id = :other_user WHERE request_id = 'a-posted'"),
    "log's key": ("log owner", "UPDATE call_logs SET key_id = :other_key_id WHERE request_id = 'a-posted'"),
    "user's wallet": ("log owner", "UPDATE users SET wallet_id = :other WHERE id = :user"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found(ledger, what):
    engine, (ada, bob) = ledger
    kind, statement = TAMPERING[what]
    names = {
        "wallet": ada.wallet_id,
        "key": ada.account_id,
        "user": ada.user_id,
        "other": bob.wallet_id,
        "other_key": bob.account_id,
        "other_user": bob.user_id,
        "other_key_id": bob.key_id,
    }
    with engine.begin() as connection:
        if is_sqlite(engine):
            for trigger in ("transfers_no_update", "transfers_no_delete"):
                connection.execute(text(f"DROP TRIGGER {trigger}"))
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        else:
            connection.execute(text("ALTER TABLE transfers DISABLE TRIGGER USER"))
            connection.execute(text("ALTER TABLE users DROP CONSTRAINT fk_users_wallet_id"))
        if is_sqlite(engine) and what == "wallet deleted":
            connection.execute(
                text("UPDATE users SET wallet_id = :other WHERE id = :user"),
                {"other": names["other"], "user": names["user"]},
            )
        used = {k: v for k, v in names.items() if f":{k}" in statement}
        connection.execute(
            text(statement.replace("a-late:late", "a-late\\:late").replace("fund:ada", "fund\\:ada")), used
        )
    report = audit(engine)
    assert not report.ok
    assert kind in {f.kind for f in report.findings}, report.findings


def test_logs_dropped_by_retention_are_not_missed(ledger):
    engine, _ = ledger
    with engine.execution_options(dragoman_write=True).begin() as connection:
        assert purge_logs(connection, NOW + 1) > 0
    report = audit(engine)
    assert report.ok, report.findings
    assert report.counts["log_rows"] == 0
