"""The configuration file as rows: what it declares is created or changed, what left it is disabled, never deleted.

Idempotent, and only differences are written, so that a restart publishes nothing. Rows made in the console are left
alone unless the file declares the same name, which then belongs to the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection, select

from dragoman.core.money import usd_to_nanos
from dragoman.store.accounts import (
    KEY_PURPOSE,
    Conflict,
    create_key,
    create_user,
    find_user,
    find_user_by_access_token,
    set_key_limit,
    update_key,
    update_user,
)
from dragoman.store.channels import disable_missing, put_channel, put_group, put_price
from dragoman.store.engine import RECONCILE_LOCK, advisory_lock
from dragoman.store.passwords import hash_password
from dragoman.store.tables import DISABLED, ENABLED, FILE, keys, users
from dragoman.store.vault import Vault

# (connection, transfer id, wallet id, nanos, now): the ledger's way to put money on a wallet, once per id.
Grant = Callable[[Connection, str, int, int, float], bool]
UNIT_NANOS = 2000


class DeclaredGroup(Struct, frozen=True, kw_only=True):
    """``[[groups]]``."""

    name: str
    multiplier: str = "1.0"
    hold: str = "expected"
    options: dict[str, Any] = {}


class DeclaredChannel(Struct, frozen=True, kw_only=True):
    """``[[channels]]``."""

    name: str
    provider: str
    base_url: str = ""
    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("default",)
    dialects: tuple[str, ...] = ()
    model_map: dict[str, str] = {}
    priority: int = 0
    weight: int = 1
    proxy: str = ""
    headers: dict[str, str] = {}
    drop_params: tuple[str, ...] = ()
    cost_multiplier: str = "1.0"
    options: dict[str, str] = {}
    label: str = ""
    translate: bool = True
    facts: dict[str, Any] = {}


class DeclaredPrice(Struct, frozen=True, kw_only=True):
    """``[[prices]]``: USD decimal strings. ``extra``: prices kept for later builds."""

    model: str
    input: str | None = None
    cached_input: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None
    output: str | None = None
    reasoning: str | None = None
    per_request: str | None = None
    extra: dict[str, Any] = {}


class DeclaredKey(Struct, frozen=True, kw_only=True):
    """``[[users.keys]]``. ``limit``: USD, None = unlimited; ``models`` None = all; ``expires``: unix seconds."""

    name: str
    key: str
    models: tuple[str, ...] | None = None
    limit: str | None = None
    expires: int | None = None
    allow_ips: tuple[str, ...] = ()
    group: str = ""
    strict: bool = False


class DeclaredUser(Struct, frozen=True, kw_only=True):
    """``[[users]]``. ``credit``: USD, granted once. Empty password or access token: none."""

    username: str
    password: str = ""
    role: str = "user"
    group: str = "default"
    credit: str = "0"
    access_token: str = ""
    keys: tuple[DeclaredKey, ...] = ()


class Declared(Struct, frozen=True, kw_only=True):
    """Everything that the file declares."""

    groups: tuple[DeclaredGroup, ...] = ()
    channels: tuple[DeclaredChannel, ...] = ()
    prices: tuple[DeclaredPrice, ...] = ()
    users: tuple[DeclaredUser, ...] = ()


class Report(Struct, kw_only=True):
    """What was written: names by verb. Keys appear as ``user/name``."""

    created: list[str] = []
    changed: list[str] = []
    disabled: list[str] = []
    credited: list[str] = []

    def as_dict(self) -> dict[str, list[str]]:
        return structs.asdict(self)

    def note(self, kind: str, name: str, verb: str) -> None:
        """Remember one result; ``same`` is not worth a word."""
        if verb != "same":
            getattr(self, verb).append(f"{kind} {name}")


def apply(connection: Connection, vault: Vault, declared: Declared, *, now: float, grant: Grant) -> Report:
    """Make the rows agree with the file. Raises Conflict when a declared key or access token belongs to another user,
    ValueError for an amount that is no USD decimal.

    ``grant`` is ``ledger.batch.grant``. On PostgreSQL processes that start together take turns.
    """
    advisory_lock(connection, RECONCILE_LOCK)
    report = Report()
    for g in declared.groups:
        values = {"multiplier": g.multiplier, "hold": g.hold, "options": g.options}
        report.note(
            "group", g.name, put_group(connection, g.name, now, status=ENABLED, source=FILE, **values)
        )
    for c in declared.channels:
        columns = structs.asdict(c)
        name, credentials = columns.pop("name"), columns.pop("keys")
        done = put_channel(
            connection, vault, name, now, keys=credentials, status=ENABLED, source=FILE, **columns
        )
        report.note("channel", name, done)
    for p in declared.prices:
        columns = structs.asdict(p)
        model = columns.pop("model")
        report.note("price", model, put_price(connection, model, now, source=FILE, **columns))
    _free_tokens(connection, vault, declared, now)
    for u in declared.users:
        _user(connection, vault, u, now, grant, report)
    _disable(connection, vault, declared, now, report)
    return report


def _free_tokens(connection: Connection, vault: Vault, declared: Declared, now: float) -> None:
    """Access tokens are unique: those that have left their user are taken away before they are given to another."""
    wanted = {u.username: vault.lookup(u.access_token) for u in declared.users if u.access_token}
    query = select(users).where(users.c.source == FILE, users.c.access_lookup.is_not(None))
    for user in connection.execute(query).all():
        if wanted.get(user.username) != user.access_lookup:
            update_user(connection, user.id, now, access_lookup=None)


def _user(
    connection: Connection, vault: Vault, u: DeclaredUser, now: float, grant: Grant, report: Report
) -> None:
    row = find_user(connection, u.username)
    if row is None:
        create_user(connection, username=u.username, now=now, role=u.role, group=u.group, source=FILE)
        row = find_user(connection, u.username)
        report.note("user", u.username, "created")
        created = True
    else:
        created = False
    assert row is not None
    values: dict[str, Any] = {"role": u.role, "grp": u.group, "status": ENABLED, "source": FILE}
    values["access_lookup"] = vault.lookup(u.access_token) if u.access_token else None
    if u.access_token:
        holder = find_user_by_access_token(connection, vault, u.access_token)
        if holder is not None and holder.id != row.id:
            raise Conflict(f"users {holder.username!r} and {u.username!r} have the same access token")
    mark = vault.mark(u.password) if u.password else None
    if mark != row.password_mark:
        values["password_mark"] = mark
        values["password_hash"] = hash_password(u.password) if u.password else None
    if update_user(connection, row.id, now, **values) and not created:
        report.note("user", u.username, "changed")
    credit = _units(u.credit)
    if credit and grant(connection, f"declared-credit:{row.id}", row.wallet_id, credit, now):
        report.note("user", u.username, "credited")
    for key in u.keys:
        report.note("key", f"{u.username}/{key.name}", _key(connection, vault, row.id, key, now))


def _key(connection: Connection, vault: Vault, user_id: int, k: DeclaredKey, now: float) -> str:
    limit = None if k.limit is None else _units(k.limit)
    row = connection.execute(select(keys).where(keys.c.lookup == vault.lookup(k.key))).first()
    if row is None or row.user_id != user_id:  # another user's: create_key says so
        create_key(
            connection,
            vault,
            user_id=user_id,
            name=k.name,
            now=now,
            key=k.key,
            limit_nanos=limit,
            expires_at=k.expires,
            models=k.models,
            allow_ips=k.allow_ips,
            group=k.group,
            strict=k.strict,
            source=FILE,
        )
        return "created"
    wanted = {
        "name": k.name,
        "status": ENABLED,
        "expires_at": k.expires,
        "models_enabled": k.models is not None,
        "allow_ips": "\n".join(k.allow_ips),
        "grp": k.group or None,
        "strict": k.strict,
        "source": FILE,
        "deleted_at": None,
    }
    if k.models is not None:
        wanted["models"] = json.dumps(list(k.models))
    if row.cipher is None:
        wanted["cipher"] = vault.encrypt(k.key.encode(), KEY_PURPOSE)
    changed = update_key(connection, row.id, now, **wanted)
    return "changed" if set_key_limit(connection, row.id, limit) or changed else "same"


def _disable(connection: Connection, vault: Vault, declared: Declared, now: float, report: Report) -> None:
    for name in disable_missing(connection, "group", FILE, {g.name for g in declared.groups}, now):
        report.note("group", name, "disabled")
    for name in disable_missing(connection, "channel", FILE, {c.name for c in declared.channels}, now):
        report.note("channel", name, "disabled")
    for name in disable_missing(connection, "price", FILE, {p.model for p in declared.prices}, now):
        report.note("price", name, "disabled")
    kept = {u.username for u in declared.users}
    for user in connection.execute(
        select(users).where(users.c.source == FILE, users.c.status == ENABLED)
    ).all():
        if user.username not in kept:
            update_user(connection, user.id, now, status=DISABLED)
            report.note("user", user.username, "disabled")
    kept_keys = {vault.lookup(k.key) for u in declared.users for k in u.keys}
    query = select(keys, users.c.username).join(users, users.c.id == keys.c.user_id)
    for key in connection.execute(query.where(keys.c.source == FILE, keys.c.status == ENABLED)).all():
        if key.lookup not in kept_keys:
            update_key(connection, key.id, now, status=DISABLED)
            report.note("key", f"{key.username}/{key.name}", "disabled")


def _units(usd: str) -> int:
    """USD → nanos, rounded down to whole quota units."""
    return usd_to_nanos(usd) // UNIT_NANOS * UNIT_NANOS
