from __future__ import annotations

import json
import os

from dragoman.core.money import Price, charge
from dragoman.core.usage import Usage
from dragoman.observe import Journal
from dragoman.relay.report import CONSUMPTION, ERROR, observe, record_of
from dragoman.relay.settle import Settlement
from dragoman.routing.plan import Attempt, Outcome
from tests.relay.scripted import call, gateway

USAGE = Usage(input=6, cached_input=4, output=5, reasoning=2)
CHARGE = charge(Price(version="1", input=10**9, cached_input=10**8, output=10**10), USAGE)
ATTEMPT = Attempt(channel_id=3, credential=0, status=200, latency_ms=7, ended="answered")
DONE = Outcome(result="done", status=200, usage=USAGE, delivered=True, first_byte_ms=9, attempts=(ATTEMPT,))


def test_a_charged_call_leaves_its_counts_its_charge_and_the_unrounded_lines() -> None:
    record = record_of(call(model_asked="alias"), DONE, Settlement(USAGE, CHARGE), 0.25)
    assert (record.kind, record.quota, record.nanos, record.latency_ms, record.first_byte_ms) == (
        CONSUMPTION,
        28,
        56_000,
        250,
        9,
    )
    assert (record.input_tokens, record.cached_tokens, record.output_tokens, record.reasoning_tokens) == (
        10,
        4,
        5,
        2,
    )
    assert (record.model_asked, record.model, record.channel_id) == ("alias", "m", 3)
    detail = json.loads(record.detail or b"")
    assert sum(line["amount_femtos"] for line in detail["lines"]) == 56_400 * 10**6
    assert detail["attempts"][0]["channel_id"] == 3


def test_a_failed_call_is_an_error_row_without_money_and_without_secrets() -> None:
    failed = Outcome(result="failed", status=500, error="Bearer sk-" + "s" * 48 + " was refused")
    record = record_of(call(original_path="/v1/v1/p"), failed, None, 0.0)
    assert (record.kind, record.quota, record.nanos, record.channel_id) == (ERROR, 0, 0, None)
    assert (
        b"s" * 20 not in (record.detail or b"")
        and json.loads(record.detail or b"")["original_path"] == "/v1/v1/p"
    )


def test_metrics_and_the_journal_line_tell_the_same() -> None:
    read, write = os.pipe()
    port = gateway(journal=Journal(fd=write))
    settlement = Settlement(USAGE, CHARGE)
    observe(port, call(), DONE, settlement, record_of(call(), DONE, settlement, 0.1), None, 0.1, 0.001)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        (line,) = pipe.read().splitlines()
    told = json.loads(line)
    assert (told["event"], told["quota"], told["output_tokens"], told["channel"]) == ("call", 28, 5, 3)
    text = port.metrics.render().decode()
    assert 'dragoman_requests_total{operation="chat",status="200"} 1.0' in text
    assert (
        'dragoman_tokens_total{kind="cached_input"} 4.0' in text
        and "dragoman_charged_quota_units_total 28.0" in text
    )
