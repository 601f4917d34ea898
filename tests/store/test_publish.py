"""What the data plane loads, and the feed it follows."""

from __future__ import annotations

import threading

import psycopg
import pytest

from dragoman.store.channels import put_channel, put_group, put_price
from dragoman.store.engine import open_engine
from dragoman.store.publish import (
    CHANNEL_NAME,
    Change,
    Feed,
    GroupRow,
    changes_since,
    last_sequence,
    load_snapshot_rows,
    read_feed,
    record_change,
)
from dragoman.store.records import purge_changes
from dragoman.store.tables import DISABLED
from dragoman.store.vault import Vault, VaultError

VAULT = Vault(b"v" * 32)
NOW = 1_790_000_000


@pytest.fixture
def engine(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path).execution_options(dragoman_write=True)
    yield engine
    engine.dispose()


def test_the_feed(engine):
    with engine.begin() as c:
        assert last_sequence(c) == 0
        record_change(c, "key", 5, NOW)
        record_change(c, "group", "vip", NOW)
    with engine.begin() as c:
        first, second = changes_since(c, 0)
        assert (first.kind, first.id, second) == ("key", "5", Change(first.seq + 1, "group", "vip"))
        assert changes_since(c, first.seq) == [second]
        assert changes_since(c, 0, limit=1) == [first]
        assert last_sequence(c) == second.seq
        assert changes_since(c, second.seq) == []


def test_who_was_away_for_too_long_is_told_that_entries_are_missing(engine):
    with engine.begin() as c:
        for n in range(5):
            record_change(c, "key", n, NOW + n)
        seqs = [change.seq for change in changes_since(c, 0)]
        assert not read_feed(c, seqs[0]).missed
        assert [x.seq for x in read_feed(c, seqs[0]).changes] == seqs[1:]
        assert purge_changes(c, NOW + 3) == 3
        feed = read_feed(c, seqs[1])
        assert ([x.seq for x in feed.changes], feed.missed) == (seqs[3:], True)
        assert read_feed(c, seqs[2]) == Feed(feed.changes, False)  # it had seen all that is gone
        assert read_feed(c, seqs[4]) == Feed([], False)
        assert purge_changes(c, NOW + 10) == 1
        assert read_feed(c, seqs[2]).missed  # there is always one left to tell by
        record_change(c, "key", 9, NOW + 20)
        assert not read_feed(c, seqs[4]).missed


def test_everything_enabled_is_loaded(engine):
    with engine.begin() as c:
        put_group(c, "vip", NOW, multiplier="0.5", hold="strict", options={"vendor_prefixes": True})
        put_group(c, "off", NOW, status=DISABLED)
        put_channel(c, VAULT, "one", NOW, keys=["sk-a", "sk-b"], provider="openai", models=["gpt-*"], groups=["vip"],
                    dialects=["openai_chat"], model_map={"a": "b"}, headers={"x": "y"}, drop_params=["seed"],
                    options={"region": "eu"}, priority=5, weight=7, proxy="http://p", base_url="https://u", label="L")  # fmt: skip
        put_channel(c, VAULT, "off", NOW, keys=[], provider="openai", models=["known-model"], status=DISABLED)
        put_price(c, "gpt-5.4", NOW, input="1.25", output="10", extra={"per_image": "0.1"})
        put_price(c, "gpt-5.4", NOW, input="1.5", output="10")
    with engine.begin() as c:
        rows = load_snapshot_rows(c, VAULT)
    assert [g.name for g in rows.groups] == ["default", "vip"]
    assert rows.groups[1] == GroupRow(
        name="vip", multiplier="0.5", hold="strict", options={"vendor_prefixes": True}
    )
    (one,) = rows.channels
    assert (one.name, one.keys, one.models, one.groups) == ("one", ("sk-a", "sk-b"), ("gpt-*",), ("vip",))
    assert (one.dialects, one.model_map, one.headers) == (("openai_chat",), {"a": "b"}, {"x": "y"})
    assert (one.drop_params, one.options, one.priority, one.weight) == (("seed",), {"region": "eu"}, 5, 7)
    assert (one.proxy, one.base_url, one.label, one.cost_multiplier) == ("http://p", "https://u", "L", "1.0")
    (price,) = rows.prices
    assert (price.model, price.version, price.input, price.output, price.per_request) == (
        "gpt-5.4",
        "2",
        "1.5",
        "10",
        None,
    )
    assert rows.known == {"gpt-*", "known-model", "gpt-5.4"}
    assert rows.seq > 0
    with engine.begin() as c, pytest.raises(VaultError):
        load_snapshot_rows(c, Vault(b"w" * 32))


def test_postgres_notifies_and_numbers_in_commit_order(postgres_url, tmp_path):
    engine = open_engine(postgres_url, tmp_path)
    order = []

    def second():
        with engine.begin() as c:
            record_change(c, "key", 2, NOW)
        order.append(2)

    with psycopg.connect(postgres_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL_NAME}")
        with engine.begin() as c:
            record_change(c, "key", 1, NOW)
            other = threading.Thread(target=second)
            other.start()
            other.join(0.3)  # it waits for this transaction
            assert order == []
        other.join()
        assert len(list(listener.notifies(timeout=5, stop_after=1))) >= 1
    with engine.begin() as c:
        assert [change.id for change in changes_since(c, 0)] == ["1", "2"]
    engine.dispose()
