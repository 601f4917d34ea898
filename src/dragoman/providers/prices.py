"""Default prices, read from the packaged data of genai-prices (MIT, pydantic/genai-prices).

The package is imported inside ``table`` only: it brings pydantic and some 30 MB of objects, and nobody
needs it while requests are served. ``table`` returns plain strings, so that a caller may also run this
module in a child process (``python -m dragoman.providers.prices``), keep the JSON and never load the
package itself. Its updater, the only part that touches the network, is never started.

A price is a dict of decimal strings, USD per million tokens: ``input``, ``cached_input``,
``cache_write_5m``, ``cache_write_1h``, ``output``, and ``per_request`` in USD; a member is absent where the
data has none. Of tiered prices the base tier is told; of dated prices those in force at the given moment;
discounts by time of day are ignored, because a default price must not depend on the hour at which a
configuration was read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from dragoman.providers import models

PriceStrings = dict[str, str]

# Vendor of the catalogue -> genai-prices provider ids, first hit wins. Resellers never price a vendor's own
# model.
_PRICED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "anthropic": ("anthropic",),
    "openai": ("openai",),
    "google": ("google",),
    "xai": ("x-ai",),
    "deepseek": ("deepseek",),
    "mistral": ("mistral",),
    "cohere": ("cohere",),
    "perplexity": ("perplexity",),
    "moonshot": ("moonshotai",),
    "minimax": ("minimax",),
    "zhipu": ("zai", "zhipuai"),
    "other": ("voyageai", "groq"),
}
_MEMBERS: Final = (
    ("input", "input_mtok"),
    ("cached_input", "cache_read_mtok"),
    ("cache_write_5m", "cache_write_mtok"),
    ("cache_write_1h", "cache_write_1h_mtok"),
    ("output", "output_mtok"),
)

# Named by the product's documents where the packaged data has another model, or none (USD per million tokens,
# vendors' list prices of 2026-04-27).
_DOCUMENTED: Final[Mapping[str, PriceStrings]] = {
    "gemini-3-pro": {"input": "2", "cached_input": "0.2", "output": "12"},
    "glm-5": {"input": "1", "cached_input": "0.2", "output": "3.2"},
    "MiniMax-M2.7": {"input": "0.3", "cached_input": "0.06", "cache_write_5m": "0.375", "output": "1.2"},
    # OpenAI serves moderations free of charge (platform.openai.com/docs/guides/moderation).
    "omni-moderation-latest": {"input": "0", "output": "0"},
    "text-moderation-latest": {"input": "0", "output": "0"},
}


def table(wanted: Iterable[str], now: float) -> dict[str, PriceStrings]:
    """Default prices of the wanted model ids at ``now`` (unix seconds); ids without one are left out.

    An id is matched by the vendor's own rules, so dated snapshots (``claude-haiku-4-5-20251001``) find
    their model.
    """
    find = _finder(now)
    found: dict[str, PriceStrings] = {}
    for model in wanted:
        price = find(model)
        if price:
            found[model] = price
    return found


def default_price(model: str, now: float) -> PriceStrings | None:
    """Default price of one model, or None. For many models use ``table``."""
    return _finder(now)(model)


def known_models() -> frozenset[str]:
    """Every id that the packaged data names for the vendors of the catalogue: known, though perhaps not
    served.
    """
    names: set[str] = set()
    for provider in _providers().values():
        for model in provider.models:
            names.add(model.id)
            names.update(_exact_names(model.match))
    return frozenset(names)


def _providers() -> dict[str, Any]:
    from genai_prices.data_snapshot import get_snapshot

    wanted = {name for names in _PRICED_BY.values() for name in names}
    return {provider.id: provider for provider in get_snapshot().providers if provider.id in wanted}


def _exact_names(clause: Any) -> Iterable[str]:
    equals = getattr(clause, "equals", None)
    if isinstance(equals, str):
        yield equals
    for part in getattr(clause, "or_", None) or ():
        yield from _exact_names(part)


def _finder(now: float) -> Callable[[str], PriceStrings | None]:
    providers = _providers()
    moment = datetime.fromtimestamp(now, UTC)

    def find(model: str) -> PriceStrings | None:
        name = (
            "gpt-4" if model.startswith("gpt-4-gizmo-") else models.resolve(model)
        )  # documented: billed as GPT-4
        for provider_id in _PRICED_BY.get(models.describe(name).owner, ()):
            provider = providers.get(provider_id)
            match = provider.find_model(name) if provider is not None else None
            if match is not None:
                price = _strings(_in_force(match.prices, moment))
                if "input" in price or "per_request" in price:
                    return price
        return _DOCUMENTED.get(name)

    return find


def _in_force(prices: Any, moment: datetime) -> Any:
    """The price set at ``moment``: the last dated one that has begun; sets bound to hours of the day are
    passed over.
    """
    if not isinstance(prices, list):
        return prices
    dated = [entry for entry in prices if not hasattr(entry.constraint, "start_time")] or prices
    begun = [entry for entry in dated if entry.constraint is None or entry.constraint.active(moment)]
    return (begun or dated)[-1 if begun else 0].prices


def _strings(prices: Any) -> PriceStrings:
    found = {ours: _decimal(getattr(prices, theirs, None)) for ours, theirs in _MEMBERS}
    thousand = _decimal(getattr(prices, "requests_kcount", None))
    if thousand:
        found["per_request"] = format((Decimal(thousand) / 1000).normalize(), "f")
    return {name: value for name, value in found.items() if value}


def _decimal(value: Any) -> str:
    base = getattr(value, "base", value)
    return format(base.normalize(), "f") if isinstance(base, Decimal) else ""


def main(arguments: list[str]) -> int:
    """``python -m dragoman.providers.prices NOW MODEL…``: the table as JSON on standard output; no model:
    all known.
    """
    now = float(arguments[0])
    wanted = arguments[1:] or sorted(known_models() | set(models.CATALOGUE))
    sys.stdout.write(msgspec.json.encode(table(wanted, now)).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
