import asyncio
from typing import Any

import pytest

from dragoman.relay.gateway import Gateway, Limits
from tests.relay.scripted import ScriptedClient, gateway, limits
from tests.routing.builders import channel, snapshot


def test_every_port_is_kept_under_its_own_name() -> None:
    ports: dict[str, Any] = {
        name: object()
        for name in (
            "snapshot", "book", "client", "credentials", "keys", "owners", "prices", "journal", "metrics", "budget",
            "clock", "random", "new_id", "ready", "media", "state",
        )
    }  # fmt: skip
    kept = vars(Gateway(limits=limits(), **ports))
    assert {name: kept[name] for name in ports} == ports
    assert kept["later"] == set()


def test_a_port_that_is_not_wired_is_an_error_at_once() -> None:
    made = vars(gateway())
    with pytest.raises(TypeError, match="prices"):
        Gateway(**{k: v for k, v in made.items() if k not in ("prices", "later", "count_slots")})


def test_a_snapshot_is_swapped_whole_and_a_request_keeps_the_one_it_began_with() -> None:
    ports = gateway(ScriptedClient(), snapshot=snapshot(channel(1)))

    async def request(swapped: asyncio.Event) -> tuple[list[int], list[int]]:
        mine = ports.snapshot
        await swapped.wait()
        return list(mine.channels), list(ports.snapshot.channels)

    async def scenario() -> tuple[list[int], list[int]]:
        swapped = asyncio.Event()
        running = asyncio.create_task(request(swapped))
        await asyncio.sleep(0)
        ports.snapshot = snapshot(channel(2))
        swapped.set()
        return await running

    assert asyncio.run(scenario()) == ([1], [2])


def test_limits_have_no_defaults_and_do_not_change() -> None:
    with pytest.raises(TypeError):
        Limits(body_bytes=1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        limits().attempts = 9  # type: ignore[misc]
