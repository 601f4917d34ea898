"""Vendor-side ids that a Gemini request refers to: uploaded files, cached content, file search stores.

Both spellings of every name are read, camelCase and snake_case, as protobuf's JSON rule has it. A
``fileUri`` that points elsewhere (https pages, YouTube) is no id of the vendor's side. ``gs://`` is one: the bucket
would be read with the operator's service account, for whoever names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from dragoman.dialects.foreign import ForeignId, Pairs, id_strings, may_name, walk

_FILE_NAMES: Final = ("fileUri", "file_uri")
_CACHE_NAMES: Final = ("cachedContent", "cached_content")
_STORE_NAMES: Final = ("fileSearchStoreNames", "file_search_store_names")
_MARKERS: Final = tuple(f'"{name}"'.encode() for name in (*_FILE_NAMES, *_CACHE_NAMES, *_STORE_NAMES))
# What a model said to a tool and what the tool answered, and the caller's own schemas.
_SKIP: Final = frozenset(
    {
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "parameters_json_schema",
        "responseSchema",
        "response_schema",
        "responseJsonSchema",
        "response_json_schema",
        "labels",
    }
)


def foreign_ids(body: bytes) -> list[ForeignId]:
    """(kind, id), kinds file ("files/…"), cached_content, vector_store. Fault ``invalid_request`` on bad
    JSON."""
    return walk(body, _visit, _SKIP) if may_name(body, _MARKERS) else []


def _visit(node: Pairs, under: str) -> Iterator[ForeignId]:
    for name in _FILE_NAMES:
        for uri in node.strings(name):
            if found := file_name(uri):
                yield "file", found
    for name in _CACHE_NAMES:
        yield from (("cached_content", value) for value in node.strings(name))
    for name in _STORE_NAMES:
        for value in node.all(name):
            yield from (("vector_store", found) for found in id_strings(value))


def file_name(uri: str) -> str:
    """``files/ID`` for a URI of Google's file service or a bare name, a ``gs://`` URI as it is; "" otherwise."""
    plain = unquote(uri).strip()
    lowered = plain.lower()
    scheme, separator, rest = lowered.partition("://")
    if scheme == "gs":
        return plain
    if separator:
        host = rest.split("/", 1)[0].rsplit("@", 1)[-1].split(":", 1)[0]
        if scheme not in ("http", "https") or not host.endswith("generativelanguage.googleapis.com"):
            return ""
    elif not lowered.lstrip("/").startswith(("files/", "v1beta/files/", "v1/files/", "v1alpha/files/")):
        return ""
    at = lowered.rfind("files/")
    return plain if at < 0 else "files/" + plain[at + 6 :].split("?", 1)[0].split(":", 1)[0].strip("/")
