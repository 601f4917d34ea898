"""The order in which channels are tried: those that speak the client's dialect first, then those that a translation
reaches; inside each of the two by priority, weighted at random inside a priority.

Deterministic given the snapshot, the call and the random numbers that come in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from dragoman.core import faults
from dragoman.core.faults import Fault
from dragoman.providers.models import owned_by
from dragoman.routing.plan import Candidate
from dragoman.routing.snapshot import Channel, Snapshot

ENDPOINT_HINTS = {
    "chat": "POST /v1/chat/completions",
    "messages": "POST /v1/messages",
    "responses": "POST /v1/responses",
    "gemini_generate": "POST /v1beta/models/{model}:generateContent",
    "embeddings": "POST /v1/embeddings",
    "completions": "POST /v1/completions",
    "gemini_embed": "POST /v1beta/models/{model}:embedContent",
    "moderations": "POST /v1/moderations",
}
TRANSLATED: Final = frozenset(
    {"chat", "completions", "responses", "messages", "gemini_generate", "gemini_stream"}
)
"""Operations of clients that a channel of another dialect can serve."""
# The operations that a translation may go to, in the order of preference where a channel has several; the model's own
# vendor's dialect goes first.
_UPSTREAM: Final = ("chat", "responses", "messages", "gemini_generate")
_AT_HOME: Final[Mapping[str, str]] = MappingProxyType({"anthropic": "messages", "google": "gemini_generate"})


class Way(NamedTuple):
    """A channel and the operation to use there; "" is the call's own."""

    channel: Channel
    operation: str = ""


def eligible(
    snapshot: Snapshot,
    *,
    group: str,
    model: str,
    operation: str,
    stream: bool = False,
    vendor: str = "",
    pinned: int | None = None,
) -> tuple[Way, ...]:
    """Ways to serve the call, native ones first. Raises the Fault that says why there is none.

    404 ``model_not_found`` for an id nobody has heard of, 503 ``model_not_found`` when it is known but has no live
    channel in this group, 404 when its channels speak other surfaces and translation is off or cannot help (the
    message names them).
    """
    question = (group, model, operation, stream)
    ways = snapshot.ways.get(question)
    if ways is None:
        ways = snapshot.remember_ways(question, _ways(snapshot, *question))
    if pinned is not None:
        ways = tuple(way for way in ways if way.channel.id == pinned)
    if vendor:
        ways = tuple(way for way in ways if way.channel.endpoint.provider.vendor == vendor)
    if not ways:
        listed = [
            c
            for c in snapshot.candidates(group, model)
            if pinned in (None, c.id) and vendor in ("", c.endpoint.provider.vendor)
        ]
        raise wrong_surface(snapshot, group, model, operation) if listed else unknown_model(snapshot, model)
    return ways


def _ways(snapshot: Snapshot, group: str, model: str, operation: str, stream: bool) -> tuple[Way, ...]:
    listed = snapshot.candidates(group, model)
    ways = [Way(c) for c in listed if operation in c.operations and _at_home(c, model, operation)]
    found = snapshot.groups.get(group)
    if operation in TRANSLATED and (found is None or found.translate):
        taken = {way.channel.id for way in ways}
        ways += [
            Way(channel, upstream)
            for channel in listed
            if channel.translate and channel.id not in taken
            if (upstream := upstream_operation(channel, model, stream))
        ]
    return tuple(ways)


def upstream_operation(channel: Channel, model: str, stream: bool) -> str:
    """The operation that a translated call uses on this channel; "" if it has none."""
    order = (_AT_HOME.get(owned_by(model), ""), *_UPSTREAM)
    found = next((op for op in order if op in channel.operations), "")
    return "gemini_stream" if stream and found == "gemini_generate" else found


def _at_home(channel: Channel, model: str, operation: str) -> bool:
    """Clouds that serve several vendors' models (Vertex) have each model in its vendor's own dialect only."""
    if operation not in TRANSLATED or not channel.operations >= {"messages", "gemini_generate"}:
        return True
    home = _AT_HOME.get(owned_by(model), "")
    return not home or operation.replace("_stream", "_generate") == home


def unknown_model(snapshot: Snapshot, model: str) -> Fault:
    """The Fault for a model without a channel: never heard of, or known and unavailable."""
    if snapshot.knows(model):
        return faults.model_unavailable(model)
    hint = ""
    if "/" in model:
        bare = model.rsplit("/", 1)[1]
        if snapshot.knows(bare):
            hint = f"did you mean {bare}?"
    return faults.model_not_found(model, hint)


def wrong_surface(snapshot: Snapshot, group: str, model: str, operation: str = "") -> Fault:
    """404 for a model that is there but is not served on the surface that was called."""
    operations = snapshot.operations(group, model)
    ways = [hint for op, hint in ENDPOINT_HINTS.items() if op in operations]
    off = operation in TRANSLATED and any(op in operations for op in _UPSTREAM)
    why = " (translation is switched off for it)" if off else ""
    return faults.not_found(
        f"Model {model} is not served on this endpoint{why}; use {' or '.join(ways) or 'another model'}"
    )


def order(
    ways: Sequence[Way], random: Callable[[], float], seed: bytes | None = None
) -> tuple[Candidate, ...]:
    """Native ways before translated ones; the highest priority first; inside one priority a weighted draw without
    replacement; one credential per channel.

    ``random`` gives floats in [0, 1). A weight below 1 counts as 1: no channel starves for ever. With a ``seed`` the draw
    is made by it instead, and a channel that comes or goes moves no more conversations than it must (weighted rendezvous
    hashing: https://en.wikipedia.org/wiki/Rendezvous_hashing).
    """
    if len(ways) == 1:
        return (
            _candidate(ways[0], random if seed is None else lambda: _share(seed, ways[0], b"credential")),
        )
    if seed is not None:
        ranked = sorted(
            ways, key=lambda way: (bool(way.operation), -way.channel.priority, _distance(seed, way))
        )
        return tuple(_candidate(way, partial(_share, seed, way, b"credential")) for way in ranked)
    out: list[Candidate] = []
    tiers: dict[tuple[bool, int], list[Way]] = {}
    for way in ways:
        tiers.setdefault((not way.operation, way.channel.priority), []).append(way)
    for rank in sorted(tiers, reverse=True):
        tier = tiers[rank]
        while tier:
            out.append(_candidate(tier.pop(_draw(tier, random())), random))
    return tuple(out)


def _share(seed: bytes, way: Way, purpose: bytes) -> float:
    """A number in (0, 1) made of the seed and the channel; the same one every time."""
    digest = hashlib.blake2b(seed + purpose + str(way.channel.id).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 1) / (2**64 + 2)


def _distance(seed: bytes, way: Way) -> float:
    """How far a conversation is from a channel: exponential, so that the nearest is drawn with its weight."""
    return -math.log(_share(seed, way, b"channel")) / max(1, way.channel.weight)


def _draw(tier: Sequence[Way], at: float) -> int:
    weights = [max(1, way.channel.weight) for way in tier]
    point = at * sum(weights)
    for index, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return index
    return len(weights) - 1


def _candidate(way: Way, random: Callable[[], float]) -> Candidate:
    many = len(way.channel.credentials)
    return Candidate(way.channel, int(random() * many) if many > 1 else 0, way.operation)
