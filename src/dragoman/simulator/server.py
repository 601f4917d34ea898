"""Runs the simulator on uvicorn: for `python -m dragoman.simulator`, the demo and the tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dragoman.simulator.app import TRANSPORT, create_app


class SimulatorProtocol(HttpToolsProtocol):
    """Lets the application reach the connection: some failures cannot be said in ASGI."""

    def on_message_begin(self) -> None:
        """Adds the transport to the scope of the request that begins."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket; port 0 takes a free one. Connections queue in it until a server accepts them."""
    listening = socket.create_server((host, port), backlog=2048)
    listening.setblocking(False)
    return listening


def make_server(*, loop: str = "auto") -> uvicorn.Server:
    """A uvicorn server with an application of its own; it is silent, for cut answers are no news."""
    config = uvicorn.Config(
        create_app(), http=SimulatorProtocol, loop=loop, ws="none", lifespan="off", access_log=False,
        log_level="critical",
        server_header=True, date_header=True, timeout_keep_alive=120, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return uvicorn.Server(config)


@contextlib.contextmanager
def running(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """A simulator in a thread; gives its base URL, e.g. http://127.0.0.1:43210."""
    listening = listen(host, port)
    server = make_server()
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="simulator", daemon=True
    )
    thread.start()
    try:
        yield f"http://{host}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()
