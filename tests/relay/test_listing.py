from typing import Any

import pytest

from dragoman.core.faults import Fault
from dragoman.relay.listing import CREATED, entry, gemini_entry, listing, shape, single, visible
from dragoman.routing.snapshot import Snapshot
from tests.routing.builders import channel, key, snapshot

CHAT = frozenset({"chat"})
GEMINI = frozenset({"gemini_generate", "gemini_stream", "gemini_count"})


def two_groups() -> Snapshot:
    return snapshot(
        channel(1, ("gpt-5.4", "claude-sonnet-4-6"), operations=CHAT),
        channel(2, ("gemini-2.5-pro", "open-*"), operations=GEMINI),
        channel(3, ("gpt-5.2",), groups=("other",), operations=CHAT),
        channel(4, ("claude-sonnet-4-6",), operations=frozenset({"messages"})),
    )


# --- what a key sees --------------------------------------------------------------------------------------


def test_a_key_sees_the_models_of_its_group_sorted_and_no_wildcard() -> None:
    assert visible(two_groups(), key()) == ["claude-sonnet-4-6", "gemini-2.5-pro", "gpt-5.4"]
    assert visible(two_groups(), key(group="other")) == ["gpt-5.2"]
    assert visible(two_groups(), key(group="gone")) == []


def test_the_keys_own_list_narrows_and_never_widens() -> None:
    allowed = ("gpt-5.4", "gpt-5.2", "unknown")
    assert visible(two_groups(), key(models=allowed)) == ["gpt-5.4"]
    assert visible(two_groups(), key(models=())) == []


def test_a_model_that_only_a_wildcard_serves_is_listed_when_the_key_names_it() -> None:
    assert visible(two_groups(), key(models=("open-weights-1", "gpt-5.4", "open-air"))) == [
        "gpt-5.4", "open-air", "open-weights-1",
    ]  # fmt: skip


def test_a_key_that_names_a_model_twice_sees_it_once() -> None:
    assert visible(two_groups(), key(models=("open-air", "open-air"))) == ["open-air"]


# --- which shape ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "headers", "query", "expected"),
    [
        ("auto", {}, "", "openai"),
        ("auto", {b"authorization": b"Bearer x", b"x-api-key": b"x"}, "limit=20", "openai"),
        ("auto", {b"anthropic-version": b"2023-06-01"}, "", "anthropic"),
        ("auto", {b"x-goog-api-key": b"x"}, "", "gemini"),
        ("auto", {}, "pageSize=5&key=x", "gemini"),
        ("auto", {}, "monkey=x", "openai"),
        ("auto", {b"anthropic-version": b"1", b"x-goog-api-key": b"x"}, "", "anthropic"),
        ("openai", {b"x-goog-api-key": b"x", b"anthropic-version": b"1"}, "key=x", "openai"),
        ("gemini", {b"anthropic-version": b"1"}, "", "gemini"),
        ("anthropic", {b"x-goog-api-key": b"x"}, "key=x", "anthropic"),
    ],
)
def test_the_paths_own_shape_wins_and_headers_decide_where_it_has_none(
    wanted: str, headers: dict[bytes, bytes], query: str, expected: str
) -> None:
    assert shape(wanted, headers, query) == expected


# --- one model --------------------------------------------------------------------------------------------


def test_an_entry_serves_openai_and_anthropic_clients() -> None:
    assert entry(two_groups(), "default", "claude-sonnet-4-6") == {
        "id": "claude-sonnet-4-6",
        "object": "model",
        "created": CREATED,
        "owned_by": "anthropic",
        "supported_endpoint_types": ["openai", "anthropic"],
        "translated_endpoint_types": ["openai-response", "gemini"],
        "type": "model",
        "display_name": "Claude Sonnet 4.6",
        "created_at": "2025-01-01T00:00:00Z",
    }


def test_endpoint_types_are_those_that_a_channel_of_the_group_serves() -> None:
    only_chat = snapshot(channel(1, ("claude-sonnet-4-6",), operations=CHAT))
    assert entry(only_chat, "default", "claude-sonnet-4-6")["supported_endpoint_types"] == ["openai"]
    # a model whose family does not say so, but whose channel does
    odd = snapshot(channel(1, ("gpt-5.4",), operations=frozenset({"messages"})))
    assert entry(odd, "default", "gpt-5.4")["supported_endpoint_types"] == ["anthropic"]
    assert entry(odd, "other", "gpt-5.4")["supported_endpoint_types"] == []


def test_a_gemini_entry_names_the_methods_that_are_served() -> None:
    assert gemini_entry(two_groups(), "default", "gemini-2.5-pro") == {
        "name": "models/gemini-2.5-pro",
        "baseModelId": "gemini-2.5-pro",
        "version": "001",
        "displayName": "Gemini 2.5 Pro",
        "description": "",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    }
    # a chat model of another vendor is reached by translation; other kinds are not
    reached = gemini_entry(two_groups(), "default", "gpt-5.4")["supportedGenerationMethods"]
    assert sorted(reached) == sorted(["generateContent", "streamGenerateContent", "countTokens"])
    assert gemini_entry(two_groups(), "other", "gpt-5.4")["supportedGenerationMethods"] == []


@pytest.mark.parametrize(
    ("form", "member"), [("openai", "id"), ("anthropic", "id"), ("gemini", "baseModelId")]
)
@pytest.mark.parametrize("asked", ["gpt-5.4", "models/gpt-5.4"])
def test_a_single_model(form: str, member: str, asked: str) -> None:
    assert single(two_groups(), key(), form, asked)[member] == "gpt-5.4"


def test_a_single_model_behind_a_wildcard() -> None:
    assert single(two_groups(), key(), "openai", "open-air")["id"] == "open-air"


@pytest.mark.parametrize(
    ("record", "model"),
    [
        (key(), "nope"),
        (key(), "gpt-5.2"),
        (key(models=("gemini-2.5-pro",)), "gpt-5.4"),
        (key(models=()), "gpt-5.4"),
    ],
)
def test_a_model_that_the_key_cannot_call_is_404(record: Any, model: str) -> None:
    with pytest.raises(Fault) as caught:
        single(two_groups(), record, "openai", model)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


# --- lists ------------------------------------------------------------------------------------------------


def test_the_openai_list_and_its_anthropic_twin() -> None:
    snap = two_groups()
    names = ["claude-sonnet-4-6", "gemini-2.5-pro", "gpt-5.4"]
    data = [entry(snap, "default", n) for n in names]
    ends = {"has_more": False, "first_id": names[0], "last_id": names[-1]}
    assert listing(snap, key(), "openai", "") == {"success": True, "object": "list", "data": data, **ends}
    assert listing(snap, key(), "anthropic", "limit=1") == {"data": data, **ends}


def test_an_empty_list_has_no_ends() -> None:
    got = listing(two_groups(), key(models=()), "openai", "")
    assert (got["data"], got["first_id"], got["last_id"], got["has_more"]) == ([], None, None, False)


def many(count: int) -> Snapshot:
    return snapshot(channel(1, tuple(f"m{n:04}" for n in range(count)), operations=GEMINI))


def pages(snap: Snapshot, size: str) -> list[list[str]]:
    out, token = [], ""
    while True:
        page = listing(snap, key(), "gemini", f"pageSize={size}&pageToken={token}")
        out.append([m["baseModelId"] for m in page["models"]])
        token = page.get("nextPageToken", "")
        if not token:
            return out


@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (3, 3), (4, 3), (7, 3), (5, 1)])
def test_gemini_pages_cover_the_list_once(count: int, size: int) -> None:
    got = pages(many(count), str(size))
    assert [name for page in got for name in page] == [f"m{n:04}" for n in range(count)]
    assert all(len(p) == size for p in got[:-1]) and len(got[-1]) <= size
    assert len(got) == max(1, -(-count // size))


@pytest.mark.parametrize(
    ("query", "expected"), [("", 50), ("pageSize=", 50), ("pageSize=0", 1), ("pageSize=99999", 1000)]
)
def test_gemini_page_sizes_have_a_default_and_bounds(query: str, expected: int) -> None:
    assert len(listing(many(1200), key(), "gemini", query)["models"]) == expected


def test_a_page_beyond_the_end_is_empty() -> None:
    assert listing(many(2), key(), "gemini", "pageToken=900") == {"models": []}


@pytest.mark.parametrize(
    "query",
    ["pageSize=x", "pageSize=-1", "pageSize=1.5", "pageToken=abc", "pageSize=%C2%B2", "pageToken=%C2%B2",
     "pageSize=" + "9" * 5000, "pageToken=" + "9" * 5000],
    ids=lambda q: q[:24],
)  # fmt: skip
def test_paging_by_anything_but_numbers_is_a_bad_request(query: str) -> None:
    with pytest.raises(Fault) as caught:
        listing(many(2), key(), "gemini", query)
    assert caught.value.status == 400
