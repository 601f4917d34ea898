"""Passwords: Argon2id, imported when first needed so that a gateway without log-ins starts without it."""

from __future__ import annotations


def hash_password(password: str) -> str:
    """An encoded Argon2id hash. Takes tens of milliseconds on purpose."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def verify_password(encoded: str, password: str) -> bool:
    """Is this the password? False also for a hash that cannot be read."""
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(encoded, password)
    except (Argon2Error, InvalidHashError):
        return False
