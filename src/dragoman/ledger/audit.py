"""The audit: every balance recomputed from transfers, open holds and log rows. Reads only, in one snapshot.

Each check is a query that returns what is wrong; a clean ledger returns nothing. It may run beside a live server.
Holds that ended without a bill because their process died are no difference: they are listed as unbilled exposure.
"""

# ruff: noqa: S608 - statements are put together from constants of our own

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Engine, text

from dragoman.ledger.core import CREDIT, EXPIRE, FUNDING, LATE, LATE_SUFFIX, POST, REFUND, REVENUE, UNIT, VOID
from dragoman.store.engine import is_sqlite
from dragoman.store.records import logs_kept_since
from dragoman.store.tables import KEY, WALLET

MAX_FINDINGS = 50  # of one kind; a broken ledger may have millions
MAX_EXPOSURES = 100


class Finding(Struct, frozen=True):
    """One difference. ``subject``: the account, transfer, hold or request concerned."""

    kind: str
    subject: str
    message: str


class Exposure(Struct, frozen=True):
    """A hold that expired without a bill: its process died. ``held``: nanos, the most the call may have cost."""

    hold_id: str
    wallet_id: int
    held: int
    expired_at: int
    reason: str


class AuditReport(Struct, frozen=True):
    """``ok``: there is no finding. ``counts``: rows looked at, and sums in nanos."""

    ok: bool
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    exposures: tuple[Exposure, ...]


_SUFFIX = LATE_SUFFIX.replace(":", "\\:")  # a colon begins a parameter in SQLAlchemy's text()

# What each transfer does to the wallet it names, and to the key it names. One row per (transfer, wallet).
_WALLET_FLOWS = f"""
    SELECT debit_id AS account_id, -amount AS balance,
           CASE WHEN kind IN ({POST}, {LATE}) THEN amount ELSE 0 END AS used,
           CASE WHEN kind IN ({POST}, {LATE}) THEN 1 ELSE 0 END AS requests,
           CASE WHEN kind IN ({POST}, {VOID}, {EXPIRE}) THEN 1 ELSE 0 END AS resolved
    FROM transfers WHERE debit_id NOT IN ({FUNDING}, {REVENUE})
    UNION ALL
    SELECT credit_id, amount, CASE WHEN kind = {REFUND} THEN -amount ELSE 0 END, 0, 0
    FROM transfers WHERE credit_id NOT IN ({FUNDING}, {REVENUE})
"""
_KEY_FLOWS = f"""
    SELECT key_account_id AS account_id, 0 AS balance,
           CASE WHEN kind IN ({POST}, {LATE}) THEN amount WHEN kind = {REFUND} THEN -amount ELSE 0 END AS used,
           CASE WHEN kind IN ({POST}, {LATE}) THEN 1 ELSE 0 END AS requests,
           CASE WHEN kind IN ({POST}, {VOID}, {EXPIRE}) THEN 1 ELSE 0 END AS resolved
    FROM transfers WHERE key_account_id IS NOT NULL
"""


def _balances(kind: int, flows: str, holder: str) -> str:
    return f"""
    SELECT a.id, a.balance_nanos, COALESCE(f.balance, 0), a.used_nanos, COALESCE(f.used, 0),
           a.held_nanos, COALESCE(h.held, 0), a.request_count, COALESCE(f.requests, 0),
           a.hold_count, COALESCE(f.resolved, 0) + COALESCE(h.n, 0)
    FROM accounts a
    LEFT JOIN (SELECT account_id, SUM(balance) AS balance, SUM(used) AS used, SUM(requests) AS requests,
                      SUM(resolved) AS resolved FROM ({flows}) AS x GROUP BY account_id) AS f ON f.account_id = a.id
    LEFT JOIN (SELECT {holder} AS account_id, SUM(amount) AS held, COUNT(*) AS n FROM holds GROUP BY {holder}) AS h
           ON h.account_id = a.id
    WHERE a.kind = {kind} AND (
        a.balance_nanos <> COALESCE(f.balance, 0) OR a.used_nanos <> COALESCE(f.used, 0)
        OR a.held_nanos <> COALESCE(h.held, 0) OR a.request_count <> COALESCE(f.requests, 0)
        OR a.hold_count <> COALESCE(f.resolved, 0) + COALESCE(h.n, 0))
    """


_COMPARED = ("balance", "used", "held", "requests", "holds")


def _explain_balance(what: str) -> Callable[[Any], tuple[str, str]]:
    def explain(row: Any) -> tuple[str, str]:
        pairs = zip(_COMPARED, row[1::2], row[2::2], strict=True)
        differences = [
            f"{name} is {stored}, should be {int(right)}" for name, stored, right in pairs if stored != right
        ]
        return f"{what} {row[0]}", "; ".join(differences)

    return explain


_HOLD_ID = f"CASE WHEN t.kind = {LATE} THEN t.ref ELSE t.id END"

# name, query, what a returned row means. ``:since``: log rows older than that were dropped by retention.
_CHECKS: tuple[tuple[str, str, Callable[[Any], tuple[str, str]]], ...] = (
    ("wallet", _balances(WALLET, _WALLET_FLOWS, "wallet_id"), _explain_balance("wallet")),
    ("key budget", _balances(KEY, _KEY_FLOWS, "key_account_id"), _explain_balance("key account")),
    (
        "parties",
        f"""
        SELECT t.id, t.kind, t.debit_id, t.credit_id, t.key_account_id FROM transfers t
        LEFT JOIN accounts d ON d.id = t.debit_id LEFT JOIN accounts c ON c.id = t.credit_id
        LEFT JOIN accounts k ON k.id = t.key_account_id
        WHERE d.id IS NULL OR c.id IS NULL OR (t.key_account_id IS NOT NULL AND (k.id IS NULL OR k.kind <> {KEY}))
           OR NOT ((t.kind IN ({POST}, {VOID}, {EXPIRE}, {LATE}) AND d.kind = {WALLET} AND t.credit_id = {REVENUE})
                OR (t.kind = {REFUND} AND t.debit_id = {REVENUE} AND c.kind = {WALLET})
                OR (t.kind = {CREDIT} AND ((t.debit_id = {FUNDING} AND c.kind = {WALLET})
                                        OR (t.credit_id = {FUNDING} AND d.kind = {WALLET}))))
        """,
        lambda r: (f"transfer {r[0]}", f"kind {r[1]} cannot go from {r[2]} to {r[3]} (key account {r[4]})"),
    ),
    (
        "amount",
        f"""
        SELECT id, kind, amount FROM transfers
        WHERE amount < 0 OR amount % {UNIT} <> 0 OR (kind IN ({VOID}, {EXPIRE}) AND amount <> 0)
        """,
        lambda r: (f"transfer {r[0]}", f"kind {r[1]} cannot be {r[2]} nanos"),
    ),
    (
        "refund",
        f"""
        SELECT r.ref, r.amount, COALESCE(p.amount, 0) FROM
            (SELECT ref, SUM(amount) AS amount FROM transfers WHERE kind = {REFUND} GROUP BY ref) AS r
        LEFT JOIN (SELECT {_HOLD_ID} AS hold_id, t.amount FROM transfers t WHERE t.kind IN ({POST}, {LATE})) AS p
               ON p.hold_id = r.ref
        WHERE p.amount IS NULL OR r.amount > p.amount
        """,
        lambda r: (f"request {r[0]}", f"{int(r[1])} nanos were refunded of a charge of {r[2]}"),
    ),
    (
        "late post",
        f"""
        SELECT t.id, t.ref FROM transfers t LEFT JOIN transfers e ON e.id = t.ref AND e.kind = {EXPIRE}
        WHERE t.kind = {LATE} AND (e.id IS NULL OR t.id <> t.ref || '{_SUFFIX}')
        """,
        lambda r: (f"transfer {r[0]}", f"a late post, but {r[1]} never expired"),
    ),
    (
        "hold",
        f"""
        SELECT h.id, t.id, h.amount FROM holds h LEFT JOIN transfers t ON t.id = h.id
        LEFT JOIN accounts w ON w.id = h.wallet_id AND w.kind = {WALLET}
        WHERE t.id IS NOT NULL OR w.id IS NULL OR h.amount < 0 OR h.amount % {UNIT} <> 0
        """,
        lambda r: (
            f"hold {r[0]}",
            "is open and resolved" if r[1] else f"of {r[2]} nanos on no wallet of ours",
        ),
    ),
    (
        "missing log",
        f"""
        SELECT t.id, t.amount, l.nanos FROM transfers t
        LEFT JOIN call_logs l ON l.request_id = {_HOLD_ID} AND l.created_at = t.log_at
        WHERE t.kind IN ({POST}, {VOID}, {LATE}) AND (
            (t.kind <> {VOID} AND t.log_at IS NULL)
            OR (t.log_at >= :since AND (l.request_id IS NULL OR l.nanos <> t.amount)))
        """,
        lambda r: (
            f"transfer {r[0]}",
            f"charges {r[1]} nanos, its log row " + ("is missing" if r[2] is None else f"says {r[2]}"),
        ),
    ),
    (
        "log",
        f"""
        SELECT l.request_id, l.nanos, l.quota, p.amount FROM call_logs l
        LEFT JOIN (SELECT {_HOLD_ID} AS hold_id, t.log_at, t.amount FROM transfers t WHERE t.kind IN ({POST}, {LATE})) AS p
               ON p.hold_id = l.request_id AND p.log_at = l.created_at
        WHERE l.quota * {UNIT} <> l.nanos OR (l.nanos <> 0 AND (p.amount IS NULL OR p.amount <> l.nanos))
        """,
        lambda r: (
            f"request {r[0]}",
            f"the log says {r[1]} nanos and {r[2]} units, the transfer {r[3] or 'nothing'}",
        ),
    ),
    (
        "log owner",
        f"""
        SELECT l.request_id, l.user_id, l.key_id, t.debit_id, t.key_account_id
        FROM (SELECT {_HOLD_ID} AS hold_id, t.log_at, t.debit_id, t.key_account_id FROM transfers t
              WHERE t.log_at IS NOT NULL) AS t
        JOIN call_logs l ON l.request_id = t.hold_id AND l.created_at = t.log_at
        LEFT JOIN users u ON u.id = l.user_id LEFT JOIN keys k ON k.id = l.key_id
        WHERE u.id IS NULL OR u.wallet_id <> t.debit_id
              OR (l.key_id IS NOT NULL AND t.key_account_id IS NOT NULL
                  AND (k.id IS NULL OR k.account_id <> t.key_account_id))
        """,
        lambda r: (
            f"request {r[0]}",
            f"logged for user {r[1]} and key {r[2]}, charged to wallet {r[3]} and key account {r[4]}",
        ),
    ),
)

_COUNTS = f"""
    SELECT 'accounts', COUNT(*) FROM accounts
    UNION ALL SELECT 'transfers', COUNT(*) FROM transfers
    UNION ALL SELECT 'log_rows', COUNT(*) FROM call_logs
    UNION ALL SELECT 'open_holds', COUNT(*) FROM holds
    UNION ALL SELECT 'open_holds_nanos', COALESCE(SUM(amount), 0) FROM holds
    UNION ALL SELECT 'credited_nanos', COALESCE(SUM(CASE WHEN debit_id = {FUNDING} THEN amount ELSE -amount END), 0)
              FROM transfers WHERE kind = {CREDIT}
    UNION ALL SELECT 'charged_nanos', COALESCE(SUM(amount), 0) FROM transfers WHERE kind IN ({POST}, {LATE})
    UNION ALL SELECT 'refunded_nanos', COALESCE(SUM(amount), 0) FROM transfers WHERE kind = {REFUND}
    UNION ALL SELECT 'late_posts', COUNT(*) FROM transfers WHERE kind = {LATE}
"""
_UNBILLED = f"""
    FROM transfers t LEFT JOIN transfers p ON p.id = t.id || '{_SUFFIX}'
    WHERE t.kind = {EXPIRE} AND p.id IS NULL
"""


def audit(engine: Engine) -> AuditReport:
    """Recompute everything. Raises the database's errors; differences are findings."""
    with engine.connect() as connection:
        if not is_sqlite(engine):  # on SQLite a read transaction is a snapshot already
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            return _audit(connection)


def _audit(connection: Connection) -> AuditReport:
    since = logs_kept_since(connection)
    findings: list[Finding] = []
    for kind, query, explain in _CHECKS:
        statement = text(f"{query} LIMIT {MAX_FINDINGS}")
        parameters = {"since": since} if ":since" in query else {}
        findings += [Finding(kind, *explain(row)) for row in connection.execute(statement, parameters)]
    counts = {name: int(value) for name, value in connection.execute(text(_COUNTS))}
    number, held = connection.execute(text(f"SELECT COUNT(*), COALESCE(SUM(t.held), 0) {_UNBILLED}")).one()
    counts |= {"unbilled_holds": int(number), "unbilled_nanos": int(held)}
    newest = text(
        f"SELECT t.id, t.debit_id, t.held, t.created_at, t.ref {_UNBILLED} "
        f"ORDER BY t.created_at DESC, t.id DESC LIMIT {MAX_EXPOSURES}"
    )
    exposures = [
        Exposure(i, wallet, held or 0, at, ref or "")
        for i, wallet, held, at, ref in connection.execute(newest)
    ]
    return AuditReport(not findings, tuple(findings), counts, tuple(exposures))
