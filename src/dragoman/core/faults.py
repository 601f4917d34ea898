"""Expected failures: what went wrong, whose fault it is, and what a client should do about it.

A ``Fault`` is raised anywhere on the request path and written out by the caller's dialect. Codes and
messages that clients probe for literally ("Invalid API key", "Insufficient quota", "Model X is temporarily
unavailable", ``model_not_found``, ``get_channel_failed`` …) are made here and nowhere else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final, Literal

Owner = Literal["client", "upstream", "gateway"]

_TYPE_BY_STATUS: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_FINAL_STATUSES: Final = frozenset({400, 401, 403, 404, 405, 413, 422})
_NEW_API_ERROR: Final = "new_api_error"
_DEFAULT_RETRY_AFTER_S: Final = 1.0


class Fault(Exception):
    """An expected failure with an owner.

    ``status`` is the HTTP status, the same on all surfaces; ``code`` the machine word; ``message`` is
    shown to the caller and must hold no secret. ``type`` defaults from the status (or from
    ``insufficient_quota``). ``should_retry`` overrides the ``x-should-retry`` rule of ``retry_headers``;
    None means "by the rule".
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        type: str = "",  # noqa: A002 (the wire's word)
        owner: Owner = "client",
        retry_after_s: float | None = None,
        param: str | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.type = type or _default_type(status, code)
        self.owner: Owner = owner
        self.retry_after_s = retry_after_s
        self.param = param
        self.should_retry = should_retry

    def __repr__(self) -> str:
        return f"Fault({self.status}, {self.code!r}, {self.message!r}, owner={self.owner!r})"


def _default_type(status: int, code: str) -> str:
    if code == "insufficient_quota":
        return "insufficient_quota"
    if status in _TYPE_BY_STATUS:
        return _TYPE_BY_STATUS[status]
    return "server_error" if status >= 500 else "invalid_request_error"


def retry_headers(fault: Fault) -> list[tuple[bytes, bytes]]:
    """The retry advice that goes with ``fault``: ``x-should-retry`` and ``retry-after``.

    ``x-should-retry: false`` stops the OpenAI and Anthropic SDK families on errors that a repetition cannot
    heal; it is never sent on 429, 5xx or overload, except for a 503 ``model_not_found``.
    ``retry-after`` (whole seconds, at least 1) goes with every 429 and with whatever states a delay.
    """
    headers: list[tuple[bytes, bytes]] = []
    final = fault.status in _FINAL_STATUSES or (fault.status == 503 and fault.code == "model_not_found")
    retry = (not final) if fault.should_retry is None else fault.should_retry
    if not retry:
        headers.append((b"x-should-retry", b"false"))
    elif fault.should_retry is True:
        headers.append((b"x-should-retry", b"true"))
    delay = fault.retry_after_s
    overload = fault.status in (503, 529) and fault.owner == "upstream"
    if delay is None and (fault.status == 429 or overload):
        delay = _DEFAULT_RETRY_AFTER_S
    if delay is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(delay))).encode()))
    return headers


# -- the caller and its key ---------------------------------------------------------------------------------


def invalid_api_key(message: str = "Invalid API key") -> Fault:
    """401: the key is missing, wrong, expired or disabled."""
    return Fault(401, "invalid_api_key", message)


def ip_not_allowed(ip: str) -> Fault:
    """403: the key may not be used from this address."""
    return Fault(403, "ip_not_allowed", f"IP address {ip} is not allowed for this key")


def group_not_allowed(message: str = "This group is not allowed for this key") -> Fault:
    """403: the key asks for a group that its user may not use."""
    return Fault(403, "group_not_allowed", message)


def no_group_bound() -> Fault:
    """403: neither the key nor its user has a group."""
    return Fault(403, "no_group_bound", "This key has no group bound to it (no group bound)")


def insufficient_quota(detail: str = "") -> Fault:
    """403: wallet or key budget used up. ``detail`` names what ran out and when it resets."""
    return Fault(
        403, "insufficient_quota", f"Insufficient quota: {detail}" if detail else "Insufficient quota"
    )


def rate_limited(retry_after_s: float, detail: str = "") -> Fault:
    """429: a rate limit of ours."""
    message = f"Rate limit exceeded: {detail}" if detail else "Rate limit exceeded"
    return Fault(429, "rate_limit_exceeded", message, retry_after_s=retry_after_s)


# -- the model ----------------------------------------------------------------------------------------------


def model_not_allowed(model: str) -> Fault:
    """403: outside the key's model list."""
    return Fault(
        403,
        "model_not_allowed",
        f"Model {model} is not allowed for this key (model not allowed)",
        param="model",
    )


def model_not_found(model: str, hint: str = "") -> Fault:
    """404: an id nobody has ever heard of. ``hint`` is a whole sentence such as "Did you mean …?"."""
    message = f"The model {model} does not exist."
    return Fault(404, "model_not_found", f"{message} {hint}" if hint else message, param="model")


def model_unavailable(model: str) -> Fault:
    """503: known, but no live channel in the key's group."""
    return Fault(
        503,
        "model_not_found",
        f"Model {model} is temporarily unavailable",
        type=_NEW_API_ERROR,
        owner="gateway",
    )


def channel_failed(model: str) -> Fault:
    """500: every attempt failed for reasons that are not the caller's."""
    return Fault(
        500,
        "get_channel_failed",
        f"model {model} is temporarily unavailable, please try again later",
        type=_NEW_API_ERROR,
        owner="upstream",
    )


def price_missing(model: str) -> Fault:
    """503: the model has no price, so nothing may be sent."""
    return Fault(
        503,
        "model_price_error",
        f"Model {model} has no price configured",
        type=_NEW_API_ERROR,
        owner="gateway",
    )


# -- the request --------------------------------------------------------------------------------------------


def invalid_request(message: str, param: str | None = None) -> Fault:
    """400: bad body or parameter."""
    return Fault(400, "invalid_request", message, param=param)


def not_found(message: str = "Not found") -> Fault:
    """404: unknown path, or an id that is not the caller's."""
    return Fault(404, "not_found", message)


def method_not_allowed(method: str, allowed: Iterable[str]) -> Fault:
    """405: the path exists, not with this method."""
    names = ", ".join(sorted(allowed))
    return Fault(405, "method_not_allowed", f"Method {method} is not allowed here; allowed: {names}")


def body_too_large(limit: int) -> Fault:
    """413: ``limit`` in bytes."""
    return Fault(413, "request_too_large", f"The request body is larger than {limit} bytes")


# -- the way up, and ourselves ------------------------------------------------------------------------------


def upstream_unreachable() -> Fault:
    """502: no connection, or it broke before an answer."""
    return Fault(502, "upstream_unreachable", "The upstream provider could not be reached", owner="upstream")


def upstream_garbage() -> Fault:
    """502: the upstream answered with something that is not a valid answer."""
    return Fault(
        502, "upstream_invalid_answer", "The upstream provider gave an invalid answer", owner="upstream"
    )


def overloaded(retry_after_s: float = 1.0) -> Fault:
    """503: a limit of this gateway is reached; come back after the stated delay."""
    return Fault(
        503,
        "overloaded",
        "The gateway is overloaded, please try again later",
        type="overloaded_error",
        owner="gateway",
        retry_after_s=retry_after_s,
    )


# -- redaction ----------------------------------------------------------------------------------------------

_MASK: Final = "***"
_LEAST_SECRET: Final = 6  # characters; shorter ones are words that stand in many a message
# One alternation, ordered from the most specific: whole PEM blocks, authorization values, `name=value` or
# `"name": "value"` pairs of telling names, URL credentials, then the vendors' literal key shapes.
_SECRETS: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?P<scheme>Bearer|Basic)\s+[A-Za-z0-9+/=._~:*-]{6,}"
    r"|(?P<name>\b(?:x-)?(?:goog-)?(?:api[-_ ]?key|access[-_]?token|client[-_]?secret"
    r"|secret[-_]?access[-_]?key|secret[-_]?key|password|passwd|key|token|signature)[\"']?\s*[=:]\s*[\"']?)"
    r"(?P<value>[A-Za-z0-9+/=._~*-]{8,})"
    r"|(?P<url>://[^\s/:@\"']*:)[^\s/@\"']+(?=@)"
    r"|\b(?:sk|pk|rk|xai|gsk|hf|r8|pplx|fw|tgp|nvapi|dapi|org|proj)[-_][A-Za-z0-9_*-]{6,}"
    r"|\bAIza[A-Za-z0-9_*-]{10,}|\bya29\.[A-Za-z0-9_.-]{6,}|\b(?:AKIA|ASIA)[A-Z0-9*]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*",
    re.IGNORECASE | re.DOTALL,
)


# What a vendor's machines look like from inside: private names and addresses, with scheme, port and path.
_INSIDE: Final = re.compile(
    r"(?:https?://)?(?:"
    r"(?:[a-z0-9-]+\.)+(?:local|internal|lan|corp|intranet|svc|localdomain)\b"
    r"|\blocalhost\b"
    r"|\b(?:10|127)(?:\.\d{1,3}){3}\b|\b(?:192\.168|169\.254)(?:\.\d{1,3}){2}\b|\b172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}\b"
    r"|\[(?:fe80|f[cd][0-9a-f]{2}|::1)[0-9a-f:]*\]"
    r")(?::\d+)?(?:/[^\s\"'),;]*)?",
    re.IGNORECASE,
)
_STACK: Final = re.compile(
    r"\s*(?:Traceback \(most recent call last\)|\n\s*at [\w$.<>]+ ?\(|\n\s*File \"[^\"]+\", line \d|goroutine \d+ \[).*",
    re.DOTALL,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` with everything that looks like a credential, a private host or a stack trace masked.

    ``secrets``: credentials that are known here, masked whatever they look like. Meant for vendors' error messages
    ("Incorrect API key provided: sk-ab…") and log lines. It errs on the side of masking; it is no proof that a text
    holds no secret.
    """
    for secret in secrets:
        for part in (secret, *secret.split("|")):
            if len(part) >= _LEAST_SECRET and part in text:
                text = text.replace(part, _MASK)
    return _STACK.sub(" (details withheld)", _INSIDE.sub(_MASK, _SECRETS.sub(_masked, text)))


def _masked(match: re.Match[str]) -> str:
    if match["scheme"]:
        return f"{match['scheme']} {_MASK}"
    if match["name"]:
        # "key: temporarily" is prose; a credential nearly always holds a digit or is long.
        value = match["value"]
        if len(value) < 20 and value.isalpha():
            return match[0]
        return match["name"] + _MASK
    return (match["url"] or "") + _MASK
