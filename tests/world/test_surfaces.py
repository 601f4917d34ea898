"""Every path, every place for a key, the lists, the probes, CORS, and who owns the vendor's ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.world import answers
from tests.world.harness import KEY, OTHER_KEY, Exchange, Gateway, Vendor, channel, gateway_for

LIMITED = "sk-" + "Limits" * 8
ADMIN = "sk-" + "Admin0" * 8
SECOND = "api.example.test"


def respond(exchange: Exchange) -> None:
    """The right answer for whatever path the vendor is called on."""
    path = exchange.request.target.partition("?")[0]
    for mark, answer in (
        ("count_tokens", {"input_tokens": 7}), (":countTokens", {"totalTokens": 7}), (":embedContent", {"embedding": {"values": [0.5]}}),
        (":batchEmbedContents", {"embeddings": [{"values": [0.5]}]}), (":generateContent", answers.GENERATED),
        ("/messages", answers.MESSAGE), ("/embeddings", answers.EMBEDDING), ("/input_items", {"object": "list", "data": [], "has_more": False}),
        ("/responses", answers.RESPONSE), ("/moderations", {"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": False}]}),
        ("/chat/completions", answers.CHAT), ("/completions", {**answers.CHAT, "object": "text_completion", "choices": [{"text": "Hi", "index": 0, "finish_reason": "stop"}]}),
    ):  # fmt: skip
        if mark in path:
            exchange.reply(200, answer)
            return
    exchange.reply(404, {"error": {"message": f"the vendor has no {path}"}})


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(respond)
    yield vendor
    vendor.close()


@pytest.fixture(scope="module")
def gateway(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    models = ["m", "claude-sonnet-4-6", "gpt-5.4", "gemini-3-pro", "omni-moderation-latest", "org/dotted-1.5"]
    channels = [channel(vendor, p, models=models) for p in ("openai", "anthropic", "gemini")]
    channels.append(channel(vendor, "openai", name="hidden", models=["hidden"], groups=["other"]))
    channels.append(channel(vendor, "anthropic", name="claude", models=["claude-only"], translate=False))
    users = [
        {"username": "alice", "credit": "50", "keys": [{"name": "a", "key": KEY}, {"name": "l", "key": LIMITED, "models": ["m", "hidden"]}]},
        {"username": "bob", "credit": "50", "keys": [{"name": "b", "key": OTHER_KEY}]},
        {"username": "root", "role": "root", "credit": "50", "keys": [{"name": "r", "key": ADMIN}]},
    ]  # fmt: skip
    prices = [{"model": "*", "input": "1", "cached_input": "0.1", "output": "10"}]
    server = {"api_only_hosts": [SECOND], "public_url": "https://console.example.test"}
    yield from gateway_for(
        tmp_path_factory.mktemp("surfaces"),
        channels,
        users=users,
        prices=prices,
        groups=[{"name": "default"}, {"name": "other"}],
        server=server,
    )


CHAT: dict[str, Any] = {"model": "m", "messages": []}
MESSAGES: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": []}
CONTENTS: dict[str, Any] = {"contents": []}
PATHS: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", CHAT, "/v1/chat/completions"),
    ("/api/v1/chat/completions", CHAT, "/v1/chat/completions"),
    ("/v1beta/openai/chat/completions", CHAT, "/v1/chat/completions"),
    ("/v1/completions", {"model": "m", "prompt": "x"}, "/v1/completions"),
    ("/v1/embeddings", {"model": "m", "input": "x"}, "/v1/embeddings"),
    ("/v1/moderations", {"input": "x"}, "/v1/moderations"),
    ("/v1/responses", {"model": "m", "input": "x"}, "/v1/responses"),
    ("/v1/messages", MESSAGES, "/v1/messages"),
    ("/claude/v1/messages", MESSAGES, "/v1/messages"),
    ("/api/v1/messages?beta=true", MESSAGES, "/v1/messages?beta=true"),
    ("/v1/messages/count_tokens", MESSAGES, "/v1/messages/count_tokens"),
    ("/claude/v1/messages/count_tokens", MESSAGES, "/v1/messages/count_tokens"),
    ("/v1beta/models/m:generateContent", CONTENTS, "/v1beta/models/m:generateContent"),
    ("/v1/models/m:generateContent", CONTENTS, "/v1beta/models/m:generateContent"),
    ("/v1alpha/models/m:generateContent", CONTENTS, "/v1beta/models/m:generateContent"),
    ("/api/v1beta/models/m:generateContent", CONTENTS, "/v1beta/models/m:generateContent"),
    ("/gemini/v1beta/models/m:generateContent", CONTENTS, "/v1beta/models/m:generateContent"),
    ("/gemini/v1/models/m:generateContent", CONTENTS, "/v1beta/models/m:generateContent"),
    (
        "/v1/projects/cognition/locations/us/publishers/google/models/m:generateContent",
        CONTENTS,
        "/v1beta/models/m:generateContent",
    ),
    (
        "/v1beta1/projects/p/locations/l/publishers/google/models/m:generateContent",
        CONTENTS,
        "/v1beta/models/m:generateContent",
    ),
    ("/v1beta/models/m:countTokens", CONTENTS, "/v1beta/models/m:countTokens"),
    (
        "/v1beta/models/m:embedContent",
        {"content": {"parts": [{"text": "x"}]}},
        "/v1beta/models/m:embedContent",
    ),
    ("/v1beta/models/m:batchEmbedContents", {"requests": []}, "/v1beta/models/m:batchEmbedContents"),
    # mistakes that are repaired
    ("/v1/v1/messages?beta=true", MESSAGES, "/v1/messages?beta=true"),
    ("/v1/v1/v1/chat/completions", CHAT, "/v1/chat/completions"),
    ("/v1/messages/v1/messages", MESSAGES, "/v1/messages"),
    ("/v1/messages/v1/messages/count_tokens", MESSAGES, "/v1/messages/count_tokens"),
    ("/v1/complete/v1/messages", MESSAGES, "/v1/messages"),
    ("/v1/chat/completions/chat/completions", CHAT, "/v1/chat/completions"),
    ("/v1/chat/completions/responses", {"model": "m", "input": "x"}, "/v1/responses"),
    ("/v1/chat/completions/v1/embeddings", {"model": "m", "input": "x"}, "/v1/embeddings"),
    ("/v1/models/chat/completions", CHAT, "/v1/chat/completions"),
    ("/v1/models/v1/chat/completions", CHAT, "/v1/chat/completions"),
    ("/chat/completions", CHAT, "/v1/chat/completions"),
    ("/responses", {"model": "m", "input": "x"}, "/v1/responses"),
    ("/embeddings", {"model": "m", "input": "x"}, "/v1/embeddings"),
    ("/completions", {"model": "m", "prompt": "x"}, "/v1/completions"),
    ("/v1/v1beta/models/m:generateContent", CONTENTS, "/v1beta/models/m:generateContent"),
    ("/v1beta/v1beta/models/m:generateContent", CONTENTS, "/v1beta/models/m:generateContent"),
    ("//v1//chat/completions/", CHAT, "/v1/chat/completions"),
]
REPAIRED = PATHS[23:]


@pytest.mark.parametrize(("path", "body", "upstream"), PATHS, ids=[p for p, _, _ in PATHS])
def test_every_alias_and_every_place_for_the_key(
    gateway: Gateway, vendor: Vendor, path: str, body: dict[str, Any], upstream: str
) -> None:
    joiner = "&" if "?" in path else "?"
    for headers, extra in (
        ({"authorization": f"Bearer {KEY}"}, ""), ({"x-api-key": KEY}, ""), ({"x-goog-api-key": KEY}, ""), ({}, f"{joiner}key={KEY}"),
    ):  # fmt: skip
        reply = gateway.request("POST", path + extra, body, headers, key=None)
        assert reply.status == 200, (headers, reply.body)
        assert vendor.received[-1].target == upstream
    assert ("x-gateway-path-fixed" in reply.headers) == ((path, body, upstream) in REPAIRED)


def test_model_ids_with_dots_dashes_and_slashes(gateway: Gateway, vendor: Vendor) -> None:
    reply = gateway.post("/v1beta/models/org%2Fdotted-1.5:generateContent", CONTENTS)
    assert (
        reply.status == 200
        and vendor.received[-1].target == "/v1beta/models/org%2Fdotted-1.5:generateContent"
    )
    assert gateway.get("/v1/models/org%2Fdotted-1.5").json["id"] == "org/dotted-1.5"


def test_model_lists_in_three_shapes(gateway: Gateway) -> None:
    plain = gateway.get("/v1/models?limit=1000").json
    assert plain["success"] is True and plain["object"] == "list" and plain["has_more"] is False
    by_id = {entry["id"]: entry for entry in plain["data"]}
    assert by_id["claude-sonnet-4-6"]["supported_endpoint_types"] == ["openai", "anthropic"]
    assert by_id["gpt-5.4"]["supported_endpoint_types"] == ["openai", "openai-response"]
    assert by_id["gemini-3-pro"]["supported_endpoint_types"] == ["openai", "gemini"]
    assert by_id["claude-sonnet-4-6"]["owned_by"] == "anthropic" and "hidden" not in by_id
    for path, headers in (("/v1/models", {"anthropic-version": "2023-06-01"}), ("/claude/v1/models", {})):
        anthropic = gateway.get(path, headers).json
        assert (
            anthropic["has_more"] is False
            and anthropic["data"][0]["type"] == "model"
            and anthropic["data"][0]["created_at"].endswith("Z")
        )
        assert (
            anthropic["first_id"] == anthropic["data"][0]["id"]
            and anthropic["last_id"] == anthropic["data"][-1]["id"]
        )
    for path, headers in (
        ("/v1beta/models", {}),
        ("/gemini/v1beta/models", {}),
        ("/v1/models", {"x-goog-api-key": KEY}),
    ):
        models = gateway.request("GET", path, headers=headers, key=None if headers else KEY).json["models"]
        entry = next(m for m in models if m["name"] == "models/gemini-3-pro")
        assert {"generateContent", "streamGenerateContent", "countTokens"} <= set(
            entry["supportedGenerationMethods"]
        )
    for headers, query in (
        ({"authorization": f"Bearer {KEY}"}, ""),
        ({"x-goog-api-key": KEY}, ""),
        ({}, f"?key={KEY}"),
    ):
        listed = gateway.request("GET", "/v1beta/openai/models" + query, headers=headers, key=None).json
        assert listed["success"] is True and listed["data"][0]["supported_endpoint_types"]


def test_gemini_lists_are_paged(gateway: Gateway) -> None:
    names, token = [], ""
    for _ in range(20):
        page = gateway.get(f"/v1beta/models?pageSize=2&pageToken={token}").json
        names += [m["name"] for m in page["models"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert len(names) == len(set(names)) == 7


def test_lists_and_calls_obey_the_keys_models(gateway: Gateway) -> None:
    assert [m["id"] for m in gateway.get("/v1/models", key=LIMITED).json["data"]] == ["m"]
    assert gateway.get("/v1/models/gpt-5.4", key=LIMITED).status == 404
    reply = gateway.post("/v1/chat/completions", {**CHAT, "model": "gpt-5.4"}, key=LIMITED)
    assert (
        reply.status == 403
        and "model not allowed" in reply.json["error"]["message"]
        and reply.json["error"]["code"] == "model_not_allowed"
    )
    assert (
        gateway.get("/v1/models/gpt-5.4").json["id"] == "gpt-5.4"
        and gateway.get("/v1/models/nope").status == 404
    )
    assert gateway.get("/v1beta/models/gpt-5.4").json["name"] == "models/gpt-5.4"


def test_probes(gateway: Gateway) -> None:
    for path in ("/", "/api/hello"):
        reply = gateway.request("HEAD", path, key=None)
        assert (reply.status, reply.body) == (200, b"")
    for method, path in (
        ("GET", "/api/v1/models"),
        ("GET", "/api/tags"),
        ("GET", "/props"),
        ("GET", "/v1/props"),
        ("GET", "/version"),
        ("POST", "/api/show"),
    ):
        reply = gateway.request(method, path, b"{}" if method == "POST" else None, key=None)
        assert reply.status == 404 and reply.json["error"]["message"], path
    for path in ("/v1/chat/completions", "/v1/messages", "/v1beta/models/m:generateContent", "/v1/models"):
        reply = gateway.request(
            "OPTIONS",
            path,
            headers={"origin": "https://x", "access-control-request-headers": "authorization,x-stainless-os"},
            key=None,
        )
        assert reply.status == 204 and reply.headers["access-control-allow-origin"] == "*"
        assert {"authorization", "x-api-key", "x-goog-api-key", "content-type", "x-stainless-os"} <= {
            h.strip() for h in reply.headers["access-control-allow-headers"].split(",")
        }
    assert gateway.post("/v1/chat/completions", CHAT).headers["access-control-allow-origin"] == "*"
    assert (
        gateway.get("/healthz", key=None).json == {"status": "ok"}
        and gateway.get("/readyz", key=None).status == 200
    )


def test_metrics(gateway: Gateway) -> None:
    gateway.post("/v1/chat/completions", CHAT)
    text = gateway.get("/metrics", key=None).body.decode()
    for name in (
        'dragoman_requests_total{operation="chat",status="200"}', "dragoman_errors_total", 'dragoman_tokens_total{kind="output"}', "dragoman_charged_quota_units_total",
        "dragoman_first_byte_seconds_bucket", "dragoman_overhead_seconds_bucket", "dragoman_open_streams", "dragoman_writer_", "dragoman_pool_open",
    ):  # fmt: skip
        assert name in text, name
    assert KEY not in text and "alice" not in text


def test_one_log_line_per_call_without_secrets(gateway: Gateway) -> None:
    reply = gateway.post("/v1/chat/completions?key=" + KEY, CHAT)
    rid = reply.headers["x-request-id"]
    line = gateway.eventually(lambda: [x for x in gateway.log.read_text().splitlines() if rid in x])
    assert len(line) == 1 and '"operation":"chat"' in line[0]
    assert KEY not in gateway.log.read_text() and "vendor-secret" not in gateway.log.read_text()


API_ONLY: list[tuple[str, str, Any, int]] = [
    ("POST", "/v1/chat/completions", CHAT, 200), ("POST", "/v1/responses", {"model": "m", "input": "x"}, 200), ("POST", "/v1/messages", MESSAGES, 200),
    ("POST", "/v1beta/models/m:generateContent", CONTENTS, 200), ("POST", "/v1/embeddings", {"model": "m", "input": "x"}, 200),
    ("POST", "/v1/completions", {"model": "m", "prompt": "x"}, 200), ("POST", "/v1/moderations", {"input": "x"}, 200), ("GET", "/v1/models", None, 200),
    ("GET", "/v1beta/models", None, 200), ("GET", "/healthz", None, 200), ("GET", "/", None, 404), ("GET", "/console", None, 404), ("POST", "/api/user/login", {}, 404),
    ("GET", "/metrics", None, 404),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "status"), API_ONLY, ids=[f"{m} {p}" for m, p, _, _ in API_ONLY]
)
def test_api_only_hosts_serve_the_api_and_nothing_else(
    gateway: Gateway, method: str, path: str, body: Any, status: int
) -> None:
    reply = gateway.request(method, path, body, {"host": SECOND})
    assert reply.status == status
    if path in ("/", "/console", "/api/user/login"):
        assert "https://console.example.test" in reply.json["error"]["message"]


def test_vendor_and_pin_choose_the_channel(gateway: Gateway) -> None:
    ids = {r["name"]: r["id"] for r in gateway.rows("SELECT id, name FROM channels")}
    assert gateway.post("/v1/messages", MESSAGES, {"vendor": "anthropic"}).status == 200
    assert gateway.post("/v1/messages", MESSAGES, {"vendor": "auto"}).status == 200
    assert gateway.post("/v1/messages", MESSAGES, {"vendor": "mistral"}).status == 503
    assert (
        gateway.post(
            "/v1/messages", MESSAGES, {"specific-channel-id": str(ids["anthropic"])}, key=ADMIN
        ).status
        == 200
    )
    assert gateway.post("/v1/messages", MESSAGES, key=f"{ADMIN}-{ids['claude']}").status == 503
    assert gateway.post("/v1/messages", MESSAGES, key=f"{KEY}-{ids['anthropic']}").status == 403


def test_the_wrong_surface_names_the_right_one(gateway: Gateway) -> None:
    reply = gateway.post("/v1/responses", {"model": "claude-only", "input": "x"})
    assert reply.status == 404 and "/v1/messages" in reply.json["error"]["message"]


def test_stored_responses_belong_to_the_user_who_made_them(gateway: Gateway, vendor: Vendor) -> None:
    """User × user on every endpoint that takes a vendor-side id."""
    vendor.script = lambda x: (
        x.reply(200, {**answers.RESPONSE, "id": "resp_alice"}) if x.request.method == "POST" else respond(x)
    )
    assert gateway.post("/v1/responses", {"model": "m", "input": "x"}).status == 200
    vendor.script = respond
    uses: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "/v1/responses/resp_alice", None), ("GET", "/v1/responses/resp_alice/input_items", None), ("POST", "/v1/responses/resp_alice/cancel", {}),
        ("POST", "/v1/responses", {"model": "m", "input": "y", "previous_response_id": "resp_alice"}), ("DELETE", "/v1/responses/resp_alice", None),
    ]  # fmt: skip
    for method, path, body in uses:
        before = len(vendor.received)
        reply = gateway.request(method, path, body, key=OTHER_KEY)
        assert reply.status == 404 and len(vendor.received) == before, (method, path)
        reply = gateway.request(
            method,
            path.replace("resp_alice", "resp_nobody"),
            {**body, "previous_response_id": "resp_nobody"} if body else body,
        )
        assert reply.status == 404 and len(vendor.received) == before, (method, path)
        assert gateway.request(method, path, body).status == 200, (method, path)
        assert vendor.received[-1].target == path and len(vendor.received) == before + 1
    assert gateway.get("/v1/responses/resp_alice").status == 404  # deleted


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/responses",
            {
                "model": "m",
                "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-x"}]}],
            },
        ),
        ("/v1/responses", {"model": "m", "input": "x", "conversation": "conv_x"}),
        (
            "/v1/responses",
            {"model": "m", "input": "x", "tools": [{"type": "file_search", "vector_store_ids": ["vs_x"]}]},
        ),
        (
            "/v1/chat/completions",
            {
                "model": "m",
                "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-x"}}]}],
            },
        ),
        ("/v1/messages", {**MESSAGES, "container": "container_x"}),
        (
            "/v1/messages",
            {
                **MESSAGES,
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "document", "source": {"type": "file", "file_id": "file_x"}}],
                    }
                ],
            },
        ),
        ("/v1beta/models/m:generateContent", {"contents": [], "cachedContent": "cachedContents/x"}),
    ],
)
def test_foreign_ids_inside_bodies_are_refused(
    gateway: Gateway, vendor: Vendor, path: str, body: dict[str, Any]
) -> None:
    before = len(vendor.received)
    for key in (KEY, OTHER_KEY):
        assert gateway.post(path, body, key=key).status == 404
    assert len(vendor.received) == before


def test_a_container_made_for_one_user_is_not_another_users(gateway: Gateway, vendor: Vendor) -> None:
    vendor.script = lambda x: x.reply(
        200, {**answers.MESSAGE, "container": {"id": "container_alice", "expires_at": "2030-01-01T00:00:00Z"}}
    )
    assert gateway.post("/v1/messages", MESSAGES).status == 200
    assert gateway.post("/v1/messages", {**MESSAGES, "container": "container_alice"}).status == 200
    assert (
        gateway.post("/v1/messages", {**MESSAGES, "container": "container_alice"}, key=OTHER_KEY).status
        == 404
    )
    vendor.script = respond
