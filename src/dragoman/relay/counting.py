"""Counting tokens: the vendor's own count where the chosen channel has one, else ours. Free, and never logged as use.

Clients ask in bursts (35 at once after a ``/context``), so only a few go to the vendor at a time for each key, and none
waits long: everybody else, and everybody whose vendor fails, gets the local count (decisions 24).
"""

from __future__ import annotations

import asyncio

from dragoman.core.faults import Fault
from dragoman.core.tokens import count_tokens
from dragoman.dialects import DIALECTS
from dragoman.relay.attempt import Answer, attempt_all
from dragoman.relay.bodies import aside
from dragoman.relay.gateway import Gateway
from dragoman.relay.lanes import Beginning, Meter, Send, relay
from dragoman.relay.replies import own_headers, send_bytes, send_refusal
from dragoman.routing import select
from dragoman.routing.plan import Attempt, Call, Candidate

COUNTS = frozenset({"count_tokens", "gemini_count", "responses_input_tokens"})
VENDORS_VERDICT = frozenset(
    {400, 413, 422}
)  # what the vendor says of the request itself is told, not papered over


async def count(gateway: Gateway, call: Call, body: bytes, meter: Meter, send: Send) -> tuple[Attempt, ...]:
    """Answer a count. Fault 400 for a body that cannot be read, 404 for a model that nobody has heard of."""
    candidates = _candidates(gateway, call)
    slots = gateway.count_slots
    attempts: tuple[Attempt, ...] = ()
    if candidates and slots.take(call.key.id):
        try:
            async with asyncio.timeout(slots.vendor_s):
                answer = await attempt_all(gateway, call, body, candidates)
        except TimeoutError:
            answer = None
        finally:
            slots.give(call.key.id)
        if isinstance(answer, Answer) and isinstance(answer.opening, Beginning) and answer.opening.stream:
            answer.response.close()  # a count is no stream, and nobody knows when this one ends
            answer = None
        if isinstance(answer, Answer):
            assert isinstance(answer.opening, Beginning)
            await relay(gateway, call, answer.candidate, answer.response, answer.opening, meter, send)
            return answer.attempts
        if answer is not None:
            attempts = answer.attempts
            if answer.fault.status in VENDORS_VERDICT and answer.fault.owner == "client":
                meter.status, meter.head_sent = answer.fault.status, True
                await send_refusal(send, call, answer)
                return attempts
    await _local(call, body, meter, send)
    return attempts


def _candidates(gateway: Gateway, call: Call) -> tuple[Candidate, ...]:
    """Channels with a count of their own; none is no reason to refuse a model that is known."""
    snapshot = gateway.snapshot
    try:
        ways = select.eligible(
            snapshot,
            group=call.group,
            model=call.model,
            operation=call.operation,
            vendor=call.vendor,
            pinned=call.pinned_channel,
        )
    except Fault:
        if not snapshot.knows(call.model):
            raise
        return ()
    return select.order(ways, gateway.random)


async def _local(call: Call, body: bytes, meter: Meter, send: Send) -> None:
    counter = DIALECTS[call.dialect].counter
    assert counter is not None

    def work() -> bytes:
        counted = count_tokens(counter.read(body))
        return counter.write(counted.tokens, counted.warning)

    told = await aside(len(body), work)
    meter.delivered, meter.status, meter.head_sent = True, 200, True
    await send_bytes(send, 200, told, [(b"content-type", b"application/json"), *own_headers(call.request_id)])
