"""The ledger's rules, pure: commands in, results and rows to write out.

``apply(state, command)`` changes ``State`` in memory: accounts, open holds, and the lists of what has to be written.
``State`` is loaded with the rows that a batch of commands needs (``batch`` does it, under the right locks).
Amounts are integer nanos, multiples of UNIT; times are unix seconds given by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

UNIT: Final = 2000  # nanos in one quota unit, the smallest amount that moves

MAX_AMOUNT: Final = UNIT * 10**14  # 200 million USD in one movement; sums stay within 64 bits

# transfers.kind
POST: Final = 1
VOID: Final = 2
EXPIRE: Final = 3
LATE: Final = 4
CREDIT: Final = 5
REFUND: Final = 6
KIND_NAMES: Final[Mapping[int, str]] = {
    POST: "post",
    VOID: "void",
    EXPIRE: "expire",
    LATE: "late",
    CREDIT: "credit",
    REFUND: "refund",
}
# System accounts: money enters through funding and ends in revenue. (Fixed ids, made by the first migration.)
FUNDING: Final = 1
REVENUE: Final = 2

LATE_SUFFIX: Final = ":late"


class LedgerError(Exception):
    """A command that no correct caller sends: an unknown account, an amount that is not whole units, a refund too large."""


# ------------------------------------------------------------------------------------------------------------ commands


class CallRecord(Struct, frozen=True, kw_only=True):
    """One call as its log row tells it. ``kind`` 2 consumption, 5 error; ``detail``: JSON for ``call_details``.

    Token counts, milliseconds, unix seconds. ``quota`` and ``nanos`` are overwritten by what the ledger really charged.
    """

    request_id: str
    created_at: int
    user_id: int
    key_id: int | None = None
    model_asked: str = ""
    model: str = ""
    channel_id: int | None = None
    group: str = ""
    kind: int = 2
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    quota: int = 0
    nanos: int = 0
    latency_ms: int = 0
    first_byte_ms: int | None = None
    stream: bool = False
    client_ip: str = ""
    client: str = ""
    method: str = ""
    path: str = ""
    status: int = 0
    estimated: bool = False
    detail: bytes | None = None


class Hold(Struct, frozen=True, kw_only=True):
    """Reserve ``amount`` on the wallet and on the key's budget, both or neither.

    A call's hold lives as long as its process's lease. A task's (``task=True``) outlives the process and expires at
    ``deadline``, which means nothing otherwise.
    """

    id: str
    wallet_id: int
    key_account_id: int | None = None
    amount: int
    user_id: int
    now: float
    deadline: float = 0.0
    task: bool = False


class Post(Struct, frozen=True, kw_only=True):
    """Charge ``amount`` for the hold ``id``, more or less than was held, and write the call's log row.

    ``record`` None: its log row could not be written, and the charge must be all the same (see ``salvage``).
    """

    id: str
    amount: int
    record: CallRecord | None
    now: float


class Void(Struct, frozen=True, kw_only=True):
    """Release the hold ``id``; nothing is charged. ``record``: the failed call's log row.

    ``doubtful``: the hold itself, whose commit nobody saw. It may be on its way still, so its accounts are waited for.
    """

    id: str
    reason: str = ""
    record: CallRecord | None = None
    now: float
    doubtful: Hold | None = None


class Expire(Struct, frozen=True, kw_only=True):
    """Release a hold whose process died or whose deadline passed. What was held is listed as unbilled exposure."""

    id: str
    now: float
    reason: str = ""


class Credit(Struct, frozen=True, kw_only=True):
    """Add ``amount`` to a wallet; a negative amount takes away (a correction). Idempotent by ``id``."""

    id: str
    wallet_id: int
    amount: int
    now: float
    note: str = ""
    record: CallRecord | None = None


class Refund(Struct, frozen=True, kw_only=True):
    """Give back ``amount`` of what the hold ``of`` was charged. All refunds together may not exceed it."""

    id: str
    of: str
    amount: int
    now: float
    record: CallRecord | None = None


class Log(Struct, frozen=True, kw_only=True):
    """A log row without money: a call that failed before its hold. A row that exists already is left alone."""

    record: CallRecord


Command = Hold | Post | Void | Expire | Credit | Refund | Log


# ------------------------------------------------------------------------------------------------------------- results


class Held(Struct, frozen=True):
    """The hold stands."""

    id: str
    amount: int


class Refused(Struct, frozen=True):
    """The hold does not stand; nothing was changed. ``available``: nanos that could have been held, maybe below zero."""

    reason: Literal["wallet", "key"]
    available: int


class Resolution(Struct, frozen=True):
    """How a hold ended, or that a credit or refund was made.

    ``kind``: post, void, expire, late, credit, refund, log, or ``unknown`` (there is no such hold: nothing was done).
    ``amount``: nanos moved. ``repeated``: it was made by an earlier command with this id; this one changed nothing.
    """

    id: str
    kind: str
    amount: int
    repeated: bool = False


Result = Held | Refused | Resolution


# --------------------------------------------------------------------------------------------------------------- state


class Account(Struct):
    """A wallet or a key's budget, as loaded and then changed. ``requests`` and ``holds`` count from zero in a batch."""

    id: int
    kind: int
    balance: int
    held: int
    used: int
    limit: int | None = None
    last_used: int | None = None
    requests: int = 0
    holds: int = 0


class OpenHold(Struct, frozen=True):
    """A row of ``holds``."""

    id: str
    wallet_id: int
    key_account_id: int | None
    user_id: int
    amount: int
    lease_id: int | None
    deadline: int | None
    created_at: int


class Transfer(Struct, frozen=True):
    """A row of ``transfers``; the field order is the column order."""

    id: str
    kind: int
    debit_id: int
    credit_id: int
    key_account_id: int | None
    amount: int
    held: int | None
    log_at: int | None
    ref: str | None
    created_at: int


class LogEntry(Struct, frozen=True):
    """A log row to write: the record, under the hold's id, and what was really charged."""

    id: str
    record: CallRecord
    nanos: int


class State:
    """What a batch of commands reads, and what it leaves to be written. Changes are made in place."""

    __slots__ = ("accounts", "closed", "holds", "lease_id", "logs", "made", "opened", "refunded", "transfers")

    def __init__(
        self,
        accounts: dict[int, Account],
        holds: dict[str, OpenHold],
        transfers: dict[str, Transfer],
        refunded: dict[str, int],
        lease_id: int | None,
    ) -> None:
        self.accounts = accounts
        self.holds = holds  # open, by id
        self.transfers = transfers  # by id
        self.refunded = refunded  # hold id -> nanos given back so far
        self.lease_id = lease_id
        self.opened: dict[str, OpenHold] = {}  # to insert
        self.closed: list[str] = []  # to delete
        self.made: list[Transfer] = []  # to insert
        self.logs: list[LogEntry] = []  # to insert

    def account(self, account_id: int) -> Account:
        try:
            return self.accounts[account_id]
        except KeyError:
            raise LedgerError(f"there is no account {account_id}") from None


def apply(state: State, command: Command) -> Result:
    """Apply one command. Raises LedgerError, and then nothing has changed."""
    return _RULES[type(command)](state, command)


def _hold(state: State, c: Hold) -> Result:
    first = state.holds.get(c.id)
    if first is not None:
        return Held(c.id, first.amount)
    resolved = state.transfers.get(c.id)
    if resolved is not None:
        return Held(c.id, resolved.held or 0)
    amount = _whole(c.amount)
    wallet = state.account(c.wallet_id)
    key = None if c.key_account_id is None else state.account(c.key_account_id)
    if amount:  # free calls are admitted whatever the balance
        available = wallet.balance - wallet.held
        if available < amount:
            return Refused("wallet", available)
        if key is not None and key.limit is not None:
            available = key.limit - key.used - key.held
            if available < amount:
                return Refused("key", available)
    now = int(c.now)
    hold = OpenHold(
        c.id,
        c.wallet_id,
        c.key_account_id,
        c.user_id,
        amount,
        None if c.task else state.lease_id,
        int(c.deadline) if c.task else None,
        now,
    )
    for account in (wallet,) if key is None else (wallet, key):
        account.held += amount
        account.holds += 1
        account.last_used = now
    state.holds[c.id] = state.opened[c.id] = hold
    return Held(c.id, amount)


def _post(state: State, c: Post) -> Result:
    amount = _whole(c.amount)
    hold = state.holds.get(c.id)
    if hold is not None:
        return _resolve(state, hold, POST, amount, c.record, None, c.now)
    first = state.transfers.get(c.id)
    if first is None:
        return Resolution(c.id, "unknown", 0)
    if first.kind != EXPIRE:
        return Resolution(c.id, KIND_NAMES[first.kind], first.amount, True)
    late = state.transfers.get(c.id + LATE_SUFFIX)
    if late is not None:
        return Resolution(c.id, "late", late.amount, True)
    accounts = _parties(state, first.debit_id, first.key_account_id)
    _charge(accounts, amount)
    _record(state, LATE, c.id + LATE_SUFFIX, first, amount, None, c.record, c.id, c.now)
    return Resolution(c.id, "late", amount)


def _void(state: State, c: Void) -> Result:
    return _release(state, c.id, VOID, c.record, c.reason, c.now)


def _expire(state: State, c: Expire) -> Result:
    return _release(state, c.id, EXPIRE, None, c.reason, c.now)


def _release(
    state: State, hold_id: str, kind: int, record: CallRecord | None, reason: str, now: float
) -> Result:
    hold = state.holds.get(hold_id)
    if hold is not None:
        return _resolve(state, hold, kind, 0, record, reason or None, now)
    first = state.transfers.get(hold_id)
    if first is None:
        return Resolution(hold_id, "unknown", 0)
    late = state.transfers.get(hold_id + LATE_SUFFIX)
    if late is not None:
        return Resolution(hold_id, "late", late.amount, True)
    return Resolution(hold_id, KIND_NAMES[first.kind], first.amount, True)


def _resolve(
    state: State,
    hold: OpenHold,
    kind: int,
    amount: int,
    record: CallRecord | None,
    ref: str | None,
    now: float,
) -> Resolution:
    """End an open hold: release what it reserved, charge ``amount``, write the transfer and the log row."""
    accounts = _parties(state, hold.wallet_id, hold.key_account_id)
    for account in accounts:
        account.held -= hold.amount
    if kind == POST:
        _charge(accounts, amount)
    del state.holds[hold.id]
    if state.opened.pop(hold.id, None) is None:
        state.closed.append(hold.id)
    _record(state, kind, hold.id, hold, amount, hold.amount, record, ref, now)
    return Resolution(hold.id, KIND_NAMES[kind], amount)


def _charge(accounts: tuple[Account, ...], amount: int) -> None:
    accounts[0].balance -= amount
    for account in accounts:
        account.used += amount
        account.requests += 1


def _record(
    state: State,
    kind: int,
    transfer_id: str,
    source: OpenHold | Transfer,
    amount: int,
    held: int | None,
    record: CallRecord | None,
    ref: str | None,
    now: float,
) -> None:
    wallet_id = source.wallet_id if isinstance(source, OpenHold) else source.debit_id
    log_at = None
    if record is not None:
        log_at = record.created_at
        state.logs.append(LogEntry(source.id, record, amount))
    transfer = Transfer(
        transfer_id, kind, wallet_id, REVENUE, source.key_account_id, amount, held, log_at, ref, int(now)
    )
    state.transfers[transfer_id] = transfer
    state.made.append(transfer)


def _credit(state: State, c: Credit) -> Result:
    first = state.transfers.get(c.id)
    if first is not None:
        return Resolution(c.id, KIND_NAMES[first.kind], first.amount, True)
    amount = _whole(abs(c.amount))
    wallet = state.account(c.wallet_id)
    wallet.balance += c.amount
    debit, credit = (FUNDING, c.wallet_id) if c.amount >= 0 else (c.wallet_id, FUNDING)
    _move(
        state,
        Transfer(c.id, CREDIT, debit, credit, None, amount, None, None, c.note or None, int(c.now)),
        c.record,
    )
    return Resolution(c.id, "credit", amount)


def _refund(state: State, c: Refund) -> Result:
    first = state.transfers.get(c.id)
    if first is not None:
        return Resolution(c.id, KIND_NAMES[first.kind], first.amount, True)
    charged = state.transfers.get(c.of + LATE_SUFFIX) or state.transfers.get(c.of)
    if charged is None or charged.kind not in (POST, LATE):
        return Resolution(c.id, "unknown", 0)
    amount = _whole(c.amount)
    before = state.refunded.get(c.of, 0)
    if before + amount > charged.amount:
        raise LedgerError(
            f"refunds of {c.of} would exceed its charge: {before} + {amount} > {charged.amount}"
        )
    accounts = _parties(state, charged.debit_id, charged.key_account_id)
    accounts[0].balance += amount
    for account in accounts:
        account.used -= amount
    state.refunded[c.of] = before + amount
    transfer = Transfer(
        c.id, REFUND, REVENUE, charged.debit_id, charged.key_account_id, amount, None, None, c.of, int(c.now)
    )
    _move(state, transfer, c.record)
    return Resolution(c.id, "refund", amount)


def _move(state: State, transfer: Transfer, record: CallRecord | None) -> None:
    """A transfer that resolves no hold. Its log row (a top-up, a refund) consumes nothing."""
    state.transfers[transfer.id] = transfer
    state.made.append(transfer)
    if record is not None:
        state.logs.append(LogEntry(record.request_id, record, 0))


def _log(state: State, c: Log) -> Result:
    state.logs.append(LogEntry(c.record.request_id, c.record, 0))
    return Resolution(c.record.request_id, "log", 0)


def _parties(state: State, wallet_id: int, key_account_id: int | None) -> tuple[Account, ...]:
    wallet = state.account(wallet_id)
    return (wallet,) if key_account_id is None else (wallet, state.account(key_account_id))


def _whole(amount: int) -> int:
    if amount < 0 or amount % UNIT or amount > MAX_AMOUNT:
        raise LedgerError(
            f"{amount} nanos is not an amount: whole quota units ({UNIT} nanos), up to {MAX_AMOUNT}"
        )
    return amount


_RULES: Final[Mapping[type, Callable[[State, Any], Result]]] = {
    Hold: _hold,
    Post: _post,
    Void: _void,
    Expire: _expire,
    Credit: _credit,
    Refund: _refund,
    Log: _log,
}
