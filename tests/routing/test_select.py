from collections import Counter
from random import Random
from typing import Any

import pytest

from dragoman.core.faults import Fault
from dragoman.routing import select
from dragoman.routing.snapshot import Channel, Group
from tests.routing.builders import OTHER, channel, snapshot


def ways(channels: list[Channel]) -> list[select.Way]:
    return [select.Way(c) for c in channels]


def refusal(*args: object, **kwargs: object) -> Fault:
    with pytest.raises(Fault) as caught:
        select.eligible(*args, **kwargs)  # type: ignore[arg-type]
    return caught.value


def test_an_id_nobody_heard_of_is_404_and_a_known_one_without_a_channel_503() -> None:
    snap = snapshot(channel(1, ("m",), groups=("other",)), catalogue=("gpt-5.4",))
    fault = refusal(snap, group="default", model="nope", operation="chat")
    assert (fault.status, fault.code) == (404, "model_not_found")
    for known in ("m", "gpt-5.4"):
        fault = refusal(snap, group="default", model=known, operation="chat")
        assert (fault.status, fault.code, fault.type) == (503, "model_not_found", "new_api_error")
        assert fault.message == f"Model {known} is temporarily unavailable"


def test_a_prefixed_id_gets_a_suggestion() -> None:
    snap = snapshot(channel(1), catalogue=("gpt-5.4",))
    assert (
        "did you mean gpt-5.4?"
        in refusal(snap, group="default", model="openai/gpt-5.4", operation="chat").message
    )


def test_the_wrong_surface_is_404_and_names_the_right_one() -> None:
    snap = snapshot(channel(1, ("claude",), provider=OTHER))
    fault = refusal(snap, group="default", model="claude", operation="embeddings")
    assert fault.status == 404 and "POST /v1/messages" in fault.message
    assert "translation" not in fault.message


@pytest.mark.parametrize("off", ["channel", "group"])
def test_translation_switched_off_is_404_and_says_so(off: str) -> None:
    groups = [Group(name="default", translate=off != "group")]
    snap = snapshot(channel(1, ("claude",), provider=OTHER, translate=off != "channel"), groups=groups)
    fault = refusal(snap, group="default", model="claude", operation="chat")
    assert fault.status == 404 and "translation is switched off" in fault.message
    assert "POST /v1/messages" in fault.message
    assert [
        w.operation for w in select.eligible(snap, group="default", model="claude", operation="messages")
    ] == [""]


def test_channels_of_the_clients_dialect_come_before_translated_ones_whatever_their_priority() -> None:
    snap = snapshot(channel(1), channel(2, provider=OTHER, priority=9), channel(3, priority=1))
    found = select.eligible(snap, group="default", model="m", operation="chat")
    assert [(c.channel.id, c.operation) for c in select.order(found, lambda: 0.0)] == [
        (3, ""),
        (1, ""),
        (2, "messages"),
    ]


def both(*operations: str, **fields: Any) -> Channel:
    return channel(1, fields.pop("models", ("m",)), operations=frozenset(operations), **fields)


@pytest.mark.parametrize(
    ("operations", "model", "asked", "stream", "used"),
    [
        (("responses", "chat"), "m", "messages", False, "chat"),
        (("responses",), "m", "messages", False, "responses"),
        (("chat", "messages"), "deepseek-v3", "gemini_generate", False, "chat"),
        (("chat", "messages"), "claude-sonnet-4-6", "responses", False, "messages"),
        (("gemini_generate", "gemini_stream"), "gemini-2.5-pro", "chat", True, "gemini_stream"),
        (("gemini_generate", "gemini_stream"), "gemini-2.5-pro", "chat", False, "gemini_generate"),
    ],
)
def test_a_translated_call_goes_to_the_dialect_that_suits_the_model(
    operations: tuple[str, ...], model: str, asked: str, stream: bool, used: str
) -> None:
    snap = snapshot(both(*operations, models=(model,)))
    found = select.eligible(snap, group="default", model=model, operation=asked, stream=stream)
    assert [way.operation for way in found] == [used]


def test_a_cloud_serves_each_model_in_its_own_vendors_dialect() -> None:
    vertex = both(
        "messages", "gemini_generate", "gemini_stream", models=("claude-sonnet-4-6", "gemini-2.5-pro")
    )
    snap = snapshot(vertex)

    def used(model: str, operation: str) -> str:
        return select.eligible(snap, group="default", model=model, operation=operation)[0].operation

    assert used("claude-sonnet-4-6", "messages") == "" and used("gemini-2.5-pro", "gemini_generate") == ""
    assert used("claude-sonnet-4-6", "gemini_generate") == "messages"
    assert used("gemini-2.5-pro", "messages") == "gemini_generate"


def test_what_is_no_conversation_is_never_translated() -> None:
    snap = snapshot(channel(1))
    assert refusal(snap, group="default", model="m", operation="gemini_embed").status == 404


def test_vendor_and_pin_narrow_the_choice() -> None:
    snap = snapshot(channel(1), channel(2), channel(3, provider=OTHER, operations=frozenset({"chat"})))
    assert [
        w.channel.id
        for w in select.eligible(snap, group="default", model="m", operation="chat", vendor="zeta")
    ] == [3]
    assert [
        w.channel.id for w in select.eligible(snap, group="default", model="m", operation="chat", pinned=2)
    ] == [2]
    assert refusal(snap, group="default", model="m", operation="chat", pinned=9).status == 503


def test_priorities_come_first_and_weights_are_honoured_inside_a_tier() -> None:
    channels = [
        channel(1, priority=1, weight=3),
        channel(2, priority=1, weight=1),
        channel(3, priority=0, weight=99),
        channel(4, priority=2),
    ]
    rng = Random(7)
    seconds: Counter[int] = Counter()
    for _ in range(4000):
        ids = [c.channel.id for c in select.order(ways(channels), rng.random)]
        assert ids[0] == 4 and ids[3] == 3 and sorted(ids) == [1, 2, 3, 4]
        seconds[ids[1]] += 1
    assert 0.70 < seconds[1] / 4000 < 0.80


def test_the_order_is_deterministic_given_the_random_numbers_and_nothing_starves() -> None:
    channels = [channel(i, weight=0) for i in range(1, 6)]
    assert select.order(ways(channels), Random(1).random) == select.order(ways(channels), Random(1).random)
    rng = Random(2)
    assert {select.order(ways(channels), rng.random)[0].channel.id for _ in range(500)} == {1, 2, 3, 4, 5}


def test_all_credentials_of_a_channel_are_used() -> None:
    rng = Random(3)
    one = channel(1, credentials=("a", "b", "c"))
    assert {select.order(ways([one]), rng.random)[0].credential for _ in range(200)} == {0, 1, 2}


# --- conversations stay where they are (E142) -------------------------------------------------------------


def drawn(seed: bytes, channels: list[Channel]) -> list[int]:
    return [c.channel.id for c in select.order(ways(channels), Random(1).random, seed)]


def test_a_seed_gives_the_same_order_and_credential_every_time() -> None:
    channels = [channel(n, credentials=("a", "b", "c"), weight=n) for n in range(1, 6)]
    for seed in (b"one", b"two", b"three"):
        orders = [select.order(ways(channels), Random(n).random, seed) for n in range(5)]
        assert all(order == orders[0] for order in orders)
    assert len({tuple(drawn(b"%d" % n, channels)) for n in range(50)}) > 10
    alone = {select.order(ways(channels[:1]), Random(n).random, b"one")[0].credential for n in range(20)}
    assert len(alone) == 1


def test_seeds_are_spread_by_weight_and_priorities_still_come_first() -> None:
    channels = [channel(1, weight=3), channel(2), channel(3, priority=5)]
    firsts = Counter(drawn(b"%d" % n, channels)[1] for n in range(4000))
    assert {drawn(b"%d" % n, channels)[0] for n in range(50)} == {3}
    assert 0.70 < firsts[1] / 4000 < 0.80


def test_a_channel_that_goes_moves_only_its_own_conversations() -> None:
    channels = [channel(n) for n in range(1, 5)]
    for n in range(200):
        before, after = drawn(b"%d" % n, channels), drawn(b"%d" % n, channels[:3])
        assert after == [c for c in before if c != 4]
