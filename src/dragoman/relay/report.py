"""What is written down about a call when it is over: the log row, the metrics, the journal's line."""

from __future__ import annotations

import msgspec

from dragoman.core import faults
from dragoman.core.faults import Fault
from dragoman.ledger.core import CallRecord
from dragoman.relay.gateway import Gateway
from dragoman.relay.settle import Settlement
from dragoman.routing.plan import Call, Outcome

CONSUMPTION, ERROR = 2, 5
MOST = 2**31 - 1  # a sum of counts that no vendor means still has to fit its column


def record_of(call: Call, outcome: Outcome, settlement: Settlement | None, latency_s: float) -> CallRecord:
    """The log row of a call, with its detail: attempts, the unrounded lines of the charge, the error."""
    usage = settlement.usage if settlement is not None else None
    charge = settlement.charge if settlement is not None else None
    detail: dict[str, object] = {
        "attempts": outcome.attempts,
        "result": outcome.result,
    }
    if charge is not None:
        detail["lines"] = charge.lines
        detail["multiplier_micros"] = charge.multiplier_micros
    if outcome.translated_to:
        detail["translated_to"] = outcome.translated_to
    if outcome.losses:
        detail["losses"] = outcome.losses
    if outcome.broken:
        detail["broken_frames"] = outcome.broken
    if outcome.error:
        detail["error"] = faults.redact(outcome.error)[:500]
    if call.original_path != call.path:
        detail["original_path"] = call.original_path[:300]
    return CallRecord(
        request_id=call.request_id,
        created_at=int(call.started_at),
        user_id=call.key.user_id,
        key_id=call.key.id,
        model_asked=call.model_asked[:200],
        model=call.model[:200],
        channel_id=outcome.attempts[-1].channel_id if outcome.attempts else None,
        group=call.group,
        kind=CONSUMPTION if outcome.status < 400 and outcome.status else ERROR,
        input_tokens=min(usage.prompt, MOST) if usage else 0,
        cached_tokens=usage.cached_input if usage else 0,
        cache_write_tokens=min(usage.cache_write_5m + usage.cache_write_1h, MOST) if usage else 0,
        output_tokens=usage.output if usage else 0,
        reasoning_tokens=usage.reasoning if usage else 0,
        quota=charge.quota if charge else 0,
        nanos=charge.nanos if charge else 0,
        latency_ms=max(int(latency_s * 1000), outcome.first_byte_ms),  # a first byte counts as 1 ms at least
        first_byte_ms=outcome.first_byte_ms,
        stream=call.stream,
        client_ip=call.client_ip,
        client=call.client,
        method=call.method,
        path=call.path[:200],
        status=outcome.status,
        estimated=bool(usage and usage.estimated),
        detail=msgspec.json.encode(detail),
    )


def observe(
    gateway: Gateway,
    call: Call,
    outcome: Outcome,
    settlement: Settlement | None,
    record: CallRecord,
    fault: Fault | None,
    latency_s: float,
    overhead_s: float | None,
) -> None:
    """Metrics and the journal's line of a call."""
    metrics = gateway.metrics
    owner = (
        fault.owner
        if fault is not None
        else {"done": "", "client_gone": "client"}.get(outcome.result, "upstream")
    )
    metrics.finished(
        call.operation,
        outcome.status,
        owner=owner,
        first_byte_s=outcome.first_byte_ms / 1000 if outcome.first_byte_ms else None,
        overhead_s=overhead_s,
    )
    if settlement is not None and settlement.charge is not None:
        u = settlement.usage
        metrics.used(
            {
                "input": u.input,
                "cached_input": u.cached_input,
                "cache_write": u.cache_write_5m + u.cache_write_1h,
                "output": u.output,
                "reasoning": u.reasoning,
            },
            settlement.charge.quota,
        )
    gateway.journal.call(
        {
            "request_id": call.request_id,
            "operation": call.operation,
            "user": call.key.username,
            "key": call.key.name,
            "group": call.group,
            "model": call.model,
            "asked": call.model_asked,
            "channel": record.channel_id,
            "status": outcome.status,
            "result": outcome.result,
            "stream": call.stream,
            "latency_ms": record.latency_ms,
            "first_byte_ms": record.first_byte_ms,
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "quota": record.quota,
            "estimated": record.estimated,
            "attempts": len(outcome.attempts),
            "client": call.client,
            "ip": call.client_ip,
            "path": call.path,
            "error": outcome.error,
        }
    )
