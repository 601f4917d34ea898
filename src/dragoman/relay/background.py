"""Responses that the vendor goes on working on after its first answer (``background: true``).

Their usage is known only at the end, so the call's hold stays until then: the response is asked for, at growing
intervals, until it is finished or ``background_s`` is over. When its end is not seen, because it was deleted or the gateway
stops first, it is charged as it was held, marked as estimated (``flow``).
"""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from dragoman.dialects import DIALECTS
from dragoman.dialects.base import Tap
from dragoman.relay.attempt import Answer, attempt_all
from dragoman.relay.gateway import Gateway
from dragoman.relay.lanes import Beginning
from dragoman.routing.plan import Call, Candidate

FIRST_WAIT_S, LONGEST_WAIT_S, GROWTH = 0.5, 15.0, 1.5


async def finished(gateway: Gateway, call: Call, candidate: Candidate, response_id: str) -> Tap | None:
    """The tap of the finished response; None when it was deleted, cannot be read, or took too long."""
    asking = replace(
        call,
        operation="responses_get",
        method="GET",
        resource_id=response_id,
        query="",
        stream=False,
        model="",
    )
    loop = asyncio.get_running_loop()
    end, wait = loop.time() + gateway.limits.background_s, FIRST_WAIT_S
    while loop.time() < end:
        await asyncio.sleep(wait)
        wait = min(wait * GROWTH, LONGEST_WAIT_S)
        answer = await attempt_all(gateway, asking, b"", (candidate,))
        if not isinstance(answer, Answer):
            if answer.fault.status == 404:
                return None
            continue
        answer.response.close()
        assert isinstance(answer.opening, Beginning)
        tap = DIALECTS[call.dialect].tap()
        tap.body(answer.opening.data)
        if not tap.pending and (tap.complete or tap.failed):
            return tap
    return None
