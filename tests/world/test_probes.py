"""The contract's acceptance probes for relayed calls, one test each, where no other world test is the whole proof.

Elsewhere: places for the key and aliases (``test_surfaces``), the SDKs (``tests/clients``), money (``test_money``),
what reaches the upstream (``test_fidelity``), error shapes (``test_errors``).
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.world import answers
from tests.world.harness import KEY, OTHER_KEY, PRICE, Exchange, Gateway, Reply, Vendor, channel, gateway_for

POOR, HOMELESS, ELSEWHERE, ADMIN = ("sk-" + name * 8 for name in ("Poor00", "NoHome", "Elsewh", "Admin0"))
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
MESSAGES: dict[str, Any] = {**CHAT, "max_tokens": 9}
CONTENTS: dict[str, Any] = {"contents": [{"parts": [{"text": "x"}]}]}
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT),
    "completions": ("/v1/completions", {"model": "m", "prompt": "x"}),
    "responses": ("/v1/responses", {"model": "m", "input": "x"}),
    "messages": ("/v1/messages", MESSAGES),
    "gemini": ("/v1beta/models/m:generateContent", CONTENTS),
}
ANSWERS = {
    "chat": answers.CHAT,
    "responses": answers.RESPONSE,
    "messages": answers.MESSAGE,
    "gemini": answers.GENERATED,
}


def respond(exchange: Exchange) -> None:
    """The right answer for the path."""
    target = exchange.request.target
    for mark, answer in (
        ("/messages", answers.MESSAGE), (":generateContent", answers.GENERATED), ("/responses", answers.RESPONSE),
    ):  # fmt: skip
        if mark in target:
            exchange.reply(200, answer)
            return
    exchange.reply(200, answers.CHAT)


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, Vendor]]:
    """One a provider, so that it can be told who was asked."""
    found = {name: Vendor(respond) for name in ("openai", "anthropic", "gemini", "deepseek", "moonshot")}
    yield found
    for vendor in found.values():
        vendor.close()


@pytest.fixture(scope="module")
def gateway(vendors: dict[str, Vendor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    users = [
        {"username": "alice", "credit": "50", "keys": [{"name": "a", "key": KEY}]},
        {"username": "bob", "credit": "50", "keys": [{"name": "b", "key": OTHER_KEY}]},
        {"username": "poor", "keys": [{"name": "p", "key": POOR}]},
        {"username": "homeless", "credit": "50", "group": "", "keys": [{"name": "h", "key": HOMELESS}]},
        {"username": "far", "credit": "50", "group": "other", "keys": [{"name": "f", "key": ELSEWHERE}]},
        {"username": "root", "role": "root", "credit": "50", "keys": [{"name": "r", "key": ADMIN}]},
    ]
    channels = [channel(vendor, name, keys=[f"secret-{name}"]) for name, vendor in vendors.items()]
    yield from gateway_for(
        tmp_path_factory.mktemp("probes"),
        channels,
        users=users,
        groups=[{"name": "default"}, {"name": "other"}],
    )


@pytest.fixture(autouse=True)
def scripts(vendors: dict[str, Vendor]) -> Iterator[None]:
    yield
    for vendor in vendors.values():
        vendor.script = respond


def asked_of(vendors: dict[str, Vendor], call: Callable[[], Reply]) -> tuple[str, Reply]:
    """Which vendor a call went to, and its answer."""
    before = {name: len(v.received) for name, v in vendors.items()}
    reply = call()
    (name,) = [n for n, v in vendors.items() if len(v.received) > before[n]]
    return name, reply


# --- 1, 2: one key, many ways to the same call --------------------------------------------------------------

TWINS = [
    ("/claude/v1/messages", "messages"),
    ("/api/v1/messages", "messages"),
    ("/gemini/v1beta/models/m:generateContent", "gemini"),
    ("/gemini/v1/models/m:generateContent", "gemini"),
    ("/v1/models/m:generateContent", "gemini"),
    ("/v1/projects/cognition/locations/us/publishers/google/models/m:generateContent", "gemini"),
    ("/v1beta/openai/chat/completions", "chat"),
]


@pytest.mark.parametrize(("alias", "surface"), TWINS, ids=[a for a, _ in TWINS])
def test_an_alias_is_its_canonical_twin_to_the_byte(
    gateway: Gateway, vendors: dict[str, Vendor], alias: str, surface: str
) -> None:
    path, body = SURFACES[surface]
    headers = {"vendor": {"messages": "anthropic", "gemini": "google", "chat": "openai"}[surface]}
    seen = []
    for target in (path, alias):
        name, reply = asked_of(vendors, lambda target=target: gateway.post(target, body, headers))  # type: ignore[misc]
        got = vendors[name].received[-1]
        kept = {n: v for n, v in reply.headers.items() if n not in ("x-request-id", "request-id", "date")}
        seen.append((reply.status, kept, reply.body, got.target, got.body, sorted(got.headers)))
    assert seen[0] == seen[1] and seen[0][0] == 200


# --- 11: refusals in the surface's own shape ----------------------------------------------------------------

REFUSALS: dict[str, tuple[str, int, str, str, str]] = {
    # key, status, OpenAI code, Anthropic type, Gemini status
    "bad key": ("sk-" + "Nobody" * 8, 401, "invalid_api_key", "authentication_error", "UNAUTHENTICATED"),
    "no group": (HOMELESS, 403, "no_group_bound", "permission_error", "PERMISSION_DENIED"),
    "wrong group": (ELSEWHERE, 503, "model_not_found", "overloaded_error", "UNAVAILABLE"),
    "no balance": (POOR, 403, "insufficient_quota", "billing_error", "PERMISSION_DENIED"),
}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_speak_the_surfaces_language(
    gateway: Gateway, vendors: dict[str, Vendor], case: str, surface: str
) -> None:
    key, status, code, kind, name = REFUSALS[case]
    path, body = SURFACES[surface]
    before = sum(len(v.received) for v in vendors.values())
    reply = gateway.post(path, body, key=key)
    assert reply.status == status and sum(len(v.received) for v in vendors.values()) == before
    error = reply.json["error"]
    assert error["message"] and reply.headers["x-should-retry"] == "false"
    if surface == "messages":
        assert (reply.json["type"], error["type"]) == ("error", kind)
        assert reply.json["request_id"] == reply.headers["request-id"]
    elif surface == "gemini":
        assert (error["code"], error["status"]) == (status, name)
    else:
        assert error["code"] == code


def test_an_unknown_model_in_another_group_is_404(gateway: Gateway) -> None:
    assert (
        gateway.post("/v1/chat/completions", {**CHAT, "model": "nobody-knows"}, key=ELSEWHERE).status == 404
    )


# --- 12: the documented body of legacy completions ----------------------------------------------------------


def test_completions_without_a_channel_give_the_documented_body(gateway: Gateway) -> None:
    model = "gpt-3.5-turbo-instruct"
    reply = gateway.post("/v1/completions", {"model": model, "prompt": "Once", "max_tokens": 50})
    assert reply.status == 503
    error = {
        "code": "model_not_found",
        "message": f"Model {model} is temporarily unavailable",
        "type": "new_api_error",
    }
    assert {k: v for k, v in reply.json["error"].items() if v is not None} == error
    assert set(reply.json) == {"error"}


# --- 13: failures are free in every dialect -----------------------------------------------------------------


@pytest.mark.parametrize("surface", ANSWERS)
def test_a_failing_upstream_leaves_the_quota_unchanged(
    gateway: Gateway, vendors: dict[str, Vendor], surface: str
) -> None:
    for vendor in vendors.values():
        vendor.script = lambda x: x.reply(500, {"error": {"message": "no"}})
    path, body = SURFACES[surface]
    before = wallet(gateway)
    reply = gateway.post(path, body)
    row = gateway.call_row(reply.headers["x-request-id"])
    assert (reply.status, row["status"], row["quota"], row["kind"]) == (500, 500, 0, 5)
    assert wallet(gateway) == before


def wallet(gateway: Gateway, user: str = "alice") -> int:
    """Balance of a user in nanos, when every call is settled (a hold stands until its charge is written)."""
    sql = (
        "SELECT a.balance_nanos AS balance FROM accounts a JOIN users u ON u.wallet_id = a.id "
        "WHERE u.username = ? AND a.held_nanos = 0"
    )
    (row,) = gateway.eventually(lambda: gateway.rows(sql, user))
    balance: int = row["balance"]
    return balance


# --- 14: what goes up and what stays ------------------------------------------------------------------------


@pytest.mark.parametrize("surface", ANSWERS)
def test_unknown_fields_and_headers_go_up_and_credentials_stay(
    gateway: Gateway, vendors: dict[str, Vendor], surface: str
) -> None:
    path, body = SURFACES[surface]
    extra = {"x_new": {"deep": [1.50, None]}, "cache_control": {"type": "ephemeral"}}
    headers = {
        "anthropic-beta": "unknown-1", "openai-beta": "unknown-2", "x-unknown": "kept", "x-api-key": KEY,
        "x-goog-api-key": KEY, "cookie": "c=secret", "openai-organization": "org-mine", "x-forwarded-for": "192.0.2.1",
    }  # fmt: skip
    name, reply = asked_of(vendors, lambda: gateway.post(f"{path}?key={KEY}", {**body, **extra}, headers))
    got = vendors[name].received[-1]
    assert reply.status == 200 and {k: got.json[k] for k in extra} == extra
    assert [got.header(h) for h in ("anthropic-beta", "openai-beta", "x-unknown")] == [
        "unknown-1",
        "unknown-2",
        "kept",
    ]
    sent = json.dumps([got.target, got.headers])
    assert KEY not in sent and "c=secret" not in sent and "org-mine" not in sent and "192.0.2.1" not in sent
    assert f"secret-{name}" in sent


# --- 15, 16: choosing ---------------------------------------------------------------------------------------


def test_the_vendor_header_picks_that_vendor(gateway: Gateway, vendors: dict[str, Vendor]) -> None:
    for vendor in ("anthropic", "deepseek", "moonshot") * 3:
        picked, reply = asked_of(
            vendors, lambda vendor=vendor: gateway.post("/v1/messages", MESSAGES, {"vendor": vendor})
        )  # type: ignore[misc]
        assert (picked, reply.status) == (vendor, 200)
    unknown = gateway.post("/v1/messages", MESSAGES, {"vendor": "nobody"})
    assert unknown.status == 400 and "nobody" in unknown.json["error"]["message"]
    for headers in ({}, {"vendor": "auto"}):
        picked, reply = asked_of(vendors, lambda h=headers: gateway.post("/v1/messages", MESSAGES, h))  # type: ignore[misc]
        assert picked in ("anthropic", "deepseek", "moonshot") and reply.status == 200


def test_a_pin_picks_the_channel(gateway: Gateway, vendors: dict[str, Vendor]) -> None:
    ids = {r["name"]: r["id"] for r in gateway.rows("SELECT id, name FROM channels")}
    for wanted in ("anthropic", "deepseek", "moonshot") * 2:
        headers = {"specific-channel-id": str(ids[wanted])}
        by_header, _ = asked_of(
            vendors, lambda h=headers: gateway.post("/v1/messages", MESSAGES, h, key=ADMIN)
        )  # type: ignore[misc]
        pinned = f"{ADMIN}-{ids[wanted]}"
        by_suffix, reply = asked_of(vendors, lambda k=pinned: gateway.post("/v1/messages", MESSAGES, key=k))  # type: ignore[misc]
        assert (by_header, by_suffix, reply.status) == (wanted, wanted, 200)
        row = gateway.call_row(reply.headers["x-request-id"])
        assert row["channel_id"] == ids[wanted]


def test_a_pinned_channel_that_fails_is_not_replaced(gateway: Gateway, vendors: dict[str, Vendor]) -> None:
    ids = {r["name"]: r["id"] for r in gateway.rows("SELECT id, name FROM channels")}
    vendors["deepseek"].script = lambda x: x.reply(503, {"error": {"message": "busy"}})
    key = f"{ADMIN}-{ids['deepseek']}"
    picked, reply = asked_of(vendors, lambda: gateway.post("/v1/messages", MESSAGES, key=key))
    assert (picked, reply.status) == ("deepseek", 503)


# --- 18, 19: lists and the wrong surface --------------------------------------------------------------------


def test_the_models_bridge(gateway: Gateway) -> None:
    lists = [
        gateway.request("GET", "/v1beta/openai/models" + query, headers=headers, key=None)
        for headers, query in (
            ({"authorization": f"Bearer {KEY}"}, ""), ({"x-goog-api-key": KEY}, ""), ({}, f"?key={KEY}"),
        )
    ]  # fmt: skip
    assert len({r.body for r in lists}) == 1
    answer = lists[0].json
    assert answer["success"] is True and answer["object"] == "list"
    assert all(m["supported_endpoint_types"] and m["object"] == "model" for m in answer["data"])


def test_claude_on_responses_without_translation_is_404_and_says_where(
    gateway: Gateway, tmp_path: Path
) -> None:
    vendor = Vendor(respond)
    channels = [channel(vendor, "anthropic", models=["claude-sonnet-4-6"], translate=False)]
    for alone in gateway_for(tmp_path, channels, server={"strict_paths": True}):
        reply = alone.post("/v1/responses", {"model": "claude-sonnet-4-6", "input": "x"})
        assert reply.status == 404 and "POST /v1/messages" in reply.json["error"]["message"]
        assert vendor.received == [] and reply.headers["x-should-retry"] == "false"
        # 22: the mistake of a base URL that already has /v1
        reply = alone.post("/v1/v1/messages", {**MESSAGES, "model": "claude-sonnet-4-6"})
        assert reply.status == 404 and reply.headers["content-type"] == "application/json"
        assert reply.json["type"] == "error" and "/v1/messages" in reply.json["error"]["message"]
        lines = alone.eventually(lambda: logged(alone, reply.headers["x-request-id"]))  # noqa: B023
        assert [(x["path"], x["status"]) for x in lines] == [("/v1/v1/messages", 404)]
    vendor.close()


def logged(gateway: Gateway, request_id: str) -> list[Any]:
    """The journal's lines of a request."""
    return [json.loads(x) for x in gateway.log.read_text().splitlines() if request_id in x]


def test_a_repaired_path_is_in_the_log_as_it_came(gateway: Gateway) -> None:
    reply = gateway.post("/v1/v1/messages", MESSAGES)
    assert reply.status == 200 and reply.headers["x-gateway-path-fixed"] == "/v1/messages"
    gateway.call_row(reply.headers["x-request-id"])
    rows = gateway.rows("SELECT detail FROM call_details WHERE request_id = ?", reply.headers["x-request-id"])
    assert json.loads(rows[0]["detail"])["original_path"] == "/v1/v1/messages"


# --- 23: a stream that fails after its first byte -----------------------------------------------------------

STREAMS: dict[str, tuple[str, str, dict[str, Any], str, list[bytes]]] = {
    "chat": ("openai", "/v1/chat/completions", {**CHAT, "stream": True}, "text/event-stream", answers.CHAT_FRAMES[:3]),
    "responses": ("openai", "/v1/responses", {"model": "m", "input": "x", "stream": True}, "text/event-stream", answers.RESPONSE_FRAMES[:2]),
    "messages": ("anthropic", "/v1/messages", {**MESSAGES, "stream": True}, "text/event-stream", answers.MESSAGE_FRAMES[:3]),
    "gemini sse": ("gemini", "/v1beta/models/m:streamGenerateContent?alt=sse", CONTENTS, "text/event-stream", answers.GEMINI_FRAMES[:1]),
    "gemini array": ("gemini", "/v1beta/models/m:streamGenerateContent", CONTENTS, "application/json", answers.GEMINI_ARRAY[:1]),
}  # fmt: skip


@pytest.mark.parametrize("how", ["cut", "ended early"])
@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_that_fails_after_its_first_byte(
    gateway: Gateway, vendors: dict[str, Vendor], case: str, how: str
) -> None:
    provider, path, body, kind, frames = STREAMS[case]

    def play(exchange: Exchange) -> None:
        exchange.start_stream(content_type=kind)
        for frame in frames:
            exchange.chunk(frame)
        if how == "cut":
            exchange.sock.shutdown(socket.SHUT_RDWR)
        else:
            exchange.end_stream()

    vendors[provider].script = play
    vendor = {"gemini": "google"}.get(provider, provider)
    before = wallet(gateway)
    reply = gateway.post(path, body, {"vendor": vendor})
    assert reply.status == 200 and reply.body.startswith(b"".join(frames))
    told(case, reply.body[len(b"".join(frames)) :], reply.body)
    row = gateway.call_row(reply.headers["x-request-id"])
    assert (row["kind"], row["estimated"]) == (2, 1) and row["output_tokens"] >= 1 and row["quota"] > 0
    assert wallet(gateway) == before - row["nanos"]
    details = gateway.rows("SELECT detail FROM call_details WHERE request_id = ?", row["request_id"])
    assert json.loads(details[0]["detail"])["result"] == "cut"


def told(case: str, tail: bytes, body: bytes) -> None:
    """``tail`` ends the stream as a failure in the dialect."""
    if case == "gemini array":
        *_, last = json.loads(body)
        assert last["error"]["code"] == 502
        return
    frames = [f for f in tail.decode().replace("\r\n", "\n").split("\n\n") if f]
    lines = [dict(line.split(": ", 1) for line in f.split("\n")) for f in frames]
    if case == "chat":
        assert lines[-1]["data"] == "[DONE]" and json.loads(lines[-2]["data"])["error"]["message"]
        return
    last = json.loads(lines[-1]["data"])
    if case == "responses":
        assert lines[-1]["event"] == last["type"] == "response.failed" and last["sequence_number"] == 2
        assert last["response"]["status"] == "failed" and last["response"]["error"]["message"]
    elif case == "messages":
        assert lines[-1]["event"] == last["type"] == "error" and last["error"]["message"]
    else:
        assert last["error"]["code"] == 502 and last["error"]["status"]


# --- 24: the log and its sums -------------------------------------------------------------------------------


def test_the_log_row_names_who_what_where_when_and_how_much(
    gateway: Gateway, vendors: dict[str, Vendor]
) -> None:
    began = int(time.time())
    reply = gateway.post(
        "/v1/messages", MESSAGES, {"vendor": "anthropic", "user-agent": "curl/8"}, key=OTHER_KEY
    )
    row = gateway.call_row(reply.headers["x-request-id"])
    (key,) = gateway.rows("SELECT k.id, k.user_id FROM keys k WHERE k.name = 'b'")
    ids = {r["name"]: r["id"] for r in gateway.rows("SELECT id, name FROM channels")}
    assert (row["model"], row["key_id"], row["user_id"], row["channel_id"]) == (
        "m",
        key["id"],
        key["user_id"],
        ids["anthropic"],
    )
    assert began <= row["created_at"] <= time.time() and row["latency_ms"] >= row["first_byte_ms"] > 0
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"], row["quota"]) == (
        10,
        4,
        5,
        answers.QUOTA,
    )
    assert (row["grp"], row["client"], row["client_ip"], row["path"]) == (
        "default",
        "curl",
        "127.0.0.1",
        "/v1/messages",
    )


def test_the_days_sums_are_the_wallets_movements(gateway: Gateway) -> None:
    for surface in ANSWERS:
        path, body = SURFACES[surface]
        reply = gateway.post(path, body, key=OTHER_KEY)
        gateway.call_row(reply.headers["x-request-id"])
    rows = gateway.rows(
        "SELECT created_at / 86400 AS day, model, COUNT(*) AS calls, SUM(quota) AS quota, SUM(nanos) AS nanos, SUM(output_tokens) AS out "
        "FROM call_logs WHERE user_id = (SELECT id FROM users WHERE username = 'bob') AND kind = 2 GROUP BY day, model"
    )
    spent = sum(r["nanos"] for r in rows)
    assert sum(r["quota"] for r in rows) * 2000 == spent
    assert wallet(gateway, "bob") == 50 * 10**9 - spent
    assert sum(r["out"] for r in rows) == 5 * sum(r["calls"] for r in rows)


def test_probe_9_and_10_thinking_budgets(tmp_path: Path) -> None:
    """The documented Opus 4.7 sample works; a budget that leaves no room is 400, nothing sent; a channel can leave both out."""
    vendor = Vendor(lambda x: x.reply(200, {**answers.MESSAGE, "model": "claude-opus-4-7"}))
    as_sent = channel(
        vendor,
        "anthropic",
        name="as sent",
        groups=["other"],
        options={"skip_quirks": "claude_thinking"},
        models=["claude-opus-4-7"],
    )
    channels = [channel(vendor, "anthropic", models=["claude-opus-4-7"]), as_sent]
    other = {"username": "bob", "group": "other", "credit": "9", "keys": [{"name": "b", "key": OTHER_KEY}]}
    users = [{"username": "alice", "credit": "9", "keys": [{"name": "a", "key": KEY}]}, other]
    body = {
        "model": "claude-opus-4-7",
        "max_tokens": 320,
        "thinking": {"type": "enabled", "budget_tokens": 128},
        "messages": [],
    }
    for gateway in gateway_for(
        tmp_path, channels, users=users, groups=[{"name": "default"}, {"name": "other"}]
    ):
        assert gateway.post("/v1/messages", body).status == 200
        assert vendor.received[-1].json["thinking"] == {"type": "adaptive", "display": "summarized"}
        assert (
            gateway.post("/v1/messages", body, key=OTHER_KEY).status == 200
            and vendor.received[-1].json == body
        )
        sent = len(vendor.received)
        reply = gateway.post("/v1/messages", {**body, "thinking": {"type": "enabled", "budget_tokens": 320}})
        assert (
            reply.status == 400
            and reply.json["error"]["type"] == "invalid_request_error"
            and len(vendor.received) == sent
        )
        assert gateway.call_row(reply.headers["x-request-id"])["quota"] == 0


# --- probes that need translation or a local count ---------------------------------------------------------


@pytest.fixture(scope="module")
def translating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Vendor]]:
    vendor = Vendor(respond)
    channels = [
        channel(vendor, "openai", models=["gpt-5.4", "gpt-4o"]),
        channel(vendor, "gemini", models=["gemini-2.5-flash"]),
        channel(vendor, "anthropic", models=["claude-sonnet-4-6"], dialects=["anthropic"]),
    ]
    for gateway in gateway_for(
        tmp_path_factory.mktemp("translating"), channels, prices=[{**PRICE, "model": "*"}]
    ):
        yield gateway, vendor
    vendor.close()


def test_probe_17_an_image_is_not_counted_and_said_so(translating: tuple[Gateway, Vendor]) -> None:
    gateway, vendor = translating
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    words = {"type": "text", "text": "What is in this picture, and where was it taken?"}
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": [image, words]}]}
    before = len(vendor.received)
    counted = gateway.post("/v1/messages/count_tokens", asked).json
    plain = {"model": "gpt-4o", "messages": [{"role": "user", "content": [words]}]}
    without = gateway.post("/v1/messages/count_tokens", plain).json
    assert 8 <= without["input_tokens"] <= 30 and "warning" not in without
    assert counted["input_tokens"] - without["input_tokens"] < 10 and "not counted" in counted["warning"]
    assert len(vendor.received) == before, "no network is needed"


def test_probe_20_gpt_5_4_with_tools_and_reasoning_on_chat(translating: tuple[Gateway, Vendor]) -> None:
    gateway, vendor = translating
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    asked = {"model": "gpt-5.4", "max_tokens": 500, "reasoning_effort": "low", "tools": [tool], **CHAT}
    reply = gateway.post("/v1/chat/completions", {**asked, "model": "gpt-5.4"})
    assert reply.status == 200 and reply.json["object"] == "chat.completion"
    sent = vendor.received[-1]
    assert sent.target == "/v1/responses", "OpenAI refuses tools with reasoning on chat"
    assert sent.json["max_output_tokens"] == 500 and sent.json["reasoning"]["effort"] == "low"
    assert sent.json["tools"][0]["name"] == "f"
    plain = gateway.post("/v1/chat/completions", {**CHAT, "model": "gpt-5.4"})
    assert plain.status == 200 and vendor.received[-1].target == "/v1/chat/completions"


def test_probe_21_an_image_that_cannot_be_loaded(translating: tuple[Gateway, Vendor]) -> None:
    gateway, vendor = translating
    image = {"type": "image_url", "image_url": {"url": f"{vendor.url}/private.png"}}
    asked = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": [image]}]}
    before = len(vendor.received)
    reply = gateway.post("/v1/chat/completions", asked)
    assert reply.status == 400 and reply.json["error"]["param"] == "messages[0].content[0]"
    assert (
        "Unable to process the image you provided. Please verify the image URL is publicly accessible, "
        "or upload it as base64." in reply.json["error"]["message"]
    )
    assert len(vendor.received) == before, "a private address is not even asked"


@pytest.mark.parametrize("model", ["gpt-4o", "gemini-2.5-flash", "claude-sonnet-4-6"])
@pytest.mark.parametrize("surface", ["chat", "messages", "responses", "gemini"])
def test_probes_7_and_8_every_surface_reaches_every_vendor(
    translating: tuple[Gateway, Vendor], surface: str, model: str
) -> None:
    gateway, _ = translating
    path, body = SURFACES[surface]
    asked = {**body, "model": model} if "model" in body else body
    reply = gateway.post(path.replace("/m:", f"/{model}:"), asked)
    assert reply.status == 200 and len(reply.body) > 50
    listed = {m["id"]: m for m in gateway.get("/v1/models").json["data"]}[model]
    every = {"openai", "anthropic", "openai-response", "gemini"}
    assert {*listed["supported_endpoint_types"], *listed["translated_endpoint_types"]} == every


@pytest.mark.parametrize(
    ("surface", "model", "path"),
    [
        ("messages", "claude-sonnet-4-6-thinking", "/v1/messages"),
        ("chat", "claude-sonnet-4-6-thinking", "/v1/messages"),
        ("chat", "gemini-2.5-flash-nothinking", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("chat", "gpt-5.4-high", "/v1/chat/completions"),
        ("responses", "gpt-5.4-high", "/v1/responses"),
    ],
)
def test_a_model_name_may_say_how_much_to_think(
    translating: tuple[Gateway, Vendor], surface: str, model: str, path: str
) -> None:
    gateway, vendor = translating
    where, body = SURFACES[surface]
    reply = gateway.post(
        where, {**body, "model": model, **({"max_tokens": 9000} if surface == "messages" else {})}
    )
    sent = vendor.received[-1]
    assert reply.status == 200 and sent.target == path, reply.body
    plain = model.rpartition("-")[0]
    assert sent.json.get("model", plain) == plain
    asked = [sent.json.get("thinking"), sent.json.get("reasoning_effort"), sent.json.get("reasoning"),
             sent.json.get("generationConfig", {}).get("thinkingConfig")]  # fmt: skip
    assert any(asked), sent.json
    assert gateway.call_row(reply.headers["x-request-id"])["model"] == plain
    assert gateway.post(where, {**body, "model": "nobody-thinking"}).status == 404
