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
from tests.world import harness

from dragoman.simulator.server import running

PROBES = Path(__file__).parent / "probes"
PROBE_TIMEOUT_S = 100


# What the probes and samples ask for, by the channel that serves it.
MODELS = {
    "openai": ["gpt-5.4", "gpt-3.5-turbo-instruct", "text-embedding-3-large", "omni-moderation-latest"],
    "anthropic": ["claude-sonnet-4-6"],
    "gemini": ["gemini-2.5-flash", "gemini-embedding-001"],
}


@dataclass(frozen=True)
class Gateway:
    """Where clients are sent: the root URL, a key that works and one that does not."""

    url: str
    key: str
    wrong_key: str = "sk-" + "Nobody" * 8


@contextlib.contextmanager
def start_gateway(directory: Path) -> Iterator[Gateway]:
    """A real `dragoman serve` before the simulated provider; its books must be clean at the end.

    One attempt a call: a simulated failure is the last word, and no probe waits for a second channel.
    """
    with running() as vendor:
        channels = [
            {
                "name": provider,
                "provider": provider,
                "base_url": vendor,
                "keys": ["simulated"],
                "models": models,
            }
            for provider, models in MODELS.items()
        ]
        prices = [
            {"model": model, "input": "1", "cached_input": "0.1", "output": "10"}
            for models in MODELS.values()
            for model in models
        ]
        serving = contextlib.contextmanager(harness.gateway_for)
        with serving(directory, channels, server={"attempts": 1}, prices=prices) as gateway:
            yield Gateway(gateway.url, harness.KEY)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with start_gateway(tmp_path_factory.mktemp("clients")) as started:
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
