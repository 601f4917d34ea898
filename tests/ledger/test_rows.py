"""Rows match the columns, and text that a database would refuse is cleaned."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.ledger import rows
from dragoman.ledger.core import Account, CallRecord, LogEntry, OpenHold, Transfer
from dragoman.store import tables


def test_columns_are_the_tables_columns():
    assert set(rows.HOLD_COLUMNS) == set(tables.holds.c.keys())
    assert set(rows.TRANSFER_COLUMNS) == set(tables.transfers.c.keys())
    assert set(rows.LOG_COLUMNS) == set(tables.call_logs.c.keys())
    assert set(rows.DETAIL_COLUMNS) == set(tables.call_details.c.keys())
    assert set(rows.ACCOUNT_COLUMNS) <= set(tables.accounts.c.keys())


def test_values_are_read_and_written_in_column_order():
    hold = OpenHold("h", 1, 2, 3, 4000, 5, None, 6)
    assert OpenHold(*rows.hold_row(hold)) == hold
    transfer = Transfer("t", 1, 2, 3, 4, 6000, 7, 8, "note", 9)
    assert Transfer(*rows.transfer_row(transfer)) == transfer
    assert OpenHold.__struct_fields__ == rows.HOLD_COLUMNS
    assert Transfer.__struct_fields__ == rows.TRANSFER_COLUMNS
    short = [c.removesuffix("_nanos").removesuffix("_at") for c in rows.ACCOUNT_COLUMNS]
    assert short == list(Account.__struct_fields__[: len(short)])


def test_a_log_row_says_what_was_charged():
    record = CallRecord(
        request_id="r",
        created_at=5,
        user_id=1,
        model="m",
        model_asked="alias",
        group="g",
        nanos=99,
        quota=9,
        detail=b"{}",
    )
    entry = LogEntry("hold", record, 8_000)
    row = dict(zip(rows.LOG_COLUMNS, rows.log_row(entry), strict=True))
    assert (row["request_id"], row["nanos"], row["quota"]) == ("hold", 8_000, 4)
    assert (row["model"], row["model_asked"], row["grp"]) == ("m", "alias", "g")
    assert rows.detail_row(entry) == (5, "hold", b"{}")
    same = msgspec.structs.replace(record, model_asked="m")
    assert (
        dict(zip(rows.LOG_COLUMNS, rows.log_row(LogEntry("hold", same, 0)), strict=True))["model_asked"]
        is None
    )


@pytest.mark.parametrize(
    ("text", "stored"),
    [("plain", "plain"), ("x" * 20, "x" * 10), ("a\0b", "ab"), ("é", "é"), ("a\ud800b", "a?b"), ("", "")],
)
def test_clean(text, stored):
    assert rows.clean(text, 10) == stored


def test_counts_are_cut_to_what_a_column_holds():
    record = CallRecord(
        request_id="r", created_at=5, user_id=1, input_tokens=2**80, latency_ms=2**40, first_byte_ms=2**40
    )
    row = dict(zip(rows.LOG_COLUMNS, rows.log_row(LogEntry("r", record, 0)), strict=True))
    assert (row["input_tokens"], row["latency_ms"], row["first_byte_ms"]) == (2**63 - 1, 2**31 - 1, 2**31 - 1)
