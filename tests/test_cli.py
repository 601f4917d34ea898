"""The command line as its users meet it: a process, its output and its exit code."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dragoman import __version__, cli
from tests.world.harness import Gateway, launch, run_cli, write_config

TIMEOUT_S = 60


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with its data in ``tmp_path / "data"``."""
    file = tmp_path / "some.toml"
    write_config(file, {"port": 0, "data_dir": str(tmp_path / "data")})
    return file


@pytest.fixture
def gateway(config: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A running server."""
    running = launch(config, tmp_path / "data", tmp_path / "log")
    yield running
    assert running.stop() == 0


def answer(config: Path, *arguments: str) -> Any:
    """What a command prints as JSON; it must succeed."""
    done = run_cli(*arguments, "--config", str(config))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """A message of ours, no traceback, the exit code."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


# -------------------------------------------------------------------------------------------------------------- texts


def test_version() -> None:
    done = run_cli("version")
    assert (done.returncode, done.stdout) == (0, f"dragoman {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "taught"),
    [
        ([], ["dragoman demo", "serve", "migrate", "audit", "admin", "needs no vendor key"]),
        (["serve"], ["--config", "--host", "--port", "./dragoman.toml", "wins over the file", "SIGTERM"]),
        (["demo"], ["--data-dir", "thrown away", "no network and no vendor key"]),
        (["migrate"], ["Safe to repeat", "--config"]),
        (["audit"], ["--json", "Exit code 1 when anything differs", "beside a live server"]),
        (["admin"], ["socket", "user", "key", "channel"]),
        (["admin", "user"], ["create", "list", "credit"]),
        (["admin", "user", "create"], ["--credit", "USD", "--role", "--group"]),
        (["admin", "user", "credit"], ["--reason", "required"]),
        (["admin", "key"], ["create", "list", "disable", "enable", "limit"]),
        (
            ["admin", "key", "create"],
            ["--limit", "--models", "--allow-ips", "--expires", "moment to copy it"],
        ),
        (["admin", "key", "limit"], ["--limit", "only the wallet"]),
        (["admin", "channel"], ["list", "disable", "enable"]),
    ],
)
def test_help_teaches(arguments: list[str], taught: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*arguments, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    for words in taught:
        assert words in result.output, words
    assert "--worker" not in result.output  # between parent and worker only


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["serve", "--prot", "1"],
        ["admin", "key", "disable", "seven"],
        ["admin", "user", "credit", "a", "1"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert_refused(run_cli(*arguments), 2, "Usage: ", "--help")


# ------------------------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize(
    "command",
    [["serve"], ["demo"], ["migrate"], ["audit"], ["admin", "user", "list"], ["admin", "key", "enable", "1"]],
)
def test_a_bad_configuration_is_2_everywhere(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[server]\nprot = 1\n[[groups]]\nname = "a"\nhold = "maybe"\n')
    done = run_cli(*command, "--config", str(file))
    assert_refused(done, 2, f"{file}: server.prot: unknown name; accepted here: ", " port,")
    assert_refused(done, 2, f"{file}: groups[0].hold: Input should be 'expected' or 'strict'")
    assert not (tmp_path / "data").exists()


def test_a_configuration_in_the_working_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "dragoman.toml").write_text("[server]\nport = 99999\n")
    assert_refused(run_cli("serve", cwd=tmp_path), 2, "dragoman.toml: server.port: ", "65535")
    (tmp_path / "dragoman.toml").write_text('[server]\ndata_dir = "here"\n')
    assert run_cli("migrate", cwd=tmp_path).returncode == 0
    assert (tmp_path / "here" / "dragoman.db").exists()


def test_without_a_configuration_the_defaults_hold(tmp_path: Path) -> None:
    assert run_cli("migrate", cwd=tmp_path).returncode == 0
    assert (tmp_path / "data" / "dragoman.db").exists()
    done = run_cli("admin", "user", "list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "[]\n")


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "-1"]])
def test_values_from_the_command_line_are_checked(config: Path, arguments: list[str]) -> None:
    assert_refused(run_cli("serve", "--config", str(config), *arguments), 2, "server.port: ")


def test_several_workers_need_a_port_and_postgresql(config: Path) -> None:
    env = {"DRAGOMAN_SERVER__WORKERS": "2"}
    done = run_cli("serve", "--config", str(config), env=env)
    assert_refused(done, 2, "server.workers: more than one process needs a PostgreSQL", "server.port: ")
    env["DRAGOMAN_SERVER__DATABASE_URL"] = "postgresql://127.0.0.1:1/x"
    assert_refused(run_cli("serve", "--config", str(config), env=env), 2, "server.port: ")
    # the command line has a port: the configuration is right, and the database is not there
    done = run_cli("serve", "--config", str(config), "--port", str(free_port()), env=env)
    assert_refused(done, 3, "the database cannot be used")


def test_a_missing_file_is_2(tmp_path: Path) -> None:
    assert_refused(run_cli("audit", "-c", str(tmp_path / "nope.toml")), 2, "nope.toml: no such file")


# -------------------------------------------------------------------------------------------------------------- serve


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_serve_says_where_it_listens_and_stops_in_order(gateway: Gateway) -> None:
    assert gateway.lines == [f"dragoman {__version__} listening on {gateway.url}"]
    assert gateway.get("/healthz", key=None).status == 200


def test_the_command_line_wins_over_the_file(config: Path, tmp_path: Path) -> None:
    write_config(config, {"port": 1, "host": "192.0.2.1", "data_dir": str(tmp_path / "data")})
    command = [
        sys.executable,
        "-m",
        "dragoman.cli",
        "serve",
        "-c",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert "listening on http://127.0.0.1:" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()


def test_a_port_that_is_taken_is_3(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_cli("serve", "--config", str(config), "--port", str(port))
        assert_refused(done, 3, f"dragoman: cannot listen on 127.0.0.1:{port}: ")
        assert done.stdout == ""


def test_a_second_server_on_the_same_data_is_3_and_names_the_first(gateway: Gateway) -> None:
    done = run_cli("serve", "--config", str(gateway.config))
    assert_refused(done, 3, f"in use by process {gateway.process.pid}", "SQLite serves exactly one process")
    assert gateway.get("/healthz", key=None).status == 200
    assert_refused(run_cli("migrate", "--config", str(gateway.config)), 0, "database: sqlite:///")


def test_a_certificate_that_is_missing_is_3(config: Path, tmp_path: Path) -> None:
    names = {
        "DRAGOMAN_SERVER__TLS_CERT": str(tmp_path / "no.pem"),
        "DRAGOMAN_SERVER__TLS_KEY": str(tmp_path / "no.key"),
    }
    done = run_cli("serve", "--config", str(config), env=names)
    assert_refused(done, 3, "dragoman: ", f"server.tls_cert: {tmp_path / 'no.pem'}: No such file")


# ---------------------------------------------------------------------------------------------------- migrate and audit


def test_migrate_may_be_repeated(config: Path) -> None:
    first = run_cli("migrate", "--config", str(config))
    assert first.returncode == 0 and first.stdout.startswith("migrated from nothing to ")
    second = run_cli("migrate", "--config", str(config))
    assert second.returncode == 0 and second.stdout.startswith("already at revision ")
    assert "database: sqlite:///" in second.stderr


def test_audit_before_there_is_a_database_is_3(config: Path) -> None:
    assert_refused(run_cli("audit", "--config", str(config)), 3, "run `dragoman migrate`")


def test_audit_is_0_when_clean_and_1_after_a_balance_was_changed_by_hand(
    config: Path, tmp_path: Path
) -> None:
    answer(config, "admin", "user", "create", "alice", "--credit", "5")
    clean = run_cli("audit", "--config", str(config))
    assert clean.returncode == 0 and clean.stdout.endswith("The books are clean.\n")
    report = answer(config, "audit", "--json")
    assert (
        report["ok"] is True and report["findings"] == [] and report["counts"]["credited_nanos"] == 5 * 10**9
    )
    with sqlite3.connect(tmp_path / "data" / "dragoman.db") as database:
        database.execute("UPDATE accounts SET balance_nanos = balance_nanos + 1 WHERE kind = 2")
    database.close()
    wrong = run_cli("audit", "--config", str(config))
    assert wrong.returncode == 1 and "DIFFERENCE" in wrong.stdout and "NOT clean" in wrong.stdout
    report = json.loads(run_cli("audit", "--json", "--config", str(config)).stdout)
    assert report["ok"] is False and report["findings"]


def test_audit_runs_beside_a_server(gateway: Gateway) -> None:
    assert gateway.audit().returncode == 0


# -------------------------------------------------------------------------------------------------------------- admin


def test_admin_without_a_server(config: Path) -> None:
    go_through_admin(config)


def test_admin_with_a_server(gateway: Gateway) -> None:
    go_through_admin(gateway.config)
    key = answer(gateway.config, "admin", "key", "create", "alice", "live")["key"]
    assert gateway.get("/v1/models", key=key).status == 200


def go_through_admin(config: Path) -> None:
    assert answer(config, "admin", "user", "create", "alice", "--credit", "1.5")["balance_usd"] == "1.5"
    credited = answer(config, "admin", "user", "credit", "alice", "2", "--reason", "paid")
    assert credited["balance_usd"] == "3.5"
    assert [u["username"] for u in answer(config, "admin", "user", "list")] == ["alice"]
    options = ["--limit", "1", "--models", "a, b", "--allow-ips", "127.0.0.1,10.0.0.0/8", "--group", "vip"]
    made = answer(config, "admin", "key", "create", "alice", "main", *options)
    assert made["key"].startswith("sk-")
    number = str(made["id"])
    assert answer(config, "admin", "key", "disable", number) == {"id": made["id"], "active": False}
    assert answer(config, "admin", "key", "limit", number, "--limit", "0.5")["limit_usd"] == "0.5"
    (listed,) = answer(config, "admin", "key", "list", "alice")
    assert (listed["active"], listed["limit_usd"]) == (False, "0.5")
    assert answer(config, "admin", "key", "enable", number)["active"] is True
    assert answer(config, "admin", "key", "limit", number)["limit_usd"] is None
    assert answer(config, "admin", "channel", "list") == []
    for refused in (
        ["user", "create", "alice"],
        ["key", "enable", "999"],
        ["channel", "disable", "x"],
        ["channel", "enable", "x"],
    ):
        done = run_cli("admin", *refused, "--config", str(config))
        assert_refused(done, 1, "dragoman: ")
        assert done.stdout == ""


def test_admin_on_a_terminal_shows_tables(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    answer(config, "admin", "user", "create", "alice", "--credit", "1.5")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    cli.user_list(config)
    cli.user_credit("alice", "1", "x", config)
    cli.channel_list(config)
    shown = capsys.readouterr().out
    assert (
        "balance_usd" in shown
        and "alice" in shown
        and "balance_usd: 2.5" in shown
        and "nothing here" in shown
    )


# --------------------------------------------------------------------------------------------------------------- demo


@pytest.mark.parametrize("kept", [False, True])
def test_demo_prints_what_works_and_throws_its_data_away(tmp_path: Path, kept: bool) -> None:
    temporary, kept_dir = tmp_path / "tmp", tmp_path / "kept"
    temporary.mkdir()
    options = ["--data-dir", str(kept_dir)] if kept else []
    with subprocess.Popen(
        [sys.executable, "-m", "dragoman.cli", "demo", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or not lines[-1].startswith("Ctrl-C"):
                lines.append(process.stdout.readline())
                assert lines[-1], lines
            named = dict(
                line.split(None, 1) for line in lines if line.startswith(("Base", "Key", "User", "Models"))
            )
            key = named["Key"].strip()
            url = named["Base"].split()[1]
            line = next(line for line in lines if line.startswith("curl "))
            assert f"Bearer {key}" in line and f"{url}/v1/chat/completions" in line
            assert try_it(line)["choices"][0]["message"]["content"]
            for model in named["Models"].strip().split(", "):
                assert model in models_of(url, key)
            stored = kept_dir if kept else next(temporary.glob("dragoman-demo-*"))
            assert (stored / "dragoman.db").exists()
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()
    assert (kept_dir / "dragoman.db").exists() == kept
    assert list(temporary.iterdir()) == []


def try_it(line: str) -> Any:
    """Run the curl line; where there is no curl, do what it says."""
    words = shlex.split(line)
    if shutil.which("curl"):
        done = subprocess.run([*words, "-sS"], capture_output=True, timeout=TIMEOUT_S, check=True)
        return json.loads(done.stdout)
    host = words[1].split("/")[2]
    headers = dict(w.split(": ", 1) for flag, w in itertools.pairwise(words) if flag == "-H")
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT_S)
    try:
        connection.request("POST", words[1].split(host)[1], words[-1], headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def models_of(url: str, key: str) -> set[str]:
    connection = http.client.HTTPConnection(url.split("//")[1], timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
        return {m["id"] for m in json.loads(connection.getresponse().read())["data"]}
    finally:
        connection.close()
