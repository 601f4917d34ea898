"""The table of addresses, and that the address judged is the one connected to."""

from __future__ import annotations

import pytest
from tests.upstream.misbehaving import Server, echo, fake_dns, run, run_plain

from dragoman.upstream.client import Client, EgressPolicy, Origin, UpstreamError

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    "::",
    "::1",
    "::2",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fdff::1",
    "fe80::1",
    "fe80::1%eth0",
    "fe80::1%1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "localhost",
    "127.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "example.com",
    "8.8.8",
    "1.2.3.4.5",
    "8.8.8.8:80",
    "[::1]",
]

PERMITTED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "2003::1",
    "3ffe::1",
    "2620:4f:8001::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_refused(address: str) -> None:
    assert EgressPolicy().refusal(address)
    assert not EgressPolicy().permits(address)


@pytest.mark.parametrize("address", PERMITTED)
def test_permitted(address: str) -> None:
    assert EgressPolicy().refusal(address) is None


def test_exceptions_are_what_they_say_and_no_more() -> None:
    policy = EgressPolicy(["127.0.0.1/32", "10.1.0.0/16", "fd00::/8"])
    for address in ("127.0.0.1", "10.1.2.3", "fd12::1", "8.8.8.8"):
        assert policy.permits(address)
    # An IPv4 exception opens no IPv6 spelling of the address.
    for address in ("127.0.0.2", "10.2.0.1", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
        assert not policy.permits(address)
    assert EgressPolicy(["fe80::/10"]).permits("fe80::1%eth0")


@pytest.mark.parametrize("entry", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "1.2.3"])
def test_bad_exceptions(entry: str) -> None:
    with pytest.raises(ValueError):
        EgressPolicy([entry])


def test_equal_policies_share_connections() -> None:
    assert EgressPolicy(["10.0.0.0/8", "::1"]) == EgressPolicy(["::1", "10.0.0.0/8"])
    assert hash(EgressPolicy(["10.0.0.0/8"])) == hash(EgressPolicy(["10.0.0.0/8"]))
    assert EgressPolicy() != EgressPolicy(["10.0.0.0/8"])
    assert EgressPolicy() != "EgressPolicy"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]"])
def test_every_spelling_of_this_machine_is_refused(host: str) -> None:
    async def main() -> None:
        async with Server(echo) as server:
            client = Client()
            origin = Origin.parse(f"http://{host}:{server.port}")
            with pytest.raises(UpstreamError) as caught:
                await client.send(origin, b"GET", b"/", [], egress=EgressPolicy())
            assert (caught.value.kind, caught.value.sent) == ("egress", False)
            assert server.connections == 0
            await client.close()

    run(main)


def test_a_name_is_resolved_once_and_only_its_permitted_addresses_are_used() -> None:
    async def main() -> None:
        async with Server(echo) as server:
            asked = fake_dns("10.0.0.1", "169.254.169.254", "::1", "127.0.0.1")
            client = Client()
            policy = EgressPolicy(["127.0.0.1/32"])
            for _ in range(2):
                response = await client.send(
                    server.origin("two.test"), b"POST", b"/", [], b"x", egress=policy
                )
                assert await response.read(10) == b"x"
            assert asked == ["two.test"]
            assert server.connections == 1
            await client.close()

    run_plain(main)


def test_a_public_name_with_a_private_record_is_refused() -> None:
    async def main() -> None:
        async with Server(echo) as server:
            fake_dns("127.0.0.1")
            client = Client()
            with pytest.raises(UpstreamError) as caught:
                await client.send(server.origin("public.test"), b"GET", b"/", [], egress=EgressPolicy())
            assert caught.value.kind == "egress"
            assert "127.0.0.1" in str(caught.value)
            assert server.connections == 0
            await client.close()

    run_plain(main)
