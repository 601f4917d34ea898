"""The endpoints of OpenAI that are no conversation: completions, embeddings, moderations.

They share Chat's usage object, error shape and stream terminator, so their tap and faults are Chat's;
they refer to no stored object of the vendor's.
"""

from __future__ import annotations

from dragoman.dialects.base import Dialect
from dragoman.dialects.completions import CLIENT
from dragoman.dialects.openai_chat.fault import write_fault, write_stream_fault
from dragoman.dialects.openai_chat.usage import ChatTap
from dragoman.dialects.vendor_fault import read_fault


def foreign_ids(body: bytes) -> list[tuple[str, str]]:
    """None: nothing in these requests names a stored object."""
    return []


PLAIN = Dialect(
    name="plain",
    tap=ChatTap,
    write_fault=write_fault,
    write_stream_fault=write_stream_fault,
    read_fault=read_fault,
    foreign_ids=foreign_ids,
    client=CLIENT,  # only completions are ever translated
)
