"""Reading the log, vendor-side ids, partitions and retention, on both databases."""

from __future__ import annotations

import datetime

import pytest
from sqlalchemy import insert, text

from dragoman.store import records
from dragoman.store.engine import is_sqlite, open_engine
from dragoman.store.publish import changes_since, record_change
from dragoman.store.records import CallFilter, VendorId
from dragoman.store.tables import call_details, call_logs

NOW = 1_790_000_000
ROW = {
    "user_id": 1, "key_id": 5, "kind": 2, "model": "gpt-5.4", "channel_id": 3, "grp": "default", "input_tokens": 1,
    "cached_tokens": 0, "cache_write_tokens": 0, "output_tokens": 2, "reasoning_tokens": 0, "quota": 4, "nanos": 8_000,
    "latency_ms": 10, "stream": False, "client_ip": "::1", "client": "curl", "method": "POST",
    "path": "/v1/chat/completions", "status": 200, "estimated": False,
}  # fmt: skip


@pytest.fixture
def connection(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path).execution_options(dragoman_write=True)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def add(connection, request_id, at=NOW, **values):
    connection.execute(insert(call_logs).values(request_id=request_id, created_at=at, **{**ROW, **values}))


def test_lists_counts_and_sums_agree(connection):
    add(connection, "r1")
    add(connection, "r2", NOW + 1, key_id=6, model="claude-sonnet-4-6")
    add(connection, "r3", NOW + 2, kind=5, quota=0, nanos=0, status=500)
    add(connection, "r4", NOW + 3, user_id=2, grp="vip")
    for f, ids in (
        (CallFilter(), ["r4", "r3", "r2", "r1"]),
        (CallFilter(user_id=1), ["r3", "r2", "r1"]),
        (CallFilter(user_id=1, kind=2), ["r2", "r1"]),
        (CallFilter(key_ids=[6]), ["r2"]),
        (CallFilter(key_ids=[]), []),
        (CallFilter(model="gpt-5.4"), ["r4", "r3", "r1"]),
        (CallFilter(model="claude%"), ["r2"]),
        (CallFilter(group="vip"), ["r4"]),
        (CallFilter(request_id="r3"), ["r3"]),
        (CallFilter(start=NOW + 1, end=NOW + 2), ["r3", "r2"]),
    ):
        rows = records.list_calls(connection, f, limit=10)
        assert [r.request_id for r in rows] == ids
        assert records.count_calls(connection, f) == len(ids)
        assert records.sum_quota(connection, f) == sum(r.quota for r in rows)
    page = records.list_calls(connection, CallFilter(), limit=2, offset=1)
    assert [r.request_id for r in page] == ["r3", "r2"]


def test_details(connection):
    connection.execute(insert(call_details).values(created_at=NOW, request_id="r", detail=b"{}"))
    assert bytes(records.call_detail(connection, "r", NOW)) == b"{}"
    assert records.call_detail(connection, "other", NOW) is None


def test_vendor_ids_keep_their_first_owner(connection):
    first, second = VendorId(1, 3, 0), VendorId(2, 4, 1)
    one, container, two = ("response", "resp_1"), ("container", "c_1"), ("response", "resp_2")
    assert records.remember(connection, [one, container], first, NOW) == {one: first, container: first}
    assert records.remember(connection, [one, two], second, NOW) == {one: first, two: second}
    assert records.remember(connection, [], second, NOW) == {}
    assert records.find(connection, "response", "resp_1") == first
    assert records.find(connection, "container", "c_1") == first
    assert records.find(connection, "response", "resp_2") == second
    assert records.find(connection, "conversation", "resp_1") is None
    records.forget(connection, "response", "resp_1")
    assert records.find(connection, "response", "resp_1") is None


def test_retention_of_vendor_ids(connection):
    """An id that answers keep naming stays; one that none has named since then goes, a batch at a time."""
    ann, bob = VendorId(1, 3, 0), VendorId(2, 4, 1)
    records.remember(connection, [("item", f"i{n}") for n in range(5)], ann, NOW)
    records.remember(connection, [("conversation", "c"), ("conversation", "d")], ann, NOW)
    later = NOW + records.RENEW_S + 1
    assert records.remember(connection, [("conversation", "c")], ann, later) == {("conversation", "c"): ann}
    # naming it does not make it bob's, and does not keep it either
    assert records.remember(connection, [("conversation", "d")], bob, later) == {("conversation", "d"): ann}
    assert [records.purge_vendor_ids(connection, NOW + 1, limit=4) for _ in range(3)] == [4, 2, 0]
    assert records.find(connection, "conversation", "c") == ann
    assert records.find(connection, "conversation", "d") is None
    assert records.find(connection, "item", "i0") is None


def test_postgres_two_processes_purge_at_once(postgres_url, tmp_path):
    engine = open_engine(postgres_url, tmp_path)
    ann = VendorId(1, 3, 0)
    with engine.begin() as c:
        records.remember(c, [("item", f"i{n}") for n in range(4)], ann, NOW)
    with engine.connect() as one, engine.connect() as other:
        assert records.purge_vendor_ids(one, NOW + 1, limit=3) == 3
        assert (
            records.purge_vendor_ids(other, NOW + 1, limit=3) == 1
        )  # what the first has, it does not wait for
        one.commit()
        other.commit()
    engine.dispose()


def test_the_feed_keeps_its_newest_entry(connection):
    """By the oldest that is left a process sees whether it has missed something: there is always one."""
    for n in range(3):
        record_change(connection, "key", n, NOW - 100 + n)
    assert records.purge_changes(connection, NOW) == 2
    assert [c.id for c in changes_since(connection, 0)] == ["2"]
    assert records.purge_changes(connection, NOW) == 0


def test_month_bounds():
    at = datetime.datetime(2026, 11, 21, 5, 30, tzinfo=datetime.UTC).timestamp()
    assert records.month_bounds(at, 0)[0] == "2026_11"
    name, first, after = records.month_bounds(at, 1)
    assert name == "2026_12"
    assert datetime.datetime.fromtimestamp(first, datetime.UTC).isoformat() == "2026-12-01T00:00:00+00:00"
    assert datetime.datetime.fromtimestamp(after, datetime.UTC).isoformat() == "2027-01-01T00:00:00+00:00"
    assert records.month_bounds(at, 2)[1] == after


def test_partitions_take_over_what_waited_in_the_default_one(connection):
    far = NOW + 700 * 86_400
    add(connection, "early", far)
    made = records.ensure_partitions(connection, far)
    if is_sqlite(connection):
        assert made == []
    else:
        name = f"call_logs_{records.month_bounds(far, 0)[0]}"
        assert name in made and len(made) == 8
        assert connection.execute(text(f"SELECT request_id FROM {name}")).scalars().all() == ["early"]
    assert records.ensure_partitions(connection, far) == []
    assert records.count_calls(connection, CallFilter(request_id="early")) == 1


def test_retention_of_logs_is_noted(connection):
    records.ensure_partitions(connection, NOW)
    _, first, after = records.month_bounds(NOW, 0)
    add(connection, "old", first)
    add(connection, "new", after + 10)
    assert records.logs_kept_since(connection) == 0
    assert records.purge_logs(connection, after + 5) >= 1
    assert records.purge_logs(connection, after) == 0
    assert records.logs_kept_since(connection) == after + 5
    assert [r.request_id for r in records.list_calls(connection, CallFilter(), limit=5)] == ["new"]
    if not is_sqlite(connection):
        gone = f"call_logs_{records.month_bounds(NOW, 0)[0]}"
        assert connection.execute(text("SELECT to_regclass(:n)"), {"n": gone}).scalar() is None


def test_retention_of_details(connection):
    for at in (NOW - 12, NOW - 11, NOW - 10, NOW):
        connection.execute(insert(call_details).values(created_at=at, request_id="r", detail=b"{}"))
    assert [records.purge_details(connection, NOW, limit=2) for _ in range(3)] == [2, 1, 0]
    assert records.call_detail(connection, "r", NOW) is not None
    records.ensure_partitions(connection, NOW)
    assert (
        records.purge_details(connection, NOW + 70 * 86_400, limit=2) <= 1
    )  # on PostgreSQL the month was dropped
    assert records.call_detail(connection, "r", NOW) is None
