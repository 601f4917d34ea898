import pytest

from dragoman.core.faults import Fault
from dragoman.routing import admit
from tests.routing.builders import key, snapshot


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"active": False}, 401, "invalid_api_key"),
        ({"expires_at": 100}, 401, "invalid_api_key"),
        ({"allow_ips": ("10.0.0.0/8",)}, 403, "ip_not_allowed"),
        ({"user_active": False}, 403, "group_not_allowed"),
        ({"active": False, "expires_at": 1, "allow_ips": ("10.0.0.1",)}, 401, "invalid_api_key"),
    ],
)
def test_the_first_failing_check_wins(fields: dict[str, object], status: int, code: str) -> None:
    with pytest.raises(Fault) as caught:
        admit.check_key(key(**fields), ip="203.0.113.5", now=100)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_a_good_key_passes() -> None:
    admit.check_key(key(expires_at=101, allow_ips=("203.0.113.0/24",)), ip="203.0.113.5", now=100)
    assert admit.check_group(key(), snapshot()).name == "default"


@pytest.mark.parametrize(("group", "code"), [("", None), ("gone", "group_not_allowed")])
def test_groups(group: str, code: str | None) -> None:
    with pytest.raises(Fault) as caught:
        admit.check_group(key(group=group), snapshot())
    assert caught.value.status == 403 and (code is None or caught.value.code == code)


def test_an_alias_is_no_way_around_the_list() -> None:
    admit.check_model(key(models=("a", "b")), "a", "b")
    for asked, resolved in (("a", "c"), ("c", "a"), ("c", "c")):
        with pytest.raises(Fault) as caught:
            admit.check_model(key(models=("a", "b")), asked, resolved)
        assert caught.value.status == 403 and "model not allowed" in caught.value.message.lower()
    with pytest.raises(Fault):
        admit.check_model(key(models=()), "a", "a")
    admit.check_model(key(models=None), "a", "a")


def test_addresses_and_ranges() -> None:
    allowed = ("10.0.0.0/8", "2001:db8::/32", "203.0.113.7")
    assert admit.address_allowed("10.1.2.3", allowed) and admit.address_allowed("::ffff:10.1.2.3", allowed)
    assert admit.address_allowed("2001:db8::1", allowed) and admit.address_allowed("203.0.113.7", allowed)
    assert not admit.address_allowed("203.0.113.8", allowed) and not admit.address_allowed("", allowed)
