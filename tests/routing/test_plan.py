import msgspec
import pytest

from dragoman.core.money import Price
from dragoman.core.usage import Usage
from dragoman.routing.plan import Attempt, Call, Candidate, Outcome, Plan
from tests.routing.builders import channel, key


def call() -> Call:
    return Call(
        request_id="req_1", started_at=1.0, operation="chat", dialect="openai_chat", method="POST", path="/v1/x",
        original_path="/x", query="", headers=[], key=key(), group="default", model_asked="a", model="m", stream=False,
        max_output=None,
    )  # fmt: skip


CANDIDATE = Candidate(channel(1), 0)
ATTEMPT = Attempt(channel_id=1, credential=0, status=429, latency_ms=12, ended="status 429")
PLAN = Plan((CANDIDATE,), Price(version="1", input=1), 1_000_000, 2000)
OUTCOME = Outcome(result="done", status=200, usage=Usage(input=1), attempts=(ATTEMPT,))


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (call(), "model"),
        (CANDIDATE, "credential"),
        (PLAN, "hold_nanos"),
        (ATTEMPT, "status"),
        (OUTCOME, "result"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_the_values_of_a_request_are_frozen(value: object, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, field, getattr(value, field))


def test_a_call_asks_for_nothing_special_unless_told() -> None:
    made = call()
    assert (made.choices, made.include_usage, made.pinned_channel, made.vendor, made.resource_id) == (
        1, False, None, "", "",
    )  # fmt: skip


def test_an_outcome_delivers_nothing_unless_told() -> None:
    bare = Outcome(result="failed", status=500)
    assert (bare.usage, bare.output_bytes, bare.delivered, bare.attempts) == (None, 0, False, ())


def test_an_attempt_can_be_written_into_a_log_row() -> None:
    assert msgspec.to_builtins(ATTEMPT) == {
        "channel_id": 1, "credential": 0, "status": 429, "latency_ms": 12, "ended": "status 429", "upstream_request_id": "",
    }  # fmt: skip
