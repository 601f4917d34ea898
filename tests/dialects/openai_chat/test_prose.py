from __future__ import annotations

from dragoman.core.conversation import Base64, Citation, FileId, Media, Url
from dragoman.dialects.openai_chat.prose import Prose, markdown, read_citations, write_citations

PNG = Media(kind="image", source=Base64("AAAA"), media_type="image/png")


def test_media_as_markdown() -> None:
    assert markdown(PNG) == "![image](data:image/png;base64,AAAA)"
    assert markdown(Media(kind="image", source=Url("https://x/y.png"))) == "![image](https://x/y.png)"
    assert markdown(Media(kind="audio", source=Url("https://x/y.wav"), name="y")) == "[y](https://x/y.wav)"
    assert markdown(Media(kind="image", source=FileId("openai", "f"))) == ""


def test_media_stand_alone_and_the_length_counts_what_separates_them() -> None:
    prose = Prose()
    whole = prose.begin() + prose.add("é") + prose.media(PNG) + prose.begin()
    base = prose.length
    whole += prose.add("after")
    assert whole == "é\n\n![image](data:image/png;base64,AAAA)\n\nafter"
    assert whole[base:] == "after"
    assert prose.length == len(whole)


def test_texts_are_not_separated() -> None:
    prose = Prose()
    assert prose.begin() + prose.add("a") + prose.begin() + prose.add("b") == "ab"


def test_citations_count_in_the_whole_answer() -> None:
    cited = [Citation(url="u", title="t", start=2, end=4), Citation(url="v"), Citation(title="no url")]
    written = write_citations(cited, 10, 7)
    assert written == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 12, "end_index": 14, "title": "t", "url": "u"},
        },
        {
            "type": "url_citation",
            "url_citation": {"start_index": 10, "end_index": 17, "title": "", "url": "v"},
        },
    ]
    back = read_citations(written, 10)
    assert [(one.url, one.start, one.end) for one in back] == [("u", 2, 4), ("v", 0, 7)]


def test_odd_annotations_are_left_out() -> None:
    odd = [1, {}, {"type": "file_citation"}, {"type": "url_citation", "url_citation": {"url": 3}}]
    assert read_citations(odd) == ()
    assert read_citations("x") == ()
    unplaced = read_citations(
        [{"type": "url_citation", "url_citation": {"url": "u", "start_index": 5, "end_index": 2}}]
    )
    assert (unplaced[0].start, unplaced[0].end) == (-1, -1)
