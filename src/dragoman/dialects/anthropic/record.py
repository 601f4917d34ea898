"""Anthropic Messages: all its functions as one record."""

from __future__ import annotations

from typing import Final

from dragoman.dialects.anthropic.answer import read_answer, write_answer
from dragoman.dialects.anthropic.count import read_count, write_count
from dragoman.dialects.anthropic.fault import write_fault, write_stream_fault
from dragoman.dialects.anthropic.ids import foreign_ids
from dragoman.dialects.anthropic.request_reader import read_request
from dragoman.dialects.anthropic.request_writer import write_request
from dragoman.dialects.anthropic.seals import without_seals
from dragoman.dialects.anthropic.sources import takes_url
from dragoman.dialects.anthropic.stream_reader import AnthropicReader
from dragoman.dialects.anthropic.stream_writer import AnthropicWriter
from dragoman.dialects.anthropic.usage import AnthropicTap
from dragoman.dialects.anthropic.wish import with_wish
from dragoman.dialects.base import ClientSide, Counter, Dialect, UpstreamSide
from dragoman.dialects.vendor_fault import read_fault

ANTHROPIC: Final = Dialect(
    name="anthropic",
    tap=AnthropicTap,
    write_fault=write_fault,
    write_stream_fault=write_stream_fault,
    read_fault=read_fault,
    foreign_ids=foreign_ids,
    with_wish=with_wish,
    without_seals=without_seals,
    client=ClientSide(read_request=read_request, write_answer=write_answer, write_stream=AnthropicWriter),
    counter=Counter(read=read_count, write=write_count),
    upstream=UpstreamSide(
        write_request=write_request, read_answer=read_answer, read_stream=AnthropicReader, takes_url=takes_url
    ),
)
