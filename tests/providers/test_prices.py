"""Default prices out of genai-prices."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dragoman.core.money import usd_to_nanos
from dragoman.providers import models, prices

NOW = datetime(2026, 11, 21, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-5.4", {"input": "2.5", "cached_input": "0.25", "output": "15"}),
        ("gpt-54", {"input": "2.5", "cached_input": "0.25", "output": "15"}),
        ("gpt-4o", {"input": "2.5", "cached_input": "1.25", "output": "10"}),
        (
            "claude-sonnet-4-6",
            {
                "input": "3",
                "cached_input": "0.3",
                "cache_write_5m": "3.75",
                "cache_write_1h": "6",
                "output": "15",
            },
        ),
        ("gemini-2.5-pro", {"input": "1.25", "cached_input": "0.125", "output": "10"}),
        ("gemini-3-pro", {"input": "2", "cached_input": "0.2", "output": "12"}),
        ("text-embedding-3-large", {"input": "0.13"}),
        (
            "MiniMax-M2.7",
            {"input": "0.3", "cached_input": "0.06", "cache_write_5m": "0.375", "output": "1.2"},
        ),
        ("omni-moderation-latest", {"input": "0", "output": "0"}),
    ],
)
def test_documented_list_prices(model: str, expected: dict[str, str]) -> None:
    assert prices.default_price(model, NOW) == expected


def test_dated_ids_find_their_model_and_gizmos_are_billed_as_gpt_4() -> None:
    assert prices.default_price("claude-haiku-4-5-20251001", NOW) == prices.default_price(
        "claude-haiku-4-5", NOW
    )
    assert prices.default_price("gpt-4-gizmo-g-B3hgivKK9", NOW) == prices.default_price("gpt-4", NOW)


@pytest.mark.parametrize("model", ["gpt-nonsense-9", "claude-foo", "wholly-unknown", "mj_imagine", ""])
def test_no_price_is_invented(model: str) -> None:
    assert prices.default_price(model, NOW) is None


def test_every_price_is_exact_in_nanos() -> None:
    found = prices.table(prices.known_models() | set(models.CATALOGUE), NOW)
    assert len(found) > 400
    for price in found.values():
        assert set(price) <= {
            "input",
            "cached_input",
            "cache_write_5m",
            "cache_write_1h",
            "output",
            "per_request",
        }
        for text in price.values():
            assert usd_to_nanos(text) == Decimal(text) * 10**9


def test_the_hour_of_the_day_does_not_change_a_default_price() -> None:
    wanted = prices.known_models()
    day = [prices.table(wanted, NOW + hour * 3600) for hour in range(0, 24, 6)]
    assert all(table == day[0] for table in day)


def test_known_models() -> None:
    known = prices.known_models()
    assert {"gpt-4o", "claude-opus-4-6", "gemini-2.5-flash"} <= known
    assert all(isinstance(name, str) and name for name in known)


def test_the_updater_is_never_started() -> None:
    before = threading.active_count()
    prices.default_price("gpt-4o", NOW)
    from genai_prices import data_snapshot

    assert threading.active_count() == before
    assert not data_snapshot.get_snapshot().from_auto_update


def test_importing_the_module_does_not_load_the_data() -> None:
    code = "import sys, dragoman.providers.prices; print([m for m in ('genai_prices', 'pydantic') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_table_can_be_made_in_a_child_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dragoman.providers.prices", str(NOW), "gpt-4o", "wholly-unknown"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout) == prices.table(["gpt-4o"], NOW)
