"""How many tokens a text or a conversation has, without a vocabulary: a measured linear estimate. Pure and fast.

The text's UTF-8 bytes are mapped to kinds (lower case, upper case, digit, blank, punctuation, script by lead byte), and
kinds and pairs of neighbouring kinds are counted: where words begin, how long runs are, which script. Each count has a
weight. The weights are a non-negative least-squares fit to OpenAI's o200k vocabulary; the error was measured on 2 700
texts of 200 to 5 000 tokens that had no part in the fit (mean absolute error, share within ±15 %):

    English prose and manuals 5 %, 99 %     Chinese 5 %, 99 %                   JSON 3 %, 96 %
    Python 4 %, 99 %                        Japanese 4 %, 99 %                  HTML 6 %, 92 %
    JavaScript, also minified 4 %, 99 %     Korean 4 %, 100 %                   UUIDs, logs, numbers 5 %, 100 %
    C headers 7 %, 90 %                     Russian, manuals 7 %, 94 %          mixed 2 %, 100 %
    Perl, Vim script 12 %, 68 %             Russian, old novels 11 %, 81 %      base64 16 % too few
    German, French, Spanish 5 %, 100 %      Arabic 5 %, 100 %                   Hindi 9 %, 92 %, Thai 8 %, 89 %

Other vocabularies: cl100k agrees on English and code, but has a third more tokens for Russian, Japanese and Korean and
twice as many for Arabic and Hindi; Claude's newer vocabulary (4.7 and later) has about a third more than its older one,
which is about a tenth above this estimate on English. Speed: 20 MB/s and more.

Weights are never negative, so a longer text never has fewer tokens than its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.conversation import (
    Block,
    Conversation,
    Function,
    Media,
    Opaque,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

Encode = Callable[[str], int]
"""A real vocabulary: the number of tokens of a text."""

UNCOUNTED: Final = "Images and files are not counted; the real input, and with it the bill, can be larger."

_MESSAGE: Final = 3  # what chat formats put around every message
_TOOL: Final = 6  # and around every tool

# Kinds of bytes. Continuation bytes of UTF-8 are left out, so that a character is one kind.
_SCRIPTS: Final = (
    (0xC2, 0xCD, "l"),  # Latin beyond ASCII
    (0xCE, 0xCF, "g"),  # Greek
    (0xD0, 0xD3, "c"),  # Cyrillic
    (0xD4, 0xD5, "g"),  # Armenian
    (0xD6, 0xD7, "h"),  # Hebrew
    (0xD8, 0xDF, "r"),  # Arabic and its neighbours
    (0xE0, 0xE0, "i"),  # India, Thailand
    (0xE1, 0xE1, "v"),  # Vietnamese vowels, Georgian, Khmer, …
    (0xE2, 0xE2, "p"),  # typographic signs
    (0xE3, 0xE3, "k"),  # kana and CJK punctuation
    (0xE4, 0xE9, "z"),  # Han
    (0xEA, 0xED, "w"),  # Hangul
    (0xEE, 0xEF, "f"),  # full-width forms
    (0xF0, 0xFF, "X"),  # emoji
)


def _kind(byte: int) -> str:
    char = chr(byte)
    if byte >= 0x80:
        return next((kind for first, last, kind in _SCRIPTS if first <= byte <= last), "~")
    for member, kind in ((str.islower, "a"), (str.isupper, "A"), (str.isdigit, "0")):
        if member(char):
            return kind
    named = {" ": " ", "\t": " ", "\n": "\n", "\r": "\n"} | dict.fromkeys("-=*#~+", "-")
    return named.get(char, ".")


_KINDS: Final = "".join(_kind(byte) for byte in range(256)).encode()
_TAILS: Final = bytes(range(0x80, 0xC0))

# Thousandths of a token for each occurrence of a kind or of a pair of kinds: ".a" is a letter after punctuation.
_ASCII_WEIGHTS: Final = {
    "-": 403, ".": 310, "0": 352, "a": 42, "\n ": 1745, "\nA": 2408, "\na": 2687, " 0": 1586, "-A": 2444,
    "-a": 1556, ". ": 1073, ".0": 1342, ".A": 614, ".a": 919, "0A": 114, "0a": 1619, "A0": 2675, "AA": 444,
    "Aa": 151, "a\n": 1904, "a ": 752, "aA": 727,
}  # fmt: skip
_SCRIPT_WEIGHTS: Final = {
    "c": 273, "h": 606, "r": 256, "p": 668, "k": 581, "z": 776, "w": 502, "f": 1094, "X": 3800, "gg": 905,
    "rr": 282, "ii": 979, "vv": 1032, " c": 75, " w": 757, "la": 510, "al": 1273, "kz": 1022, ".z": 2610,
    ".c": 4557, ".r": 2936,
}  # fmt: skip
_BYTE_WEIGHTS: Final = {b"\xd1\x96": 1265, b"\xc2": 849}

_ASCII: Final = tuple((mark.encode(), weight) for mark, weight in _ASCII_WEIGHTS.items())
_SCRIPT: Final = tuple((mark.encode(), weight) for mark, weight in _SCRIPT_WEIGHTS.items())


def count_text(text: str, encode: Encode | None = None) -> int:
    """Tokens of a text: by ``encode`` if there is one, else the estimate. 0 for "", at least 1 for any other."""
    if not text:
        return 0
    if encode is not None:
        return encode(text)
    data = text.encode("utf-8", "surrogatepass")
    kinds = b" " + data.translate(_KINDS, _TAILS)
    total = sum([weight * kinds.count(mark) for mark, weight in _ASCII])
    if len(data) != len(text):
        total += sum([weight * kinds.count(mark) for mark, weight in _SCRIPT])
        total += sum([weight * data.count(mark) for mark, weight in _BYTE_WEIGHTS.items()])
    return max(1, (total + 500) // 1000)


class Counted(Struct, frozen=True):
    """tokens: the input's. warning: a sentence if something of it could not be counted, else ""."""

    tokens: int
    warning: str = ""


def count_tokens(conversation: Conversation, encode: Encode | None = None) -> Counted:
    """The input tokens of a conversation: instructions, turns with their tool calls and results, tools with their schemas.

    Hidden reasoning, images and files count nothing; the latter two give a warning.
    """
    texts: list[str] = []
    uncounted = _blocks(conversation.system, texts)
    overhead = _MESSAGE if conversation.system else 0
    for turn in conversation.turns:
        uncounted |= _blocks(turn.blocks, texts)
        texts.append(turn.name)
        overhead += _MESSAGE
    for tool in conversation.tools:
        texts += _tool(tool)
        overhead += _TOOL
    if conversation.output_format is not None and conversation.output_format.schema is not None:
        texts.append(_json(conversation.output_format.schema))
    tokens = overhead + sum(count_text(text, encode) for text in texts)
    return Counted(tokens, UNCOUNTED if uncounted else "")


def _blocks(blocks: Iterable[Block], texts: list[str]) -> bool:
    """Append what is read of the blocks; True if there is something that cannot be counted."""
    uncounted = False
    for block in blocks:
        if isinstance(block, Text | Thinking | Refusal | Opaque):
            texts.append(block.text)
        elif isinstance(block, ToolCall):
            texts += (block.name, block.arguments)
        elif isinstance(block, ToolResult):
            texts.append(block.name)
            uncounted |= _blocks(block.content, texts)
            if not block.content and block.structured is not None:
                texts.append(_json(block.structured))
        elif isinstance(block, Media):
            uncounted = True
    return uncounted


def _tool(tool: Tool) -> list[str]:
    if isinstance(tool, Function):
        schema = _json(tool.parameters) if tool.parameters else ""
        return [tool.name, tool.description, schema, _json(tool.format) if tool.format else ""]
    return [_json(tool.raw)] if isinstance(tool, Opaque) else []


def _json(value: Any) -> str:
    """Compact JSON; read-only mappings too."""
    return msgspec.json.encode(value, enc_hook=dict).decode()
