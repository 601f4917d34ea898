"""OpenAI's endpoints around chat: /v1/completions, /v1/embeddings, /v1/moderations."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Iterator
from typing import Any

from dragoman.simulator.openai_chat import DONE, usage
from dragoman.simulator.reply import CREATED, Ask, Reply, encode, tokens
from dragoman.simulator.wire import EVENT_STREAM, Answer, Call, Fault, need

_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent",
    "self-harm", "self-harm/instructions", "self-harm/intent",
    "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_DEFAULT_DIMENSIONS = {"text-embedding-3-large": 3072}
_LARGEST_BATCH = 2048


def completions(call: Call) -> Answer:
    """POST /v1/completions: one choice per prompt; a prompt is a text or a list of token ids."""
    body = call.body
    model = call.model or need(body, "model", str, "a string")
    given = need(body, "prompt", (str, list), "a string or an array")
    prompts = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    replies = []
    for prompt in prompts:
        ask = Ask(model=model, max_tokens=body.get("max_tokens", 16))
        ask.prompt, ask.input_chars = _text_of(prompt)
        stop = body.get("stop") or []
        ask.stop = [stop] if isinstance(stop, str) else stop
        replies.append(call.reply(ask))
    total = Reply(
        prompt_tokens=sum(r.prompt_tokens for r in replies),
        output_tokens=sum(r.output_tokens for r in replies),
    )
    base = {"id": call.new_id("cmpl-"), "object": "text_completion", "created": CREATED, "model": model}
    counted = None if call.wish.no_usage else usage(total)
    if body.get("stream"):
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        return Answer(frames=_stream(base, replies, counted if asked else None), content_type=EVENT_STREAM)
    choices = [
        {"text": r.text, "index": i, "logprobs": None, "finish_reason": r.finish}
        for i, r in enumerate(replies)
    ]
    answer = base | {"choices": choices}
    if counted:
        answer["usage"] = counted
    return Answer(body=encode(answer))


def _stream(base: dict[str, Any], replies: list[Reply], counted: dict[str, Any] | None) -> Iterator[bytes]:
    for index, reply in enumerate(replies):
        for piece in reply.pieces():
            choice = {"text": piece, "index": index, "logprobs": None, "finish_reason": None}
            yield b"data: " + encode(base | {"choices": [choice]}) + b"\n\n"
        choice = {"text": "", "index": index, "logprobs": None, "finish_reason": reply.finish}
        yield b"data: " + encode(base | {"choices": [choice]}) + b"\n\n"
    if counted:
        yield b"data: " + encode(base | {"choices": [], "usage": counted}) + b"\n\n"
    yield DONE


def embeddings(call: Call) -> Answer:
    """POST /v1/embeddings: texts or token ids in, unit vectors out (floats, or base64 of float32)."""
    body = call.body
    model = call.model or need(body, "model", str, "a string")
    given = need(body, "input", (str, list), "a string or an array")
    single = isinstance(given, str) or (bool(given) and isinstance(given[0], int))
    inputs = [given] if single else given
    if not inputs or len(inputs) > _LARGEST_BATCH:
        raise Fault(400, f"'input' must have between 1 and {_LARGEST_BATCH} items.", param="input")
    dimensions = body.get("dimensions") or _DEFAULT_DIMENSIONS.get(model, 1536)
    if not 1 <= dimensions <= 4096:
        raise Fault(400, "Invalid value for 'dimensions'.", code="invalid_value", param="dimensions")
    as_base64 = body.get("encoding_format") == "base64"
    count = 0
    data: list[dict[str, Any]] = []
    for index, item in enumerate(inputs):
        text, characters = _text_of(item)
        if index == 0:
            call.obey(text)
        count += max(1, tokens(characters))
        values = vector(text, dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *values)).decode() if as_base64 else values
        data.append({"object": "embedding", "index": index, "embedding": packed})
    answer: dict[str, Any] = {"object": "list", "data": data, "model": model}
    if not call.wish.no_usage:
        counted = call.wish.input if call.wish.input >= 0 else count
        answer["usage"] = {"prompt_tokens": counted, "total_tokens": counted}
    return Answer(body=encode(answer))


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector that depends on nothing but the text."""
    raw = [byte - 127.5 for byte in hashlib.shake_128(text.encode()).digest(dimensions)]
    length = math.sqrt(sum(value * value for value in raw))
    return [value / length for value in raw]


def moderations(call: Call) -> Answer:
    """POST /v1/moderations: flags `violence` where the text has that word."""
    body = call.body
    given = need(body, "input", (str, list), "a string or an array")
    items: list[Any] = [given] if isinstance(given, str) else given
    if items and isinstance(items[0], dict):  # the parts of one multimodal input
        items = [" ".join(str(part.get("text", "")) for part in items)]
    results = []
    for item in items:
        text = call.obey(item)
        violent = "violence" in text.lower()
        names = dict.fromkeys(_CATEGORIES, False) | {"violence": violent}
        scores = dict.fromkeys(_CATEGORIES, 0.0001) | {"violence": 0.99 if violent else 0.0001}
        kinds = {name: ["text"] for name in _CATEGORIES}
        results.append(
            {
                "flagged": violent,
                "categories": names,
                "category_scores": scores,
                "category_applied_input_types": kinds,
            }
        )
    model = body.get("model") or "omni-moderation-latest"
    return Answer(body=encode({"id": call.new_id("modr-"), "model": model, "results": results}))


def _text_of(item: Any) -> tuple[str, int]:
    """The text, and the characters it counts as: a token id counts four, hence one token."""
    if isinstance(item, str):
        return item, len(item)
    if isinstance(item, list) and all(isinstance(number, int) for number in item):
        return " ".join(map(str, item)), 4 * len(item)
    raise Fault(
        400, "Invalid input: expected strings or arrays of token ids.", code="invalid_type", param="input"
    )
