"""Which operation a path means. As strict as the vendors: nothing is repaired or guessed."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from dragoman.simulator import anthropic, gemini, models, openai_chat, openai_plain, openai_responses
from dragoman.simulator.wire import Dialect, Fault, Handler


class Route(msgspec.Struct, frozen=True):
    """An operation, the code that serves it, and what its path says."""

    operation: str
    dialect: Dialect
    handler: Handler
    model: str = ""
    resource: str = ""


_POST: dict[str, tuple[str, Dialect, Handler]] = {
    "/v1/chat/completions": ("chat", openai_chat.DIALECT, openai_chat.chat),
    "/v1/completions": ("completions", openai_chat.DIALECT, openai_plain.completions),
    "/v1/embeddings": ("embeddings", openai_chat.DIALECT, openai_plain.embeddings),
    "/v1/moderations": ("moderations", openai_chat.DIALECT, openai_plain.moderations),
    "/v1/responses": ("responses", openai_responses.DIALECT, openai_responses.create),
    "/v1/messages": ("messages", anthropic.DIALECT, anthropic.messages),
    "/v1/messages/count_tokens": ("count_tokens", anthropic.DIALECT, anthropic.count_tokens),
}
_GEMINI: dict[str, tuple[str, Handler]] = {
    "generateContent": ("gemini_generate", gemini.generate),
    "streamGenerateContent": ("gemini_stream", gemini.stream),
    "countTokens": ("gemini_count", gemini.count),
    "embedContent": ("gemini_embed", gemini.embed),
    "batchEmbedContents": ("gemini_batch_embed", gemini.batch_embed),
}
_RESPONSES: dict[tuple[str, str], tuple[str, Handler]] = {
    ("GET", ""): ("responses_get", openai_responses.retrieve),
    ("DELETE", ""): ("responses_delete", openai_responses.delete),
    ("POST", "/cancel"): ("responses_cancel", openai_responses.cancel),
    ("GET", "/input_items"): ("responses_input_items", openai_responses.input_items),
}
_VERSION = r"/v1(?:alpha|beta1|beta)?"
_GEMINI_PATH = re.compile(
    _VERSION + r"/(?:projects/[^/]+/locations/[^/]+/publishers/google/)?models/(.+):([A-Za-z]+)"
)
_MODELS_PATH = re.compile(r"/(v1|v1alpha|v1beta1|v1beta)/models(?:/(.+))?")
_STORED_PATH = re.compile(r"/v1/responses/([^/]+)(/cancel|/input_items)?")
_AZURE_PATH = re.compile(r"/openai/(?:deployments/([^/]+)|v1)(/.+)|/openai(/responses(?:/.+)?)")
_UPSTREAM_PREFIX = re.compile(r"/up/[^/]+(?=/)")


def resolve(method: str, path: str, style: str) -> Route:
    """The route of a request. `style` ("openai", "anthropic", "gemini") chooses the shape of model lists.

    Raises Fault: 404 for an unknown path, 405 for a known path's other methods.
    """
    return _resolve(method, path, style if "/models" in path else "")


@lru_cache(maxsize=4096)
def _resolve(method: str, path: str, style: str) -> Route:
    path = _UPSTREAM_PREFIX.sub("", path, count=1)
    deployment = ""
    azure = _AZURE_PATH.fullmatch(path)
    if azure:
        deployment = azure[1] or ""
        path = "/v1" + (azure[2] or azure[3])
    if path in _POST:
        _allow(method, "POST")
        operation, dialect, handler = _POST[path]
        return Route(operation, dialect, handler, model=deployment)
    matched = _GEMINI_PATH.fullmatch(path)
    if matched and matched[2] in _GEMINI:
        _allow(method, "POST")
        operation, handler = _GEMINI[matched[2]]
        return Route(operation, gemini.DIALECT, handler, model=matched[1])
    if matched and method == "POST":
        raise Fault(404, f"Unknown method {matched[2]} of models/{matched[1]}")
    matched = _STORED_PATH.fullmatch(path)
    if matched:
        found = _RESPONSES.get((method, matched[2] or ""))
        if found is None:
            raise Fault(405, f"Not allowed to {method} on {path}")
        return Route(found[0], openai_responses.DIALECT, found[1], resource=matched[1])
    matched = _MODELS_PATH.fullmatch(path)
    if matched:
        _allow(method, "GET")
        return _models(matched[2] or "", style if matched[1] == "v1" else "gemini")
    raise Fault(404, f"Invalid URL ({method} {path})", code="unknown_url")


def _allow(method: str, allowed: str) -> None:
    if method != allowed:
        raise Fault(405, f"Not allowed to {method}; use {allowed}", code="method_not_supported")


def _models(name: str, style: str) -> Route:
    dialect: Dialect
    handlers: tuple[Handler, Handler]
    if style == "anthropic":
        dialect, handlers = anthropic.DIALECT, (models.anthropic_list, models.anthropic_get)
    elif style == "gemini":
        dialect, handlers = gemini.DIALECT, (models.gemini_list, models.gemini_get)
    else:
        dialect, handlers = openai_chat.DIALECT, (models.openai_list, models.openai_get)
    return Route("models", dialect, handlers[1] if name else handlers[0], resource=name)


def dialect_of(path: str, style: str) -> Dialect:
    """Whose error shape an unroutable request gets."""
    if "/messages" in path or style == "anthropic":
        return anthropic.DIALECT
    return gemini.DIALECT if style == "gemini" or "/v1beta" in path else openai_chat.DIALECT
