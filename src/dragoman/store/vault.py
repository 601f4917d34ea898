"""Secrets at rest: AES-256-GCM with a key from the data directory, and keyed hashes for looking things up.

The secret is 32 random bytes in ``secret.key`` (mode 0600), or any text of at least 32 characters in
``DRAGOMAN_SECRET``. Losing it loses the stored upstream credentials and every client key: back it up beside the database.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import string
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET_FILE = "secret.key"  # noqa: S105 (a file name)
SECRET_ENV = "DRAGOMAN_SECRET"  # noqa: S105 (a variable name)
KEY_PREFIXES = ("sk-", "cr-")
_VERSION = b"\x01"
_ALPHABET = string.ascii_letters + string.digits


class VaultError(Exception):
    """The secret is missing, malformed or not the one that the data was stored with."""


class Vault:
    """Encrypts, decrypts, and hashes for lookup. Thread-safe; holds the secret's derivatives only."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise VaultError("the secret needs at least 32 bytes")
        self._cipher = AESGCM(hmac.digest(secret, b"dragoman: encryption", "sha256"))
        # A copy of a begun HMAC is cheaper than ``hmac.digest``, which lets other threads run while it hashes 48 bytes.
        self._lookup = hmac.new(hmac.digest(secret, b"dragoman: lookup", "sha256"), digestmod="sha256")
        self._mark = hmac.digest(secret, b"dragoman: marks", "sha256")

    @classmethod
    def from_data_dir(cls, path: str | Path, environ: Mapping[str, str] | None = None) -> Vault:
        """The vault of a data directory; its secret is created there on first use. Raises VaultError, OSError."""
        text = (os.environ if environ is None else environ).get(SECRET_ENV, "")
        if text:
            if len(text) < 32:
                raise VaultError(f"{SECRET_ENV} needs at least 32 characters")
            return cls(hashlib.sha256(text.encode()).digest())
        return cls(_read_or_create(Path(path)))

    def encrypt(self, plain: bytes, purpose: bytes) -> bytes:
        """Version, nonce, ciphertext. ``purpose`` is authenticated: what was stored as one thing opens as no other."""
        nonce = secrets.token_bytes(12)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, purpose)

    def decrypt(self, sealed: bytes, purpose: bytes) -> bytes:
        """The plain bytes. Raises VaultError when the secret or the purpose is another, or the bytes were altered."""
        if sealed[:1] != _VERSION:
            raise VaultError("stored with an unknown version of encryption")
        try:
            return self._cipher.decrypt(sealed[1:13], sealed[13:], purpose)
        except (InvalidTag, ValueError):
            raise VaultError("cannot be decrypted: the secret is not the one it was stored with") from None

    def lookup(self, key: str) -> bytes:
        """What a key is found by: HMAC-SHA-256 of its body, whatever its prefix (``sk-``, ``cr-``). 32 bytes."""
        body = key[3:] if key.startswith(KEY_PREFIXES) else key
        begun = self._lookup.copy()
        begun.update(body.encode("utf-8", "surrogatepass"))
        return begun.digest()

    def mark(self, text: str) -> bytes:
        """Tells whether a declared secret has changed since it was last seen. Keyed: useless without the secret."""
        return hmac.digest(self._mark, text.encode("utf-8", "surrogatepass"), "sha256")


def generate_key() -> str:
    """A new client key: ``sk-`` and 48 letters and digits."""
    return "sk-" + "".join(secrets.choice(_ALPHABET) for _ in range(48))


def key_hint(key: str) -> str:
    """Enough of a key to recognise it, too little to use it."""
    return f"{key[:6]}…{key[-4:]}" if len(key) >= 20 else "…"


def _read_or_create(directory: Path) -> bytes:
    file = directory / SECRET_FILE
    for _ in range(2):
        try:
            secret = bytes.fromhex(file.read_text("ascii").strip())
        except FileNotFoundError:
            _create(file)
            continue
        except ValueError:
            raise VaultError(f"{file}: not a secret (64 hexadecimal digits)") from None
        if len(secret) < 32:
            raise VaultError(f"{file}: too short (64 hexadecimal digits)")
        return secret
    raise VaultError(f"{file}: cannot be created")


def _create(file: Path) -> None:
    """Write under another name, then link: whoever comes second finds the first one's secret whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, secrets.token_hex(32).encode("ascii") + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    fd = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(fd)  # the name must survive a power cut as well as the rows sealed with it
    finally:
        os.close(fd)
