"""Opening databases, and the lock of SQLite."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from dragoman.store.engine import (
    CHANGES_LOCK,
    ProcessLock,
    StoreBusy,
    StoreError,
    advisory_lock,
    is_sqlite,
    open_engine,
)


def test_sqlite_is_durable_and_in_the_data_dir(tmp_path):
    engine = open_engine("", tmp_path / "new" / "data")
    with engine.connect() as c:
        assert c.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert c.execute(text("PRAGMA synchronous")).scalar() == 2
        assert c.execute(text("PRAGMA foreign_keys")).scalar() == 1
        advisory_lock(c, CHANGES_LOCK)
    assert is_sqlite(engine)
    assert (tmp_path / "new" / "data" / "dragoman.db").exists()
    engine.dispose()


def test_a_reader_does_not_wait_for_the_writer(sqlite_db, tmp_path):
    engine = open_engine(sqlite_db, tmp_path)
    with engine.connect() as writer, engine.connect() as reader:
        writer = writer.execution_options(dragoman_write=True)
        with writer.begin():
            writer.execute(text("INSERT INTO meta VALUES ('a', 'b')"))
            with reader.begin():
                assert reader.execute(text("SELECT COUNT(*) FROM meta")).scalar() == 0
        with reader.begin():
            assert reader.execute(text("SELECT COUNT(*) FROM meta")).scalar() == 1
        with writer.begin(), reader.begin():  # a second writer would wait, then fail
            reader.exec_driver_sql("PRAGMA busy_timeout=10")
            with pytest.raises(OperationalError, match="locked"):
                reader.execute(text("INSERT INTO meta VALUES ('c', 'd')"))
    engine.dispose()


def test_postgres_urls(postgres_url, tmp_path):
    engine = open_engine(postgres_url, tmp_path)
    assert not is_sqlite(engine)
    assert ProcessLock.of(engine) is None
    with engine.begin() as c:
        assert c.execute(text("SHOW application_name")).scalar() == "dragoman"
        assert c.execute(text("SHOW transaction_isolation")).scalar() == "read committed"
        advisory_lock(c, CHANGES_LOCK)
        held = text("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert c.execute(held).scalar() == 1
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url, tmp_path):
    with pytest.raises(StoreError):
        open_engine(url, tmp_path)


def test_the_lock_is_one_processes_and_freed_by_its_death(tmp_path):
    engine = open_engine("", tmp_path)
    code = (
        "import sys; from dragoman.store.engine import *\n"
        f"lock = ProcessLock.of(open_engine('', {str(tmp_path)!r})); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    lock = ProcessLock.of(engine)
    with pytest.raises(StoreBusy, match=rf"dragoman\.db is in use by process {child.pid}: .*PostgreSQL"):
        lock.acquire()
    assert not lock.held
    child.kill()
    child.communicate()
    lock.acquire()
    lock.acquire()
    assert lock.held
    assert lock.path.read_text() == str(os.getpid())
    lock.release()
    lock.release()
    assert lock.path.exists() and lock.path.read_text() == ""
    engine.dispose()


def test_postgres_a_vanished_host_is_noticed_and_the_url_may_say_when(postgres_url, tmp_path):
    def parameters(url):
        engine = open_engine(url, tmp_path)
        with engine.connect() as connection:
            found = connection.connection.driver_connection.info.get_parameters()
        engine.dispose()
        return found

    found = parameters(postgres_url)
    assert (found["connect_timeout"], found["tcp_user_timeout"], found["keepalives_idle"]) == (
        "5",
        "20000",
        "15",
    )
    mark = "&" if "?" in postgres_url else "?"
    assert parameters(f"{postgres_url}{mark}tcp_user_timeout=3000")["tcp_user_timeout"] == "3000"
