"""Where a request goes: scheme, host and port, and the way there."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(Struct, frozen=True, cache_hash=True):
    """The pool's key: connections are shared only between equal origins.

    host: lower-case ASCII name or address, an IPv6 address without brackets.
    proxy: URL of a proxy (`tunnel.parse_proxy`), may hold a password.
    ca_file: PEM file that replaces the system's certificate authorities.
    verify: False accepts any certificate.
    """

    scheme: str
    host: str
    port: int
    proxy: str | None = None
    ca_file: str | None = None
    verify: bool = True

    @classmethod
    def parse(
        cls, url: str, *, proxy: str | None = None, ca_file: str | None = None, verify: bool = True
    ) -> Origin:
        """Read "http[s]://host[:port]".  ValueError on anything more (user info, path, query) or less."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"not an origin: {url!r}: {error}") from None
        scheme = parts.scheme.lower()
        if scheme not in DEFAULT_PORTS:
            raise ValueError(f"not an origin: {url!r}: the scheme must be http or https")
        if "@" in parts.netloc:
            raise ValueError("not an origin: credentials do not belong into it")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f"not an origin: {url!r}: it must end after host and port")
        host = ascii_host(parts.hostname or "")
        if port == 0:
            raise ValueError(f"not an origin: {url!r}: port 0")
        return cls(
            scheme=scheme,
            host=host,
            port=DEFAULT_PORTS[scheme] if port is None else port,
            proxy=proxy or None,
            ca_file=ca_file or None,
            verify=verify,
        )

    @property
    def authority(self) -> str:
        """The Host header: "host[:port]", the scheme's own port left out (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"

    def __repr__(self) -> str:
        # The generated one would print the proxy's password into logs.
        return f"Origin({str(self)!r}, proxy={self.proxy is not None}, verify={self.verify})"


def ascii_host(host: str) -> str:
    """Lower-case ASCII form of a host name.  ValueError if there is none."""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"not a host name: {host!r}") from None
    host = host.lower()
    if not host or not all(33 <= ord(c) <= 126 and c not in '"#/<>?@[\\]^`{|}' for c in host):
        raise ValueError(f"not a host name: {host!r}")
    return host
