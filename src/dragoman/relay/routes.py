"""The ASGI application: from bytes to a Call.

In this order, so that the cheap refusals come first: preflight and probes (no key) → path (repair, match) → key,
status, expiry, address (before a byte of the body is read) → lists, or body → model, group → ``flow``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from dragoman.core import faults
from dragoman.core.envelope import canonical, peek
from dragoman.core.faults import Fault
from dragoman.core.wishes import split
from dragoman.dialects import DIALECTS
from dragoman.providers.base import OPERATION_DIALECT
from dragoman.providers.catalog import VENDORS
from dragoman.providers.models import known
from dragoman.relay import flow, identity, listing
from dragoman.relay.bodies import Body, ClientGone, aside, read_body
from dragoman.relay.gateway import Gateway
from dragoman.relay.lanes import Send
from dragoman.relay.paths import Route, match, repair, surface_of
from dragoman.relay.replies import PREFLIGHT, own_headers, send_bytes, send_fault, send_json
from dragoman.routing import admit
from dragoman.routing.keytable import KeyRecord
from dragoman.routing.plan import Call
from dragoman.routing.select import TRANSLATED
from dragoman.routing.snapshot import Snapshot

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DIALECT_OF_SURFACE = {"openai": "openai_chat", "anthropic": "anthropic", "gemini": "gemini"}
GEMINI_GENERATES = frozenset({"gemini_generate", "gemini_stream"})
STREAMABLE = frozenset({"chat", "completions", "responses", "messages"})
API_PREFIXES = ("/v1", "/claude/", "/gemini/", "/api/v1", "/api/status", "/api/pricing")
ADMIN_ROLES = frozenset({"admin", "root"})


class _Wanted(Struct):
    """The members of a request body that the gateway itself reads."""

    model: Any = None
    stream: Any = None
    prompt: Any = None
    best_of: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    stream_options: Any = None
    generationConfig: Any = None  # noqa: N815 (Google's name)
    background: Any = None
    n: Any = None


class Application:
    """The whole data plane as one ASGI callable."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway = self._gateway
        started, request_id = perf_counter(), gateway.new_id()
        path = (
            scope["path"] if b"%" not in scope.get("raw_path", b"") else scope["raw_path"].decode("latin-1")
        )
        surface = surface_of(path)
        try:
            headers = dict(scope["headers"])
            if await self._without_key(scope, path, headers, request_id, send):
                return
            route, canonical_path, fixed = self._route(scope["method"], path, headers)
            surface = route.family
            if fixed:
                send = _with_header(
                    send, (b"x-gateway-path-fixed", canonical_path.encode("latin-1", "replace"))
                )
            query = scope["query_string"].decode("latin-1")
            key, pin, ip = await self._authenticate(scope, headers, query, surface)
            if route.operation in ("models_list", "model_get"):
                await self._list(route, canonical_path, headers, query, key, request_id, send)
                return
            with await self._body(scope, receive, route) as body:
                asked = (scope, route, canonical_path, path, query, headers, key, pin, ip, request_id, body)
                call = await aside(len(body.data), lambda: self._call(*asked))
                await self._serve(scope, call, body, send, started)
        except Fault as fault:
            if (
                fault.status == 404
                and self._api_only(dict(scope["headers"]))
                and not path.startswith(API_PREFIXES)
            ):
                fault = self._not_here(path)
            await self._refuse(scope, surface, fault, request_id, path, send)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 (our own failure before there was a call, such as a lost database)
            gateway.journal.note(
                "internal_error", request_id=request_id, error=f"{type(error).__name__}: {error}"[:500]
            )
            ours = Fault(500, "internal_error", "internal error", type="server_error", owner="gateway")
            await self._refuse(scope, surface, ours, request_id, path, send)

    async def _serve(self, scope: Scope, call: Call, body: Body, send: Send, started: float) -> None:
        """Run the flow; when the client's connection is lost, the task is cancelled and the flow settles."""
        hook = scope["extensions"]["dragoman.disconnect"]
        if hook.gone:  # while its body was decoded or waited for memory
            raise ClientGone
        hook.callback = hook.task.cancel
        try:
            await flow.serve(self._gateway, call, body, send, started)
        finally:
            hook.callback = None

    def _route(self, method: str, path: str, headers: dict[bytes, bytes]) -> tuple[Route, str, bool]:
        canonical_path, fixed = repair(path, b"text/html" in headers.get(b"accept", b"") and method == "GET")
        if fixed and self._gateway.limits.strict_paths:
            raise faults.not_found(
                f"{path} is not a path of this gateway; you probably mean {canonical_path} (check the base URL)"
            )
        found = match(method, canonical_path, received=path)
        if isinstance(found, Fault):
            raise found
        return found, canonical_path, fixed

    async def _authenticate(
        self, scope: Scope, headers: dict[bytes, bytes], query: str, surface: str
    ) -> tuple[KeyRecord, int | None, str]:
        gateway = self._gateway
        text = identity.credential(headers, query, surface)
        if not text:
            raise faults.invalid_api_key(
                "Invalid API key: none was sent (Authorization: Bearer, x-api-key, x-goog-api-key or ?key=)"
            )
        text, pin = identity.split_pin(text)
        record = gateway.keys.cached(text) or await gateway.keys.find(text)
        if record is None:
            raise faults.invalid_api_key()
        peer = scope["client"][0] if scope.get("client") else ""
        ip = identity.client_address(peer, headers, gateway.limits.trusted_proxies)
        admit.check_key(record, ip=ip, now=gateway.clock())
        admit.check_group(record, gateway.snapshot)
        if pin is None and (asked := headers.get(b"specific-channel-id", b"").decode("latin-1").strip()):
            if not (asked.isascii() and asked.isdigit() and len(asked) < 18):
                raise faults.invalid_request("Specific-Channel-Id must be a channel's number")
            pin = int(asked)
        if pin is not None and record.role not in ADMIN_ROLES:
            raise Fault(
                403, "channel_not_allowed", "this key may not choose a channel", type="permission_error"
            )
        return record, pin, ip

    async def _body(self, scope: Scope, receive: Receive, route: Route) -> Body:
        limits = self._gateway.limits
        if scope["method"] in ("GET", "DELETE"):
            return Body.empty()
        return await read_body(
            scope,
            receive,
            limit=limits.body_bytes,
            budget=self._gateway.budget,
            idle_timeout_s=limits.body_idle_timeout_s,
            wait_s=limits.body_wait_s,
        )

    def _call(
        self,
        scope: Scope,
        route: Route,
        path: str,
        original: str,
        query: str,
        headers: dict[bytes, bytes],
        key: KeyRecord,
        pin: int | None,
        ip: str,
        request_id: str,
        body: Body,
    ) -> Call:
        gateway, operation = self._gateway, route.operation
        wanted = _Wanted()
        if operation not in flow.STORED:
            body.data = canonical(body.data, ("model", "stream", "background"))
            wanted = peek(body.data, _Wanted)
        asked = "" if operation in flow.STORED else route.model or _model(wanted, operation)
        snapshot = gateway.snapshot
        model = _resolve(snapshot, key.group, asked) if asked else ""
        if operation in TRANSLATED and not any(
            model in c.models for c in snapshot.candidates(key.group, model)
        ):
            plain = _wished(snapshot, key.group, model, operation, body)
            if plain != model:
                model, wanted = plain, peek(body.data, _Wanted)
        if asked:
            admit.check_model(key, asked, model)
        if operation in STREAMABLE and wanted.stream is not None and type(wanted.stream) is not bool:
            raise faults.invalid_request("stream must be true or false", "stream")
        stream = operation == "gemini_stream" or (operation in STREAMABLE and wanted.stream is True)
        max_output = _max_output(wanted, operation)
        options = wanted.stream_options
        include_usage = isinstance(options, dict) and options.get("include_usage") is True
        vendor = headers.get(b"vendor", b"").decode("latin-1").strip().lower()
        if vendor in ("", "auto"):
            vendor = ""
        elif vendor not in VENDORS:
            raise faults.invalid_request(
                f"unknown vendor {vendor!r}; known are {', '.join(sorted(VENDORS))} and auto", "vendor"
            )
        return Call(
            request_id=request_id,
            started_at=gateway.clock(),
            operation=operation,
            dialect=OPERATION_DIALECT[operation],
            method=scope["method"],
            path=path,
            original_path=original,
            query=identity.forwardable_query(query, OPERATION_DIALECT[operation]),
            headers=identity.forwardable(scope["headers"]),
            key=key,
            group=key.group,
            model_asked=asked,
            model=model,
            stream=stream,
            max_output=max_output,
            choices=_choices(wanted, operation),
            resource_id=route.resource_id,
            client_ip=ip,
            client=identity.client_name(headers.get(b"user-agent", b"").decode("latin-1")),
            vendor=vendor,
            pinned_channel=pin,
            include_usage=include_usage,
            array=operation == "gemini_stream" and "alt=sse" not in unquote(query),
            strict=key.strict or headers.get(b"x-dragoman-strict", b"").strip().lower() == b"true",
            background=operation == "responses" and wanted.background not in (None, False),
        )

    async def _list(
        self,
        route: Route,
        path: str,
        headers: dict[bytes, bytes],
        query: str,
        key: KeyRecord,
        request_id: str,
        send: Send,
    ) -> None:
        form = listing.shape(route.list_shape, headers, query)
        snapshot = self._gateway.snapshot
        if route.operation == "model_get":
            value = listing.single(snapshot, key, form, route.model)
        else:
            value = listing.listing(snapshot, key, form, query)
        await send_json(send, 200, value, request_id)

    async def _without_key(
        self, scope: Scope, path: str, headers: dict[bytes, bytes], request_id: str, send: Send
    ) -> bool:
        """Preflight, health, metrics and the probes that clients send before they have a key."""
        method = scope["method"]
        if method == "OPTIONS":
            await send_bytes(send, 204, b"", [*PREFLIGHT, (b"x-request-id", request_id.encode())])
        elif path == "/" and method in ("GET", "HEAD"):
            await self._root(headers, method, request_id, send)
        elif path == "/api/hello" and method in ("GET", "HEAD"):
            await send_json(send, 200, {"message": "hello"} if method == "GET" else {}, request_id)
        elif path == "/healthz" and method in ("GET", "HEAD"):
            await send_json(send, 200, {"status": "ok"}, request_id)
        elif path == "/readyz" and method in ("GET", "HEAD"):
            problems = self._gateway.ready()
            await send_json(
                send,
                503 if problems else 200,
                {"status": "not ready" if problems else "ready", "problems": problems},
                request_id,
            )
        elif path == "/metrics" and method == "GET":
            await self._metrics(scope, headers, request_id, send)
        else:
            return False
        return True

    async def _root(self, headers: dict[bytes, bytes], method: str, request_id: str, send: Send) -> None:
        if self._api_only(headers) and method == "GET":
            raise self._not_here("/")
        await send_json(
            send, 200, {"service": "dragoman", "docs": "/v1/models lists what your key may call"}, request_id
        )

    async def _metrics(self, scope: Scope, headers: dict[bytes, bytes], request_id: str, send: Send) -> None:
        limits = self._gateway.limits
        peer = scope["client"][0] if scope.get("client") else ""
        ip = identity.client_address(peer, headers, limits.trusted_proxies)
        # Behind a proxy that was not declared everybody has its address, which may well be an allowed one.
        hidden = ip == peer and any(h in headers for h in (b"x-forwarded-for", b"forwarded", b"x-real-ip"))
        if hidden or self._api_only(headers) or not admit.address_allowed(ip, limits.metrics_allow):
            raise faults.not_found("/metrics is served to the addresses in server.metrics_allow only")
        body = self._gateway.metrics.render()
        await send_bytes(
            send,
            200,
            body,
            [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8"), *own_headers(request_id)],
        )

    def _api_only(self, headers: dict[bytes, bytes]) -> bool:
        hosts = self._gateway.limits.api_only_hosts
        return bool(hosts) and headers.get(b"host", b"").decode("latin-1").partition(":")[0].lower() in hosts

    def _not_here(self, path: str) -> Fault:
        where = self._gateway.limits.public_url or "the main host"
        return faults.not_found(
            f"{path} is not served on this host, which serves the API only; go to {where}"
        )

    async def _refuse(
        self, scope: Scope, surface: str, fault: Fault, request_id: str, path: str, send: Send
    ) -> None:
        """A refusal before there was a call: told in the surface's dialect, counted, and written to the journal."""
        gateway = self._gateway
        gateway.metrics.finished("none", fault.status, owner=fault.owner, first_byte_s=None, overhead_s=None)
        gateway.journal.call(
            {
                "request_id": request_id,
                "operation": "none",
                "status": fault.status,
                "path": path[:300],
                "method": scope["method"],
                "error": fault.message,
            }
        )
        extra = [(b"allow", fault.message.rpartition(": ")[2].encode())] if fault.status == 405 else None
        await send_fault(send, DIALECT_OF_SURFACE[surface], fault, request_id, extra)


def _model(wanted: _Wanted, operation: str) -> str:
    if isinstance(wanted.model, str) and wanted.model:
        if len(wanted.model) > 300:
            raise faults.invalid_request("model is longer than 300 characters", "model")
        if (
            not wanted.model.isprintable()
        ):  # NUL would make PostgreSQL refuse the log row, and with it the charge
            raise faults.invalid_request("model holds control characters", "model")
        return wanted.model
    if operation == "moderations" and wanted.model is None:
        return "omni-moderation-latest"  # OpenAI's own default
    raise faults.invalid_request(
        "you must provide a model parameter" if wanted.model is None else "model must be a string", "model"
    )


def _max_output(wanted: _Wanted, operation: str) -> int | None:
    """The caller's own bound on output tokens, where its dialect puts it; None when there is none to trust.

    Only the dialect's own member counts: a vendor may ignore any other, and the hold would be too small.
    """
    if operation in GEMINI_GENERATES:
        config = wanted.generationConfig
        values = (
            [config.get("maxOutputTokens"), config.get("max_output_tokens")]
            if isinstance(config, dict)
            else []
        )
    elif operation == "chat":
        values = [wanted.max_completion_tokens, wanted.max_tokens]
    elif operation == "responses":
        values = [wanted.max_output_tokens]
    elif operation == "responses_compact":
        values = []
    elif operation in STREAMABLE:
        values = [wanted.max_tokens]
    else:
        return 0  # nothing is generated
    return max((v for v in values if type(v) is int and v >= 0), default=None)


def _choices(wanted: _Wanted, operation: str) -> int:
    """How many answers one request asks for."""
    if operation == "chat":
        return _count(wanted.n)
    if operation == "completions":
        # ``best_of`` are generated (and billed) though only ``n`` come back; a list holds prompts, or token ids
        prompts = wanted.prompt if isinstance(wanted.prompt, list) else []
        several = len(prompts) if prompts and not isinstance(prompts[0], int) else 1
        return max(_count(wanted.n), _count(wanted.best_of)) * several
    if operation in GEMINI_GENERATES and isinstance(wanted.generationConfig, dict):
        return _count(wanted.generationConfig.get("candidateCount"))
    return 1


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 1


def _resolve(snapshot: Snapshot, group: str, asked: str) -> str:
    """The model behind the name: itself when a channel lists it, an alias, or ``vendor/model`` where the group allows it."""
    if snapshot.candidates(group, asked):
        return asked
    vendor, slash, bare = asked.partition("/")
    if slash and vendor in VENDORS and (found := snapshot.groups.get(group)) and found.vendor_prefixes:
        return snapshot.aliases.get(bare, bare)
    return snapshot.aliases.get(asked, asked)


def _wished(snapshot: Snapshot, group: str, asked: str, operation: str, body: Body) -> str:
    """A name that nobody lists may be a listed one with a wish for reasoning behind it; the wish goes into the body."""
    found = None if known(asked) else split(asked)
    if found is None:
        return asked
    name = _resolve(snapshot, group, found[0])
    if not snapshot.candidates(group, name):
        return asked
    body.data = DIALECTS[OPERATION_DIALECT[operation]].with_wish(body.data, found[1])
    return name


def _with_header(send: Send, header: tuple[bytes, bytes]) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], header]
        await send(message)

    return sending


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
