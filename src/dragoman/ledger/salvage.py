"""What to write instead of a command that the database refuses: less of its log row, never less of the money.

A charge that cannot be written must not be dropped with its hold: the money would be set aside until the process ends, and
the call be free. Pure; the writer tries what is offered here, in order, each in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dragoman.ledger.core import Command, Credit, Expire, Log, Post, Refund, Void
from dragoman.ledger.rows import plain


def plainer(command: object, now: float) -> Iterator[Command]:
    """Commands that move the same money: with a plain log row, then without one (the audit lists it as missing)."""
    if isinstance(command, Log):
        yield Log(record=plain(command.record, now))
    elif isinstance(command, Post | Void | Credit | Refund):
        if command.record is not None:
            yield replace(command, record=plain(command.record, now), now=now)
        yield replace(command, record=None, now=now)


def release(command: object, error: BaseException, now: float) -> Expire | None:
    """The last resort for a resolution: free what it would have resolved. The audit lists it as unbilled exposure."""
    if isinstance(command, Post | Void):
        return Expire(id=command.id, now=now, reason=f"could not be written: {type(error).__name__}")
    return None
