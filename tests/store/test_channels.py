"""Groups, channels, prices: written only where something differs."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from dragoman.store import channels
from dragoman.store.engine import open_engine
from dragoman.store.publish import changes_since, load_snapshot_rows
from dragoman.store.records import VendorId, find, remember
from dragoman.store.tables import FILE
from dragoman.store.vault import Vault

VAULT = Vault(b"v" * 32)
NOW = 1_790_000_000


@pytest.fixture
def connection(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path).execution_options(dragoman_write=True)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_created_same_changed(connection):
    def put(**values):
        return channels.put_group(connection, "vip", NOW, **values)

    assert [put(multiplier="2"), put(multiplier="2"), put(multiplier="3"), put(options={"a": 1}), put(options={"a": 1})] == [
        "created", "same", "changed", "changed", "same",
    ]  # fmt: skip
    assert [(c.kind, c.id) for c in changes_since(connection, 0)] == [("group", "vip")] * 3


def test_prices_are_versioned(connection):
    def put(**values):
        return channels.put_price(connection, "m", NOW, **values)

    assert [put(input="1"), put(input="1"), put(input="2"), put(input="2", extra={"per_image": "1"})] == [
        "created", "same", "changed", "changed",
    ]  # fmt: skip
    rows = connection.execute(text("SELECT version, input, status FROM prices ORDER BY version")).all()
    assert [tuple(r) for r in rows] == [(1, "1", 2), (2, "2", 2), (3, "2", 1)]
    assert channels.disable_missing(connection, "price", "console", set(), NOW) == ["m"]
    assert put(input="2", extra={"per_image": "1"}) == "changed"


def test_credentials_move_and_take_their_ids_along(connection):
    def put(*keys):
        return channels.put_channel(connection, VAULT, "c", NOW, keys=keys, provider="openai", models=["m"])

    def keys():
        return load_snapshot_rows(connection, VAULT).channels[0].keys

    assert put("sk-a", "sk-b", "sk-c") == "created"
    channel_id = connection.execute(text("SELECT id FROM channels")).scalar_one()
    for position in range(3):
        remember(connection, [("response", f"r{position}")], VendorId(1, channel_id, position), NOW)
    remember(connection, [("response", "elsewhere")], VendorId(1, channel_id + 1, 0), NOW)
    assert put("sk-a", "sk-b", "sk-c") == "same"
    assert put("sk-c", "sk-a", "sk-new") == "changed"
    assert keys() == ("sk-c", "sk-a", "sk-new")
    assert find(connection, "response", "r0") == VendorId(1, channel_id, 1)
    assert find(connection, "response", "r1") is None
    assert find(connection, "response", "r2") == VendorId(1, channel_id, 0)
    assert find(connection, "response", "elsewhere") == VendorId(1, channel_id + 1, 0)
    assert put() == "changed"
    assert keys() == ()
    stored = connection.execute(text("SELECT COUNT(*) FROM channel_credentials")).scalar_one()
    assert stored == 0
    assert [c.id for c in changes_since(connection, 0)] == [str(channel_id)] * 3


def test_credentials_are_not_stored_in_the_clear(connection):
    channels.put_channel(connection, VAULT, "c", NOW, keys=["sk-very-secret"], provider="openai", models=[])
    row = connection.execute(text("SELECT lookup, cipher FROM channel_credentials")).one()
    assert b"very-secret" not in bytes(row.cipher) + bytes(row.lookup)


def test_missing_entries_are_disabled_not_deleted(connection):
    channels.put_group(connection, "a", NOW, source=FILE)
    channels.put_group(connection, "b", NOW, source=FILE)
    channels.put_channel(connection, VAULT, "c", NOW, keys=[], provider="x", models=[], source=FILE)
    assert channels.disable_missing(connection, "group", FILE, {"a"}, NOW) == ["b"]
    assert channels.disable_missing(connection, "group", FILE, {"a"}, NOW) == []
    assert channels.disable_missing(connection, "channel", FILE, set(), NOW) == ["c"]
    assert channels.count_enabled(connection) == {"groups": 2, "channels": 0, "prices": 0}
    rows = connection.execute(text("SELECT COUNT(*) FROM channels")).scalar_one()
    assert rows == 1
