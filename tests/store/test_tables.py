"""Properties of the tables that the rest relies on. (That migrations create them is checked in test_schema.)"""

from __future__ import annotations

from dragoman.ledger import core
from dragoman.store import tables


def test_partitioned_tables_have_created_at_in_their_key():
    for name in tables.PARTITIONED:
        table = tables.metadata.tables[name]
        assert "created_at" in table.primary_key.columns
        assert table.dialect_options["postgresql"]["partition_by"] == "RANGE (created_at)"


def test_system_accounts_are_the_ledgers():
    assert (tables.FUNDING_ID, tables.REVENUE_ID) == (core.FUNDING, core.REVENUE)


def test_every_table_has_a_primary_key():
    assert all(t.primary_key.columns for t in tables.metadata.tables.values())


def test_the_refund_index_names_the_refunds_kind():
    (index,) = tables.transfers.indexes
    assert str(index.dialect_options["sqlite"]["where"]) == f"kind = {core.REFUND}"
