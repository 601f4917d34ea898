"""Reading vendors' error bodies. One reader for all dialects, because vendors and the proxies in front of
them answer in each other's shapes: OpenAI, Anthropic, Google (also wrapped in an array), Mistral, Cohere,
DashScope, Baidu, Bedrock, FastAPI's ``detail``, SSE frames, plain text, HTML pages."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from dragoman.core.envelope import BAD_JSON
from dragoman.core.faults import redact
from dragoman.core.framing import sse_data
from dragoman.dialects.base import UpstreamFault, mapping

MESSAGE_LIMIT: Final = 2000
_READ_LIMIT_BYTES: Final = 256 * 1024
_MESSAGE_NAMES: Final = (
    "message",
    "error_msg",
    "errorMessage",
    "error_message",
    "Message",
    "msg",
    "error_description",
)
_CODE_NAMES: Final = ("code", "error_code", "errorCode", "Code")
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]+")


def read_fault(status: int, body: bytes) -> UpstreamFault:
    """The message, code and type of a vendor's error body of any known shape. Never raises, never leaks
    keys."""
    text = body[:_READ_LIMIT_BYTES].strip()
    if text.startswith((b"data:", b"event:")):
        text = sse_data(text.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0])
    try:
        value: object = msgspec.json.decode(text)
    except BAD_JSON:
        return UpstreamFault(_plain(status, text), "", "")
    if type(value) is list:
        value = value[0] if value else None
    message, code, kind, explicit = (
        _from_object(mapping(value)) if type(value) is not str else (value, "", "", False)
    )
    return UpstreamFault(
        _clean(message) or _default(status), redact(code[:100]), redact(kind[:100]), explicit
    )


def _from_object(outer: dict[str, object]) -> tuple[str, str, str, bool]:
    """(message, code, type, does the body have a code of its own?)"""
    error = outer.get("error")
    if type(error) is str and not _first(outer, _MESSAGE_NAMES):
        code = _word(outer, _CODE_NAMES)
        return error, code, _type(outer), bool(code)
    inner = mapping(error)
    if "error" in inner and not _first(inner, _MESSAGE_NAMES):
        inner = mapping(inner["error"]) or inner
    errors = outer.get("errors")
    if not inner and type(errors) is list and errors:
        inner = mapping(errors[0]) or {"message": errors[0]}
    # A Responses object or event carries its error one level down.
    if not inner and "response" in outer:
        inner = mapping(mapping(outer["response"]).get("error"))
    if not inner:
        inner = outer
    message = _first(inner, _MESSAGE_NAMES) or _detail(outer.get("detail"))
    kind = _type(inner)
    code = _word(inner, _CODE_NAMES)
    explicit = bool(code)
    code = code or _word(inner, ("status",)) or kind
    if not code and type(error) is str:
        code = error
    return message, code, kind, explicit


def _first(source: dict[str, object], names: tuple[str, ...]) -> str:
    return next((value for name in names if type(value := source.get(name)) is str and value), "")


def _word(source: dict[str, object], names: tuple[str, ...]) -> str:
    """The first string member; numbers are statuses repeated (Google, OpenRouter) and say nothing new."""
    return next((value for name in names if type(value := source.get(name)) is str and value), "")


def _type(source: dict[str, object]) -> str:
    kind = _word(source, ("type", "__type", "status"))
    return "" if kind == "error" else kind


def _detail(detail: object) -> str:
    """FastAPI: a string, an object, or a list of validation errors ``{loc, msg}``."""
    if type(detail) is str:
        return detail
    if type(detail) is dict:
        return _first(detail, _MESSAGE_NAMES) or _detail(detail.get("error"))
    if type(detail) is not list:
        return ""
    lines: list[str] = []
    for entry in detail[:5]:
        item = mapping(entry)
        loc = item.get("loc")
        where = ".".join(str(step) for step in loc) if type(loc) is list else ""
        if message := _first(item, _MESSAGE_NAMES):
            lines.append(f"{where}: {message}" if where else message)
    return "; ".join(lines)


def _plain(status: int, text: bytes) -> str:
    decoded = text.decode("utf-8", "replace")
    if decoded.startswith("<"):
        title = _TITLE.search(decoded)
        decoded = " ".join(title[1].split()) if title else ""
    elif "\ufffd" in decoded or "\x00" in decoded:  # binary, or compressed against our wish
        decoded = ""
    return _clean(decoded)[:500] or _default(status)


def _clean(message: str) -> str:
    return redact(_CONTROL.sub(" ", message[: MESSAGE_LIMIT * 2]).strip())[:MESSAGE_LIMIT]


def _default(status: int) -> str:
    return f"The upstream provider answered with status {status}"


_STATUS_BY_WORD: Final = {
    "overloaded_error": 503,
    "overloaded": 503,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "unavailable": 503,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "timeout_error": 504,
    "deadline_exceeded": 504,
}


def in_band_status(error: object) -> int:
    """The HTTP status that an error told under a 200 would have had; 502 where it does not say.

    ``error``: the decoded ``error`` member (or the event of a Responses stream): ``code`` or ``status`` as a number
    (OpenRouter, Google), or one of the words that vendors use as type, code or status.
    """
    source = mapping(error)
    for name in ("code", "status", "status_code", "http_code"):
        value = source.get(name)
        if type(value) is str and len(value) == 3 and value.isascii() and value.isdigit():
            value = int(value)
        if type(value) is int and 400 <= value <= 599:
            return 503 if value == 529 else value
    for name in ("type", "code", "status"):
        value = source.get(name)
        if type(value) is str and value.lower() in _STATUS_BY_WORD:
            return _STATUS_BY_WORD[value.lower()]
    return 502
