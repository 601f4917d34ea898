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


def test_what_is_plain_can_be_stored():
    """Whatever stood in a record: text of printable ASCII, numbers within their columns, no detail."""
    odd = CallRecord(
        request_id="r\0é",
        created_at=2**70,
        user_id=7,
        key_id=-1,
        channel_id=2**70,
        model=None,
        model_asked="m\ud800" * 200,
        kind=99_999,
        status="200",
        input_tokens=-5,
        output_tokens=12,
        latency_ms=1.5,
        first_byte_ms=2**40,
        stream="yes",
        detail="no bytes",
    )
    plain = rows.plain(odd, 1234.5)
    assert (plain.request_id, plain.created_at, plain.user_id) == ("r??", 1234, 7)
    assert (plain.key_id, plain.channel_id, plain.kind, plain.status) == (None, None, 2, 0)
    assert (plain.model, plain.model_asked) == ("", ("m?" * 200)[:200])
    assert (plain.input_tokens, plain.output_tokens) == (0, 12)
    assert (plain.latency_ms, plain.first_byte_ms, plain.stream, plain.detail) == (0, None, False, None)
    good = CallRecord(
        request_id="r", created_at=5, user_id=1, key_id=2, channel_id=3, model="m", group="g", stream=True
    )
    assert rows.plain(good, 9.0) == good
    assert {*rows._TEXTS, *rows._NUMBERS} | {
        "request_id",
        "detail",
        "stream",
        "estimated",
        "quota",
        "nanos",
    } == set(CallRecord.__struct_fields__)
