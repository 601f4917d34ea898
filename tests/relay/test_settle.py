import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.money import Price, charge
from dragoman.core.usage import Usage
from dragoman.relay.settle import GENERATES, billable, settle
from dragoman.routing.plan import Outcome

PRICE = Price(version="1", input=2_000_000_000, output=8_000_000_000)  # 2 and 8 USD per million tokens


def outcome(result: str = "done", usage: Usage | None = None, **fields: object) -> Outcome:
    values: dict[str, object] = {"status": 200, "delivered": True} | fields
    return Outcome(result=result, usage=usage, **values)  # type: ignore[arg-type]


def due(
    result: str = "done",
    usage: Usage | None = None,
    *,
    operation: str = "chat",
    max_output: int | None = None,
    **fields: object,
) -> Usage | None:
    return billable(
        outcome(result, usage, **fields), operation=operation, body_bytes=401, max_output=max_output
    )


REPORTED = Usage(input=10, cached_input=5, output=20, reasoning=3)


@pytest.mark.parametrize("operation", sorted(GENERATES))
def test_usage_of_a_whole_answer_is_charged_as_reported(operation: str) -> None:
    assert due("done", REPORTED, operation=operation, output_bytes=4000) == REPORTED


@pytest.mark.parametrize("result", ["cut", "client_gone", "failed"])
def test_a_broken_answer_is_raised_to_what_was_seen_and_marked(result: str) -> None:
    seen = due(result, REPORTED, output_bytes=401)
    assert seen == Usage(input=10, cached_input=5, output=101, reasoning=3, estimated=True)
    kept = due(result, REPORTED, output_bytes=4)
    assert kept is not None and (kept.output, kept.estimated) == (20, True)


@pytest.mark.parametrize("result", ["done", "cut", "client_gone"])
def test_usage_that_never_came_is_estimated_from_bytes(result: str) -> None:
    assert due(result, None, output_bytes=9) == Usage(input=101, output=3, estimated=True)


def test_usage_without_a_prompt_count_gets_the_input_from_the_body_when_broken() -> None:
    assert due("cut", Usage(output=1), output_bytes=9) == Usage(input=101, output=3, estimated=True)


@pytest.mark.parametrize("result", ["done", "cut", "client_gone", "failed"])
def test_nothing_seen_and_nothing_reported_is_free(result: str) -> None:
    assert due(result) is None


@pytest.mark.parametrize("result", ["done", "cut"])
def test_zero_output_is_free_however_large_the_prompt(result: str) -> None:
    assert due(result, Usage(input=100_000)) is None
    assert due(result, Usage(input=100_000), max_output=1) is None


def test_zero_output_that_was_asked_for_is_charged() -> None:
    warmed = Usage(input=10, cache_write_5m=1000)
    assert due("done", warmed, operation="messages", max_output=0) == warmed


def test_an_answer_that_never_began_is_free_whatever_was_reported() -> None:
    assert due("client_gone", REPORTED, delivered=False, output_bytes=100) is None
    assert due("failed", REPORTED, delivered=False) is None


def test_embeddings_have_no_output_and_are_charged_for_their_input() -> None:
    usage = Usage(input=12)
    assert due("done", usage, operation="embeddings") == usage
    assert due("done", None, operation="embeddings") == Usage(input=101, estimated=True)
    assert due("cut", None, operation="embeddings") is None
    assert due("cut", usage, operation="embeddings") == usage


def test_a_settlement_is_the_charge_for_the_billable_usage() -> None:
    done = settle(
        outcome("done", REPORTED), operation="chat", price=PRICE, multiplier_micros=1_500_000, body_bytes=1, max_output=None
    )  # fmt: skip
    assert done.usage == REPORTED
    # 15 × 2000 + 20 × 8000 = 190 000 nanos, × 1.5 = 285 000, up to 143 quota units of 2 000
    assert done.charge is not None and (done.charge.nanos, done.charge.quota) == (286_000, 143)


def test_a_void_keeps_what_was_reported_for_the_log() -> None:
    void = settle(
        outcome("done", Usage(input=9)), operation="chat", price=PRICE, multiplier_micros=10**6, body_bytes=1, max_output=None
    )  # fmt: skip
    assert void.charge is None and void.usage == Usage(input=9)
    nothing = settle(
        outcome("failed", delivered=False), operation="chat", price=PRICE, multiplier_micros=10**6, body_bytes=1, max_output=None
    )  # fmt: skip
    assert nothing.charge is None and nothing.usage == Usage()


counts = st.integers(0, 10**6)


@given(
    st.sampled_from(["done", "failed", "client_gone", "cut"]),
    st.none() | st.builds(Usage, input=counts, cached_input=counts, output=counts),
    counts,
    st.booleans(),
    st.sampled_from(sorted(GENERATES | {"embeddings", "moderations"})),
    st.none() | st.integers(0, 10),
    counts,
)
def test_charge_and_usage_never_disagree(
    result: str,
    usage: Usage | None,
    output_bytes: int,
    delivered: bool,
    operation: str,
    max_output: int | None,
    body_bytes: int,
) -> None:
    end = outcome(result, usage, output_bytes=output_bytes, delivered=delivered)
    got = settle(
        end, operation=operation, price=PRICE, multiplier_micros=10**6, body_bytes=body_bytes, max_output=max_output
    )  # fmt: skip
    if got.charge is not None:
        assert delivered and got.charge == charge(PRICE, got.usage)
        if usage is not None:
            assert got.usage.output >= usage.output
        assert got.usage.estimated == (usage is None or (result != "done" and operation in GENERATES))
    else:
        assert got.usage == (usage or Usage())


def test_a_client_that_leaves_after_the_vendors_last_word_pays_what_was_reported() -> None:
    usage = Usage(input=10, output=5)
    for complete, expected in ((True, usage), (False, Usage(input=10, output=25, estimated=True))):
        end = outcome("client_gone", usage, output_bytes=100, complete=complete)
        assert billable(end, operation="chat", body_bytes=1, max_output=None) == expected
