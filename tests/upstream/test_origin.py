from __future__ import annotations

import pytest

from dragoman.upstream.origin import Origin


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "authority"),
    [
        ("https://API.OpenAI.com", "https", "api.openai.com", 443, "api.openai.com"),
        ("https://api.openai.com:443/", "https", "api.openai.com", 443, "api.openai.com"),
        ("http://h", "http", "h", 80, "h"),
        ("http://h:443", "http", "h", 443, "h:443"),
        ("http://127.0.0.1:8080", "http", "127.0.0.1", 8080, "127.0.0.1:8080"),
        ("http://[::1]:8080", "http", "::1", 8080, "[::1]:8080"),
        ("https://bücher.example", "https", "xn--bcher-kva.example", 443, "xn--bcher-kva.example"),
    ],
)
def test_parse(url: str, scheme: str, host: str, port: int, authority: str) -> None:
    origin = Origin.parse(url)
    assert (origin.scheme, origin.host, origin.port) == (scheme, host, port)
    assert origin.authority == authority
    assert str(origin) == f"{scheme}://{authority}"
    assert Origin.parse(str(origin)) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "//h",
        "ftp://h",
        "http://",
        "http://:80",
        "http://h:0",
        "http://h:65536",
        "http://h:x",
        "http://h/path",
        "http://h?q",
        "http://h#f",
        "http://u@h",
        "http://u:p@h",
        "http://a b",
        "http://a\\b",
        "http://a%2fb/x",
        "http://[::1",
        "http://[zz]",
        "http://a\x7fb",
    ],
)
def test_what_is_no_origin(url: str) -> None:
    with pytest.raises(ValueError):
        Origin.parse(url)


def test_the_way_there_is_part_of_it_and_secrets_are_not_shown() -> None:
    plain = Origin.parse("http://h")
    other = Origin.parse("http://h", proxy="http://user:secret@p:1", ca_file="/ca.pem", verify=False)
    assert plain != other
    assert plain == Origin.parse("http://h:80", proxy="", ca_file="")
    assert hash(plain) == hash(Origin.parse("http://h:80"))
    assert "secret" not in repr(other) + str(other)
