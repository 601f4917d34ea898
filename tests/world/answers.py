"""What vendors answer, small and exact; usage is the same in every dialect: 10 prompt tokens (4 cached), 5 output."""

from __future__ import annotations

import json
from typing import Any

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}},
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
    "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 0}},
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 5},
}  # fmt: skip
GENERATED: dict[str, Any] = {
    "candidates": [{"content": {"parts": [{"text": "Hello"}], "role": "model"}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "totalTokenCount": 15},
}  # fmt: skip
EMBEDDING: dict[str, Any] = {
    "object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "m",
    "usage": {"prompt_tokens": 10, "total_tokens": 10},
}  # fmt: skip

# 6 uncached at $1, 4 cached at $0.10, 5 output at $10 per million: 6 000 + 400 + 50 000 = 56 400 nanos → 28.2 units → 28
QUOTA, NANOS = 28, 56_000


def data(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def event(value: dict[str, Any]) -> bytes:
    return b"event: " + value["type"].encode() + b"\n" + data(value)


def chat_chunk(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> bytes:
    return data(
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            **fields,
        }
    )


CHAT_USAGE = data(
    {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": CHAT["usage"],
    }
)
CHAT_FRAMES = [
    chat_chunk({"role": "assistant", "content": ""}),
    chat_chunk({"content": "Hel"}),
    chat_chunk({"content": "lo"}),
    chat_chunk({}, "stop"),
]
DONE = b"data: [DONE]\n\n"
RESPONSE_FRAMES = [
    event(
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None},
        }
    ),
    event(
        {
            "type": "response.output_text.delta",
            "sequence_number": 1,
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": "Hello",
        }
    ),
    event({"type": "response.completed", "sequence_number": 2, "response": RESPONSE}),
]
MESSAGE_FRAMES = [
    event(
        {
            "type": "message_start",
            "message": {
                **MESSAGE,
                "content": [],
                "stop_reason": None,
                "usage": {**MESSAGE["usage"], "output_tokens": 1},
            },
        }
    ),
    event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}),
    event({"type": "content_block_stop", "index": 0}),
    event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 5},
        }
    ),
    event({"type": "message_stop"}),
]
_HALF = {"candidates": [{"content": {"parts": [{"text": "Hel"}], "role": "model"}}]}
_REST = {
    **GENERATED,
    "candidates": [{"content": {"parts": [{"text": "lo"}], "role": "model"}, "finishReason": "STOP"}],
}
GEMINI_FRAMES = [data(_HALF).replace(b"\n\n", b"\r\n\r\n"), data(_REST).replace(b"\n\n", b"\r\n\r\n")]
GEMINI_ARRAY = [b"[" + json.dumps(_HALF).encode(), b",\r\n" + json.dumps(_REST).encode(), b"]"]
