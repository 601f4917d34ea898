"""Opening the database, and the lock that makes SQLite serve exactly one process.

SQLite: write-ahead log, ``synchronous=FULL`` (a commit is on the disk before it is answered), transactions begun by us:
``BEGIN`` for readers, ``BEGIN IMMEDIATE`` on connections with the execution option ``dragoman_write``.
PostgreSQL: psycopg 3; the search path, the isolation level (READ COMMITTED) and the server's settings are left alone.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url

SQLITE_FILE = "dragoman.db"
BUSY_TIMEOUT_MS = 5000

# Namespace of our PostgreSQL advisory locks ("drag" in ASCII); the second number says what for. Lease locks use the
# namespace below it with the lease's id.
LOCK_SPACE = 0x64726167
LEASE_SPACE = LOCK_SPACE - 1
MIGRATION_LOCK, RECONCILE_LOCK, CHANGES_LOCK, PARTITION_LOCK = 1, 2, 3, 4


# What the URL may say otherwise. A host that vanished without a word must not keep the ledger's one thread for the two
# minutes that a connect may take, or the quarter of an hour that TCP goes on sending.
_PATIENCE = {
    "application_name": "dragoman",
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}


class StoreBusy(Exception):
    """Another process uses this SQLite database; the message says which."""


class StoreError(Exception):
    """The database cannot be used as it is; the message says why and what to do."""


def open_engine(database_url: str, data_dir: str | Path) -> Engine:
    """An engine for ``database_url``; empty: SQLite in ``data_dir``. Opens no connection yet.

    Raises StoreError when the URL names another kind of database.
    """
    if not database_url:
        directory = Path(data_dir)
        directory.mkdir(parents=True, exist_ok=True)
        return _sqlite(f"sqlite:///{(directory / SQLITE_FILE).absolute()}")
    if database_url.startswith("sqlite:"):
        return _sqlite(database_url)
    scheme, _, rest = database_url.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise StoreError(f'database_url: {scheme!r} is not supported; use "" (SQLite) or "postgresql://…"')
    return create_engine(
        f"postgresql+psycopg://{rest}",
        pool_size=5,
        max_overflow=15,
        pool_pre_ping=True,
        connect_args={k: v for k, v in _PATIENCE.items() if f"{k}=" not in rest},
    )


def is_sqlite(engine: Engine | Connection) -> bool:
    """The one question that SQL code asks about its database."""
    return engine.dialect.name == "sqlite"


def advisory_lock(connection: Connection, what: int) -> None:
    """Wait for one of our locks until the transaction ends. On SQLite a write transaction is alone already."""
    if not is_sqlite(connection):
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:space, :what)"), {"space": LOCK_SPACE, "what": what}
        )


def _sqlite(url: str) -> Engine:
    engine = create_engine(url)
    if make_url(url).database in (None, "", ":memory:"):
        raise StoreError("database_url: SQLite needs a file")
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions on its own
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("dragoman_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class ProcessLock:
    """The lock file beside a SQLite database. Held by the one process that writes; freed by the kernel when it dies.

    A free lock therefore means that no lease of an earlier process is alive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @classmethod
    def of(cls, engine: Engine) -> ProcessLock | None:
        """The lock that goes with ``engine``; None for PostgreSQL, which needs none."""
        if not is_sqlite(engine):
            return None
        return cls(Path(str(engine.url.database) + ".lock"))

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(self) -> None:
        """Take the lock. Raises StoreBusy when another process has it. Taking it twice is fine."""
        if self._fd is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise StoreBusy(
                f"{self.path.with_suffix('')} is in use by process {owner}: SQLite serves exactly one process. "
                "Stop that one, or use PostgreSQL (database_url) for several."
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would race with the next process."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None
