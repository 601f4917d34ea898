"""The admin commands on both databases, and the socket they come through."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dragoman.console.admin import SOCKET, AdminDesk, AdminError, ask, listen, whole_units
from dragoman.ledger.audit import audit
from dragoman.ledger.book import Book
from dragoman.store import accounts, channels, publish
from dragoman.store.engine import open_engine
from dragoman.store.vault import Vault

VAULT = Vault(b"v" * 32)
NOW = 1_790_000_000.0
NO_LIMITS: dict[str, Any] = {
    "limit": None, "models": None, "allow_ips": [], "group": "", "expires": None,
}  # fmt: skip
ALICE = {"username": "alice", "group": "default", "role": "user", "credit": "5"}

Scenario = Callable[[AdminDesk, Book], Awaitable[None]]


def with_desk(url: str, tmp_path: Path, scenario: Scenario, *, reveal: bool = True) -> None:
    """Run ``scenario`` at a desk; the books must be clean afterwards."""
    engine = open_engine(url, tmp_path)

    async def main() -> None:
        book = Book(engine)
        await book.start()
        try:
            await scenario(AdminDesk(book, VAULT, reveal=reveal, clock=lambda: NOW), book)
        finally:
            await book.close()

    asyncio.run(main())
    assert audit(engine).ok
    engine.dispose()


def test_users_and_their_credit(database_url: str, tmp_path: Path) -> None:
    async def scenario(desk: AdminDesk, _book: Book) -> None:
        made = await desk.execute("user.create", ALICE)
        assert made == {"id": made["id"], "username": "alice", "balance_usd": "5"}
        await desk.execute("user.create", {**ALICE, "username": "bob", "credit": "0", "role": "admin"})
        credited = await desk.execute("user.credit", {"username": "alice", "usd": "0.5", "reason": "sorry"})
        assert credited == {"username": "alice", "balance_usd": "5.5"}
        listed = await desk.execute("user.list", {})
        shown = [(u["username"], u["role"], u["active"], u["balance_usd"], u["requests"]) for u in listed]
        assert shown == [("alice", "user", True, "5.5", 0), ("bob", "admin", True, "0", 0)]

    with_desk(database_url, tmp_path, scenario)


def test_keys_their_status_and_their_limit(database_url: str, tmp_path: Path) -> None:
    async def scenario(desk: AdminDesk, book: Book) -> None:
        await desk.execute("user.create", ALICE)
        made = await desk.execute(
            "key.create",
            {
                "username": "alice", "name": "k", "limit": "2", "models": ["m"], "allow_ips": ["10.0.0.0/8", "::1"],
                "group": "vip", "expires": 2_000_000_000,
            },
        )  # fmt: skip
        row = await book.run(lambda c: accounts.find_key(c, VAULT.lookup(made["key"])))
        assert row is not None and row.id == made["id"]
        assert (row.group, row.models, row.allow_ips) == ("vip", ("m",), ("10.0.0.0/8", "::1"))
        (listed,) = await desk.execute("key.list", {"username": "alice"})
        assert (listed["limit_usd"], listed["active"], listed["expires"]) == ("2", True, 2_000_000_000)
        assert made["key"] not in json.dumps(listed)

        before = await book.run(publish.last_sequence)
        await desk.execute("key.status", {"key_id": made["id"], "active": False})
        changes = await book.run(lambda c: publish.changes_since(c, before))
        assert [(c.kind, c.id) for c in changes] == [("key", str(made["id"]))]
        assert (await desk.execute("key.limit", {"key_id": made["id"], "limit": "0.5"}))["limit_usd"] == "0.5"
        (listed,) = await desk.execute("key.list", {"username": "alice"})
        assert (listed["limit_usd"], listed["active"]) == ("0.5", False)
        await desk.execute("key.status", {"key_id": made["id"], "active": True})
        await desk.execute("key.limit", {"key_id": made["id"], "limit": None})
        (listed,) = await desk.execute("key.list", {"username": "alice"})
        assert (listed["limit_usd"], listed["active"]) == (None, True)

    with_desk(database_url, tmp_path, scenario)


@pytest.mark.parametrize("reveal", [True, False])
def test_a_key_is_kept_only_where_it_may_be_shown_again(sqlite_db: str, tmp_path: Path, reveal: bool) -> None:
    async def scenario(desk: AdminDesk, book: Book) -> None:
        await desk.execute("user.create", ALICE)
        made = await desk.execute("key.create", {"username": "alice", "name": "k", **NO_LIMITS})
        user = await book.run(lambda c: accounts.find_user(c, "alice"))
        assert user is not None
        (row,) = await book.run(lambda c: accounts.list_keys(c, user.id, limit=9))
        assert accounts.reveal_key(VAULT, row) == (made["key"] if reveal else None)

    with_desk(sqlite_db, tmp_path, scenario, reveal=reveal)


def test_channels(database_url: str, tmp_path: Path) -> None:
    async def scenario(desk: AdminDesk, book: Book) -> None:
        await book.run(
            lambda c: channels.put_channel(
                c, VAULT, "up", NOW, keys=("secret",), provider="openai", models=["m"], groups=["default"]
            )
        )
        (listed,) = await desk.execute("channel.list", {})
        assert (listed["name"], listed["models"], listed["active"]) == ("up", "m", True)
        assert "secret" not in json.dumps(listed)
        await desk.execute("channel.status", {"name": "up", "active": False})
        assert not (await desk.execute("channel.list", {}))[0]["active"]
        with pytest.raises(AdminError, match="there is no channel 'up', or it is disabled already"):
            await desk.execute("channel.status", {"name": "up", "active": False})

    with_desk(database_url, tmp_path, scenario)


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("user.create", ALICE, "the username 'alice' is taken"),
        ("user.create", {**ALICE, "username": "x", "role": "king"}, "role is user, admin or root"),
        ("user.create", {**ALICE, "username": "x" * 65}, "1 to 64 characters"),
        ("user.create", {**ALICE, "username": "x", "credit": "2000000000"}, "more than"),
        ("user.credit", {"username": "alice", "usd": "much", "reason": ""}, "not a decimal number"),
        ("user.credit", {"username": "alice", "usd": "-1", "reason": ""}, "not a positive multiple of"),
        ("user.credit", {"username": "alice", "usd": "0.000001", "reason": ""}, "smallest amount"),
        ("user.credit", {"username": "nobody", "usd": "1", "reason": ""}, "there is no user 'nobody'"),
        ("key.create", {"username": "nobody", "name": "k", **NO_LIMITS}, "there is no user 'nobody'"),
        ("key.create", {"username": "alice", "name": "k", **NO_LIMITS, "allow_ips": ["foo"]}, "'foo' is not an address"),
        ("key.create", {"username": "alice"}, "key.create: .*missing"),
        ("key.status", {"key_id": 77, "active": True}, "there is no key 77"),
        ("key.limit", {"key_id": 77, "limit": "1"}, "there is no key 77"),
        ("channel.status", {"name": "x", "active": True}, "there is no channel 'x'"),
        ("explode", {}, "unknown command 'explode'"),
    ],
)  # fmt: skip
def test_refusals_say_why(sqlite_db: str, tmp_path: Path, command: str, arguments: Any, message: str) -> None:
    async def scenario(desk: AdminDesk, _book: Book) -> None:
        await desk.execute("user.create", ALICE)
        with pytest.raises(AdminError, match=message):
            await desk.execute(command, arguments)

    with_desk(sqlite_db, tmp_path, scenario)


def test_whole_units() -> None:
    assert whole_units("1.5") == 1_500_000_000
    assert whole_units("0") == 0
    with pytest.raises(AdminError):
        whole_units("0.0000000001")


def test_the_socket_answers_and_refuses(sqlite_db: str, tmp_path: Path) -> None:
    async def scenario(desk: AdminDesk, _book: Book) -> None:
        (tmp_path / SOCKET).touch()  # a dead server's
        server = await listen(desk, tmp_path)
        try:
            assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o600
            made = await asyncio.to_thread(ask, tmp_path, "user.create", ALICE)
            assert made["balance_usd"] == "5"
            with pytest.raises(AdminError, match="'alice' is taken"):
                await asyncio.to_thread(ask, tmp_path, "user.create", ALICE)
            for line in (b"nonsense\n", b"{}\n", b"[]\n", b'{"command": "user.list", "arguments": 3}\n'):
                assert "error" in json.loads(await asyncio.to_thread(raw, tmp_path, line))
        finally:
            server.close()

    with_desk(sqlite_db, tmp_path, scenario)


def raw(data_dir: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(data_dir / SOCKET))
        connection.sendall(line)
        return connection.makefile("rb").readline()


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        ask(tmp_path, "user.list", {})


def test_a_server_that_says_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.close()

        server = await asyncio.start_unix_server(hang_up, tmp_path / SOCKET)
        with pytest.raises(AdminError, match="without an answer"):
            await asyncio.to_thread(ask, tmp_path, "user.list", {})
        server.close()

    asyncio.run(main())
