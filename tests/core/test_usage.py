"""Counts, the split of a prompt and the documented estimate."""

from __future__ import annotations

import math

import pytest

from dragoman.core.usage import (
    MAX_COUNT,
    Usage,
    count,
    estimate,
    estimate_input_tokens,
    estimate_output_tokens,
    split_prompt,
)


def test_prompt_and_total_are_sums_of_disjoint_parts():
    usage = Usage(input=1, cached_input=2, cache_write_5m=4, cache_write_1h=8, output=16, reasoning=9)
    assert (usage.prompt, usage.total) == (15, 31)


@pytest.mark.parametrize(
    "garbage", [None, "5", -1, -0.5, 1.5, True, [], {}, math.nan, math.inf, -math.inf, MAX_COUNT + 1, 10**40]
)
def test_garbage_is_no_count(garbage):
    assert count(garbage) is None


def test_integral_floats_count():
    assert count(3.0) == 3
    assert count(0) == 0


def test_split_prompt_never_exceeds_the_whole():
    assert split_prompt(100, cached=30, write_5m=20, write_1h=10) == (40, 30, 20, 10)
    assert split_prompt(10, cached=30, write_5m=20) == (0, 10, 0, 0)


def test_estimates_round_up():
    assert [estimate_input_tokens(n) for n in (0, 1, 4, 5, -3)] == [0, 1, 1, 2, 0]
    assert estimate_output_tokens(9) == 3


def test_estimate_keeps_a_known_prompt_and_raises_the_output():
    known = Usage(input=50, cached_input=7, output=1)
    assert estimate(known, body_bytes=4000, output_bytes=40) == Usage(
        input=50, cached_input=7, output=10, estimated=True
    )
    assert estimate(Usage(input=5, output=99), body_bytes=0, output_bytes=0).output == 99
    assert estimate(None, body_bytes=10, output_bytes=5) == Usage(input=3, output=2, estimated=True)
