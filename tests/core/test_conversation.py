"""Paths as the client reads them, and faults that name them."""

from __future__ import annotations

import pytest

from dragoman.core.conversation import Conversation, bracketed, dotted, path_text, rejected


@pytest.mark.parametrize(
    ("at", "dots", "brackets"),
    [
        (("messages", 0, "content", 2, "type"), "messages.0.content.2.type", "messages[0].content[2].type"),
        (("tools", 0, "type"), "tools.0.type", "tools[0].type"),
        (("generationConfig", "topK"), "generationConfig.topK", "generationConfig.topK"),
        ((), "", ""),
    ],
)
def test_paths(at, dots, brackets):
    assert dotted(at) == path_text(at, "anthropic") == dots
    assert bracketed(at) == path_text(at, "openai_chat") == brackets


def test_rejected_names_the_member():
    fault = rejected(("tools", 0, "type"), "anthropic", "not here")
    assert (fault.status, fault.message, fault.param) == (400, "tools.0.type: not here", "tools.0.type")
    assert rejected(("n",), "openai_chat", "no").message == "n: no"
    whole = rejected((), "gemini", "no body")
    assert (whole.message, whole.param) == ("no body", None)


def test_where():
    conversation = Conversation(origin="gemini", turns=(), fields={"top_k": ("generationConfig", "topK")})
    assert conversation.where("top_k") == ("generationConfig", "topK")
    assert conversation.where("seed") == ("seed",)
