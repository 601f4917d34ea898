"""Credentials: presentation, AWS Signature Version 4 against published vectors, Google assertions."""

from __future__ import annotations

import base64
import calendar

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from dragoman.providers import auth
from dragoman.providers.auth import Auth, AwsKey, Secret, ServiceAccount, present

SUITE_KEY = AwsKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_NOW = float(calendar.timegm((2015, 8, 30, 12, 36, 0)))
HOST = (b"host", b"example.amazonaws.com")
DATE = (b"x-amz-date", b"20150830T123600Z")


# Cases of the AWS Signature Version 4 test suite (aws-sig-v4-test-suite): region us-east-1, service
# "service".
@pytest.mark.parametrize(
    ("case", "method", "path", "query", "headers", "body", "signed", "signature"),
    [
        ("get-vanilla", "GET", "/", "", [HOST], b"", "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("post-vanilla", "POST", "/", "", [HOST], b"", "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", [HOST], b"", "host;x-amz-date",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("post-x-www-form-urlencoded", "POST", "/", "",
         [HOST, (b"content-type", b"application/x-www-form-urlencoded")], b"Param1=value1",
         "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.count("-") in range(1, 6) and "=" not in value else "",
)  # fmt: skip
def test_published_signature_vectors(
    case: str,
    method: str,
    path: str,
    query: str,
    headers: auth.Headers,
    body: bytes,
    signed: str,
    signature: str,
) -> None:
    made = auth.sign(
        method=method, path=path, query=query, headers=headers, body=body,
        key=SUITE_KEY, region="us-east-1", service="service", now=SUITE_NOW,
    )  # fmt: skip
    expected = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    assert made == [DATE, (b"authorization", expected.encode())], case


def test_the_documented_iam_example() -> None:
    """The worked example of the AWS documentation (IAM ListUsers), derived key included."""
    assert auth.signing_key(SUITE_KEY.secret, "20150830", "us-east-1", "iam").hex() == (
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    )
    made = dict(
        auth.sign(
            method="GET", path="/", query="Action=ListUsers&Version=2010-05-08",
            headers=[(b"content-type", b"application/x-www-form-urlencoded; charset=utf-8"),
                     (b"host", b"iam.amazonaws.com")],
            body=b"", key=SUITE_KEY, region="us-east-1", service="iam", now=SUITE_NOW,
        )
    )  # fmt: skip
    assert made[b"authorization"].endswith(
        b"SignedHeaders=content-type;host;x-amz-date, "
        b"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_a_session_token_is_sent_and_signed() -> None:
    made = auth.sign(
        method="POST", path="/", query="", headers=[HOST], body=b"", key=AwsKey("A", "S", "TOK/+="),
        region="us-east-1", service="bedrock", now=SUITE_NOW,
    )  # fmt: skip
    assert (b"x-amz-security-token", b"TOK/+=") in made
    assert b"SignedHeaders=host;x-amz-date;x-amz-security-token," in dict(made)[b"authorization"]


def test_the_canonical_query_is_sorted_and_encoded() -> None:
    def signature(query: str) -> bytes:
        return dict(
            auth.sign(
                method="GET", path="/", query=query, headers=[HOST], body=b"", key=SUITE_KEY,
                region="us-east-1", service="service", now=SUITE_NOW,
            )
        )[b"authorization"]  # fmt: skip

    assert signature("b=2&a=x%20y") == signature("a=x%20y&b=2")
    assert signature("a=1") != signature("a=2")
    assert signature("a") == signature("a=")


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("A|S", AwsKey("A", "S")),
        (" A|S|T\n", AwsKey("A", "S", "T")),
        ("ABSKbedrockapikey", None),
        ("A|", None),
        ("|S", None),
        ("a|b|c|d", None),
    ],
)
def test_aws_keys(raw: str, key: AwsKey | None) -> None:
    assert auth.aws_key(raw) == key


@pytest.mark.parametrize(
    ("how", "secret", "headers", "query"),
    [
        (Auth("bearer"), Secret(" sk-1\n"), [(b"authorization", b"Bearer sk-1")], ""),
        (Auth("header", "X-Api-Key"), Secret("k"), [(b"x-api-key", b"k")], ""),
        (Auth("query", "key"), Secret("a&b=c"), [], "key=a%26b%3Dc"),
        (Auth("none"), Secret("k"), [], ""),
        (Auth("bearer"), Secret(""), [], ""),
        (Auth("google"), Secret("AIza"), [(b"x-goog-api-key", b"AIza")], ""),
        (Auth("google"), Secret("{}", "ya29"), [(b"authorization", b"Bearer ya29")], ""),
        (Auth("google"), Secret(""), [], ""),
        (Auth("sigv4", "bedrock"), Secret("ABSK1"), [(b"authorization", b"Bearer ABSK1")], ""),
    ],
)
def test_presentation(how: Auth, secret: Secret, headers: auth.Headers, query: str) -> None:
    assert present(how, secret) == (headers, query)


@pytest.mark.parametrize("raw", ['{"private_key": "PRIVATE"}', " file:/keys/PRIVATE.json"])
def test_a_service_account_is_never_sent_as_an_api_key(raw: str) -> None:
    with pytest.raises(ValueError, match="must be exchanged") as caught:
        present(Auth("google"), Secret(raw))
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\x00b", "a\x7fb", "漢"])
def test_header_values_are_checked(text: str) -> None:
    with pytest.raises(ValueError):
        auth.header_value(text)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_the_assertion_is_a_signed_jwt() -> None:
    key = rsa.generate_private_key(65537, 2048)
    account = ServiceAccount(
        "bot@p.iam.example", pem(key), "https://oauth2.googleapis.com/token", "kid-1", "p"
    )
    head, claims, signature = auth.assertion(account, 1_000.9).split(".")
    assert msgspec.json.decode(decode(head)) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert msgspec.json.decode(decode(claims)) == {
        "iss": "bot@p.iam.example",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_000,
        "exp": 4_600,
    }
    key.public_key().verify(
        decode(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )


def test_keys_that_cannot_sign() -> None:
    for text in ("garbage", pem(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(ValueError, match="private key") as caught:
            auth.assertion(ServiceAccount("a@b", text), 0)
        assert text not in str(caught.value)


def test_reading_a_service_account() -> None:
    account = auth.service_account(
        '{"type":"service_account","client_email":"a@b","private_key":"PRIVATE","project_id":"p"}'
    )
    assert (account.client_email, account.project_id) == ("a@b", "p")
    assert account.token_uri == "https://oauth2.googleapis.com/token"
    assert "PRIVATE" not in repr(account)
    assert "SECRET" not in repr(AwsKey("A", "SECRET"))
    for text in ("", "[]", "PRIVATE", '{"private_key":"PRIVATE"}'):
        with pytest.raises(ValueError, match="service account") as caught:
            auth.service_account(text)
        assert "PRIVATE" not in str(caught.value)
