"""Putting a history into the order that every strict vendor demands. Pure.

``paired`` is what all writers begin with: neighbours of one role are one turn, a tool's result stands directly behind
the turn that called it, results without a call are told apart. Doing it twice changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from dragoman.core.conversation import Block, Text, ToolCall, ToolResult, Turn

NO_RESULT: Final = "The call was interrupted; there is no result."


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
    in front of what else that user turn says, and in the order of the calls. A result whose call is nowhere before it,
    or is answered already, becomes the text "Tool result: …" where it stood (nothing, if it is empty). A call that
    nobody answered, though the conversation went on (a user interrupted an agent), gets a result that says so: all
    vendors refuse the history otherwise. Ids must be given (``with_ids``)."""
    told = merged(turns)
    answers, used = _answers(told)
    out: list[Turn] = []
    for number, turn in enumerate(told):
        rest: list[Block] = []
        for place, block in enumerate(turn.blocks):
            if not isinstance(block, ToolResult):
                rest.append(block)
            elif (number, place) not in used:
                rest.extend(_as_text(block))
        out.append(replace(turn, blocks=tuple(rest)))
        found = answers.get(number, {})
        if number < len(told) - 1:
            found = {**_unanswered(turn), **found}
        if found:
            in_order = tuple(found[place] for place in sorted(found))
            out.append(Turn(role="user", blocks=in_order, at=in_order[0].at))
    return merged(out)


def answered(turns: Sequence[Turn]) -> list[Turn]:
    """The turns as they are, with a result behind every call that nobody answered although a user spoke after it; for
    dialects that want results, but in no particular order."""
    answers, _ = _answers(turns)
    last_user = max((number for number, turn in enumerate(turns) if turn.role == "user"), default=-1)
    out: list[Turn] = []
    lost: tuple[ToolResult, ...] = ()  # they follow the results that are there
    for number, turn in enumerate(turns):
        if lost and not any(isinstance(block, ToolResult) for block in turn.blocks):
            out.append(Turn(role="user", blocks=lost, at=lost[0].at))
            lost = ()
        out.append(turn)
        if number < last_user:
            open_calls = {k: v for k, v in _unanswered(turn).items() if k not in answers.get(number, {})}
            lost += tuple(open_calls.values())
    return [*out, Turn(role="user", blocks=lost, at=lost[0].at)] if lost else out


def _unanswered(turn: Turn) -> dict[int, ToolResult]:
    """Place of each call of a turn → a result that says that there is none."""
    return {
        place: ToolResult(
            call_id=block.id,
            name=block.name,
            content=(Text(text=NO_RESULT, at=block.at),),
            is_error=True,
            custom=block.custom,
            at=block.at,
        )
        for place, block in enumerate(turn.blocks)
        if isinstance(block, ToolCall)
    }


def _answers(turns: Sequence[Turn]) -> tuple[dict[int, dict[int, ToolResult]], set[tuple[int, int]]]:
    """(turn → place of a call in it → its result, places of all these results). Ids may repeat, since some vendors
    count from 0 in every turn: a result answers the first open call with its id in the latest turn that has one."""
    waiting: dict[str, list[tuple[int, int]]] = {}  # call id → (turn, place) of its unanswered calls
    found: dict[int, dict[int, ToolResult]] = {}
    used: set[tuple[int, int]] = set()
    for number, turn in enumerate(turns):
        for place, block in enumerate(turn.blocks):
            calls = waiting.get(block.call_id) if isinstance(block, ToolResult) else None
            if isinstance(block, ToolResult) and calls:
                call = next(one for one in calls if one[0] == calls[-1][0])
                calls.remove(call)
                found.setdefault(call[0], {})[call[1]] = block
                used.add((number, place))
        for place, block in enumerate(turn.blocks):
            if isinstance(block, ToolCall):
                waiting.setdefault(block.id, []).append((number, place))
    return found, used


def _as_text(result: ToolResult) -> list[Block]:
    text = "\n".join(block.text for block in result.content if isinstance(block, Text))
    if not result.content and result.structured is not None:
        text = msgspec.json.encode(result.structured).decode()
    rest: list[Block] = [block for block in result.content if not isinstance(block, Text)]
    told: list[Block] = [Text(text=f"Tool result: {text}", at=result.at)] if text else []
    return told + rest


def with_ids(turns: Sequence[Turn]) -> list[Turn]:
    """Every call and result gets an id where the dialect has none: made from place and name, so that the same history
    has the same ids in every replay. Results without an id answer the open calls of their name in order, those without
    a name the open calls."""
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
    return next((call for call in unanswered if result.name in ("", call[0])), None)


def _made_id(number: int, name: str) -> str:
    return (
        f"call_{number}_{hashlib.blake2s(name.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
    )


def call_names(turns: Sequence[Turn]) -> dict[str, str]:
    """Call id → tool name, for dialects whose results name the tool."""
    return {b.id: b.name for turn in turns for b in turn.blocks if isinstance(b, ToolCall)}
