"""What makes two requests parts of one conversation: they should meet the same channel and account, whose prompt cache
knows the beginning already.

The fingerprint seeds the draw among equal channels (``routing.select.order``), so it needs no memory and every process
comes to the same channel. An explicit ``prompt_cache_key`` or session id counts alone; otherwise the model, the
instructions and everything up to the first user message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from dragoman.core.envelope import BAD_JSON
from dragoman.routing.plan import Call

SESSION_HEADERS: Final = (b"session-id", b"session_id", b"x-session-id", b"x-claude-code-session-id")


class _Message(Struct):
    role: Any = None
    content: Raw = Raw()
    parts: Raw = Raw()


class _Opening(Struct):
    prompt_cache_key: Any = None
    system: Raw = Raw()
    instructions: Raw = Raw()
    systemInstruction: Raw = Raw()  # noqa: N815 (Google's name)
    system_instruction: Raw = Raw()
    prompt: Raw = Raw()
    messages: list[_Message] | None = None
    contents: list[_Message] | None = None
    input: str | list[_Message] | None = None


_DECODER: Final = msgspec.json.Decoder(_Opening)


def fingerprint(call: Call, body: bytes) -> bytes | None:
    """32 bytes that are equal for requests of one conversation; None where that cannot be told."""
    headers: Mapping[bytes, bytes] = dict(call.headers)
    session = next((headers[name] for name in SESSION_HEADERS if headers.get(name)), b"")
    try:
        opening = _DECODER.decode(body)
    except BAD_JSON:
        return None
    hashed = hashlib.blake2b(call.model.encode("utf-8", "surrogatepass"), digest_size=32)
    key = opening.prompt_cache_key
    if isinstance(key, str) and key:
        session = key.encode("utf-8", "surrogatepass")
    if session:
        hashed.update(b"\0%d\0" % call.key.user_id + session)
        return hashed.digest()
    for part in (
        opening.system,
        opening.instructions,
        opening.systemInstruction,
        opening.system_instruction,
        opening.prompt,
    ):
        hashed.update(b"\0" + bytes(part))
    if isinstance(opening.input, str):
        hashed.update(opening.input.encode("utf-8", "surrogatepass"))
        return hashed.digest()
    for message in opening.messages or opening.contents or opening.input or ():
        hashed.update(b"\0%b\0%b" % (bytes(message.content), bytes(message.parts)))
        if message.role in ("user", None):
            break
    return hashed.digest()
