"""The provider record, a configured endpoint of one, and the request of one attempt.

``prepare`` is the only way a request for a vendor comes into being. It is straight-line: route, body,
headers, the provider's own shape (``shapes``), credential. The caller has already filtered the client's
headers and query (credentials, cookies, hop-by-hop); what must never go up twice is dropped here again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from dragoman.core import envelope
from dragoman.core.faults import Fault, invalid_request
from dragoman.providers.auth import Auth, Headers, Secret, aws_key, header_name, header_value, present, sign
from dragoman.providers.quirks import Quirk, ask_usage

OPERATION_DIALECT: Mapping[str, str] = MappingProxyType(
    {
        "chat": "openai_chat",
        "completions": "plain",
        "embeddings": "plain",
        "moderations": "plain",
        "responses": "openai_responses",
        "responses_get": "openai_responses",
        "responses_delete": "openai_responses",
        "responses_cancel": "openai_responses",
        "responses_input_items": "openai_responses",
        "responses_input_tokens": "openai_responses",
        "responses_compact": "openai_responses",
        "messages": "anthropic",
        "count_tokens": "anthropic",
        "gemini_generate": "gemini",
        "gemini_stream": "gemini",
        "gemini_count": "gemini",
        "gemini_embed": "gemini",
        "gemini_batch_embed": "gemini",
    }
)
METHODS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("responses_get", "responses_input_items"), "GET") | {"responses_delete": "DELETE"}
)
ANTHROPIC_VERSION = b"2023-06-01"

_NONE: Mapping[str, str] = MappingProxyType({})
_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?")
_FIELD = re.compile(r"\{(\w+)\}")
_CLEAN_QUERY = re.compile(r"[!$-~]*")  # printable ASCII without space, double quote and #
_JSON_TYPE = re.compile(rb"(?i)[\w.+-]+/(?:[\w.+-]+\+)?json\b")
# Set by us alone, whatever a caller of prepare left in the client's headers.
_OURS = frozenset(
    {
        b"host", b"content-length", b"transfer-encoding", b"connection", b"accept-encoding", b"content-encoding",
        b"expect", b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie",
    }
)  # fmt: skip
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"upgrade"})
_AUTH_CHOICES: Mapping[str, Auth] = MappingProxyType(
    {
        "none": Auth("none"),
        "bearer": Auth("bearer"),
        "x-api-key": Auth("header", "x-api-key"),
        "api-key": Auth("header", "api-key"),
        "x-goog-api-key": Auth("header", "x-goog-api-key"),
    }
)


class Draft(Struct):
    """A request in the making; a provider's ``shape`` may change every field. Lives within one ``prepare``."""

    op: str
    model: str
    stream: bool
    origin: str
    path: str  # may hold {model} {id} and the names of ``values``
    values: dict[str, str]
    query: str
    headers: Headers
    body: bytes
    sets: dict[str, bytes]
    drops: set[str]
    secret: Secret


Shape = Callable[["Draft", "Endpoint"], None]


class Provider(Struct, frozen=True, kw_only=True):
    """How to reach a vendor. One record of ``catalog``.

    base_url: origin and prefix; may hold {region}, {resource} and other options; "" when the operator must
    give one. paths: operation -> path from the version on, with {model} and {id}; stream_paths where a
    stream has its own path. auth: how the credential is presented; auth_by_dialect where one dialect wants
    it otherwise. defaults: values of the endpoint's options. shape: a pure function for what a record
    cannot say (``shapes``). stream_usage: does a chat stream take ``stream_options.include_usage``? (If
    not, it reports usage unasked.)
    """

    id: str
    label: str
    vendor: str = ""
    base_url: str = ""
    paths: Mapping[str, str]
    stream_paths: Mapping[str, str] = _NONE
    auth: Auth = Auth("bearer")
    auth_by_dialect: Mapping[str, Auth] = MappingProxyType({})
    quirks: tuple[Quirk, ...] = ()
    headers: Mapping[str, str] = _NONE
    defaults: Mapping[str, str] = _NONE
    shape: Shape | None = None
    stream_framing: Literal["sse", "aws_eventstream"] = "sse"
    stream_usage: bool = True

    def __post_init__(self) -> None:
        if not self.vendor:
            msgspec.structs.force_setattr(self, "vendor", self.id)

    @property
    def dialects(self) -> frozenset[str]:
        """The dialects that at least one path speaks ("plain" for completions, embeddings and moderations)."""
        return frozenset(OPERATION_DIALECT[op] for op in self.paths)

    def __repr__(self) -> str:
        return f"Provider({self.id!r})"


class Endpoint(Struct, frozen=True):
    """A provider as one channel uses it. ValueError if a field cannot work, naming the field.

    base_url: the operator's, "" for the provider's. headers: (name, value) pairs that override all others.
    options: api_version, region, project, location, resource …, ``skip_quirks`` (names,
    comma-separated), and ``auth`` (none, bearer, x-api-key,
    api-key, x-goog-api-key) to present the credential in another way. The last four fields are derived and
    never given.
    """

    provider: Provider
    base_url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    drop_params: tuple[str, ...] = ()
    options: Mapping[str, str] = _NONE
    settings: Mapping[str, str] = _NONE
    origin: str = ""
    routes: Mapping[str, str] = _NONE
    extra_query: str = ""

    def __post_init__(self) -> None:
        settings = {
            **self.provider.defaults,
            **{name: str(value) for name, value in self.options.items() if value},
        }
        if settings.get("auth", "bearer") not in _AUTH_CHOICES:
            raise ValueError(f"options.auth: {settings['auth']!r} is none of {', '.join(_AUTH_CHOICES)}")
        origin, prefix, query = _parse_base(self.base_url, self.provider, settings)
        routes = {op: _join(prefix, path) for op, path in self.provider.paths.items()}
        for op, path in self.provider.stream_paths.items():
            routes[op + "+stream"] = _join(prefix, path)
        for name, value in self.headers:
            if header_name(name) in _FRAMING:
                raise ValueError(f"headers: {name} frames the request and cannot be set")
            header_value(value)
        for field, derived in (
            ("settings", settings),
            ("origin", origin),
            ("routes", routes),
            ("extra_query", query),
        ):
            msgspec.structs.force_setattr(self, field, derived)

    def __repr__(self) -> str:
        # An operator's header may well carry a credential.
        return f"Endpoint({self.provider.id!r}, {self.origin!r})"

    @property
    def own_base(self) -> bool:
        """Did the operator give a base URL?"""
        return bool(self.base_url)

    def auth_for(self, dialect: str) -> Auth:
        """How a request of this dialect presents the credential."""
        if "auth" in self.settings:
            return _AUTH_CHOICES[self.settings["auth"]]
        return self.provider.auth_by_dialect.get(dialect, self.provider.auth)


class WireRequest(Struct, frozen=True):
    """A request ready to be sent. origin: ``https://host[:port]``; target: path and query; header names
    lower case.
    """

    method: str
    origin: str
    target: str
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return (
            f"WireRequest({self.method} {self.origin}{self.target.partition('?')[0]}, {len(self.body)} bytes)"
        )


def prepare(
    endpoint: Endpoint,
    op: str,
    *,
    model: str,
    public_model: str,
    stream: bool,
    resource_id: str = "",
    query: str = "",
    headers: Headers,
    body: bytes,
    secret: Secret,
    now: float,
    ask_stream_usage: bool = False,
) -> WireRequest:
    """The request of one attempt.

    model: the upstream's id, "" where there is none (stored responses). headers and query: the client's,
    filtered. body: the client's JSON. ask_stream_usage: let a chat stream end with its usage, if the
    provider must be asked.
    Raises Fault: the client's for a body that is no JSON object or a model no path can hold, the gateway's
    (``get_channel_failed``) for a credential or option that cannot work.
    """
    provider = endpoint.provider
    draft = _draft(endpoint, op, model, public_model, stream, query, headers, body, secret)
    if provider.shape is not None:
        try:
            provider.shape(draft, endpoint)
        except ValueError as error:
            raise broken_channel(str(error)) from None
    path = _fill(draft, resource_id)
    draft.body = _edited_body(endpoint, draft, public_model, ask_stream_usage)
    method = METHODS.get(op, "POST")
    return _finish(endpoint, draft, method, path, now)


def broken_channel(reason: str) -> Fault:
    """The fault of a channel that cannot work as it is configured; another candidate may."""
    return Fault(
        500, "get_channel_failed", f"channel misconfigured: {reason}", type="new_api_error", owner="gateway"
    )


def _draft(
    endpoint: Endpoint,
    op: str,
    model: str,
    public_model: str,
    stream: bool,
    query: str,
    headers: Headers,
    body: bytes,
    secret: Secret,
) -> Draft:
    route = endpoint.routes.get(op + "+stream") if stream else None
    route = route or endpoint.routes.get(op)
    if route is None:
        raise broken_channel(f"provider {endpoint.provider.id} has no path for {op}")
    sets: dict[str, bytes] = {}
    drops: set[str] = set()
    if body:
        drops.update(endpoint.drop_params)
        if model and model != public_model and not op.startswith("gemini_"):
            sets["model"] = msgspec.json.encode(model)
            drops.discard("model")
    passed = [(name, value) for name, value in headers if name.lower() not in _OURS]
    if OPERATION_DIALECT[op] == "anthropic":
        _default(
            passed, b"anthropic-version", ANTHROPIC_VERSION
        )  # a shape that has its own place for it drops it
    return Draft(
        op=op,
        model=model,
        stream=stream,
        origin=endpoint.origin,
        path=route,
        values=dict(endpoint.settings),
        query=_merge_query(endpoint.extra_query, query),
        headers=passed,
        body=body,
        sets=sets,
        drops=drops,
        secret=secret,
    )


def _fill(draft: Draft, resource_id: str) -> str:
    """The path with its fields filled in, each as one percent-encoded segment."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        text = {"model": draft.model, "id": resource_id}.get(name) or draft.values.get(name, "")
        if name in ("model", "id"):
            if text.strip(".") == "":
                raise invalid_request(f"{text!r} is not a valid {name}", param=name)
        elif not text:
            raise broken_channel(f"the option {name!r} is required")
        return quote(text, safe="@")

    return _FIELD.sub(value, draft.path)


def _edited_body(endpoint: Endpoint, draft: Draft, public_model: str, ask_stream_usage: bool) -> bytes:
    body = draft.body
    if not body:
        return body
    if draft.sets or draft.drops:
        body = envelope.edit(body, draft.sets, drops=draft.drops)
    skipped = endpoint.settings.get("skip_quirks", "").split(",")
    for quirk in endpoint.provider.quirks:
        if quirk.applies(draft.op, draft.model, public_model) and quirk.name not in skipped:
            body = quirk.fn(body, draft.model)
    if (
        ask_stream_usage
        and draft.stream
        and endpoint.provider.stream_usage
        and draft.op in ("chat", "completions")
    ):
        body = ask_usage(body)
    return body


def _finish(endpoint: Endpoint, draft: Draft, method: str, path: str, now: float) -> WireRequest:
    provider = endpoint.provider
    dialect = OPERATION_DIALECT[draft.op]
    headers = draft.headers
    if method == "POST":
        _default_content_type(headers)
    for name, text in provider.headers.items():
        _default(headers, name.lower().encode(), text.encode())
    host = draft.origin.partition("://")[2].encode()
    headers = [(b"host", host), *headers, (b"accept-encoding", b"identity")]
    if method == "POST":
        headers.append((b"content-length", str(len(draft.body)).encode()))
    query = draft.query
    auth = endpoint.auth_for(dialect)
    try:
        key = aws_key(draft.secret.raw) if auth.kind == "sigv4" else None
        if key is not None:
            signable = [(b"host", host), *(h for h in headers if h[0] == b"content-type")]
            headers += sign(
                method=method, path=path, query=query, headers=signable, body=draft.body,
                key=key, region=draft.values.get("region", ""), service=auth.name, now=now,
            )  # fmt: skip
        else:
            added, extra = present(auth, draft.secret)
            headers += added
            query = _merge_query(query, extra)
    except ValueError as error:
        raise broken_channel(str(error)) from None
    if endpoint.headers:
        own = [(header_name(name), header_value(value)) for name, value in endpoint.headers]
        names = {name for name, _ in own}
        headers = [header for header in headers if header[0].lower() not in names] + own
    target = f"{path}?{query}" if query else path
    return WireRequest(method=method, origin=draft.origin, target=target, headers=headers, body=draft.body)


def _default(headers: Headers, name: bytes, value: bytes) -> None:
    if not any(given.lower() == name for given, _ in headers):
        headers.append((name, value))


def _default_content_type(headers: Headers) -> None:
    """The body was read as JSON, so that is what it is called, also where curl's default said form data."""
    for index, (name, value) in enumerate(headers):
        if name.lower() == b"content-type":
            if not _JSON_TYPE.match(value.strip()):
                headers[index] = (b"content-type", b"application/json")
            return
    headers.append((b"content-type", b"application/json"))


def _merge_query(first: str, second: str) -> str:
    """Both queries; a name that ``first`` holds is not taken from ``second``. Made safe for a request line."""
    if second and not _CLEAN_QUERY.fullmatch(second):
        second = quote(second, safe="!$%&'()*+,-./:;<=>?@[]^_`{|}~")
    if not first or not second:
        return first or second
    names = {pair.partition("=")[0] for pair in first.split("&")}
    return "&".join([first, *(pair for pair in second.split("&") if pair.partition("=")[0] not in names)])


# --- base URLs --------------------------------------------------------------------------------------------


def _parse_base(base_url: str, provider: Provider, settings: Mapping[str, str]) -> tuple[str, str, str]:
    """(origin, prefix without a trailing slash and version, query) of the operator's base URL or the
    provider's.
    """
    text = base_url.strip()
    if not text:
        if not provider.base_url:
            raise ValueError(f"base_url: provider {provider.id} needs one")
        missing = [name for name in _FIELD.findall(provider.base_url) if not settings.get(name)]
        if missing:
            raise ValueError(f"base_url: provider {provider.id} needs one, or the option {missing[0]!r}")
        text = _FIELD.sub(lambda match: quote(settings[match[1]], safe=""), provider.base_url)
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"base_url: {base_url!r} has an invalid port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[^!-~]", text):
        raise ValueError(f"base_url: {base_url!r} is not an http(s) URL")
    if parts.username or parts.password:
        raise ValueError("base_url: credentials belong into keys, not into the URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is not None and port != (443 if parts.scheme == "https" else 80):
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}", _strip_known(parts.path.rstrip("/"), provider), parts.query


def _strip_known(prefix: str, provider: Provider) -> str:
    """Remove what the provider's own paths add: operators paste ``…/v1``, ``…/api/paas/v4``,
    ``…/anthropic`` or all.
    """
    tails: set[str] = {"/v1", "/v1beta"}
    for path in provider.paths.values():
        segments = path.split("/")[1:]
        version = next(
            (at for at, segment in enumerate(segments) if _VERSION.fullmatch(segment)), len(segments)
        )
        tails.update("/" + "/".join(segments[:end]) for end in range(max(version, 1), len(segments) + 1))
    for tail in sorted(tails, key=len, reverse=True):
        if prefix.endswith(tail):
            return prefix[: -len(tail)]
    return prefix


def _join(prefix: str, path: str) -> str:
    """Prefix and path; a version at the prefix's end that the provider does not know (``…/api/v3``)
    replaces the path's.
    """
    last = prefix.rpartition("/")[2]
    first, _, rest = path[1:].partition("/")
    if last and _VERSION.fullmatch(last) and _VERSION.fullmatch(first):
        return f"{prefix}/{rest}"
    return prefix + path
