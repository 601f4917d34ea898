"""Other vendors' reasoning is taken out of a relayed request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.core.conversation import Signature
from dragoman.core.faults import Fault
from dragoman.core.signatures import MARK, seal
from dragoman.dialects.openai_responses.seals import without_seals

FOREIGN = seal(Signature(origin="anthropic", value="U0lH"))
OWN = seal(Signature(origin="openai_responses", value="gAAA", id="rs_vendor"))
USER = b'{ "role":"user", "content":"hi", "n":1.50 }'


def request(*items: bytes) -> bytes:
    return b'{"model":"m", "input" : [' + b",".join(items) + b'], "x":12345678901234567890123}'


def reasoning(content: str) -> bytes:
    return json.dumps(
        {"type": "reasoning", "id": "rs_ours", "summary": [], "encrypted_content": content}
    ).encode()


def test_foreign_reasoning_goes_and_all_else_keeps_its_bytes() -> None:
    assert without_seals(request(USER, reasoning(FOREIGN), reasoning("gBBB"))) == request(
        USER, reasoning("gBBB")
    )
    assert without_seals(request(reasoning(MARK + "damaged!"), USER)) == request(USER)


def test_own_reasoning_gets_its_id_and_content_back() -> None:
    item: dict[str, Any] = json.loads(without_seals(request(USER, reasoning(OWN))))["input"][1]
    assert item == {"type": "reasoning", "id": "rs_vendor", "summary": [], "encrypted_content": "gAAA"}


@pytest.mark.parametrize(
    "body",
    [
        request(USER),
        request(b'{"role":"user","content":"' + FOREIGN.encode() + b'"}'),
        request(b'{"type":"reasoning","encrypted_content":1,"x":"' + FOREIGN.encode() + b'"}'),
        b'{"input":"' + FOREIGN.encode() + b'"}',
        b'{"instructions":"' + FOREIGN.encode() + b'","input":[]}',
    ],
)
def test_what_is_no_seal_is_the_body_itself(body: bytes) -> None:
    assert without_seals(body) is body


@pytest.mark.parametrize(
    "body", [MARK.encode(), request(b"[" * 3000 + b'"' + FOREIGN.encode() + b'"' + b"]" * 3000)]
)
def test_bad_json_is_a_fault(body: bytes) -> None:
    with pytest.raises(Fault):
        without_seals(body)
