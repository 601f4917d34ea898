"""The gateways that are measured: how each is prepared, configured and started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from load import UPSTREAM_KEY, UPSTREAM_MODEL

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = ROOT / ".bench-venv"
CLIENT_KEY = "sk-" + "b3nchK3y" * 6
CLIENT_MODEL = "bench-model"


class SkippedError(Exception):
    """This peer cannot be measured here; the message is the word said about it."""


class Place(NamedTuple):
    """Where a gateway runs: its scratch folder and the two ports."""

    folder: Path
    port: int
    upstream_port: int


class Launch(NamedTuple):
    """A command line, its environment on top of a bare one, and what clients must send."""

    command: list[str]
    env: dict[str, str]
    key: str
    model: str
    version: str


class Peer(NamedTuple):
    """A gateway and what it does per request, for the table's legend."""

    name: str
    label: str
    work: str
    launch: Callable[[Place], Launch]
    translates: bool = False


_NGINX = """\
worker_processes 1; worker_rlimit_nofile 20000; daemon off;
pid {folder}/nginx.pid; error_log {folder}/error.log error;
events {{ worker_connections 10000; }}
http {{
  access_log off; map_hash_bucket_size 256; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream vendor {{ server 127.0.0.1:{upstream_port}; keepalive 4096; keepalive_requests 100000000; }}
  map $http_authorization $known {{ default 0; "Bearer {key}" 1; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; client_body_buffer_size 128k;
    location / {{
      if ($known = 0) {{ return 401; }}
      proxy_pass http://vendor; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; proxy_set_header Authorization "Bearer {upstream_key}";
    }}
  }}
}}
"""


def _nginx(place: Place) -> Launch:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        raise SkippedError("nginx is not installed (Debian: apt-get install nginx-light)")
    conf = place.folder / "nginx.conf"
    conf.write_text(
        _NGINX.format(
            folder=place.folder,
            port=place.port,
            upstream_port=place.upstream_port,
            key=CLIENT_KEY,
            upstream_key=UPSTREAM_KEY,
        )
    )
    version = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr.strip()
    return Launch(
        [binary, "-c", str(conf), "-e", str(place.folder / "error.log")],
        {},
        CLIENT_KEY,
        UPSTREAM_MODEL,
        version.rsplit("/", 1)[-1],
    )


def _install_litellm() -> str:
    """Install the locked LiteLLM into its own venv once; returns its version."""
    lock = HERE / "litellm.txt"
    pinned = next(
        (
            line.split("==")[1].split()[0]
            for line in lock.read_text().splitlines()
            if line.startswith("litellm==")
        ),
        "",
    )
    stamp = VENV / ".stamp-litellm"
    if stamp.exists() and stamp.read_text() == pinned:
        return pinned
    print(f"bench: installing LiteLLM {pinned} into {VENV.name} (about 700 MB, some minutes)", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True, timeout=120)
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # Wheels only: no package's own build script runs.
        subprocess.run(
            [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(lock)], check=True, timeout=1200
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise SkippedError(f"LiteLLM {pinned} could not be installed: {error}") from error
    stamp.write_text(pinned)
    return pinned


def _litellm(place: Place) -> Launch:
    version = _install_litellm()
    config = {
        "model_list": [
            {
                "model_name": CLIENT_MODEL,
                "litellm_params": {
                    "model": f"openai/{UPSTREAM_MODEL}",
                    "api_base": f"http://127.0.0.1:{place.upstream_port}/v1",
                    "api_key": UPSTREAM_KEY,
                },
            }
        ],
        "litellm_settings": {"set_verbose": False, "turn_off_message_logging": True, "drop_params": True},
        "general_settings": {"master_key": CLIENT_KEY, "disable_spend_logs": True},
        # One slow answer must not take its only deployment away for the rest of the run.
        "router_settings": {"disable_cooldowns": True, "num_retries": 0},
    }
    path = place.folder / "litellm.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    command = [
        str(VENV / "bin" / "litellm"),
        "--config",
        str(path),
        "--port",
        str(place.port),
        "--host",
        "127.0.0.1",
    ]
    env = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_TELEMETRY": "False",
    }
    return Launch(
        [*command, "--num_workers", "1", "--telemetry", "False"], env, CLIENT_KEY, CLIENT_MODEL, version
    )


_DRAGOMAN = """\
[server]
host = "127.0.0.1"
port = {port}
data_dir = "{folder}/data"

[[groups]]
name = "default"
multiplier = "1.0"

[[channels]]
name = "vendor"
provider = "openai-compatible"
base_url = "http://127.0.0.1:{upstream_port}"
keys = ["{upstream_key}"]
models = ["{model}"]
model_map = {{ "{model}" = "{upstream_model}" }}
groups = ["default"]

[[prices]]
model = "{model}"
input = "2"
cached_input = "0.5"
output = "8"

[[users]]
username = "bench"
password = "a-long-bench-password"
group = "default"
credit = "1000000"

[[users.keys]]
name = "bench"
key = "{key}"
"""


def _dragoman(place: Place) -> Launch:
    binary = Path(sys.executable).parent / "dragoman"
    if not binary.exists():
        raise SkippedError(f"{binary} is missing: run `make setup`")
    path = place.folder / "dragoman.toml"
    path.write_text(
        _DRAGOMAN.format(
            port=place.port,
            folder=place.folder,
            upstream_port=place.upstream_port,
            upstream_key=UPSTREAM_KEY,
            upstream_model=UPSTREAM_MODEL,
            model=CLIENT_MODEL,
            key=CLIENT_KEY,
        )
    )
    answer = subprocess.run([str(binary), "version"], capture_output=True, text=True, timeout=60, check=False)
    words = answer.stdout.split()
    return Launch(
        [str(binary), "serve", "--config", str(path)],
        {},
        CLIENT_KEY,
        CLIENT_MODEL,
        words[-1] if words else "?",
    )


def _other(place: Place) -> Launch:
    command = os.environ.get("BENCH_COMMAND", "")
    if not command:
        raise SkippedError("BENCH_COMMAND is not set")
    filled = command.format(port=place.port, upstream_port=place.upstream_port, folder=place.folder)
    return Launch(filled.split(), {}, CLIENT_KEY, os.environ.get("BENCH_MODEL", UPSTREAM_MODEL), "")


PEERS = (
    Peer("nginx", "nginx", "plain proxy: one key checked, one header replaced", _nginx),
    Peer(
        "dragoman",
        "Dragoman",
        "all on: key, routing, limits, ledger on SQLite (synchronous=FULL), log",
        _dragoman,
        translates=True,
    ),
    Peer(
        "litellm",
        "LiteLLM",
        "one key checked, one model routed; no database, no spend log",
        _litellm,
        translates=True,
    ),
    Peer("other", "other", "the command in BENCH_COMMAND", _other),
)
