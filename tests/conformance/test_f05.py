"""F05: sampling, limits, odd parameters."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.equality import ABSENT, ANY, OneOf, Where, same
from tests.conformance.world import ADAPTIVE, AM, CC, GENERIC, GM, RS, Stage
from tests.world import answers

USER = {"role": "user", "content": "U"}
CHAT = {"messages": [USER]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "U"}]}]}


def asked(client: str) -> dict[str, Any]:
    """A question in each dialect."""
    return CONTENTS if client == GM else {"input": "U"} if client == RS else CHAT


@pytest.mark.parametrize(
    ("model", "limit"),
    [("claude-3-haiku-20240307", 4096), ("claude-sonnet-4-5", 64_000), ("claude-opus-4-7", 128_000)],
)
@pytest.mark.parametrize("client", [CC, RS, GM])
def test_E085_without_a_limit_anthropic_gets_the_models_own(
    stage: Stage, client: str, model: str, limit: int
) -> None:
    given = stage.sends(client, AM, asked(client), model=model)["max_tokens"]
    assert type(given) is int and 1 <= given <= limit
    assert given == limit


@pytest.mark.parametrize(
    ("model", "name"),
    [("gpt-4o", "max_completion_tokens"), ("gpt-5", "max_completion_tokens"), (GENERIC, "max_tokens")],
)
@pytest.mark.parametrize("client", [AM, RS, GM])
def test_E087_the_limit_has_the_name_that_the_server_knows(
    stage: Stage, client: str, model: str, name: str
) -> None:
    body = {
        AM: {**CHAT, "max_tokens": 50},
        RS: {"input": "U", "max_output_tokens": 50},
        GM: {**CONTENTS, "generationConfig": {"maxOutputTokens": 50}},
    }[client]
    sent = stage.sends(client, CC, body, model=model)
    assert {n: sent[n] for n in ("max_tokens", "max_completion_tokens") if n in sent} == {name: 50}


def test_E089_temperature_is_clamped(stage: Stage) -> None:
    assert stage.sends(CC, AM, {**CHAT, "temperature": 1.7})["temperature"] == 1.0
    assert stage.sends(CC, AM, {**CHAT, "temperature": 0.3})["temperature"] == 0.3


def test_E089_a_negative_temperature_is_refused(stage: Stage) -> None:
    stage.rejects(CC, AM, {**CHAT, "temperature": -1}, "temperature")
    stage.rejects(
        GM, AM, {**CONTENTS, "generationConfig": {"temperature": -1}}, "generationConfig.temperature"
    )


TAKES_BOTH = "claude-sonnet-4-0"
"""The last Claude generation that takes temperature and top_p in one request."""
SAMPLING = {"temperature": 0.2, "top_p": 0.9, "top_k": 5}


def test_E090_sampling_goes_when_anthropic_thinks(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {**CHAT, **SAMPLING, "reasoning_effort": "low", "max_tokens": 8000})
    assert sent["thinking"]["type"] == "enabled"
    same(sent, {"temperature": ABSENT, "top_k": ABSENT, "top_p": OneOf(ABSENT, Where("within 0.95–1", lambda p: isinstance(p, float) and 0.95 <= p <= 1)), ...: 0})  # fmt: skip
    config = {
        "temperature": 0.2,
        "topP": 0.97,
        "topK": 5,
        "maxOutputTokens": 8000,
        "thinkingConfig": {"thinkingBudget": 2000},
    }
    sent = stage.sends(GM, AM, {**CONTENTS, "generationConfig": config})
    same(sent, {"temperature": ABSENT, "top_k": ABSENT, "top_p": OneOf(ABSENT, 0.97), "thinking": {"type": "enabled", "budget_tokens": 2000}, ...: 0})  # fmt: skip


def test_E090_a_model_without_sampling_parameters_gets_none(stage: Stage) -> None:
    heard = stage.ask(CC, AM, {**CHAT, **SAMPLING}, model=ADAPTIVE)
    same(heard.upstream, {"temperature": ABSENT, "top_p": ABSENT, "top_k": ABSENT, ...: 0})
    assert {"temperature", "top_p"} <= set(heard.dropped)


@pytest.mark.parametrize(
    ("stop", "expected"),
    [("X", ["X"]), (None, None), (["\n", " ", "END"], ["END"]), (["\n"], None), ([], None)],
)
def test_E092_stop(stage: Stage, stop: Any, expected: Any) -> None:
    same(stage.sends(CC, AM, {**CHAT, "stop": stop}).get("stop_sequences"), expected)


def test_E093_chat_takes_four_stop_sequences(stage: Stage) -> None:
    heard = stage.ask(AM, CC, {**CHAT, "stop_sequences": list("abcdef")})
    same(heard.upstream["stop"], list("abcd"))
    assert heard.reply.status == 200 and any(path.startswith("stop_sequences") for path in heard.dropped)
    heard = stage.ask(AM, CC, {**CHAT, "stop_sequences": list("abcd")})
    same(heard.upstream["stop"], list("abcd"))
    assert heard.dropped == []


def test_E093_responses_has_no_stop(stage: Stage) -> None:
    stage.rejects(AM, RS, {**CHAT, "stop_sequences": ["X"]}, "stop_sequences")
    stage.rejects(CC, RS, {**CHAT, "stop": "X"}, "stop")


@pytest.mark.parametrize("upstream", [AM, RS])
def test_E094_several_choices_are_refused_where_there_is_one(stage: Stage, upstream: str) -> None:
    stage.rejects(CC, upstream, {**CHAT, "n": 2}, "n")
    assert "n" not in stage.sends(CC, upstream, {**CHAT, "n": 1})


def candidate(text: str, index: int) -> dict[str, Any]:
    return {"index": index, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}


def test_E094_gemini_gives_several_candidates(stage: Stage) -> None:
    answer = {**answers.GENERATED, "candidates": [candidate("a", 0), candidate("b", 1)]}
    heard = stage.ask(CC, GM, {**CHAT, "n": 2}, answer=answer)
    assert heard.upstream["generationConfig"]["candidateCount"] == 2
    got = [(c["index"], c["message"]["content"], c["finish_reason"]) for c in heard.answer["choices"]]
    assert got == [(0, "a", "stop"), (1, "b", "stop")]


LOGPROBS = {
    "chosenCandidates": [{"token": "é", "tokenId": 1, "logProbability": -0.1}, {"token": "!", "tokenId": 2, "logProbability": -0.5}],
    "topCandidates": [
        {"candidates": [{"token": "é", "logProbability": -0.1}, {"token": "e", "logProbability": -2.0}]},
        {"candidates": [{"token": "!", "logProbability": -0.5}]},
    ],
}  # fmt: skip


def test_E095_logprobs_of_gemini(stage: Stage) -> None:
    answer = {**answers.GENERATED, "candidates": [{**candidate("é!", 0), "logprobsResult": LOGPROBS}]}
    heard = stage.ask(CC, GM, {**CHAT, "logprobs": True, "top_logprobs": 3}, answer=answer)
    same(heard.upstream["generationConfig"], {"responseLogprobs": True, "logprobs": 3, ...: 0})
    top_e = {"token": "e", "logprob": -2.0, "bytes": [101]}
    first, last = (
        {"token": "é", "logprob": -0.1, "bytes": [0xC3, 0xA9]},
        {"token": "!", "logprob": -0.5, "bytes": [33]},
    )
    same(
        heard.answer["choices"][0]["logprobs"]["content"],
        [{**first, "top_logprobs": [first, top_e]}, {**last, "top_logprobs": [last]}],
    )


def test_E095_anthropic_has_no_logprobs(stage: Stage) -> None:
    stage.rejects(CC, AM, {**CHAT, "logprobs": True, "top_logprobs": 3}, "logprobs")
    assert "logprobs" not in stage.sends(CC, AM, {**CHAT, "logprobs": False})


@pytest.mark.parametrize("seed", [1_099_511_627_776, 2**40 + 7, -1, 2**31])
def test_E096_a_large_seed_fits_into_32_bits(stage: Stage, seed: int) -> None:
    given = [stage.sends(CC, GM, {**CHAT, "seed": seed})["generationConfig"]["seed"] for _ in range(2)]
    assert given[0] == given[1] and type(given[0]) is int and -(2**31) <= given[0] < 2**31


def test_E096_a_small_seed_stays(stage: Stage) -> None:
    assert stage.sends(CC, GM, {**CHAT, "seed": 42})["generationConfig"]["seed"] == 42


UNKNOWN = {
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "prediction": {"type": "content", "content": "x"},
    "verbosity": "low",
}


def test_E097_what_anthropic_does_not_know_is_left_out_and_said(stage: Stage) -> None:
    heard = stage.ask(CC, AM, {**CHAT, **UNKNOWN})
    assert set(heard.upstream) <= {"model", "messages", "max_tokens", "stream"}
    assert heard.reply.status == 200 and set(heard.dropped) == set(UNKNOWN)


def test_E097_verbosity_goes_to_responses(stage: Stage) -> None:
    same(stage.sends(CC, RS, {**CHAT, "verbosity": "low"}, model="gpt-5.2")["text"], {"verbosity": "low"})


@pytest.mark.parametrize("model", ["gpt-4o", GENERIC])
def test_E099_a_long_user_id_becomes_a_stable_hash(stage: Stage, model: str) -> None:
    def sent(user: str) -> str:
        body = stage.sends(AM, CC, {**CHAT, "metadata": {"user_id": user}}, model=model)
        (value,) = [body[n] for n in ("safety_identifier", "user") if n in body]
        assert isinstance(value, str)
        return value

    first = sent("u" * 200)
    assert 0 < len(first) <= 64 and first == sent("u" * 200) and first != sent("u" * 199 + "v")
    assert sent("alice") == "alice"


def test_E100_top_k(stage: Stage) -> None:
    assert stage.sends(AM, GM, {**CHAT, "top_k": 40})["generationConfig"]["topK"] == 40
    heard = stage.ask(AM, CC, {**CHAT, "top_k": 40})
    assert "top_k" not in heard.upstream and heard.dropped == ["top_k"]


TRUE_NAME = "gpt-5.6-luna-2026-09"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_E101_the_model_is_called_what_the_client_called_it(stage: Stage, stream: bool) -> None:
    frames = [
        frame.replace(b'"model": "m"', f'"model": "{TRUE_NAME}"'.encode())
        for frame in [*answers.CHAT_FRAMES, answers.DONE]
    ]
    answer: Any = frames if stream else {**answers.CHAT, "model": TRUE_NAME}
    heard = stage.ask(AM, CC, CHAT, model="fast", answer=answer, stream=stream)
    assert heard.upstream["model"] == "gpt-4o"
    names = (
        [d["message"]["model"] for _, d in heard.events if d["type"] == "message_start"]
        if stream
        else [heard.answer["model"]]
    )
    assert names == ["fast"]
    frames = [
        frame.replace(b'"model": "m"', f'"model": "{TRUE_NAME}"'.encode()) for frame in answers.MESSAGE_FRAMES
    ]
    answer = frames if stream else {**answers.MESSAGE, "model": TRUE_NAME}
    heard = stage.ask(CC, AM, CHAT, model="fast-claude", answer=answer, stream=stream)
    assert heard.upstream["model"] == "claude-sonnet-4-5"
    assert (
        {d["model"] for d in heard.chunks} == {"fast-claude"}
        if stream
        else heard.answer["model"] == "fast-claude"
    )


def test_E101_the_true_name_is_in_a_header(stage: Stage) -> None:
    heard = stage.ask(AM, CC, CHAT, model="fast", answer={**answers.CHAT, "model": TRUE_NAME})
    assert TRUE_NAME in heard.reply.headers.values()


# --- further cases of the same rules ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upstream", "model", "expected"),
    [
        (AM, "claude-sonnet-4-5", {"max_tokens": 50}),
        (RS, "gpt-4.1", {"max_output_tokens": 50}),
        (GM, "gemini-2.5-flash", {"generationConfig": {"maxOutputTokens": 50, ...: 0}}),
    ],
)
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_F05_both_names_of_chats_limit(
    stage: Stage, name: str, upstream: str, model: str, expected: Any
) -> None:
    same(stage.sends(CC, upstream, {**CHAT, name: 50}, model=model), {**expected, ...: 0})


def test_F05_a_limit_above_the_models_own_is_clamped(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {**CHAT, "max_tokens": 1_000_000}, model="claude-3-haiku-20240307")
    assert sent["max_tokens"] == 4096
    sent = stage.sends(AM, CC, {**CHAT, "max_tokens": 128_000})
    assert sent["max_completion_tokens"] == 16_384


@pytest.mark.parametrize("upstream", [CC, RS, GM])
def test_F05_without_a_limit_none_is_made_up(stage: Stage, upstream: str) -> None:
    sent = json.dumps(
        stage.sends(GM if upstream != GM else CC, upstream, asked(GM if upstream != GM else CC))
    )
    assert "max_" not in sent and "maxOutput" not in sent


GIVEN = {
    CC: {"temperature": 0.5, "top_p": 0.8, "stop": ["X"], "max_tokens": 50},
    AM: {"temperature": 0.5, "top_p": 0.8, "stop_sequences": ["X"], "max_tokens": 50},
    GM: {
        "generationConfig": {"temperature": 0.5, "topP": 0.8, "stopSequences": ["X"], "maxOutputTokens": 50}
    },
}


@pytest.mark.parametrize(("client", "upstream"), [(c, u) for c in GIVEN for u in GIVEN if c != u])
def test_F05_what_everybody_knows_goes_everywhere(stage: Stage, client: str, upstream: str) -> None:
    model = TAKES_BOTH if upstream == AM else ""
    sent = stage.sends(client, upstream, {**asked(client), **GIVEN[client]}, model=model)
    expected = dict(GIVEN[upstream])
    if upstream == CC:
        expected["max_completion_tokens"] = expected.pop("max_tokens")
    if upstream == GM:
        expected = {"generationConfig": {**expected["generationConfig"], ...: 0}}  # type: ignore[dict-item]
    same(sent, {**expected, ...: 0})


def test_F05_responses_sampling(stage: Stage) -> None:
    body = {"input": "U", "temperature": 0.5, "top_p": 0.8, "max_output_tokens": 50}
    sent = stage.sends(RS, AM, body, model=TAKES_BOTH)
    same(sent, {"temperature": 0.5, "top_p": 0.8, "max_tokens": 50, ...: 0})
    sent = stage.sends(AM, RS, {**CHAT, "temperature": 0.5, "top_p": 0.8, "max_tokens": 50})
    same(sent, {"temperature": 0.5, "top_p": 0.8, "max_output_tokens": 50, ...: 0})


def test_F05_gemini_takes_temperatures_up_to_two(stage: Stage) -> None:
    assert stage.sends(CC, GM, {**CHAT, "temperature": 1.7})["generationConfig"]["temperature"] == 1.7


def test_F05_penalties_and_seed_of_chat_at_gemini(stage: Stage) -> None:
    sent = stage.sends(CC, GM, {**CHAT, "frequency_penalty": 0.5, "presence_penalty": 0.25, "seed": 7})
    same(sent["generationConfig"], {"frequencyPenalty": 0.5, "presencePenalty": 0.25, "seed": 7, ...: 0})
    config = {"frequencyPenalty": 0.5, "presencePenalty": 0.25, "seed": 7, "candidateCount": 2}
    sent = stage.sends(GM, CC, {**CONTENTS, "generationConfig": config})
    same(sent, {"frequency_penalty": 0.5, "presence_penalty": 0.25, "seed": 7, "n": 2, ...: 0})


def test_F05_a_seed_is_lost_at_anthropic(stage: Stage) -> None:
    heard = stage.ask(CC, AM, {**CHAT, "seed": 7})
    assert heard.reply.status == 200 and "seed" not in heard.upstream and heard.dropped == ["seed"]


def test_F05_gemini_and_logprobs_of_chat(stage: Stage) -> None:
    sent = stage.sends(GM, CC, {**CONTENTS, "generationConfig": {"responseLogprobs": True, "logprobs": 3}})
    same(sent, {"logprobs": True, "top_logprobs": 3, ...: 0})


def test_F05_too_many_choices_for_a_dialect_without_them(stage: Stage) -> None:
    body = {**CONTENTS, "generationConfig": {"candidateCount": 2}}
    stage.rejects(GM, AM, body, "generationConfig.candidateCount")


def test_F05_strict_callers_get_a_400_instead_of_a_loss(stage: Stage) -> None:
    headers = {"x-dragoman-strict": "true"}
    stage.rejects(CC, AM, {**CHAT, "seed": 7}, "seed", headers=headers)
    stage.rejects(AM, CC, {**CHAT, "top_k": 40}, "top_k", headers=headers)
    assert stage.ask(CC, AM, CHAT, headers=headers).reply.status == 200


@pytest.mark.parametrize(("member", "value"), [("safety_identifier", "alice"), ("user", "alice")])
def test_F05_the_users_name_goes_both_ways(stage: Stage, member: str, value: str) -> None:
    assert stage.sends(CC, AM, {**CHAT, member: value})["metadata"] == {"user_id": value}
    assert stage.sends(RS, AM, {"input": "U", member: value})["metadata"] == {"user_id": value}


def test_F05_claude_codes_user_id_is_hashed(stage: Stage) -> None:
    user = json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": "s" * 36})
    sent = stage.sends(AM, CC, {**CHAT, "metadata": {"user_id": user}})
    value = sent.get("safety_identifier") or sent["user"]
    assert 0 < len(value) <= 64 and "device" not in value


def test_F05_gateway_members_do_not_go_up(stage: Stage) -> None:
    sent = stage.sends(
        CC, AM, {**CHAT, "stream": False, "stream_options": None, "store": True, "metadata": {"a": "b"}}
    )
    assert set(sent) <= {"model", "messages", "max_tokens", "stream"}


def test_F05_unknown_members_are_lost_and_named(stage: Stage) -> None:
    heard = stage.ask(CC, AM, {**CHAT, "x_vendor": {"a": 1}})
    assert b"x_vendor" not in heard.sent[0].body and heard.dropped == ["x_vendor"]
    heard = stage.ask(GM, CC, {**CONTENTS, "safetySettings": [{"category": 8, "threshold": 4}]})
    assert heard.reply.status == 200 and heard.dropped == ["safetySettings"]


@pytest.mark.parametrize(
    ("client", "body", "path"),
    [
        (CC, {"temperature": "hot"}, "temperature"),
        (CC, {"max_tokens": "many"}, "max_tokens"),
        (CC, {"max_tokens": 0}, "max_tokens"),
        (CC, {"n": 0}, "n"),
        (CC, {"stop": 7}, "stop"),
        (CC, {"logit_bias": []}, "logit_bias"),
        (AM, {"max_tokens": "many"}, "max_tokens"),
        (AM, {"stop_sequences": "x"}, "stop_sequences"),
        (AM, {"top_k": "x"}, "top_k"),
        (RS, {"max_output_tokens": []}, "max_output_tokens"),
        (GM, {"generationConfig": {"topK": "x"}}, "generationConfig.topK"),
        (GM, {"generationConfig": []}, "generationConfig"),
    ],
)
def test_F05_a_value_of_the_wrong_type_is_refused_by_name(
    stage: Stage, client: str, body: Any, path: str
) -> None:
    stage.rejects(client, AM if client != AM else CC, {**asked(client), **body}, path)


def test_F05_a_missing_limit_of_messages_is_refused(stage: Stage) -> None:
    stage.rejects(AM, CC, json.dumps({"model": "gpt-4o", **CHAT}).encode(), "max_tokens")


def test_F05_logit_bias_and_penalties_pass_between_chat_and_nothing_else(stage: Stage) -> None:
    heard = stage.ask(
        CC, RS, {**CHAT, "logit_bias": {"1": 1}, "frequency_penalty": 0.5, "presence_penalty": 0.5, "seed": 1}
    )
    assert set(heard.dropped) == {"logit_bias", "frequency_penalty", "presence_penalty", "seed"}
    same(
        heard.upstream,
        {
            "model": ANY,
            "input": ANY,
            **dict.fromkeys(("store", "include", "stream", "reasoning"), OneOf(ABSENT, ANY)),
        },
    )
