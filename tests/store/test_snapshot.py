"""Stored rows become what routing reads; rows that cannot work are left out and named."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.money import Price
from dragoman.providers.catalog import PROVIDERS
from dragoman.store.accounts import KeyRow
from dragoman.store.publish import ChannelRow, GroupRow, PriceRow, SnapshotRows
from dragoman.store.snapshot import Unusable, compile_channel, compile_snapshot, key_record


def channel(**fields: Any) -> ChannelRow:
    values: dict[str, Any] = {
        "id": 1, "name": "up", "provider": "openai", "base_url": "https://up.example", "label": "", "keys": ("a", "b"),
        "models": ("m", "g-*"), "groups": ("default",), "dialects": (), "model_map": {"m": "vendor-m"}, "priority": 3,
        "weight": 2, "proxy": "http://proxy.example:1", "headers": {"x-a": "1"}, "drop_params": ("seed",),
        "cost_multiplier": "1.0", "status": 1, "options": {},
    }  # fmt: skip
    return ChannelRow(**(values | fields))


def price(model: str, **fields: Any) -> PriceRow:
    names = (
        "input",
        "cached_input",
        "cache_write_5m",
        "cache_write_1h",
        "output",
        "reasoning",
        "per_request",
    )
    return PriceRow(
        **{"model": model, "version": "4", "extra": {"per_image": "1"}, **dict.fromkeys(names), **fields}
    )


def snapshot(*channels: ChannelRow, **fields: Any) -> Any:
    rows: dict[str, Any] = {"groups": (), "channels": channels, "prices": (), "known": frozenset(), "seq": 7}
    refused: list[str] = []
    compiled = compile_snapshot(
        SnapshotRows(**(rows | fields)),
        providers=PROVIDERS,
        default_price={"shipped": Price(version="default", input=5)}.get,
        aliases={"old": "new"},
        catalogue=["documented"],
        refused=refused.append,
    )
    return compiled, refused


def test_a_channel_as_routing_reads_it() -> None:
    compiled, refused = snapshot(channel())
    made = compiled.channels[1]
    assert refused == []
    assert (made.name, made.label, made.credentials) == ("up", PROVIDERS["openai"].label, ("a", "b"))
    assert (made.priority, made.weight, made.proxy) == (3, 2, "http://proxy.example:1")
    assert (made.endpoint.headers, made.endpoint.drop_params) == ((("x-a", "1"),), ("seed",))
    assert made.upstream_model("m") == "vendor-m"
    assert made.operations == frozenset(PROVIDERS["openai"].paths)
    assert compiled.candidates("default", "g-7") == (made,)
    assert compiled.version == 7
    assert compile_channel(channel(label="Ours"), PROVIDERS).label == "Ours"


def test_dialects_narrow_what_a_channel_can_do() -> None:
    operations = compile_channel(channel(dialects=("openai_chat",)), PROVIDERS).operations
    assert "chat" in operations and "embeddings" in operations
    assert not any(op.startswith("responses") for op in operations)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"provider": "acme"}, "channel up: provider 'acme' is not known; known are .*openai"),
        ({"dialects": ("gemini",)}, "channel up: dialects: gemini is not spoken by openai"),
        ({"base_url": "ftp://up.example"}, "channel up: "),
        ({"provider": "azure", "base_url": ""}, "channel up: "),
    ],
)
def test_a_channel_that_cannot_work_is_named_and_left_out(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Unusable, match=message):
        compile_channel(channel(**fields), PROVIDERS)
    compiled, refused = snapshot(channel(**fields), channel(id=2, name="good"))
    assert list(compiled.channels) == [2] and len(refused) == 1


def test_groups_and_prices() -> None:
    groups = (
        GroupRow(name="default", multiplier="1.0", hold="expected", options={}),
        GroupRow(name="vip", multiplier="0.5", hold="strict", options={"vendor_prefixes": True}),
    )
    prices = (price("m", input="1.25", output="10"), price("g-*", per_request="0.5"))
    compiled, _ = snapshot(groups=groups, prices=prices, known=frozenset({"was-here"}))
    vip = compiled.groups["vip"]
    assert (vip.multiplier_micros, vip.strict, vip.vendor_prefixes) == (500_000, True, True)
    default = compiled.groups["default"]
    assert (default.multiplier_micros, default.strict, default.vendor_prefixes) == (1_000_000, False, False)
    assert compiled.price("m") == Price(version="4", input=1_250_000_000, output=10_000_000_000)
    assert compiled.price("g-1").per_request == 500_000_000
    assert compiled.price("shipped").version == "default" and compiled.price("other") is None
    assert compiled.knows("documented") and compiled.knows("was-here") and not compiled.knows("other")
    assert compiled.aliases == {"old": "new"}


@pytest.mark.parametrize("disabled", ["key", "user"])
def test_a_key_as_the_key_table_holds_it(disabled: str) -> None:
    row = KeyRow(
        id=1, user_id=2, username="alice", role="user", user_status=1 + (disabled == "user"), name="k",
        status=1 + (disabled == "key"), expires_at=9, group="vip", models=("m",), allow_ips=("::1",), wallet_id=3,
        key_account_id=4,
    )  # fmt: skip
    record = key_record(row)
    assert (record.id, record.user_id, record.username, record.name) == (1, 2, "alice", "k")
    assert (record.active, record.user_active) == (disabled != "key", disabled != "user")
    assert (record.group, record.models, record.allow_ips, record.expires_at) == ("vip", ("m",), ("::1",), 9)
    assert (record.wallet_id, record.key_account_id) == (3, 4)
