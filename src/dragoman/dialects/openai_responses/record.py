"""The Responses API: all its functions as one record."""

from __future__ import annotations

from typing import Final

from dragoman.dialects.base import ClientSide, Counter, Dialect, UpstreamSide
from dragoman.dialects.openai_responses.answer import read_answer, write_answer
from dragoman.dialects.openai_responses.count import write_count
from dragoman.dialects.openai_responses.fault import write_fault, write_stream_fault
from dragoman.dialects.openai_responses.ids import foreign_ids
from dragoman.dialects.openai_responses.request_reader import read_request
from dragoman.dialects.openai_responses.request_writer import takes_url, write_request
from dragoman.dialects.openai_responses.seals import without_seals
from dragoman.dialects.openai_responses.stream_reader import ResponsesReader
from dragoman.dialects.openai_responses.stream_writer import ResponsesWriter
from dragoman.dialects.openai_responses.usage import ResponsesTap
from dragoman.dialects.openai_responses.wish import with_wish
from dragoman.dialects.vendor_fault import read_fault

OPENAI_RESPONSES: Final = Dialect(
    name="openai_responses",
    tap=ResponsesTap,
    write_fault=write_fault,
    write_stream_fault=write_stream_fault,
    read_fault=read_fault,
    foreign_ids=foreign_ids,
    with_wish=with_wish,
    without_seals=without_seals,
    client=ClientSide(read_request=read_request, write_answer=write_answer, write_stream=ResponsesWriter),
    counter=Counter(read=read_request, write=write_count),
    upstream=UpstreamSide(
        write_request=write_request, read_answer=read_answer, read_stream=ResponsesReader, takes_url=takes_url
    ),
)
