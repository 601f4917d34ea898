"""Migrations on both databases: from nothing to the tables of ``tables.metadata``, once, under a lock."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

import dragoman.store.schema as schema
from dragoman.store.engine import ProcessLock, StoreBusy, open_engine
from dragoman.store.records import month_bounds
from dragoman.store.tables import metadata

REVISIONS = ["0001", "0002", "0003"]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return request.getfixturevalue("empty_postgres_url")


def test_from_nothing_to_current_once(empty_url, tmp_path):
    engine = open_engine(empty_url, tmp_path)
    assert schema.schema_revision(engine) is None
    assert not schema.schema_is_current(engine)
    assert schema.migrate(engine) == REVISIONS
    assert schema.schema_is_current(engine)
    assert schema.migrate(engine) == []
    engine.dispose()


def test_constant_is_alembics_head():
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.SCHEMA_REVISION]


def test_migrated_schema_is_the_metadata(database_url, tmp_path):
    def include(name, kind, _parents):
        return kind != "table" or not re.search(r"_(default|\d{4}_\d{2})$|^alembic_version$", name)

    engine = open_engine(database_url, tmp_path)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": include, "compare_type": True, "compare_server_default": False}
        )
        assert compare_metadata(context, metadata) == []
        assert {t for t in inspect(connection).get_table_names() if include(t, "table", {})} >= set(
            metadata.tables
        )
    engine.dispose()


def test_transfers_are_immutable(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO transfers (id, kind, debit_id, credit_id, amount, created_at) VALUES ('t', 5, 1, 2, 2000, 1)"
            )
        )
    for statement in ("UPDATE transfers SET amount = 4000", "DELETE FROM transfers"):
        with pytest.raises(DBAPIError, match="immutable"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()


def test_postgres_has_partitions_ahead_and_a_default(postgres_url, tmp_path):
    import time

    engine = open_engine(postgres_url, tmp_path)
    with engine.connect() as connection:
        names = set(inspect(connection).get_table_names())
    for table in ("call_logs", "call_details"):
        assert f"{table}_default" in names
        for ahead in range(4):
            assert f"{table}_{month_bounds(time.time(), ahead)[0]}" in names
    engine.dispose()


def test_processes_that_start_together_migrate_once(empty_postgres_url, tmp_path):
    done, failed = [], []

    def one():
        engine = open_engine(empty_postgres_url, tmp_path)
        try:
            done.append(schema.migrate(engine))
        except Exception as error:
            failed.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    assert sorted(done) == [[], [], REVISIONS]


def test_migrate_is_refused_while_another_process_serves(tmp_path):
    engine = open_engine("", tmp_path)
    other = ProcessLock.of(engine)
    other.acquire()
    with pytest.raises(StoreBusy, match=r"in use by process \d+"):
        schema.migrate(engine)
    assert schema.migrate(engine, other) == REVISIONS
    assert other.held
    other.release()
    engine.dispose()


def test_asking_for_the_revision_does_not_import_alembic(sqlite_db):
    code = (
        "import sys; from dragoman.store.engine import open_engine; from dragoman.store.schema import schema_is_current\n"
        f"assert schema_is_current(open_engine({sqlite_db!r}, '.'))\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('alembic', 'argon2', 'mako')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
