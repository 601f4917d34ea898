"""At most four cache marks."""

from __future__ import annotations

from dragoman.core.conversation import Cache
from dragoman.dialects.anthropic.marks import Marks


def test_the_last_four_stay():
    marks, blocks = Marks(), [{"n": n} for n in range(6)]
    for number, block in enumerate(blocks):
        marks.put(block, Cache(ttl="1h" if number == 5 else ""), ("messages", number))
    assert [loss.at for loss in marks.settle()] == [
        ("messages", 0, "cache_control"),
        ("messages", 1, "cache_control"),
    ]
    assert [("cache_control" in block) for block in blocks] == [False, False, True, True, True, True]
    assert blocks[4]["cache_control"] == {"type": "ephemeral"}
    assert blocks[5]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_few_marks_lose_nothing():
    marks, block = Marks(), {}
    marks.put(block, None, ())
    assert block == {} and marks.settle() == []
    marks.put(block, Cache(), ())
    assert marks.settle() == []
    assert block == {"cache_control": {"type": "ephemeral"}}
