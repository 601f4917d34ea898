"""Dialects: the wire formats that clients and vendors speak, as pure code.

* ``base``          the ``Dialect`` record, the ``Tap`` protocol, small readers of untyped JSON
* ``vendor_fault``  one reader for the error bodies of all vendors
* ``foreign``       the shared walk that finds vendor-side ids in request bodies
* ``plain``         completions, embeddings, moderations
* ``openai_chat`` ``openai_responses`` ``anthropic`` ``gemini``  one package each, split by kind (usage,
fault, ids)

Invariants
    A dialect is a record of functions: no class to inherit, no registry to mutate, no I/O, no clock, no
    state beyond one answer's tap. Reading never raises on what a vendor sends; a broken *request* raises
    the ``invalid_request`` fault. What nobody asked to change is never re-encoded.

What does not belong here
    Vendors (paths, credentials, per-model fixes: ``providers``), channels, prices, ownership of ids, HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dragoman.dialects.anthropic import fault as anthropic_fault
from dragoman.dialects.anthropic import ids as anthropic_ids
from dragoman.dialects.anthropic.usage import AnthropicTap
from dragoman.dialects.base import Dialect
from dragoman.dialects.gemini import fault as gemini_fault
from dragoman.dialects.gemini import ids as gemini_ids
from dragoman.dialects.gemini.usage import GeminiTap
from dragoman.dialects.openai_chat import fault as chat_fault
from dragoman.dialects.openai_chat import ids as chat_ids
from dragoman.dialects.openai_chat.usage import ChatTap
from dragoman.dialects.openai_responses import fault as responses_fault
from dragoman.dialects.openai_responses import ids as responses_ids
from dragoman.dialects.openai_responses.usage import ResponsesTap
from dragoman.dialects.plain import PLAIN
from dragoman.dialects.vendor_fault import read_fault

OPENAI_CHAT: Final = Dialect(
    name="openai_chat",
    tap=ChatTap,
    write_fault=chat_fault.write_fault,
    write_stream_fault=chat_fault.write_stream_fault,
    read_fault=read_fault,
    foreign_ids=chat_ids.foreign_ids,
)
OPENAI_RESPONSES: Final = Dialect(
    name="openai_responses",
    tap=ResponsesTap,
    write_fault=responses_fault.write_fault,
    write_stream_fault=responses_fault.write_stream_fault,
    read_fault=read_fault,
    foreign_ids=responses_ids.foreign_ids,
)
ANTHROPIC: Final = Dialect(
    name="anthropic",
    tap=AnthropicTap,
    write_fault=anthropic_fault.write_fault,
    write_stream_fault=anthropic_fault.write_stream_fault,
    read_fault=read_fault,
    foreign_ids=anthropic_ids.foreign_ids,
)
GEMINI: Final = Dialect(
    name="gemini",
    tap=GeminiTap,
    write_fault=gemini_fault.write_fault,
    write_stream_fault=gemini_fault.write_stream_fault,
    read_fault=read_fault,
    foreign_ids=gemini_ids.foreign_ids,
)

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {dialect.name: dialect for dialect in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, GEMINI, PLAIN)}
)
