"""A whole answer as a stream of events, and a stream of events as a whole answer. Pure.

Needed where a vendor answers in the other form than it was asked to (a JSON body for a stream, or only ever streams).
"""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.core.conversation import (
    Annotated,
    Answer,
    Block,
    Choice,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Finish,
    Finished,
    Logprobs,
    Opened,
    Refusal,
    Signed,
    Start,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    UsageSeen,
)
from dragoman.core.usage import Usage


def events_of(answer: Answer) -> list[Event]:
    """The stream that would have given ``answer``."""
    out: list[Event] = [Start(model=answer.model, id=answer.id, created=answer.created)]
    for number, choice in enumerate(answer.choices):
        for index, block in enumerate(choice.blocks):
            out += _block(index, block, number)
        if choice.logprobs:
            out.append(Logprobs(tokens=choice.logprobs, choice=number))
        out.append(Finished(finish=choice.finish, stop_sequence=choice.stop_sequence, choice=number))
    if answer.usage is not None:
        out.append(UsageSeen(usage=answer.usage))
    out.append(Ended())
    return out


def _block(index: int, block: Block, choice: int) -> list[Event]:
    empty, text = block, ""
    out: list[Event] = []
    if isinstance(block, Text):
        text, empty = block.text, replace(block, text="", citations=(), signature=None)
    elif isinstance(block, Thinking):
        text, empty = (
            block.text,
            replace(block, text="", signature=None if not block.redacted else block.signature),
        )
    elif isinstance(block, Refusal):
        text, empty = block.text, replace(block, text="")
    elif isinstance(block, ToolCall):
        text, empty = block.arguments, replace(block, arguments="")
    out.append(Opened(index=index, block=empty, choice=choice))
    if text:
        out.append(Delta(index=index, text=text, choice=choice))
    if isinstance(block, Text) and block.citations:
        out.append(Annotated(index=index, citations=block.citations, choice=choice))
    signed = isinstance(block, Text) or (isinstance(block, Thinking) and not block.redacted)
    if signed and block.signature is not None:  # type: ignore[union-attr]
        out.append(Signed(index=index, signature=block.signature, choice=choice))  # type: ignore[union-attr]
    out.append(Closed(index=index, choice=choice))
    return out


class _Choice:
    """One choice while it is put together."""

    def __init__(self) -> None:
        self.blocks: dict[int, Block] = {}
        self.texts: dict[int, list[str]] = {}
        self.logprobs: list[TokenLogprob] = []
        self.finish: Finish = "stop"
        self.stop_sequence = ""

    def made(self) -> Choice:
        blocks = tuple(
            _filled(block, "".join(self.texts[index])) for index, block in sorted(self.blocks.items())
        )
        return Choice(
            blocks=blocks, finish=self.finish, stop_sequence=self.stop_sequence, logprobs=tuple(self.logprobs)
        )


def _filled(block: Block, text: str) -> Block:
    if isinstance(block, Text | Thinking | Refusal):
        return replace(block, text=block.text + text)
    if isinstance(block, ToolCall):
        return replace(block, arguments=block.arguments + text or "{}")
    return block


class Folded:
    """Puts events together. ``answer()`` after Ended; raises the Failed event's fault from ``feed``."""

    def __init__(self) -> None:
        self._start = Start()
        self._usage: Usage | None = None
        self._choices: dict[int, _Choice] = {}

    def feed(self, event: Event) -> None:
        """Take one event. Raises Fault for Failed."""
        if isinstance(event, Failed):
            raise event.fault
        if isinstance(event, Start):
            self._start = event
            self._usage = event.usage or self._usage
        elif isinstance(event, UsageSeen):
            self._usage = event.usage
        elif not isinstance(event, Ended):
            self._of_choice(self._choices.setdefault(event.choice, _Choice()), event)

    def _of_choice(self, choice: _Choice, event: Event) -> None:
        match event:
            case Opened(index=index, block=block):
                choice.blocks[index], choice.texts[index] = block, []
            case Delta(index=index, text=text) if index in choice.texts:
                choice.texts[index].append(text)
            case Annotated(index=index, citations=citations):
                held = choice.blocks.get(index)
                if isinstance(held, Text):
                    choice.blocks[index] = replace(held, citations=held.citations + citations)
            case Signed(index=index, signature=signature):
                held = choice.blocks.get(index)
                if isinstance(held, Text | Thinking | ToolCall):
                    choice.blocks[index] = replace(held, signature=signature)
            case Logprobs(tokens=tokens):
                choice.logprobs.extend(tokens)
            case Finished(finish=finish, stop_sequence=stop_sequence):
                choice.finish, choice.stop_sequence = finish, stop_sequence

    def answer(self) -> Answer:
        """What was said so far as a whole answer."""
        choices = tuple(choice.made() for _, choice in sorted(self._choices.items()))
        start = self._start
        return Answer(
            choices=choices or (Choice(blocks=()),),
            usage=self._usage,
            model=start.model,
            id=start.id,
            created=start.created,
        )
