"""The commands behind ``dragoman admin``: run by the server that owns the database, asked for over a Unix socket.

One request and one answer per connection, a JSON object on a line each: ``{"command", "arguments"}`` →
``{"result"}`` or ``{"error"}``. The socket lies in the data directory with mode 0600: whoever may open it owns the data.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from dragoman.core.money import NANOS_PER_QUOTA, nanos_to_usd, usd_to_nanos
from dragoman.ledger.book import Book
from dragoman.ledger.core import MAX_AMOUNT, Credit
from dragoman.store import accounts, channels
from dragoman.store.vault import Vault, generate_key

SOCKET = "admin.sock"
LINE_BYTES = 1_000_000
ANSWER_S = 30
MAX_NANOS = MAX_AMOUNT  # what the ledger moves at once


class AdminError(Exception):
    """An admin command was refused; the message says why."""


def whole_units(usd: str) -> int:
    """USD → nanos, which must be whole quota units. Raises AdminError."""
    try:
        nanos = usd_to_nanos(usd)
    except ValueError as error:
        raise AdminError(str(error)) from None
    if nanos < 0 or nanos % NANOS_PER_QUOTA:
        raise AdminError(f"{usd} is not a positive multiple of $0.000002, the smallest amount the books know")
    if nanos > MAX_NANOS:
        raise AdminError(f"{usd} is more than ${nanos_to_usd(MAX_NANOS)} at once")
    return nanos


class AdminDesk:
    """Carries out admin commands in the ledger's writer."""

    def __init__(
        self, book: Book, vault: Vault, *, reveal: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._book, self._vault, self._reveal, self._clock = book, vault, reveal, clock
        self._commands: dict[str, Callable[..., Any]] = {
            "user.create": self._user_create,
            "user.list": self._user_list,
            "user.credit": self._user_credit,
            "key.create": self._key_create,
            "key.list": self._key_list,
            "key.status": self._key_status,
            "key.limit": self._key_limit,
            "channel.list": self._channel_list,
            "channel.status": self._channel_status,
        }

    async def execute(self, command: str, arguments: dict[str, Any]) -> Any:
        """The command's result as plain data. Raises AdminError."""
        run = self._commands.get(command)
        if run is None:
            raise AdminError(f"unknown command {command!r}")
        try:
            return await run(**arguments)
        except accounts.Conflict as error:
            raise AdminError(str(error)) from None
        except TypeError as error:
            raise AdminError(f"{command}: {error}") from None

    async def _user_create(self, username: str, group: str, role: str, credit: str) -> dict[str, Any]:
        nanos, now = whole_units(credit), self._clock()
        if role not in ("user", "admin", "root"):
            raise AdminError("role is user, admin or root")
        if not username or len(username) > 64:
            raise AdminError("a username has 1 to 64 characters")
        user_id, wallet_id = await self._book.run(
            lambda c: accounts.create_user(c, username=username, now=now, role=role, group=group)
        )
        if nanos:
            await self._credit(wallet_id, nanos, "initial credit")
        return {"id": user_id, "username": username, "balance_usd": nanos_to_usd(nanos)}

    async def _user_list(self) -> list[dict[str, Any]]:
        rows = await self._book.run(accounts.list_users)
        return [
            {
                "id": r.id,
                "username": r.username,
                "role": r.role,
                "group": r.grp,
                "active": r.status == 1,
                "balance_usd": nanos_to_usd(r.balance_nanos),
                "used_usd": nanos_to_usd(r.used_nanos),
                "requests": r.request_count,
            }
            for r in rows
        ]

    async def _user_credit(self, username: str, usd: str, reason: str) -> dict[str, Any]:
        nanos = whole_units(usd)
        user = await self._user(username)
        await self._credit(user.wallet_id, nanos, reason)
        row = await self._book.run(lambda c: accounts.get_user(c, user.id))
        assert row is not None
        return {"username": username, "balance_usd": nanos_to_usd(row.balance_nanos)}

    async def _credit(self, wallet_id: int, nanos: int, note: str) -> None:
        credit_id = f"admin:{secrets.token_hex(12)}"
        await self._book.credit(
            Credit(id=credit_id, wallet_id=wallet_id, amount=nanos, now=self._clock(), note=note[:200])
        )

    async def _key_create(
        self,
        username: str,
        name: str,
        limit: str | None,
        models: list[str] | None,
        allow_ips: list[str],
        group: str,
        expires: int | None,
    ) -> dict[str, Any]:
        user, now = await self._user(username), self._clock()
        nanos = None if limit is None else whole_units(limit)
        for network in allow_ips:
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise AdminError(f"{network!r} is not an address or a range like 10.0.0.0/8") from None
        key = generate_key()  # made here: the writer may run its function twice
        key_id, _ = await self._book.run(
            lambda c: accounts.create_key(
                c, self._vault, user_id=user.id, name=name, now=now, key=key, limit_nanos=nanos, expires_at=expires,
                models=models, allow_ips=allow_ips, group=group or None, reveal=self._reveal,
            )
        )  # fmt: skip
        return {"id": key_id, "name": name, "key": key}

    async def _key_list(self, username: str) -> list[dict[str, Any]]:
        user = await self._user(username)
        rows = await self._book.run(lambda c: accounts.list_keys(c, user.id, limit=1000))
        return [
            {
                "id": r.id,
                "name": r.name,
                "key": r.hint,
                "active": r.status == 1,
                "limit_usd": None if r.limit_nanos is None else nanos_to_usd(r.limit_nanos),
                "used_usd": nanos_to_usd(r.used_nanos),
                "expires": r.expires_at,
            }
            for r in rows
        ]

    async def _key_status(self, key_id: int, active: bool) -> dict[str, Any]:
        now = self._clock()
        if await self._book.run(lambda c: accounts.get_key(c, key_id)) is None:
            raise AdminError(f"there is no key {key_id}")
        await self._book.run(lambda c: accounts.set_key_status(c, key_id, active, now))
        return {"id": key_id, "active": active}

    async def _key_limit(self, key_id: int, limit: str | None) -> dict[str, Any]:
        nanos = None if limit is None else whole_units(limit)
        if await self._book.run(lambda c: accounts.get_key(c, key_id)) is None:
            raise AdminError(f"there is no key {key_id}")
        await self._book.run(lambda c: accounts.set_key_limit(c, key_id, nanos))
        return {"id": key_id, "limit_usd": None if nanos is None else nanos_to_usd(nanos)}

    async def _channel_list(self) -> list[dict[str, Any]]:
        rows = await self._book.run(channels.list_channels)
        return [
            {
                "id": r.id,
                "name": r.name,
                "provider": r.provider,
                "models": ", ".join(json.loads(r.models)),
                "groups": ", ".join(json.loads(r.groups)),
                "priority": r.priority,
                "weight": r.weight,
                "active": r.status == 1,
            }
            for r in rows
        ]

    async def _channel_status(self, name: str, active: bool) -> dict[str, Any]:
        now = self._clock()
        if not await self._book.run(lambda c: channels.set_channel_status(c, name, active, now)):
            raise AdminError(
                f"there is no channel {name!r}, or it is {'enabled' if active else 'disabled'} already"
            )
        return {"name": name, "active": active}

    async def _user(self, username: str) -> Any:
        user = await self._book.run(lambda c: accounts.find_user(c, username))
        if user is None:
            raise AdminError(f"there is no user {username!r}")
        return user


async def listen(desk: AdminDesk, data_dir: Path) -> asyncio.Server:
    """Serve the desk on the socket in ``data_dir``. A socket left behind by a dead server is replaced."""
    path = data_dir / SOCKET
    path.unlink(missing_ok=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), ANSWER_S)
            try:
                request = json.loads(line)
                reply = {"result": await desk.execute(request["command"], request["arguments"])}
            except (AdminError, ValueError, KeyError, TypeError) as error:
                reply = {"error": str(error)}
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError):
            return
        finally:
            writer.close()

    previous = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(answer, path, limit=LINE_BYTES)
    finally:
        os.umask(previous)


def ask(data_dir: Path, command: str, arguments: dict[str, Any]) -> Any:
    """Ask a running server. Raises AdminError for its refusal, OSError when no server listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(str(data_dir / SOCKET))
        try:
            connection.sendall(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
            line = connection.makefile("rb").readline(LINE_BYTES)
        except (
            OSError
        ) as error:  # not the caller's cue to do it itself: the server may have done it, or may do it yet
            raise AdminError(
                f"the server took the command and did not answer ({error}); see whether it was done"
            ) from None
    if not line:
        raise AdminError("the server closed the connection without an answer")
    reply = json.loads(line)
    if "error" in reply:
        raise AdminError(reply["error"])
    return reply["result"]
