"""Secrets at rest: made once, kept private, never opened with another secret or for another purpose."""

from __future__ import annotations

import stat
import threading

import pytest

from dragoman.store.vault import SECRET_ENV, SECRET_FILE, Vault, VaultError, generate_key, key_hint


def test_the_secret_is_made_once_and_is_private(tmp_path):
    first = Vault.from_data_dir(tmp_path / "data", {})
    sealed = first.encrypt(b"sk-secret", b"channel")
    file = tmp_path / "data" / SECRET_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [p.name for p in file.parent.iterdir()] == [SECRET_FILE]
    assert Vault.from_data_dir(tmp_path / "data", {}).decrypt(sealed, b"channel") == b"sk-secret"


def test_processes_that_start_together_agree(tmp_path):
    marks, gate = [], threading.Barrier(8)

    def one():
        gate.wait()
        marks.append(Vault.from_data_dir(tmp_path, {}).mark("x"))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(marks) == 8 and len(set(marks)) == 1


def test_the_environment_comes_first(tmp_path):
    one = Vault.from_data_dir(tmp_path, {SECRET_ENV: "x" * 32})
    assert not list(tmp_path.iterdir())
    assert one.mark("a") == Vault.from_data_dir(tmp_path, {SECRET_ENV: "x" * 32}).mark("a")
    with pytest.raises(VaultError, match="32 characters"):
        Vault.from_data_dir(tmp_path, {SECRET_ENV: "short"})


@pytest.mark.parametrize(("content", "message"), [("no hex", "not a secret"), ("abcd", "too short")])
def test_a_damaged_file_is_told(tmp_path, content, message):
    (tmp_path / SECRET_FILE).write_text(content)
    with pytest.raises(VaultError, match=message):
        Vault.from_data_dir(tmp_path, {})


def test_what_cannot_be_opened():
    vault = Vault(b"a" * 32)
    sealed = vault.encrypt(b"secret", b"channel")
    assert vault.encrypt(b"secret", b"channel") != sealed
    for other, blob, purpose in (
        (Vault(b"b" * 32), sealed, b"channel"),
        (vault, sealed, b"key"),
        (vault, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"channel"),
        (vault, b"\x02" + sealed[1:], b"channel"),
        (vault, b"\x01short", b"channel"),
        (vault, b"", b"channel"),
    ):
        with pytest.raises(VaultError):
            other.decrypt(blob, purpose)
    with pytest.raises(VaultError):
        Vault(b"short")


def test_lookup_ignores_the_prefix():
    vault = Vault(b"a" * 32)
    assert vault.lookup("sk-" + "x" * 48) == vault.lookup("cr-" + "x" * 48) == vault.lookup("x" * 48)
    assert vault.lookup("sk-" + "x" * 48) != vault.lookup("sk-" + "y" * 48)
    assert len(vault.lookup("sk-\ud800")) == 32
    assert vault.lookup("a") != vault.mark("a")


def test_new_keys():
    keys = {generate_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(k.startswith("sk-") and len(k) == 51 and k[3:].isalnum() and k.isascii() for k in keys)
    key = keys.pop()
    assert key_hint(key) == f"{key[:6]}…{key[-4:]}"
    assert key_hint("sk-short") == "…"
