"""What a hostile reader of the code tried: work for nothing, other people's ids, doors left open."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dragoman.console.admin import AdminError, ask
from tests.world import answers
from tests.world.harness import (
    KEY,
    Exchange,
    Gateway,
    Vendor,
    channel,
    gateway_for,
    run_cli,
    start_gateway,
    write_config,
)

QUEUED = {
    "id": "resp_bg",
    "object": "response",
    "status": "queued",
    "model": "m",
    "output": [],
    "usage": None,
}


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(lambda x: x.reply(200, answers.CHAT))
    yield vendor
    vendor.close()


@pytest.fixture(scope="module")
def gateway(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    channels = [channel(vendor, p, models=["m", "m-*"]) for p in ("openai", "gemini")] + [
        channel(vendor, "openai", name="other", models=["other"])
    ]
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


def test_a_background_response_that_outlives_the_gateway_is_charged(vendor: Vendor, tmp_path: Path) -> None:
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
    path = (
        "/v1beta/models/m:generateContent?$fields=candidates&alt=json&fields=candidates&%24fields=candidates"
    )
    reply = gateway.post(path, {"contents": []}, {"x-goog-fieldmask": "candidates"})
    assert reply.status == 200
    assert vendor.received[-1].target.endswith("?alt=json")
    assert vendor.received[-1].header("x-goog-fieldmask") is None


def test_a_model_name_with_control_characters_is_refused(gateway: Gateway, vendor: Vendor) -> None:
    before = len(vendor.received)
    reply = gateway.post("/v1/chat/completions", b'{"model": "m-\\u0000", "messages": []}')
    assert reply.status == 400 and "control characters" in reply.json["error"]["message"]
    assert len(vendor.received) == before


def test_state_does_not_open_a_channel_that_does_not_serve_the_model(
    gateway: Gateway, vendor: Vendor
) -> None:
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


def test_a_client_that_left_while_its_body_was_decoded_costs_nothing(
    gateway: Gateway, vendor: Vendor
) -> None:
    vendor.script = lambda x: x.reply(200, answers.CHAT)
    before = len(vendor.received)
    plain = b'{"model": "m", "messages": [{"role": "user", "content": "' + b"x" * 60_000_000 + b'"}]}'
    body = gzip.compress(plain, 1)
    with socket.create_connection(("127.0.0.1", gateway.port)) as sock:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    time.sleep(1)
    assert len(vendor.received) == before


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"dialects": ["klingon"]}, "dialects: klingon"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"proxy": "nonsense"}, "proxy"),
        ({"headers": {"content-length": "3"}}, "content-length"),
        ({"options": {"auth": "x"}}, "options.auth"),
    ],
)
def test_a_channel_that_cannot_work_stops_the_start(
    vendor: Vendor, tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    config = tmp_path / "d.toml"
    write_config(
        config, {"port": 0, "data_dir": str(tmp_path / "data")}, channels=[channel(vendor, **fields)]
    )
    done = run_cli("serve", "--config", str(config))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{config}: channels[0]" in done.stderr and told in done.stderr


def test_credit_beyond_the_ledger_stops_the_start(tmp_path: Path) -> None:
    config = tmp_path / "d.toml"
    write_config(
        config,
        {"port": 0, "data_dir": str(tmp_path / "data")},
        users=[{"username": "a", "credit": "250000000"}],
    )
    done = run_cli("serve", "--config", str(config))
    assert done.returncode == 2 and "Traceback" not in done.stderr and "credit" in done.stderr


def test_the_data_directory_is_private(gateway: Gateway) -> None:
    assert gateway.data_dir.stat().st_mode & 0o077 == 0


def test_an_administrator_does_not_repeat_what_the_server_may_have_done(tmp_path: Path) -> None:
    """A server that takes a command and dies must not make the client do it a second time, on the database."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "admin.sock"))
        listener.listen()

        def take_and_reset() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(10)  # unread input: the close is a reset

        threading.Thread(target=take_and_reset, daemon=True).start()
        with pytest.raises(AdminError):
            ask(tmp_path, "user.credit", {"username": "alice" * 100, "usd": "1", "reason": "r"})
