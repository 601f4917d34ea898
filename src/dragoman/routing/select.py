"""The order in which channels are tried: priority tiers, weighted at random inside a tier.

Deterministic given the snapshot, the call and the random numbers that come in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dragoman.core import faults
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


def eligible(
    snapshot: Snapshot, *, group: str, model: str, operation: str, vendor: str = "", pinned: int | None = None
) -> list[Channel]:
    """Channels that can serve the call. Raises the Fault that says why there is none.

    404 ``model_not_found`` for an id nobody has heard of, 503 ``model_not_found`` when it is known but has no live
    channel in this group, 404 when its channels speak other surfaces (the message names them).
    """
    listed = snapshot.candidates(group, model)
    if pinned is not None:
        listed = tuple(c for c in listed if c.id == pinned)
    if vendor:
        listed = tuple(c for c in listed if c.endpoint.provider.vendor == vendor)
    if not listed:
        raise unknown_model(snapshot, model)
    able = [c for c in listed if operation in c.operations]
    if not able:
        raise wrong_surface(snapshot, group, model)
    return able


def unknown_model(snapshot: Snapshot, model: str) -> faults.Fault:
    """The Fault for a model without a channel: never heard of, or known and unavailable."""
    if snapshot.knows(model):
        return faults.model_unavailable(model)
    hint = ""
    if "/" in model:
        bare = model.rsplit("/", 1)[1]
        if snapshot.knows(bare):
            hint = f"did you mean {bare}?"
    return faults.model_not_found(model, hint)


def wrong_surface(snapshot: Snapshot, group: str, model: str) -> faults.Fault:
    """404 for a model that is there but is not served on the surface that was called."""
    operations = snapshot.operations(group, model)
    ways = [hint for op, hint in ENDPOINT_HINTS.items() if op in operations]
    return faults.not_found(
        f"Model {model} is not served on this endpoint; use {' or '.join(ways) or 'another model'}"
    )


def order(channels: Sequence[Channel], random: Callable[[], float]) -> tuple[Candidate, ...]:
    """Highest priority first; inside one priority a weighted draw without replacement; one credential per channel.

    ``random`` gives floats in [0, 1). A weight below 1 counts as 1: no channel starves for ever.
    """
    if len(channels) == 1:
        return (_candidate(channels[0], random),)
    out: list[Candidate] = []
    tiers: dict[int, list[Channel]] = {}
    for channel in channels:
        tiers.setdefault(channel.priority, []).append(channel)
    for priority in sorted(tiers, reverse=True):
        tier = tiers[priority]
        while tier:
            out.append(_candidate(tier.pop(_draw(tier, random())), random))
    return tuple(out)


def _draw(tier: Sequence[Channel], at: float) -> int:
    weights = [max(1, c.weight) for c in tier]
    point = at * sum(weights)
    for index, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return index
    return len(weights) - 1


def _candidate(channel: Channel, random: Callable[[], float]) -> Candidate:
    many = len(channel.credentials)
    return Candidate(channel, int(random() * many) if many > 1 else 0)
