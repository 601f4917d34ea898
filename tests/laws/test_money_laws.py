"""Laws of money: monotone, additive, rounded once; a strict hold covers what it was made for."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.money import (
    NANOS_PER_QUOTA,
    Price,
    charge,
    hold_ceiling,
    multiplier_micros,
    nanos_to_usd,
    usd_to_nanos,
)
from dragoman.core.usage import Usage

NANOS = st.integers(0, 10**12)
MAYBE = st.none() | NANOS
COUNT = st.integers(0, 10**7)
MULTIPLIER = st.integers(0, 10**8)
PRICES = st.builds(
    Price,
    input=MAYBE,
    cached_input=MAYBE,
    cache_write_5m=MAYBE,
    cache_write_1h=MAYBE,
    output=MAYBE,
    reasoning=MAYBE,
    per_request=st.integers(0, 10**10),
)


@st.composite
def usages(draw):
    output = draw(COUNT)
    return Usage(
        input=draw(COUNT),
        cached_input=draw(COUNT),
        cache_write_5m=draw(COUNT),
        cache_write_1h=draw(COUNT),
        output=output,
        reasoning=draw(st.integers(0, output)),
    )


def exact(bill) -> Fraction:
    """Quota units before rounding."""
    femtos = sum(line.amount_femtos for line in bill.lines)
    return Fraction(femtos * bill.multiplier_micros, NANOS_PER_QUOTA * 10**12)


@given(PRICES, usages(), MULTIPLIER)
def test_rounded_once_half_up_at_least_one_unit(price, usage, multiplier):
    bill = charge(price, usage, multiplier)
    due = exact(bill)
    assert bill.nanos == bill.quota * NANOS_PER_QUOTA
    if due == 0:
        assert bill.quota == 0
    else:
        assert bill.quota == max(1, int(due + Fraction(1, 2)))
    assert all(line.amount_femtos == line.units * line.price_nanos_per_million for line in bill.lines)


@given(PRICES, usages(), usages(), MULTIPLIER)
def test_monotone(price, usage, more, multiplier):
    larger = Usage(
        input=usage.input + more.input,
        cached_input=usage.cached_input + more.cached_input,
        cache_write_5m=usage.cache_write_5m + more.cache_write_5m,
        cache_write_1h=usage.cache_write_1h + more.cache_write_1h,
        output=usage.output + more.output,
        reasoning=usage.reasoning + more.reasoning,
    )
    assert charge(price, larger, multiplier).quota >= charge(price, usage, multiplier).quota
    assert charge(price, usage, multiplier + 1).quota >= charge(price, usage, multiplier).quota


@given(PRICES, usages(), usages())
def test_additive_before_rounding(price, one, two):
    both = Usage(
        input=one.input + two.input,
        cached_input=one.cached_input + two.cached_input,
        cache_write_5m=one.cache_write_5m + two.cache_write_5m,
        cache_write_1h=one.cache_write_1h + two.cache_write_1h,
        output=one.output + two.output,
        reasoning=one.reasoning + two.reasoning,
        requests=2,
    )
    assert exact(charge(price, both)) == exact(charge(price, one)) + exact(charge(price, two))


@given(PRICES, MULTIPLIER, st.data())
def test_a_strict_hold_covers_the_charge(price, multiplier, data):
    body_bytes, max_output = data.draw(st.integers(0, 10**6)), data.draw(st.integers(0, 10**6))
    held = hold_ceiling(
        price,
        body_bytes=body_bytes,
        max_output=max_output,
        strict=True,
        hold_output_tokens=1,
        max_output_limit=1,
        multiplier_micros=multiplier,
    )
    cached = data.draw(st.integers(0, body_bytes))
    written = data.draw(st.integers(0, body_bytes - cached))
    output = data.draw(st.integers(0, max_output))
    usage = Usage(
        input=body_bytes - cached - written,
        cached_input=cached,
        cache_write_1h=written,
        output=output,
        reasoning=data.draw(st.integers(0, output)),
    )
    assert held % NANOS_PER_QUOTA == 0
    assert held >= charge(price, usage, multiplier).nanos


@given(st.integers(-(10**30), 10**30))
def test_usd_and_nanos_are_inverse(nanos):
    assert usd_to_nanos(nanos_to_usd(nanos)) == nanos


@given(st.integers(0, 10**12))
def test_multipliers_are_exact(micros):
    assert multiplier_micros(f"{micros // 10**6}.{micros % 10**6:06d}") == micros
