"""Users and keys on both databases; each change is told in the feed."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from dragoman.store import accounts
from dragoman.store.engine import open_engine
from dragoman.store.publish import changes_since
from dragoman.store.vault import Vault

VAULT = Vault(b"v" * 32)
NOW = 1_790_000_000


@pytest.fixture
def connection(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path).execution_options(dragoman_write=True)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def told(connection):
    return [(c.kind, c.id) for c in changes_since(connection, 0)]


def test_a_user_and_its_key(connection):
    user_id, wallet_id = accounts.create_user(connection, username="ada", now=NOW, group="vip", role="admin")
    key_id, key = accounts.create_key(connection, VAULT, user_id=user_id, name="main", now=NOW)
    row = accounts.find_key(connection, VAULT.lookup(key))
    assert row == accounts.get_key(connection, key_id)
    assert (row.id, row.user_id, row.username, row.role, row.wallet_id) == (
        key_id,
        user_id,
        "ada",
        "admin",
        wallet_id,
    )
    assert (row.status, row.user_status, row.expires_at, row.group) == (1, 1, None, "vip")
    assert (row.models, row.allow_ips) == (None, ())
    assert row.key_account_id not in (None, wallet_id)
    assert told(connection) == [("user", str(user_id)), ("key", str(key_id))]
    assert accounts.find_key(connection, VAULT.lookup("sk-" + "0" * 48)) is None
    user = accounts.get_user(connection, user_id)
    assert (user.balance_nanos, user.held_nanos, user.used_nanos, user.request_count) == (0, 0, 0, 0)
    assert accounts.get_user(connection, 999) is None


def test_a_key_with_everything(connection):
    user_id, _ = accounts.create_user(connection, username="ada", now=NOW)
    given = "sk-" + "k" * 48
    key_id, key = accounts.create_key(
        connection,
        VAULT,
        user_id=user_id,
        name="main",
        now=NOW,
        key=given,
        limit_nanos=2_000,
        expires_at=NOW + 5,
        models=[],
        allow_ips=["10.0.0.0/8", "::1"],
        group="vip",
    )
    assert key == given
    row = accounts.find_key(connection, VAULT.lookup("cr-" + "k" * 48))  # whatever the prefix
    assert (row.id, row.expires_at, row.models, row.allow_ips, row.group) == (
        key_id,
        NOW + 5,
        (),
        ("10.0.0.0/8", "::1"),
        "vip",
    )
    (listed,) = accounts.list_keys(connection, user_id, limit=10)
    assert (listed.limit_nanos, listed.used_nanos, listed.last_used_at) == (2_000, 0, None)
    assert accounts.reveal_key(VAULT, listed) == given
    assert given.encode() not in listed.cipher
    assert accounts.set_key_limit(connection, key_id, None)
    assert not accounts.set_key_limit(connection, key_id, None)


def test_keys_are_unique_and_the_transaction_survives(connection):
    user_id, _ = accounts.create_user(connection, username="ada", now=NOW)
    given = "sk-" + "k" * 48
    accounts.create_key(connection, VAULT, user_id=user_id, name="one", now=NOW, key=given)
    with pytest.raises(accounts.Conflict, match="exists already") as raised:
        accounts.create_key(connection, VAULT, user_id=user_id, name="two", now=NOW, key="cr-" + "k" * 48)
    assert "k" * 20 not in str(raised.value)
    with pytest.raises(accounts.Conflict, match="ada"):
        accounts.create_user(connection, username="ada", now=NOW)
    assert connection.execute(text("SELECT COUNT(*) FROM keys")).scalar_one() == 1


def test_changes_are_told_only_when_something_changed(connection):
    user_id, _ = accounts.create_user(connection, username="ada", now=NOW)
    key_id, _ = accounts.create_key(connection, VAULT, user_id=user_id, name="main", now=NOW, reveal=False)
    before = len(told(connection))
    assert accounts.set_key_status(connection, key_id, False, NOW)
    assert not accounts.set_key_status(connection, key_id, False, NOW)
    assert accounts.update_user(connection, user_id, NOW, grp="vip")
    assert not accounts.update_user(connection, user_id, NOW, grp="vip")
    assert not accounts.update_user(connection, 999, NOW, grp="vip")
    assert told(connection)[before:] == [("key", str(key_id)), ("user", str(user_id))]
    assert accounts.get_key(connection, key_id).status == 2
    assert accounts.reveal_key(VAULT, accounts.list_keys(connection, user_id, limit=1)[0]) is None


def test_a_deleted_key_is_gone_but_its_row_stays(connection):
    user_id, _ = accounts.create_user(connection, username="ada", now=NOW)
    key_id, key = accounts.create_key(connection, VAULT, user_id=user_id, name="main", now=NOW)
    assert accounts.delete_key(connection, key_id, NOW)
    assert accounts.find_key(connection, VAULT.lookup(key)) is None
    assert accounts.list_keys(connection, user_id, limit=10) == []
    assert connection.execute(text("SELECT name, cipher FROM keys")).one() == ("main", None)


def test_access_tokens(connection):
    user_id, _ = accounts.create_user(connection, username="ada", now=NOW)
    accounts.update_user(connection, user_id, NOW, access_lookup=VAULT.lookup("token"))
    assert accounts.find_user_by_access_token(connection, VAULT, "token").id == user_id
    assert accounts.find_user_by_access_token(connection, VAULT, "other") is None


def test_the_cold_read_is_one_indexed_select(sqlite_db, tmp_path):
    engine = open_engine(sqlite_db, tmp_path)
    with engine.connect() as connection:
        statement = accounts._COLD.where(accounts.keys.c.lookup == b"x").compile(engine)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (b"x",)).all()
    assert not [step for step in plan if "SCAN" in step[3]], plan
    engine.dispose()
