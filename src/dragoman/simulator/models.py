"""Model lists in the three vendors' shapes. Any id exists, but for those that begin with `missing`."""

from __future__ import annotations

from typing import Any

from dragoman.simulator.reply import CREATED, encode
from dragoman.simulator.wire import Answer, Call, Fault

LISTED = (
    "gpt-5.4",
    "gpt-4o",
    "gpt-4o-mini",
    "claude-opus-4-7",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
    "gemini-3-pro",
    "gemini-2.5-flash",
    "deepseek-v3.2",
    "text-embedding-3-large",
    "text-embedding-3-small",
    "omni-moderation-latest",
)


def openai_list(call: Call) -> Answer:
    """`{"object": "list", "data": […]}`."""
    call.fail_if_asked()
    return Answer(body=encode({"object": "list", "data": [_openai(name) for name in LISTED]}))


def openai_get(call: Call) -> Answer:
    """One model."""
    return Answer(body=encode(_openai(_known(call))))


def anthropic_list(call: Call) -> Answer:
    """`{"data": […], "has_more", "first_id", "last_id"}`, paged by `limit` and `after_id`."""
    call.fail_if_asked()
    limit = int(call.query.get("limit") or 20)
    after = call.query.get("after_id")
    start = LISTED.index(after) + 1 if after in LISTED else 0
    page = LISTED[start : start + limit]
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    more = start + limit < len(LISTED)
    return Answer(body=encode({"data": [_anthropic(name) for name in page], "has_more": more} | ends))


def anthropic_get(call: Call) -> Answer:
    """One model."""
    return Answer(body=encode(_anthropic(_known(call))))


def gemini_list(call: Call) -> Answer:
    """`{"models": […], "nextPageToken"}`, paged by `pageSize` and `pageToken`."""
    call.fail_if_asked()
    size = int(call.query.get("pageSize") or 50)
    token = call.query.get("pageToken", "")
    start = int(token) if token.isdigit() else 0
    answer: dict[str, Any] = {"models": [_gemini(name) for name in LISTED[start : start + size]]}
    if start + size < len(LISTED):
        answer["nextPageToken"] = str(start + size)
    return Answer(body=encode(answer))


def gemini_get(call: Call) -> Answer:
    """One model."""
    return Answer(body=encode(_gemini(_known(call))))


def _known(call: Call) -> str:
    call.fail_if_asked()
    if call.resource.startswith("missing"):
        raise Fault(404, f"The model '{call.resource}' does not exist", code="model_not_found", param="model")
    return call.resource


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "simulator"}


def _anthropic(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}


def _gemini(name: str) -> dict[str, Any]:
    methods = [
        "generateContent",
        "streamGenerateContent",
        "countTokens",
        "embedContent",
        "batchEmbedContents",
    ]
    limits = {"inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536, "supportedGenerationMethods": methods}
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "description": "Simulated",
    } | limits
