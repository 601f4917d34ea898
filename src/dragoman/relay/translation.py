"""The request side of the translate lane: what the client asked, read once, and what each upstream gets of it.

A call is read when the first candidate needs it translated, not before; the conversation is immutable, so every
attempt starts from the original. Large bodies are read and written in a thread, in steps that the event loop can share.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.conversation import (
    Block,
    Conversation,
    Loss,
    Media,
    ToolResult,
    Turn,
    Url,
    path_text,
    rejected,
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault, invalid_request
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import Reply, Target, UpstreamSide, Written
from dragoman.providers.base import OPERATION_DIALECT
from dragoman.providers.facts import facts_for
from dragoman.relay.bodies import aside
from dragoman.relay.fetch import MediaLoader, load_all
from dragoman.routing.plan import Call, Candidate

NAMED_LOSSES, NAMED_BYTES = 40, 2000  # how much of the list of losses a header takes


class Upstream(Struct, frozen=True):
    """One translated request. dialect: the upstream's name."""

    dialect: str
    written: Written


class Translation:
    """One call's way through the IR. ``body``: the client's, kept until an answer has begun."""

    def __init__(self, call: Call, body: bytes, loader: MediaLoader, previous_id: str = "") -> None:
        self._call, self._body, self._loader, self._previous_id = call, body, loader, previous_id
        self._conversation: Conversation | None = None
        self._loaded: dict[str, Media] = {}

    async def conversation(self) -> Conversation:
        """The client's request as the IR. Fault 400 in its own words for what is no request of its dialect."""
        if self._conversation is None:
            client = DIALECTS[self._call.dialect].client
            assert client is not None, "select offers translation to dialects that have it"
            read, body = client.read_request, self._body
            conversation = await aside(len(body), lambda: read(body))
            if self._previous_id:  # its turns are in the body already; the answer still names it
                conversation = replace(conversation, previous_id=self._previous_id)
            self._conversation = conversation
        return self._conversation

    async def check(self) -> None:
        """Fault 400 if no other dialect can serve this request: called where no channel of the same dialect is left."""
        conversation = await self.conversation()
        for at, what in conversation.bound:
            raise rejected(
                at,
                conversation.origin,
                f"{what} is served by channels that speak {self._call.dialect} only, "
                f"and there is none for model {self._call.model}",
            )

    async def reply(self) -> Reply:
        """What the answer needs to know about the request."""
        call = self._call
        return Reply(
            model=call.model,
            response_id=call.request_id.removeprefix("req_"),
            created=int(call.started_at),
            conversation=await self.conversation(),
            include_usage=call.include_usage,
            array=call.array,
        )

    async def write(self, candidate: Candidate) -> Upstream:
        """The request for one candidate. Fault 400: it cannot be had there, or only with losses and the call is strict."""
        call = self._call
        dialect = OPERATION_DIALECT[candidate.operation]
        side = DIALECTS[dialect].upstream
        assert side is not None, "select offers translation to dialects that have it"
        conversation = await self.conversation()
        if conversation.bound:
            await self.check()
        facts = facts_of(candidate, dialect, call.model)
        conversation = await self._with_media(conversation, side, facts)
        target = Target(model=candidate.channel.upstream_model(call.model), facts=facts, stream=call.stream)
        written = await aside(len(self._body), lambda: side.write_request(conversation, target))
        if call.strict and written.losses:
            raise refused(written.losses, conversation.origin)
        return Upstream(dialect, written)

    def forget(self) -> None:
        """An answer has begun: an open stream must not hold its request."""
        self._body, self._conversation = b"", None
        self._loaded.clear()

    async def _with_media(self, conversation: Conversation, side: UpstreamSide, facts: Facts) -> Conversation:
        """The conversation with the bytes of every URL that the upstream cannot load itself."""
        wanted = {
            media.source.url: media
            for media in _media(conversation)
            if isinstance(media.source, Url) and not side.takes_url(media, facts)
        }
        if not wanted:
            return conversation
        missing = [media for url, media in wanted.items() if url not in self._loaded]
        loaded = await load_all(self._loader, missing, conversation.origin)
        self._loaded.update({m.source.url: got for m, got in zip(missing, loaded, strict=True)})  # type: ignore[union-attr]
        have = {url: self._loaded[url] for url in wanted}
        return replace(conversation, turns=tuple(_filled(turn, have) for turn in conversation.turns))


def facts_of(candidate: Candidate, dialect: str, model: str) -> Facts:
    """What the candidate's model can do there."""
    channel = candidate.channel
    return facts_for(channel.endpoint.provider, dialect, channel.upstream_model(model), model, channel.facts)


def dropped_header(losses: Sequence[Loss], origin: str) -> bytes:
    """The value of ``x-dragoman-dropped``: the client's paths, comma-separated, cut after some with their number."""
    paths = list(dict.fromkeys(path_text(loss.at, origin) for loss in losses))
    shown: list[str] = []
    size = 0
    for path in paths[:NAMED_LOSSES]:
        size += len(path) + 2
        if size > NAMED_BYTES:
            break
        shown.append(path)
    if len(shown) < len(paths):
        shown.append(f"and {len(paths) - len(shown)} more")
    text = ", ".join(shown)
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in text).encode()


def refused(losses: Sequence[Loss], origin: str) -> Fault:
    """The 400 of a strict call."""
    first = losses[0]
    path = path_text(first.at, origin)
    more = f" (and {len(losses) - 1} more)" if len(losses) > 1 else ""
    return invalid_request(
        f"{path}: {first.why}{more}; strict translation was asked for, so nothing was sent", path
    )


def _media(conversation: Conversation) -> list[Media]:
    found: list[Media] = []
    for turn in conversation.turns:
        for block in turn.blocks:
            if isinstance(block, Media):
                found.append(block)
            elif isinstance(block, ToolResult):
                found += [inner for inner in block.content if isinstance(inner, Media)]
    return found


def _filled(turn: Turn, loaded: dict[str, Media]) -> Turn:
    def filled(block: Block) -> Block:
        if isinstance(block, Media) and isinstance(block.source, Url) and block.source.url in loaded:
            got = loaded[block.source.url]
            return replace(block, source=got.source, media_type=got.media_type)
        if isinstance(block, ToolResult):
            return replace(block, content=tuple(filled(inner) for inner in block.content))
        return block

    return replace(turn, blocks=tuple(filled(block) for block in turn.blocks))
