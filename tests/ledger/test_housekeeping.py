"""Old rows go, new partitions come."""

from __future__ import annotations

from sqlalchemy import text
from tests.ledger.bank import NOW

from dragoman.ledger.housekeeping import DAY_S, housekeep
from dragoman.store.engine import is_sqlite, open_engine
from dragoman.store.publish import changes_since, record_change
from dragoman.store.records import month_bounds


def test_retention_and_partitions(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path).execution_options(dragoman_write=True)
    with engine.connect() as connection:
        with connection.begin():
            record_change(connection, "key", 1, NOW - 2 * DAY_S)
            record_change(connection, "key", 2, NOW)
            for age in (40, 5):
                connection.execute(
                    text("INSERT INTO call_details (created_at, request_id, detail) VALUES (:at, 'r', :d)"),
                    {"at": NOW - age * DAY_S, "d": b"{}"},
                )
        housekeep(connection, NOW, 30)
        assert [c.id for c in changes_since(connection, 0)] == ["2"]
        connection.rollback()
        left = connection.execute(text("SELECT created_at FROM call_details")).scalars().all()
        assert left == [NOW - 5 * DAY_S]
        if not is_sqlite(engine):
            name = f"call_logs_{month_bounds(NOW, 2)[0]}"
            assert connection.execute(text("SELECT to_regclass(:n)"), {"n": name}).scalar() is not None
        connection.rollback()
        housekeep(connection, NOW + 400 * DAY_S, None)
        assert len(connection.execute(text("SELECT created_at FROM call_details")).all()) == 1
    engine.dispose()
