import asyncio

import pytest

from dragoman.core.money import Price, usd_to_nanos
from dragoman.relay import prices

NOW = 1_795_000_000.0


def test_the_packaged_table_prices_what_the_documents_name() -> None:
    table = prices.read_table(NOW)
    assert table["gpt-5.4"].input == usd_to_nanos("2.5") and table["gpt-5.4"].output == usd_to_nanos("15")
    claude = table["claude-sonnet-4-6"]
    assert [claude.input, claude.cache_write_5m, claude.cached_input, claude.output] == [
        usd_to_nanos(x) for x in ("3", "3.75", "0.3", "15")
    ]
    assert table["omni-moderation-latest"].input == 0


def test_an_id_outside_the_table_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read(now: float, *models: str) -> dict[str, Price]:
        asked.extend(models)
        return {"known-later": Price(version="default", input=7)} if "known-later" in models else {}

    monkeypatch.setattr(prices, "read_table", read)

    async def scenario() -> None:
        table = prices.DefaultPrices({"a": Price(version="default", input=1)})
        assert (await table.find("a", NOW)) == Price(version="default", input=1)
        found = await asyncio.gather(
            *[table.find("known-later", NOW) for _ in range(5)], *[table.find("never", NOW) for _ in range(5)]
        )
        assert [f.input if f else None for f in found] == [7] * 5 + [None] * 5
        assert table.cached("known-later") is not None and table.names() == {"a", "known-later"}

    asyncio.run(scenario())
    assert asked == ["known-later", "never"]


def test_a_model_name_is_never_an_option_of_the_child() -> None:
    assert prices.read_table(NOW, "--help") == {}


def test_invented_names_cannot_keep_the_child_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read(now: float, *models: str) -> dict[str, Price]:
        asked.extend(models)
        return {}

    monkeypatch.setattr(prices, "read_table", read)

    async def scenario() -> None:
        table = prices.DefaultPrices({})
        for i in range(500):
            assert await table.find(f"invented-{i}", NOW) is None
        assert len(asked) == prices.QUESTIONS_PER_MINUTE
        await table.find("later", NOW + 61)

    asyncio.run(scenario())
    assert asked[-1] == "later"
