"""Exact conversions, lines, the one rounding, and holds."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dragoman.core import money
from dragoman.core.money import (
    NANOS_PER_QUOTA,
    Line,
    Price,
    charge,
    hold_ceiling,
    multiplier_micros,
    nanos_to_usd,
    usd_to_nanos,
)
from dragoman.core.usage import Usage

ONE = 1_000_000


def test_usd_is_exact():
    assert usd_to_nanos("1") == 10**9
    assert usd_to_nanos("0.000000001") == 1
    assert usd_to_nanos(Decimal("-2.5")) == -2_500_000_000
    assert usd_to_nanos("1e-6") == 1000
    assert usd_to_nanos("1.5000000000000") == 1_500_000_000


@pytest.mark.parametrize("bad", ["0.0000000001", "x", "", "NaN", "Infinity", "1e99"])
def test_usd_refuses(bad):
    with pytest.raises(ValueError):
        usd_to_nanos(bad)


@pytest.mark.parametrize(
    ("quota", "usd"),
    [(3188, "0.006376"), (16605808, "33.211616"), (11000000, "22"), (0, "0"), (-250000, "-0.5")],
)
def test_documented_quota_values(quota, usd):
    assert nanos_to_usd(quota * NANOS_PER_QUOTA) == usd


def test_multiplier():
    assert multiplier_micros("1.0") == ONE
    assert multiplier_micros("0.85") == 850_000
    for bad in ("1.0000001", "-1", "one"):
        with pytest.raises(ValueError):
            multiplier_micros(bad)


def test_lines_and_fallbacks():
    usage = Usage(input=10, cached_input=20, cache_write_5m=30, cache_write_1h=40, output=50, reasoning=5)
    price = Price(input=100, output=1000)
    bill = charge(price, usage)
    assert bill.lines == (
        Line("input", 10, 100, 1000),
        Line("cached_input", 20, 100, 2000),
        Line("cache_write_5m", 30, 100, 3000),
        Line("cache_write_1h", 40, 100, 4000),
        Line("output", 50, 1000, 50000),
    )
    full = charge(
        Price(input=1, cached_input=2, cache_write_5m=3, output=5, reasoning=6, per_request=7), usage
    )
    assert [(line.kind, line.units, line.price_nanos_per_million) for line in full.lines] == [
        ("input", 10, 1),
        ("cached_input", 20, 2),
        ("cache_write_5m", 30, 3),
        ("cache_write_1h", 40, 3),
        ("output", 45, 5),
        ("reasoning", 5, 6),
        ("request", 1, 7_000_000),
    ]


def test_a_known_charge():
    # 1 000 tokens in at 2.50 and 500 out at 10.00 USD per million: 0.0075 USD.
    price = Price(input=usd_to_nanos("2.5"), output=usd_to_nanos("10"))
    bill = charge(price, Usage(input=1000, output=500))
    assert (bill.nanos, bill.quota) == (7_500_000, 3750)
    assert charge(price, Usage(input=1000, output=500), multiplier_micros("1.5")).quota == 5625


@pytest.mark.parametrize(("nanos", "quota"), [(0, 0), (1, 1), (2999, 1), (3000, 2), (4999, 2), (5000, 3)])
def test_rounding_is_half_up_and_at_least_one_unit(nanos, quota):
    bill = charge(Price(per_request=nanos), Usage())
    assert (bill.quota, bill.nanos) == (quota, quota * NANOS_PER_QUOTA)


def test_a_free_multiplier_is_free():
    assert charge(Price(per_request=5000), Usage(), 0).quota == 0


def test_reasoning_beyond_output_bills_nothing_negative():
    bill = charge(Price(output=10**9, reasoning=10**9), Usage(output=3, reasoning=9))
    assert sum(line.units for line in bill.lines) == 3


def hold(price, **changes):
    settings = {
        "body_bytes": 4000,
        "max_output": None,
        "strict": False,
        "hold_output_tokens": 8192,
        "max_output_limit": 100_000,
        "multiplier_micros": ONE,
    }
    return hold_ceiling(price, **(settings | changes))


def test_expected_hold_is_estimate_and_capped_output():
    price = Price(input=10**9, output=10**9)
    assert hold(price) == (1000 + 8192) * 1000 // 2000 * 2000
    assert hold(price, max_output=100) == 1_100_000
    assert hold(price, max_output=100, choices=3) == 1_300_000
    assert hold(price, max_output=100, extra_input_tokens=50) == 1_150_000


def test_strict_hold_is_the_worst_case():
    price = Price(input=10**9, cache_write_1h=2 * 10**9, output=10**9, reasoning=3 * 10**9)
    assert hold(price, strict=True, max_output=10) == 4000 * 2000 + 10 * 3000
    assert hold(price, strict=True) == 4000 * 2000 + 100_000 * 3000


def test_hold_rounds_up_to_units():
    assert hold(Price(per_request=1)) == 2000
    assert hold(Price(per_request=2001)) == 4000
    assert hold(Price()) == 0


def test_decimal_strings_become_exact_nanos() -> None:
    price = money.price_from_strings("v", {"input": "2.50", "output": "15", "per_request": "0.000000001"})
    assert (price.input, price.output, price.per_request, price.cached_input) == (
        2_500_000_000,
        15_000_000_000,
        1,
        None,
    )
    with pytest.raises(ValueError, match="decimals"):
        money.price_from_strings("v", {"input": "0.0000000001"})
