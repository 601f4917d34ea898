"""Kept turns on both databases: whose they are, their chain, and that nobody reads them without the secret."""

from __future__ import annotations

import pytest
from msgspec import Raw

from dragoman.store import responses
from dragoman.store.engine import open_engine
from dragoman.store.responses import StoredTurn
from dragoman.store.vault import Vault

NOW = 1_795_000_000.0


@pytest.fixture
def vault() -> Vault:
    return Vault(b"s" * 32)


@pytest.fixture
def connection(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path)
    with engine.connect().execution_options(dragoman_write=True) as open_connection:
        transaction = open_connection.begin()
        yield open_connection
        transaction.rollback()
    engine.dispose()


def turn(text: str) -> StoredTurn:
    return StoredTurn([Raw(b'"%s"' % text.encode())], Raw(b'{"id":"x"}'))


def put(connection, vault, response_id, parent=None, user_id=1, text="hello"):
    responses.put(
        connection,
        vault,
        response_id=response_id,
        user_id=user_id,
        parent_id=parent,
        turn=turn(text),
        now=NOW,
    )


def texts(turns):
    return [bytes(t.input[0]) for t in turns]


def test_a_turn_is_its_users_alone(connection, vault):
    put(connection, vault, "resp_1")
    assert responses.get(connection, vault, "resp_1", 1) == turn("hello")
    assert responses.get(connection, vault, "resp_1", 2) is None
    assert responses.get(connection, vault, "resp_2", 1) is None
    responses.erase(connection, "resp_1", 2)
    assert responses.get(connection, vault, "resp_1", 1) is not None
    responses.erase(connection, "resp_1", 1)
    assert responses.get(connection, vault, "resp_1", 1) is None


def test_a_chain_runs_from_its_root_and_ends_with_a_missing_link(connection, vault):
    put(connection, vault, "a", text="1")
    put(connection, vault, "b", parent="a", text="2")
    put(connection, vault, "c", parent="b", text="3")
    assert texts(responses.chain(connection, vault, "c", 1, 10**6)) == [b'"1"', b'"2"', b'"3"']
    assert responses.chain(connection, vault, "c", 2, 10**6) == []
    responses.erase(connection, "b", 1)
    assert responses.chain(connection, vault, "c", 1, 10**6) == []


def test_a_chain_that_is_too_long_is_an_error(connection, vault, monkeypatch):
    put(connection, vault, "a")
    put(connection, vault, "b", parent="a")
    with pytest.raises(ValueError, match="too long"):
        responses.chain(connection, vault, "b", 1, 10)
    monkeypatch.setattr(responses, "LONGEST_CHAIN", 1)
    with pytest.raises(ValueError, match="too long"):
        responses.chain(connection, vault, "b", 1, 10**6)


def test_what_is_stored_is_encrypted(connection, vault):
    put(connection, vault, "a", text="secret words")
    stored = connection.exec_driver_sql("SELECT cipher FROM responses").scalar_one()
    assert b"secret words" not in bytes(stored)
