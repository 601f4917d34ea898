"""Putting a history into the order that every strict vendor demands. Pure.

``paired`` is what all writers begin with: neighbours of one role are one turn, a tool's result stands directly behind
the turn that called it, results without a call are told apart. Doing it twice changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from dragoman.core.conversation import Block, Text, ToolCall, ToolResult, Turn


def merged(turns: Iterable[Turn]) -> list[Turn]:
    """Neighbouring user or assistant turns become one; system and developer turns stay alone. Empty turns vanish."""
    out: list[Turn] = []
    for turn in turns:
        if not turn.blocks:
            continue
        last = out[-1] if out else None
        if last is not None and last.role == turn.role and turn.role in ("user", "assistant"):
            out[-1] = replace(last, blocks=last.blocks + turn.blocks)
        else:
            out.append(turn)
    return out


def paired(turns: Sequence[Turn]) -> list[Turn]:
    """Merged turns in which every tool result stands in the user turn right behind the assistant turn with its call,
    in front of what else that user turn says, and in the order of the calls. A result whose call is nowhere before it
    becomes the text "Tool result: …" where it stood (nothing, if it is empty). Ids must be given (``with_ids``)."""
    told = merged(_without_lone_results(turns))
    waiting: dict[
        str, list[tuple[int, ToolResult]]
    ] = {}  # call id → its results and where they stood, in order
    for number, turn in enumerate(told):
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                waiting.setdefault(block.call_id, []).append((number, block))
    out: list[Turn] = []
    for number, turn in enumerate(told):
        rest = tuple(block for block in turn.blocks if not isinstance(block, ToolResult))
        out.append(replace(turn, blocks=rest))
        answers = [
            answer
            for block in rest
            if isinstance(block, ToolCall)
            for answer in _take(waiting, block.id, number)
        ]
        if answers:
            out.append(Turn(role="user", blocks=tuple(answers), at=answers[0].at))
    return merged(out)


def _take(waiting: dict[str, list[tuple[int, ToolResult]]], call_id: str, after: int) -> list[ToolResult]:
    """The first result of this call behind turn ``after``; ids may repeat when vendors count from 0 in every turn."""
    queue = waiting.get(call_id, [])
    for position, (number, result) in enumerate(queue):
        if number > after:
            del queue[position]
            return [result]
    return []


def _without_lone_results(turns: Sequence[Turn]) -> list[Turn]:
    """Results whose call does not stand before them become text."""
    called: set[str] = set()
    out: list[Turn] = []
    for turn in turns:
        blocks: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolCall):
                called.add(block.id)
            if isinstance(block, ToolResult) and block.call_id not in called:
                blocks.extend(_as_text(block))
            else:
                blocks.append(block)
        out.append(replace(turn, blocks=tuple(blocks)))
    return out


def _as_text(result: ToolResult) -> list[Block]:
    text = "\n".join(block.text for block in result.content if isinstance(block, Text))
    rest: list[Block] = [block for block in result.content if not isinstance(block, Text)]
    told: list[Block] = [Text(text=f"Tool result: {text}", at=result.at)] if text else []
    return told + rest


def with_ids(turns: Sequence[Turn]) -> list[Turn]:
    """Every call and result gets an id where the dialect has none: made from place and name, so that the same history
    has the same ids in every replay. Results without an id answer the open calls of their name in order."""
    if not any(
        (isinstance(b, ToolCall) and not b.id) or (isinstance(b, ToolResult) and not b.call_id)
        for turn in turns
        for b in turn.blocks
    ):
        return list(turns)
    number = 0
    unanswered: list[tuple[str, str]] = []  # (name, id) in the order of the calls
    out: list[Turn] = []
    for turn in turns:
        blocks: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolCall):
                if not block.id:
                    block = replace(block, id=_made_id(number, block.name))
                number += 1
                unanswered.append((block.name, block.id))
            elif isinstance(block, ToolResult):
                found = _answered(block, unanswered)
                if found is not None:
                    unanswered.remove(found)
                    block = replace(block, call_id=found[1])
                elif not block.call_id:
                    block = replace(block, call_id=f"orphan_{number}_{block.name}")
            blocks.append(block)
        out.append(replace(turn, blocks=tuple(blocks)))
    return out


def _answered(result: ToolResult, unanswered: list[tuple[str, str]]) -> tuple[str, str] | None:
    if result.call_id:
        return next((call for call in unanswered if call[1] == result.call_id), None)
    return next((call for call in unanswered if call[0] == result.name), None)


def _made_id(number: int, name: str) -> str:
    return (
        f"call_{number}_{hashlib.blake2s(name.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
    )


def call_names(turns: Sequence[Turn]) -> dict[str, str]:
    """Call id → tool name, for dialects whose results name the tool."""
    return {b.id: b.name for turn in turns for b in turn.blocks if isinstance(b, ToolCall)}
