from ipaddress import ip_network

import pytest

from dragoman.relay import identity

KEY = "sk-" + "a" * 48


@pytest.mark.parametrize(
    ("headers", "query", "surface", "expected"),
    [
        ({b"authorization": b"Bearer " + KEY.encode()}, "", "openai", KEY),
        ({b"authorization": b"bearer  " + KEY.encode() + b" "}, "", "openai", KEY),
        ({b"authorization": KEY.encode()}, "", "openai", KEY),
        ({b"x-api-key": KEY.encode()}, "", "openai", KEY),
        ({b"x-goog-api-key": KEY.encode()}, "", "anthropic", KEY),
        ({}, f"alt=sse&key={KEY}", "gemini", KEY),
        ({b"x-api-key": b"own", b"authorization": b"Bearer other"}, "", "anthropic", "own"),
        ({b"x-api-key": b"own", b"authorization": b"Bearer other"}, "", "openai", "other"),
        ({b"x-goog-api-key": b"own", b"authorization": b"Bearer other"}, "key=third", "gemini", "own"),
        ({b"authorization": b"Bearer other"}, "key=third", "gemini", "other"),
        ({b"authorization": b"Bearer "}, "key=third", "openai", "third"),
        ({}, "monkey=1", "openai", ""),
    ],
)
def test_credential_positions_and_precedence(
    headers: dict[bytes, bytes], query: str, surface: str, expected: str
) -> None:
    assert identity.credential(headers, query, surface) == expected


def test_pin_suffix() -> None:
    assert identity.split_pin(KEY) == (KEY, None)
    assert identity.split_pin(KEY + "-12") == (KEY, 12)
    assert identity.split_pin(KEY + "-x") == (KEY + "-x", None)
    assert identity.split_pin("nodash") == ("nodash", None)


def test_the_key_leaves_the_query_and_nothing_else_does() -> None:
    assert identity.strip_credentials("alt=sse&key=abc&x=%20y") == "alt=sse&x=%20y"
    assert identity.strip_credentials("key=abc") == ""
    assert identity.strip_credentials("monkey=1&a") == "monkey=1&a"


def test_percent_encoded_key_parameter_is_a_credential_too() -> None:
    assert identity.strip_credentials("k%65y=abc&a=1") == "a=1"
    assert identity.credential({}, "k%65y=abc", "gemini") == "abc"


def test_private_headers_stay_and_the_rest_goes_up() -> None:
    sent = [
        (b"authorization", b"Bearer x"), (b"x-api-key", b"x"), (b"x-goog-api-key", b"x"), (b"cookie", b"c=1"),
        (b"host", b"h"), (b"x-forwarded-for", b"1.2.3.4"), (b"forwarded", b"for=1"), (b"openai-organization", b"o"),
        (b"connection", b"close, x-hop"), (b"x-hop", b"1"), (b"vendor", b"openai"), (b"specific-channel-id", b"1"),
        (b"x-dragoman-strict", b"true"), (b"accept-encoding", b"gzip"),
        (b"anthropic-beta", b"a,b"), (b"x-unknown", b"kept"), (b"user-agent", b"curl/8"), (b"traceparent", b"00"),
    ]  # fmt: skip
    assert identity.forwardable(sent) == sent[-4:]


def test_vendor_headers_come_back_but_for_the_account_behind_them() -> None:
    sent = [
        (b"content-type", b"application/json"), (b"set-cookie", b"a=1"), (b"openai-organization", b"org"),
        (b"request-id", b"req_1"), (b"x-ratelimit-remaining-tokens", b"7"), (b"transfer-encoding", b"chunked"),
    ]  # fmt: skip
    assert identity.returnable(sent) == [
        (b"content-type", b"application/json"), (b"x-upstream-request-id", b"req_1"), (b"x-ratelimit-remaining-tokens", b"7"),
    ]  # fmt: skip


def test_forwarded_addresses_count_only_behind_trusted_proxies() -> None:
    trusted = [ip_network("10.0.0.0/8")]
    headers = {b"x-forwarded-for": b"6.6.6.6, 203.0.113.9, 10.0.0.2"}
    assert identity.client_address("10.0.0.1", headers, trusted) == "203.0.113.9"
    assert identity.client_address("198.51.100.1", headers, trusted) == "198.51.100.1"
    assert identity.client_address("10.0.0.1", headers, []) == "10.0.0.1"
    assert identity.client_address("10.0.0.1", {b"x-forwarded-for": b"garbage"}, trusted) == "10.0.0.1"
    assert identity.client_address("10.0.0.1", {}, trusted) == "10.0.0.1"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("claude-cli/2.1.329 (external, cli)", "claude-code"),
        ("codex_exec/0.169.0", "codex"),
        ("GeminiCLI/0.61.0/gemini", "gemini-cli"),
        ("OpenAI/Python 3.52.0", "openai-python"),
        ("Anthropic/JS 1.11.0", "anthropic-node"),
        ("curl/8.5", "curl"),
        ("Mozilla/5.0 (X11)", "Mozilla/5.0"),
        ("", ""),
    ],
)
def test_client_names(agent: str, name: str) -> None:
    assert identity.client_name(agent) == name
