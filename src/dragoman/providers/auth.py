"""Presenting and signing credentials: bearer, named header, query, AWS Signature Version 4, Google service
accounts.

Everything is a pure function of its arguments; ``now`` is unix seconds. Sources of the protocol facts are
named beside the functions.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

Headers = list[tuple[bytes, bytes]]

AuthKind = Literal["none", "bearer", "header", "query", "sigv4", "google"]

GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GOOGLE_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE_ASSERTION_LIFETIME_S = 3600

_UNSAFE_IN_HEADER = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Auth(Struct, frozen=True):
    """How a provider wants its credential.

    kind: ``bearer`` (Authorization: Bearer), ``header`` (in the header ``name``), ``query`` (in the
    parameter ``name``), ``sigv4`` (AWS signature of service ``name``, or bearer for an API key), ``google``
    (bearer of an exchanged service-account token, or an API key in x-goog-api-key), ``none``.
    """

    kind: AuthKind
    name: str = ""


class Secret(Struct, frozen=True):
    """One credential of a channel. ``raw`` as the operator gave it, ``token`` what it was exchanged for (or
    "").
    """

    raw: str
    token: str = ""

    def __repr__(self) -> str:
        return "Secret(***)"


class ServiceAccount(Struct, frozen=True):
    """The members used of a Google service account's key file
    (cloud.google.com/iam/docs/keys-create-delete).
    """

    client_email: str
    private_key: str
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    private_key_id: str = ""
    project_id: str = ""

    def __repr__(self) -> str:
        return f"ServiceAccount({self.client_email!r}, ***)"


class AwsKey(Struct, frozen=True):
    """An AWS access key; ``session`` is "" for long-lived keys."""

    access: str
    secret: str
    session: str = ""

    def __repr__(self) -> str:
        return f"AwsKey({self.access!r}, ***)"


def header_value(text: str) -> bytes:
    """Bytes of a header value. ValueError on CR, LF, NUL and other control characters (header injection)."""
    if _UNSAFE_IN_HEADER.search(text):
        raise ValueError("a header value holds a control character or a character outside latin-1")
    return text.strip().encode("latin-1")


def header_name(text: str) -> bytes:
    """Lower-case bytes of a header name. ValueError if it is not an HTTP token."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a valid header name")
    return text.lower().encode("ascii")


def present(auth: Auth, secret: Secret) -> tuple[Headers, str]:
    """(headers to add, query to add) for every kind that needs no signature. An empty credential adds
    nothing.
    """
    raw = secret.raw.strip()
    if auth.kind == "google":
        if secret.token:
            return [(b"authorization", b"Bearer " + header_value(secret.token))], ""
        if needs_exchange(raw):
            # Sending it would hand the private key to the vendor's edge as an "API key".
            raise ValueError("a service account must be exchanged for a token before it is used")
        return ([(b"x-goog-api-key", header_value(raw))], "") if raw else ([], "")
    token = secret.token or raw
    if not token or auth.kind == "none":
        return [], ""
    if auth.kind == "query":
        return [], f"{auth.name}={quote(token, safe='')}"
    if auth.kind == "header":
        return [(header_name(auth.name), header_value(token))], ""
    return [(b"authorization", b"Bearer " + header_value(token))], ""


# --- Google service accounts ------------------------------------------------------------------------------


def needs_exchange(raw: str) -> bool:
    """Is this credential a service account (inline JSON or ``file:PATH``) rather than a key to be sent as
    it is?
    """
    return raw.lstrip().startswith(("{", "file:"))


def service_account(raw: str) -> ServiceAccount:
    """Parse a service account's JSON. ValueError without any part of the secret in its message."""
    try:
        return msgspec.json.decode(raw.encode(), type=ServiceAccount)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise ValueError(
            "the credential is not a service account's JSON (client_email and private_key are required)"
        ) from None


def assertion(account: ServiceAccount, now: float, scope: str = GOOGLE_SCOPE) -> str:
    """The signed JWT that buys an access token
    (developers.google.com/identity/protocols/oauth2/service-account).

    RS256 with the account's key, valid for one hour from ``now``. ValueError if the private key cannot be
    read.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        key = serialization.load_pem_private_key(account.private_key.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("the service account's private key cannot be read") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the service account's private key is not an RSA key")
    issued = int(now)
    header: dict[str, str] = {"alg": "RS256", "typ": "JWT"}
    if account.private_key_id:
        header["kid"] = account.private_key_id
    claims = {
        "iss": account.client_email,
        "scope": scope,
        "aud": account.token_uri,
        "iat": issued,
        "exp": issued + GOOGLE_ASSERTION_LIFETIME_S,
    }
    signed = _base64url(msgspec.json.encode(header)) + b"." + _base64url(msgspec.json.encode(claims))
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + _base64url(signature)).decode("ascii")


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


# --- AWS Signature Version 4 ------------------------------------------------------------------------------


def aws_key(raw: str) -> AwsKey | None:
    """Read ``ACCESS|SECRET`` or ``ACCESS|SECRET|SESSION``; None when the credential is not of that form."""
    parts = raw.strip().split("|")
    if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
        return None
    return AwsKey(*parts)


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key derived for one day, region and service (``date`` is YYYYMMDD)."""
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(
    *,
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    key: AwsKey,
    region: str,
    service: str,
    now: float,
) -> Headers:
    """Headers that sign a request with AWS Signature Version 4: x-amz-date, x-amz-security-token,
    authorization.

    path: as it goes on the wire, percent-encoded; it is encoded once more for the canonical request, as
    every service but S3 wants it. query: as on the wire. headers: those to sign (at least ``host``), names
    lower case. Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
    """
    moment = time.gmtime(now)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", moment)
    date = stamp[:8]
    added: Headers = [(b"x-amz-date", stamp.encode())]
    if key.session:
        added.append((b"x-amz-security-token", header_value(key.session)))
    signed = sorted((name, b" ".join(value.split())) for name, value in [*headers, *added])
    names = b";".join(name for name, _ in signed).decode()
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),
            _canonical_query(query),
            *(f"{name.decode()}:{value.decode('latin-1')}" for name, value in signed),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{date}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode('latin-1')).hexdigest()}"
    signature = hmac.digest(signing_key(key.secret, date, region, service), to_sign.encode(), "sha256").hex()
    value = f"AWS4-HMAC-SHA256 Credential={key.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return [*added, (b"authorization", header_value(value))]


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = (pair.partition("=")[::2] for pair in query.split("&") if pair)
    encoded = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")) for name, value in pairs
    )
    return "&".join(f"{name}={value}" for name, value in encoded)
