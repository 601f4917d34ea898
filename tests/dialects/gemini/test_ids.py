"""Files, caches and stores that a Gemini request refers to, in both spellings."""

from __future__ import annotations

import pytest

from dragoman.dialects.gemini.ids import file_name, foreign_ids


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://generativelanguage.googleapis.com/v1beta/files/abc", "files/abc"),
        ("https://generativelanguage.googleapis.com/v1beta/files/abc?alt=media", "files/abc"),
        ("HTTPS://GenerativeLanguage.googleapis.com:443/v1beta/Files/abc:download", "files/abc"),
        ("https://generativelanguage.googleapis.com/v1beta/%66iles/abc", "files/abc"),
        ("files/abc", "files/abc"),
        ("v1beta/files/abc/", "files/abc"),
        (
            "https://generativelanguage.googleapis.com/other",
            "https://generativelanguage.googleapis.com/other",
        ),
        ("https://example.com/files/abc", ""),
        ("https://www.youtube.com/watch?v=x", ""),
        ("gs://bucket/files/abc", "gs://bucket/files/abc"),
        ("profiles/x", ""),
    ],
)
def test_file_names(uri, name):
    assert file_name(uri) == name


def test_both_spellings():
    assert foreign_ids(
        b'{"cachedContent":"cachedContents/c1","contents":[{"parts":[{"fileData":{"fileUri":"files/a"}},'
        b'{"file_data":{"file_uri":"files/b"}}]}],"tools":[{"fileSearch":{"fileSearchStoreNames":["fileSearchStores/s"]}}]}'
    ) == [
        ("cached_content", "cachedContents/c1"),
        ("file", "files/a"),
        ("file", "files/b"),
        ("vector_store", "fileSearchStores/s"),
    ]
    assert foreign_ids(b'{"cached_content":"cachedContents/c1"}') == [("cached_content", "cachedContents/c1")]


def test_words_of_models_and_callers_are_no_ids():
    assert (
        foreign_ids(
            b'{"contents":[{"parts":[{"functionCall":{"args":{"fileUri":"files/x"}}},'
            b'{"functionResponse":{"response":{"fileUri":"files/x"}}},{"text":"fileUri"}]}]}'
        )
        == []
    )
