"""The gateway under test, and a way to run a probe script with one version of one SDK."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.clients import sdks

from dragoman.simulator.server import running

PROBES = Path(__file__).parent / "probes"
PROBE_TIMEOUT_S = 100


@dataclass(frozen=True)
class Gateway:
    """Where clients are sent: the root URL, a key that works and one that does not."""

    url: str
    key: str
    wrong_key: str = "bad-key"


@contextlib.contextmanager
def start_gateway() -> Iterator[Gateway]:
    """What the clients speak to: the simulated provider itself.

    Whatever is put here instead must serve gpt-5.4, claude-sonnet-4-6, gemini-2.5-flash, text-embedding-3-large,
    gemini-embedding-001 and omni-moderation-latest from a simulator, and let its answers through unchanged.
    """
    with running() as url:
        yield Gateway(url, "sk-" + "k" * 48)


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    with start_gateway() as started:
        yield started


@pytest.fixture(scope="session")
def run_probe(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """`run_probe("openai-1.109.1")` -> the probe's results; each version runs once a session."""
    known: dict[str, dict[str, Any]] = {}
    home = tmp_path_factory.mktemp("home")

    def run(sdk: str) -> dict[str, Any]:
        if sdk not in known:
            known[sdk] = _run(sdk, gateway, home)
        return known[sdk]

    return run


def _run(sdk: str, gateway: Gateway, home: Path) -> dict[str, Any]:
    target = sdks.ensure(sdk)
    script = PROBES / f"{sdks.family(sdk).replace('-', '_')}_probe.py"
    # -S keeps this environment's own SDKs away; no proxy may stand between the client and the loopback address.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(target), "NO_PROXY": "*"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-S", str(script), json.dumps(asdict(gateway))]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{sdk}: {done.stderr[-4000:]}"
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results
