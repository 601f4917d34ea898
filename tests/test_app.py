"""The composition root, in this process: what it opens, what it declares, and how it follows changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from dragoman import app
from dragoman.config import Settings
from dragoman.ledger.audit import audit
from dragoman.store import accounts, channels, publish
from dragoman.store.engine import ProcessLock, open_engine
from dragoman.store.vault import SECRET_ENV, SECRET_FILE, Vault

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


# ------------------------------------------------------------------------------------------------------ configuration


def test_limits_come_from_the_configuration(tmp_path: Path) -> None:
    server = {
        "attempts": 7, "body_bytes": 2048, "connect_timeout_s": 1.5, "api_only_hosts": ["API.example"],
        "trusted_proxies": ["10.0.0.0/8"], "strict_paths": True,
    }  # fmt: skip
    limits = app.limits_of(settings(tmp_path, server=server))
    assert (limits.attempts, limits.body_bytes, limits.timeouts.connect_s) == (7, 2048, 1.5)
    assert limits.api_only_hosts == {"api.example"} and limits.strict_paths
    assert [str(n) for n in limits.trusted_proxies] == ["10.0.0.0/8"]


def test_what_the_file_declares(tmp_path: Path) -> None:
    declared = app.declared_of(
        settings(
            tmp_path,
            groups=[{"name": "vip", "multiplier": "0.5", "vendor_prefixes": True}],
            channels=[
                {**UP, "groups": ["vip", "free"]},
                {**UP, "name": "later", "provider": "suno", "groups": ["free"]},
            ],
            prices=[{"model": "m", "input": "1", "per_image": "2"}],
            users=[{"username": "alice", "keys": [{"name": "k", "key": KEY}]}],
        )
    )
    assert [(g.name, g.multiplier) for g in declared.groups] == [("vip", "0.5"), ("free", "1.0")]
    assert declared.groups[0].options == {"vendor_prefixes": True}
    assert [c.name for c in declared.channels] == ["up"]  # a planned provider is not served yet
    assert (declared.prices[0].input, declared.prices[0].extra) == ("1", {"per_image": "2"})
    assert declared.users[0].keys[0].key == KEY


# ------------------------------------------------------------------------------------------------------------ the store


def test_a_store_is_created_and_belongs_to_one_process(tmp_path: Path) -> None:
    store = app.open_store(settings(tmp_path))
    try:
        assert (tmp_path / "data" / SECRET_FILE).exists()
        with pytest.raises(app.StartError, match=f"in use by process {os.getpid()}"):
            app.open_store(settings(tmp_path))
        beside = app.open_store(settings(tmp_path), exclusive=False)
        assert beside.lock is None and audit(beside.engine).ok
        beside.close()
    finally:
        store.close()
    app.open_store(settings(tmp_path)).close()


def test_a_store_that_is_only_read_is_not_migrated(tmp_path: Path) -> None:
    with pytest.raises(app.StartError, match="run `dragoman migrate`"):
        app.open_store(settings(tmp_path), exclusive=False)


def test_a_failed_opening_gives_the_lock_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(app.schema, "migrate", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        app.open_store(settings(tmp_path))
    lock = ProcessLock.of(open_engine("", tmp_path / "data"))
    assert lock is not None
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("what", [app.open_store, app.run_audit, lambda s: app.run_migrate(s, print)])
def test_what_cannot_be_opened_is_said(tmp_path: Path, what: Callable[[Settings], Any]) -> None:
    with pytest.raises(app.StartError, match="the database cannot be used"):
        what(settings(tmp_path, "postgresql://127.0.0.1:1/none"))
    (tmp_path / "file").touch()
    with pytest.raises(app.StartError):
        what(settings(tmp_path, server={"data_dir": str(tmp_path / "file" / "data")}))


def test_a_malformed_secret_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / SECRET_FILE).write_text("nonsense")
    with pytest.raises(app.StartError, match="not a secret"):
        app.open_store(settings(tmp_path))


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
    store = app.open_store(configured)  # a process that answers no socket
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


def test_the_vault_of_a_store_is_the_data_directorys(tmp_path: Path) -> None:
    store = app.open_store(settings(tmp_path))
    store.close()
    assert store.vault.lookup("sk-x") == Vault.from_data_dir(tmp_path / "data", {}).lookup("sk-x")
