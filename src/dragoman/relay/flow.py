"""The life of one request. All control flow is here; what it calls is straight-line.

    call → plan (model, channels, price, ceiling) → hold → attempts → lane → outcome → post | void, log row, metrics

Order of refusals (decisions 5): key, group, model and protocol come before the balance, which is the hold itself. The
hold is resolved in a ``finally``: whatever happens to the client, the upstream or this task, the call is settled once.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from msgspec.structs import replace

from dragoman.core import faults
from dragoman.core.faults import Fault
from dragoman.core.money import Price, hold_ceiling, nanos_to_usd
from dragoman.core.usage import estimate
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import Tap
from dragoman.ledger.core import MAX_AMOUNT, Hold, Post, Refused, Void
from dragoman.ledger.writer import LedgerUnavailable
from dragoman.relay.attempt import Refusal, attempt_all
from dragoman.relay.background import finished
from dragoman.relay.bodies import Body
from dragoman.relay.gateway import Gateway
from dragoman.relay.lanes import Meter, Send, relay
from dragoman.relay.replies import send_fault, send_refusal
from dragoman.relay.report import observe, record_of
from dragoman.relay.settle import Settlement, settle
from dragoman.routing import admit, select
from dragoman.routing.plan import Attempt, Call, Candidate, Outcome, Plan
from dragoman.store.records import VendorId

FREE = frozenset(
    {
        "count_tokens",
        "gemini_count",
        "responses_get",
        "responses_delete",
        "responses_cancel",
        "responses_input_items",
    }
)
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
    held, gone = False, False
    fault: Fault | None = None
    overhead_s: float | None = None
    try:
        owner = await _foreign(gateway, call, body)
        plan = await make_plan(gateway, call, len(body.data), owner)
        if call.operation not in FREE:
            await _hold(gateway, call, plan)
            held = True
        overhead_s = perf_counter() - started
        answer = await attempt_all(gateway, call, body.data, plan.candidates)
        attempts = answer.attempts
        if isinstance(answer, Refusal):
            fault = answer.fault
            await send_refusal(send, call, answer)
            return
        body_bytes = len(body.data)
        body.release()
        body.data = b""  # an open stream must not hold its request
        candidate = answer.candidate
        await relay(gateway, call, candidate, answer.response, meter, send)
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
    tail = DIALECTS[call.dialect].write_stream_fault(
        fault, call.request_id, meter.tap.point(array=meter.array)
    )
    await send({"type": "http.response.body", "body": tail})


async def make_plan(gateway: Gateway, call: Call, body_bytes: int, owner: VendorId | None) -> Plan:
    """Candidates, price and ceiling of a call. Raises Fault; nothing has been sent or held."""
    snapshot = gateway.snapshot
    group = admit.check_group(call.key, snapshot)  # again: it may have gone while the body arrived
    if call.operation in STORED:
        assert owner is not None
        return Plan(_sticky(gateway, call, owner), _FREE_PRICE, 1, 0)
    channels = select.eligible(
        snapshot,
        group=call.group,
        model=call.model,
        operation=call.operation,
        vendor=call.vendor,
        pinned=call.pinned_channel,
    )
    price = _FREE_PRICE if call.operation in FREE else snapshot.price(call.model)
    if price is None:
        price = await gateway.prices.find(call.model, call.started_at)
    if price is None:
        raise faults.price_missing(call.model)
    candidates = select.order(channels, gateway.random) if owner is None else _sticky(gateway, call, owner)
    if owner is not None and candidates[0].channel not in channels:
        raise faults.model_unavailable(call.model)
    limits = gateway.limits
    hold = hold_ceiling(
        price,
        body_bytes=body_bytes,
        max_output=call.max_output,
        strict=group.strict,
        hold_output_tokens=limits.hold_output_tokens,
        max_output_limit=limits.max_output_tokens,
        multiplier_micros=group.multiplier_micros,
        choices=call.choices,
    )
    return Plan(candidates, price, group.multiplier_micros, min(hold, MOST_NANOS))


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


async def _foreign(gateway: Gateway, call: Call, body: Body) -> VendorId | None:
    """Vendor-side ids that the request names must be the caller's own: unknown or foreign → 404, nothing is sent."""
    ids = (
        [("response", call.resource_id)]
        if call.operation in STORED
        else DIALECTS[call.dialect].foreign_ids(body.data)
    )
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
        first_byte_ms=meter.first_byte_ms,
        attempts=attempts,
        error=meter.error or (fault.message if fault is not None else ""),
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
