"""Law: an edit changes what was asked and not a byte of any other value."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.envelope import canonical, edit, members

NAMES = st.sampled_from(["model", "stream", "max_tokens", "x", 'mo"del', "mod\\el", "é", ""])
SPACE = st.sampled_from(["", " ", "\n", "\t ", "\r\n  "])
RAW = st.sampled_from(
    ["1.50", "1e5", "-0", "12345678901234567890123", "true", "null", '"model"', '"\\"model\\":1"', '"\\u006dodel"',
     '{ "model" : "inner" }', '[ 1 ,{"model":2}]', '"}"', '"日本"', "{}", "[]", "1"]
)  # fmt: skip


def escaped(name: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"'


@st.composite
def objects(draw, unique: bool):
    names = draw(st.lists(NAMES, max_size=6, unique=unique))
    pairs = [(name, draw(RAW)) for name in names]
    written = []
    for name, raw in pairs:
        key = (
            escaped(name)
            if draw(st.booleans()) and draw(st.booleans())
            else json.dumps(name, ensure_ascii=False)
        )
        written.append(f"{draw(SPACE)}{key}{draw(SPACE)}:{draw(SPACE)}{raw}{draw(SPACE)}")
    inner = ",".join(written) or draw(SPACE)
    return f"{draw(SPACE)}{{{inner}}}{draw(SPACE)}".encode(), pairs


def raws(pairs):
    return {name: raw.encode() for name, raw in pairs}


@given(objects(unique=False), st.dictionaries(NAMES, RAW, max_size=3), st.sets(NAMES, max_size=2))
def test_edit_sets_and_drops_exactly(made, sets, drops):
    body, pairs = made
    result = edit(body, {name: raw.encode() for name, raw in sets.items()}, drops)
    expected = {**raws(pairs), **{name: raw.encode() for name, raw in sets.items()}}
    assert members(result) == {name: raw for name, raw in expected.items() if name not in drops}
    seen: list[str] = []
    json.loads(result, object_pairs_hook=lambda found: seen.append([name for name, _ in found]))
    assert all(seen[-1].count(name) <= 1 for name in sets), "no edited key twice"


@given(objects(unique=True), NAMES, NAMES)
def test_rename_keeps_the_value(made, old, new):
    body, pairs = made
    result = members(edit(body, {}, renames={old: new}))
    expected = raws(pairs)
    if old != new and old in expected:
        value = expected.pop(old)
        expected.setdefault(new, value)
    assert result == expected


@given(objects(unique=True), NAMES, RAW)
def test_bytes_around_a_set_value_stay(made, name, raw):
    body, pairs = made
    result = edit(body, {name: raw.encode()})
    old = raws(pairs).get(name)
    if old is None:
        added = json.dumps(name, ensure_ascii=False).encode() + b":" + raw.encode() + (b"," if pairs else b"")
        at = body.index(b"{") + 1
        assert result == body[:at] + added + body[at:]
    else:
        assert len(result) == len(body) - len(old) + len(raw.encode())
        assert edit(result, {name: old}) == body


@given(objects(unique=False), st.sets(NAMES, max_size=3))
def test_canonical_changes_only_bodies_that_repeat_a_name(made, names):
    body, pairs = made
    keys = [name for name, _ in pairs]
    result = canonical(body, names)
    if any(keys.count(name) > 1 for name in names):
        assert result != body
    else:
        assert result == body
    assert members(result) == raws(pairs)


def test_a_77_kb_body_of_odd_spelling_keeps_every_untouched_byte():
    filler = "é日本\\n\\u00e9 ".join(["x" * 37] * 1500)
    body = (
        '\r\n{ "temperature" : 1.50 ,\t"seed":12345678901234567890123,\n\n"messages" : [ {"role" :"user","content":"'
        + filler
        + '" } , {"model":"inner"} ] ,"model"\t:\n"public-name" , "stream" :true , "tail":[ 1.0,1e5 , -0 ]  }\n'
    ).encode()
    assert len(body) > 77_000
    result = edit(body, {"model": b'"upstream"'})
    assert result == body.replace(b'"public-name"', b'"upstream"')
    both = edit(body, {"model": b'"upstream"', "stream_options": b'{"include_usage":true}'}, ["seed"])
    untouched = {name: raw for name, raw in members(body).items() if name not in ("model", "seed")}
    assert {name: members(both)[name] for name in untouched} == untouched
    assert members(both)["temperature"] == b"1.50"
    assert canonical(body, ("model", "stream")) is body
