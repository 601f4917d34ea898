"""Who is alive, on both databases: a dead process's holds are found, a live one's never."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.ledger.bank import NOW

from dragoman.ledger.leases import Lease, living
from dragoman.store.engine import LEASE_SPACE, open_engine


@pytest.fixture
def engine(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path)
    yield engine
    engine.dispose()


def add_hold(connection, hold_id, lease_id, deadline=None):
    connection.execute(
        text(
            "INSERT INTO holds (id, wallet_id, user_id, amount, lease_id, deadline, created_at) VALUES (:id, 1, 1, 0, :lease, :deadline, 1)"
        ),
        {"id": hold_id, "lease": lease_id, "deadline": deadline},
    )


def test_holds_of_a_dead_process_and_overdue_tasks(engine):
    dead, mine = Lease(engine, ttl_s=60), Lease(engine, ttl_s=60)
    with engine.execution_options(dragoman_write=True).connect() as connection:
        with connection.begin():
            first = dead.take(connection, NOW)
        dead.drop()
        with connection.begin():
            second = mine.take(connection, NOW)
            assert second > first
            add_hold(connection, "dead", first)
            add_hold(connection, "mine", second)
            add_hold(connection, "task overdue", None, NOW - 1)
            add_hold(connection, "task", None, NOW + 100)
        with connection.begin():
            found = mine.orphans(connection, NOW, 10)
            assert sorted(found) == [("dead", "process died"), ("task overdue", "deadline passed")]
            mine.bury(connection)
            assert connection.execute(text("SELECT id FROM leases")).scalars().all() == [second]
            assert mine.renew(connection, NOW + 5)
        with connection.begin():
            mine.end(connection)
        with connection.begin():
            assert not mine.renew(connection, NOW + 6)
        mine.drop()


def test_ids_only_rise(engine):
    lease = Lease(engine, ttl_s=60)
    with engine.execution_options(dragoman_write=True).connect() as connection:
        with connection.begin():
            first = lease.take(connection, NOW)
            add_hold(connection, "orphan", first)
            lease.end(connection)
        with connection.begin():
            assert lease.take(connection, NOW) > first
        lease.drop()


def test_postgres_two_live_processes_leave_each_other_alone(postgres_url, tmp_path):
    engine = open_engine(postgres_url, tmp_path)
    one, two = Lease(engine, ttl_s=60), Lease(engine, ttl_s=60)
    with engine.connect() as connection:
        with connection.begin():
            ids = {one.take(connection, NOW), two.take(connection, NOW)}
            add_hold(connection, "one", one.id)
        with connection.begin():
            assert living(connection) == ids
            assert two.orphans(connection, NOW, 10) == []
            two.bury(connection)
            assert one.renew(connection, NOW)
        one.drop()  # as when the process is killed: its sessions end, the row stays
        with connection.begin():
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:space, :id)"),  # granted when the server has seen the end
                {"space": LEASE_SPACE, "id": one.id},
            )
        with connection.begin():
            assert living(connection) == {two.id}
            assert two.orphans(connection, NOW, 10) == [("one", "process died")]
        two.drop()
    engine.dispose()


def test_postgres_a_process_that_hangs_loses_its_lease(postgres_url, tmp_path):
    engine = open_engine(postgres_url, tmp_path)
    hung, mine = Lease(engine, ttl_s=60), Lease(engine, ttl_s=60)
    with engine.connect() as connection:
        with connection.begin():
            hung.take(connection, NOW)
            mine.take(connection, NOW)
            add_hold(connection, "hung", hung.id)
            connection.execute(text("UPDATE leases SET expires_at = 1 WHERE id = :id"), {"id": hung.id})
        with connection.begin():
            assert mine.orphans(connection, NOW, 10) == [("hung", "process died")]
            assert not hung.renew(connection, NOW)
            again = hung.take(connection, NOW)
            assert again > mine.id
            assert hung.renew(connection, NOW)
        for lease in (hung, mine):
            lease.drop()
        assert not Lease(engine, ttl_s=60).renew(connection, NOW)
    engine.dispose()
