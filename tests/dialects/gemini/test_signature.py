"""Thought signatures (E125, E129)."""

from __future__ import annotations

import base64

import pytest

from dragoman.core.conversation import Signature
from dragoman.core.signatures import seal
from dragoman.dialects.gemini.signature import DUMMY, for_client, for_upstream, from_client, is_base64

FOREIGN = Signature(origin="anthropic", value="ErUB-not~base64", id="")


@pytest.mark.parametrize("text", ["aGVsbG8", "aGVsbG8=", "aGk_-w==", "aGk/+w==", DUMMY])
def test_base64(text):
    assert is_base64(text)
    assert for_upstream(Signature(origin="gemini", value=text)) == text


@pytest.mark.parametrize("text", ["not!valid!!", "", "aGVsb", "aGVsbG8==", "a b", "===="])
def test_what_is_not_base64_is_dropped(text):
    assert not is_base64(text)
    assert for_upstream(Signature(origin="gemini", value=text)) == ""
    assert for_client(Signature(origin="gemini", value=text)) == ""


def test_other_vendors_signatures():
    assert for_upstream(FOREIGN) == ""
    assert for_upstream(None) == ""
    told = for_client(FOREIGN, redacted=True)
    # google-genai decodes what it gets and sends the URL-safe alphabet back
    sent = base64.urlsafe_b64encode(base64.b64decode(told)).decode()
    sealed = from_client(sent)
    assert sealed is not None
    assert sealed.signature == FOREIGN
    assert sealed.redacted


def test_own_signatures_come_back_in_the_standard_alphabet():
    sealed = from_client("aGk_-w==")
    assert sealed is not None
    assert sealed.signature == Signature(origin="gemini", value="aGk/+w==")
    assert from_client("") is None
    assert from_client(seal(FOREIGN)[:-3]) is None


def test_the_dummy_is_the_base64_of_its_words():
    assert base64.b64decode(DUMMY) == b"skip_thought_signature_validator"
