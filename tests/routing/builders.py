"""Small snapshots for the routing tests."""

from __future__ import annotations

from typing import Any

from dragoman.core.money import Price
from dragoman.providers.base import Endpoint, Provider
from dragoman.routing.keytable import KeyRecord
from dragoman.routing.snapshot import Channel, Group, Snapshot

PROVIDER = Provider(
    id="acme", label="Acme", base_url="https://acme.example", paths={"chat": "/v1/chat/completions"}
)
OTHER = Provider(id="zeta", label="Zeta", base_url="https://zeta.example", paths={"messages": "/v1/messages"})


def channel(number: int, models: tuple[str, ...] = ("m",), **fields: Any) -> Channel:
    provider = fields.pop("provider", PROVIDER)
    values: dict[str, Any] = {
        "name": f"c{number}", "label": "Acme", "endpoint": Endpoint(provider), "credentials": ("k",), "models": models,
        "groups": ("default",), "operations": frozenset(provider.paths), "model_map": {},
    }  # fmt: skip
    return Channel(id=number, **(values | fields))


def snapshot(*channels: Channel, **fields: Any) -> Snapshot:
    values: dict[str, Any] = {
        "groups": [Group(name="default"), Group(name="other")],
        "prices": {"m": Price(version="1", input=1000)},
        "default_price": lambda model: None,
    }
    return Snapshot(channels=channels, **(values | fields))


def key(**fields: Any) -> KeyRecord:
    values: dict[str, Any] = {
        "id": 1, "user_id": 1, "username": "u", "role": "user", "user_active": True, "name": "k", "active": True,
        "expires_at": None, "group": "default", "models": None, "allow_ips": (), "wallet_id": 1, "key_account_id": None,
    }  # fmt: skip
    return KeyRecord(**(values | fields))
