"""The limits of the translate lane: what is loaded for a caller, what one call may hold, counts in bursts."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.world import answers
from tests.world.harness import OTHER_KEY, Exchange, Vendor
from tests.world.translating import (
    FRAMES,
    OF_MODEL,
    Client,
    World,
    fresh,
    open_world,
    play,
    request,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from open_world(tmp_path_factory.mktemp("translation"))


@pytest.fixture(autouse=True)
def each(world: World) -> Iterator[None]:
    yield from fresh(world)


# --- media ---------------------------------------------------------------------------------------------------


def _pictures(urls: list[str]) -> list[Any]:
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def test_one_bad_picture_stops_the_loading_of_all_others(world: World) -> None:
    site = Vendor(lambda x: x.reply(200, b""))
    closed: list[bool] = []

    def script(x: Exchange) -> None:
        if x.request.target == "/bad.png":
            time.sleep(0.2)
            x.reply(404, b"")
        else:
            closed.append(x.closed_by_peer(8))

    site.script = script
    try:
        urls = (
            [f"{site.url}/{n}.png" for n in range(3)]
            + [f"{site.url}/bad.png"]
            + [f"{site.url}/z{n}.png" for n in range(40)]
        )
        reply = world.ask("chat", "g", text=_pictures(urls))
        assert reply.status == 400 and world.row(reply)["quota"] == 0
        time.sleep(0.5)
        assert len(site.received) < 40, "the rest was loaded for nobody"
        assert closed and all(closed), "loads went on after the answer"
    finally:
        site.close()


def test_ten_thousand_pictures_are_refused_before_the_first_is_loaded(world: World) -> None:
    site = Vendor(lambda x: x.reply(404, b""))
    try:
        reply = world.ask("chat", "g", text=_pictures([f"{site.url}/{n}.png" for n in range(10_000)]))
        assert reply.status == 400 and site.received == [] and world.row(reply)["quota"] == 0
    finally:
        site.close()


def test_slow_pictures_of_one_call_leave_room_for_others(world: World) -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"x" * 40
    release = threading.Event()

    def script(x: Exchange) -> None:
        if x.request.target.startswith("/slow"):
            release.wait(10)
        x.reply(200, png, {"content-type": "image/png"})

    site = Vendor(script)
    try:
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(
                world.ask, "chat", "g", text=_pictures([f"{site.url}/slow{n}.png" for n in range(60)])
            )
            world.gateway.eventually(lambda: len(site.received) >= 4)
            time.sleep(0.2)
            started = time.monotonic()
            reply = world.ask("chat", "g", text=_pictures([f"{site.url}/quick.png"]), key=OTHER_KEY)
            took = time.monotonic() - started
            release.set()
            assert reply.status == 200 and took < 5, took
            assert slow.result().status == 200
    finally:
        release.set()
        site.close()


def test_a_client_that_leaves_while_pictures_are_loaded(world: World) -> None:
    before, closed, asked = world.rows(), threading.Event(), threading.Event()

    def script(x: Exchange) -> None:
        asked.set()
        if x.closed_by_peer():
            closed.set()

    site = Vendor(script)
    try:
        leaver = Client(world.gateway, *request("chat", "g", text=_pictures([f"{site.url}/a.png"])))
        assert asked.wait(10)
        leaver.leave()
        assert closed.wait(10)
        row = world.last_row(before)
        assert (row["quota"], row["status"]) == (0, 499) and world.vendors["gem"].received == []
    finally:
        site.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/x.png", "http://[::1]/x.png", "http://[::ffff:10.0.0.1]/x.png", "http://0x0a000001/x.png",
        "http://169.254.169.254/latest/meta-data", "http://u:p@127.0.0.1/x.png", "http://[fe80::1%25eth0]/x.png",
        "http://[::ffff:127.0.0.1]/x.png", "http://localhost.:1/x.png", "gopher://127.0.0.1/x", "file:///etc/passwd",
        "http://127.0.0.1:99999/x.png", "http://[64:ff9b::7f00:1]/x.png", "http:///x.png", "http://\u2025/x.png",
    ],
)  # fmt: skip
def test_addresses_that_nobody_may_load(world: World, url: str) -> None:
    reply = world.ask("chat", "g", text=_pictures([url]))
    assert reply.status == 400, reply.body
    assert (
        world.vendors["gem"].received == [] and b"refused" not in reply.body and b"private" not in reply.body
    )


# --- limits ------------------------------------------------------------------------------------------------


def test_a_folded_stream_is_bounded_like_a_whole_answer(world: World) -> None:
    frame = answers.chat_chunk({"content": "x" * 50_000})
    world.vendors["chat"].script = play(
        [*answers.CHAT_FRAMES[:1], *[frame] * 100, *answers.CHAT_FRAMES[3:], answers.DONE]
    )
    reply = world.ask("claude", "c")
    assert reply.status == 502, reply.status
    assert world.row(reply)["quota"] == 0


def test_one_frame_above_the_limit_is_no_reason_to_hang(world: World) -> None:
    frame = answers.chat_chunk({"content": "x" * 3_000_000})
    world.vendors["chat"].script = play(
        [*answers.CHAT_FRAMES[:2], frame, *answers.CHAT_FRAMES[3:], answers.CHAT_USAGE, answers.DONE]
    )
    reply = world.ask("claude", "c", stream=True)
    row = world.row(reply)
    assert reply.status == 200 and row["status"] == 200 and row["quota"] > 0


# --- counts -------------------------------------------------------------------------------------------------


def test_a_burst_of_counts_with_a_slow_vendor(world: World) -> None:
    release = threading.Event()

    def script(x: Exchange) -> None:
        release.wait(10)
        x.reply(200, {"input_tokens": 7})

    world.vendors["claude"].script = script
    before, started = world.rows(), time.monotonic()
    body = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}
    with ThreadPoolExecutor(35) as pool:
        replies = list(pool.map(lambda _: world.gateway.post("/v1/messages/count_tokens", body), range(35)))
    assert time.monotonic() - started < 6 and {r.status for r in replies} == {200}
    assert len(world.vendors["claude"].received) <= 4 and world.rows() == before
    release.set()
    world.vendors["claude"].script = lambda x: x.reply(200, {"input_tokens": 7})
    assert world.gateway.post("/v1/messages/count_tokens", body).json == {"input_tokens": 7}, "a slot is gone"


def test_counts_whose_clients_leave_give_their_slots_back(world: World) -> None:
    asked = threading.Semaphore(0)

    def script(x: Exchange) -> None:
        asked.release()
        x.closed_by_peer()

    world.vendors["claude"].script = script
    body = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}
    for _ in range(8):
        leaver = Client(world.gateway, "/v1/messages/count_tokens", body)
        assert asked.acquire(timeout=10)
        leaver.leave()
    world.vendors["claude"].script = lambda x: x.reply(200, {"input_tokens": 7})
    world.gateway.eventually(
        lambda: world.gateway.post("/v1/messages/count_tokens", body).json == {"input_tokens": 7}
    )


def test_a_count_that_the_vendor_streams_is_counted_here(world: World) -> None:
    world.vendors["claude"].script = lambda x: (x.start_stream(), x.chunk(b": ping\n\n"), x.closed_by_peer(5))
    body = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}
    started = time.monotonic()
    reply = world.gateway.post("/v1/messages/count_tokens", body)
    assert reply.json["input_tokens"] > 0 and time.monotonic() - started < 4


# --- memory ------------------------------------------------------------------------------------------------


def _resident(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


@pytest.mark.parametrize(("client", "model"), [("resp", "c"), ("claude", "c"), ("chat", "a"), ("chat", "c")])
def test_an_open_stream_holds_nothing_of_its_request(world: World, client: str, model: str) -> None:
    name, release = OF_MODEL[model], threading.Event()
    half = {"chat": 2, "claude": 3}[name]

    def script(x: Exchange) -> None:
        x.start_stream()
        for frame in FRAMES[name][:half]:
            x.chunk(frame)
        release.wait(30)
        for frame in FRAMES[name][half:]:
            x.chunk(frame)
        x.end_stream()

    world.vendors[name].script = script
    path, body = request(
        client, model, text="y" * 3_900_000, stream=True, **({"store": False} if client == "resp" else {})
    )
    pid = world.gateway.process.pid

    def opened() -> Client:
        found = Client(world.gateway, path, body)
        found.until(b"Hel")
        return found

    streams = [opened() for _ in range(5)]
    before = _resident(pid)
    streams += [opened() for _ in range(40)]
    grown = (_resident(pid) - before) / 40
    release.set()
    for stream in streams:
        stream.leave()
    assert grown < 400_000, f"{grown:.0f} bytes for each open stream"


def test_a_client_that_leaves_while_its_big_body_is_translated(world: World) -> None:
    before = world.rows()
    messages = [{"role": "user", "content": [{"type": "text", "text": "x" * 50}] * 20}] * 3000
    body = json.dumps({"model": "c", "max_tokens": 5, "messages": messages}).encode()
    for wait_s in (0.0, 0.05, 0.1, 0.2):
        leaver = Client(world.gateway, "/v1/messages", body)
        time.sleep(wait_s)
        leaver.leave()
    world.gateway.eventually(lambda: world.rows() >= before + 1)
    assert world.ask("claude", "c").status == 200


def test_many_open_streams_hold_little_each_and_nothing_is_left_of_them(world: World) -> None:
    release = threading.Event()

    def script(x: Exchange) -> None:
        x.start_stream()
        for frame in FRAMES["claude"][:3]:
            x.chunk(frame)
        release.wait(30)
        for frame in FRAMES["claude"][3:]:
            x.chunk(frame)
        x.end_stream()

    world.vendors["claude"].script = script
    path, body = request("resp", "a", text="y" * 50_000, stream=True)
    pid = world.gateway.process.pid

    def opened() -> Client:
        found = Client(world.gateway, path, body)
        found.until(b"Hel")
        return found

    streams = [opened() for _ in range(50)]
    before = _resident(pid)
    streams += [opened() for _ in range(200)]
    grown = (_resident(pid) - before) / 200
    release.set()
    for number, stream in enumerate(streams):
        if number % 2:
            stream.until(b"response.completed")
        stream.leave()
    # its own input, 50 KB, waits to be kept with the answer
    assert grown < 160_000, f"{grown:.0f} bytes for each open stream"
    metrics = world.gateway.get("/metrics").body.decode()
    world.gateway.eventually(
        lambda: "dragoman_open_streams 0.0" in world.gateway.get("/metrics").body.decode()
    )
    assert metrics


def test_a_compressed_answer_that_nobody_asked_for_is_no_answer(world: World) -> None:
    packed = gzip.compress(json.dumps(answers.CHAT).encode())
    world.vendors["chat"].script = lambda x: x.reply(200, packed, {"content-encoding": "gzip"})
    reply = world.ask("claude", "c")
    assert reply.status == 502 and "content-encoding" not in reply.headers


def test_a_redirect_into_the_house_is_not_followed(world: World) -> None:
    inside = Vendor(lambda x: x.reply(200, b"secret"))
    where = {"location": f"http://127.0.0.2:{inside.port}/x.png"}
    site = Vendor(lambda x: x.reply(302, b"", where))
    try:
        reply = world.ask("chat", "g", text=_pictures([f"{site.url}/a.png"]))
        assert reply.status == 400 and inside.received == [] and inside.connections == 0
    finally:
        site.close()
        inside.close()
