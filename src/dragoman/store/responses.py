"""Responses kept for clients whose upstream keeps none: one encrypted row a turn, with its parent's id.

A row holds the turn's own input items and the response object; a conversation is the chain of rows up to its root.
Functions take a connection and never commit.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct
from sqlalchemy import Connection, delete, insert, select

from dragoman.store.tables import responses
from dragoman.store.vault import Vault

PURPOSE = b"response"
LONGEST_CHAIN = 2000


class StoredTurn(Struct, frozen=True):
    """input: the items that this turn added, in the order sent. response: the whole Responses object."""

    input: list[Raw]
    response: Raw


_DECODER = msgspec.json.Decoder(StoredTurn)


def put(
    connection: Connection,
    vault: Vault,
    *,
    response_id: str,
    user_id: int,
    parent_id: str | None,
    turn: StoredTurn,
    now: float,
) -> None:
    """Keep one turn. The id must be new."""
    connection.execute(
        insert(responses).values(
            id=response_id,
            user_id=user_id,
            parent_id=parent_id,
            cipher=vault.encrypt(msgspec.json.encode(turn), PURPOSE),
            created_at=int(now),
        )
    )


def get(connection: Connection, vault: Vault, response_id: str, user_id: int) -> StoredTurn | None:
    """The turn, if it is there and this user's."""
    r = responses.c
    row = connection.execute(select(r.cipher).where(r.id == response_id, r.user_id == user_id)).first()
    return None if row is None else _DECODER.decode(vault.decrypt(row.cipher, PURPOSE))


def chain(
    connection: Connection, vault: Vault, response_id: str, user_id: int, most_bytes: int
) -> list[StoredTurn]:
    """The turns from the root to ``response_id``; empty if it, or one before it, is not there any more.

    ValueError when they are longer than ``LONGEST_CHAIN`` turns or ``most_bytes`` together.
    """
    r = responses.c
    turns: list[StoredTurn] = []
    size = 0
    wanted: str | None = response_id
    while wanted is not None:
        row = connection.execute(
            select(r.cipher, r.parent_id).where(r.id == wanted, r.user_id == user_id)
        ).first()
        if row is None:
            return []
        size += len(row.cipher)
        if len(turns) >= LONGEST_CHAIN or size > most_bytes:
            raise ValueError(f"the conversation before {response_id} is too long to be continued")
        turns.append(_DECODER.decode(vault.decrypt(row.cipher, PURPOSE)))
        wanted = row.parent_id
    return turns[::-1]


def erase(connection: Connection, response_id: str, user_id: int) -> None:
    """Delete one turn; those that continue it can no longer be continued themselves."""
    r = responses.c
    connection.execute(delete(responses).where(r.id == response_id, r.user_id == user_id))
