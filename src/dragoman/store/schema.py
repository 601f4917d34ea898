"""Bringing the schema up to date, and telling whether it is, without importing Alembic for the latter."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from dragoman.store.engine import LOCK_SPACE, MIGRATION_LOCK, ProcessLock, is_sqlite
from dragoman.store.records import ensure_partitions

# The newest revision in migrations/versions (a test compares).
SCHEMA_REVISION = "0003"


def schema_revision(engine: Engine) -> str | None:
    """The revision that the database is at; None when it is empty."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def schema_is_current(engine: Engine) -> bool:
    """Is the database at the revision this build needs?"""
    return schema_revision(engine) == SCHEMA_REVISION


def migrate(engine: Engine, lock: ProcessLock | None = None) -> list[str]:
    """Bring the schema to this build's revision. Returns the revisions applied, oldest first.

    Runs under a lock: on SQLite the process lock (``lock`` when the caller already holds it), on PostgreSQL an advisory
    lock, so that processes which start together wait for the first. Raises StoreBusy (SQLite, another process).
    """
    own = lock if lock is not None else ProcessLock.of(engine)
    if own is None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
            guard.execute(
                text("SELECT pg_advisory_lock(:space, :what)"), {"space": LOCK_SPACE, "what": MIGRATION_LOCK}
            )
            return _upgrade(engine)
    already = own.held
    own.acquire()
    try:
        return _upgrade(engine)
    finally:
        if not already:
            own.release()


def _upgrade(engine: Engine) -> list[str]:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    before = schema_revision(engine)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect().execution_options(dragoman_write=True) as connection:
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        with connection.begin():
            _prepare(connection)
    script = ScriptDirectory.from_config(config)
    applied = [r.revision for r in script.iterate_revisions("head", before or "base")]
    return applied[::-1]


def _prepare(connection: Connection) -> None:
    if not is_sqlite(connection):
        ensure_partitions(connection, time.time())
