"""Responses state over upstreams that keep none (decisions 23): ``previous_response_id``, GET, DELETE, input_items.

A finished turn is written before the client sees its end. A request that continues one of ours gets the whole chain as
its ``input`` and no ``previous_response_id``, so from there on it is an ordinary request for any lane and any channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw, Struct

from dragoman.core import faults
from dragoman.core.envelope import BAD_JSON, edit, peek
from dragoman.core.faults import Fault, invalid_request
from dragoman.core.framing import SseSplitter, sse_parts
from dragoman.relay.bodies import aside
from dragoman.relay.owners import Write
from dragoman.store.responses import StoredTurn

PAGE, LARGEST_PAGE = 20, 100


class _Asked(Struct):
    previous_response_id: Any = None
    conversation: Any = None
    input: Raw = Raw(b"[]")
    store: Any = None


class _Done(Struct):
    response: Raw


class _Object(Struct):
    id: str
    status: str = ""
    output: list[dict[str, Any]] = []


_DONE = msgspec.json.Decoder(_Done)
_OBJECT = msgspec.json.Decoder(_Object)


class Continued(Struct, frozen=True):
    """What one request adds to a conversation. ``body``: the request that goes on, the chain in its input."""

    parent_id: str | None
    items: list[Raw]
    store: bool
    body: bytes


class ResponseState:
    """The kept turns of all users. ``read_chain`` and ``read`` run in a thread; writes go through the ledger's writer."""

    def __init__(
        self,
        *,
        write: Write,
        put: Callable[[Any, str, int, str | None, StoredTurn], None],
        erase: Callable[[Any, str, int], None],
        read: Callable[[str, int], StoredTurn | None],
        read_chain: Callable[[str, int], list[StoredTurn]],
        enabled: bool,
        turn_bytes: int,
        note: Callable[..., None],
    ) -> None:
        self._write, self._put, self._erase = write, put, erase
        self._read, self._read_chain = read, read_chain
        self._enabled, self._turn_bytes, self._note = enabled, turn_bytes, note

    async def continued(self, body: bytes, user_id: int) -> Continued:
        """The request with everything before it. Fault 400: two kinds of history at once, or one too long.

        A ``previous_response_id`` that is none of ours stays in the body: it may be a vendor's.
        """
        asked = await aside(len(body), lambda: peek(body, _Asked))
        previous = asked.previous_response_id
        if previous is not None and asked.conversation is not None:
            raise invalid_request(
                "previous_response_id and conversation cannot be used together", "previous_response_id"
            )
        items = _items(asked.input)
        parent, whole = None, body
        if isinstance(previous, str) and previous:
            whole = await asyncio.to_thread(self._joined, previous, user_id, body, items)
            parent = previous if whole is not body else None
        elsewhere = asked.conversation is not None or (previous is not None and parent is None)
        store = self._enabled and asked.store is not False and not elsewhere
        if store and sum(len(bytes(item)) for item in items) > self._turn_bytes:
            store = False
            self._note("response_not_kept", reason=f"the turn is longer than {self._turn_bytes} bytes")
        # (copies: an item as it was read holds the whole body, and these wait for the end of the answer)
        return Continued(parent, [item.copy() for item in items] if store else [], store, whole)

    def _joined(self, previous: str, user_id: int, body: bytes, items: list[Raw]) -> bytes:
        """The request with everything before it; ``body`` itself if ``previous`` is none of ours. Runs in a thread."""
        try:
            turns = self._read_chain(previous, user_id)
        except ValueError as error:
            raise invalid_request(str(error), "previous_response_id") from None
        if not turns:
            return body
        whole = [item for turn in turns for item in (*turn.input, *_output(turn.response))] + items
        return edit(body, {"input": msgspec.json.encode(whole)}, drops=("previous_response_id",))

    async def keep(self, continued: Continued, user_id: int, told: bytes) -> None:
        """Write a finished turn: ``told`` is the response object, or the frames that end its stream."""
        raw = _response(told)
        if not continued.store or raw is None:
            return
        if len(raw) + sum(len(bytes(item)) for item in continued.items) > self._turn_bytes:
            self._note("response_not_kept", reason=f"the turn is longer than {self._turn_bytes} bytes")
            return
        response_id = _OBJECT.decode(raw).id
        turn = StoredTurn(continued.items, Raw(raw))
        await self._write(lambda c: self._put(c, response_id, user_id, continued.parent_id, turn))

    async def answer(self, operation: str, response_id: str, user_id: int, query: str) -> object | None:
        """The answer to GET, DELETE, cancel or input_items of a turn of ours; None if it is none. Fault 400 for cancel."""
        turn = await asyncio.to_thread(self._read, response_id, user_id)
        if turn is None:
            return None
        if operation == "responses_delete":
            await self._write(lambda c: self._erase(c, response_id, user_id))
            return {"id": response_id, "object": "response", "deleted": True}
        if operation == "responses_cancel":
            raise faults.invalid_request("Cannot cancel a response that is not in progress in the background")
        if operation == "responses_input_items":
            return _page(turn.input, response_id, query)
        return turn.response


def _items(given: Raw) -> list[Raw]:
    """``input`` as items; text is one user message."""
    try:
        value = msgspec.json.decode(given, type=str | list[Raw])
    except BAD_JSON:
        return []  # the reader of the request says what is wrong with it
    if isinstance(value, list):
        return value
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}
    return [Raw(msgspec.json.encode(message))]


def _output(response: Raw) -> list[Raw]:
    """The output items of a response as input of the next turn: ids of ours mean nothing to a vendor."""
    kept = [
        {k: v for k, v in item.items() if k not in ("id", "status")}
        for item in _OBJECT.decode(response).output
    ]
    return [Raw(msgspec.json.encode(item)) for item in kept]


def _response(told: bytes) -> bytes | None:
    """The response object in what the client is about to get; None if it did not end well enough to go on from."""
    raw = told
    if not told.startswith(b"{"):
        frames = [data for frame in SseSplitter(len(told)).feed(told) if (data := sse_parts(frame)[1])]
        if not frames:
            return None
        raw = bytes(_DONE.decode(frames[-1]).response)
    return raw if _OBJECT.decode(raw).status in ("completed", "incomplete") else None


def _listed(item: dict[str, Any]) -> dict[str, Any]:
    """An item in full: the short form of a message has its type and its part."""
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str):
        return item
    if isinstance(content, str):
        kind = "output_text" if role == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    return {**item, "type": "message", "content": content}


def _page(items: list[Raw], response_id: str, query: str) -> dict[str, Any]:
    """One page of input items, the newest first unless ``order=asc``; ids are made from the response's and the place."""
    asked = parse_qs(query)
    limit = asked.get("limit", [str(PAGE)])[0]
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:6]) <= LARGEST_PAGE):
        raise Fault(400, "invalid_request", f"limit must be a number from 1 to {LARGEST_PAGE}", param="limit")
    named = []
    for number, raw in enumerate(items):
        item = msgspec.json.decode(raw)
        if isinstance(item, dict):
            named.append({"id": f"item_{response_id.removeprefix('resp_')}{number}", **_listed(item)})
    if asked.get("order", ["desc"])[0] != "asc":
        named.reverse()
    after = asked.get("after", [""])[0]
    start = next((i + 1 for i, item in enumerate(named) if item["id"] == after), 0) if after else 0
    page = named[start : start + int(limit)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + len(page) < len(named),
    }
