"""The configuration: ``dragoman.toml`` and ``DRAGOMAN_*`` in the environment, read once and frozen.

Every limit of the gateway stands here with its default. A value ``env:NAME`` is taken from the environment. Unknown
names and bad values stop the start with the file, the path of the entry and what would be accepted.
Environment: ``DRAGOMAN_SERVER__PORT=4001`` sets ``[server] port`` and wins over the file.
"""

from __future__ import annotations

import os
import tomllib
from decimal import Decimal, InvalidOperation
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dragoman.providers.base import Endpoint
from dragoman.providers.catalog import PLANNED, PROVIDERS
from dragoman.providers.facts import checked

ENV_PREFIX = "DRAGOMAN_"
SERVED_PRICES = (
    "input",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "per_request",
)
MAX_USD = 2 * 10**8  # what the ledger moves at once
PROXIES = ("http", "socks5", "socks5h")
KEY_PREFIXES = ("sk-", "cr-")  # what stands before a key's body, as store.vault reads it
KEY_PATTERN = r"^(sk|cr)-[A-Za-z0-9]{48}$"


class ConfigError(Exception):
    """The configuration cannot be used; the message says where and why, a line per problem."""


def _decimal(value: str, places: int, what: str) -> str:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f'{what} must be a decimal number in quotes, like "2.50"') from None
    if not number.is_finite() or number < 0:
        raise ValueError(f"{what} must not be negative")
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > places:
        raise ValueError(f"{what} has more than {places} decimal places")
    return value


def _usd(value: str) -> str:
    if Decimal(_decimal(value, 9, "an amount in USD")) > MAX_USD:
        raise ValueError(f"an amount in USD is at most {MAX_USD}")
    return value


def _network(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an address or a range like 10.0.0.0/8") from None
    return value


Multiplier = Annotated[str, AfterValidator(lambda v: _decimal(v, 6, "a multiplier"))]
Usd = Annotated[str, AfterValidator(lambda v: _usd(v))]
Network = Annotated[str, AfterValidator(_network)]


class Section(BaseModel):
    """Frozen, and unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """``[server]``: where to listen, where the data is, and every limit of the front door and of the upstream client."""

    host: str = "127.0.0.1"
    port: int = Field(4000, ge=0, le=65535)
    tls_cert: str = ""
    tls_key: str = ""
    data_dir: str = "data"
    database_url: str = ""
    valkey_url: str = ""
    public_url: str = ""
    media_url: str = ""
    api_only_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    workers: int = Field(1, ge=1, le=64)
    strict_paths: bool = False
    metrics_allow: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    reveal_keys: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # limits of the front door
    header_bytes: int = Field(65_536, ge=1024)
    header_timeout_s: float = Field(15, gt=0)
    body_bytes: int = Field(100_000_000, ge=1024)
    body_budget_bytes: int = Field(1_073_741_824, ge=1024)
    body_wait_s: float = Field(30, ge=0)
    body_idle_timeout_s: float = Field(30, gt=0)
    keep_alive_s: int = Field(75, ge=1)
    connections: int = Field(20_000, ge=1)
    drain_s: float = Field(30, ge=0)
    # limits towards upstreams
    connect_timeout_s: float = Field(10, gt=0)
    first_byte_timeout_s: float = Field(600, gt=0)
    idle_timeout_s: float = Field(300, gt=0)
    total_timeout_s: float = Field(3600, gt=0)
    attempts: int = Field(3, ge=1, le=20)
    connections_per_origin: int = Field(4096, ge=1)
    answer_bytes: int = Field(200_000_000, ge=1024)
    # money and records
    hold_output_tokens: int = Field(8192, ge=1)
    max_output_tokens: int = Field(200_000, ge=1)
    max_context_tokens: int = Field(1_000_000, ge=1)
    counts_at_once: int = Field(4, ge=0)
    count_vendor_s: float = Field(2, gt=0)
    media_bytes: int = Field(20_000_000, ge=1024)
    store_responses: bool = True
    response_bytes: int = Field(4_000_000, ge=1024)
    response_days: int = Field(30, ge=1)
    detail_days: int = Field(30, ge=1)
    vendor_ids_days: int = Field(90, ge=1)
    key_cache: int = Field(100_000, ge=1)
    background_s: float = Field(3600, gt=0)


class GroupEntry(Section):
    """``[[groups]]``: a user tier and the pool of channels that serves it."""

    name: str = Field(min_length=1, max_length=64)
    multiplier: Multiplier = "1.0"
    hold: Literal["expected", "strict"] = "expected"
    vendor_prefixes: bool = False
    translate: bool = True


class ChannelEntry(Section):
    """``[[channels]]``: a provider, its credentials, and the models it serves to which groups."""

    name: str = Field(min_length=1, max_length=64)
    provider: str
    base_url: str = ""
    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = Field(min_length=1)
    groups: tuple[str, ...] = ("default",)
    dialects: tuple[str, ...] = ()
    model_map: dict[str, str] = {}
    priority: int = 0
    weight: int = Field(1, ge=0)
    proxy: str = ""
    headers: dict[str, str] = {}
    drop_params: tuple[str, ...] = ()
    cost_multiplier: Multiplier = "1.0"
    options: dict[str, str] = {}
    label: str = ""
    translate: bool = True
    facts: dict[str, bool | int | str | tuple[str, ...]] = {}


class Tools(BaseModel):
    """Prices per use of a vendor's tool; names are free."""

    model_config = ConfigDict(extra="allow", frozen=True)


class PriceEntry(Section):
    """``[[prices]]``: USD decimal strings; token prices are per million tokens."""

    model: str = Field(min_length=1)
    input: Usd | None = None
    cached_input: Usd | None = None
    cache_write_5m: Usd | None = None
    cache_write_1h: Usd | None = None
    output: Usd | None = None
    reasoning: Usd | None = None
    per_request: Usd | None = None
    audio_input: Usd | None = None
    audio_output: Usd | None = None
    audio_cached: Usd | None = None
    image_input: Usd | None = None
    image_output: Usd | None = None
    image_cached: Usd | None = None
    per_image: Usd | None = None
    per_second: Usd | None = None
    per_1k_chars: Usd | None = None
    tools: Tools | None = None
    tiers: list[dict[str, Any]] | None = None

    def served(self) -> dict[str, str | None]:
        """The members that this build charges."""
        return {name: getattr(self, name) for name in SERVED_PRICES}

    def unserved(self) -> dict[str, Any]:
        """The members that are stored for later builds."""
        found = {n: v for n, v in self if v is not None and n != "model" and n not in SERVED_PRICES}
        return {n: v.model_dump() if isinstance(v, BaseModel) else v for n, v in found.items()}


class KeyEntry(Section):
    """``[[users.keys]]``: a key of the user above it."""

    name: str = Field(min_length=1, max_length=64)
    key: str = Field(pattern=KEY_PATTERN)
    models: tuple[str, ...] | None = None
    limit: Usd | None = None
    expires: int | None = None
    allow_ips: tuple[Network, ...] = ()
    group: str = ""
    strict: bool = False


class UserEntry(Section):
    """``[[users]]``: an account with a wallet."""

    username: str = Field(min_length=1, max_length=64)
    password: str = ""
    role: Literal["user", "admin", "root"] = "user"
    group: str = "default"
    credit: Usd = "0"
    access_token: str = ""
    keys: tuple[KeyEntry, ...] = ()


class Egress(Section):
    """``[egress]``: exceptions to the refusal of private addresses for URLs that users supply."""

    allow: tuple[Network, ...] = ()


class Settings(Section):
    """The whole configuration."""

    server: Server = Server()
    groups: tuple[GroupEntry, ...] = ()
    channels: tuple[ChannelEntry, ...] = ()
    prices: tuple[PriceEntry, ...] = ()
    users: tuple[UserEntry, ...] = ()
    egress: Egress = Egress()
    source: str = ""

    def warnings(self) -> list[str]:
        """Entries that are accepted and not served by this build."""
        notes = [
            f"prices[{i}] ({p.model}): {', '.join(sorted(later))} is stored but not charged by this build"
            for i, p in enumerate(self.prices)
            if (later := p.unserved())
        ]
        notes += [
            f"channels[{i}] ({c.name}): provider {c.provider} is accepted but not served by this build"
            for i, c in enumerate(self.channels)
            if c.provider in PLANNED
        ]
        for name in ("valkey_url", "media_url"):
            if getattr(self.server, name):
                notes.append(f"server.{name} is accepted but not used by this build")
        return notes


def load(
    path: str | os.PathLike[str] | None, environ: dict[str, str] | None = None, **server: Any
) -> Settings:
    """Read the configuration. ``path`` None: ``dragoman.toml`` in the working directory when it is there.

    ``server`` are values of ``[server]`` from the command line; they win over the environment, which wins over the file.
    Raises ConfigError with every problem found, each with the file and the path of the entry.
    """
    env = dict(os.environ) if environ is None else environ
    file = Path(path) if path is not None else Path("dragoman.toml")
    data: dict[str, Any] = {}
    if path is not None or file.exists():
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{file}: no such file") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{file}: {error}") from None
    problems: list[str] = []
    data = _expand(data, env, "", problems)
    _overlay(data, env, server)
    source = str(file) if path is not None or file.exists() else "(command line and environment)"
    if problems:
        raise ConfigError("\n".join(f"{source}: {p}" for p in problems))
    data["source"] = str(file.resolve()) if path is not None or file.exists() else ""
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {line}" for line in _explain(error))) from None
    _cross_check(settings, source)
    return settings


def _expand(value: Any, env: dict[str, str], where: str, problems: list[str]) -> Any:
    """Replace ``env:NAME`` strings, at any depth."""
    if isinstance(value, dict):
        return {k: _expand(v, env, f"{where}.{k}" if where else k, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, env, f"{where}[{i}]", problems) for i, v in enumerate(value)]
    if isinstance(value, str) and value.startswith("env:"):
        name = value[4:]
        if name not in env:
            problems.append(f"{where}: the environment variable {name} is not set")
            return value
        return env[name]
    return value


def _overlay(data: dict[str, Any], env: dict[str, str], given: dict[str, Any]) -> None:
    """``DRAGOMAN_SERVER__PORT`` and the like (lists are comma-separated), then what the command line says."""
    if not isinstance(data.get("server", {}), dict):
        return  # an error of its own
    for name, value in env.items():
        if not name.startswith(ENV_PREFIX + "SERVER__"):
            continue
        field = name[len(ENV_PREFIX) + len("SERVER__") :].lower()
        info = Server.model_fields.get(field)
        is_list = (
            info is not None
            and info.annotation not in (str, int, float, bool)
            and "tuple" in str(info.annotation)
        )
        data.setdefault("server", {})[field] = [v for v in value.split(",") if v] if is_list else value
    if given:
        data["server"] = {**data.get("server", {}), **given}


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        where = ""
        for part in problem["loc"]:
            where += f"[{part}]" if isinstance(part, int) else (f".{part}" if where else str(part))
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown name; accepted here: {', '.join(_accepted(problem['loc']))}")
        else:
            lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}")
    return lines


def _accepted(loc: tuple[int | str, ...]) -> list[str]:
    """The field names of the section that holds ``loc``'s last element."""
    section: type[BaseModel] = Settings
    for part in loc[:-1]:
        if isinstance(part, str) and part in section.model_fields:
            section = _section_of(section.model_fields[part].annotation) or section
    return sorted(n for n in section.model_fields if n != "source")


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((s for a in get_args(annotation) if (s := _section_of(a))), None)


def _channel_problems(channel: ChannelEntry) -> list[str]:
    """What would leave the channel out of routing, or fail each of its calls."""
    provider = PROVIDERS[channel.provider]
    found = []
    if unknown := sorted(set(channel.dialects) - provider.dialects):
        spoken = ", ".join(sorted(provider.dialects))
        found.append(
            f"dialects: {', '.join(unknown)} is not spoken by {provider.id}; accepted here: {spoken}"
        )
    if channel.proxy and channel.proxy.partition("://")[0].lower() not in PROXIES:
        found.append(f"proxy: not a URL of one of these schemes: {', '.join(PROXIES)}")
    try:
        Endpoint(
            provider, channel.base_url, tuple(channel.headers.items()), channel.drop_params, channel.options
        )
    except ValueError as error:
        found.append(str(error))
    try:
        checked([(name, type(value), value) for name, value in channel.facts.items()])
    except ValueError as error:
        found.append(str(error))
    return found


def _shared_secrets(users: tuple[UserEntry, ...]) -> list[str]:
    """Keys and access tokens that stand twice: whose is a call that brings one? They are told apart by their body."""
    found = []
    owners: dict[tuple[str, str], str] = {}
    for i, user in enumerate(users):
        held = [(f"users[{i}].keys[{j}].key", "key", k.key) for j, k in enumerate(user.keys)]
        if user.access_token:
            held.append((f"users[{i}].access_token", "access token", user.access_token))
        for where, kind, secret in held:
            body = secret[3:] if secret.startswith(KEY_PREFIXES) else secret
            first = owners.setdefault((kind, body), f"{where} ({user.username})")
            if first != f"{where} ({user.username})":
                shown = f"{secret[:6]}…" if kind == "key" else "it"
                found.append(f"{where} ({user.username}): {shown} stands twice, also as {first}")
    return found


def _cross_check(settings: Settings, source: str) -> None:
    problems: list[str] = []
    for kind, names in (
        ("groups", [g.name for g in settings.groups]),
        ("channels", [c.name for c in settings.channels]),
        ("prices", [p.model for p in settings.prices]),
        ("users", [u.username for u in settings.users]),
    ):
        problems += [f"{kind}[{i}]: {n} stands twice" for i, n in enumerate(names) if n in names[:i]]
    problems += _shared_secrets(settings.users)
    for i, c in enumerate(settings.channels):
        if c.provider not in PROVIDERS and c.provider not in PLANNED:
            known = ", ".join(sorted(PROVIDERS))
            problems.append(f"channels[{i}].provider: {c.provider!r} is not known; accepted here: {known}")
        elif c.provider in PROVIDERS:
            problems += [f"channels[{i}].{problem}" for problem in _channel_problems(c)]
    server = settings.server
    if bool(server.tls_cert) != bool(server.tls_key):
        problems.append("server: tls_cert and tls_key are needed together")
    if server.workers > 1 and not server.database_url.startswith("postgresql"):
        problems.append(
            "server.workers: more than one process needs a PostgreSQL database_url; SQLite serves exactly one"
        )
    if server.workers > 1 and server.port == 0:
        problems.append(
            "server.port: several workers need a port of their own choosing between 1 and 65535, not 0"
        )
    if server.database_url and not server.database_url.startswith(("postgresql", "sqlite")):
        problems.append('server.database_url: "" (SQLite in data_dir) or "postgresql://…"')
    if problems:
        raise ConfigError("\n".join(f"{source}: {p}" for p in problems))
