"""What a path means. Pure: strings in, values out.

``repair`` brings a path into its canonical form: documented aliases (``/claude/v1``, ``/gemini/{version}``, ``/api``,
Vertex paths) and the mistakes that clients with a wrong base URL are known to make (a base that is already a full
endpoint, ``/v1`` twice or missing, pasted slashes and ``#``). Nothing else is guessed: everything unknown stays as it
is and ends as a 404 that shows the three right base URLs. Backends that a client probes for (``GET /api/v1/models``,
``/api/tags``, ``/props``, ``/version`` …) must stay unknown, or the client takes the gateway for one of them.

``match`` says which operation a canonical path is, and ``surface_of`` whose error shape an unknown path gets.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import unquote

from msgspec import Struct

from dragoman.core import faults
from dragoman.core.faults import Fault

Family = Literal["openai", "anthropic", "gemini"]
ListShape = Literal["", "auto", "openai", "anthropic", "gemini"]


class Route(Struct, frozen=True):
    """What a request is about. ``model`` only where the path names it; ``resource_id`` is a vendor-side id."""

    operation: str
    model: str = ""
    resource_id: str = ""
    family: Family = "openai"
    list_shape: ListShape = ""  # of model lists; "auto": by the request's headers


# -- matching -----------------------------------------------------------------------------------------------

_POST_ROUTES: Final[dict[str, Route]] = {
    "/v1/chat/completions": Route("chat"),
    "/v1/completions": Route("completions"),
    "/v1/embeddings": Route("embeddings"),
    "/v1/moderations": Route("moderations"),
    "/v1/responses": Route("responses"),
    "/v1/responses/input_tokens": Route("responses_input_tokens"),
    "/v1/responses/compact": Route("responses_compact"),
    "/v1/messages": Route("messages", family="anthropic"),
    "/v1/messages/count_tokens": Route("count_tokens", family="anthropic"),
}
_LISTS: Final[dict[str, Route]] = {
    "/v1/models": Route("models_list", list_shape="auto"),
    "/v1beta/models": Route("models_list", family="gemini", list_shape="gemini"),
    "/v1alpha/models": Route("models_list", family="gemini", list_shape="gemini"),
    "/v1beta/openai/models": Route("models_list", list_shape="openai"),
    "/claude/v1/models": Route("models_list", family="anthropic", list_shape="anthropic"),
}
_EXACT: Final[dict[str, dict[str, Route]]] = {
    **{path: {"POST": route} for path, route in _POST_ROUTES.items()},
    **{path: {"GET": route, "HEAD": route} for path, route in _LISTS.items()},
}
_GEMINI_ACTIONS: Final = {
    "generateContent": "gemini_generate",
    "streamGenerateContent": "gemini_stream",
    "countTokens": "gemini_count",
    "embedContent": "gemini_embed",
    "batchEmbedContents": "gemini_batch_embed",
}
_OF_A_RESPONSE: Final = {
    "cancel": ("POST", "responses_cancel"),
    "input_items": ("GET", "responses_input_items"),
}
_READ: Final = ("GET", "HEAD")
_SHOWN_PATH_LENGTH: Final = 200


def match(method: str, path: str, *, received: str = "") -> Route | Fault:
    """The operation behind a canonical path (still percent-encoded), or the fault to answer with.

    404 ``not_found`` for unknown paths (``received`` is what the message shows), 405 for a known path with another
    method; its message lists the allowed ones. OPTIONS on any known path is the operation ``options``.
    """
    routes = _EXACT.get(path)
    if routes is None:
        routes = _dynamic(path)
    route = routes.get(method)
    if route is not None:
        return route
    if not routes:
        return faults.not_found(_unknown(method, received or path))
    if method == "OPTIONS":
        return Route("options", family=surface_of(path))
    return faults.method_not_allowed(method, routes)


def _dynamic(path: str) -> dict[str, Route]:
    """Routes by method for a path with an id in it; empty when there are none."""
    for prefix, listed in _LISTS.items():
        if path.startswith(prefix + "/"):
            return _of_a_model(path[len(prefix) + 1 :], listed)
    if path.startswith("/v1/responses/"):
        resource_id, _, rest = path[len("/v1/responses/") :].partition("/")
        return _of_a_response(unquote(resource_id), rest)
    return {}


def _of_a_model(rest: str, listed: Route) -> dict[str, Route]:
    # Decoded before it is split: some clients write the colon as %3A. Model ids may hold "/" and ":" themselves.
    name = unquote(rest)
    if not _is_plain(name):
        return {}
    model, _, action = name.rpartition(":")
    if model and action in _GEMINI_ACTIONS and listed.list_shape in ("auto", "gemini"):
        return {"POST": Route(_GEMINI_ACTIONS[action], model=model, family="gemini")}
    route = Route("model_get", model=name, family=listed.family, list_shape=listed.list_shape)
    return dict.fromkeys(_READ, route)


def _of_a_response(resource_id: str, rest: str) -> dict[str, Route]:
    if not _is_plain(resource_id) or "/" in resource_id:
        return {}
    if not rest:
        get = Route("responses_get", resource_id=resource_id)
        return {"GET": get, "HEAD": get, "DELETE": Route("responses_delete", resource_id=resource_id)}
    method, operation = _OF_A_RESPONSE.get(rest, ("", ""))
    return {method: Route(operation, resource_id=resource_id)} if method else {}


def _is_plain(name: str) -> bool:
    """Whether a decoded path member can be an id: not empty, printable, and no way up in somebody's path."""
    return bool(name) and name.isprintable() and not {"", ".", ".."} & set(name.split("/"))


def _unknown(method: str, path: str) -> str:
    shown = path if len(path) <= _SHOWN_PATH_LENGTH else path[:_SHOWN_PATH_LENGTH] + "…"
    shown = "".join(c if c.isprintable() else "?" for c in shown)
    return (
        f"Unknown path: {method} {shown}. Base URLs of this gateway: https://HOST for Anthropic and Gemini clients, "
        "https://HOST/v1 for OpenAI clients, https://HOST/v1/chat/completions where a full endpoint is asked for."
    )


def surface_of(path: str) -> Family:
    """Whose error shape a path gets, known or not."""
    if path.startswith("/v1beta/openai"):
        return "openai"
    if "/v1/messages" in path or path.startswith(("/claude", "/v1/complete/")):
        return "anthropic"
    if path.startswith(("/v1beta", "/v1alpha", "/gemini", "/api/v1beta", "/v1/v1beta")):
        return "gemini"
    if "/publishers/google/" in path or path.rpartition(":")[2] in _GEMINI_ACTIONS:
        return "gemini"
    return "openai"


# -- repair -------------------------------------------------------------------------------------------------

# Anything that repair might have to touch; the common canonical paths fail this one search.
_SUSPECT: Final = re.compile(
    r"//|/$|#|%23$|/v1(?:beta|alpha)?/v1|^/(?!v1)|/v1/(?:messages|complete|chat/completions)/|/models/(?:v1/|chat/)"
    r"|/publishers/|^/v1beta/openai/"
)
_ENDPOINT_AS_BASE: Final = (
    # the base was a full endpoint: (received, meant)
    (re.compile(r"^/v1/(?:messages|complete)/v1/messages(/count_tokens)?$"), r"/v1/messages\1"),
    (
        re.compile(r"^/v1/chat/completions/((?:chat/completions|models|responses|embeddings)(?:/.*)?)$"),
        r"/v1/\1",
    ),
    (re.compile(r"^/v1/(?:chat/completions|models)/(v1/.+)$"), r"/\1"),
    (re.compile(r"^/v1/models/chat/completions$"), "/v1/chat/completions"),
)
_REPEATED_VERSION: Final = (
    (re.compile(r"^/v1(?:/v1)+(?=/|$)"), "/v1"),
    (re.compile(r"^/v1/v1beta(?=/)"), "/v1beta"),
    (re.compile(r"^/v1beta(?:/v1beta)+(?=/|$)"), "/v1beta"),
)
_VERSION_FORGOTTEN: Final = re.compile(
    r"^/(?:chat/completions|responses|embeddings|models|rerank|completions|audio/.+|images/.+)(?:/.*)?$"
)
_GEMINI_ALIAS: Final = re.compile(r"^/gemini/v[0-9a-z]+(?=/models(?:/|$))")
_VERTEX: Final = re.compile(
    r"^/v1[0-9a-z]*/(?:projects/[^/]+/locations/[^/]+/)?publishers/google/models/(?=[^/].*:[A-Za-z]+$)"
)
_OPENAI_OF_GOOGLE: Final = re.compile(r"^/v1beta/openai/(chat/completions|embeddings)$")


def repair(path: str, accept_html: bool = False) -> tuple[str, bool]:
    """``(canonical path, whether a mistake was repaired)``; an alias is not a mistake.

    ``path`` comes percent-encoded, without the query. ``accept_html``: a browser asks for a page, so ``/models`` is
    the console's.
    """
    if path in _EXACT or _SUSPECT.search(path) is None:
        return path, False
    cleaned = _clean(path)
    prefix, rest = _alias_prefix(cleaned)
    fixed = _untangle(rest)
    if not prefix and _VERSION_FORGOTTEN.match(fixed):
        if accept_html and (fixed == "/models" or fixed.startswith("/models/")):
            return path, False
        fixed = _untangle("/v1" + fixed)
    return _resolve_alias(prefix, fixed), prefix + fixed != path


def _clean(path: str) -> str:
    """Pasted URLs: no fragment sign at the end, single slashes, none at the end."""
    path = path.removesuffix("%23").partition("#")[0]
    if "//" in path:
        path = re.sub(r"/{2,}", "/", path)
    return path.rstrip("/") or "/"


def _alias_prefix(path: str) -> tuple[str, str]:
    for prefix in ("/claude", "/gemini", "/api"):
        if path.startswith(prefix + "/v"):
            return prefix, path[len(prefix) :]
    return "", path


def _untangle(path: str) -> str:
    """Undo repetitions until nothing changes; every step makes the path shorter."""
    while True:
        before = path
        for pattern, meant in (*_REPEATED_VERSION, *_ENDPOINT_AS_BASE):
            path = pattern.sub(meant, path)
        if path == before:
            return path


def _resolve_alias(prefix: str, path: str) -> str:
    """The canonical twin of a documented alias; what has none keeps its prefix and stays unknown."""
    if prefix == "/claude":
        keeps = path == "/v1/models" or path.startswith("/v1/models/")  # a list of its own shape
        return prefix + path if keeps or not path.startswith("/v1/messages") else path
    if prefix == "/gemini":
        return _GEMINI_ALIAS.sub("/v1beta", prefix + path)
    if prefix == "/api":
        probed = path == "/v1/models" or (path.startswith("/v1/models/") and ":" not in path)
        if probed or not path.startswith(("/v1/", "/v1beta/")) or not _is_known(path):
            return prefix + path
    path = _VERTEX.sub("/v1beta/models/", path)
    return _OPENAI_OF_GOOGLE.sub(r"/v1/\1", path)


def _is_known(path: str) -> bool:
    return path in _EXACT or bool(_dynamic(path))
