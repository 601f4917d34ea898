"""Files that a chat request refers to."""

from __future__ import annotations

from dragoman.dialects.openai_chat.ids import foreign_ids


def test_file_parts():
    body = (
        b'{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}},'
        b'{"type":"file","file":{"file\\u005fid":"file-2"}}]}]}'
    )
    assert foreign_ids(body) == [("file", "file-1"), ("file", "file-2")]


def test_audio_of_an_earlier_answer():
    body = (
        b'{"audio":{"voice":"alloy","format":"wav","id":"not-one"},"modalities":["text","audio"],"messages":['
        b'{"role":"assistant","audio":{"id":"audio_1"}},{"role":"assistant","audio":null,"content":"x"},'
        b'{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]},'
        b'{"role":"assistant","audio":{"id":"audio_2"},"\\u0061udio":{"id":"audio_3"}}]}'
    )
    assert foreign_ids(body) == [("audio", "audio_1"), ("audio", "audio_2"), ("audio", "audio_3")]
    assert foreign_ids(b'{"messages":[{"role":"assistant","\\u0061udio":{"id":"audio_4"}}]}') == [
        ("audio", "audio_4")
    ]


def test_the_callers_own_words_are_no_ids():
    assert foreign_ids(b'{"messages":[{"role":"user","content":"\\"file_id\\": \\"file-1\\""}]}') == []
    schema = b'{"tools":[{"function":{"parameters":{"properties":{"file_id":{"type":"string","default":"file_id"}}}}}]}'
    assert foreign_ids(schema) == []
    assert foreign_ids(b'{"metadata":{"file_id":"mine"}}') == []
    assert foreign_ids(b"not json, and no marker") == []
