"""A ``chat.completion.chunk`` stream as events, whatever of it a copy of chat gets differently.

Met in the wild: tool calls without ``index``, with indexes from 1, all with index 0 and different ids, whole calls in one
chunk, arguments as objects, names and ids repeated or changed in every piece, one id for all calls, indexes as strings;
usage with the last content, in a chunk of its own or on the choice; a finish in every chunk, a last chunk without
``[DONE]`` and ``[DONE]`` without a last chunk; reasoning under four names; content as parts; ``message`` for ``delta``,
and the whole answer once more as ``message`` of the last chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from dragoman.core.conversation import (
    Annotated,
    Block,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Logprobs,
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
from dragoman.core.envelope import BAD_JSON
from dragoman.core.faults import Fault
from dragoman.dialects.base import mapping, named
from dragoman.dialects.openai_chat.answer import (
    arguments_text,
    finish_of,
    read_images,
    read_logprobs,
    read_pieces,
    usage_in,
)
from dragoman.dialects.openai_chat.arguments import Arguments
from dragoman.dialects.openai_chat.failure import broken, cut, failure, is_failure
from dragoman.dialects.openai_chat.members import ORIGIN
from dragoman.dialects.openai_chat.prose import read_citations
from dragoman.dialects.openai_chat.reasoning import (
    call_signature,
    entries,
    origin_of,
    plain_text,
    signature_in,
    text_in,
)

_NO_FINISH: Final = (None, "", "null")


class ChatReader:
    """Reads one stream. A choice is finished with its last ``finish_reason``, which is told at the end, as some servers
    write one into every chunk; the stream has ended with ``[DONE]``, or with the bytes if every choice was finished."""

    def __init__(self) -> None:
        self.broken = 0
        self._started = False
        self._over = False
        self._choices: dict[int, _Choice] = {}

    def feed(self, data: bytes, event: bytes = b"") -> list[Event]:
        if self._over:
            return []
        if data.strip() == b"[DONE]":
            return self._end() if self._started else self._fail(cut())
        try:
            chunk = msgspec.json.decode(data)
        except BAD_JSON:
            self.broken += 1
            return []
        if not isinstance(chunk, dict):
            self.broken += 1
            return []
        if is_failure(chunk) or event == b"error":
            return self._fail(failure(chunk, data))
        return self._chunk(chunk)

    def finish(self) -> list[Event]:
        if self._over:
            return []
        if self._choices and all(choice.finished for choice in self._choices.values()):
            return self._end()
        return self._fail(cut())

    def _chunk(self, chunk: dict[str, Any]) -> list[Event]:
        out: list[Event] = []
        if not self._started:
            self._started = True
            created = chunk.get("created")
            out.append(
                Start(
                    model=named(chunk.get("model")),
                    id=named(chunk.get("id")),
                    created=created if type(created) is int else 0,
                )
            )
        listed = chunk.get("choices")
        broken_off: Fault | None = None
        for raw in listed if isinstance(listed, list) else ():
            if isinstance(raw, dict):
                self._choice(raw).read(raw, out)
                if raw.get("finish_reason") is not None or "error" in raw:
                    broken_off = broken_off or broken(raw)
        usage = usage_in(chunk)
        if usage is not None:
            out.append(UsageSeen(usage=usage))
        return out + self._fail(broken_off) if broken_off is not None else out

    def _choice(self, raw: dict[str, Any]) -> _Choice:
        index = raw.get("index")
        number = index if type(index) is int and index >= 0 else _ordinal(index) or 0
        if number not in self._choices:
            self._choices[number] = _Choice(number)
        return self._choices[number]

    def _end(self) -> list[Event]:
        out: list[Event] = []
        if not self._choices:
            self._choices[0] = _Choice(0)
        for choice in self._choices.values():
            choice.end(out)
        out.append(Ended())
        self._over = True
        return out

    def _fail(self, fault: Fault) -> list[Event]:
        out: list[Event] = []
        for choice in self._choices.values():
            choice.close_all(out)
        out.append(Failed(fault=fault))
        self._over = True
        return out


def _ordinal(index: object) -> int | None:
    """An index, which some servers write as a string or as 0.0; None if it is none."""
    if type(index) is int:
        return index if index >= 0 else None
    if type(index) is float and index.is_integer() and index >= 0:
        return int(index)
    return (
        int(index) if type(index) is str and index.isascii() and index.isdigit() and len(index) < 9 else None
    )


class _Call:
    """A tool call of the stream. It is opened once its name is known; what came before that waits here."""

    __slots__ = ("arguments", "closed", "id", "index", "name", "signed", "waiting")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.name = ""
        self.index = -1
        self.closed = False
        self.signed = False
        self.arguments = Arguments()
        self.waiting: list[str] = []

    @property
    def open(self) -> bool:
        return self.index >= 0 and not self.closed

    def broken_off(self, name: str) -> bool:
        """It is a call of this tool that stopped in the middle of its arguments."""
        return self.name == name and self.arguments.started and not self.arguments.complete


def _goes_on(there: _Call, call_id: str, name: str, *, said: bool) -> bool:
    """Whether a piece with the index of a call, but not its id, is more of it. Some servers repeat the name in every
    piece, some make up an id for each, some give every call the index 0."""
    if not name:
        return True
    if call_id and there.id and (name != there.name or there.arguments.complete):
        return False
    return not (said and there.arguments.complete)


class _Choice:
    """One choice: the block that streams alone, and the tool calls, of which several may be open."""

    def __init__(self, number: int) -> None:
        self._word: object = None  # the vendor's finish, the last one it said
        self._number = number
        self._next = 0
        self._alone: Block | None = None
        self._index = -1
        self._seal: Signature | None = None  # of the open thinking or text block, so far
        self._length = 0  # characters of content before the open text, and of it
        self._base = 0
        self._text_index = -1
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._signatures: dict[str, Signature] = {}

    @property
    def finished(self) -> bool:
        return self._word is not None

    # --- one chunk -------------------------------------------------------------------------------------------

    def read(self, raw: dict[str, Any], out: list[Event]) -> None:
        delta = mapping(raw.get("delta"))
        if not delta and not self._next:
            delta = mapping(raw.get("message"))  # behind deltas it only repeats them (MiniMax)
        if delta:
            self._reasoning(delta, out)
            self._content(delta.get("content"), out)
            refusal = delta.get("refusal")
            if type(refusal) is str and refusal:
                self._say(Refusal(text=""), refusal, out)
            self._others(delta, out)
        logprobs = raw.get("logprobs")
        if logprobs:
            tokens = read_logprobs(logprobs)
            if tokens:
                out.append(Logprobs(tokens=tokens, choice=self._number))
        word = raw.get("finish_reason")
        if word not in _NO_FINISH:
            self._word = word

    def _others(self, delta: dict[str, Any], out: list[Event]) -> None:
        for image in read_images(delta.get("images")):
            self._whole(image, out)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            self._call(mapping(call), out)
        old = mapping(delta.get("function_call"))
        if old:
            self._call({"index": 0, "function": old}, out)
        audio = delta.get("audio")
        if isinstance(audio, dict):
            transcript = audio.get("transcript")
            text = transcript if type(transcript) is str else ""
            self._whole(Opaque(origin=ORIGIN, kind="audio", raw=audio, text=text), out)
        cited = delta.get("annotations")
        if cited and self._text_index >= 0:
            found = read_citations(cited, self._base)
            if found:
                out.append(Annotated(index=self._text_index, citations=found, choice=self._number))

    # --- text, reasoning, refusal: alone ----------------------------------------------------------------------

    def _content(self, content: object, out: list[Event]) -> None:
        if type(content) is str:
            if content:
                self._text(content, out)
            return
        for block in read_pieces(content):
            if isinstance(block, Text):
                self._text(block.text, out)
            elif isinstance(block, Thinking) and not block.redacted:
                self._think(block.text, block.signature, out)
            elif isinstance(block, Refusal):
                self._say(Refusal(text=""), block.text, out)
            else:
                self._whole(block, out)

    def _text(self, text: str, out: list[Event]) -> None:
        self._say(Text(text=""), text, out)
        self._length += len(text)

    def _say(self, block: Block, text: str, out: list[Event]) -> None:
        if type(self._alone) is not type(block):
            self._open(block, out)
            if isinstance(block, Text):
                self._base, self._text_index = self._length, self._index
        out.append(Delta(index=self._index, text=text, choice=self._number))

    def _open(self, block: Block, out: list[Event]) -> None:
        self._close_alone(out)
        self._close_calls(out)
        self._alone, self._index = block, self._take()
        out.append(Opened(index=self._index, block=block, choice=self._number))

    def _whole(self, block: Block, out: list[Event]) -> None:
        self._open(block, out)
        self._close_alone(out)

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def _close_alone(self, out: list[Event]) -> None:
        if self._alone is None:
            return
        if self._seal is not None:
            out.append(Signed(index=self._index, signature=self._seal, choice=self._number))
            self._seal = None
        out.append(Closed(index=self._index, choice=self._number))
        self._alone = None

    # --- reasoning -------------------------------------------------------------------------------------------

    def _reasoning(self, delta: Mapping[str, Any], out: list[Event]) -> None:
        """The text once, however many members repeat it; then the signatures of the entries."""
        plain = plain_text(delta)
        listed = entries(delta)
        if plain:
            self._think(plain, None, out)
        for entry in listed:
            signature = signature_in(entry)
            text = "" if plain else text_in(entry)
            if entry.get("type") == "reasoning.encrypted":
                if signature is not None:
                    self._encrypted(signature, entry, out)
            elif text or signature is not None:
                self._think(text, signature, out)

    def _think(self, text: str, signature: Signature | None, out: list[Event]) -> None:
        thinking = isinstance(self._alone, Thinking)
        if not thinking or (text and self._seal is not None):
            self._open(Thinking(), out)
        if text:
            out.append(Delta(index=self._index, text=text, choice=self._number))
        if signature is None or signature == self._seal:
            return
        # A signature may come in pieces; it is told whole, when the block closes.
        before = self._seal.value if self._seal is not None else ""
        self._seal = replace(signature, value=before + signature.value)

    def _encrypted(self, signature: Signature, entry: Mapping[str, Any], out: list[Event]) -> None:
        origin = origin_of(entry)
        entry_id = named(entry.get("id"))
        if origin == "anthropic":
            self._whole(Thinking(signature=signature, redacted=True), out)
        elif origin == "gemini" and entry_id:
            self._sign_call(entry_id, signature, out)
        elif origin == "gemini" and isinstance(self._alone, Text):
            self._seal = signature
        elif origin == "gemini" and not isinstance(self._alone, Thinking):
            self._open(Text(text=""), out)
            self._seal = signature
            self._close_alone(out)
        elif isinstance(self._alone, Thinking) and self._seal is not None and self._seal.id != signature.id:
            self._open(Thinking(), out)
            self._seal = signature
        else:
            self._think("", signature, out)

    # --- tool calls: several may be open -----------------------------------------------------------------------

    def _call(self, raw: Mapping[str, Any], out: list[Event]) -> None:
        custom = mapping(raw.get("custom"))
        inner = custom or mapping(raw.get("function"))
        given = inner.get("input") if custom else inner.get("arguments")
        text = given if type(given) is str else arguments_text(given)
        call = self._which(raw, named(inner.get("name")), said=bool(text))
        if call is None or call.closed:
            return
        if not call.name:
            call.name = named(inner.get("name"))
        signature = call_signature(raw) or self._signatures.pop(call.id, None)
        if call.name and call.index < 0:
            self._open_call(call, bool(custom), signature, out)
        elif signature is not None and call.index >= 0:
            self._sign(call, signature, out)
        if text and call.index < 0:
            call.waiting.append(text)
        elif text:
            self._argue(call, text, out)

    def _which(self, raw: Mapping[str, Any], name: str, *, said: bool) -> _Call | None:
        """The call that a piece belongs to; a new one if it begins one. said: the piece has argument text."""
        call_id = named(raw.get("id"))
        index = _ordinal(raw.get("index"))
        there = self._by_index.get(index) if index is not None else None
        known = next((call for call in self._calls if call_id and call.id == call_id), None)
        if known is not None and (index is None or known is there or not name):
            return known
        if there is not None and _goes_on(there, call_id, name, said=said):
            there.id = there.id or call_id
            return there
        last = self._calls[-1] if self._calls else None
        if index is None and not call_id and (not name or (last is not None and last.broken_off(name))):
            return last
        call = _Call("" if known is not None else call_id)  # an id that is taken tells nothing
        self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def _open_call(self, call: _Call, custom: bool, signature: Signature | None, out: list[Event]) -> None:
        self._close_alone(out)
        self._close_complete(out)
        call.index = self._take()
        call.signed = signature is not None
        block = ToolCall(id=call.id, name=call.name, arguments="", custom=custom, signature=signature)
        out.append(Opened(index=call.index, block=block, choice=self._number))
        for text in call.waiting:
            self._argue(call, text, out)
        call.waiting.clear()

    def _argue(self, call: _Call, text: str, out: list[Event]) -> None:
        self._close_complete(out, but=call)
        if call.arguments.complete:
            return  # nothing can follow a whole object
        call.arguments.feed(text)
        out.append(Delta(index=call.index, text=text, choice=self._number))

    def _sign_call(self, call_id: str, signature: Signature, out: list[Event]) -> None:
        call = next((call for call in self._calls if call.id == call_id and call.open), None)
        if call is None:
            self._signatures[call_id] = signature
        else:
            self._sign(call, signature, out)

    def _sign(self, call: _Call, signature: Signature, out: list[Event]) -> None:
        if not call.signed:
            call.signed = True
            out.append(Signed(index=call.index, signature=signature, choice=self._number))

    def _close_complete(self, out: list[Event], *, but: _Call | None = None) -> None:
        """Closes the calls whose arguments are whole, so that writers of one block at a time need not hold back."""
        for call in self._calls:
            if call is not but and call.open and call.arguments.complete:
                self._close_call(call, out)

    def _close_calls(self, out: list[Event]) -> None:
        """Closes the calls that a text ends: all but those that stopped in the middle of their arguments."""
        for call in self._calls:
            if call.open and (call.arguments.complete or not call.arguments.started):
                self._close_call(call, out)

    def _close_call(self, call: _Call, out: list[Event]) -> None:
        call.closed = True
        out.append(Closed(index=call.index, choice=self._number))

    # --- the end ---------------------------------------------------------------------------------------------

    def close_all(self, out: list[Event]) -> None:
        self._close_alone(out)
        for call in self._calls:
            if call.open:
                self._close_call(call, out)

    def end(self, out: list[Event]) -> None:
        """The stream is at its end. ``[DONE]`` without a finish: tool calls if one is there and its arguments are whole,
        else a stop."""
        self.close_all(out)
        called = [call for call in self._calls if call.index >= 0]
        if self._word is not None:
            finish = finish_of(self._word, calls=bool(called))
        else:
            whole = all(call.arguments.complete or not call.arguments.started for call in called)
            finish = "tool_calls" if called and whole else "stop"
        out.append(Finished(finish=finish, choice=self._number))
