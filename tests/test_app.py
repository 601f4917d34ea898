"""The composition root, in this process: what it opens, what it declares, and how it follows changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from dragoman import app, provision
from dragoman.config import Settings
from dragoman.store import accounts, channels, publish, records
from dragoman.store.engine import open_engine
from dragoman.store.tables import call_details
from dragoman.store.vault import SECRET_ENV

KEY = "sk-" + "Alice0" * 8
UP = {"name": "up", "provider": "openai", "keys": ["secret"], "models": ["m"]}


def settings(tmp_path: Path, url: str = "", **sections: Any) -> Settings:
    server = {
        "port": 0,
        "data_dir": str(tmp_path / "data"),
        "database_url": url,
        **sections.pop("server", {}),
    }
    return Settings.model_validate({"server": server, "source": "the.toml", **sections})


def with_runtime(configured: Settings, scenario: Callable[[app.Runtime], Awaitable[None]]) -> None:
    async def main() -> None:
        async with app.running(configured) as runtime:
            await scenario(runtime)

    asyncio.run(main())


async def eventually(probe: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not probe():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("what", [provision.open_store, app.run_audit, lambda s: app.run_migrate(s, print)])
def test_what_cannot_be_opened_is_said(tmp_path: Path, what: Callable[[Settings], Any]) -> None:
    with pytest.raises(app.StartError, match="the database cannot be used"):
        what(settings(tmp_path, "postgresql://127.0.0.1:1/none"))
    (tmp_path / "file").touch()
    with pytest.raises(app.StartError):
        what(settings(tmp_path, server={"data_dir": str(tmp_path / "file" / "data")}))


def test_an_admin_command_keeps_what_the_configuration_keeps(tmp_path: Path) -> None:
    """It opens the database with a writer of its own, which would otherwise purge by the defaults."""
    configured = settings(tmp_path, server={"detail_days": 900, "vendor_ids_days": 800})
    store = provision.open_store(configured)
    then = int(time.time()) - 700 * 86_400
    with store.engine.connect().execution_options(dragoman_write=True) as connection, connection.begin():
        records.remember(connection, [("response", "r")], records.VendorId(1, 1, 0), then)
        connection.execute(insert(call_details).values(created_at=then, request_id="r", detail=b"{}"))
    store.close()
    app.run_admin(configured, "user.list", {})
    store = provision.open_store(configured)
    with store.engine.connect() as connection:
        assert records.find(connection, "response", "r") is not None
        assert records.call_detail(connection, "r", then) is not None
    store.close()


# ---------------------------------------------------------------------------------------------------------- the runtime


def test_a_runtime_serves_what_is_declared(tmp_path: Path, database_url: str) -> None:
    configured = settings(
        tmp_path,
        database_url,
        channels=[UP],
        users=[{"username": "alice", "credit": "1", "keys": [{"name": "k", "key": KEY}]}],
    )

    async def scenario(runtime: app.Runtime) -> None:
        assert runtime.gateway is not None
        assert [c.name for c in runtime.gateway.snapshot.candidates("default", "m")] == ["up"]
        assert runtime.gateway.snapshot.knows("gpt-5.4")
        found = await runtime.gateway.keys.find(KEY)
        assert found is not None and found.username == "alice"
        assert len(runtime.table) == 1
        assert runtime.problems() == {}

    with_runtime(configured, scenario)
    with_runtime(configured, scenario)  # nothing to change the second time


def test_a_change_by_another_process_is_followed(tmp_path: Path, postgres_url: str) -> None:
    configured = settings(
        tmp_path,
        postgres_url,
        channels=[UP],
        users=[{"username": "alice", "keys": [{"name": "k", "key": KEY}]}],
    )
    other = open_engine(postgres_url, tmp_path)

    async def scenario(runtime: app.Runtime) -> None:
        gateway = runtime.gateway
        assert gateway is not None
        found = await gateway.keys.find(KEY)
        assert found is not None and found.active
        before = gateway.snapshot
        with other.begin() as connection:
            accounts.set_key_status(connection, found.id, False, 1)
        await eventually(lambda: len(runtime.table) == 0)
        changed = await gateway.keys.find(KEY)
        assert changed is not None and not changed.active
        assert gateway.snapshot is before  # a key is no reason to compile
        with other.begin() as connection:
            channels.set_channel_status(connection, "up", False, 1)
        await eventually(lambda: gateway.snapshot is not before)
        assert gateway.snapshot.candidates("default", "m") == ()
        with other.begin() as connection:
            accounts.update_user(connection, found.user_id, 1, role="admin")
        await eventually(lambda: len(runtime.table) == 0)

    with_runtime(configured, scenario)
    other.dispose()


def test_a_process_that_was_cut_off_for_too_long_loads_everything_anew(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entries that it has not read were purged meanwhile; only a change of something else is left."""
    configured = settings(
        tmp_path,
        postgres_url,
        channels=[UP],
        users=[{"username": "alice", "keys": [{"name": "k", "key": KEY}]}],
    )
    other = open_engine(postgres_url, tmp_path)
    real, away = publish.changes_since, [True]

    def cut_off(connection: Any, seq: int) -> Any:
        if away:
            raise ConnectionError("away")
        return real(connection, seq)

    async def scenario(runtime: app.Runtime) -> None:
        gateway = runtime.gateway
        assert gateway is not None and runtime.owners is not None
        found = await gateway.keys.find(KEY)
        assert found is not None and found.active
        with other.begin() as connection:
            accounts.set_key_status(connection, found.id, False, 1)
            channels.set_channel_status(connection, "up", False, 1)
            connection.execute(text("DELETE FROM changes"))
            publish.record_change(connection, "user", 999, 1)
        generation = runtime.owners._generation
        away.clear()
        await eventually(lambda: gateway.snapshot.candidates("default", "m") == ())
        changed = await gateway.keys.find(KEY)
        assert changed is not None and not changed.active
        assert runtime.owners._generation > generation
        before = gateway.snapshot
        with other.begin() as connection:
            accounts.set_key_status(connection, found.id, True, 1)
        await eventually(lambda: len(runtime.table) == 0)
        assert gateway.snapshot is before  # once was enough

    monkeypatch.setattr(publish, "changes_since", cut_off)
    with_runtime(configured, scenario)
    other.dispose()


def test_a_database_that_is_away_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = publish.changes_since, []

    def sometimes(connection: Any, seq: int) -> Any:
        if len(failures) < 3:
            failures.append(seq)
            raise ConnectionError("away")
        return real(connection, seq)

    async def scenario(runtime: app.Runtime) -> None:
        gateway = runtime.gateway
        assert gateway is not None
        before = gateway.snapshot
        await runtime.book.run(lambda c: channels.set_channel_status(c, "up", False, 1))
        await eventually(lambda: gateway.snapshot is not before)
        assert len(failures) == 3

    monkeypatch.setattr(publish, "changes_since", sometimes)
    with_runtime(settings(tmp_path, channels=[UP]), scenario)


def test_a_runtime_that_cannot_move_money_is_not_ready(tmp_path: Path) -> None:
    kept: list[app.Runtime] = []

    async def scenario(runtime: app.Runtime) -> None:
        kept.append(runtime)
        runtime._followed_at -= 60
        assert "database" in runtime.problems()

    with_runtime(settings(tmp_path), scenario)
    assert "writer" in kept[0].problems()


def test_a_key_of_two_users_stops_the_start(tmp_path: Path) -> None:
    def owned_by(name: str) -> Settings:
        return settings(tmp_path, users=[{"username": name, "keys": [{"name": "k", "key": KEY}]}])

    async def nothing(_: app.Runtime) -> None: ...

    with_runtime(owned_by("alice"), nothing)
    with pytest.raises(app.StartError, match=r"the\.toml: the key sk-Ali…ice0 exists already"):
        with_runtime(owned_by("bob"), nothing)


def test_another_secret_than_the_stored_one_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: app.Runtime) -> None: ...

    with_runtime(settings(tmp_path, channels=[UP]), nothing)
    monkeypatch.setenv(SECRET_ENV, "another secret than the one before")
    with pytest.raises(app.StartError, match="the secret is not the one it was stored with"):
        with_runtime(settings(tmp_path), nothing)


# --------------------------------------------------------------------------------------------------------- the commands


def test_migrate_says_what_it_did_and_may_be_repeated(tmp_path: Path, empty_postgres_url: str) -> None:
    for url in ("", empty_postgres_url):
        said: list[str] = []
        assert app.run_migrate(settings(tmp_path, url), said.append).startswith("migrated from nothing to ")
        assert app.run_migrate(settings(tmp_path, url), said.append).startswith("already at revision ")
        assert "at revision none" in said[0] and "at revision 0" in said[1]


def test_audit_finds_a_balance_that_was_changed_by_hand(tmp_path: Path, database_url: str) -> None:
    configured = settings(tmp_path, database_url)
    arguments = {"username": "a", "group": "default", "role": "user", "credit": "1"}
    assert app.run_admin(configured, "user.create", arguments)["balance_usd"] == "1"
    assert app.run_audit(configured).ok
    engine = open_engine(database_url, tmp_path)
    with engine.begin() as connection:
        connection.execute(text("UPDATE accounts SET balance_nanos = 5 WHERE kind = 2"))
    engine.dispose()
    assert not app.run_audit(configured).ok


def test_admin_without_a_server_opens_the_database(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    assert app.run_admin(configured, "user.list", {}) == []
    with pytest.raises(app.AdminError, match="unknown command"):
        app.run_admin(configured, "nonsense", {})
    store = provision.open_store(configured)  # a process that answers no socket
    try:
        with pytest.raises(app.StartError, match="in use by process"):
            app.run_admin(configured, "user.list", {})
    finally:
        store.close()


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::1", "[::1]"),
        ("gw.example", "gw.example"),
    ],
)
def test_the_address_that_is_announced(host: str, shown: str) -> None:
    assert app._shown(host) == shown
