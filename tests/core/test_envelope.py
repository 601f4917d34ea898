"""Peeking, editing and canonical bodies: bytes in, the same bytes out but for what was asked."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from dragoman.core import envelope
from dragoman.core.envelope import canonical, edit, edit_path, members, peek
from dragoman.core.faults import Fault

ODD = b'\n{\t"a" : 1.50 ,\r\n "model":"x" , "n" :12345678901234567890123 ,"o" : { "model" : "inner" } }\n'


@pytest.fixture(autouse=True, params=[65_536, 0], ids=["small", "large"])
def searched_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every law holds on both ways of finding a member: a search of the text, and a walk over the members."""
    monkeypatch.setattr(envelope, "_SEARCHED_BYTES", request.param)


class Wanted(Struct):
    model: str = ""
    stream: Any = None


def test_peek_reads_only_what_is_wanted():
    assert peek(b'{"model":"m","messages":[[[]]],"stream":true}', Wanted) == Wanted("m", True)
    assert peek(b"{}", Wanted) == Wanted()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"[1]", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b'{"model":', "ends unexpectedly (byte 9)"),
        (b'{"model":"m"} x', "byte 15"),
        (b"nope", "byte"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "too deeply"),
    ],
)
def test_bad_bodies_are_the_callers_fault(body, words):
    for read in (
        lambda: peek(body, Wanted),
        lambda: edit(body, {"z": b"1"}),
        lambda: canonical(body, ("model",)),
    ):
        with pytest.raises(Fault) as caught:
            read()
        assert caught.value.status == 400
        assert caught.value.code == "invalid_request"
        assert words in caught.value.message


def test_wrong_type_names_the_parameter():
    with pytest.raises(Fault) as caught:
        peek(b'{"model":5}', Wanted)
    assert caught.value.param == "model"
    assert "Expected `str`" in caught.value.message


def test_set_in_place():
    assert edit(ODD, {"model": b'"y"'}) == ODD.replace(b'"x"', b'"y"')
    assert edit(b'{"model":"x","k":"model"}', {"model": b'"y"'}) == b'{"model":"y","k":"model"}'
    assert edit(b'{"o":{"model":"x"},"model":"x"}', {"model": b'"y"'}) == b'{"o":{"model":"x"},"model":"y"}'


def test_added_members_go_in_front():
    assert edit(b"{}", {"a": b"1"}) == b'{"a":1}'
    assert edit(b' { "b" : 2 }', {"a": b"1", "c": b"[]"}) == b' {"a":1,"c":[], "b" : 2 }'
    assert edit(b'{"o":{"model":"x"}}', {"model": b'"y"'}) == b'{"model":"y","o":{"model":"x"}}'


@pytest.mark.parametrize(
    ("body", "drops", "result"),
    [
        (b'{"a":1}', ["a"], b"{}"),
        (b'{"a":1,"b":2,"c":3}', ["a"], b'{"b":2,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', ["b"], b'{"a":1,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', ["c"], b'{"a":1,"b":2}'),
        (b'{"a":1,"b":2,"c":3}', ["a", "b"], b'{"c":3}'),
        (b'{"a":1,"b":2,"c":3}', ["a", "b", "c"], b"{}"),
        (b'{ "a" : 1 , "b" : 2 }', ["a"], b'{ "b" : 2 }'),
        (b'{"a":1}', ["zz"], b'{"a":1}'),
    ],
)
def test_drop(body, drops, result):
    assert edit(body, {}, drops) == result


def test_drop_all_and_add():
    assert edit(b'{"a":1}', {"b": b"2"}, ["a"]) == b'{"b":2}'


def test_rename():
    body = b'{"max_tokens" : 5, "b":1.50}'
    renames = {"max_tokens": "max_completion_tokens"}
    assert edit(body, {}, renames=renames) == b'{"max_completion_tokens" : 5, "b":1.50}'
    assert edit(b'{"b":1}', {}, renames=renames) == b'{"b":1}'
    both = b'{"max_tokens":5,"max_completion_tokens":7}'
    assert edit(both, {}, renames=renames) == b'{"max_completion_tokens":7}'
    assert (
        edit(body, {"max_completion_tokens": b"9"}, renames=renames)
        == b'{"max_completion_tokens" : 9, "b":1.50}'
    )


def test_repeated_keys_leave_one_value():
    body = b'{"model":"cheap","x":1.50,"model":"dear"}'
    assert edit(body, {"model": b'"m"'}) == b'{"model":"m","x":1.50}'
    assert canonical(body, ("model",)) == b'{"model":"dear","x":1.50}'
    assert canonical(body, ("x",)) == body
    assert edit(b'{"a":1,"a":1}', {}, ["a"]) == b"{}"


def test_escaped_keys_cannot_smuggle_a_second_value():
    body = b'{"mod\\u0065l":"dear","model":"cheap"}'
    assert canonical(body, ("model",)) == b'{"model":"cheap"}'
    assert edit(body, {"model": b'"m"'}) == b'{"model":"m"}'
    assert edit(b'{"mod\\u0065l":"dear"}', {"model": b'"m"'}) == b'{"mod\\u0065l":"m"}'
    # A quoted look-alike in another key, while the true key is escaped.
    tricky = b'{"x\\"model":1,"\\u006dodel":2}'
    assert members(edit(tricky, {"model": b"3"})) == {'x"model': b"1", "model": b"3"}


def test_canonical_keeps_bodies_without_repetition():
    for body in (ODD, b'{"a":"model","model":1}', b'{"a":{"model":1},"model":"\\u0041"}'):
        assert canonical(body, ("model", "stream")) == body


def test_edit_path():
    frame = b'{"type":"response.created", "response" : { "id":"r", "model":"up" , "n":1.50 } }'
    assert edit_path(frame, ("response", "model"), b'"pub"') == frame.replace(b'"up"', b'"pub"')
    assert edit_path(b'{"response":null}', ("response", "model"), b"1") == b'{"response":null}'
    assert edit_path(b'{"x":1}', ("response", "model"), b"1") == b'{"x":1}'
    assert edit_path(b'{"x":1}', ("x",), b"2") == b'{"x":2}'


def test_names_with_several_spellings_are_compared_decoded():
    body = b'{"a\\/b":1,"a/b":1,"q\\"":1,"q\\"":1}'
    assert members(canonical(body, ("a/b",))) == {"a/b": b"1", 'q"': b"1"}
    assert canonical(b'{"q\\"":1,"q\\"":1}', ('q"',)) == b'{"q\\"":1}'
