"""What a process works with: its limits, its store, and what the file declares."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dragoman import provision
from dragoman.config import Settings
from dragoman.ledger.audit import audit
from dragoman.store.engine import ProcessLock, open_engine
from dragoman.store.vault import SECRET_FILE, Vault

KEY = "sk-" + "Alice0" * 8
UP = {"name": "up", "provider": "openai", "keys": ["secret"], "models": ["m"]}


def settings(tmp_path: Path, **sections: Any) -> Settings:
    server = {"port": 0, "data_dir": str(tmp_path / "data"), **sections.pop("server", {})}
    return Settings.model_validate({"server": server, "source": "the.toml", **sections})


# ------------------------------------------------------------------------------------------------------ configuration


def test_limits_come_from_the_configuration(tmp_path: Path) -> None:
    server = {
        "attempts": 7, "body_bytes": 2048, "connect_timeout_s": 1.5, "api_only_hosts": ["API.example"],
        "trusted_proxies": ["10.0.0.0/8"], "strict_paths": True,
    }  # fmt: skip
    limits = provision.limits_of(settings(tmp_path, server=server))
    assert (limits.attempts, limits.body_bytes, limits.timeouts.connect_s) == (7, 2048, 1.5)
    assert limits.api_only_hosts == {"api.example"} and limits.strict_paths
    assert [str(n) for n in limits.trusted_proxies] == ["10.0.0.0/8"]


def test_what_the_file_declares(tmp_path: Path) -> None:
    declared = provision.declared_of(
        settings(
            tmp_path,
            groups=[{"name": "vip", "multiplier": "0.5", "vendor_prefixes": True}],
            channels=[
                {**UP, "groups": ["vip", "free"]},
                {**UP, "name": "later", "provider": "suno", "groups": ["free"]},
            ],
            prices=[{"model": "m", "input": "1", "per_image": "2"}],
            users=[{"username": "alice", "keys": [{"name": "k", "key": KEY}]}],
        )
    )
    assert [(g.name, g.multiplier) for g in declared.groups] == [("vip", "0.5"), ("free", "1.0")]
    assert declared.groups[0].options == {"translate": True, "vendor_prefixes": True}
    assert [c.name for c in declared.channels] == ["up"]  # a planned provider is not served yet
    assert (declared.prices[0].input, declared.prices[0].extra) == ("1", {"per_image": "2"})
    assert declared.users[0].keys[0].key == KEY


# ------------------------------------------------------------------------------------------------------------ the store


def test_a_store_is_created_and_belongs_to_one_process(tmp_path: Path) -> None:
    store = provision.open_store(settings(tmp_path))
    try:
        assert (tmp_path / "data" / SECRET_FILE).exists()
        with pytest.raises(provision.StartError, match=f"in use by process {os.getpid()}"):
            provision.open_store(settings(tmp_path))
        beside = provision.open_store(settings(tmp_path), exclusive=False)
        assert beside.lock is None and audit(beside.engine).ok
        beside.close()
    finally:
        store.close()
    provision.open_store(settings(tmp_path)).close()


def test_a_store_that_is_only_read_is_not_migrated(tmp_path: Path) -> None:
    with pytest.raises(provision.StartError, match="run `dragoman migrate`"):
        provision.open_store(settings(tmp_path), exclusive=False)


def test_a_failed_opening_gives_the_lock_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(provision.schema, "migrate", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        provision.open_store(settings(tmp_path))
    lock = ProcessLock.of(open_engine("", tmp_path / "data"))
    assert lock is not None
    lock.acquire()
    lock.release()


def test_a_malformed_secret_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / SECRET_FILE).write_text("nonsense")
    with pytest.raises(provision.StartError, match="not a secret"):
        provision.open_store(settings(tmp_path))


def test_the_vault_of_a_store_is_the_data_directorys(tmp_path: Path) -> None:
    store = provision.open_store(settings(tmp_path))
    store.close()
    assert store.vault.lookup("sk-x") == Vault.from_data_dir(tmp_path / "data", {}).lookup("sk-x")
