"""Placeholder until the real count is written (the owner of this file replaces it whole)."""

from __future__ import annotations

from msgspec import Struct

from dragoman.core.conversation import Conversation


class Counted(Struct, frozen=True):
    tokens: int
    warning: str = ""


def count_tokens(conversation: Conversation) -> Counted:
    return Counted(max(1, len(repr(conversation.turns)) // 8))
