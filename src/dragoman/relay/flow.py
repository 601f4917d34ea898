"""The life of one request. All control flow is here; what it calls is straight-line.

    call → plan (model, channels, price, ceiling) → hold → attempts → lane → outcome → post | void, log row, metrics

Order of refusals (decisions 5): key, group, model and protocol come before the balance, which is the hold itself. The
hold is resolved in a ``finally``: whatever happens to the client, the upstream or this task, the call is settled once.
"""

from __future__ import annotations

import asyncio
import re
from time import perf_counter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dragoman.core import faults
from dragoman.core.conversation import path_text
from dragoman.core.envelope import peek
from dragoman.core.faults import Fault
from dragoman.core.money import Price, hold_ceiling, nanos_to_usd
from dragoman.core.usage import estimate
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import Tap
from dragoman.ledger.core import MAX_AMOUNT, Hold, Post, Refused, Void
from dragoman.ledger.writer import LedgerUnavailable
from dragoman.relay.affinity import fingerprint
from dragoman.relay.attempt import Answer, Refusal, attempt_all
from dragoman.relay.background import finished
from dragoman.relay.bodies import Body, aside
from dragoman.relay.counting import COUNTS, count
from dragoman.relay.gateway import Gateway
from dragoman.relay.lanes import Meter, Send, relay
from dragoman.relay.replies import send_fault, send_json, send_refusal
from dragoman.relay.report import observe, record_of
from dragoman.relay.settle import Settlement, settle
from dragoman.relay.state import Continued
from dragoman.relay.translated import Keep, Opening, carry, ending
from dragoman.relay.translation import Translation, facts_of
from dragoman.routing import admit, select
from dragoman.routing.plan import Attempt, Call, Candidate, Outcome, Plan
from dragoman.store.records import VendorId

LOGGED_LOSSES, LOGGED_PATH = 100, 300  # paths, and characters of each
FREE = frozenset(
    {
        "count_tokens",
        "gemini_count",
        "responses_input_tokens",
        "responses_get",
        "responses_delete",
        "responses_cancel",
        "responses_input_items",
    }
)
CONTINUES = frozenset({"responses", "responses_input_tokens"})
STORED = {"responses_get", "responses_delete", "responses_cancel", "responses_input_items"}
MOST_NANOS = MAX_AMOUNT  # a caller may ask for any number of tokens; the ledger holds no more at once
_FREE_PRICE = Price(version="free")


async def serve(gateway: Gateway, call: Call, body: Body, send: Send, started: float) -> None:
    """Serve one admitted call to its end. Every failure is told to the client and written down; only a cancellation
    (the client has left, or the server stops) goes on, after the call is settled."""
    meter = Meter(DIALECTS[call.dialect].tap(), started)
    attempts: tuple[Attempt, ...] = ()
    plan: Plan | None = None
    candidate: Candidate | None = None
    translation: Translation | None = None
    continued: Continued | None = None
    held, gone = False, False
    fault: Fault | None = None
    overhead_s: float | None = None
    try:
        if call.operation in STORED and await _kept(gateway, call, send, meter):
            return
        if call.operation in CONTINUES and b"previous_response_id" in body.data:
            continued = await _turn(gateway, call, body)
        owner = await _foreign(gateway, call, body)
        if call.operation in COUNTS and owner is None:
            attempts = await count(gateway, call, body.data, meter, send)
            return
        plan = await make_plan(gateway, call, body.data, owner)
        if any(candidate.operation for candidate in plan.candidates):
            if call.operation == "responses" and continued is None:
                continued = await _turn(gateway, call, body)
            parent = continued.parent_id if continued is not None else None
            translation = Translation(call, body.data, gateway.media, parent or "")
            if all(way.operation for way in plan.candidates):  # no channel speaks the client's dialect
                await translation.check()
        if call.operation not in FREE:
            await _hold(gateway, call, plan)
            held = True
        overhead_s = perf_counter() - started
        answer = await attempt_all(gateway, call, body.data, plan.candidates, translation)
        attempts = answer.attempts
        if isinstance(answer, Refusal):
            fault = answer.fault
            await send_refusal(send, call, answer)
            return
        body_bytes = len(body.data)
        keep = await _keep(gateway, call, body, continued, answer)
        body.release()
        body.data = b""  # an open stream must not hold its request
        candidate = answer.candidate
        if isinstance(answer.opening, Opening):
            if translation is not None:
                translation.forget()
            losses = [path_text(loss.at, call.dialect) for loss in answer.opening.losses[:LOGGED_LOSSES]]
            meter.translated(
                answer.opening.tap, answer.opening.dialect, [path[:LOGGED_PATH] for path in losses]
            )
            await carry(gateway, call, answer.response, answer.opening, meter, send, body_bytes, keep)
        else:
            await relay(gateway, call, candidate, answer.response, answer.opening, meter, send)
    except Fault as raised:
        fault = raised
        await _tell(send, call, raised, meter)
    except LedgerUnavailable:
        fault = faults.overloaded(1)
        await _tell(send, call, fault, meter)
    except asyncio.CancelledError:
        gone = True
        raise
    except Exception as error:  # noqa: BLE001 (our own failure: told as one, named in the journal)
        fault = Fault(500, "internal_error", "internal error", type="server_error", owner="gateway")
        gateway.journal.note(
            "internal_error", request_id=call.request_id, error=f"{type(error).__name__}: {error}"
        )
        await _tell(send, call, fault, meter)
    finally:
        size = body_bytes if candidate is not None else len(body.data)
        body.release()
        # (a vendor may take "true" or 1 for true: an unfinished whole answer is a background one, whatever was asked)
        later = (call.background or not call.stream) and meter.tap.pending and fault is None
        if candidate is not None and held and later and meter.tap.response_id:
            gateway.afterwards(_settle_later(gateway, call, plan, candidate, meter, attempts, size))
        else:
            outcome = _outcome(meter, fault, gone, attempts)
            _settle(gateway, call, plan, held, outcome, size, fault, started, overhead_s)


async def _settle_later(
    gateway: Gateway,
    call: Call,
    plan: Plan | None,
    candidate: Candidate,
    meter: Meter,
    attempts: tuple[Attempt, ...],
    size: int,
) -> None:
    """A background response: the vendor goes on without a client, and so does the bill.

    One whose end is not seen (the caller deleted it, it took too long, the gateway stops) is charged as it was held:
    the caller may have read all of it.
    """
    tap: Tap | None = None
    meter.error = "the background response was deleted or did not end in time"
    try:
        tap = await finished(gateway, call, candidate, meter.tap.response_id or "")
        if tap is not None:
            meter.tap, meter.delivered, meter.error = tap, True, ""
    finally:
        outcome = _outcome(meter, None, False, attempts)
        if tap is None:
            expected = gateway.limits.hold_output_tokens
            output = expected if call.max_output is None else min(call.max_output, expected)
            known = estimate(
                outcome.usage, body_bytes=size, output_bytes=max(outcome.output_bytes, 4 * output)
            )
            outcome = replace(outcome, usage=known, result="done")
        _settle(gateway, call, plan, True, outcome, size, None, meter.started, None)


async def _tell(send: Send, call: Call, fault: Fault, meter: Meter) -> None:
    """Before the head went out a whole answer, afterwards the end of a stream."""
    if not meter.head_sent:
        await send_fault(send, call.dialect, fault, call.request_id)
        return
    if meter.writer is not None:
        tail = ending(meter, fault)
    else:
        tail = DIALECTS[call.dialect].write_stream_fault(
            fault, call.request_id, meter.tap.point(array=meter.array)
        )
    await send({"type": "http.response.body", "body": tail})


async def make_plan(gateway: Gateway, call: Call, body: bytes, owner: VendorId | None) -> Plan:
    """Candidates, price and ceiling of a call. Raises Fault; nothing has been sent or held."""
    snapshot = gateway.snapshot
    group = admit.check_group(call.key, snapshot)  # again: it may have gone while the body arrived
    if call.operation in STORED:
        assert owner is not None
        return Plan(_sticky(gateway, call, owner), _FREE_PRICE, 1, 0)
    ways = select.eligible(
        snapshot,
        group=call.group,
        model=call.model,
        operation=call.operation,
        stream=call.stream,
        vendor=call.vendor,
        pinned=call.pinned_channel,
    )
    price = _FREE_PRICE if call.operation in FREE else snapshot.price(call.model)
    if price is None:
        price = await gateway.prices.find(call.model, call.started_at)
    if price is None:
        raise faults.price_missing(call.model)
    if owner is None:
        seed = None
        several = len(ways) > 1 or len(ways[0].channel.credentials) > 1
        if several and call.operation in select.TRANSLATED and not call.vendor:
            seed = await aside(len(body), lambda: fingerprint(call, body))
        candidates = select.order(ways, gateway.random, seed)
        if call.operation == "chat" and group.translate:
            candidates = tuple(c for native in candidates for c in _detoured(call, body, native))
    else:
        candidates = _sticky(gateway, call, owner)
        if all(way.channel is not candidates[0].channel for way in ways):
            raise faults.model_unavailable(call.model)
    limits = gateway.limits
    hold = hold_ceiling(
        price,
        body_bytes=len(body),
        max_output=call.max_output,
        strict=group.strict,
        hold_output_tokens=limits.hold_output_tokens,
        max_output_limit=limits.max_output_tokens,
        multiplier_micros=group.multiplier_micros,
        choices=call.choices,
        extra_input_tokens=referenced_tokens(body, limits.max_context_tokens) if group.strict else 0,
    )
    return Plan(candidates, price, group.multiplier_micros, min(hold, MOST_NANOS))


class _Tools(Struct):
    tools: Any = None
    reasoning_effort: Any = None


def _detoured(call: Call, body: bytes, candidate: Candidate) -> tuple[Candidate, ...]:
    """A chat call with tools for a model that refuses them there (with its reasoning on) goes to the same channel's
    responses first; what cannot be said there still goes to chat."""
    channel = candidate.channel
    if candidate.operation or not channel.translate or "responses" not in channel.operations:
        return (candidate,)
    if not facts_of(candidate, "openai_chat", call.model).tools_need_responses or b'"tools"' not in body:
        return (candidate,)
    asked = peek(body, _Tools)
    if not asked.tools or asked.reasoning_effort == "none":
        return (candidate,)
    return replace(candidate, operation="responses"), candidate


# What a body only refers to costs tokens that its bytes do not show: a whole context at the vendor, or media.
_CONTEXT_NAMES = re.compile(
    rb'"(?:previous_response_id|conversation|cachedContent|cached_content|container|file_id|fileId|file_uri|fileUri)"\s*:\s*["{]'
)
_MEDIA_NAMES = re.compile(
    rb'"(?:image_url|file_url|file_data|inlineData|inline_data|fileData|input_audio|video_url|source)"\s*:'
)
MEDIA_TOKENS = 50_000  # no vendor counts one image or page of a document higher


def referenced_tokens(body: bytes, most: int) -> int:
    """Input tokens that a strict hold adds for what the body refers to (decisions 18), at most one whole context."""
    if _CONTEXT_NAMES.search(body):
        return most
    return min(most, MEDIA_TOKENS * len(_MEDIA_NAMES.findall(body)))


def _sticky(gateway: Gateway, call: Call, owner: VendorId) -> tuple[Candidate, ...]:
    """State lives with one credential of one channel: no other can continue it."""
    channel = gateway.snapshot.channels.get(owner.channel_id)
    if (
        channel is None
        or call.operation not in channel.operations
        or owner.credential >= max(1, len(channel.credentials))
    ):
        raise faults.model_unavailable(call.model or "of this response")
    return (Candidate(channel, owner.credential),)


async def _kept(gateway: Gateway, call: Call, send: Send, meter: Meter) -> bool:
    """Answer for a response that the gateway itself keeps; False if it keeps none of this id for this user."""
    value = await gateway.state.answer(call.operation, call.resource_id, call.key.user_id, call.query)
    if value is None:
        return False
    meter.delivered, meter.status, meter.head_sent = True, 200, True
    await send_json(send, 200, value, call.request_id)
    return True


async def _turn(gateway: Gateway, call: Call, body: Body) -> Continued:
    """What the request adds to its conversation; everything before it is in ``body`` from here on."""
    found = await gateway.state.continued(body.data, call.key.user_id)
    await body.grow(found.body, gateway.limits.body_wait_s)
    return replace(found, body=b"")  # which would live as long as the answer


async def _keep(
    gateway: Gateway, call: Call, body: Body, continued: Continued | None, answer: Answer
) -> Keep | None:
    """How the turn of this answer is kept; None where the vendor keeps it, or nobody may."""
    if not isinstance(answer.opening, Opening) or call.operation != "responses":
        return None
    try:
        kept = continued or await _turn(gateway, call, body)  # an answer in another form: its id will be ours
    except BaseException:
        answer.response.close()
        raise
    if not kept.store:
        return None

    async def keep(told: bytes) -> None:
        try:
            await gateway.state.keep(kept, call.key.user_id, told)
        except Exception as error:  # noqa: BLE001 (the answer is there and is paid for: it is told, if not kept)
            reason = f"{type(error).__name__}: {error}"[:500]
            gateway.journal.note("response_not_kept", request_id=call.request_id, reason=reason)

    return keep


async def _foreign(gateway: Gateway, call: Call, body: Body) -> VendorId | None:
    """Vendor-side ids that the request names must be the caller's own: unknown or foreign → 404, nothing is sent."""
    if call.operation in STORED:
        ids = [("response", call.resource_id)]
    else:
        data, look = body.data, DIALECTS[call.dialect].foreign_ids
        ids = await aside(len(data), lambda: look(data))
    found: VendorId | None = None
    for kind, external_id in ids:
        owner = await gateway.owners.find(kind, external_id)
        if owner is None or owner.user_id != call.key.user_id:
            raise Fault(404, "not_found", f"{kind.replace('_', ' ')} '{external_id}' not found")
        found = found or owner
    return found


async def _hold(gateway: Gateway, call: Call, plan: Plan) -> None:
    command = Hold(
        id=call.request_id,
        wallet_id=call.key.wallet_id,
        key_account_id=call.key.key_account_id,
        amount=plan.hold_nanos,
        user_id=call.key.user_id,
        now=call.started_at,
    )
    result = await gateway.book.hold(command)
    if isinstance(result, Refused):
        what = "account balance" if result.reason == "wallet" else "key quota"
        raise faults.insufficient_quota(
            f"the {what} (${nanos_to_usd(result.available)}) does not cover this request, "
            f"which may cost up to ${nanos_to_usd(plan.hold_nanos)}; it does not reset by itself"
        )


def _outcome(meter: Meter, fault: Fault | None, gone: bool, attempts: tuple[Attempt, ...]) -> Outcome:
    tap = meter.tap
    if fault is not None:
        result = "failed"
    elif gone:
        result = "client_gone"
    elif meter.error:
        result = "cut"
    else:
        result = "failed" if tap.failed else "done"
    return Outcome(
        result=result,  # type: ignore[arg-type]
        status=fault.status if fault is not None else (499 if gone and not meter.status else meter.status),
        usage=tap.usage,
        output_bytes=tap.output_bytes,
        delivered=meter.delivered,
        complete=tap.complete and not tap.failed,
        first_byte_ms=meter.first_byte_ms,
        attempts=attempts,
        error=meter.error or (fault.message if fault is not None else ""),
        translated_to=meter.translated_to,
        losses=meter.losses,
        broken=meter.broken,
    )


def _settle(
    gateway: Gateway,
    call: Call,
    plan: Plan | None,
    held: bool,
    outcome: Outcome,
    body_bytes: int,
    fault: Fault | None,
    started: float,
    overhead_s: float | None,
) -> None:
    """Post or void, the log row with it, then metrics and the journal line. Synchronous: cannot be cancelled."""
    settlement: Settlement | None = None
    if held and plan is not None:
        settlement = settle(
            outcome,
            operation=call.operation,
            price=plan.price,
            multiplier_micros=plan.multiplier_micros,
            body_bytes=body_bytes,
            max_output=call.max_output,
        )
    latency_s = perf_counter() - started  # the upload included, as in the time to the first byte
    record = record_of(call, outcome, settlement, latency_s)
    if held:
        charge = settlement.charge if settlement is not None else None
        if charge is not None:
            gateway.book.post(
                Post(
                    id=call.request_id,
                    amount=min(charge.nanos, MOST_NANOS),  # a vendor may report any count; the hold must end
                    record=record,
                    now=gateway.clock(),
                )
            )
        else:
            gateway.book.void(
                Void(id=call.request_id, reason=outcome.error[:200], record=record, now=gateway.clock())
            )
    elif call.operation not in FREE:
        gateway.book.log(record)
    observe(gateway, call, outcome, settlement, record, fault, latency_s, overhead_s)
