"""Prices, charges and holds in whole numbers.

Units: 1 USD = 10**9 nanos = 500 000 quota units, so one quota unit is exactly 2 000 nanos. Prices are
nanos per million tokens; a count times such a price is an exact number of femto-dollars (10**-15 USD),
which is what lines keep. The only rounding is the last step of ``charge``: half up to whole quota units,
at least one if anything was due. Floats never touch money.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from msgspec import Struct

from dragoman.core.usage import Usage, estimate_input_tokens, estimate_output_tokens

__all__ = [
    "NANOS_PER_QUOTA",
    "NANOS_PER_USD",
    "QUOTA_PER_USD",
    "Charge",
    "Line",
    "Price",
    "charge",
    "estimate_input_tokens",
    "estimate_output_tokens",
    "hold_ceiling",
    "multiplier_micros",
    "nanos_to_usd",
    "usd_to_nanos",
]

NANOS_PER_USD: Final = 10**9
NANOS_PER_QUOTA: Final = 2_000
QUOTA_PER_USD: Final = 500_000
MICROS: Final = 10**6
_FEMTOS_PER_NANO: Final = 10**6
# One quota unit in femtos × micros, the unit in which a charge is summed exactly.
_QUOTA_SCALE: Final = NANOS_PER_QUOTA * _FEMTOS_PER_NANO * MICROS


class Price(Struct, frozen=True, kw_only=True):
    """A price row: nanos per million tokens. None falls back: cached and 5 m writes to ``input``, 1 h
    writes to 5 m writes, ``reasoning`` to ``output``; ``input`` or ``output`` None means that side costs
    nothing."""

    version: str = ""
    input: int | None = None
    cached_input: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    per_request: int = 0
    """Nanos for each request, whatever it used."""


class Line(Struct, frozen=True):
    """One line of a charge, exact and before multipliers."""

    kind: str
    units: int
    price_nanos_per_million: int
    amount_femtos: int


class Charge(Struct, frozen=True):
    """What a call costs: exact lines, one multiplier, and the rounded amount (``nanos`` = ``quota`` × 2
    000)."""

    lines: tuple[Line, ...]
    multiplier_micros: int
    nanos: int
    quota: int


def usd_to_nanos(usd: str | Decimal) -> int:
    """Exact nanos of a USD amount. ValueError if it is no number or has more than nine decimals."""
    return _scaled(usd, 9, "USD amount")


def nanos_to_usd(nanos: int) -> str:
    """The plain decimal string of an amount: no exponent, no trailing zeros ("0.006376", "22", "-0.5")."""
    whole, part = divmod(abs(nanos), NANOS_PER_USD)
    text = f"{whole}.{part:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if nanos < 0 else text


def multiplier_micros(multiplier: str) -> int:
    """Exact millionths of a decimal multiplier ("1.0" → 1_000_000). ValueError if negative or finer than
    10**-6."""
    micros = _scaled(multiplier, 6, "multiplier")
    if micros < 0:
        raise ValueError(f"a multiplier cannot be negative: {multiplier!r}")
    return micros


def _scaled(value: str | Decimal, places: int, what: str) -> int:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"not a decimal number: {value!r}") from None
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or exponent > 30 or len(digits) > 60:
        raise ValueError(f"not a usable {what}: {value!r}")
    # Integer arithmetic on the digits: Decimal's own operations would round at the context's precision.
    unscaled = int("".join(map(str, digits)) or "0")
    shift = exponent + places
    if shift >= 0:
        result: int = unscaled * 10**shift
    else:
        result, rest = divmod(unscaled, 10**-shift)
        if rest:
            raise ValueError(f"a {what} has at most {places} decimals: {value!r}")
    return -result if sign else result


def price_from_strings(version: str, strings: Mapping[str, str | None]) -> Price:
    """USD decimal strings (per million tokens; ``per_request`` in USD) → Price. ValueError for a bad number."""

    def nanos(name: str) -> int | None:
        text = strings.get(name)
        return None if text is None else usd_to_nanos(text)

    return Price(
        version=version,
        input=nanos("input"),
        cached_input=nanos("cached_input"),
        cache_write_5m=nanos("cache_write_5m"),
        cache_write_1h=nanos("cache_write_1h"),
        output=nanos("output"),
        reasoning=nanos("reasoning"),
        per_request=nanos("per_request") or 0,
    )


def charge(price: Price, usage: Usage, multiplier_micros: int = MICROS) -> Charge:
    """The charge for ``usage``: the exact sum of its lines × the multiplier, rounded once."""
    lines = tuple(_lines(price, usage))
    exact = sum(line.amount_femtos for line in lines) * multiplier_micros
    quota = (2 * exact + _QUOTA_SCALE) // (2 * _QUOTA_SCALE)
    if exact > 0 and quota == 0:
        quota = 1
    return Charge(lines, multiplier_micros, quota * NANOS_PER_QUOTA, quota)


def _lines(price: Price, usage: Usage) -> list[Line]:
    base = price.input or 0
    write_5m = _or(price.cache_write_5m, base)
    out = price.output or 0
    # Without a price of its own reasoning stays inside the output line.
    apart = min(usage.reasoning, usage.output) if price.reasoning is not None else 0
    wanted = (
        ("input", usage.input, base),
        ("cached_input", usage.cached_input, _or(price.cached_input, base)),
        ("cache_write_5m", usage.cache_write_5m, write_5m),
        ("cache_write_1h", usage.cache_write_1h, _or(price.cache_write_1h, write_5m)),
        ("output", usage.output - apart, out),
        ("reasoning", apart, _or(price.reasoning, out)),
        ("request", usage.requests, price.per_request * MICROS),
    )
    return [Line(kind, units, each, units * each) for kind, units, each in wanted if units > 0 and each > 0]


def _or(value: int | None, fallback: int) -> int:
    return fallback if value is None else value


def hold_ceiling(
    price: Price,
    *,
    body_bytes: int,
    max_output: int | None,
    strict: bool,
    hold_output_tokens: int,
    max_output_limit: int,
    multiplier_micros: int,
    choices: int = 1,
    extra_input_tokens: int = 0,
) -> int:
    """Nanos to hold before the call, whole quota units, rounded up.

    ``strict``: the worst case, one token per byte of the body at the dearest input price, and ``max_output``
    (else ``max_output_limit``) tokens of output. Otherwise the expectation: a quarter token per byte at the
    input price and min(max output, ``hold_output_tokens``). ``choices`` multiplies the output (OpenAI's
    ``n``); ``extra_input_tokens`` is what the body only refers to (stored context, images by URL).
    """
    inputs = [price.input or 0]
    outputs = [price.output or 0, price.reasoning or 0]
    ceiling = max_output_limit if max_output is None else max(0, max_output)
    if strict:
        inputs += [price.cached_input or 0, price.cache_write_5m or 0, price.cache_write_1h or 0]
        tokens_in = body_bytes
    else:
        ceiling = min(ceiling, hold_output_tokens)
        tokens_in = estimate_input_tokens(body_bytes)
    femtos = (tokens_in + extra_input_tokens) * max(inputs) + ceiling * max(1, choices) * max(outputs)
    exact = (femtos + price.per_request * MICROS) * multiplier_micros
    return -(-exact // _QUOTA_SCALE) * NANOS_PER_QUOTA
