"""Seals: what goes in comes out, and nothing else does."""

from __future__ import annotations

import base64
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import Origin, Signature
from dragoman.core.signatures import MARK, Sealed, seal, unseal

ids = st.text(st.characters(exclude_characters="\0"), max_size=20)
signatures = st.builds(
    Signature, origin=st.sampled_from(get_args(Origin)), value=st.text(min_size=1, max_size=80), id=ids
)


@given(signatures, st.booleans(), st.booleans(), st.sampled_from(get_args(Origin)))
def test_round_trip(signature, redacted, call, reader):
    text = seal(signature, redacted=redacted, call=call)
    assert text.startswith(MARK) and text.isascii()
    assert unseal(text, reader) == Sealed(signature, redacted, call)


@given(signatures)
def test_sdks_may_write_base64_their_own_way(signature):
    """google-genai holds signatures as bytes and writes them URL-safe; padding may be lost on the way."""
    text = seal(signature)
    urlsafe = base64.urlsafe_b64encode(base64.b64decode(text)).decode()
    assert unseal(urlsafe, "gemini") == unseal(text.rstrip("="), "gemini") == Sealed(signature)


@given(st.text())
def test_anything_else_is_bare_and_nothing_raises(text):
    if text and not text.startswith(MARK):
        assert unseal(text, "gemini") == Sealed(Signature(origin="gemini", value=text))
    unseal(MARK + text, "gemini")


def test_damaged_seals_are_nothing():
    whole = seal(Signature(origin="anthropic", value="secret"))
    assert unseal("", "gemini") is None
    assert unseal(MARK, "gemini") is None
    assert unseal(whole[:20], "gemini") is None
    assert unseal(MARK + "ä", "gemini") is None
    forged = base64.b64encode(b"dragoman1\0nobody\0\0\0value").decode()
    assert unseal(forged, "gemini") is None
    empty = base64.b64encode(b"dragoman1\0gemini\0\0\0").decode()
    assert unseal(empty, "gemini") is None


def test_an_id_cannot_shift_the_value():
    sealed = unseal(seal(Signature(origin="gemini", value="v", id="a\0b")), "gemini")
    assert sealed is not None and sealed.signature == Signature(origin="gemini", value="v", id="ab")
