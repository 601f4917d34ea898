"""Request shapes that a record cannot describe: Azure OpenAI, Vertex AI, Bedrock, and Spark's two versions.

Each ``shape_…`` is a pure function that ``base.prepare`` calls on its draft; ``bedrock_frames`` turns
Bedrock's event stream back into the SSE frames of the Messages API.
"""

from __future__ import annotations

import re
from typing import Protocol

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.core import envelope
from dragoman.providers.auth import needs_exchange, service_account
from dragoman.providers.base import Draft, Endpoint

AZURE_V1_SURFACE = frozenset({"v1", "preview", "latest"})
VERTEX_ANTHROPIC_VERSION = b'"vertex-2023-10-16"'
BEDROCK_ANTHROPIC_VERSION = b'"bedrock-2023-05-31"'

_DEPLOYMENT = "/openai/deployments/{model}/"
_PROJECT = "/projects/{project}/locations/{location}"
_BEDROCK_HOST = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


class _Anthropic(Struct):
    anthropic_version: Raw | UnsetType = UNSET
    anthropic_beta: Raw | UnsetType = UNSET


def shape_azure(draft: Draft, endpoint: Endpoint) -> None:
    """Dated api-version: deployment paths. ``v1``, ``preview``, ``latest``: the /openai/v1 surface, model
    in the body.

    Source: learn.microsoft.com/azure/ai-services/openai/api-version-lifecycle. The v1 surface needs no
    api-version; ``preview`` must be named. Responses have no deployment path and always use v1.
    """
    in_url = dict(pair.partition("=")[::2] for pair in endpoint.extra_query.split("&")).get("api-version", "")
    version = endpoint.options.get("api_version") or in_url or draft.values["api_version"]
    # The client's own api-version, if it speaks Azure's surface, says nothing about this deployment.
    rest = [pair for pair in draft.query.split("&") if pair and pair.partition("=")[0] != "api-version"]
    if version in AZURE_V1_SURFACE:
        draft.path = draft.path.replace(_DEPLOYMENT, "/openai/v1/")
    if _DEPLOYMENT in draft.path or (version == "preview" and "/openai/v1/" in draft.path):
        rest.insert(0, f"api-version={version}")
    draft.query = "&".join(rest)


def shape_vertex(draft: Draft, endpoint: Endpoint) -> None:
    """Project and location in the path, the host of the location, Claude through rawPredict.

    project: the option, else the service account's own; without either the API key works in express mode,
    whose paths name no project. Sources:
    cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview and
    /docs/partner-models/claude/use-claude (model in the path, anthropic_version in the body).
    """
    values = draft.values
    raw = draft.secret.raw
    if not values.get("project") and needs_exchange(raw):
        values["project"] = service_account(raw).project_id
    location = values["location"]
    if not values.get("project"):
        draft.path = draft.path.replace(_PROJECT, "")
        location = "global"
    if not endpoint.own_base:
        draft.origin = _vertex_origin(location)
    if draft.op in ("messages", "count_tokens"):
        draft.query = ""  # ?beta=true is Anthropic's; Google answers 400 to parameters that it does not know
        _drop_headers(draft, b"anthropic-version")
        if draft.op == "messages":
            _leave_to_path(draft)
        if envelope.peek(draft.body, _Anthropic).anthropic_version is UNSET:
            draft.sets["anthropic_version"] = VERTEX_ANTHROPIC_VERSION


def _vertex_origin(location: str) -> str:
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):  # multi-regions
        return f"https://aiplatform.{location}.rep.googleapis.com"
    if not re.fullmatch(r"[a-z0-9-]+", location):
        raise ValueError(f"location {location!r} is not a Google Cloud location")
    return f"https://{location}-aiplatform.googleapis.com"


def shape_bedrock(draft: Draft, endpoint: Endpoint) -> None:
    """Messages through InvokeModel: model and stream leave the body, version and betas enter it.

    Source:
    docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html.
    """
    region = _BEDROCK_HOST.search(draft.origin)
    if region is not None and "region" not in endpoint.options:
        draft.values["region"] = region[1]
    draft.query = ""
    _leave_to_path(draft)
    draft.drops.add("stream")
    seen = envelope.peek(draft.body, _Anthropic)
    if seen.anthropic_version is UNSET:
        draft.sets["anthropic_version"] = BEDROCK_ANTHROPIC_VERSION
    betas = [
        beta.strip()
        for name, value in draft.headers
        if name.lower() == b"anthropic-beta"
        for beta in value.decode("latin-1").split(",")
        if beta.strip()
    ]
    if betas and seen.anthropic_beta is UNSET:
        draft.sets["anthropic_beta"] = msgspec.json.encode(betas)
    _drop_headers(draft, b"anthropic-version", b"anthropic-beta", b"accept")
    accept = b"application/vnd.amazon.eventstream" if draft.stream else b"application/json"
    draft.headers.append((b"accept", accept))


def shape_xunfei(draft: Draft, endpoint: Endpoint) -> None:
    """Spark X1 and later answer under /v2, the other Spark models under /v1
    (xfyun.cn/doc/spark/X1http.html).
    """
    if draft.model.lower().startswith(("x1", "spark-x")):
        draft.path = draft.path.replace("/v1/", "/v2/")


def _leave_to_path(draft: Draft) -> None:
    draft.sets.pop("model", None)
    draft.drops.add("model")


def _drop_headers(draft: Draft, *names: bytes) -> None:
    draft.headers = [(name, value) for name, value in draft.headers if name.lower() not in names]


# --- Bedrock's event stream -------------------------------------------------------------------------------


class EventMessage(Protocol):
    """A decoded message of ``application/vnd.amazon.eventstream`` (``core.framing``)."""

    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def payload(self) -> bytes: ...


class _Chunk(Struct):
    data: bytes | UnsetType = msgspec.field(default=UNSET, name="bytes")  # base64 on the wire


class _Event(Struct):
    type: str = ""


class _Failure(Struct):
    message: str = ""


_ERROR_TYPES = {
    "throttlingException": "rate_limit_error",
    "validationException": "invalid_request_error",
    "accessDeniedException": "permission_error",
    "resourceNotFoundException": "not_found_error",
    "modelTimeoutException": "timeout_error",
    "serviceUnavailableException": "overloaded_error",
    "modelNotReadyException": "overloaded_error",
}


def bedrock_frames(message: EventMessage) -> bytes:
    """The Anthropic SSE frame of one event-stream message, b"" for a message that carries none.

    The payload goes through verbatim, ``amazon-bedrock-invocationMetrics`` included. Exceptions and
    undecodable chunks become an ``error`` event. Source: AWS InvokeModelWithResponseStream, ResponseStream.
    """
    kind = message.headers.get(":message-type", "event")
    if kind == "error":
        return _error_frame(
            "api_error", message.headers.get(":error-message", "") or "the upstream stream failed"
        )
    if kind == "exception":
        name = message.headers.get(":exception-type", "")
        return _error_frame(
            _ERROR_TYPES.get(name, "api_error"), _failure_text(message.payload) or name or "upstream error"
        )
    if message.headers.get(":event-type", "chunk") != "chunk":
        return b""
    try:
        payload = msgspec.json.decode(message.payload, type=_Chunk).data
        if payload is UNSET:
            return b""
        event = msgspec.json.decode(payload, type=_Event).type
    except msgspec.DecodeError:
        return _error_frame("api_error", "the upstream sent a chunk that cannot be read")
    lines = payload.splitlines() if b"\n" in payload or b"\r" in payload else [payload]
    head = b"event: " + event.encode() + b"\n" if event and "\n" not in event and "\r" not in event else b""
    return head + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


def _failure_text(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_Failure).message
    except msgspec.DecodeError:
        return ""


def _error_frame(kind: str, text: str) -> bytes:
    data = msgspec.json.encode({"type": "error", "error": {"type": kind, "message": text}})
    return b"event: error\ndata: " + data + b"\n\n"
