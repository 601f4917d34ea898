"""A real nginx for a test, from Debian's package; tests that need it are skipped where it is missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.upstream.certificates import Authority

from dragoman.upstream.client import Origin

BINARY = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))

needs_nginx = pytest.mark.skipif(
    BINARY is None, reason="nginx is not installed (apt-get install nginx-light)"
)

CONFIGURATION = """
{user} daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off; keepalive_requests 100000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};
    root {folder}/files;
    location = /connection {{ return 200 $connection; }}
    location = /nothing {{ return 204; }}
    location = /tls {{ return 200 "$ssl_protocol $ssl_server_name"; }}
    location = /small {{ client_max_body_size 200k; proxy_pass http://127.0.0.1:{plain}/connection; }}
    location = /three {{ keepalive_requests 3; return 200 ok; }}
  }}
}}
"""


class Nginx:
    def __init__(self, plain: int, tls: int, ca_file: str, big: bytes) -> None:
        self._plain = plain
        self._tls = tls
        self._ca_file = ca_file
        self.big = big  # the file at /big

    def origin(self, *, tls: bool = False) -> Origin:
        if tls:
            return Origin.parse(f"https://localhost:{self._tls}", ca_file=self._ca_file)
        return Origin.parse(f"http://127.0.0.1:{self._plain}")


@contextmanager
def running_nginx(folder: Path) -> Iterator[Nginx]:
    assert BINARY is not None
    authority = Authority(folder)
    certificate, key = authority.files("localhost", "127.0.0.1")
    big = bytes(range(256)) * 8192
    (folder / "files").mkdir()
    (folder / "files" / "big").write_bytes(big)
    # nginx takes over sockets that are listening already, as it does when it upgrades itself: so the
    # kernel picks the ports, and there is nothing to wait for.
    with socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as tls:
        ports = plain.getsockname()[1], tls.getsockname()[1]
        text = CONFIGURATION.format(
            # Its workers leave root otherwise, and could not read the test's folder.
            user="user root;" if os.geteuid() == 0 else "",
            plain=ports[0],
            tls=ports[1],
            certificate=certificate,
            key=key,
            folder=folder,
        )
        (folder / "nginx.conf").write_text(text)
        fds = (plain.fileno(), tls.fileno())
        process = subprocess.Popen(
            [BINARY, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"],
            pass_fds=fds,
            env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)},
        )
    try:
        yield Nginx(*ports, authority.ca_file, big)
    finally:
        process.terminate()
        process.wait(20)
