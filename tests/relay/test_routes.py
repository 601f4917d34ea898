"""From a request to a Call: what is refused, by whom and in which shape, and what is read out of it."""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_network
from typing import Any

import pytest

from dragoman.relay import flow
from dragoman.relay.bodies import BodyBudget
from dragoman.relay.exchange import Disconnect
from dragoman.relay.routes import Application
from dragoman.routing.keytable import KeyRecord
from dragoman.routing.plan import Call
from dragoman.routing.snapshot import Group
from tests.relay.scripted import ACME, NOW, Lines, Wire, gateway, limits
from tests.routing.builders import channel, key, snapshot

SECRET = "sk-" + "a" * 48
BEARER = {"authorization": f"Bearer {SECRET}"}
CHAT = "/v1/chat/completions"
PATHS = {
    "openai_chat": CHAT,
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
}
SNAPSHOT = snapshot(
    channel(1, ("m", "gpt-5.4", "served-alias"), provider=ACME),
    aliases={"gpt-54": "gpt-5.4", "served-alias": "gpt-5.4"},
    groups=[Group(name="default"), Group(name="prefixed", vendor_prefixes=True)],
)


class FakeKeys:
    """Knows keys by their text; remembers what it was asked for. Half of them have to be loaded first."""

    def __init__(self, **known: KeyRecord) -> None:
        self.known = {name.replace("_", "-"): record for name, record in known.items()}
        self.asked: list[str] = []

    def cached(self, text: str) -> KeyRecord | None:
        self.asked.append(text)
        return None

    async def find(self, text: str) -> KeyRecord | None:
        await asyncio.sleep(0)
        return self.known.get(text)


class Reply(Wire):
    """The answer, what became of the request, and what the flow would have been given."""

    call: Call
    body_seen: bytes
    received = 0
    keys: FakeKeys
    journal: Lines
    metrics: Any


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``ask(method, path, body, headers, …)`` → Reply. The flow is a stand-in that keeps its Call and answers 200."""

    def asking(
        method: str = "POST",
        path: str = CHAT,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        record: KeyRecord | None = None,
        client: tuple[str, int] | None = ("192.0.2.7", 5000),
        query: str = "",
        server: dict[str, Any] | None = None,
        **ports: Any,
    ) -> Reply:
        reply = Reply()

        async def serve(_: Any, call: Call, held: Any, send: Any, started: float) -> None:
            reply.call, reply.body_seen = call, held.data
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"served"})

        monkeypatch.setattr(flow, "serve", serve)
        reply.keys = FakeKeys(**{SECRET.replace("-", "_"): record or key()})
        reply.journal = Lines()
        values = {
            "snapshot": SNAPSHOT, "keys": reply.keys, "journal": reply.journal, "budget": BodyBudget(),
            "limits": limits(**(server or {})), **ports,
        }  # fmt: skip
        made = gateway(**values)
        reply.metrics = made.metrics
        hook = Disconnect()
        hook.task = _Task()  # type: ignore[assignment]
        data = (
            body
            if isinstance(body, bytes)
            else json.dumps(body if body is not None else {"model": "m"}).encode()
        )
        told = BEARER if headers is None else headers
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(n.lower().encode(), v.encode("latin-1")) for n, v in told.items()], "client": client,
            "extensions": {"dragoman.disconnect": hook},
        }  # fmt: skip

        async def receive() -> Any:
            reply.received += 1
            return {"type": "http.request", "body": data, "more_body": False}

        asyncio.run(Application(made)(scope, receive, reply.send))
        assert hook.callback is None and made.budget.used_bytes == 0
        return reply

    return asking


class _Task:
    def cancel(self) -> None:
        raise AssertionError("nobody has left")


def error(reply: Reply) -> tuple[int, str]:
    """Status and message of an error; its shape must be one of the three."""
    assert reply.whole() and reply.value(b"content-type") == b"application/json"
    return reply.status, reply.json()["error"]["message"]


# --- who is calling -----------------------------------------------------------------------------------------

PLACES = {
    "authorization": "sk-bearer",
    "x-api-key": "sk-anthropic",
    "x-goog-api-key": "sk-google",
    "api-key": "sk-azure",
}


@pytest.mark.parametrize(
    ("surface", "order"),
    [
        ("openai_chat", ["authorization", "x-api-key", "x-goog-api-key", "api-key"]),
        ("anthropic", ["x-api-key", "authorization", "x-goog-api-key", "api-key"]),
        ("gemini", ["x-goog-api-key", "authorization", "x-api-key", "api-key"]),
    ],
)
def test_the_surfaces_own_header_comes_first(ask: Any, surface: str, order: list[str]) -> None:
    left = dict(PLACES)
    for place in order:
        reply = ask(path=PATHS[surface], headers=left, query="key=sk-query")
        assert reply.keys.asked == [left.pop(place)] and error(reply)[0] == 401
    assert ask(path=PATHS[surface], headers={}, query="key=sk-query").keys.asked == ["sk-query"]


@pytest.mark.parametrize("value", [f"Bearer {SECRET}", f"bearer  {SECRET} ", SECRET, f"BEARER {SECRET}"])
def test_bearer_is_optional_and_its_case_does_not_matter(ask: Any, value: str) -> None:
    assert ask(headers={"authorization": value}).status == 200


@pytest.mark.parametrize("surface", PATHS)
def test_no_key_and_a_wrong_key_are_told_apart_in_the_surfaces_shape(ask: Any, surface: str) -> None:
    none, wrong = (
        ask(path=PATHS[surface], headers={}),
        ask(path=PATHS[surface], headers={"authorization": "sk-no"}),
    )
    assert "none was sent" in error(none)[1] and error(wrong) == (401, "Invalid API key")
    for reply in (none, wrong):
        assert reply.received == 0 and reply.value(b"x-should-retry") == b"false"
        told = reply.json()
        if surface == "anthropic":
            assert (told["type"], told["error"]["type"]) == ("error", "authentication_error")
        elif surface == "gemini":
            assert (told["error"]["code"], told["error"]["status"]) == (401, "UNAUTHENTICATED")
        else:
            assert told["error"]["code"] == "invalid_api_key"
    assert none.keys.asked == []


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"active": False}, 401, "disabled"),
        ({"expires_at": int(NOW)}, 401, "expired"),
        ({"allow_ips": ("10.0.0.0/8",)}, 403, "192.0.2.7"),
        ({"user_active": False}, 403, "group is not allowed"),
        ({"group": ""}, 403, "no group bound"),
        ({"group": "nowhere"}, 403, "group is not allowed"),
    ],
)
def test_what_a_key_may_not_is_told_before_its_body_is_read(
    ask: Any, fields: dict[str, Any], status: int, says: str
) -> None:
    reply = ask(record=key(**fields))
    assert error(reply)[0] == status and says in error(reply)[1]
    assert reply.received == 0
    (line,) = reply.journal.calls
    assert (line["operation"], line["status"], line["path"], line["method"]) == ("none", status, CHAT, "POST")
    name = "dragoman_requests_total"
    assert reply.metrics.registry.get_sample_value(name, {"operation": "none", "status": str(status)}) == 1


def test_the_clients_address_comes_from_trusted_proxies_only(ask: Any) -> None:
    headers = {**BEARER, "x-forwarded-for": "10.1.1.1, 198.51.100.9"}
    record = key(allow_ips=("198.51.100.9",))
    assert ask(headers=headers, record=record).status == 403
    trusted = {"trusted_proxies": (ip_network("192.0.2.0/24"),)}
    reply = ask(headers=headers, record=record, server=trusted)
    assert reply.call.client_ip == "198.51.100.9"
    assert ask(headers=headers, record=record, client=None).status == 403


# --- pins and vendors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["admin", "root"])
def test_an_administrator_pins_by_suffix_or_header_and_the_suffix_wins(ask: Any, role: str) -> None:
    record = key(role=role)
    assert ask(record=record).call.pinned_channel is None
    assert ask(record=record, headers={**BEARER, "specific-channel-id": " 12 "}).call.pinned_channel == 12
    suffixed = {"authorization": f"Bearer {SECRET}-7"}
    assert ask(record=record, headers=suffixed).call.pinned_channel == 7
    assert ask(record=record, headers={**suffixed, "specific-channel-id": "12"}).call.pinned_channel == 7
    assert ask(record=record, headers={**BEARER, "specific-channel-id": ""}).call.pinned_channel is None


@pytest.mark.parametrize(
    "headers", [{"authorization": SECRET + "-7"}, {**BEARER, "specific-channel-id": "7"}]
)
def test_nobody_else_may_pin(ask: Any, headers: dict[str, str]) -> None:
    reply = ask(headers=headers)
    assert error(reply)[0] == 403 and reply.json()["error"]["code"] == "channel_not_allowed"
    assert reply.received == 0


@pytest.mark.parametrize("value", ["x", "-1", "1.0", "٣", "9" * 30])
def test_a_pin_is_a_number(ask: Any, value: str) -> None:
    headers = {**BEARER, "specific-channel-id": value.encode().decode("latin-1")}
    assert error(ask(headers=headers, record=key(role="root"))) == (
        400,
        "Specific-Channel-Id must be a channel's number",
    )


@pytest.mark.parametrize(
    ("sent", "read"), [("", ""), ("auto", ""), (" AUTO ", ""), ("Anthropic", "anthropic"), ("aws", "aws")]
)
def test_the_vendor_header(ask: Any, sent: str, read: str) -> None:
    assert ask(headers={**BEARER, "vendor": sent}).call.vendor == read


def test_an_unknown_vendor_is_told_the_known_ones(ask: Any) -> None:
    status, message = error(ask(headers={**BEARER, "vendor": "acme"}))
    assert status == 400 and "'acme'" in message and "anthropic" in message and "auto" in message


# --- paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fixed"),
    [
        (CHAT, None), ("/api/v1/chat/completions", None), ("/v1beta/openai/chat/completions", None),
        ("/v1/v1/chat/completions", b"/v1/chat/completions"), ("/chat/completions", b"/v1/chat/completions"),
    ],
)  # fmt: skip
def test_a_repaired_path_is_told_and_an_alias_is_not(ask: Any, path: str, fixed: bytes | None) -> None:
    reply = ask(path=path)
    assert reply.value(b"x-gateway-path-fixed") == fixed
    assert (reply.call.path, reply.call.original_path) == (CHAT, path)
    refused = ask(path=path, headers={})
    assert refused.status == 401 and refused.value(b"x-gateway-path-fixed") == fixed


def test_strict_paths_explain_instead(ask: Any) -> None:
    reply = ask(path="/v1/v1/messages", server={"strict_paths": True})
    status, message = error(reply)
    assert status == 404 and "/v1/messages" in message and "base URL" in message
    assert reply.json()["type"] == "error" and reply.journal.calls[0]["path"] == "/v1/v1/messages"
    assert ask(path="/api/v1/chat/completions", server={"strict_paths": True}).status == 200


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/nothing", "/v1/messages/nothing", "/v1beta/nothing", "/" + "x" * 900]
)
def test_unknown_paths(ask: Any, path: str) -> None:
    reply = ask(path=path, headers={})
    assert error(reply)[0] == 404 and "Base URLs" in error(reply)[1]
    assert len(reply.journal.calls[0]["path"]) <= 300


def test_another_method_is_told_the_right_one(ask: Any) -> None:
    reply = ask("GET", CHAT)
    assert error(reply)[0] == 405 and reply.value(b"allow") == b"POST"
    assert ask("PUT", "/v1/responses/resp_1").value(b"allow") == b"DELETE, GET, HEAD"


def test_a_browser_asking_for_the_models_page_is_not_an_api_client(ask: Any) -> None:
    page = {**BEARER, "accept": "text/html,*/*"}
    assert ask("GET", "/models", headers=page).status == 404
    assert ask("GET", "/models").json()["object"] == "list"


# --- without a key ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS.values(), "/v1/models", "/nothing"])
def test_preflight(ask: Any, path: str) -> None:
    reply = ask("OPTIONS", path, headers={"origin": "https://x", "access-control-request-method": "POST"})
    assert (reply.status, reply.body, reply.received) == (204, b"", 0)
    assert reply.value(b"access-control-allow-origin") == b"*" and reply.value(b"x-request-id") == b"req_x"
    allowed = reply.value(b"access-control-allow-headers")
    assert allowed is not None and b"authorization" in allowed and b"x-stainless-os" in allowed


def test_every_answer_of_the_gateway_is_open_to_browsers_and_carries_its_id(ask: Any) -> None:
    for reply in (
        ask(headers={}),
        ask(path="/nothing"),
        ask("GET", "/v1/models"),
        ask("GET", "/healthz", headers={}),
    ):
        assert reply.value(b"access-control-allow-origin") == b"*"
        assert reply.value(b"x-request-id") == reply.value(b"request-id") == b"req_x"
        assert reply.value(b"x-content-type-options") == b"nosniff"


@pytest.mark.parametrize("path", ["/", "/api/hello", "/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probes_need_no_key(ask: Any, method: str, path: str) -> None:
    reply = ask(method, path, headers={})
    assert reply.status == 200 and isinstance(reply.json(), dict)
    assert reply.keys.asked == [] and reply.journal.calls == []


def test_not_ready_says_why(ask: Any) -> None:
    reply = ask("GET", "/readyz", headers={}, ready=lambda: {"writer": "disk full"})
    assert reply.status == 503 and reply.json() == {
        "status": "not ready",
        "problems": {"writer": "disk full"},
    }
    assert ask("GET", "/healthz", headers={}, ready=lambda: {"writer": "disk full"}).status == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics"])
def test_probes_are_not_for_posting(ask: Any, path: str) -> None:
    assert ask("POST", path).status == 404


ALLOW = {"metrics_allow": ("127.0.0.0/8", "192.0.2.0/24")}


@pytest.mark.parametrize(
    ("client", "headers", "server", "status"),
    [
        (("192.0.2.7", 1), {}, {}, 200),
        (("127.0.0.1", 1), {}, {}, 200),
        (("::ffff:127.0.0.1", 1), {}, {}, 200),
        (("198.51.100.9", 1), {}, {}, 404),
        (None, {}, {}, 404),
        (("192.0.2.7", 1), {}, {"metrics_allow": ()}, 404),
        # behind a proxy: the address of the proxy says nothing of who asks
        (("127.0.0.1", 1), {"x-forwarded-for": "198.51.100.9"}, {}, 404),
        (
            ("127.0.0.1", 1),
            {"x-forwarded-for": "198.51.100.9"},
            {"trusted_proxies": (ip_network("127.0.0.0/8"),)},
            404,
        ),
        (
            ("127.0.0.1", 1),
            {"x-forwarded-for": "192.0.2.7"},
            {"trusted_proxies": (ip_network("127.0.0.0/8"),)},
            200,
        ),
        (("127.0.0.1", 1), {"host": "api.test"}, {"api_only_hosts": frozenset({"api.test"})}, 404),
    ],
)
def test_metrics_are_for_allowed_addresses(
    ask: Any, client: Any, headers: Any, server: Any, status: int
) -> None:
    reply = ask("GET", "/metrics", headers=headers, client=client, server={**ALLOW, **server})
    assert reply.status == status and (b"# HELP dragoman_requests" in reply.body) is (status == 200)


API_ONLY = {"api_only_hosts": frozenset({"api.test"}), "public_url": "https://console.test"}


@pytest.mark.parametrize(
    ("method", "path", "status", "moved"),
    [
        ("POST", CHAT, 200, False), ("POST", "/claude/v1/messages", 200, False), ("GET", "/v1/models", 200, False),
        ("POST", "/chat/completions", 200, False), ("GET", "/healthz", 200, False), ("HEAD", "/", 200, False),
        ("GET", "/v1/models/none", 404, False), ("POST", "/v1/nothing", 404, False), ("GET", "/", 404, True),
        ("GET", "/console", 404, True), ("POST", "/api/user/login", 404, True), ("GET", "/api/status", 404, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("host", ["api.test", "API.test:8443"])
def test_an_api_only_host(ask: Any, host: str, method: str, path: str, status: int, moved: bool) -> None:
    reply = ask(method, path, headers={**BEARER, "host": host}, server=API_ONLY)
    assert reply.status == status
    if status == 404:
        assert ("https://console.test" in error(reply)[1]) is moved
    assert ask("GET", "/", headers={"host": "www.test"}, server=API_ONLY).status == 200


# --- the model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        ("m", "m"),
        ("gpt-54", "gpt-5.4"),
        ("served-alias", "served-alias"),  # a channel lists the very name: nothing to resolve
        ("nobody", "nobody"),
        ("anthropic/m", "anthropic/m"),
    ],
)
def test_names_and_aliases(ask: Any, asked: str, model: str) -> None:
    call = ask(body={"model": asked}).call
    assert (call.model_asked, call.model) == (asked, model)


@pytest.mark.parametrize(
    ("asked", "model"),
    [("anthropic/m", "m"), ("openai/gpt-54", "gpt-5.4"), ("acme/m", "acme/m"), ("openai/no", "no")],
)
def test_vendor_prefixes_where_the_group_allows_them(ask: Any, asked: str, model: str) -> None:
    prefixed = snapshot(
        channel(1, ("m", "gpt-5.4"), provider=ACME, groups=("prefixed",)),
        aliases={"gpt-54": "gpt-5.4"},
        groups=[Group(name="prefixed", vendor_prefixes=True)],
    )
    assert ask(body={"model": asked}, record=key(group="prefixed"), snapshot=prefixed).call.model == model


@pytest.mark.parametrize(
    ("models", "asked", "status"),
    [
        (("m",), "m", 200), (("m",), "gpt-5.4", 403), ((), "m", 403),
        (("gpt-54",), "gpt-54", 403), (("gpt-5.4",), "gpt-54", 403), (("gpt-54", "gpt-5.4"), "gpt-54", 200),
    ],
)  # fmt: skip
def test_a_keys_list_must_hold_the_name_and_what_it_stands_for(
    ask: Any, models: tuple[str, ...], asked: str, status: int
) -> None:
    reply = ask(body={"model": asked}, record=key(models=models))
    assert reply.status == status
    if status == 403:
        assert reply.json()["error"]["code"] == "model_not_allowed"
        path = f"/v1beta/models/{asked}:generateContent"
        assert error(ask(path=path, body={}, record=key(models=models)))[0] == 403


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "must provide a model"), ({"model": None}, "must provide a model"), ({"model": ""}, "string"),
        ({"model": 7}, "string"), ({"model": ["m"]}, "string"), ({"model": "x" * 301}, "300 characters"),
        ({"model": "a\0b"}, "control characters"), (b"{", "JSON"), (b"[]", "object"), (b"", "JSON"),
    ],
)  # fmt: skip
def test_bodies_without_a_usable_model(ask: Any, body: Any, says: str) -> None:
    status, message = error(ask(body=body))
    assert status == 400 and says.lower() in message.lower()


def test_moderations_have_a_default_model(ask: Any) -> None:
    assert ask(path="/v1/moderations", body={"input": "x"}).call.model == "omni-moderation-latest"
    assert ask(path="/v1/moderations", body={"input": "x", "model": 7}).status == 400


def test_a_second_model_cannot_be_smuggled_upstream(ask: Any) -> None:
    reply = ask(body=b'{"model":"m","x":1,"mod\\u0065l":"gpt-5.4"}', record=key(models=("gpt-5.4",)))
    assert (
        reply.call.model == "gpt-5.4"
        and reply.body_seen.count(b"gpt-5.4") == 1
        and b'"m"' not in reply.body_seen
    )


# --- what else is read --------------------------------------------------------------------------------------

G, S = "/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (CHAT, {}, None), (CHAT, {"max_tokens": 5}, 5), (CHAT, {"max_completion_tokens": 6}, 6), (CHAT, {"max_tokens": 0}, 0),
        (CHAT, {"max_tokens": 5, "max_completion_tokens": 6}, 6), (CHAT, {"max_tokens": 7, "max_completion_tokens": 6}, 7),
        (CHAT, {"max_tokens": "5"}, None), (CHAT, {"max_tokens": True}, None), (CHAT, {"max_tokens": -1}, None),
        (CHAT, {"max_tokens": 5.0}, None), (CHAT, {"max_output_tokens": 1}, None),
        ("/v1/completions", {"max_tokens": 5}, 5), ("/v1/completions", {"max_completion_tokens": 5}, None),
        ("/v1/responses", {"max_output_tokens": 5}, 5), ("/v1/responses", {"max_tokens": 5}, None),
        ("/v1/messages", {"max_tokens": 5}, 5), ("/v1/messages", {"max_completion_tokens": 5}, None),
        (G, {"generationConfig": {"maxOutputTokens": 5}}, 5), (S, {"generationConfig": {"max_output_tokens": 6}}, 6),
        (G, {"generationConfig": []}, None), (G, {"max_tokens": 5}, None), (G, {}, None),
        ("/v1/embeddings", {"max_tokens": 5}, 0), ("/v1/moderations", {}, 0), ("/v1beta/models/m:embedContent", {}, 0),
    ],
)  # fmt: skip
def test_the_callers_bound_on_output(ask: Any, path: str, body: dict[str, Any], expected: int | None) -> None:
    """Only the dialect's own member binds: a vendor may ignore another, and the hold would be too small."""
    assert ask(path=path, body={"model": "m", **body}).call.max_output == expected


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (CHAT, {}, 1), (CHAT, {"n": 3}, 3), (CHAT, {"n": 1000}, 1000), (CHAT, {"n": 0}, 1), (CHAT, {"n": "3"}, 1), (CHAT, {"best_of": 9}, 1),
        ("/v1/messages", {"n": 3}, 1), (G, {"generationConfig": {"candidateCount": 4}}, 4), (G, {"n": 4}, 1),
        ("/v1/completions", {"n": 2, "best_of": 5}, 5), ("/v1/completions", {"prompt": ["a", "b", "c"], "n": 2}, 6),
        ("/v1/completions", {"prompt": [1, 2, 3]}, 1), ("/v1/completions", {"prompt": [[1, 2], [3]]}, 2),
        ("/v1/completions", {"prompt": []}, 1),
    ],
)  # fmt: skip
def test_how_many_answers_are_asked_for(ask: Any, path: str, body: dict[str, Any], expected: int) -> None:
    assert ask(path=path, body={"model": "m", **body}).call.choices == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include_usage": True}, True), ({"include_usage": False}, False), ({"include_usage": 1}, False), ({}, False),
        (None, False), ([], False), ("include_usage", False),
    ],
)  # fmt: skip
def test_include_usage(ask: Any, options: Any, expected: bool) -> None:
    body = {"model": "m", "stream": True, "stream_options": options}
    assert ask(body=body).call.include_usage is expected
    assert ask(body={"model": "m"}).call.include_usage is False


@pytest.mark.parametrize(
    ("path", "stream", "expected"),
    [
        (CHAT, True, True), (CHAT, False, False), (CHAT, None, False), ("/v1/messages", True, True),
        ("/v1/responses", True, True), ("/v1/completions", True, True), ("/v1/embeddings", True, False), (S, None, True),
        (G, True, False),
    ],
)  # fmt: skip
def test_which_answers_are_streams(ask: Any, path: str, stream: Any, expected: bool) -> None:
    assert ask(path=path, body={"model": "m", "stream": stream}).call.stream is expected


@pytest.mark.parametrize(("path", "expected"), [("/v1/responses", True), (CHAT, False)])
def test_background(ask: Any, path: str, expected: bool) -> None:
    assert ask(path=path, body={"model": "m", "background": True}).call.background is expected
    assert ask(path=path, body={"model": "m", "background": False}).call.background is False


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/v1/responses/resp_1", "responses_get"), ("DELETE", "/v1/responses/resp_1", "responses_delete"),
        ("POST", "/v1/responses/resp_1/cancel", "responses_cancel"),
        ("GET", "/v1/responses/resp_1/input_items", "responses_input_items"),
    ],
)  # fmt: skip
def test_stored_responses_need_no_model(ask: Any, method: str, path: str, operation: str) -> None:
    reply = ask(method, path, b"", record=key(models=("gpt-5.4",)))
    call = reply.call
    assert (call.operation, call.resource_id, call.model, call.method) == (operation, "resp_1", "", method)
    assert reply.received == (1 if method == "POST" else 0)


def test_what_the_call_keeps_of_the_request(ask: Any) -> None:
    headers = {
        **BEARER, "x-api-key": "other", "anthropic-beta": "b1", "cookie": "c", "user-agent": "OpenAI/Python 3.5",
        "specific-channel-id": "3", "vendor": "openai", "x-unknown": "kept", "host": "here", "openai-organization": "org",
    }  # fmt: skip
    reply = ask(headers=headers, query="beta=true&key=sk-x&x=%20", record=key(role="root", user_id=9))
    call = reply.call
    assert (call.request_id, call.started_at, call.operation, call.dialect) == (
        "req_x",
        NOW,
        "chat",
        "openai_chat",
    )
    assert (call.key.user_id, call.group, call.client, call.client_ip) == (
        9,
        "default",
        "openai-python",
        "192.0.2.7",
    )
    names = {n for n, _ in call.headers}
    assert {b"anthropic-beta", b"x-unknown"} <= names
    assert not names & {
        b"authorization",
        b"x-api-key",
        b"cookie",
        b"vendor",
        b"specific-channel-id",
        b"host",
        b"openai-organization",
    }
    assert "sk-x" not in call.query and "beta=true" in call.query


# --- lists, lifespan, departures ----------------------------------------------------------------------------


def test_lists_by_path_and_header(ask: Any) -> None:
    assert ask("GET", "/v1/models").json()["success"] is True
    assert (
        "has_more" in ask("GET", "/v1/models", headers={**BEARER, "anthropic-version": "2023-06-01"}).json()
    )
    assert "models" in ask("GET", "/v1beta/models", headers={"x-goog-api-key": SECRET}).json()
    assert ask("GET", "/v1/models/gpt-5.4").json()["id"] == "gpt-5.4"
    listed = ask("GET", "/v1/models", record=key(models=("m",))).json()["data"]
    assert [m["id"] for m in listed] == ["m"]
    assert ask("GET", "/v1/models", headers={}).status == 401


def _scope(hook: Disconnect, **fields: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "type": "http", "method": "POST", "path": CHAT, "raw_path": CHAT.encode(), "query_string": b"",
        "headers": [(b"authorization", SECRET.encode())], "client": None, "extensions": {"dragoman.disconnect": hook},
    }  # fmt: skip
    return {**values, **fields}


def _ports(**fields: Any) -> Any:
    keys = FakeKeys(**{SECRET.replace("-", "_"): key()})
    return gateway(
        **{"snapshot": SNAPSHOT, "keys": keys, "journal": Lines(), "budget": BodyBudget(), **fields}
    )


def test_a_lost_connection_cancels_the_flow_and_nothing_before_or_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> bool:
        hook, reached = Disconnect(), asyncio.Event()

        async def serve(*arguments: Any) -> None:
            reached.set()
            await asyncio.Event().wait()

        async def receive() -> Any:
            assert hook.callback is None
            return {"type": "http.request", "body": b'{"model":"m"}', "more_body": False}

        monkeypatch.setattr(flow, "serve", serve)
        task = hook.task = asyncio.create_task(Application(_ports())(_scope(hook), receive, Wire().send))
        await reached.wait()
        assert hook.callback is not None
        hook.callback()
        with pytest.raises(asyncio.CancelledError):
            await task
        return hook.callback is None

    assert asyncio.run(scenario())


def test_a_client_that_left_during_its_body_gets_no_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(*arguments: Any) -> None:
        raise AssertionError("nobody is there")

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    monkeypatch.setattr(flow, "serve", serve)
    wire, ports = Wire(), _ports()
    asyncio.run(Application(ports)(_scope(Disconnect()), receive, wire.send))
    assert wire.log == [] and ports.journal.calls == []


def test_a_failure_of_ours_before_there_is_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(FakeKeys):
        async def find(self, text: str) -> KeyRecord | None:
            raise OSError("the database is away")

    async def receive() -> Any:
        raise AssertionError("not read")

    wire, ports = Wire(), _ports(keys=Broken())
    asyncio.run(Application(ports)(_scope(Disconnect(), path=PATHS["anthropic"]), receive, wire.send))
    assert wire.status == 500 and wire.json()["type"] == "error" and b"database" not in wire.body
    assert ports.journal.notes[0][0] == "internal_error"


def test_lifespan(ask: Any) -> None:
    messages, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], list[Any]()

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(Application(gateway())({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
