"""A batch of commands in one transaction: load what they need, apply the pure rules, write what came out.

The order of reading is the order of locking on PostgreSQL, the same in every process: hold rows by id, then account
rows by id, then transfers. A hold that another process resolves meanwhile is therefore seen either open (and locked by
us) or resolved. On SQLite the transaction began IMMEDIATE and is alone.

These statements run on the driver's own cursor: SQLAlchemy's compiled cache costs 7-15 µs a statement where the cursor
costs 1-3, and a request has some fifteen of them. Their text is fixed here; column lists come from ``rows``.
"""
# ruff: noqa: S608 - statements are put together from column names of our own

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from dragoman.ledger import rows
from dragoman.ledger.core import (
    EXPIRE,
    LATE_SUFFIX,
    Account,
    Command,
    Credit,
    Hold,
    LedgerError,
    Log,
    OpenHold,
    Refund,
    Resolution,
    Result,
    State,
    Transfer,
    Void,
    apply,
)
from dragoman.store.engine import is_sqlite

Outcome = Result | LedgerError


class Cursor(Protocol):
    """What is used of a DB-API cursor."""

    def execute(self, sql: Any, parameters: Any = ..., /) -> Any: ...
    def executemany(self, sql: Any, parameters: Any, /) -> Any: ...
    def fetchall(self) -> Any: ...


class Sql:
    """The statements in one database's own parameter style. ``many`` turns a list of ids into the one parameter."""

    def __init__(self, sqlite: bool) -> None:
        self.sqlite = sqlite
        mark = "?" if sqlite else "%s"
        lock = "" if sqlite else " ORDER BY id FOR UPDATE"

        def among(kind: str) -> str:
            return f"IN (SELECT value FROM json_each({mark}))" if sqlite else f"= ANY({mark}::{kind}[])"

        def insert(table: str, columns: tuple[str, ...], conflict: str = "") -> str:
            return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))}){conflict}"

        holds = f"SELECT {', '.join(rows.HOLD_COLUMNS)} FROM holds WHERE id "
        accounts = f"SELECT {', '.join(rows.ACCOUNT_COLUMNS)} FROM accounts WHERE id "
        transfers = f"SELECT {', '.join(rows.TRANSFER_COLUMNS)} FROM transfers WHERE id "
        self.many: Callable[[Sequence[Any]], Any] = _json if sqlite else list
        self.hold, self.holds = f"{holds}= {mark}{lock}", holds + among("text") + lock
        self.account, self.accounts = f"{accounts}= {mark}{lock}", accounts + among("bigint") + lock
        self.transfer, self.transfers = f"{transfers}= {mark}", transfers + among("text")
        self.refunded = (
            f"SELECT ref, SUM(amount) FROM transfers WHERE kind = 6 AND ref {among('text')} GROUP BY ref"
        )
        self.update_account = (
            f"UPDATE accounts SET balance_nanos = balance_nanos + {mark}, held_nanos = held_nanos + {mark}, "
            f"used_nanos = used_nanos + {mark}, request_count = request_count + {mark}, "
            f"hold_count = hold_count + {mark}, last_used_at = {mark} WHERE id = {mark}"
        )
        self.delete_hold = f"DELETE FROM holds WHERE id = {mark}"
        self.insert_hold = insert("holds", rows.HOLD_COLUMNS)
        self.insert_transfer = insert("transfers", rows.TRANSFER_COLUMNS)
        # A log row that exists already is a repeated Log command; a second charge cannot get here (transfers' key).
        self.insert_log = insert("call_logs", rows.LOG_COLUMNS, " ON CONFLICT DO NOTHING")
        self.insert_detail = insert("call_details", rows.DETAIL_COLUMNS, " ON CONFLICT DO NOTHING")


def _json(values: Sequence[Any]) -> str:
    return msgspec.json.encode(values).decode()


def run(cursor: Cursor, sql: Sql, commands: Sequence[Command], lease_id: int | None) -> list[Outcome]:
    """Apply ``commands`` in order, within the transaction that the caller began. One outcome each.

    A command that breaks the rules yields its LedgerError; a database error leaves the transaction to be rolled back.
    """
    state = load(cursor, sql, commands, lease_id)
    before = {a.id: (a.balance, a.held, a.used) for a in state.accounts.values()}
    outcomes: list[Outcome] = []
    for command in commands:
        try:
            outcomes.append(apply(state, command))
        except LedgerError as error:
            outcomes.append(error)
    if sql.sqlite:
        flush(cursor, sql, state, before)
    else:
        psycopg_cursor: Any = cursor
        with psycopg_cursor.connection.pipeline():  # one round trip for all the writes
            flush(cursor, sql, state, before)
    return outcomes


def load(cursor: Cursor, sql: Sql, commands: Sequence[Command], lease_id: int | None) -> State:
    """Read, and on PostgreSQL lock, everything that ``commands`` may touch."""
    begun, ended, wallets, refunds = _needs(commands)
    doubtful = [c.id for c in commands if isinstance(c, Void) and c.doubtful is not None]
    hold_ids = sorted(begun | ended)
    holds = {row[0]: OpenHold(*row) for row in _read(cursor, sql, sql.hold, sql.holds, hold_ids)}
    missing = [
        i for i in hold_ids if i not in holds
    ]  # new holds, and resolutions of what is resolved already
    resolved = [i for i in missing if i in ended and i not in begun] + [r.of for r in refunds]
    known: dict[str, Transfer] = {}
    if resolved:  # their accounts must be known before they can be locked; transfers never change
        known = _transfers(cursor, sql, [i + suffix for i in resolved for suffix in ("", LATE_SUFFIX)])
    parties = set(wallets)
    for hold in holds.values():
        parties.add(hold.wallet_id)
        if hold.key_account_id is not None:
            parties.add(hold.key_account_id)
    for transfer in known.values():
        parties.update(a for a in (transfer.debit_id, transfer.key_account_id) if a is not None)
    accounts = {
        row[0]: Account(*row) for row in _read(cursor, sql, sql.account, sql.accounts, sorted(parties))
    }
    if doubtful:  # whoever was committing such a hold had locked its accounts: now it stands, or never will
        holds |= {row[0]: OpenHold(*row) for row in _read(cursor, sql, sql.hold, sql.holds, doubtful)}
    wanted = missing + [c.id for c in commands if type(c) is Credit or type(c) is Refund]
    # Read again what could have changed while we waited for the locks.
    wanted += [i + LATE_SUFFIX for i in resolved if (t := known.get(i)) is not None and t.kind == EXPIRE]
    known.update(_transfers(cursor, sql, wanted))
    refunded: dict[str, int] = {}
    if refunds:
        cursor.execute(sql.refunded, (sql.many([r.of for r in refunds]),))
        refunded = {ref: int(amount) for ref, amount in cursor.fetchall()}
    return State(accounts, holds, known, refunded, lease_id)


def _needs(commands: Iterable[Command]) -> tuple[set[str], set[str], set[int], list[Refund]]:
    """Ids of holds that begin, ids of holds that end, accounts named by commands, refunds."""
    begun: set[str] = set()
    ended: set[str] = set()
    parties: set[int] = set()
    refunds: list[Refund] = []
    for c in commands:
        if isinstance(c, Hold):
            begun.add(c.id)
            parties.add(c.wallet_id)
            if c.key_account_id is not None:
                parties.add(c.key_account_id)
        elif isinstance(c, Credit):
            parties.add(c.wallet_id)
        elif isinstance(c, Refund):
            refunds.append(c)
        elif not isinstance(c, Log):
            ended.add(c.id)
            if isinstance(c, Void) and c.doubtful is not None:
                parties.add(c.doubtful.wallet_id)
                if c.doubtful.key_account_id is not None:
                    parties.add(c.doubtful.key_account_id)
    return begun, ended, parties, refunds


def _read(cursor: Cursor, sql: Sql, one: str, several: str, ids: Sequence[Any]) -> Any:
    if not ids:
        return ()
    if len(ids) == 1:
        cursor.execute(one, (ids[0],))
    else:
        cursor.execute(several, (sql.many(ids),))
    return cursor.fetchall()


def _transfers(cursor: Cursor, sql: Sql, ids: Sequence[str]) -> dict[str, Transfer]:
    return {row[0]: Transfer(*row) for row in _read(cursor, sql, sql.transfer, sql.transfers, ids)}


def flush(cursor: Cursor, sql: Sql, state: State, before: dict[int, tuple[int, int, int]]) -> None:
    """Write what the rules left: balances by delta, everything else as new or deleted rows."""
    changed = []
    for a in state.accounts.values():
        balance, held, used = before[a.id]
        if a.holds or a.requests or a.balance != balance or a.held != held or a.used != used:
            changed.append(
                (a.balance - balance, a.held - held, a.used - used, a.requests, a.holds, a.last_used, a.id)
            )
    _write(cursor, sql.update_account, changed)
    if state.opened:
        _write(cursor, sql.insert_hold, [rows.hold_row(h) for h in state.opened.values()])
    if state.closed:
        _write(cursor, sql.delete_hold, [(i,) for i in state.closed])
    if state.made:
        _write(cursor, sql.insert_transfer, [rows.transfer_row(t) for t in state.made])
    if state.logs:
        _write(cursor, sql.insert_log, [rows.log_row(e) for e in state.logs])
        details = [rows.detail_row(e) for e in state.logs if e.record.detail is not None]
        _write(cursor, sql.insert_detail, details)


def _write(cursor: Cursor, statement: str, values: list[tuple[Any, ...]]) -> None:
    if len(values) == 1:
        cursor.execute(statement, values[0])
    elif values:
        cursor.executemany(statement, values)


def grant(connection: Connection, transfer_id: str, wallet_id: int, nanos: int, now: float) -> bool:
    """Credit a wallet within a transaction of the caller's (on SQLite the writer's: ``Book.run``). False: done before."""
    command = Credit(id=transfer_id, wallet_id=wallet_id, amount=nanos, now=now)
    (outcome,) = run(connection.connection.cursor(), Sql(is_sqlite(connection)), [command], None)
    if isinstance(outcome, LedgerError):
        raise outcome
    return isinstance(outcome, Resolution) and not outcome.repeated
