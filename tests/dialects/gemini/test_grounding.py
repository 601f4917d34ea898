"""Byte offsets ⇄ character offsets (E157)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import Citation
from dragoman.dialects.gemini.grounding import Offsets, read_citations, write_grounding


@given(st.lists(st.text(max_size=8), max_size=6), st.integers(0, 60))
def test_offsets_are_those_of_the_text(pieces, at):
    whole = "".join(pieces).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    pieces = [whole[n : n + 3] for n in range(0, len(whole), 3)]
    offsets = Offsets()
    for piece in pieces:
        offsets.add(piece)
    at = min(at, len(whole))
    byte = len(whole[:at].encode())
    assert (offsets.size, offsets.characters) == (len(whole.encode()), len(whole))
    assert offsets.byte(at) == byte
    assert offsets.character(byte) == at


def test_e157():
    metadata = {
        "groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8, "text": "Paris"}, "groundingChunkIndices": [0]}
        ],
    }
    cited = read_citations(metadata, [Offsets("é Paris")])
    assert cited == [(0, Citation(url="https://x", title="X", cited="Paris", start=2, end=7))]


def test_segments_in_parts_and_in_the_whole_text():
    texts = [Offsets("ää"), Offsets("bb")]
    chunks = [{"web": {"uri": "https://x"}}]

    def place(segment):
        supports = [{"segment": segment, "groundingChunkIndices": [0]}]
        ((number, citation),) = read_citations(
            {"groundingChunks": chunks, "groundingSupports": supports}, texts
        )
        return number, citation.start, citation.end

    assert place({"partIndex": 1, "startIndex": 0, "endIndex": 1}) == (1, 0, 1)
    assert place({"startIndex": 5, "endIndex": 6}) == (1, 1, 2)
    assert place({"endIndex": 2}) == (0, 0, 1)
    assert place({"startIndex": 0, "endIndex": 99}) == (0, 0, 2)
    assert place({"startIndex": 50, "endIndex": 60}) == (1, -1, -1)
    assert place({}) == (0, -1, -1)


def test_odd_metadata_gives_nothing():
    texts = [Offsets("a")]
    for odd in (
        None,
        [],
        "x",
        {"groundingChunks": 1},
        {"groundingSupports": [1, {"groundingChunkIndices": 3}]},
    ):
        assert read_citations(odd, texts) == []
    assert read_citations({"groundingSupports": [{"groundingChunkIndices": [0, -1, True, "x"]}]}, texts) == []
    blind = {"groundingChunks": [{"web": {}}], "groundingSupports": [{"groundingChunkIndices": [0]}]}
    assert read_citations(blind, texts) == []


def test_written():
    offsets = Offsets("é Paris")
    paris = Citation(url="https://x", title="X", cited="Paris", start=2, end=7)
    whole = Citation(url="https://y")
    also = Citation(url="https://y", start=2, end=7)
    told = write_grounding([(paris, offsets, 10), (also, offsets, 10), (whole, offsets, 10)])
    assert told == {
        "groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}, {"web": {"uri": "https://y"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 13, "endIndex": 18, "text": "Paris"}, "groundingChunkIndices": [0, 1]},
            {"segment": {"startIndex": 10, "endIndex": 18}, "groundingChunkIndices": [1]},
        ],
    }
    assert write_grounding([]) == {}
    assert write_grounding([(Citation(title="no address"), offsets, 0)]) == {}
