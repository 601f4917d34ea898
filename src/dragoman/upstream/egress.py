"""Which addresses a URL supplied by a user may reach (server-side request forgery).

A name is judged by the addresses it resolves to, at the moment of connecting, and the connection goes to
the very address that was judged (`dial`), so a name that changes its answer in between gains nothing.
Names are not judged at all: "localhost", "127.1", "0x7f000001" and a public name with a private record
all end as the same address.  Channels configured by the operator are not subject to this.

Sources: the IANA special-purpose address registries (RFC 6890 and its updates), and the cloud vendors'
documented metadata addresses.  The table is our own rather than `ipaddress.is_global`, whose answers
changed between patch releases of Python.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSED_V4 = (
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT; Alibaba metadata"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "Azure platform service"),
    ("169.254.0.0/16", "link-local; cloud metadata"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments; Oracle metadata"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved; broadcast"),
)
# Of IPv6 only global unicast is open at all: that leaves out loopback, unspecified, IPv4-mapped,
# IPv4-compatible, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard-only, SRv6 SIDs, unique local (with the
# metadata addresses fd00:ec2::254 and fd20:ce::254), link-local, site-local and multicast.
_OPEN_V6 = "2000::/3"
_REFUSED_V6 = (
    ("2001::/23", "protocol assignments: Teredo, benchmarking, ORCHID"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4, carries any IPv4 address"),
    ("2620:4f:8000::/48", "AS112"),
    ("3fff::/20", "documentation"),
)


class EgressPolicy:
    """Permits public addresses, and those inside `allow` (CIDRs such as "127.0.0.1/32").

    Immutable, hashable and equal by its exceptions: it is part of the pool's key.
    ValueError if an entry of `allow` is not a network (host bits must be zero).
    """

    __slots__ = ("_allow", "_open_v6", "_refused_v4", "_refused_v6")

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow: frozenset[Network] = frozenset(ipaddress.ip_network(cidr) for cidr in allow)
        self._refused_v4 = tuple((ipaddress.IPv4Network(cidr), why) for cidr, why in _REFUSED_V4)
        self._refused_v6 = tuple((ipaddress.IPv6Network(cidr), why) for cidr, why in _REFUSED_V6)
        self._open_v6 = ipaddress.IPv6Network(_OPEN_V6)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EgressPolicy) and self._allow == other._allow

    def __hash__(self) -> int:
        return hash(self._allow)

    def refusal(self, address: str) -> str | None:
        """Why `address` (textual IPv4 or IPv6, a scope id allowed) may not be reached; None if it may.
        What is not an address is refused."""
        try:
            ip: Address = ipaddress.ip_address(address)
        except ValueError:
            return "not an address"
        # A scope id ("fe80::1%eth0") would keep the address out of every network it is compared with.
        if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None:
            ip = ipaddress.IPv6Address(int(ip))
        if any(ip in network for network in self._allow):
            return None
        if isinstance(ip, ipaddress.IPv4Address):
            return next((why for network, why in self._refused_v4 if ip in network), None)
        if ip.ipv4_mapped is not None:
            return "IPv4-mapped"
        if ip not in self._open_v6:
            return "not global unicast"
        return next((why for network6, why in self._refused_v6 if ip in network6), None)

    def permits(self, address: str) -> bool:
        return self.refusal(address) is None
