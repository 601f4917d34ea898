"""Several processes on one PostgreSQL database: what one is told holds on all, money is spent once, the dead are buried."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dragoman.console.admin import AdminError, ask
from tests.world import answers
from tests.world.harness import KEY, Exchange, Gateway, Reply, Vendor, channel, run_cli, start_gateway

SECRET = {"DRAGOMAN_SECRET": "one secret for all processes of a test"}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
FIXED = [{"model": "m", "per_request": "0.1"}]
FAST = [{"name": "default", "hold": "strict"}]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(lambda x: x.reply(200, answers.CHAT))
    yield vendor
    vendor.close()


Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path, vendor: Vendor, postgres_url: str) -> Iterator[Start]:
    """Starts gateways, each with a data directory of its own, on one database; stopped and audited at the end."""
    with ExitStack() as stack:
        started: list[Gateway] = []

        def begin(name: str, server: dict[str, Any] | None = None, **sections: Any) -> Gateway:
            gateway = start_gateway(
                tmp_path / name, [channel(vendor)], env=SECRET,
                server={"database_url": postgres_url, **(server or {})}, **sections,
            )  # fmt: skip
            stack.callback(gateway.stop)
            started.append(gateway)
            return gateway

        yield begin
    audited = run_cli("audit", "--config", str(started[0].config), env=SECRET)
    assert audited.returncode == 0, audited.stdout + audited.stderr


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql).fetchall()


def status_of(gateway: Gateway, key: str = KEY) -> int:
    return gateway.post("/v1/chat/completions", CHAT, key=key).status


def try_chat(gateway: Gateway, body: dict[str, Any] = CHAT) -> Reply | None:
    """The answer; None when the process went away instead."""
    try:
        return gateway.post("/v1/chat/completions", body)
    except (OSError, HTTPException):
        return None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def noted(gateway: Gateway, event: str) -> list[dict[str, Any]]:
    """The log's lines of a kind."""
    lines = [line for line in gateway.log.read_text().splitlines() if line.startswith("{")]
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def test_what_one_process_is_told_holds_on_the_other(start: Start) -> None:
    one, two = start("one"), start("two")
    made = ask(one.data_dir, "key.create", {
        "username": "alice", "name": "new", "limit": None, "models": None, "allow_ips": [], "group": "", "expires": None,
    })  # fmt: skip
    key, number = made["key"], made["id"]
    two.eventually(lambda: status_of(two, key) == 200)
    ask(one.data_dir, "key.status", {"key_id": number, "active": False})
    two.eventually(lambda: status_of(two, key) in (401, 403))
    ask(one.data_dir, "key.status", {"key_id": number, "active": True})
    two.eventually(lambda: status_of(two, key) == 200)
    ask(one.data_dir, "key.limit", {"key_id": number, "limit": "0.000002"})
    refused = two.post("/v1/chat/completions", CHAT, key=key)
    assert (refused.status, refused.json["error"]["code"]) == (403, "insufficient_quota")
    ask(one.data_dir, "key.limit", {"key_id": number, "limit": None})
    assert status_of(two, key) == 200
    ask(one.data_dir, "channel.status", {"name": "openai", "active": False})
    two.eventually(lambda: status_of(two) == 503)
    ask(two.data_dir, "channel.status", {"name": "openai", "active": True})
    one.eventually(lambda: status_of(one) == 200)


def test_a_key_that_was_refused_a_moment_ago_works_once_it_exists(start: Start) -> None:
    """A remembered miss does not outlive the creation of a key."""
    one, two = start("one"), start("two")
    nobody = "sk-" + "Nobody" * 8
    assert status_of(two, nobody) == 401
    ask(one.data_dir, "user.create", {"username": "carol", "group": "default", "role": "user", "credit": "1"})
    with pytest.raises(AdminError):
        ask(
            two.data_dir,
            "user.create",
            {"username": "carol", "group": "default", "role": "user", "credit": "1"},
        )
    made = ask(two.data_dir, "key.create", {
        "username": "carol", "name": "k", "limit": None, "models": None, "allow_ips": [], "group": "", "expires": None,
    })  # fmt: skip
    one.eventually(lambda: status_of(one, made["key"]) == 200)


def test_a_wallet_for_fifty_calls_pays_for_exactly_fifty(start: Start, postgres_url: str) -> None:
    users = [{"username": "alice", "credit": "5", "keys": [{"name": "k", "key": KEY}]}]
    both = [start(name, groups=FAST, prices=FIXED, users=users) for name in ("one", "two")]
    with ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(lambda n: both[n % 2].post("/v1/chat/completions", CHAT), range(200)))
    statuses = [r.status for r in replies]
    assert (statuses.count(200), statuses.count(403)) == (50, 150)
    assert all(r.json["error"]["code"] == "insufficient_quota" for r in replies if r.status == 403)
    wallet = "SELECT balance_nanos, held_nanos FROM accounts WHERE kind = 2"
    both[0].eventually(lambda: rows(postgres_url, wallet) == [(0, 0)])


def test_a_killed_process_is_cleaned_up_by_the_other(start: Start, vendor: Vendor, postgres_url: str) -> None:
    go_on = threading.Event()

    def play(exchange: Exchange) -> None:
        if b"wait" in exchange.request.body:
            go_on.wait(60)
        exchange.reply(200, answers.CHAT)

    vendor.script = play
    dying, living = start("dying"), start("living")
    waits = {"model": "m", "messages": [{"role": "user", "content": "wait"}]}
    with ThreadPoolExecutor(40) as pool:
        try:
            waiting = [pool.submit(try_chat, dying, waits) for _ in range(20)]
            mine = pool.submit(try_chat, living, waits)
            load = [pool.submit(try_chat, g) for g in (dying, living) for _ in range(60)]
            dying.eventually(lambda: sum(b"wait" in r.body for r in vendor.received) == 21)
            dying.stop(signal.SIGKILL)
            # what the dead process held is released; the living one's own call stays held
            living.eventually(lambda: rows(postgres_url, "SELECT count(*) FROM holds") == [(1,)], 60)
        finally:
            go_on.set()
        assert all(w.result() is None for w in waiting)
        own = mine.result()
        assert own is not None and own.status == 200
        assert all(r.status == 200 for r in (f.result() for f in load) if r is not None)
    report = run_cli("audit", "--json", "--config", str(living.config), env=SECRET)
    assert report.returncode == 0, report.stdout
    exposed = json.loads(report.stdout)["unbilled_exposure"]
    assert len(exposed) >= 20 and {e["reason"] for e in exposed} == {"process died"}
    assert status_of(living) == 200


def test_several_workers_under_one_command(start: Start, vendor: Vendor, postgres_url: str) -> None:
    gateway = start("all", server={"workers": 2, "port": free_port()})
    assert gateway.lines[-1].endswith(f"× 2 listening on {gateway.url}")
    gateway.eventually(lambda: len(noted(gateway, "listening")) == 2)
    pids = [entry["pid"] for entry in noted(gateway, "listening")]
    assert len(set(pids)) == 2 and gateway.process.pid not in pids
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: status_of(gateway), range(100))) == {200}
    assert [u["username"] for u in ask(gateway.data_dir, "user.list", {})] == ["alice", "bob"]

    # A charge is written just after its answer: what is killed before that is exposure, which is not the matter here.
    written = "SELECT count(*) FROM call_logs WHERE status = 200"
    gateway.eventually(lambda: rows(postgres_url, written) == [(100,)])
    os.kill(pids[0], signal.SIGKILL)
    gateway.eventually(lambda: len(noted(gateway, "listening")) == 3)
    assert "ended with -9; starting it again" in gateway.log.read_text()
    assert len(ask(gateway.data_dir, "user.list", {})) == 2  # whichever it was, the socket is there
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: status_of(gateway), range(50))) == {200}

    again = run_cli("serve", "--config", str(gateway.config), env=SECRET)
    assert again.returncode == 3 and f"cannot listen on 127.0.0.1:{gateway.port}" in again.stderr

    go_on = threading.Event()
    vendor.script = lambda x: x.reply(200, answers.CHAT) if go_on.wait(60) else None
    before = len(vendor.received)
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(status_of, gateway) for _ in range(8)]
        gateway.eventually(lambda: len(vendor.received) == before + 8)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.eventually(lambda: refuses(gateway.port))
        go_on.set()
        assert [f.result() for f in running] == [200] * 8  # both workers finished what ran
    assert gateway.stop() == 0
    assert len(noted(gateway, "stopped")) == 2
    assert rows(postgres_url, written) == [(158,)]


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_workers_stop_when_their_parent_was_killed(start: Start) -> None:
    gateway = start("all", server={"workers": 2, "port": free_port()})
    assert status_of(gateway) == 200
    gateway.stop(signal.SIGKILL)
    gateway.eventually(lambda: len(noted(gateway, "stopped")) == 2)
    gateway.eventually(lambda: refuses(gateway.port))
