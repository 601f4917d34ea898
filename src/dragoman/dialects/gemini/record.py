"""Gemini generateContent: all its functions as one record."""

from __future__ import annotations

from typing import Final

from dragoman.dialects.base import ClientSide, Counter, Dialect, UpstreamSide
from dragoman.dialects.gemini.answer import read_answer, write_answer
from dragoman.dialects.gemini.count import read_count, write_count
from dragoman.dialects.gemini.fault import write_fault, write_stream_fault
from dragoman.dialects.gemini.ids import foreign_ids
from dragoman.dialects.gemini.request_reader import read_request
from dragoman.dialects.gemini.request_writer import takes_url, write_request
from dragoman.dialects.gemini.seals import without_seals
from dragoman.dialects.gemini.stream_reader import GeminiReader
from dragoman.dialects.gemini.stream_writer import GeminiWriter
from dragoman.dialects.gemini.usage import GeminiTap
from dragoman.dialects.gemini.wish import with_wish
from dragoman.dialects.vendor_fault import read_fault

GEMINI: Final = Dialect(
    name="gemini",
    tap=GeminiTap,
    write_fault=write_fault,
    write_stream_fault=write_stream_fault,
    read_fault=read_fault,
    foreign_ids=foreign_ids,
    with_wish=with_wish,
    without_seals=without_seals,
    client=ClientSide(read_request=read_request, write_answer=write_answer, write_stream=GeminiWriter),
    counter=Counter(read=read_count, write=write_count),
    upstream=UpstreamSide(
        write_request=write_request, read_answer=read_answer, read_stream=GeminiReader, takes_url=takes_url
    ),
)
