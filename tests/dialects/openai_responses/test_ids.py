"""Everything a Responses request can refer to."""

from __future__ import annotations

import pytest

from dragoman.dialects.openai_responses.ids import _quick, foreign_ids


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'{"model":"m","input":"hi"}', []),
        (b'{"previous_response_id":"resp_1","input":"hi"}', [("response", "resp_1")]),
        (b'{"previous_response_id":null,"input":[{"role":"user","content":"x","id":"msg_1"}]}', []),
        (b'{"conversation":"conv_1"}', [("conversation", "conv_1")]),
        (b'{"conversation":{"id":"conv_1"}}', [("conversation", "conv_1")]),
        (b'{"previous_response_id":"a","previous_response_id":"b"}', [("response", "a"), ("response", "b")]),
        (b'{"previous_response_i\\u0064":"a"}', [("response", "a")]),
        (
            b'{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"},'
            b'{"type":"input_image","file_id":"file-2"}]},{"type":"item_reference","id":"msg_1"}]}',
            [("file", "file-1"), ("file", "file-2"), ("item", "msg_1")],
        ),
        (b'{"input":[{"id":"msg_9"}]}', [("item", "msg_9")]),
        (b'{"input":[{"type":null,"id":"msg_9"}]}', [("item", "msg_9")]),
        (b'{"input":[{"type":"reasoning","id":"rs_1","summary":[]}]}', [("item", "rs_1")]),
        (b'{"input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"xx"}]}', []),
        (b'{"input":["text",{"type":"message","role":"user","id":"m"}],"reasoning":{"effort":"low"}}', []),
        (
            b'{"tools":[{"type":"file_search","vector_store_ids":["vs_1","vs_2"]},'
            b'{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-3"]}},'
            b'{"type":"code_interpreter","container":"cntr_1"},'
            b'{"type":"shell","environment":{"type":"container_reference","container_id":"cntr_2"}}]}',
            [
                ("vector_store", "vs_1"),
                ("vector_store", "vs_2"),
                ("file", "file-3"),
                ("container", "cntr_1"),
                ("container", "cntr_2"),
            ],
        ),
    ],
)
def test_references(body, ids):
    assert sorted(foreign_ids(body)) == sorted(ids)


def test_echoes_and_the_callers_words_are_no_references():
    assert (
        foreign_ids(
            b'{"input":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"x","annotations":'
            b'[{"type":"file_citation","file_id":"file-9"}]}]},{"type":"file_search_call","results":[{"file_id":"f"}]}],'
            b'"metadata":{"file_id":"mine"},"tools":[{"type":"function","parameters":{"file_id":"x"}}]}'
        )
        == []
    )


def test_long_histories_with_encrypted_reasoning_are_not_walked():
    body = b'{"previous_response_id":"r","input":[{"type":"reasoning","id":"rs_1","encrypted_content":"x"}]}'
    assert _quick(body) == foreign_ids(body) == [("response", "r")]
    assert _quick(body.replace(b'"x"', b"null")) is None


def test_items_that_the_vendor_would_look_up_under_another_spelling() -> None:
    """Found by review: an earlier image by its id, an empty ``encrypted_content``, ``input`` given twice."""
    assert foreign_ids(b'{"input":[{"type":"image_generation_call","id":"ig_1"}]}') == [("item", "ig_1")]
    assert foreign_ids(b'{"input":[{"type":"image_generation_call","id":"ig_1","result":"AA"}]}') == []
    empty = b'{"input":[{"type":"reasoning","id":"rs_1","encrypted_content":""}]}'
    assert foreign_ids(empty) == [("item", "rs_1")]
    twice = b'{"input":[{"type":"reasoning","id":"rs_1"}],"input":"x"}'
    assert foreign_ids(twice) == [("item", "rs_1")]
