"""What is offered in the place of a command that cannot be written."""

from __future__ import annotations

import pytest
from tests.ledger.bank import NOW, Client

from dragoman.ledger.core import CallRecord, Credit, Expire, Hold, LedgerError, Log, Post, Refund, Void
from dragoman.ledger.salvage import plainer, release

ADA = Client(1, 2, 3, 4)


def test_a_charge_keeps_its_amount_and_loses_its_log_row_by_and_by():
    post = ADA.post("a", 8_000, client="curl\x00", detail=b"{}")
    first, second = plainer(post, NOW + 5)
    assert isinstance(first, Post) and isinstance(second, Post)
    assert (first.id, first.amount, second.id, second.amount) == ("a", 8_000, "a", 8_000)
    assert first.record is not None and (first.record.client, first.record.detail) == ("curl?", None)
    assert first.record.created_at == NOW and first.record.input_tokens == 1234
    assert second.record is None


@pytest.mark.parametrize(
    ("command", "kinds"),
    [
        (Log(record=CallRecord(request_id="r", created_at=1, user_id=1)), [Log]),
        (Void(id="a", now=NOW), [Void]),
        (ADA.void("a"), [Void, Void]),
        (Credit(id="c", wallet_id=2, amount=2_000, now=NOW), [Credit]),
        (Refund(id="r", of="a", amount=2_000, now=NOW), [Refund]),
        (ADA.hold("h", 2_000), []),
        (Expire(id="e", now=NOW), []),
        (print, []),
    ],
)
def test_what_is_offered(command, kinds):
    assert [type(c) for c in plainer(command, NOW)] == kinds


def test_only_resolutions_are_released():
    expire = release(ADA.post("a", 8_000), OverflowError("too large"), NOW)
    assert expire == Expire(id="a", now=NOW, reason="could not be written: OverflowError")
    assert release(ADA.void("a"), LedgerError(), NOW) is not None
    assert release(Hold(id="h", wallet_id=2, amount=2_000, user_id=1, now=NOW), LedgerError(), NOW) is None
    assert release(print, LedgerError(), NOW) is None
