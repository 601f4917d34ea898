"""What calls cost, from outside: log row, wallet and audit, for every way a call can end."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.world import answers
from tests.world.harness import (
    KEY,
    OTHER_KEY,
    Exchange,
    Gateway,
    Vendor,
    channel,
    gateway_for,
    launch,
    run_cli,
    start_gateway,
)

CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(lambda x: x.reply(200, answers.CHAT))
    yield vendor
    vendor.close()


@pytest.fixture(scope="module")
def gateway(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    channels = [
        channel(vendor, p, models=["m", "fixed", "free"], groups=["default", "double"])
        for p in ("openai", "anthropic", "gemini")
    ]
    prices = [
        {
            "model": "m",
            "input": "1",
            "cached_input": "0.1",
            "cache_write_5m": "1.25",
            "cache_write_1h": "2",
            "output": "10",
        },
        {"model": "fixed", "per_request": "0.002"},
        {"model": "free"},
    ]
    users = [
        {"username": "alice", "credit": "5", "keys": [
            {"name": "a", "key": KEY}, {"name": "capped", "key": CAPPED, "limit": "0.0001"}, {"name": "double", "key": DOUBLE, "group": "double"}]},
        {"username": "poor", "credit": "0", "keys": [{"name": "p", "key": OTHER_KEY}]},
    ]  # fmt: skip
    groups = [{"name": "default"}, {"name": "double", "multiplier": "2.0"}]
    yield from gateway_for(
        tmp_path_factory.mktemp("money"), channels, prices=prices, users=users, groups=groups
    )


CAPPED = "sk-" + "Capped" * 8
DOUBLE = "sk-" + "Double" * 8


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v1/chat/completions", CHAT, answers.CHAT),
        ("/v1/responses", {"model": "m", "input": "x"}, answers.RESPONSE),
        ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": []}, answers.MESSAGE),
        ("/v1beta/models/m:generateContent", {"contents": []}, answers.GENERATED),
    ],
)
def test_every_dialect_charges_the_same_usage_the_same(
    gateway: Gateway, vendor: Vendor, path: str, body: dict[str, Any], answer: dict[str, Any]
) -> None:
    vendor.script = lambda x: x.reply(200, answer)
    reply = gateway.post(path, body, {"user-agent": "OpenAI/Python 3.52.0"})
    row = gateway.call_row(reply.headers["x-request-id"])
    assert (row["quota"], row["nanos"], row["estimated"], row["status"]) == (
        answers.QUOTA,
        answers.NANOS,
        0,
        200,
    )
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"]) == (10, 4, 5)


def test_cache_writes_have_their_own_prices(gateway: Gateway, vendor: Vendor) -> None:
    usage = {"input_tokens": 1000, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 3000, "output_tokens": 100,
             "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}}  # fmt: skip
    vendor.script = lambda x: x.reply(200, {**answers.MESSAGE, "usage": usage})
    row = gateway.call_row(
        gateway.post("/v1/messages", {"model": "m", "max_tokens": 9, "messages": []}).headers["x-request-id"]
    )
    # 1000×1 + 2000×0.1 + 1000×1.25 + 2000×2 + 100×10 = 7450 micro-dollars = 3725 units
    assert row["quota"] == 3725


def test_a_groups_multiplier_and_a_fixed_price(gateway: Gateway, vendor: Vendor) -> None:
    vendor.script = lambda x: x.reply(200, answers.CHAT)
    reply = gateway.post("/v1/chat/completions", CHAT, key=DOUBLE)
    assert gateway.call_row(reply.headers["x-request-id"])["quota"] == 56  # 112 800 nanos → 56.4
    reply = gateway.post("/v1/chat/completions", {**CHAT, "model": "fixed"})
    assert gateway.call_row(reply.headers["x-request-id"])["quota"] == 1000
    reply = gateway.post("/v1/chat/completions", {**CHAT, "model": "free"})
    assert gateway.call_row(reply.headers["x-request-id"])["quota"] == 0


def test_without_balance_nothing_is_sent(gateway: Gateway, vendor: Vendor) -> None:
    before = len(vendor.received)
    reply = gateway.post("/v1/chat/completions", CHAT, key=OTHER_KEY)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["type"]) == (403, "insufficient_quota", "insufficient_quota")
    assert error["message"].startswith("Insufficient quota") and "balance" in error["message"]
    assert len(vendor.received) == before
    reply = gateway.post("/v1/messages", {"model": "m", "max_tokens": 9, "messages": []}, key=OTHER_KEY)
    assert reply.status == 403 and reply.json["error"]["type"] == "billing_error"


def test_a_keys_limit_holds_beside_the_wallet(gateway: Gateway) -> None:
    reply = gateway.post("/v1/chat/completions", CHAT, key=CAPPED)
    assert reply.status == 403 and "key" in reply.json["error"]["message"]
    assert gateway.post("/v1/chat/completions", {**CHAT, "max_tokens": 1}, key=CAPPED).status == 200


def test_a_wrong_model_is_told_before_the_empty_balance(gateway: Gateway) -> None:
    assert (
        gateway.post("/v1/chat/completions", {**CHAT, "model": "never-heard-of"}, key=OTHER_KEY).status == 404
    )


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_failing_upstream_leaves_the_balance_unchanged(
    gateway: Gateway, vendor: Vendor, status: int
) -> None:
    vendor.script = lambda x: x.reply(status, {"error": {"message": "no", "type": "t", "code": "c"}})
    reply = gateway.post("/v1/chat/completions", CHAT)
    row = gateway.call_row(reply.headers["x-request-id"])
    assert (row["quota"], row["status"]) == (0, status)


def test_zero_completion_is_not_charged_and_reasoning_only_is(gateway: Gateway, vendor: Vendor) -> None:
    empty = {
        **answers.CHAT,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
    }
    vendor.script = lambda x: x.reply(
        200, {**empty, "usage": {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}}
    )
    assert gateway.call_row(gateway.post("/v1/chat/completions", CHAT).headers["x-request-id"])["quota"] == 0
    vendor.script = lambda x: x.reply(
        200,
        {
            **empty,
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 50,
                "total_tokens": 60,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
        },
    )
    row = gateway.call_row(gateway.post("/v1/chat/completions", CHAT).headers["x-request-id"])
    assert (row["quota"], row["reasoning_tokens"]) == (255, 50)


def test_usage_that_never_came_is_estimated_and_marked(gateway: Gateway, vendor: Vendor) -> None:
    text = "y" * 400
    answer = {
        **answers.CHAT,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }
    del answer["usage"]
    vendor.script = lambda x: x.reply(200, answer)
    body = json.dumps(CHAT).encode()
    row = gateway.call_row(gateway.post("/v1/chat/completions", body).headers["x-request-id"])
    assert (row["estimated"], row["output_tokens"], row["input_tokens"]) == (1, 100, -(-len(body) // 4))


def test_a_stream_that_is_cut_ends_as_a_failure_and_is_charged_for_what_came(
    gateway: Gateway, vendor: Vendor
) -> None:
    def play(exchange: Exchange) -> None:
        exchange.start_stream()
        exchange.chunk(answers.chat_chunk({"role": "assistant", "content": "z" * 400}))
        exchange.chunk(b'data: {"id":"c","choi')
        exchange.sock.shutdown(socket.SHUT_RDWR)

    vendor.script = play
    reply = gateway.post("/v1/chat/completions", {**CHAT, "stream": True})
    assert (
        reply.status == 200
        and reply.body.endswith(b"data: [DONE]\n\n")
        and b'"error"' in reply.body
        and b'"choi\n' not in reply.body
    )
    row = gateway.call_row(reply.headers["x-request-id"])
    assert (row["estimated"], row["output_tokens"]) == (1, 100) and row["quota"] > 0


def test_a_client_that_goes_away_cancels_the_upstream_and_pays_for_what_was_produced(
    gateway: Gateway, vendor: Vendor
) -> None:
    gone, closed = threading.Event(), threading.Event()

    def play(exchange: Exchange) -> None:
        exchange.start_stream()
        exchange.chunk(
            answers.MESSAGE_FRAMES[0]
            + answers.event(
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": "w" * 400},
                }
            )
        )
        if gone.wait(20) and exchange.closed_by_peer():
            closed.set()

    vendor.script = play
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.request(
        "POST",
        "/v1/messages",
        json.dumps({"model": "m", "max_tokens": 999, "messages": [], "stream": True}),
        {"authorization": f"Bearer {KEY}"},
    )
    answer = connection.getresponse()
    answer.read1(10)
    sock = answer.fp.raw._sock  # type: ignore[union-attr]
    sock.shutdown(socket.SHUT_RDWR)
    sock.close()
    gone.set()
    assert closed.wait(20), "the upstream connection was left open"
    row = gateway.call_row(answer.headers["x-request-id"])
    assert (row["estimated"], row["output_tokens"], row["cached_tokens"]) == (1, 100, 4)


def test_a_client_that_goes_away_before_the_answer_pays_nothing(gateway: Gateway, vendor: Vendor) -> None:
    asked, closed = threading.Event(), threading.Event()

    def play(exchange: Exchange) -> None:
        asked.set()
        if exchange.closed_by_peer():
            closed.set()

    vendor.script = play
    before = gateway.rows("SELECT MAX(created_at) AS t, COUNT(*) AS n FROM call_logs")[0]["n"]
    sock = socket.create_connection(("127.0.0.1", gateway.port))
    body = json.dumps(CHAT)
    sock.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    )
    assert asked.wait(20)
    sock.close()
    assert closed.wait(20)
    gateway.eventually(lambda: gateway.rows("SELECT COUNT(*) AS n FROM call_logs")[0]["n"] == before + 1)
    row = gateway.rows("SELECT * FROM call_logs ORDER BY rowid DESC LIMIT 1")[0]
    assert (row["quota"], row["status"]) == (0, 499)


def test_failed_attempts_move_on_and_the_call_is_charged_once(tmp_path: Path) -> None:
    good, bad = (
        Vendor(lambda x: x.reply(200, answers.CHAT)),
        Vendor(lambda x: x.reply(500, {"error": {"message": "boom"}})),
    )
    channels = [channel(bad, name="first", priority=9), channel(good, name="second")]
    for gateway in gateway_for(tmp_path, channels):
        reply = gateway.post("/v1/chat/completions", CHAT)
        assert reply.status == 200 and len(bad.received) == len(good.received) == 1
        assert gateway.call_row(reply.headers["x-request-id"])["quota"] == answers.QUOTA


def test_kill_minus_9_in_the_middle_of_load_leaves_clean_books(vendor: Vendor, tmp_path: Path) -> None:
    vendor.script = lambda x: x.reply(200, answers.CHAT)
    gateway = start_gateway(tmp_path, [channel(vendor)])
    done = threading.Semaphore(0)

    def load() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        try:
            for _ in range(10_000):
                connection.request(
                    "POST", "/v1/chat/completions", json.dumps(CHAT), {"authorization": f"Bearer {KEY}"}
                )
                connection.getresponse().read()
                done.release()
        except (OSError, http.client.HTTPException):
            return

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        assert done.acquire(timeout=30)
    gateway.stop(signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    again = launch(gateway.config, gateway.data_dir, gateway.log)
    try:
        assert again.post("/v1/chat/completions", CHAT).status == 200
        report = run_cli("audit", "--config", str(gateway.config))
        assert report.returncode == 0, report.stdout
    finally:
        assert again.stop() == 0
    report = run_cli("audit", "--config", str(gateway.config))
    assert report.returncode == 0, report.stdout
    rows = again.rows("SELECT COUNT(*) AS n, SUM(quota) AS q FROM call_logs WHERE quota > 0")[0]
    assert rows["n"] >= 150 and rows["q"] == rows["n"] * answers.QUOTA


@pytest.mark.parametrize("stream", [False, True])
def test_a_background_response_is_charged_when_the_vendor_has_finished_it(
    gateway: Gateway, vendor: Vendor, stream: bool
) -> None:
    polls = 0
    queued = {
        **answers.RESPONSE,
        "id": f"resp_background_{stream}",
        "status": "queued",
        "output": [],
        "usage": None,
    }

    def play(exchange: Exchange) -> None:
        nonlocal polls
        if exchange.request.method == "GET":
            polls += 1
            exchange.reply(
                200,
                {**answers.RESPONSE, "id": queued["id"]}
                if polls > 1
                else {**queued, "status": "in_progress"},
            )
        elif stream:
            exchange.start_stream()
            exchange.chunk(
                answers.event({"type": "response.created", "sequence_number": 0, "response": queued})
            )
            exchange.sock.shutdown(socket.SHUT_RDWR)
        else:
            exchange.reply(200, queued)

    vendor.script = play
    reply = gateway.post("/v1/responses", {"model": "m", "input": "x", "background": True, "stream": stream})
    row = gateway.call_row(reply.headers["x-request-id"])
    assert (row["quota"], row["estimated"], polls) == (answers.QUOTA, 0, 2)
