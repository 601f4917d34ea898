"""The relay lane takes other vendors' seals out of a body for Google."""

from __future__ import annotations

import json

from dragoman.core.conversation import Signature
from dragoman.core.signatures import seal
from dragoman.dialects.gemini.seals import without_seals

FOREIGN = seal(Signature(origin="anthropic", value="S"))
OWN = seal(Signature(origin="gemini", value="aGVsbG8="))


def test_only_seals_go():
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "q"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True, "thoughtSignature": FOREIGN},
                    {"text": "", "thoughtSignature": FOREIGN},
                    {"text": "x", "thought_signature": FOREIGN},
                    {
                        "functionCall": {"name": "f", "args": {"n": 12345678901234567890123}},
                        "thoughtSignature": FOREIGN,
                    },
                    {"functionCall": {"name": "g"}, "thoughtSignature": OWN},
                    {"text": "y", "thoughtSignature": "aGVsbG8="},
                ],
            },
            {"role": "model", "parts": [{"text": "only", "thought": True, "thoughtSignature": FOREIGN}]},
        ],
        "safetySettings": [],
    }
    told = json.loads(without_seals(json.dumps(body).encode()))
    assert told == {
        "contents": [
            {"role": "user", "parts": [{"text": "q"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "x"},
                    {"functionCall": {"name": "f", "args": {"n": 12345678901234567890123}}},
                    {"functionCall": {"name": "g"}, "thoughtSignature": "aGVsbG8="},
                    {"text": "y", "thoughtSignature": "aGVsbG8="},
                ],
            },
        ],
        "safetySettings": [],
    }


def test_a_body_without_seals_keeps_its_bytes():
    for body in (
        b'{ "contents": [ {"parts": [{"text": "' + FOREIGN.encode() + b'"}]} ] }',
        b'{"contents": {"parts": {"text": "x", "thoughtSignature": "aGVsbG8="}}}',
        b'{"contents": 3}',
        b'{"contents": [3, {"parts": [3, "x"]}]}',
        b"[]",
        b"{",
    ):
        assert without_seals(body) is body


def test_single_objects():
    body = b'{"contents": {"parts": {"text": "x", "thoughtSignature": "' + FOREIGN.encode() + b'"}}}'
    assert json.loads(without_seals(body)) == {"contents": [{"parts": [{"text": "x"}]}]}
