"""What a hostile reader of the code tried: work for nothing, other people's ids, doors left open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.world import answers
from tests.world.harness import Exchange, Gateway, Vendor, channel, gateway_for, start_gateway

QUEUED = {"id": "resp_bg", "object": "response", "status": "queued", "model": "m", "output": [], "usage": None}


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(lambda x: x.reply(200, answers.CHAT))
    yield vendor
    vendor.close()


@pytest.fixture(scope="module")
def gateway(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    channels = [
        channel(vendor, p, models=["m", "m-*"]) for p in ("openai", "gemini")
    ] + [channel(vendor, "openai", name="other", models=["other"])]
    prices = [{"model": "*", "input": "1", "cached_input": "0.1", "output": "10"}]
    yield from gateway_for(tmp_path_factory.mktemp("review"), channels, prices=prices)


def background(answer: dict[str, Any], later: Any) -> Any:
    def script(x: Exchange) -> None:
        if x.request.method == "POST":
            x.reply(200, answer)
        else:
            later(x)

    return script


def test_a_background_response_is_charged_when_it_ends(gateway: Gateway, vendor: Vendor) -> None:
    vendor.script = background(QUEUED, lambda x: x.reply(200, {**answers.RESPONSE, "id": "resp_bg"}))
    reply = gateway.post("/v1/responses", {"model": "m", "input": "x", "background": True})
    row = gateway.call_row(reply.headers["x-request-id"])
    assert (row["quota"], row["estimated"]) == (answers.QUOTA, 0)


@pytest.mark.parametrize("asked", [True, 1, "true"])
def test_a_background_response_deleted_before_it_is_seen_to_end_is_not_free(
    gateway: Gateway, vendor: Vendor, asked: object
) -> None:
    gone = {"error": {"message": "not found", "type": "invalid_request_error"}}
    vendor.script = background({**QUEUED, "id": f"resp_{asked}"}, lambda x: x.reply(404, gone))
    body = {"model": "m", "input": "x", "background": asked, "max_output_tokens": 100}
    reply = gateway.post("/v1/responses", body)
    row = gateway.call_row(reply.headers["x-request-id"])
    assert row["estimated"] == 1 and row["output_tokens"] == 100 and row["quota"] > 500


def test_a_background_response_that_outlives_the_gateway_is_charged(vendor: Vendor, tmp_path: Any) -> None:
    vendor.script = background(QUEUED, lambda x: x.reply(200, QUEUED))
    gateway = start_gateway(tmp_path, [channel(vendor)])
    try:
        body = {"model": "m", "input": "x", "background": True, "max_output_tokens": 100}
        reply = gateway.post("/v1/responses", body)
    finally:
        assert gateway.stop() == 0
    row = gateway.call_row(reply.headers["x-request-id"])
    assert row["estimated"] == 1 and row["output_tokens"] == 100
    assert gateway.rows("SELECT COUNT(*) AS n FROM holds")[0]["n"] == 0
    assert gateway.audit().returncode == 0


def test_a_field_mask_cannot_hide_the_usage(gateway: Gateway, vendor: Vendor) -> None:
    vendor.script = lambda x: x.reply(200, answers.GENERATED)
    path = "/v1beta/models/m:generateContent?$fields=candidates&alt=json&fields=candidates&%24fields=candidates"
    reply = gateway.post(path, {"contents": []}, {"x-goog-fieldmask": "candidates"})
    assert reply.status == 200
    assert vendor.received[-1].target.endswith("?alt=json")
    assert vendor.received[-1].header("x-goog-fieldmask") is None


def test_a_model_name_with_control_characters_is_refused(gateway: Gateway, vendor: Vendor) -> None:
    before = len(vendor.received)
    reply = gateway.post("/v1/chat/completions", b'{"model": "m-\\u0000", "messages": []}')
    assert reply.status == 400 and "control characters" in reply.json["error"]["message"]
    assert len(vendor.received) == before


def test_state_does_not_open_a_channel_that_does_not_serve_the_model(gateway: Gateway, vendor: Vendor) -> None:
    vendor.script = lambda x: x.reply(200, {**answers.RESPONSE, "id": "resp_sticky"})
    assert gateway.post("/v1/responses", {"model": "m", "input": "x"}).status == 200
    before = len(vendor.received)
    body = {"model": "other", "input": "x", "previous_response_id": "resp_sticky"}
    reply = gateway.post("/v1/responses", body)
    assert reply.status == 503 and reply.json["error"]["code"] == "model_not_found"
    assert len(vendor.received) == before


def test_metrics_are_not_shown_through_a_proxy_that_was_not_declared(gateway: Gateway) -> None:
    assert gateway.get("/metrics", key=None).status == 200
    for header in ("x-forwarded-for", "forwarded", "x-real-ip"):
        assert gateway.get("/metrics", {header: "8.8.8.8"}, key=None).status == 404


def test_a_client_that_left_while_its_body_was_decoded_costs_nothing(gateway: Gateway, vendor: Vendor) -> None:
    """Also in tests/relay; here: nothing is sent for a request whose connection is gone."""
    import gzip
    import socket

    vendor.script = lambda x: x.reply(200, answers.CHAT)
    before = len(vendor.received)
    plain = b'{"model": "m", "messages": [{"role": "user", "content": "' + b"x" * 60_000_000 + b'"}]}'
    body = gzip.compress(plain, 1)
    from tests.world.harness import KEY

    with socket.create_connection(("127.0.0.1", gateway.port)) as sock:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    time.sleep(1)
    assert len(vendor.received) == before
