"""Users and their keys. Money accounts are created here at zero; only the ledger moves their balances.

A user has one wallet; a key has one budget account, which counts what the key used and may carry a limit.
Functions take a connection and never commit; those that change what the data plane knows record the change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from dragoman.store.publish import record_change
from dragoman.store.tables import CONSOLE, DISABLED, ENABLED, KEY, WALLET, accounts, keys, users
from dragoman.store.vault import Vault, generate_key, key_hint

KEY_PURPOSE = b"client key"


class Conflict(Exception):
    """The name or the key is taken; the message says which."""


class KeyRow(Struct, frozen=True, kw_only=True):
    """What the data plane needs of a key. ``status`` 1 enabled, 2 disabled; ``models`` None = all; times unix seconds."""

    id: int
    user_id: int
    username: str
    role: str
    user_status: int
    name: str
    status: int
    expires_at: int | None
    group: str
    models: tuple[str, ...] | None
    allow_ips: tuple[str, ...]
    wallet_id: int
    key_account_id: int
    strict: bool = False


def create_account(connection: Connection, kind: int, now: float, limit_nanos: int | None = None) -> int:
    """A new account with nothing on it. ``kind``: tables.WALLET or tables.KEY."""
    result = connection.execute(
        insert(accounts).values(kind=kind, limit_nanos=limit_nanos, created_at=int(now))
    )
    return int(result.inserted_primary_key[0])  # type: ignore[index]


# --------------------------------------------------------------------------------------------------------------- users


def create_user(
    connection: Connection,
    *,
    username: str,
    now: float,
    password_hash: str | None = None,
    role: str = "user",
    group: str = "default",
    source: str = CONSOLE,
) -> tuple[int, int]:
    """A user with an empty wallet. Returns (user id, wallet id). Raises Conflict when the name is taken."""
    if find_user(connection, username) is not None:
        raise Conflict(f"the username {username!r} is taken")
    wallet_id = create_account(connection, WALLET, now)
    result = connection.execute(
        insert(users).values(
            username=username,
            password_hash=password_hash,
            role=role,
            grp=group,
            wallet_id=wallet_id,
            source=source,
            created_at=int(now),
        )
    )
    user_id = int(result.inserted_primary_key[0])  # type: ignore[index]
    record_change(connection, "user", user_id, now)
    return user_id, wallet_id


def find_user(connection: Connection, username: str) -> Row[Any] | None:
    """The row of ``users``, or None."""
    return connection.execute(select(users).where(users.c.username == username)).first()


def get_user(connection: Connection, user_id: int) -> Row[Any] | None:
    """The row of ``users`` with the wallet's balance_nanos, held_nanos, used_nanos and request_count, or None."""
    a = accounts.c
    query = select(users, a.balance_nanos, a.held_nanos, a.used_nanos, a.request_count)
    query = query.join(accounts, a.id == users.c.wallet_id)
    return connection.execute(query.where(users.c.id == user_id)).first()


def find_user_by_access_token(connection: Connection, vault: Vault, token: str) -> Row[Any] | None:
    """The user whose access token this is, or None."""
    return connection.execute(select(users).where(users.c.access_lookup == vault.lookup(token))).first()


def update_user(connection: Connection, user_id: int, now: float, **values: Any) -> bool:
    """Change columns of a user. False: nothing differed. Records the change."""
    return _update(connection, users, user_id, "user", now, values)


# ---------------------------------------------------------------------------------------------------------------- keys


def create_key(
    connection: Connection,
    vault: Vault,
    *,
    user_id: int,
    name: str,
    now: float,
    key: str | None = None,
    limit_nanos: int | None = None,
    expires_at: int | None = None,
    models: Sequence[str] | None = None,
    allow_ips: Sequence[str] = (),
    group: str | None = None,
    strict: bool = False,
    reveal: bool = True,
    source: str = CONSOLE,
) -> tuple[int, str]:
    """A key for ``user_id``: the given one or a new one. Returns (key id, the key itself).

    ``strict``: losses in translation are refused. ``reveal``: keep it encrypted, so that it can be shown again.
    ``models`` None = all. Raises Conflict when it exists.
    """
    secret = key if key is not None else generate_key()
    account_id = create_account(connection, KEY, now, limit_nanos)
    savepoint = connection.begin_nested()
    try:
        result = connection.execute(
            insert(keys).values(
                user_id=user_id,
                name=name,
                lookup=vault.lookup(secret),
                hint=key_hint(secret),
                cipher=vault.encrypt(secret.encode(), KEY_PURPOSE) if reveal else None,
                expires_at=expires_at,
                grp=group or None,
                models=None if models is None else json.dumps(list(models)),
                models_enabled=models is not None,
                allow_ips="\n".join(allow_ips),
                strict=strict,
                account_id=account_id,
                source=source,
                created_at=int(now),
            )
        )
    except IntegrityError:
        savepoint.rollback()
        raise Conflict(f"the key {key_hint(secret)} exists already") from None
    savepoint.commit()
    key_id = int(result.inserted_primary_key[0])  # type: ignore[index]
    record_change(connection, "key", key_id, now)
    return key_id, secret


_COLD = (
    select(
        keys.c.id,
        keys.c.user_id,
        users.c.username,
        users.c.role,
        users.c.status.label("user_status"),
        users.c.grp.label("user_group"),
        users.c.wallet_id,
        keys.c.name,
        keys.c.status,
        keys.c.expires_at,
        keys.c.grp,
        keys.c.models,
        keys.c.models_enabled,
        keys.c.allow_ips,
        keys.c.strict,
        keys.c.account_id,
    )
    .join(users, users.c.id == keys.c.user_id)
    .where(keys.c.deleted_at.is_(None))
)


def find_key(connection: Connection, lookup: bytes) -> KeyRow | None:
    """The key whose ``Vault.lookup`` this is; None when there is none or it was deleted. One indexed read."""
    row = connection.execute(_COLD.where(keys.c.lookup == lookup)).first()
    return None if row is None else _key_row(row)


def get_key(connection: Connection, key_id: int) -> KeyRow | None:
    """As ``find_key``, by id."""
    row = connection.execute(_COLD.where(keys.c.id == key_id)).first()
    return None if row is None else _key_row(row)


def _key_row(row: Any) -> KeyRow:
    return KeyRow(
        id=row.id,
        user_id=row.user_id,
        username=row.username,
        role=row.role,
        user_status=row.user_status,
        name=row.name,
        status=row.status,
        expires_at=row.expires_at,
        group=row.grp or row.user_group,
        models=tuple(json.loads(row.models or "[]")) if row.models_enabled else None,
        allow_ips=tuple(row.allow_ips.split()),
        wallet_id=row.wallet_id,
        key_account_id=row.account_id,
        strict=row.strict,
    )


def list_keys(connection: Connection, user_id: int, *, limit: int, offset: int = 0) -> Sequence[Row[Any]]:
    """Rows of ``keys`` with the budget's limit_nanos, used_nanos, held_nanos and last_used_at, newest first."""
    a = accounts.c
    query = select(keys, a.limit_nanos, a.used_nanos, a.held_nanos, a.last_used_at)
    query = query.join(accounts, a.id == keys.c.account_id)
    query = query.where(keys.c.user_id == user_id, keys.c.deleted_at.is_(None))
    return connection.execute(query.order_by(keys.c.id.desc()).limit(limit).offset(offset)).all()


def reveal_key(vault: Vault, row: Row[Any]) -> str | None:
    """The key itself, of a row of ``keys``; None when it was not kept."""
    return None if row.cipher is None else vault.decrypt(row.cipher, KEY_PURPOSE).decode()


def update_key(connection: Connection, key_id: int, now: float, **values: Any) -> bool:
    """Change columns of a key. False: nothing differed. Records the change."""
    return _update(connection, keys, key_id, "key", now, values)


def set_key_status(connection: Connection, key_id: int, enabled: bool, now: float) -> bool:
    """Enable or disable a key. False: it was so already."""
    return update_key(connection, key_id, now, status=ENABLED if enabled else DISABLED)


def delete_key(connection: Connection, key_id: int, now: float) -> bool:
    """Make a key invalid for good. The row stays: log rows name it."""
    return update_key(connection, key_id, now, deleted_at=int(now), status=DISABLED, cipher=None)


def set_key_limit(connection: Connection, key_id: int, limit_nanos: int | None) -> bool:
    """The most that a key may ever use; None = unlimited. False: it was so already.

    Read from the account with each hold, so no process needs to be told.
    """
    account_id = select(keys.c.account_id).where(keys.c.id == key_id).scalar_subquery()
    differs = accounts.c.limit_nanos.is_distinct_from(limit_nanos)
    statement = update(accounts).where(accounts.c.id == account_id, differs).values(limit_nanos=limit_nanos)
    return connection.execute(statement).rowcount > 0


def _update(
    connection: Connection, table: Any, row_id: int, kind: str, now: float, values: dict[str, Any]
) -> bool:
    row = connection.execute(select(table).where(table.c.id == row_id)).first()
    if row is None:
        return False
    differing = {k: v for k, v in values.items() if getattr(row, k) != v}
    if not differing:
        return False
    connection.execute(update(table).where(table.c.id == row_id).values(differing))
    record_change(connection, kind, row_id, now)
    return True


def list_users(connection: Connection) -> Sequence[Row[Any]]:
    """All users with their wallet's balance_nanos, held_nanos, used_nanos and request_count, by name."""
    a = accounts.c
    query = select(users, a.balance_nanos, a.held_nanos, a.used_nanos, a.request_count)
    query = query.join(accounts, a.id == users.c.wallet_id)
    return connection.execute(query.order_by(users.c.username)).all()
