"""Chat Completions: all its functions as one record."""

from __future__ import annotations

from typing import Final

from dragoman.dialects.base import ClientSide, Dialect, UpstreamSide
from dragoman.dialects.openai_chat.answer import read_answer, write_answer
from dragoman.dialects.openai_chat.fault import write_fault, write_stream_fault
from dragoman.dialects.openai_chat.ids import foreign_ids
from dragoman.dialects.openai_chat.parts import takes_url
from dragoman.dialects.openai_chat.request_reader import read_request
from dragoman.dialects.openai_chat.request_writer import write_request
from dragoman.dialects.openai_chat.stream_reader import ChatReader
from dragoman.dialects.openai_chat.stream_writer import ChatWriter
from dragoman.dialects.openai_chat.usage import ChatTap
from dragoman.dialects.openai_chat.wish import with_wish
from dragoman.dialects.vendor_fault import read_fault

OPENAI_CHAT: Final = Dialect(
    name="openai_chat",
    tap=ChatTap,
    write_fault=write_fault,
    write_stream_fault=write_stream_fault,
    read_fault=read_fault,
    foreign_ids=foreign_ids,
    with_wish=with_wish,
    client=ClientSide(read_request=read_request, write_answer=write_answer, write_stream=ChatWriter),
    upstream=UpstreamSide(
        write_request=write_request, read_answer=read_answer, read_stream=ChatReader, takes_url=takes_url
    ),
)
