"""Several server processes under one command: the parent starts them, passes signals on and replaces one that dies.

The parent serves nothing and opens no database. All workers listen on the same port (SO_REUSEPORT) and the kernel
spreads connections over them. A worker's stdin is a pipe that nobody writes to: when it ends, the parent is gone and the
worker stops in order. A worker that ends by itself is started again, at most ``RESTARTS`` times in ``WINDOW_S``; one that
cannot start in the first place (exit code 2 or 3) stops them all.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from os import PathLike

RESTARTS, WINDOW_S = 5, 30.0
FAILED, NO_START = 1, 3  # exit codes, as in cli
FUTILE = (2, NO_START)

Say = Callable[[str], None]


def command(config: str | PathLike[str] | None, host: str, port: int) -> Callable[[int], list[str]]:
    """Worker number → the command line that runs it. A worker reads the same configuration as the parent did."""
    chosen = [] if config is None else ["--config", str(config)]
    line = [sys.executable, "-m", "dragoman.cli", "serve", *chosen, "--host", host, "--port", str(port)]

    def numbered(index: int) -> list[str]:
        return [*line, "--worker", str(index)]

    return numbered


def run_workers(
    config: str | PathLike[str] | None, host: str, port: int, number: int, announce: Say, complain: Say
) -> int:
    """Run ``number`` workers until SIGTERM or SIGINT. Returns the exit code: 0 when every one stopped in order."""
    if trouble := taken(host, port):
        complain(f"cannot listen on {host}:{port}: {trouble}")
        return NO_START
    return asyncio.run(Workers(command(config, host, port), number, announce, complain).run())


def taken(host: str, port: int) -> str:
    """Why nobody should listen here; empty when the port is free.

    With SO_REUSEPORT the workers of a second gateway would share the port without an error.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return str(error)
    for family, _, _, _, address in dict.fromkeys(found):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(len(found) > 1))
            try:
                probe.bind(address)
            except OSError as error:
                return str(error)
    return ""


class Workers:
    """``each`` gives the command of worker 0, 1, …; a worker's first line on stdout says that it listens."""

    def __init__(
        self,
        each: Callable[[int], Sequence[str]],
        number: int,
        announce: Say,
        complain: Say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._each, self._number, self._clock = each, number, clock
        self._announce, self._complain = announce, complain
        self._running: dict[int, Process] = {}
        self._listening: set[int] = set()
        self._announced = self._stopping = False
        self._deaths: deque[float] = deque(maxlen=RESTARTS)

    async def run(self) -> int:
        """Returns when all have ended, with the first exit code that is not 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told, number)
        try:
            codes = await asyncio.gather(*(self._keep(index) for index in range(self._number)))
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        return next((code for code in codes if code), 0)

    async def _keep(self, index: int) -> int:
        """One place among the workers: start, watch, replace. Returns its last process's exit code."""
        while True:
            # A session of its own: Ctrl-C reaches a worker once, from here, and not a second time from the terminal.
            process = await asyncio.create_subprocess_exec(
                *self._each(index), stdin=PIPE, stdout=PIPE, start_new_session=True
            )
            self._running[index] = process
            if self._stopping:  # told while this one was being started
                _send(process, signal.SIGTERM)
            await self._listen_to(index, process)
            code = await process.wait()
            del self._running[index]
            if self._stopping:
                return 0 if code in (-signal.SIGTERM, -signal.SIGINT) else code
            if code in FUTILE and not self._announced:
                self._stop()
                return code
            if not self._may_restart():
                self._complain(f"worker {index} ended with {code}, too many in {WINDOW_S:.0f} s: stopping")
                self._stop()
                return FAILED
            self._complain(f"worker {index} (process {process.pid}) ended with {code}; starting it again")

    async def _listen_to(self, index: int, process: Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            self._listening.add(index)
            if len(self._listening) == self._number and not self._announced:
                self._announced = True
                self._announce(raw.decode().rstrip().replace(" listening", f" × {self._number} listening", 1))

    def _may_restart(self) -> bool:
        now = self._clock()
        often = len(self._deaths) == RESTARTS and now - self._deaths[0] < WINDOW_S
        self._deaths.append(now)
        return not often

    def _told(self, number: signal.Signals) -> None:
        """The first signal stops in order; later ones go through as they are (a second SIGINT ends the patience)."""
        if not self._stopping:
            self._stop()
        else:
            for process in self._running.values():
                _send(process, number)

    def _stop(self) -> None:
        self._stopping = True
        for process in self._running.values():
            _send(process, signal.SIGTERM)


def _send(process: Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:  # ended just now
        pass
