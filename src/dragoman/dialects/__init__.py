"""Dialects: the wire formats that clients and vendors speak, as pure code.

* ``base``          the ``Dialect`` record and what passes between a dialect and the lanes
* ``vendor_fault``  one reader for the error bodies of all vendors
* ``foreign``       the shared walk that finds vendor-side ids in request bodies
* ``plain``         completions, embeddings, moderations; ``completions`` is its client side over chat upstreams
* ``openai_chat`` ``openai_responses`` ``anthropic`` ``gemini``  one package each: usage, fault, ids for the relay lane;
  readers and writers of requests, answers and streams for the translate lane; ``record`` puts them together

Invariants
    A dialect is a record of functions: no class to inherit, no registry to mutate, no I/O, no clock, no state beyond one
    answer. No dialect knows another: they meet in ``core.conversation``. Reading never raises on what a vendor sends; a
    broken *request* raises the ``invalid_request`` fault. What nobody asked to change is never re-encoded.

What does not belong here
    Vendors (paths, credentials, per-model fixes: ``providers``), channels, prices, ownership of ids, HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dragoman.dialects.anthropic.record import ANTHROPIC
from dragoman.dialects.base import Dialect
from dragoman.dialects.gemini.record import GEMINI
from dragoman.dialects.openai_chat.record import OPENAI_CHAT
from dragoman.dialects.openai_responses.record import OPENAI_RESPONSES
from dragoman.dialects.plain import PLAIN

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {dialect.name: dialect for dialect in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, GEMINI, PLAIN)}
)
