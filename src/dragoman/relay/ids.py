"""Request ids: ``req_`` and 24 characters of ``a-z2-7``, sortable by time, unguessable.

The first ten are the unix time in milliseconds, the other fourteen (70 bits) are random. A request's id is also the id
of its hold, and comes back in ``x-request-id``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_BYTES: Final = 9
_AT_ONCE: Final = 256
_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"  # ascending in ASCII, so that text order is time order
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


def request_id(now: float, entropy: bytes) -> str:
    """An id for ``now`` (unix seconds) with 9 bytes of ``entropy``."""
    number = (int(now * 1000) << 70) | (int.from_bytes(entropy, "big") & ((1 << 70) - 1))
    pairs = [""] * 12
    for i in range(11, -1, -1):
        pairs[i] = _PAIRS[number & 1023]
        number >>= 10
    return "req_" + "".join(pairs)


class RequestIds:
    """Ids as they are asked for: ``clock`` gives unix seconds, ``entropy`` so many random bytes.

    The kernel is asked for the randomness of many ids at once: a call of its own for each would cost more than all the rest
    of an id. What was given out is not kept.
    """

    def __init__(self, clock: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self._clock, self._entropy = clock, entropy
        self._stock: list[bytes] = []

    def __call__(self) -> str:
        if not self._stock:
            pool = self._entropy(_BYTES * _AT_ONCE)
            self._stock = [pool[at : at + _BYTES] for at in range(0, len(pool), _BYTES)]
        return request_id(self._clock(), self._stock.pop())
