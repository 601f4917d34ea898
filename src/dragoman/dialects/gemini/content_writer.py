"""Turns → Gemini's ``contents`` and ``systemInstruction``.

What Google demands (https://ai.google.dev/gemini-api/docs/function-calling, …/thought-signatures): roles alternate; the
turn behind a model's calls answers every one of them; on Gemini ≥ 3 the first call of each step of the current turn is
signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from dragoman.core.conversation import (
    Base64,
    Block,
    Conversation,
    FileId,
    Loss,
    Media,
    Opaque,
    Path,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    rejected,
)
from dragoman.core.facts import Facts
from dragoman.core.history import merged, paired, with_ids
from dragoman.core.media import image_type, normalised
from dragoman.core.tools import WireNames, is_object, wire_id, wrapped
from dragoman.dialects.gemini.part_reader import is_youtube
from dragoman.dialects.gemini.signature import DUMMY, for_upstream

Part = dict[str, Any]

_NOTHING_SAID: Final = "..."
_BILLING: Final = "x-anthropic-billing-header:"
_RESOLUTIONS: Final = {
    "low": "MEDIA_RESOLUTION_LOW",
    "high": "MEDIA_RESOLUTION_HIGH",
    "original": "MEDIA_RESOLUTION_HIGH",
}
_ARGUMENTS: Final = {
    "openai_chat": ("function", "arguments"),
    "openai_responses": ("arguments",),
    "anthropic": ("input",),
    "gemini": ("functionCall", "args"),
}
"""Where a client's dialect keeps a call's arguments, below the call."""
_TYPES: Final = {
    "image": "image/png",
    "document": "application/pdf",
    "audio": "audio/wav",
    "video": "video/mp4",
}


class ContentWriter:
    """Writes one conversation's history; ``losses`` collects what it leaves out."""

    def __init__(self, conversation: Conversation, facts: Facts, names: WireNames) -> None:
        self._conversation = conversation
        self._own = conversation.origin == "gemini"
        self._facts = facts
        self._names = names
        self.losses: list[Loss] = []

    def written(self) -> tuple[list[Part], list[Part]]:
        """(parts of systemInstruction, contents)."""
        turns = paired(with_ids(self._conversation.turns))
        for turn in self._conversation.turns:
            if turn.name:
                self._lose((*turn.at, "name"), "Gemini's turns have no name")
        leading, rest = _leading(turns)
        if not rest and leading and not self._conversation.system:
            # Google refuses a request without contents.
            leading, rest = [], [Turn(role="user", blocks=tuple(b for t in leading for b in t.blocks))]
        system = [*self._conversation.system, *(block for turn in leading for block in turn.blocks)]
        instructions = self._instructions(system)
        told = self._named(merged(_folded(rest)))
        if told and told[-1].role == "assistant" and not self._facts.prefill:
            raise rejected(told[-1].at, self._conversation.origin, "this model cannot continue an answer")
        contents: list[Part] = []
        for turn in told:
            role = "model" if turn.role == "assistant" else "user"
            parts = self._model(turn) if role == "model" else self._user(turn)
            if not parts:
                continue
            if contents and contents[-1]["role"] == role:
                contents[-1]["parts"] += parts
            else:
                contents.append({"role": role, "parts": parts})
        if not contents:
            # Google refuses a request without contents.
            contents.append({"role": "user", "parts": [{"text": _NOTHING_SAID}]})
        if self._facts.signed_calls:
            _sign(contents)
        return instructions, contents

    def _named(self, turns: Sequence[Turn]) -> list[Turn]:
        """Every result under its call's name on the wire. (``paired`` gave every call one, in the calls' order.)"""
        out: list[Turn] = []
        calls: list[ToolCall] = []
        for turn in turns:
            if calls and turn.role == "user":
                names = iter([self._names.wire(call.name, call.namespace) for call in calls])
                blocks = (
                    replace(block, name=next(names, block.name)) if isinstance(block, ToolResult) else block
                    for block in turn.blocks
                )
                turn = replace(turn, blocks=tuple(blocks))
            calls = [b for b in turn.blocks if isinstance(b, ToolCall)] if turn.role == "assistant" else []
            out.append(turn)
        return out

    def _lose(self, at: Path, why: str) -> None:
        self.losses.append(Loss(at, why))

    # -- system ----------------------------------------------------------------------------------------------

    def _instructions(self, blocks: Sequence[Block]) -> list[Part]:
        parts: list[Part] = []
        for block in blocks:
            if isinstance(block, Text):
                foreign_note = not self._own and block.text.startswith(_BILLING)
                if block.text and not foreign_note:
                    self._cache(block)
                    parts.append({"text": block.text})
            elif isinstance(block, Opaque) and block.text:
                parts.append({"text": block.text})
            else:
                self._lose(block.at, "Gemini's instructions are text only")
        return parts

    # -- turns -----------------------------------------------------------------------------------------------

    def _model(self, turn: Turn) -> list[Part]:
        return [part for block in turn.blocks for part in self._part(block)]

    def _user(self, turn: Turn) -> list[Part]:
        """Answers first, then the media that were in them, then what else the turn says."""
        answers: list[Part] = []
        lifted: list[Part] = []
        rest: list[Part] = []
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                part, media = self._result(block)
                answers.append(part)
                lifted += media
            else:
                rest += self._part(block)
        return answers + lifted + rest

    def _part(self, block: Block) -> list[Part]:
        self._cache(block)
        if isinstance(block, (Text, Refusal)):
            return _signed({"text": block.text}, block if isinstance(block, Text) else None)
        if isinstance(block, Thinking):
            return self._thinking(block)
        if isinstance(block, ToolCall):
            return [self._call(block)]
        if isinstance(block, Media):
            return [self._media(block)]
        if isinstance(block, Opaque):
            if block.origin == "gemini":
                return [block.raw]
            if block.text:
                return [{"text": block.text}]
        self._lose(block.at, "Gemini has nothing like it")
        return []

    def _cache(self, block: Block) -> None:
        if not isinstance(block, (Thinking, Refusal, Opaque)) and block.cache is not None:
            self._lose((*block.at, "cache_control"), "Gemini has no cache marks")

    def _thinking(self, block: Thinking) -> list[Part]:
        """Only what Gemini signed goes back to it (and, to its own client's history, what was shown unsigned)."""
        signature = for_upstream(block.signature)
        if signature:
            part: Part = {"text": block.text, "thoughtSignature": signature}
            if block.text or self._own:
                part["thought"] = True
            return [part]
        if self._own and block.signature is None and block.text:
            return [{"text": block.text, "thought": True}]
        return []

    def _call(self, block: ToolCall) -> Part:
        arguments = wrapped(block.arguments) if block.custom else block.arguments
        if arguments.strip() in ("", "null"):
            arguments = "{}"
        if not is_object(arguments):
            at = (*block.at, *_ARGUMENTS[self._conversation.origin])
            raise rejected(at, self._conversation.origin, "the arguments are not a JSON object")
        call: Part = {
            "name": self._names.wire(block.name, block.namespace),
            "args": msgspec.Raw(arguments.encode()),
        }
        if self._facts.call_ids:
            call["id"] = wire_id(block.id)
        part: Part = {"functionCall": call}
        if signature := for_upstream(block.signature):
            part["thoughtSignature"] = signature
        return part

    def _result(self, block: ToolResult) -> tuple[Part, list[Part]]:
        """The answer's part, and the media that go beside it."""
        self._cache(block)
        texts: list[str] = []
        media: list[Part] = []
        for inner in block.content:
            if isinstance(inner, Media):
                media.append(self._media(inner))
            elif inner.text:
                texts.append(inner.text)
            elif isinstance(inner, Opaque):
                self._lose(inner.at, "Gemini has nothing like it")
        if isinstance(block.structured, dict):
            response = block.structured
        else:
            response = {"error" if block.is_error else "result": "\n".join(texts)}
        told: Part = {"name": block.name, "response": response}
        if self._facts.call_ids:
            told["id"] = wire_id(block.call_id)
        inside = [part for part in media if self._facts.media_resolution and "inlineData" in part]
        if inside:
            told["parts"] = [{"inlineData": part["inlineData"]} for part in inside]
        return {"functionResponse": told}, [part for part in media if part not in inside]

    # -- media -----------------------------------------------------------------------------------------------

    def _media(self, block: Media) -> Part:
        part = self._source(block)
        resolution = _RESOLUTIONS.get(block.detail) if self._facts.media_resolution else None
        if resolution:
            part["mediaResolution"] = {"level": resolution}
        return _with_signature(part, for_upstream(block.signature))

    def _source(self, block: Media) -> Part:
        source = block.source
        declared = normalised(block.media_type)
        if isinstance(source, Base64):
            if block.kind == "image":
                declared = image_type(declared, source.data)
            return {"inlineData": {"mimeType": declared or _TYPES[block.kind], "data": source.data}}
        if isinstance(source, FileId):
            if source.family != "google":
                raise rejected(
                    block.at, self._conversation.origin, "a file at another vendor cannot be read here"
                )
            return {"fileData": _file(declared, source.id)}
        if is_youtube(source.url) or self._own:
            return {"fileData": _file(declared, source.url)}
        raise rejected(block.at, self._conversation.origin, "the address could not be loaded for this model")


def _file(media_type: str, uri: str) -> Part:
    return {"mimeType": media_type, "fileUri": uri} if media_type else {"fileUri": uri}


def _signed(part: Part, block: Text | None) -> list[Part]:
    """A text part; nothing for an empty text that carries no signature."""
    signature = for_upstream(block.signature) if block is not None else ""
    return [_with_signature(part, signature)] if part["text"] or signature else []


def _with_signature(part: Part, signature: str) -> Part:
    if signature:
        part["thoughtSignature"] = signature
    return part


def _leading(turns: Sequence[Turn]) -> tuple[list[Turn], list[Turn]]:
    """The system and developer turns at the beginning, and the rest."""
    first = next((n for n, turn in enumerate(turns) if turn.role in ("user", "assistant")), len(turns))
    return list(turns[:first]), list(turns[first:])


def _folded(turns: Iterable[Turn]) -> list[Turn]:
    """System turns in the middle go to the front of the user turn right behind them, or become a user turn where they
    stand: a place that later turns do not change, or the vendor's prompt cache would miss."""
    out: list[Turn] = []
    held: list[Turn] = []
    for turn in turns:
        if turn.role in ("system", "developer"):
            held.append(turn)
        elif turn.role == "user" and held:
            blocks = tuple(block for one in held for block in one.blocks)
            out.append(replace(turn, blocks=blocks + turn.blocks))
            held = []
        else:
            out += _as_user(held)
            held = []
            out.append(turn)
    return out + _as_user(held)


def _as_user(held: Sequence[Turn]) -> list[Turn]:
    blocks = tuple(block for turn in held for block in turn.blocks)
    return [Turn(role="user", blocks=blocks, at=held[0].at)] if held else []


def _sign(contents: Sequence[Part]) -> None:
    """The first call of each step since the user last spoke carries a signature: its own, or the one that skips the
    check. An answer of a tool is no word of the user's; older turns are not checked."""
    spoke = max((n for n, content in enumerate(contents) if _is_word(content)), default=-1)
    for content in contents[spoke + 1 :]:
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if content["role"] == "model" and first is not None:
            first.setdefault("thoughtSignature", DUMMY)


def _is_word(content: Part) -> bool:
    return content["role"] == "user" and not any("functionResponse" in part for part in content["parts"])
