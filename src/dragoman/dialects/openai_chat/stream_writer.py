"""Events as the ``chat.completion.chunk`` stream of a client.

All chunks have the same id, created and model. The first delta of a choice is ``{"role": "assistant", "content": ""}``;
usage comes last, with ``choices: []``, and only when asked for (every chunk before it then says ``"usage": null``); a
failure is ``{"error": …}`` without ``[DONE]``, which would mark success (openai-python raises on a truthy ``error``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from dragoman.core.conversation import (
    Annotated,
    Block,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Json,
    Logprobs,
    Media,
    Opaque,
    Opened,
    Refusal,
    Signature,
    Signed,
    Start,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from dragoman.core.faults import Fault
from dragoman.core.framing import sse
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.openai_chat.answer import (
    call_body,
    finish_word,
    hides_reasoning,
    made_id,
    wants_function_call,
    write_logprobs,
    write_usage,
)
from dragoman.dialects.openai_chat.members import ORIGIN
from dragoman.dialects.openai_chat.prose import Prose, write_citations
from dragoman.dialects.openai_chat.reasoning import extra_content, seal_entry, text_entry

DONE: Final = sse(b"[DONE]")


class Chunks:
    """Frames with the head that all of them share. ``object_``: the ``object`` member; one choice a frame."""

    def __init__(self, reply: Reply, prefix: str, object_: str) -> None:
        self.usage: Usage | None = None
        self._include_usage = reply.include_usage
        head = {
            "id": f"{prefix}{reply.response_id}",
            "object": object_,
            "created": reply.created,
            "model": reply.model,
        }
        self._head = msgspec.json.encode(head)[:-1] + b',"choices":['
        self._tail = b'],"usage":null}' if reply.include_usage else b"]}"

    def choice(self, choice: Json) -> bytes:
        return sse(self._head + msgspec.json.encode(choice) + self._tail)

    def end(self) -> bytes:
        if not self._include_usage:
            return DONE
        usage = msgspec.json.encode(write_usage(self.usage))
        return sse(self._head + b'],"usage":' + usage + b"}") + DONE


def failed(fault: Fault) -> bytes:
    """The last frame of a stream that failed."""
    error = {"message": fault.message, "type": fault.type, "param": fault.param, "code": fault.code or None}
    return sse(msgspec.json.encode({"error": error}))


class ChatWriter:
    """Writes one stream. Keeps of the answer only where its blocks stand."""

    def __init__(self, reply: Reply) -> None:
        self._chunks = Chunks(reply, "chatcmpl-", "chat.completion.chunk")
        self._response_id = reply.response_id
        self._legacy = wants_function_call(reply.conversation)
        self._hidden = hides_reasoning(reply.conversation)
        self._choices: dict[int, _Choice] = {}
        self._over = False

    def feed(self, event: Event) -> bytes:
        if self._over:
            return b""
        if isinstance(event, Start):
            self._chunks.usage = event.usage or self._chunks.usage
            return self._begun(0)
        if isinstance(event, UsageSeen):
            self._chunks.usage = event.usage
            return b""
        if isinstance(event, Ended):
            self._over = True
            return self._begun(0) + self._chunks.end()
        if isinstance(event, Failed):
            self._over = True
            return failed(event.fault)
        return self._begun(event.choice) + self._of_choice(event)

    def _begun(self, number: int) -> bytes:
        """The first chunk of a choice, once."""
        if number in self._choices:
            return b""
        self._choices[number] = _Choice(number, self._response_id, legacy=self._legacy, hidden=self._hidden)
        return self._delta(number, {"role": "assistant", "content": ""})

    def _delta(self, number: int, delta: Json) -> bytes:
        return self._chunks.choice({"index": number, "delta": delta, "finish_reason": None})

    def _of_choice(self, event: Opened | Delta | Annotated | Signed | Logprobs | Closed | Finished) -> bytes:
        number = event.choice
        if isinstance(event, Finished):
            word = finish_word(event.finish, legacy=self._legacy)
            return self._chunks.choice({"index": number, "delta": {}, "finish_reason": word})
        if isinstance(event, Logprobs):
            logprobs = write_logprobs(event.tokens)
            return self._chunks.choice(
                {"index": number, "delta": {}, "logprobs": logprobs, "finish_reason": None}
            )
        return b"".join(self._delta(number, delta) for delta in self._choices[number].deltas(event))


class _Open:
    """An open block. place: its number among the calls, or among the entries of ``reasoning_details``."""

    __slots__ = ("base", "block", "length", "place", "said")

    def __init__(self, block: Block, place: int = 0) -> None:
        self.block = block
        self.place = place
        self.said = False
        self.base = self.length = 0


class _Choice:
    """One choice: the deltas that its events become."""

    def __init__(self, number: int, response_id: str, *, legacy: bool, hidden: bool) -> None:
        self._number = number
        self._response_id = response_id
        self._legacy = legacy
        self._hidden = hidden
        self._prose = Prose()
        self._open: dict[int, _Open] = {}
        self._texts: dict[int, tuple[int, int]] = {}  # closed texts: (base, length), for late citations
        self._calls = 0
        self._details = 0
        self._thoughts = 0

    def deltas(self, event: Opened | Delta | Annotated | Signed | Closed) -> list[dict[str, Json]]:
        if isinstance(event, Opened):
            return self._opened(event)
        if isinstance(event, Annotated):
            return self._annotated(event)
        held = self._open.get(event.index)
        if held is None:
            return []
        if isinstance(event, Delta):
            return _SAY[type(held.block)](self, held, event.text) if type(held.block) in _SAY else []
        if isinstance(event, Signed):
            return self._signed(held, event.signature)
        del self._open[event.index]
        return self._closed(event.index, held)

    def _opened(self, event: Opened) -> list[dict[str, Json]]:
        block = event.block
        held = self._open[event.index] = _Open(block)
        if isinstance(block, ToolCall):
            return self._open_call(held, block)
        if isinstance(block, Media):
            return _content(self._prose.media(block))
        if isinstance(block, Opaque):
            return self._opaque(block)
        out: list[dict[str, Json]] = []
        if isinstance(block, Thinking):
            self._thoughts += 1
            held.place = self._details
        if isinstance(block, Text | Thinking | Refusal) and block.text:
            out += _SAY[type(block)](self, held, block.text)
        if isinstance(block, Text | Thinking) and block.signature is not None:
            out += self._signed(held, block.signature)
        return out

    def _opaque(self, block: Opaque) -> list[dict[str, Json]]:
        if block.origin == ORIGIN:
            return [{"audio": block.raw}] if block.kind == "audio" else []
        if not block.text:
            return []
        return _content(self._prose.begin() + self._prose.add(block.text))

    # --- what streams ----------------------------------------------------------------------------------------

    def _text(self, held: _Open, text: str) -> list[dict[str, Json]]:
        gap = ""
        if not held.said:
            held.said = True
            gap = self._prose.begin()
            held.base = self._prose.length
        held.length += len(text)
        return _content(gap + self._prose.add(text))

    def _think(self, held: _Open, text: str) -> list[dict[str, Json]]:
        if self._hidden:
            return []
        held.said = True
        delta: dict[str, Json] = {"reasoning_content": text}
        if self._thoughts > 1:  # behind the first, the entries must tell whose text is whose
            delta["reasoning_details"] = [text_entry(None, text, held.place)]
            self._details = held.place + 1
        return [delta]

    def _refuse(self, held: _Open, text: str) -> list[dict[str, Json]]:
        return [{"refusal": text}]

    def _argue(self, held: _Open, text: str) -> list[dict[str, Json]]:
        held.said = True
        if self._legacy:
            return [{"function_call": {"arguments": text}}] if held.place == 0 else []
        block = held.block
        inner = {"custom": {"input": text}} if isinstance(block, ToolCall) and block.custom else None
        return [_call_delta(held.place, inner or {"function": {"arguments": text}})]

    def _open_call(self, held: _Open, block: ToolCall) -> list[dict[str, Json]]:
        held.place = self._calls
        held.said = bool(block.arguments)
        self._calls += 1
        if self._legacy:
            old = {"name": block.name, "arguments": block.arguments}
            return [{"function_call": old}] if held.place == 0 else []
        call_id = block.id or made_id(self._response_id, self._number, held.place)
        body: dict[str, Json] = {"id": call_id, **call_body(block, opening=True)}
        if block.signature is not None and block.signature.origin == "gemini":
            body["extra_content"] = extra_content(block.signature)
        return [_call_delta(held.place, body)]

    def _signed(self, held: _Open, signature: Signature) -> list[dict[str, Json]]:
        block = held.block
        if isinstance(block, ToolCall):
            if signature.origin != "gemini" or self._legacy:
                return []
            return [_call_delta(held.place, {"extra_content": extra_content(signature)})]
        if self._hidden:
            return []
        redacted = isinstance(block, Text) or (isinstance(block, Thinking) and block.redacted)
        apart = isinstance(block, Text) or (
            self._details > held.place and signature.origin == "openai_responses"
        )
        place = self._details if apart else held.place
        self._details = max(self._details, place + 1)
        return [{"reasoning_details": [seal_entry(signature, place, redacted=redacted)]}]

    def _annotated(self, event: Annotated) -> list[dict[str, Json]]:
        held = self._open.get(event.index)
        base, length = (held.base, held.length) if held is not None else self._texts.get(event.index, (0, 0))
        if held is not None and not held.said:
            base = self._prose.length
        cited = write_citations(event.citations, base, length)
        return [{"annotations": cited}] if cited else []

    def _closed(self, index: int, held: _Open) -> list[dict[str, Json]]:
        if isinstance(held.block, Text):
            self._texts[index] = (held.base, held.length)
        if isinstance(held.block, ToolCall) and not held.said and not held.block.custom:
            return self._argue(held, "{}")
        return []


_SAY: Final[dict[type, Callable[[_Choice, _Open, str], list[dict[str, Json]]]]] = {
    Text: _Choice._text,
    Thinking: _Choice._think,
    Refusal: _Choice._refuse,
    ToolCall: _Choice._argue,
}


def _content(text: str) -> list[dict[str, Json]]:
    return [{"content": text}] if text else []


def _call_delta(place: int, body: dict[str, Any]) -> dict[str, Json]:
    return {"tool_calls": [{"index": place, **body}]}
