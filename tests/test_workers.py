"""The parent of several workers, with small scripts in their place; the real thing is in world/test_postgres."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dragoman import workers

ANNOUNCE = "print('dragoman 1 listening on http://127.0.0.1:1', flush=True)"
UNTIL_TOLD = "signal.sigwait({signal.SIGTERM})"
PRELUDE = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"


def parent(
    tmp_path: Path, script: str, number: int = 2, clock: str = "time.monotonic"
) -> subprocess.Popen[str]:
    """A parent of ``number`` workers that run ``script`` with their number as the argument."""
    child = tmp_path / "worker.py"
    child.write_text(f"{PRELUDE}\n{textwrap.dedent(script)}\n")
    code = f"""
        import asyncio, sys, time
        from dragoman.workers import Workers
        each = lambda index: [sys.executable, {str(child)!r}, str(index)]
        say = lambda line: print(line, flush=True)
        complain = lambda line: print(line, file=sys.stderr, flush=True)
        sys.exit(asyncio.run(Workers(each, {number}, say, complain, {clock}).run()))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_listen_then_all_stop_in_order(tmp_path: Path, number: signal.Signals) -> None:
    process = parent(tmp_path, f"{ANNOUNCE}\n{UNTIL_TOLD}")
    assert process.stdout is not None
    assert process.stdout.readline() == "dragoman 1 × 2 listening on http://127.0.0.1:1\n"
    process.send_signal(number)
    assert finish(process) == (0, "", "")


@pytest.mark.parametrize("code", [2, 3])
def test_a_worker_that_cannot_start_stops_them_all_with_its_code(tmp_path: Path, code: int) -> None:
    script = f"""
        if sys.argv[1] == "1":
            sys.exit({code})
        {ANNOUNCE}
        {UNTIL_TOLD}
    """
    assert finish(parent(tmp_path, script)) == (code, "", "")


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        again = Path({str(tmp_path)!r}, "again")
        {ANNOUNCE}
        if sys.argv[1] == "1" and not again.exists():
            again.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[1] == "1":
            os.kill(os.getppid(), signal.SIGTERM)
        {UNTIL_TOLD}
    """
    code, out, err = finish(parent(tmp_path, script))
    assert code == 0 and out.count("listening") == 1
    assert "worker 1 (process " in err and "ended with -9; starting it again" in err


def test_a_worker_that_dies_again_and_again_stops_them_all(tmp_path: Path) -> None:
    script = f"""
        {ANNOUNCE}
        if sys.argv[1] == "1":
            sys.exit(7)
        {UNTIL_TOLD}
    """
    code, _, err = finish(parent(tmp_path, script, clock="lambda: 0.0"))
    assert code == 1
    assert err.count("starting it again") == workers.RESTARTS and "too many in 30 s: stopping" in err


def test_old_deaths_do_not_count(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        starts = Path({str(tmp_path)!r}, "starts")
        {ANNOUNCE}
        if sys.argv[1] == "1":
            with starts.open("a") as file:
                file.write("x")
            if starts.stat().st_size == 10:
                os.kill(os.getppid(), signal.SIGTERM)
                {UNTIL_TOLD}
                sys.exit(0)
            sys.exit(7)
        {UNTIL_TOLD}
    """
    code, _, err = finish(parent(tmp_path, script, clock="iter(range(0, 10000, 31)).__next__"))
    assert code == 0 and err.count("starting it again") == 9


def test_a_worker_that_fails_while_stopping_is_told_by_the_code(tmp_path: Path) -> None:
    process = parent(tmp_path, f"{ANNOUNCE}\n{UNTIL_TOLD}\nsys.exit(int(sys.argv[1]) * 9)")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 9


def test_the_workers_stdin_ends_with_the_parent(tmp_path: Path) -> None:
    process = parent(tmp_path, f"{ANNOUNCE}\nsys.stdin.read()\nos.write(2, sys.argv[1].encode())")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    _, err = process.communicate(timeout=30)  # ends when the last worker has closed its stderr
    assert sorted(err) == ["0", "1"]


def test_the_command_names_the_configuration_the_address_and_the_number() -> None:
    line = workers.command("a.toml", "::1", 4000)(3)
    assert line[1:] == [
        "-m", "dragoman.cli", "serve", "--config", "a.toml", "--host", "::1", "--port", "4000", "--worker", "3",
    ]  # fmt: skip
    assert "--config" not in workers.command(None, "::1", 4000)(0)


def test_a_port_that_others_share_is_taken() -> None:
    with socket.socket() as sharing:
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sharing.bind(("127.0.0.1", 0))
        sharing.listen()
        port = sharing.getsockname()[1]
        assert "in use" in workers.taken("127.0.0.1", port)
        complaints: list[str] = []
        assert workers.run_workers(None, "127.0.0.1", port, 2, print, complaints.append) == 3
        assert complaints and f"cannot listen on 127.0.0.1:{port}" in complaints[0]
    assert workers.taken("127.0.0.1", port) == ""
    assert workers.taken("no.such.host.invalid", port)
