"""Failures that an upstream tells inside an answer: ``error`` of a response object, ``error`` and
``response.failed`` events, and the foreign shapes of proxies in front of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dragoman.core.faults import Fault
from dragoman.dialects.base import mapping
from dragoman.dialects.vendor_fault import in_band_status, read_fault

_LIMITED: Final = ("429", "rate_limit", "insufficient_quota", "slow_down")
_VERDICTS: Final = frozenset({400, 404, 408, 413, 422})
_OVERLOADED: Final = ("503", "529", "overload")


def told_fault(body: dict[str, Any]) -> Fault:
    """The fault that ``body``, an event or a response object, tells: 429, 503 for overload, the vendor's verdict on the
    request, else 502."""
    told = read_fault(502, msgspec.json.encode(body))
    error = mapping(body.get("error")) or mapping(mapping(body.get("response")).get("error")) or body
    words = " ".join(
        str(value)
        for value in (told.code, told.type, error.get("code"), error.get("status"))
        if type(value) in (str, int)
    ).lower()
    if any(word in words for word in _LIMITED):
        return Fault(429, "rate_limit_exceeded", told.message, owner="upstream")
    if any(word in words for word in _OVERLOADED):
        return Fault(503, "overloaded", told.message, type="overloaded_error", owner="upstream")
    code = told.code if told.code not in ("", "error") else "upstream_error"
    status = in_band_status(error)
    return Fault(status if status in _VERDICTS else 502, code, told.message, owner="upstream")


def cut_fault() -> Fault:
    """The upstream's bytes ended before its terminal event."""
    return Fault(502, "upstream_cut", "the upstream ended the stream before its end", owner="upstream")
