"""The file as rows: created, changed, disabled, credited once; a second run writes nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.ledger.bank import assert_clean

from dragoman.ledger.batch import grant
from dragoman.store import accounts
from dragoman.store.engine import open_engine
from dragoman.store.passwords import verify_password
from dragoman.store.publish import last_sequence, load_snapshot_rows
from dragoman.store.reconcile import (
    Declared,
    DeclaredChannel,
    DeclaredGroup,
    DeclaredKey,
    DeclaredPrice,
    DeclaredUser,
    apply,
)
from dragoman.store.vault import Vault

VAULT = Vault(b"v" * 32)
NOW = 1_790_000_000
KEY = "sk-" + "k" * 48
FULL = Declared(
    groups=(DeclaredGroup(name="vip", multiplier="0.5"),),
    channels=(
        DeclaredChannel(name="c", provider="openai", keys=("sk-up",), models=("gpt-*",), groups=("vip",)),
    ),
    prices=(DeclaredPrice(model="gpt-5.4", input="1.25", output="10"),),
    users=(
        DeclaredUser(
            username="ada",
            password="correct horse",
            group="vip",
            credit="12.5",
            access_token="token",
            keys=(
                DeclaredKey(name="main", key=KEY, models=("gpt-5.4",), limit="1", allow_ips=("10.0.0.0/8",)),
            ),
        ),
    ),
)


@pytest.fixture
def engine(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path).execution_options(dragoman_write=True)
    yield engine
    engine.dispose()


def reconcile(engine, declared, vault=VAULT):
    with engine.begin() as connection:
        return apply(connection, vault, declared, now=NOW, grant=grant)


def key_row(engine, key=KEY):
    with engine.begin() as connection:
        return accounts.find_key(connection, VAULT.lookup(key))


def sequence(engine):
    with engine.begin() as connection:
        return last_sequence(connection)


def test_everything_is_there_and_a_second_run_writes_nothing(engine):
    report = reconcile(engine, FULL)
    assert report.created == ["group vip", "channel c", "price gpt-5.4", "user ada", "key ada/main"]
    assert report.credited == ["user ada"]
    assert (report.changed, report.disabled) == ([], [])
    row = key_row(engine)
    assert (row.username, row.group, row.models, row.allow_ips, row.status) == (
        "ada",
        "vip",
        ("gpt-5.4",),
        ("10.0.0.0/8",),
        1,
    )
    with engine.begin() as connection:
        user = accounts.get_user(connection, row.user_id)
        assert user.balance_nanos == 12_500_000_000
        assert verify_password(user.password_hash, "correct horse")
        assert accounts.find_user_by_access_token(connection, VAULT, "token").id == user.id
        assert accounts.list_keys(connection, user.id, limit=1)[0].limit_nanos == 10**9
        assert load_snapshot_rows(connection, VAULT).channels[0].keys == ("sk-up",)
    before = sequence(engine)
    assert not any(reconcile(engine, FULL).as_dict().values())
    assert sequence(engine) == before
    assert_clean(engine)


def test_credit_is_granted_once_even_when_it_changes(engine):
    reconcile(engine, FULL)
    more = Declared(users=(DeclaredUser(username="ada", credit="99"),))
    assert reconcile(engine, more).credited == []
    with engine.begin() as connection:
        assert (
            accounts.get_user(connection, accounts.find_user(connection, "ada").id).balance_nanos
            == 12_500_000_000
        )


def test_what_left_the_file_is_disabled_and_comes_back(engine):
    reconcile(engine, FULL)
    report = reconcile(engine, Declared())
    assert sorted(report.disabled) == ["channel c", "group vip", "key ada/main", "price gpt-5.4", "user ada"]
    assert (key_row(engine).status, key_row(engine).user_status) == (2, 2)
    assert not any(reconcile(engine, Declared()).as_dict().values())
    report = reconcile(engine, FULL)
    assert report.created == []
    assert sorted(report.changed) == ["channel c", "group vip", "key ada/main", "price gpt-5.4", "user ada"]
    assert report.credited == []
    assert (key_row(engine).status, key_row(engine).user_status) == (1, 1)


def test_only_differences_are_written(engine):
    reconcile(engine, FULL)
    before = sequence(engine)
    key = DeclaredKey(name="renamed", key=KEY, models=None, limit=None)
    user = DeclaredUser(
        username="ada", password="new", group="vip", credit="12.5", access_token="token", keys=(key,)
    )
    report = reconcile(
        engine, Declared(groups=FULL.groups, channels=FULL.channels, prices=FULL.prices, users=(user,))
    )
    assert report.as_dict() == {
        "created": [],
        "changed": ["user ada", "key ada/renamed"],
        "disabled": [],
        "credited": [],
    }
    assert sequence(engine) == before + 2
    assert (key_row(engine).name, key_row(engine).models) == ("renamed", None)


def test_a_limit_alone_needs_no_announcement(engine):
    reconcile(engine, FULL)
    before = sequence(engine)
    (ada,) = FULL.users
    (key,) = ada.keys
    changed = DeclaredKey(name=key.name, key=key.key, models=key.models, limit="2", allow_ips=key.allow_ips)
    user = DeclaredUser(
        username="ada", password="correct horse", group="vip", access_token="token", keys=(changed,)
    )
    report = reconcile(
        engine, Declared(groups=FULL.groups, channels=FULL.channels, prices=FULL.prices, users=(user,))
    )
    assert report.changed == ["key ada/main"]
    assert sequence(engine) == before


def test_console_rows_are_left_alone(engine):
    with engine.begin() as connection:
        user_id, _ = accounts.create_user(connection, username="console", now=NOW)
        _, key = accounts.create_key(connection, VAULT, user_id=user_id, name="k", now=NOW)
    reconcile(engine, FULL)
    reconcile(engine, Declared())
    assert (key_row(engine, key).status, key_row(engine, key).user_status) == (1, 1)


def test_a_key_of_another_user_is_refused(engine):
    reconcile(engine, FULL)
    thief = Declared(
        users=(*FULL.users, DeclaredUser(username="bob", keys=(DeclaredKey(name="x", key=KEY),)))
    )
    with pytest.raises(accounts.Conflict):
        reconcile(engine, thief)
    with engine.begin() as connection:
        assert accounts.find_user(connection, "bob") is None  # the whole run was undone


def test_an_access_token_of_another_user_is_refused_by_name(engine):
    """Of one made in the console, or of a second one in the file: each token is one user."""
    with engine.begin() as connection:
        user_id, _ = accounts.create_user(connection, username="console", now=NOW)
        accounts.update_user(connection, user_id, NOW, access_lookup=VAULT.lookup("t1"))
    for others in ((), (DeclaredUser(username="ada", access_token="t2"),)):
        token = "t2" if others else "t1"
        declared = Declared(users=(*others, DeclaredUser(username="bob", access_token=token)))
        first = "ada" if others else "console"
        with pytest.raises(accounts.Conflict, match=f"users '{first}' and 'bob' have the same access token"):
            reconcile(engine, declared)
    with engine.begin() as connection:
        assert accounts.find_user(connection, "bob") is None


def test_amounts_are_cut_to_whole_units(engine):
    reconcile(engine, Declared(users=(DeclaredUser(username="ada", credit="0.000003"),)))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT MAX(balance_nanos) FROM accounts")).scalar_one() == 2_000


def test_access_tokens_change_hands(engine):
    def users(**tokens):
        return Declared(users=tuple(DeclaredUser(username=n, access_token=t) for n, t in tokens.items()))

    def whose(token):
        with engine.begin() as connection:
            return accounts.find_user_by_access_token(connection, VAULT, token).username

    reconcile(engine, users(ada="t1", bob="t2"))
    reconcile(engine, users(ada="t2", bob="t1"))  # swapped
    assert (whose("t1"), whose("t2")) == ("bob", "ada")
    reconcile(engine, users(ada="t2", robert="t1"))  # renamed: bob left the file
    assert whose("t1") == "robert"
    assert reconcile(engine, users(ada="t2", robert="t1")).as_dict() == {
        "created": [], "changed": [], "disabled": [], "credited": []
    }  # fmt: skip
