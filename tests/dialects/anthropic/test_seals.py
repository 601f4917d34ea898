"""Other vendors' reasoning is taken out of requests; everything else keeps its bytes."""

from __future__ import annotations

import json

from dragoman.core.conversation import Signature
from dragoman.core.signatures import seal
from dragoman.dialects.anthropic.seals import without_seals

FOREIGN = seal(Signature(origin="gemini", value="c2ln"), call=True)


def body(*messages):
    inner = ", ".join(messages)
    return f'{{"model" : "m", "odd":1.50, "messages": [{inner}], "max_tokens":9}}'.encode()


def thinking(signature):
    return f'{{"type":"thinking","thinking":"","signature":"{signature}"}}'


USE = '{"type":"tool_use","id":"t","name":"f","input":{"z":1.0, "a" :2}}'


def test_sealed_blocks_go():
    redacted = f'{{"type":"redacted_thinking","data":"{FOREIGN}"}}'
    user = '{"role":"user","content":"x"}'
    mixed = f'{{"role":"assistant", "content":[{thinking(FOREIGN)},{USE},{redacted}]}}'
    only = f'{{"role":"assistant","content":[{thinking(FOREIGN)}]}}'
    cleaned = without_seals(body(user, mixed, only))
    assert cleaned.startswith(b'{"model" : "m", "odd":1.50, "messages": ')
    assert cleaned.endswith(b', "max_tokens":9}')
    assert USE.encode() in cleaned and FOREIGN.encode() not in cleaned
    assert [len(message["content"]) for message in json.loads(cleaned)["messages"]] == [1, 1]


def test_nothing_else_changes():
    quoted = json.dumps({"role": "user", "content": [{"type": "text", "text": f"what is {FOREIGN}?"}]})
    own = f'{{"role":"assistant","content":[{thinking("U0lH")},{USE}]}}'
    for whole in (body(quoted, own), body(), b'{"messages":"x"}', b'{"model":"m"}'):
        assert without_seals(whole) is whole
    plain = body(json.dumps({"role": "user", "content": FOREIGN}))
    assert without_seals(plain) is plain
