"""Foreign signatures on their way through a client that speaks another dialect.

A signature that the client's own dialect made travels bare. One of another origin is sealed: base64 of
``dragoman1 NUL origin NUL flags NUL id NUL value``, so it fits wherever a dialect keeps opaque text (Anthropic ``signature``
and ``redacted_thinking.data``, Gemini ``thoughtSignature``, Responses ``encrypted_content``, chat ``reasoning_details``),
and comes back with its origin. The seal is a label, not a secret. The fixed beginning of every seal lets the relay lane
find bodies that carry one with a single search (``MARK``).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final, cast, get_args

from msgspec import Struct

from dragoman.core.conversation import Origin, Signature

_MAGIC: Final = b"dragoman1"
MARK: Final = base64.b64encode(
    _MAGIC
).decode()  # 9 bytes are exactly 12 characters: every seal begins with them
UNSIGNED: Final = Signature(origin="openai_chat", value="-")
"""Sealed in the place of a signature by dialects that take unsigned reasoning for a reference to a stored item."""
_ORIGINS: Final = frozenset(get_args(Origin))


class Sealed(Struct, frozen=True):
    """A signature read back. redacted: it is a whole redacted block. call: it belongs to the tool call that follows."""

    signature: Signature
    redacted: bool = False
    call: bool = False


def seal(signature: Signature, *, redacted: bool = False, call: bool = False) -> str:
    """The signature as one base64 text for a client of another dialect."""
    flags = ("r" if redacted else "") + ("c" if call else "")
    parts = (signature.origin, flags, signature.id.replace("\0", ""), signature.value)
    text = b"\0".join((_MAGIC, *(part.encode("utf-8", "surrogatepass") for part in parts)))
    return base64.b64encode(text).decode()


def unseal(text: str, origin: Origin) -> Sealed | None:
    """What ``text`` holds: a seal of ours, or a bare signature of ``origin``. None if it is empty or a damaged seal."""
    if not text:
        return None
    if not text.startswith(MARK):
        return Sealed(Signature(origin=origin, value=text))
    try:
        # Gemini's SDKs hold signatures as bytes and write them back in the URL-safe alphabet.
        plain = text.replace("-", "+").replace("_", "/")
        whole = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        _, made_by, flags, signature_id, value = whole.decode("utf-8", "surrogatepass").split("\0", 4)
    except (binascii.Error, ValueError):
        return None
    if made_by not in _ORIGINS or not value:
        return None
    signature = Signature(origin=cast(Origin, made_by), value=value, id=signature_id)
    return Sealed(signature, "r" in flags, "c" in flags)
