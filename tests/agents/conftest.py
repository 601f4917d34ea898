"""One gateway before one scripted vendor that speaks all four dialects, and a proxy that lets nobody out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from tests.agents.clis import AGENTS
from tests.conformance.world import AM, CC, DIALECTS, GM, RS
from tests.world import harness
from tests.world.harness import PRICE, Exchange, Gateway, Vendor, channel

MODELS: Final = {CC: "deepseek-v4-pro", RS: "gpt-5.4", AM: "claude-sonnet-4-6", GM: "gemini-3-pro"}
"""Upstream dialect → a model that is served in it."""
_PROVIDERS: Final = {CC: "openai-compatible", RS: "openai", AM: "anthropic", GM: "gemini"}


def key_of(agent: str, upstream: str) -> str:
    """The gateway key of one run: its rows in the log are known by it."""
    names = [f"{a.name} {d}" for a in AGENTS for d in DIALECTS]
    return "sk-" + f"{names.index(f'{agent} {upstream}'):02d}Agents" * 6


@dataclass(frozen=True)
class Stage:
    """The gateway, its vendor, and the proxy to which everything else is sent."""

    gateway: Gateway
    vendor: Vendor
    outside: Vendor


def _refuse(exchange: Exchange) -> None:
    exchange.reply(403, b"")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The books must be clean when all runs are over."""
    vendor, outside = Vendor(_refuse), Vendor(_refuse)
    channels = [
        channel(vendor, _PROVIDERS[dialect], name=dialect, dialects=[dialect], models=[model])
        for dialect, model in MODELS.items()
    ]
    keys: list[dict[str, Any]] = [
        {"name": f"{agent.name} {dialect}", "key": key_of(agent.name, dialect)}
        for agent in AGENTS
        for dialect in DIALECTS
    ]
    users = [{"username": "dev", "credit": "100", "keys": keys}]
    prices = [{**PRICE, "model": model} for model in MODELS.values()]
    folder = tmp_path_factory.mktemp("agents")
    running = harness.gateway_for(folder, channels, users=users, prices=prices)
    gateway = next(running)
    try:
        yield Stage(gateway, vendor, outside)
    finally:
        vendor.close()
        outside.close()
        next(running, None)
