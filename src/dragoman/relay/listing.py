"""Model lists in the three shapes that clients know, filtered by key. Pure: values in, plain data out.

Which shape: most paths have one of their own; ``/v1/models`` answers requests with ``anthropic-version`` in Anthropic's,
those with a Google credential in Gemini's, and everyone else in OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from dragoman.core import faults
from dragoman.core.faults import Fault
from dragoman.providers.models import describe, display_name, owned_by, supported_endpoint_types
from dragoman.routing import select
from dragoman.routing.keytable import KeyRecord
from dragoman.routing.snapshot import Snapshot

CREATED = (
    1_735_689_600  # 2025-01-01: vendors' own dates are not known for most ids; a constant keeps lists stable
)
GEMINI_METHODS = {
    "gemini_generate": "generateContent",
    "gemini_stream": "streamGenerateContent",
    "gemini_count": "countTokens",
    "gemini_embed": "embedContent",
    "gemini_batch_embed": "batchEmbedContents",
}
ENDPOINT_TYPES = {
    "openai": "chat",
    "anthropic": "messages",
    "openai-response": "responses",
    "gemini": "gemini_generate",
}


def visible(snapshot: Snapshot, key: KeyRecord) -> list[str]:
    """Model ids this key may call: the group's models, narrowed by the key's own list."""
    names = snapshot.models(key.group)
    if key.models is None:
        return names
    allowed = frozenset(key.models)
    listed = [n for n in names if n in allowed]
    # a key may name a model that only a wildcard channel serves
    listed += [m for m in key.models if snapshot.candidates(key.group, m)]
    return sorted(set(listed))


def shape(wanted: str, headers: Mapping[bytes, bytes], query: str) -> str:
    """The path's own shape, or for "auto" the one that the headers ask for: "openai", "anthropic" or "gemini"."""
    if wanted != "auto":
        return wanted
    if b"anthropic-version" in headers:
        return "anthropic"
    if b"x-goog-api-key" in headers or any(p.startswith("key=") for p in query.split("&")):
        return "gemini"
    return "openai"


def entry(snapshot: Snapshot, group: str, model: str) -> dict[str, Any]:
    """One model, in the superset of the OpenAI and Anthropic shapes."""
    operations = snapshot.operations(group, model)
    listed = [t for t in supported_endpoint_types(model) if ENDPOINT_TYPES.get(t, "") in operations]
    types = listed or [t for t, op in ENDPOINT_TYPES.items() if op in operations]
    translated = [
        t for t, op in ENDPOINT_TYPES.items() if t not in types and _reached(snapshot, group, model, op)
    ]
    return {
        "id": model,
        "object": "model",
        "created": CREATED,
        "owned_by": owned_by(model),
        "supported_endpoint_types": types,
        "translated_endpoint_types": translated,
        "type": "model",
        "display_name": display_name(model),
        "created_at": datetime.fromtimestamp(CREATED, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _reached(snapshot: Snapshot, group: str, model: str, operation: str) -> bool:
    """Is there a way, by translation too? A chat model only: others have surfaces of their own."""
    if describe(model).kind != "chat":
        return operation in snapshot.operations(group, model)
    try:
        return bool(select.eligible(snapshot, group=group, model=model, operation=operation))
    except Fault:
        return False


def gemini_entry(snapshot: Snapshot, group: str, model: str) -> dict[str, Any]:
    """One model as Google lists it."""
    operations = set(snapshot.operations(group, model))
    if _reached(snapshot, group, model, "gemini_generate"):
        operations |= {"gemini_generate", "gemini_stream", "gemini_count"}
    return {
        "name": f"models/{model}",
        "baseModelId": model,
        "version": "001",
        "displayName": display_name(model),
        "description": "",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": [m for op, m in GEMINI_METHODS.items() if op in operations],
    }


def listing(snapshot: Snapshot, key: KeyRecord, form: str, query: str) -> dict[str, Any]:
    """The whole list. Gemini's is paged (``pageSize``, ``pageToken``), the others are complete."""
    names = visible(snapshot, key)
    if form == "gemini":
        return _gemini_page(snapshot, key, names, query)
    data = [entry(snapshot, key.group, n) for n in names]
    ends = {
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }
    if form == "anthropic":
        return {"data": data, **ends}
    return {"success": True, "object": "list", "data": data, **ends}


def single(snapshot: Snapshot, key: KeyRecord, form: str, model: str) -> dict[str, Any]:
    """One model; raises Fault 404 when the key cannot call it."""
    model = model.removeprefix("models/")
    permitted = key.models is None or model in key.models
    if not permitted or not snapshot.candidates(key.group, model):
        raise faults.model_not_found(model, "")
    return gemini_entry(snapshot, key.group, model) if form == "gemini" else entry(snapshot, key.group, model)


def _gemini_page(snapshot: Snapshot, key: KeyRecord, names: list[str], query: str) -> dict[str, Any]:
    asked = parse_qs(query)
    size, token = asked.get("pageSize", ["50"])[0], asked.get("pageToken", [""])[0]
    if not all(n.isascii() and n.isdigit() and len(n) < 10 for n in (size, token or "0")):
        raise faults.invalid_request("pageSize and pageToken must be numbers")
    start, count = int(token or 0), min(max(int(size), 1), 1000)
    page: dict[str, Any] = {
        "models": [gemini_entry(snapshot, key.group, n) for n in names[start : start + count]]
    }
    if start + count < len(names):
        page["nextPageToken"] = str(start + count)
    return page
