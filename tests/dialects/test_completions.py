from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.core.conversation import (
    Answer,
    Base64,
    Choice,
    Closed,
    Conversation,
    Delta,
    Ended,
    Failed,
    Finished,
    Logprobs,
    Media,
    Opened,
    Start,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    Turn,
    UsageSeen,
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.core.framing import SseSplitter, sse_parts
from dragoman.core.streams import events_of
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply, Target
from dragoman.dialects.completions import CLIENT
from dragoman.dialects.openai_chat.request_writer import write_request


def read(**members: Any) -> Conversation:
    return CLIENT.read_request(json.dumps({"model": "m", "prompt": "Say hi", **members}).encode())


class TestRequests:
    def test_the_prompt_is_one_users_turn(self) -> None:
        at = ("prompt",)
        assert read().turns == (Turn(role="user", blocks=(Text(text="Say hi", at=at),), at=at),)
        assert read(prompt=["one"]).turns[0].blocks == (Text(text="one", at=("prompt", 0)),)

    def test_sixteen_tokens_unless_said(self) -> None:
        assert read().max_output == 16
        assert read(max_tokens=50).max_output == 50
        assert read(max_tokens=50).where("max_output") == ("max_tokens",)

    def test_what_both_endpoints_know(self) -> None:
        conversation = read(temperature=0.5, top_p=0.9, n=2, stop="X", seed=1, user="u", logit_bias={"1": 2})
        assert (conversation.temperature, conversation.top_p, conversation.choices) == (0.5, 0.9, 2)
        assert (conversation.stop, conversation.seed, conversation.user) == (("X",), 1, "u")
        assert conversation.where("choices") == ("n",)

    def test_logprobs_is_a_number_here(self) -> None:
        conversation = read(logprobs=3)
        assert (conversation.logprobs, conversation.top_logprobs) == (True, 3)
        assert conversation.where("logprobs") == ("logprobs",)

    def test_defaults_and_steering_say_nothing(self) -> None:
        neutral = {"suffix": None, "echo": False, "best_of": 1, "logprobs": None, "n": 1, "stream": True}
        assert read(**neutral, stream_options={"include_usage": True}).extras == {}
        assert read(foo=1).extras == {"foo": 1}

    @pytest.mark.parametrize(
        ("members", "path"),
        [
            ({"prompt": None}, "prompt"),
            ({"prompt": ""}, "prompt"),
            ({"prompt": 5}, "prompt"),
            ({"prompt": [1, 2]}, "prompt"),
            ({"prompt": [[1, 2]]}, "prompt"),
            ({"prompt": ["a", "b"]}, "prompt"),
            ({"prompt": []}, "prompt"),
            ({"prompt": [""]}, "prompt[0]"),
            ({"suffix": "s"}, "suffix"),
            ({"echo": True}, "echo"),
            ({"best_of": 2}, "best_of"),
            ({"logprobs": True}, "logprobs"),
            ({"logprobs": 99}, "logprobs"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"n": "2"}, "n"),
        ],
    )
    def test_what_a_chat_model_cannot_do_is_400_with_its_member(
        self, members: dict[str, Any], path: str
    ) -> None:
        with pytest.raises(Fault) as caught:
            read(**members)
        assert (caught.value.status, caught.value.param) == (400, path)

    def test_as_chat(self) -> None:
        made = write_request(read(temperature=0, n=2), Target(model="up", facts=Facts()))
        assert json.loads(made.body) == {
            "model": "up",
            "messages": [{"role": "user", "content": "Say hi"}],
            "max_tokens": 16,
            "n": 2,
            "temperature": 0,
        }


def reply(include_usage: bool = False) -> Reply:
    return Reply(model="m", response_id="r1", created=7, conversation=read(), include_usage=include_usage)


ANSWER = Answer(
    choices=(
        Choice(
            blocks=(Thinking(text="hm"), Text(text="h"), Text(text="i")),
            logprobs=(
                TokenLogprob(token="h", logprob=-0.5, top=(("h", -0.5), ("H", -1.0))),
                TokenLogprob(token="i", logprob=-0.25),
            ),
        ),
        Choice(blocks=(Text(text="ho"),), finish="length"),
    ),
    usage=Usage(input=2, output=1),
)
LOGPROBS = {
    "tokens": ["h", "i"],
    "token_logprobs": [-0.5, -0.25],
    "top_logprobs": [{"h": -0.5, "H": -1.0}, {}],
    "text_offset": [0, 1],
}


class TestAnswers:
    def test_whole(self) -> None:
        body = json.loads(CLIENT.write_answer(ANSWER, reply()))
        assert {name: body[name] for name in ("id", "object", "created", "model")} == {
            "id": "cmpl-r1",
            "object": "text_completion",
            "created": 7,
            "model": "m",
        }
        assert body["choices"] == [
            {"text": "hi", "index": 0, "logprobs": LOGPROBS, "finish_reason": "stop"},
            {"text": "ho", "index": 1, "logprobs": None, "finish_reason": "length"},
        ]
        assert (body["usage"]["prompt_tokens"], body["usage"]["total_tokens"]) == (2, 3)

    @pytest.mark.parametrize(
        ("finish", "word"),
        [("tool_calls", "stop"), ("refusal", "content_filter"), ("context_length", "length")],
    )
    def test_finishes(self, finish: Any, word: str) -> None:
        choice = Choice(blocks=(ToolCall(id="c", name="f"),), finish=finish)
        body = json.loads(CLIENT.write_answer(Answer(choices=(choice,)), reply()))
        assert (body["choices"][0]["text"], body["choices"][0]["finish_reason"]) == ("", word)


def streamed(*events: Any, to: Reply | None = None) -> list[bytes]:
    writer = CLIENT.write_stream(to or reply())
    return [sse_parts(frame)[1] for frame in SseSplitter().feed(b"".join(map(writer.feed, events)))]


class TestStreams:
    def test_pieces_and_the_end(self) -> None:
        data = streamed(
            Start(),
            Opened(index=0, block=Thinking()),
            Delta(index=0, text="hm"),
            Closed(index=0),
            Opened(index=1, block=Text(text="")),
            Delta(index=1, text="h"),
            Delta(index=1, text="i"),
            Closed(index=1),
            Finished(finish="stop"),
            UsageSeen(usage=Usage(input=2, output=1)),
            Ended(),
        )
        assert data[-1] == b"[DONE]"
        out = [json.loads(frame) for frame in data[:-1]]
        assert {(c["id"], c["object"], c["created"], c["model"]) for c in out} == {
            ("cmpl-r1", "text_completion", 7, "m")
        }
        assert [(c["choices"][0]["text"], c["choices"][0]["finish_reason"]) for c in out] == [
            ("h", None),
            ("i", None),
            ("", "stop"),
        ]
        assert all("usage" not in c for c in out)

    def test_usage_when_asked_for(self) -> None:
        data = streamed(
            Start(),
            Finished(finish="stop"),
            UsageSeen(usage=Usage(input=2, output=1)),
            Ended(),
            to=reply(True),
        )
        first, last = json.loads(data[0]), json.loads(data[-2])
        assert first["usage"] is None
        assert last["choices"] == []
        assert last["usage"]["total_tokens"] == 3

    def test_a_failure_has_no_done(self) -> None:
        fault = Fault(502, "upstream_cut", "cut", owner="upstream")
        data = streamed(Start(), Failed(fault=fault), Ended())
        assert len(data) == 1
        assert json.loads(data[0])["error"]["code"] == "upstream_cut"

    def test_the_pieces_are_the_whole(self) -> None:
        image = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
        blocks = (Text(text="a"), image, Text(text="b"), ToolCall(id="c", name="f"))
        answer = Answer(choices=(Choice(blocks=blocks),))
        pieces = [json.loads(data)["choices"][0]["text"] for data in streamed(*events_of(answer))[:-1]]
        assert "".join(pieces) == json.loads(CLIENT.write_answer(answer, reply()))["choices"][0]["text"]

    def test_logprobs_count_on(self) -> None:
        tokens = ANSWER.choices[0].logprobs
        data = streamed(Start(), *(Logprobs(tokens=(token,)) for token in tokens))
        offsets = [json.loads(frame)["choices"][0]["logprobs"]["text_offset"] for frame in data]
        assert offsets == [[0], [1]]
