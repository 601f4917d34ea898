from dragoman.routing.keytable import KeyRecord, KeyTable


def record(key_id: int, user_id: int = 1) -> KeyRecord:
    return KeyRecord(
        id=key_id, user_id=user_id, username="u", role="user", user_active=True, name="k", active=True, expires_at=None,
        group="default", models=None, allow_ips=(), wallet_id=1, key_account_id=None,
    )  # fmt: skip


def test_records_are_found_until_dropped() -> None:
    table = KeyTable()
    table.put(b"a", record(1), 0, table.generation)
    table.put(b"b", record(2), 0, table.generation)
    table.put(b"c", record(3, user_id=9), 0, table.generation)
    table.drop_key(1)
    assert table.get(b"a") is None and table.get(b"b") is not None
    table.drop_user(1)
    assert table.get(b"b") is None and table.get(b"c") is not None
    table.clear()
    assert len(table) == 0


def test_the_table_is_bounded_and_forgets_the_oldest_load() -> None:
    table = KeyTable(capacity=3)
    for i in range(10):
        table.put(b"%d" % i, record(i), 0, table.generation)
    assert len(table) == 3
    assert [table.get(b"%d" % i) is not None for i in range(10)] == [False] * 7 + [True] * 3


def test_misses_are_remembered_for_a_while_and_bounded() -> None:
    table = KeyTable(negative_capacity=2, negative_ttl_s=5)
    for name in (b"x", b"y", b"z"):
        table.put(name, None, 100, table.generation)
    assert not table.missed(b"x", 101) and table.missed(b"y", 101) and table.missed(b"z", 104.9)
    assert not table.missed(b"z", 105)
    table.drop_key(77)  # a key was created: any miss may now be wrong
    assert not table.missed(b"y", 101)


def test_a_load_overtaken_by_a_change_is_not_kept() -> None:
    table = KeyTable()
    begun = table.generation
    table.drop_key(1)
    table.put(b"a", record(1), 0, begun)
    assert table.get(b"a") is None
