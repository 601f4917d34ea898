"""What the ledger's values look like as rows: tuples in the order of the column lists here.

Text from outside is cut to a length and cleaned of what PostgreSQL refuses (NUL, lone surrogates), counts from outside
to what a column holds: a strange header or count must never be the reason why a charge cannot be written.
"""

from __future__ import annotations

from typing import Any

from dragoman.ledger.core import UNIT, CallRecord, LogEntry, OpenHold, Transfer

# Read into core.Account, whose fields stand in this order.
ACCOUNT_COLUMNS = ("id", "kind", "balance_nanos", "held_nanos", "used_nanos", "limit_nanos", "last_used_at")
HOLD_COLUMNS = (
    "id",
    "wallet_id",
    "key_account_id",
    "user_id",
    "amount",
    "lease_id",
    "deadline",
    "created_at",
)
TRANSFER_COLUMNS = (
    "id",
    "kind",
    "debit_id",
    "credit_id",
    "key_account_id",
    "amount",
    "held",
    "log_at",
    "ref",
    "created_at",
)
LOG_COLUMNS = (
    "request_id",
    "created_at",
    "user_id",
    "key_id",
    "kind",
    "model_asked",
    "model",
    "channel_id",
    "grp",
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "quota",
    "nanos",
    "latency_ms",
    "first_byte_ms",
    "stream",
    "client_ip",
    "client",
    "method",
    "path",
    "status",
    "estimated",
)
DETAIL_COLUMNS = ("created_at", "request_id", "detail")

_NAME, _PATH, _NOTE = 200, 200, 200
_MS, _COUNT = 2**31 - 1, 2**63 - 1  # what the columns hold
_SMALL, _DATE = 2**15 - 1, 2**40
# Members of a record, and the most that a column holds with what is written instead of something else.
_TEXTS = {
    "model_asked": _NAME,
    "model": _NAME,
    "group": _NAME,
    "client_ip": 45,
    "client": 64,
    "method": 16,
    "path": _PATH,
}
_NUMBERS: dict[str, tuple[int, int | None]] = {
    "created_at": (_DATE, None),
    "user_id": (_COUNT, 0),
    "key_id": (_COUNT, None),
    "channel_id": (_COUNT, None),
    "kind": (_SMALL, 2),
    "input_tokens": (_COUNT, 0),
    "cached_tokens": (_COUNT, 0),
    "cache_write_tokens": (_COUNT, 0),
    "output_tokens": (_COUNT, 0),
    "reasoning_tokens": (_COUNT, 0),
    "latency_ms": (_MS, 0),
    "first_byte_ms": (_MS, None),
    "status": (_SMALL, 0),
}


def clean(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` characters, storable everywhere."""
    if len(text) > limit:
        text = text[:limit]
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def plain(record: CallRecord, now: float) -> CallRecord:
    """What is certainly storable of a record that could not be stored: no detail, plain text, numbers that fit."""
    values: dict[str, Any] = {"request_id": _plain(record.request_id, _NAME), "detail": None}
    for name, limit in _TEXTS.items():
        values[name] = _plain(getattr(record, name), limit)
    for name, (most, otherwise) in _NUMBERS.items():
        value = getattr(record, name)
        fits = type(value) is int and 0 <= value <= most
        values[name] = value if fits else otherwise
    if values["created_at"] is None:
        values["created_at"] = int(now)
    return CallRecord(stream=record.stream is True, estimated=record.estimated is True, **values)


def _plain(value: object, limit: int) -> str:
    """Printable ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in value[:limit]) if isinstance(value, str) else ""


def hold_row(h: OpenHold) -> tuple[Any, ...]:
    """A row of ``holds``."""
    return (h.id, h.wallet_id, h.key_account_id, h.user_id, h.amount, h.lease_id, h.deadline, h.created_at)


def transfer_row(t: Transfer) -> tuple[Any, ...]:
    """A row of ``transfers``."""
    ref = t.ref if t.ref is None else clean(t.ref, _NOTE)
    return (
        t.id,
        t.kind,
        t.debit_id,
        t.credit_id,
        t.key_account_id,
        t.amount,
        t.held,
        t.log_at,
        ref,
        t.created_at,
    )


def log_row(entry: LogEntry) -> tuple[Any, ...]:
    """A row of ``call_logs``: what was charged comes from the ledger, the rest from the record."""
    r = entry.record
    return (
        entry.id,
        r.created_at,
        r.user_id,
        r.key_id,
        r.kind,
        clean(r.model_asked, _NAME) if r.model_asked != r.model else None,
        clean(r.model, _NAME),
        r.channel_id,
        clean(r.group, _NAME),
        min(r.input_tokens, _COUNT),
        min(r.cached_tokens, _COUNT),
        min(r.cache_write_tokens, _COUNT),
        min(r.output_tokens, _COUNT),
        min(r.reasoning_tokens, _COUNT),
        entry.nanos // UNIT,
        entry.nanos,
        min(r.latency_ms, _MS),
        r.first_byte_ms if r.first_byte_ms is None else min(r.first_byte_ms, _MS),
        r.stream,
        clean(r.client_ip, 45),
        clean(r.client, 64),
        clean(r.method, 16),
        clean(r.path, _PATH),
        r.status,
        r.estimated,
    )


def detail_row(entry: LogEntry) -> tuple[Any, ...]:
    """A row of ``call_details``; the entry's record must have a detail."""
    return (entry.record.created_at, entry.id, entry.record.detail)
