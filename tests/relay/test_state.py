"""Responses state: chains into requests, finished turns into rows, and what GET and its relatives answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from dragoman.core.faults import Fault
from dragoman.relay.state import Continued, ResponseState
from dragoman.store.responses import StoredTurn


def encoded(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


class Kept:
    """The rows, as the store would keep them."""

    def __init__(self, enabled: bool = True, turn_bytes: int = 10_000) -> None:
        self.rows: dict[str, tuple[int, str | None, StoredTurn]] = {}
        self.notes: list[str] = []
        self.too_long = False
        self.state = ResponseState(
            write=self._write, put=self._put, erase=self._erase, read=self._read, read_chain=self._chain,
            enabled=enabled, turn_bytes=turn_bytes, note=lambda event, **_: self.notes.append(event),
        )  # fmt: skip

    async def _write(self, function: Any) -> Any:
        return function(None)

    def _put(self, _: Any, response_id: str, user_id: int, parent: str | None, turn: StoredTurn) -> None:
        self.rows[response_id] = (user_id, parent, turn)

    def _erase(self, _: Any, response_id: str, user_id: int) -> None:
        del self.rows[response_id]

    def _read(self, response_id: str, user_id: int) -> StoredTurn | None:
        owner, _, turn = self.rows.get(response_id, (0, None, None))
        return turn if owner == user_id else None

    def _chain(self, response_id: str, user_id: int) -> list[StoredTurn]:
        if self.too_long:
            raise ValueError("the conversation is too long")
        owner, parent, turn = self.rows.get(response_id, (0, None, None))
        if owner != user_id or turn is None:
            return []
        return [*(self._chain(parent, user_id) if parent else []), turn]

    def continued(self, user_id: int = 1, **body: Any) -> Continued:
        return asyncio.run(self.state.continued(json.dumps(body).encode(), user_id))

    def keep(self, continued: Continued, told: bytes, user_id: int = 1) -> None:
        asyncio.run(self.state.keep(continued, user_id, told))

    def answer(self, operation: str, response_id: str = "resp_1", user_id: int = 1, query: str = "") -> Any:
        value = asyncio.run(self.state.answer(operation, response_id, user_id, query))
        return json.loads(bytes(value)) if isinstance(value, Raw) else value


SAID = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": "hello"}]}  # fmt: skip


def response(response_id: str = "resp_1", status: str = "completed") -> bytes:
    return json.dumps({"id": response_id, "status": status, "output": [SAID]}).encode()


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def test_a_second_turn_gets_everything_before_it_and_no_previous_id() -> None:
    kept = Kept()
    first = kept.continued(model="m", input="one", instructions="be brief")
    assert first.parent_id is None and json.loads(first.body)["input"] == "one"
    kept.keep(first, response())
    second = kept.continued(model="m", input=[user("two")], previous_response_id="resp_1")
    body = json.loads(second.body)
    said = {k: v for k, v in SAID.items() if k not in ("id", "status")}
    assert body["input"] == [user("one"), said, user("two")]
    assert "previous_response_id" not in body and "instructions" not in body
    kept.keep(second, response("resp_2"))
    third = kept.continued(model="m", input="three", previous_response_id="resp_2")
    assert json.loads(third.body)["input"] == [user("one"), said, user("two"), said, user("three")]
    assert [json.loads(bytes(item)) for item in third.items] == [user("three")]


def test_an_id_that_is_not_ours_stays_for_the_vendor() -> None:
    kept = Kept()
    kept.keep(kept.continued(input="one"), response())
    for user_id, previous in ((2, "resp_1"), (1, "resp_other")):
        continued = kept.continued(user_id, input="x", previous_response_id=previous)
        assert json.loads(continued.body)["previous_response_id"] == previous and continued.parent_id is None


def test_two_kinds_of_history_are_a_400() -> None:
    with pytest.raises(Fault) as caught:
        Kept().continued(input="x", previous_response_id="resp_1", conversation="conv_1")
    assert (caught.value.status, caught.value.param) == (400, "previous_response_id")


def test_a_history_that_is_too_long_is_a_400() -> None:
    kept = Kept()
    kept.too_long = True
    with pytest.raises(Fault) as caught:
        kept.continued(input="x", previous_response_id="resp_1")
    assert caught.value.status == 400


@pytest.mark.parametrize(("enabled", "store"), [(True, False), (False, None), (False, True)])
def test_what_is_not_to_be_stored_is_not(enabled: bool, store: bool | None) -> None:
    kept = Kept(enabled)
    kept.keep(kept.continued(input="x", store=store), response())
    assert kept.rows == {}


def test_a_turn_is_read_from_the_frames_that_end_a_stream() -> None:
    kept = Kept()
    done = b'event: response.output_item.done\ndata: {"type":"response.output_item.done"}\n\n'
    last = b'event: response.completed\ndata: {"type":"response.completed","response":%s}\n\n' % response()
    kept.keep(kept.continued(input="x"), done + last)
    assert list(kept.rows) == ["resp_1"] and kept.answer("responses_get")["output"] == [SAID]


def test_a_failed_answer_is_not_kept_and_an_incomplete_one_is() -> None:
    kept = Kept()
    kept.keep(kept.continued(input="x"), response(status="failed"))
    kept.keep(kept.continued(input="x"), response("resp_2", "incomplete"))
    assert list(kept.rows) == ["resp_2"]


def test_a_turn_above_the_limit_is_not_kept_and_noted() -> None:
    kept = Kept(turn_bytes=100)
    kept.keep(kept.continued(input="x" * 200), response())
    assert kept.rows == {} and kept.notes == ["response_not_kept"]


def test_get_delete_and_cancel() -> None:
    kept = Kept()
    kept.keep(kept.continued(input="x"), response())
    assert kept.answer("responses_get")["id"] == "resp_1"
    assert kept.answer("responses_get", user_id=2) is None and kept.answer("responses_get", "resp_9") is None
    with pytest.raises(Fault) as caught:
        kept.answer("responses_cancel")
    assert caught.value.status == 400
    assert kept.answer("responses_delete") == {"id": "resp_1", "object": "response", "deleted": True}
    assert kept.answer("responses_get") is None


def test_input_items_are_paged_newest_first() -> None:
    kept = Kept()
    kept.keep(kept.continued(input=[user(str(n)) for n in range(3)]), response())
    page = kept.answer("responses_input_items", query="limit=2")
    assert [item["content"][0]["text"] for item in page["data"]] == ["2", "1"]
    assert page["has_more"] and page["last_id"] == page["data"][-1]["id"]
    rest = kept.answer("responses_input_items", query=f"limit=2&after={page['last_id']}")
    assert [item["content"][0]["text"] for item in rest["data"]] == ["0"] and not rest["has_more"]
    assert kept.answer("responses_input_items", query="order=asc")["data"][0]["content"][0]["text"] == "0"
    for bad in ("limit=0", "limit=x", "limit=1000"):
        with pytest.raises(Fault):
            kept.answer("responses_input_items", query=bad)


def test_an_input_that_is_no_input_is_left_to_the_reader() -> None:
    assert Kept().continued(input=7).items == []
