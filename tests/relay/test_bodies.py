"""Reading request bodies: size, memory, time, expansion; one test over a real socket."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from dragoman.core.faults import Fault
from dragoman.relay.bodies import (
    EXPANSION_FLOOR_BYTES,
    Body,
    BodyBudget,
    ClientGone,
    read_body,
    spool_body,
)
from tests.relay.doors import error_of, parse, read_all, request, running

TEXT = json.dumps({"messages": [{"role": "user", "content": "hello " * 500}]}).encode()


class Incoming:
    """An ASGI receive that plays the given pieces; None stands for a client that leaves, "wait" for one that stalls."""

    def __init__(self, *pieces: Any, headers: dict[str, str] | None = None) -> None:
        self.pieces = list(pieces)
        self.scope: dict[str, Any] = {
            "type": "http",
            "headers": [(n.lower().encode(), v.encode()) for n, v in (headers or {}).items()],
        }
        self.received = 0

    async def __call__(self) -> dict[str, Any]:
        self.received += 1
        piece = self.pieces.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        if piece == "wait":
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}


def read(incoming: Incoming, budget: BodyBudget | None = None, **options: Any) -> bytes:
    budget = budget or BodyBudget()
    with asyncio.run(read_body(incoming.scope, incoming, budget=budget, **options)) as body:
        return body.data


def refused(incoming: Incoming, **options: Any) -> Fault:
    budget = BodyBudget()
    with pytest.raises(Fault) as caught:
        asyncio.run(read_body(incoming.scope, incoming, budget=budget, **options))
    assert budget.used_bytes == 0
    return caught.value


def test_a_body_in_one_piece_is_not_copied() -> None:
    incoming = Incoming(TEXT, headers={"content-length": str(len(TEXT))})
    assert read(incoming) is TEXT


def test_a_body_in_pieces() -> None:
    assert read(Incoming(b"a", b"", b"bc", b"")) == b"abc"
    assert read(Incoming(b"")) == b""


def test_the_budget_gets_its_bytes_back() -> None:
    async def main() -> None:
        budget = BodyBudget(100)
        incoming = Incoming(b"a" * 30, b"b" * 30)
        body = await read_body(incoming.scope, incoming, budget=budget)
        assert budget.used_bytes == 60
        body.release()
        body.release()
        assert budget.used_bytes == 0
        with await read_body({"headers": []}, Incoming(b"abc"), budget=budget):
            assert budget.used_bytes == 3
        assert budget.used_bytes == 0
        Body.empty().release()

    asyncio.run(main())


# -- size -----------------------------------------------------------------------------------------------------


def test_an_announced_size_over_the_limit_is_refused_unread() -> None:
    incoming = Incoming(b"x", headers={"content-length": "1001"})
    fault = refused(incoming, limit=1000)
    assert (fault.status, incoming.received) == (413, 0)
    assert "1000 bytes" in fault.message
    assert read(Incoming(b"x" * 1000, headers={"content-length": "1000"}), limit=1000) == b"x" * 1000


def test_an_unannounced_size_is_counted() -> None:
    incoming = Incoming(*[b"x" * 400] * 10)
    assert refused(incoming, limit=1000).status == 413
    assert incoming.received == 3


# -- codings --------------------------------------------------------------------------------------------------


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


CODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),  # two members
    "GZIP": gzip.compress(TEXT),
    "zstd": zstandard.ZstdCompressor().compress(TEXT[:100]) + zstandard.ZstdCompressor().compress(TEXT[100:]),
    "identity": TEXT,
}


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_coded_bodies_are_decoded(coding: str, size: int) -> None:
    incoming = Incoming(*cut(CODED[coding], size), headers={"content-encoding": coding})
    assert read(incoming) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_bodies_larger_than_a_step(coding: str) -> None:
    data = random.Random(1).randbytes(3_000_000) + b"\0" * 3_000_000
    coded = gzip.compress(data, 1) if coding == "gzip" else zstandard.ZstdCompressor().compress(data)
    assert read(Incoming(*cut(coded, 65_536), headers={"content-encoding": coding})) == data


def test_an_empty_body_needs_no_coding() -> None:
    assert read(Incoming(b"", headers={"content-encoding": "gzip"})) == b""


@pytest.mark.parametrize("coding", ["deflate", "br", "gzip, gzip", "gzip;q=1", "nonsense"])
def test_other_codings_are_a_415_that_lists_the_accepted_ones(coding: str) -> None:
    incoming = Incoming(TEXT, headers={"content-encoding": coding})
    fault = refused(incoming)
    assert (fault.status, fault.code, incoming.received) == (415, "unsupported_encoding", 0)
    assert "gzip, zstd, identity" in fault.message


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("spoil", [lambda d: b"{}", lambda d: d[:-5], lambda d: d[:12], lambda d: d + b"tail",
                                   lambda d: d[:20] + bytes(20) + d[40:]])  # fmt: skip
def test_broken_codings_are_a_400(coding: str, spoil: Any) -> None:
    noise = random.Random(2).randbytes(300)
    good = (
        gzip.compress(noise)
        if coding == "gzip"
        else zstandard.ZstdCompressor(write_checksum=True).compress(noise)
    )
    fault = refused(Incoming(spoil(good), headers={"content-encoding": coding}))
    assert fault.status == 400
    assert f"not valid {coding}" in fault.message


def test_deflate_streams_with_a_wrong_checksum_are_a_400() -> None:
    good = bytearray(gzip.compress(TEXT))
    good[-8] ^= 1
    assert refused(Incoming(bytes(good), headers={"content-encoding": "gzip"})).status == 400


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize(("limit", "word"), [(1_000_000, "1000000 bytes"), (100_000_000, "100 times")])
def test_bombs(coding: str, limit: int, word: str) -> None:
    size = 200_000_000
    coded = (
        gzip.compress(bytes(size), 9)
        if coding == "gzip"
        else zstandard.ZstdCompressor().compress(bytes(size))
    )
    assert len(coded) < 200_000
    fault = refused(Incoming(coded, headers={"content-encoding": coding}), limit=limit)
    assert fault.status == 413
    assert word in fault.message


def test_a_zstd_frame_of_runs_cannot_expand_beyond_a_slice() -> None:
    # every block is 4 bytes and stands for 128 KB; the frame header says nothing of the size
    header = b"\x28\xb5\x2f\xfd\x00\x68"
    run = (2 | (131_072 << 3)).to_bytes(3, "little") + b"x"
    coded = header + run * 5000
    assert refused(Incoming(coded, headers={"content-encoding": "zstd"})).status == 413


def test_a_high_ratio_is_fine_while_the_body_is_small() -> None:
    data = b" " * (EXPANSION_FLOOR_BYTES - 1)
    assert read(Incoming(gzip.compress(data), headers={"content-encoding": "gzip"})) == data


def test_a_zstd_window_beyond_the_standard_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=24, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    coded = compressor.compress(TEXT) + compressor.flush()
    assert refused(Incoming(coded, headers={"content-encoding": "zstd"})).status == 400


# -- time -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [("wait",), (b"abc", "wait")])
def test_a_stalled_body_is_a_408(pieces: tuple[Any, ...]) -> None:
    fault = refused(Incoming(*pieces, b"rest"), idle_timeout_s=0.01)
    assert (fault.status, fault.code) == (408, "request_timeout")
    assert "stalled" in fault.message


def test_a_body_may_not_take_for_ever() -> None:
    fault = refused(Incoming(b"abc", "wait", b"rest"), idle_timeout_s=30, total_timeout_s=0.01)
    assert (fault.status, fault.code) == (408, "request_timeout")
    assert "too long" in fault.message


@pytest.mark.parametrize("pieces", [(None,), (b"abc", None)])
def test_a_client_that_leaves(pieces: tuple[Any, ...]) -> None:
    budget = BodyBudget()
    incoming = Incoming(*pieces)
    with pytest.raises(ClientGone):
        asyncio.run(read_body(incoming.scope, incoming, budget=budget))
    assert budget.used_bytes == 0


# -- memory ---------------------------------------------------------------------------------------------------


def test_beyond_the_budget_requests_wait_in_line() -> None:
    async def main() -> None:
        budget = BodyBudget(100)
        first = await read_body({"headers": []}, Incoming(b"x" * 90), budget=budget)
        order: list[str] = []

        async def want(name: str, size: int) -> Body:
            body = await read_body({"headers": []}, Incoming(b"x" * size), budget=budget, wait_s=30)
            order.append(name)
            return body

        tasks = [asyncio.create_task(want("big", 50)), asyncio.create_task(want("small", 5))]
        while budget.waiting < 2:
            await asyncio.sleep(0)
        assert order == []  # the small one would fit, but it came later
        first.release()
        bodies = await asyncio.gather(*tasks)
        assert order == ["big", "small"]
        assert budget.used_bytes == 55
        for body in bodies:
            body.release()
        assert budget.used_bytes == 0

    asyncio.run(main())


def test_waiting_ends_in_a_503_with_advice() -> None:
    async def main() -> None:
        budget = BodyBudget(100)
        first = await read_body({"headers": []}, Incoming(b"x" * 90), budget=budget)
        with pytest.raises(Fault) as caught:
            await read_body({"headers": []}, Incoming(b"x" * 5, b"x" * 50), budget=budget, wait_s=0.01)
        assert (caught.value.status, caught.value.code) == (503, "overloaded")
        assert caught.value.retry_after_s
        assert (budget.used_bytes, budget.waiting) == (90, 0)
        first.release()
        (
            await read_body({"headers": []}, Incoming(b"x" * 1000), budget=budget)
        ).release()  # alone it may be larger
        assert budget.used_bytes == 0

    asyncio.run(main())


def test_leaving_the_line_lets_the_next_one_in() -> None:
    async def main() -> None:
        budget = BodyBudget(100)
        await budget.take(90, 1)
        big = asyncio.create_task(budget.take(50, 30))
        small = asyncio.create_task(budget.take(10, 30))
        while budget.waiting < 2:
            await asyncio.sleep(0)
        big.cancel()
        await small
        with pytest.raises(asyncio.CancelledError):
            await big
        assert (budget.used_bytes, budget.waiting) == (100, 0)
        # cancelled in the same moment as its turn comes
        late = asyncio.create_task(budget.take(50, 30))
        while not budget.waiting:
            await asyncio.sleep(0)
        budget.give(100)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        assert budget.used_bytes == 0

    asyncio.run(main())


# -- on disk --------------------------------------------------------------------------------------------------


def test_uploads_go_to_a_file_that_leaves_no_trace(tmp_path: Path) -> None:
    incoming = Incoming(*[os.urandom(300_000) for _ in range(10)])
    sent = b"".join(incoming.pieces)
    with asyncio.run(spool_body(incoming.scope, incoming, directory=tmp_path)) as body:
        assert (body.size, body.file.read()) == (3_000_000, sent)
        assert list(tmp_path.iterdir()) == []
    assert body.file.closed


@pytest.mark.parametrize(
    ("incoming", "status"),
    [
        (Incoming(b"x", headers={"content-length": "5000"}), 413),
        (Incoming(b"x" * 900, b"x" * 900), 413),
        (Incoming(b"x", "wait", b"x"), 408),
        (Incoming(b"x", headers={"content-encoding": "gzip"}), 415),
    ],
)
def test_refused_uploads(incoming: Incoming, status: int, tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        asyncio.run(spool_body(incoming.scope, incoming, directory=tmp_path, limit=1000, idle_timeout_s=0.01))
    assert caught.value.status == status


def test_an_upload_whose_client_leaves_or_whose_disk_is_full(tmp_path: Path) -> None:
    incoming = Incoming(b"x", None)
    with pytest.raises(ClientGone):
        asyncio.run(spool_body(incoming.scope, incoming, directory=tmp_path))
    full = Incoming(b"x" * 2_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "wb", buffering=0))  # noqa: SIM115
        with pytest.raises(Fault) as caught:
            asyncio.run(spool_body(full.scope, full, directory=tmp_path))
    assert (caught.value.status, caught.value.owner) == (503, "gateway")


# -- over a socket --------------------------------------------------------------------------------------------


def test_over_a_socket() -> None:
    budget = BodyBudget()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await read_body(scope, receive, budget=budget, limit=2_000_000, idle_timeout_s=0.2)
            status, text = 200, b"%d" % zlib.crc32(body.data)
            body.release()
        except Fault as fault:
            status, text = fault.status, fault.message.encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-length", b"%d" % len(text))],
            }
        )
        await send({"type": "http.response.body", "body": text})

    data = os.urandom(1_500_000)
    with running(app) as door:
        for coded, headers in ((data, []), (gzip.compress(data, 1), ["Content-Encoding: gzip"])):
            answer = parse(door.exchange(request("/", *headers, method="POST", body=coded)))
            assert (answer[0], answer[2]) == (200, b"%d" % zlib.crc32(data))
        for wanted, head, body in (
            (413, "Content-Length: 100000000", b"x" * 300_000),
            (413, "Transfer-Encoding: chunked", b"20000\r\n%b\r\n" % (b"x" * 0x20000) * 20),
            (408, "Content-Length: 1000", b"x" * 10),
        ):
            with door.connect() as client:
                client.sendall(request("/", head, method="POST"))
                client.sendall(body)
                status, answered, _ = parse(read_all(client))
                assert (status, answered["connection"]) == (wanted, "close")
        assert (
            error_of(door.exchange(request("/", "Transfer-Encoding: chunked", method="POST") + b"x"))[0]
            == 400
        )
    assert budget.used_bytes == 0


def test_a_body_that_grows_takes_what_it_grows_by() -> None:
    async def scenario() -> None:
        budget = BodyBudget(100)
        assert budget.take_now(40)
        with Body(b"x" * 40, budget, 40) as body:
            await body.grow(b"y" * 90, 0.01)
            assert (budget.used_bytes, body.data) == (90, b"y" * 90)
            await body.grow(b"z", 0.01)  # what was taken stays taken until the end
            with pytest.raises(Fault) as caught:
                await body.grow(b"y" * 200, 0.01)
            assert (caught.value.status, budget.used_bytes, body.data) == (503, 90, b"z")
        assert budget.used_bytes == 0

    asyncio.run(scenario())
