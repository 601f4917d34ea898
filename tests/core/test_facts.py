"""Effort words and budgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.facts import EFFORTS, budget_of, effort_of, nearest_effort


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(0, "none"), (1024, "low"), (4000, "medium"), (16_000, "high"), (40_000, "xhigh")],
)
def test_effort_of_a_budget(budget, effort):
    assert effort_of(budget) == effort


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_are_never_less_effort(one, other):
    low, high = sorted((one, other))
    assert EFFORTS.index(effort_of(low)) <= EFFORTS.index(effort_of(high))


def test_budgets_rise_with_the_words():
    budgets = [budget_of(word) for word in EFFORTS]
    assert budgets == sorted(budgets)
    assert [budget_of(word) for word in ("low", "medium", "high")] == [1024, 8192, 24_576]


@pytest.mark.parametrize(
    ("wanted", "listed", "word"),
    [
        ("high", ("low", "medium", "high"), "high"),
        ("minimal", ("low", "medium", "high"), "low"),
        ("max", ("low", "medium", "high"), "high"),
        ("xhigh", ("low", "medium", "high", "max"), "high"),
        ("low", ("none", "high"), "high"),
        ("none", ("none", "low"), "none"),
        ("none", ("low", "high"), "low"),
        ("strange", ("low", "high"), "low"),
        ("high", (), ""),
        ("high", ("none",), "none"),
    ],
)
def test_nearest_effort(wanted, listed, word):
    assert nearest_effort(wanted, listed) == word
