"""What passes between the ASGI shell and the dialects: Call in, Answer or Fault out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from dragoman.simulator.directives import NONE, BadDirective, Directives, in_text, parse
from dragoman.simulator.reply import Ask, Reply, compose

STORED_LIMIT = 10_000  # responses kept for GET and previous_response_id
COUNTED_DIRECTIVES = 1_000


class Fault(Exception):
    """An error answer; each dialect has its own shape and default names for it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: int = -1,
    ):
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after


class StoredResponse(msgspec.Struct, kw_only=True):
    """A response of POST /v1/responses that can be fetched, continued, cancelled or deleted."""

    body: dict[str, Any]  # as it will look when finished
    reply: Reply
    input_items: list[dict[str, Any]]
    context_chars: int  # input and output so far: what a continuation counts as input
    status: str
    polls: int = 0


class State:
    """Everything that outlives a request: a counter, stored responses, spent `times=`."""

    def __init__(self) -> None:
        self.serial = 0
        self.responses: OrderedDict[str, StoredResponse] = OrderedDict()
        self.spent: OrderedDict[str, int] = OrderedDict()

    def clear(self) -> None:
        """Forgets stored responses and spent directives; ids go on counting."""
        self.responses.clear()
        self.spent.clear()

    def store(self, response_id: str, response: StoredResponse) -> None:
        """Keeps a response; the oldest go first."""
        self.responses[response_id] = response
        while len(self.responses) > STORED_LIMIT:
            self.responses.popitem(last=False)

    def directives(self, text: str, credential: str) -> Directives:
        """What `text` asks of this request. Raises Fault(400) on directives nobody knows."""
        try:
            wish = parse(text)
        except BadDirective as error:
            raise Fault(400, str(error), code="bad_directive") from error
        if wish.only_key and wish.only_key != credential:
            return NONE
        if wish.times >= 0:
            self.spent[text] = self.spent.get(text, 0) + 1
            while len(self.spent) > COUNTED_DIRECTIVES:
                self.spent.popitem(last=False)
            if self.spent.get(text, 0) > wish.times:
                return NONE
        return wish


class Call(msgspec.Struct, kw_only=True):
    """One request, routed and parsed. `body` is {} where there is none."""

    operation: str
    model: str  # from the path; "" where the body names it
    resource: str  # id from the path
    query: dict[str, str]
    headers: dict[bytes, bytes]
    body: dict[str, Any]
    wish: Directives
    credential: str
    serial: int
    state: State

    def new_id(self, prefix: str, part: int = 0) -> str:
        """`resp_` -> `resp_sim00000007`; `part` tells several ids of one answer apart."""
        name = self.wish.id or f"sim{self.serial:08d}"
        return f"{prefix}{name}_{part}" if part else f"{prefix}{name}"

    def obey(self, prompt: str) -> str:
        """The prompt without its directives. Raises Fault where they ask for an error."""
        prompt, text = in_text(prompt)
        if text and self.wish is NONE:
            self.wish = self.state.directives(text, self.credential)
        self.fail_if_asked()
        return prompt

    def fail_if_asked(self) -> None:
        """Raises the Fault that `status=` names."""
        wish = self.wish
        if wish.status >= 400:
            message = wish.message or f"Simulated error {wish.status}"
            raise Fault(wish.status, message, code=wish.code or None, retry_after=wish.retry_after)

    def reply(self, ask: Ask) -> Reply:
        """Composes the reply, directives obeyed. Raises Fault."""
        ask.prompt = self.obey(ask.prompt)
        if ask.model.startswith("missing"):
            raise Fault(
                404,
                f"The model `{ask.model}` does not exist or you do not have access to it.",
                code="model_not_found",
            )
        return compose(ask, self.wish)


class Answer(msgspec.Struct, kw_only=True):
    """Either `body` or `frames` (bytes exactly as they go out)."""

    body: bytes = b""
    frames: Iterator[bytes] | None = None
    content_type: bytes = b"application/json"


class Handler(Protocol):
    """One operation of one dialect. Raises Fault."""

    def __call__(self, call: Call) -> Answer: ...


class Dialect(msgspec.Struct, frozen=True):
    """How a dialect reports errors."""

    fault_body: FaultBody
    fault_frames: FaultFrames
    headers: HeadersOf


class FaultBody(Protocol):
    """The body of an error answer."""

    def __call__(self, call: Call | None, fault: Fault) -> bytes: ...


class FaultFrames(Protocol):
    """The bytes that end a running stream as failed, after `sent` frames."""

    def __call__(self, call: Call, fault: Fault, sent: int) -> bytes: ...


class HeadersOf(Protocol):
    """The vendor's own answer headers."""

    def __call__(self, serial: int) -> list[tuple[bytes, bytes]]: ...


EVENT_STREAM = b"text/event-stream; charset=utf-8"


def need(body: dict[str, Any], name: str, kind: type | tuple[type, ...], described: str) -> Any:
    """A required member of the right type. Raises Fault(400)."""
    value = body.get(name)
    if value is None:
        raise Fault(
            400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name
        )
    if not isinstance(value, kind):
        raise Fault(400, f"Invalid type for '{name}': expected {described}.", code="invalid_type", param=name)
    return value


def chars(value: Any) -> int:
    """Characters of a text, or of the compact JSON of anything else; None counts nothing."""
    if value is None:
        return 0
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value).decode())
