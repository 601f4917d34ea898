"""The old ``POST /v1/completions`` for clients, served by any chat upstream: the prompt is one user's message.

https://platform.openai.com/docs/api-reference/completions. What a chat model cannot do (token ids, several prompts,
``suffix``, ``echo``, ``best_of``) is a 400 that names the member. The answer is
``{"id": "cmpl-…", "object": "text_completion", "created", "model", "choices": [{"text", "index", "logprobs",
"finish_reason"}], "usage"}``, a stream is the same object piece by piece and then ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from dragoman.core.conversation import (
    Answer,
    Conversation,
    Delta,
    Ended,
    Event,
    Failed,
    Finish,
    Finished,
    Json,
    Logprobs,
    Media,
    Opaque,
    Opened,
    Path,
    Refusal,
    Start,
    Text,
    TokenLogprob,
    Turn,
    UsageSeen,
)
from dragoman.dialects.base import ClientSide, Reply
from dragoman.dialects.openai_chat.answer import FINISH_WORDS, write_usage
from dragoman.dialects.openai_chat.members import (
    ORIGIN,
    decoded,
    expected,
    flag,
    positive,
    string,
    whole,
    wrong,
)
from dragoman.dialects.openai_chat.prose import Prose
from dragoman.dialects.openai_chat.request_reader import SAMPLING, read_members
from dragoman.dialects.openai_chat.stream_writer import Chunks, failed

DEFAULT_MAX_TOKENS: Final = 16
"""OpenAI's own default for this endpoint."""
_READ: Final = frozenset(
    {
        *(
            "model",
            "prompt",
            "stream",
            "stream_options",
            "max_tokens",
            "logprobs",
            "suffix",
            "echo",
            "best_of",
        ),
        *(row[0] for row in SAMPLING),
    }
)


# --- the request ------------------------------------------------------------------------------------------


def read_request(body: bytes) -> Conversation:
    """The body of a completion. Fault 400 naming the member for what no chat model can do."""
    raw = decoded(body)
    text, at = _prompt(raw)
    if string(raw, "suffix"):
        raise wrong(("suffix",), "cannot be served by a chat model")
    if flag(raw, "echo"):
        raise wrong(("echo",), "cannot be served by a chat model")
    if (positive(raw, "best_of") or 1) > 1:
        raise wrong(("best_of",), "cannot be served by a chat model")
    said, fields = read_members(raw, SAMPLING)
    limit = positive(raw, "max_tokens")
    if limit is not None:
        fields["max_output"] = ("max_tokens",)
    top = whole(raw, "logprobs")
    if top is not None:
        if not 0 <= top <= 20:
            raise wrong(("logprobs",), "must be from 0 to 20")
        said["logprobs"], said["top_logprobs"] = True, top
        fields["logprobs"] = fields["top_logprobs"] = ("logprobs",)
    return Conversation(
        origin=ORIGIN,
        turns=(Turn(role="user", blocks=(Text(text=text, at=at),), at=at),),
        max_output=limit or DEFAULT_MAX_TOKENS,
        extras={name: value for name, value in raw.items() if name not in _READ and value is not None},
        fields=fields,
        **said,
    )


def _prompt(raw: dict[str, Any]) -> tuple[str, Path]:
    """The one prompt and its path."""
    value, at = raw.get("prompt"), ("prompt",)
    if isinstance(value, list):
        if any(type(one) is not str for one in value):
            raise wrong(at, "token ids cannot be served by a chat model; send text")
        if len(value) != 1:
            raise wrong(at, "exactly one prompt is expected; send one request for each")
        return _text(value[0], ("prompt", 0))
    return _text(value, at)


def _text(value: object, at: Path) -> tuple[str, Path]:
    if type(value) is not str:
        raise expected(at, "a string", value)
    if not value:
        raise wrong(at, "must not be empty")
    return value, at


# --- the answer -------------------------------------------------------------------------------------------


def write_answer(answer: Answer, reply: Reply) -> bytes:
    """The body for a client. Reasoning is not shown; there are no tools to call."""
    choices = [
        {
            "text": _prose(choice.blocks),
            "index": place,
            "logprobs": write_logprobs(choice.logprobs, 0) if choice.logprobs else None,
            "finish_reason": _word(choice.finish),
        }
        for place, choice in enumerate(answer.choices)
    ]
    return msgspec.json.encode(
        {
            "id": f"cmpl-{reply.response_id}",
            "object": "text_completion",
            "created": reply.created,
            "model": reply.model,
            "choices": choices,
            "usage": write_usage(answer.usage),
        }
    )


def _prose(blocks: Iterable[object]) -> str:
    prose = Prose()
    pieces = [
        prose.media(block) if isinstance(block, Media) else prose.begin() + prose.add(block.text)
        for block in blocks
        if isinstance(block, Media) or (isinstance(block, Text | Refusal | Opaque) and block.text)
    ]
    return "".join(pieces)


def _word(finish: Finish) -> str:
    """This endpoint knows stop, length and content_filter."""
    word = FINISH_WORDS[finish]
    return "stop" if word == "tool_calls" else word


def write_logprobs(tokens: Iterable[TokenLogprob], offset: int) -> Json:
    """The old form: parallel lists. offset: characters of the text before these tokens."""
    offsets: list[int] = []
    for one in tokens:
        offsets.append(offset)
        offset += len(one.token)
    return {
        "tokens": [one.token for one in tokens],
        "token_logprobs": [one.logprob for one in tokens],
        "top_logprobs": [dict(one.top) for one in tokens],
        "text_offset": offsets,
    }


class CompletionsWriter:
    """Writes one stream of text pieces."""

    def __init__(self, reply: Reply) -> None:
        self._chunks = Chunks(reply, "cmpl-", "text_completion")
        self._prose: dict[int, Prose] = {}
        self._shown: dict[tuple[int, int], bool] = {}  # (choice, index) of the blocks shown → has it begun?
        self._offsets: dict[int, int] = {}
        self._over = False

    def feed(self, event: Event) -> bytes:
        if self._over:
            return b""
        match event:
            case Start(usage=usage):
                self._chunks.usage = usage or self._chunks.usage
            case UsageSeen(usage=usage):
                self._chunks.usage = usage
            case Ended():
                self._over = True
                return self._chunks.end()
            case Failed(fault=fault):
                self._over = True
                return failed(fault)
            case Opened():
                return self._opened(event)
            case Delta(index=index, text=text, choice=choice) if (choice, index) in self._shown:
                return self._say(choice, index, text)
            case Logprobs(tokens=tokens, choice=choice):
                offset = self._offsets.get(choice, 0)
                self._offsets[choice] = offset + sum(len(one.token) for one in tokens)
                return self._piece(choice, "", write_logprobs(tokens, offset))
            case Finished(finish=finish, choice=choice):
                return self._piece(choice, "", None, _word(finish))
        return b""

    def _opened(self, event: Opened) -> bytes:
        block = event.block
        if isinstance(block, Media):
            return self._piece(event.choice, self._of(event.choice).media(block))
        if not isinstance(block, Text | Refusal | Opaque):
            return b""
        self._shown[event.choice, event.index] = False
        return self._say(event.choice, event.index, block.text) if block.text else b""

    def _say(self, choice: int, index: int, text: str) -> bytes:
        prose = self._of(choice)
        gap = "" if self._shown[choice, index] else prose.begin()
        self._shown[choice, index] = True
        return self._piece(choice, gap + prose.add(text))

    def _of(self, choice: int) -> Prose:
        return self._prose.setdefault(choice, Prose())

    def _piece(self, choice: int, text: str, logprobs: Json = None, finish: str | None = None) -> bytes:
        return self._chunks.choice(
            {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": finish}
        )


CLIENT: Final = ClientSide(
    read_request=read_request, write_answer=write_answer, write_stream=CompletionsWriter
)
