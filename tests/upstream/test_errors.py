from __future__ import annotations

from dragoman.upstream import client
from dragoman.upstream.errors import StaleConnection, UpstreamError


def test_an_error_says_what_went_wrong_and_whether_it_may_have_arrived() -> None:
    error = UpstreamError("dns", "no such host")
    assert (error.kind, error.message, str(error), error.sent) == (
        "dns",
        "no such host",
        "no such host",
        False,
    )
    assert repr(UpstreamError("closed", "cut", sent=True)) == "UpstreamError('closed', 'cut', sent=True)"


def test_the_port_exports_it_and_whoever_catches_it_catches_all() -> None:
    assert client.UpstreamError is UpstreamError
    assert issubclass(StaleConnection, UpstreamError)
