"""A whole response object ⇄ Answer.

Neighbouring texts and refusals are parts of one message; searches and other doings of a foreign vendor are not shown.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dragoman.core.conversation import (
    Answer,
    Base64,
    Block,
    Choice,
    Finish,
    Media,
    Refusal,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from dragoman.core.envelope import BAD_JSON
from dragoman.core.faults import upstream_garbage
from dragoman.dialects.base import Reply
from dragoman.dialects.openai_chat.usage import read_usage
from dragoman.dialects.openai_responses.failure import told_fault
from dragoman.dialects.openai_responses.output_reader import (
    finish_of,
    objects,
    read_item,
    read_logprobs,
    seconds,
    text_of,
)
from dragoman.dialects.openai_responses.response_object import (
    Item,
    Shell,
    call_item,
    call_seal,
    image_item,
    logprob_objects,
    message_item,
    notes_of,
    reasoning_id,
    reasoning_item,
    refusal_part,
    status_of,
    text_part,
)

_FAILED: Final = ("failed", "cancelled")


def read_answer(body: bytes) -> Answer:
    """Fault (owner upstream) for an error inside the body and for what is no finished response."""
    try:
        response = msgspec.json.decode(body)
    except BAD_JSON:
        raise upstream_garbage() from None
    if type(response) is not dict:
        raise upstream_garbage()
    if response.get("error") or response.get("status") in _FAILED:
        raise told_fault(response)
    if type(response.get("output")) is not list or response.get("status") in ("queued", "in_progress"):
        raise upstream_garbage()
    items = objects(response["output"])
    blocks: tuple[Block, ...] = tuple(block for item in items for block in read_item(item))
    return Answer(
        choices=(
            Choice(
                blocks=blocks,
                finish=finish_of(response, calls=any(isinstance(block, ToolCall) for block in blocks)),
                logprobs=_logprobs(items),
            ),
        ),
        usage=read_usage(response["usage"]) if response.get("usage") is not None else None,
        model=text_of(response, "model"),
        id=text_of(response, "id"),
        created=seconds(response.get("created_at")),
        service_tier=text_of(response, "service_tier"),
    )


def _logprobs(items: list[dict[str, Any]]) -> tuple[TokenLogprob, ...]:
    return tuple(
        token
        for item in items
        for part in objects(item.get("content"))
        for token in read_logprobs(part.get("logprobs"))
    )


# -- writing -------------------------------------------------------------------------------------------------


def write_answer(answer: Answer, reply: Reply) -> bytes:
    """The response object of the first choice; the API has no others."""
    shell = Shell.of(reply)
    choice = answer.choices[0] if answer.choices else Choice(blocks=())
    output = _Output(reply.response_id, choice)
    for block in choice.blocks:
        output.add(block)
    if choice.finish == "error":
        text = "the upstream ended its answer with an error"
        return msgspec.json.encode(shell.failed(output.items, "server_error", text, answer.usage))
    output.end(choice.finish)
    return msgspec.json.encode(shell.finished(output.items, choice.finish, answer.usage))


class _Output:
    """The output items of an answer, block by block. An item's id is made of its place."""

    def __init__(self, ids: str, choice: Choice) -> None:
        self.items: list[Item] = []
        self._ids = ids
        self._logprobs = logprob_objects(choice.logprobs)  # of the first text

    def add(self, block: Block) -> None:
        if isinstance(block, Text):
            self._text(block)
        elif isinstance(block, Refusal):
            if block.text:
                self._part(refusal_part(block.text))
        elif isinstance(block, Thinking):
            if block.text or block.signature:
                made = reasoning_id(block, self._id("rs_"))
                self.items.append(reasoning_item(made, block.text, block.signature, redacted=block.redacted))
        elif isinstance(block, ToolCall):
            self._call(block)
        elif isinstance(block, Media) and block.kind == "image" and isinstance(block.source, Base64):
            self.items.append(image_item(self._id("ig_"), block, block.source.data))

    def end(self, finish: Finish) -> None:
        if self.items and self.items[-1]["type"] == "message":
            self.items[-1]["status"] = status_of(finish)

    def _id(self, prefix: str) -> str:
        return f"{prefix}{self._ids}{len(self.items)}"

    def _part(self, part: Item) -> None:
        if not self.items or self.items[-1]["type"] != "message":
            self.items.append(message_item(self._id("msg_"), "completed", []))
        self.items[-1]["content"].append(part)

    def _text(self, block: Text) -> None:
        if block.text:
            notes = notes_of(block.citations, len(block.text))
            self._part(text_part(block.text, notes, self._logprobs))
            self._logprobs = []
        if block.signature is not None:
            self.items.append(reasoning_item(self._id("rs_"), "", block.signature, redacted=False))

    def _call(self, call: ToolCall) -> None:
        if call.signature is not None:
            self.items.append(call_seal(call.signature, self._id("rs_")))
        call_id = call.id or f"call_{self._ids}{len(self.items)}"
        arguments = call.arguments if call.custom else call.arguments or "{}"
        made = self._id("ctc_" if call.custom else "fc_")
        self.items.append(call_item(made, call, call_id, arguments, "completed"))
