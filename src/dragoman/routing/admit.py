"""May this key do this? The checks of the contract in its order; the first failure wins and nothing is charged.

Status and expiry → 401, address → 403 ``ip_not_allowed``, owner and group → 403, model → 403 ``model_not_allowed``.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from dragoman.core import faults
from dragoman.routing.keytable import KeyRecord
from dragoman.routing.snapshot import Group, Snapshot


def check_key(record: KeyRecord, *, ip: str, now: float) -> None:
    """Everything that can be refused before a byte of the body is read. Raises Fault."""
    if not record.active:
        raise faults.invalid_api_key("Invalid API key: this key is disabled")
    if record.expires_at is not None and now >= record.expires_at:
        raise faults.invalid_api_key("Invalid API key: this key has expired")
    if record.allow_ips and not address_allowed(ip, record.allow_ips):
        raise faults.ip_not_allowed(ip)
    if not record.user_active:
        raise faults.group_not_allowed()


def check_group(record: KeyRecord, snapshot: Snapshot) -> Group:
    """The group that the key works in. Raises Fault 403 when it has none or the group is gone."""
    if not record.group:
        raise faults.no_group_bound()
    group = snapshot.groups.get(record.group)
    if group is None:
        raise faults.group_not_allowed()
    return group


def check_model(record: KeyRecord, asked: str, resolved: str) -> None:
    """Both the name asked for and the one behind the alias must be on the key's list: an alias is no way around it."""
    if record.models is not None and not (asked in record.models and resolved in record.models):
        raise faults.model_not_allowed(asked)


def address_allowed(ip: str, allowed: tuple[str, ...]) -> bool:
    """``ip`` against addresses and CIDR ranges; IPv4 addresses mapped into IPv6 count as IPv4."""
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return any(address in ip_network(entry, strict=False) for entry in allowed)
