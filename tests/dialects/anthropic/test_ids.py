"""Files and containers that a Messages request refers to."""

from __future__ import annotations

from dragoman.dialects.anthropic.ids import foreign_ids


def test_files_and_containers():
    assert foreign_ids(
        b'{"container":"c1","messages":[{"role":"user","content":[{"type":"document","source":'
        b'{"type":"file","file_id":"file_1"}},{"type":"container_upload","file_id":"file_2"}]}]}'
    ) == [("container", "c1"), ("file", "file_1"), ("file", "file_2")]
    assert foreign_ids(b'{"container":{"id":"c1","skills":[{"skill_id":"pptx"}]}}') == [("container", "c1")]
    assert foreign_ids(b'{"container":{"skills":[]}}') == []


def test_words_of_models_and_callers_are_no_ids():
    assert (
        foreign_ids(
            b'{"messages":[{"content":[{"type":"tool_use","input":{"file_id":"x","container":"y"}},'
            b'{"type":"code_execution_tool_result","content":{"content":[{"type":"code_execution_output","file_id":"f"}]}}'
            b']}],"tools":[{"input_schema":{"properties":{"file_id":{"type":"string"}}}}],"metadata":{"file_id":"m"}}'
        )
        == []
    )
    assert foreign_ids(b'{"messages":[]}') == []
