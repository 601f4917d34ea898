"""Thought signatures on the wire: ``thoughtSignature`` of a part, base64 of bytes.

Google's own wire uses the standard alphabet; google-genai decodes it and sends the URL-safe one back, so what comes from
a client is brought back to the standard alphabet before it is looked at.
https://ai.google.dev/gemini-api/docs/thought-signatures names the text that stands for a missing signature.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from dragoman.core.conversation import Signature
from dragoman.core.signatures import Sealed, seal, unseal

DUMMY: Final = base64.b64encode(b"skip_thought_signature_validator").decode()
"""Taken instead of a signature on a call that Gemini did not make itself."""

_PLACEHOLDERS: Final = frozenset(
    {"", DUMMY, "skip_thought_signature_validator", "context_engineering_is_the_way_to_go"}
)
"""What clients put where they have no signature (both documented texts, and the base64 that SDKs make of one)."""

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_STANDARD: Final = str.maketrans("-_", "+/")


def standard(text: str) -> str:
    """base64 in the standard alphabet. The text itself if it already is."""
    return text.translate(_STANDARD) if "-" in text or "_" in text else text


def from_client(text: str) -> Sealed | None:
    """What a client sent back: Gemini's own signature or another vendor's in our seal; None if nothing usable."""
    return None if text in _PLACEHOLDERS else unseal(standard(text), "gemini")


def for_client(signature: Signature | None, *, redacted: bool = False, call: bool = False) -> str:
    """``thoughtSignature`` for a Gemini client; "" for no signature. SDKs refuse what is not base64."""
    if signature is None:
        return ""
    if signature.origin == "gemini":
        return signature.value if is_base64(signature.value) else ""
    return seal(signature, redacted=redacted, call=call)


def for_upstream(signature: Signature | None) -> str:
    """``thoughtSignature`` for Google, "" if another vendor signed or the value is damaged: it would be a 400."""
    if signature is None or signature.origin != "gemini" or not is_base64(signature.value):
        return ""
    return signature.value


def is_base64(text: str) -> bool:
    """Either alphabet, padded or not."""
    if _BASE64.fullmatch(text) is None:
        return False
    plain = text.rstrip("=")
    return len(plain) % 4 != 1 and (len(plain) == len(text) or len(text) % 4 == 0)
