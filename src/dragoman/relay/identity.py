"""Who is calling: the credential in any of its places, the client's address and the client's name. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import unquote_plus

Networks = Sequence[IPv4Network | IPv6Network]

# Hop-by-hop (RFC 9110 §7.6.1), credentials, what proxies add, and what only concerns this gateway: never sent upstream.
PRIVATE_HEADERS = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade "
    b"host content-length accept-encoding content-encoding expect cookie authorization x-api-key x-goog-api-key api-key "
    b"forwarded x-real-ip openai-organization openai-project vendor specific-channel-id x-goog-fieldmask".split()
)
PRIVATE_PREFIXES = (b"x-forwarded-", b"x-dragoman-")

# What a vendor sends that is not for our client: hop-by-hop, cookies, the account behind the channel, framing of its own.
VENDOR_PRIVATE = frozenset(
    b"connection keep-alive proxy-authenticate proxy-connection te trailer transfer-encoding upgrade content-length "
    b"set-cookie openai-organization openai-project anthropic-organization-id server date alt-svc "
    b"strict-transport-security x-content-type-options".split()
)

_CLIENTS = (
    ("claude-cli/", "claude-code"), ("claude-code/", "claude-code"), ("codex_", "codex"), ("GeminiCLI", "gemini-cli"),
    ("langchainjs-openai/", "langchain-js"), ("OpenAI/Python", "openai-python"), ("AsyncOpenAI/Python", "openai-python"),
    ("OpenAI/JS", "openai-node"), ("Anthropic/Python", "anthropic-python"), ("AsyncAnthropic/Python", "anthropic-python"),
    ("Anthropic/JS", "anthropic-node"), ("google-genai-sdk/", "google-genai"), ("ai-sdk/openai-compatible/", "ai-sdk"),
    ("python-requests", "python-requests"), ("curl/", "curl"),
)  # fmt: skip


def credential(headers: Mapping[bytes, bytes], query: str, surface: str) -> str:
    """The first credential found: the surface's own header › Authorization › the other headers › ``?key=``.

    "Bearer" is optional and its case does not matter; white space around a pasted key is dropped. Empty: none was given.
    """
    own = {"anthropic": b"x-api-key", "gemini": b"x-goog-api-key"}.get(surface)
    for name in (own, b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key"):
        value = headers.get(name, b"").strip() if name else b""
        if name == b"authorization" and value[:6].lower() == b"bearer" and value[6:7] in (b" ", b""):
            value = value[6:].strip()
        if value:
            return value.decode("latin-1")
    for pair in query.split("&") if query else ():
        parameter, _, text = pair.partition("=")
        if unquote_plus(parameter) == "key" and text:
            return unquote_plus(text).strip()
    return ""


def split_pin(key: str) -> tuple[str, int | None]:
    """``sk-…-12`` → the key and the channel id 12. The alphabet of keys has no dash, so the suffix is unambiguous."""
    prefix, dash, rest = key.partition("-")
    body, pin_dash, pin = rest.partition("-")
    if pin_dash and pin.isascii() and pin.isdigit() and len(pin) < 18:
        return f"{prefix}{dash}{body}", int(pin)
    return key, None


def strip_credentials(query: str) -> str:
    """The query without ``key``, every other byte kept."""
    if not query:
        return query
    return "&".join(p for p in query.split("&") if unquote_plus(p.partition("=")[0]) != "key")


def forwardable_query(query: str, dialect: str) -> str:
    """The client's query as it goes up. Google's field masks stay here: they can hide the usage, and so the charge."""
    query = strip_credentials(query)
    if dialect != "gemini" or "fields" not in unquote_plus(query):
        return query
    return "&".join(
        p for p in query.split("&") if unquote_plus(p.partition("=")[0]) not in ("fields", "$fields")
    )


def forwardable(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The client's headers that go up: all but the private ones and those that ``Connection`` names."""
    named: set[bytes] = set()
    for name, value in headers:
        if name == b"connection":
            named.update(v.strip().lower() for v in value.split(b","))
    return [
        h for h in headers if h[0] not in PRIVATE_HEADERS and not h[0].startswith(PRIVATE_PREFIXES) and h[0] not in named
    ]  # fmt: skip


# What a client's SDK says in its own dialect; a vendor that speaks another one may refuse it or take it wrongly.
_DIALECT_PREFIXES = (
    b"anthropic-",
    b"openai-",
    b"x-goog-",
    b"x-stainless-",
    b"x-codex-",
    b"x-claude-",
    b"x-gemini-",
)
_DIALECT_HEADERS = frozenset({b"accept", b"content-type", b"x-app", b"user-agent"})


def neutral_headers(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The client's headers that mean the same in every dialect."""
    return [h for h in headers if not h[0].startswith(_DIALECT_PREFIXES) and h[0] not in _DIALECT_HEADERS]


def translated_query(operation: str) -> str:
    """The query of a translated request; the client's own belongs to its dialect."""
    return "alt=sse" if operation == "gemini_stream" else ""


def returnable(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The vendor's headers that come back; its request id returns under a name that is not ours."""
    out: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name in VENDOR_PRIVATE or name.startswith(b"access-control-"):
            continue
        if name in (b"x-request-id", b"request-id"):
            if all(n != b"x-upstream-request-id" for n, _ in out):
                out.append((b"x-upstream-request-id", value))
            continue
        out.append((name, value))
    return out


def client_address(peer: str, headers: Mapping[bytes, bytes], trusted: Networks) -> str:
    """The socket's address, or behind trusted proxies the right-most forwarded address that is not one of them."""
    if not trusted or not _within(peer, trusted):
        return peer
    for hop in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
        address = hop.strip()
        if address and not _within(address, trusted):
            return address if _is_address(address) else peer
    return peer


def client_name(user_agent: str) -> str:
    """The client behind a User-Agent, as logs show it; unknown ones by their first word, at most 40 characters."""
    return _name_of(user_agent[:80])


@lru_cache(maxsize=1024)
def _name_of(user_agent: str) -> str:
    for mark, name in _CLIENTS:
        if user_agent.startswith(mark) or (mark == "codex_" and mark in user_agent[:16]):
            return name
    return user_agent.split(" ", 1)[0][:40]


def _within(address: str, networks: Networks) -> bool:
    if not _is_address(address):
        return False
    ip = ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return any(mapped in n for n in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
