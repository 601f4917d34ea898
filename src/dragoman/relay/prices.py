"""Default prices: the packaged price data, read in a child process so that the server never carries it.

The whole table comes at start (about 40 KB of JSON); an id that is not in it, such as a dated snapshot of a model behind
a wildcard channel, is asked for once and remembered, whatever the answer.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping

import msgspec

from dragoman.core.money import Price, price_from_strings

_decode = msgspec.json.Decoder(dict[str, dict[str, str]]).decode
CHILD_TIMEOUT_S = 20
QUESTIONS_PER_MINUTE = 60


class DefaultPrices:
    """Model id → Price, for ids that no configured price row covers."""

    def __init__(self, table: Mapping[str, Price], *, memory: int = 10_000) -> None:
        self._table: dict[str, Price | None] = dict(table)
        self._memory = len(table) + memory
        self._asking = asyncio.Lock()
        self._asked: list[float] = []

    def cached(self, model: str) -> Price | None:
        """The price, if it is known without asking."""
        return self._table.get(model)

    def names(self) -> frozenset[str]:
        """Ids that have a default price: known models, though perhaps not served."""
        return frozenset(m for m, p in self._table.items() if p is not None)

    async def find(self, model: str, now: float) -> Price | None:
        """The price, asking for it once. One child at a time: a client cannot make a crowd of them."""
        if model in self._table:
            return self._table[model]
        async with self._asking:
            if model not in self._table:
                # invented names must not keep the child busy: so many questions a minute, and no more
                self._asked = [t for t in self._asked if t > now - 60]
                if len(self._asked) >= QUESTIONS_PER_MINUTE:
                    return None
                self._asked.append(now)
                found = await asyncio.to_thread(read_table, now, model)
                if len(self._table) >= self._memory:
                    return found.get(model)
                self._table[model] = found.get(model)
            return self._table[model]


def read_table(now: float, *models: str) -> dict[str, Price]:
    """Run the reader: all known ids, or the given ones. A failure leaves the table empty: configured prices still hold."""
    names = [m for m in models if not m.startswith("-") and "\0" not in m]
    if models and not names:
        return {}
    command = [sys.executable, "-m", "dragoman.providers.prices", str(now), *names]
    try:
        done = subprocess.run(  # noqa: S603 (our own module; names are arguments, never options)
            command, capture_output=True, timeout=CHILD_TIMEOUT_S, check=True
        )
        strings = _decode(done.stdout)
    except (subprocess.SubprocessError, OSError, msgspec.DecodeError):
        return {}
    return {m: price_from_strings("default", s) for m, s in strings.items()}
