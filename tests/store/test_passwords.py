"""Argon2id, and hashes that cannot be read."""

from __future__ import annotations

from dragoman.store.passwords import hash_password, verify_password


def test_passwords():
    encoded = hash_password("correct horse")
    assert encoded.startswith("$argon2id$")
    assert verify_password(encoded, "correct horse")
    assert not verify_password(encoded, "wrong")
    assert not verify_password("garbage", "correct horse")
