"""The ``dragoman`` command. Imports what a command needs when it runs, so that ``serve`` starts fast.

Exit codes: 0 done · 1 the command failed, or ``audit`` found a difference · 2 wrong usage or configuration ·
3 the server could not start (port taken, database locked).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dragoman import __version__

if TYPE_CHECKING:
    from dragoman.config import Settings
    from dragoman.ledger.audit import AuditReport

FAILED, USAGE, NO_START = 1, 2, 3

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file; without it ./dragoman.toml, and without that the defaults.",
    ),
]

app = typer.Typer(
    name="dragoman",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One base URL and one key in front of every AI provider.\n\nStart with [bold]dragoman demo[/bold]: it needs no "
    "vendor key and prints a curl line that works. Then write a dragoman.toml and run [bold]dragoman serve[/bold].",
    rich_markup_mode="rich",
)
admin = typer.Typer(
    no_args_is_help=True,
    help="Manage users, keys, credit and channels from the shell.\n\nWhile a server runs, the command goes to it over "
    "the socket in its data directory; otherwise the database is opened directly.",
)
user, key, channel = (
    typer.Typer(no_args_is_help=True, help=h) for h in ("Users and their credit.", "API keys.", "Channels.")
)
app.add_typer(admin, name="admin")
admin.add_typer(user, name="user")
admin.add_typer(key, name="key")
admin.add_typer(channel, name="channel")


def main() -> None:
    """The console script."""
    app()


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; wins over the file.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, 0 for any free one; wins over the file.")
    ] = None,
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the gateway until it is told to stop (SIGTERM or Ctrl-C: running calls are finished first)."""
    settings = _settings(config, host=host, port=port)
    announce: Callable[[str], None] = lambda line: print(line, flush=True)
    if settings.server.workers > 1 and worker is None:
        from dragoman.workers import run_workers

        s = settings.server
        complain: Callable[[str], None] = lambda line: print(f"dragoman: {line}", file=sys.stderr, flush=True)
        raise typer.Exit(run_workers(config, s.host, s.port, s.workers, announce, complain))
    from dragoman.app import StartError, run_server

    try:
        run_server(settings, announce, worker)
    except StartError as error:
        _fail(str(error), NO_START)


@app.command()
def demo(
    config: Config = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for any free one.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the demo's data here; by default it is thrown away at the end.")
    ] = None,
) -> None:
    """Run the gateway with a simulated provider, one funded user and one key. Needs no network and no vendor key."""
    settings = _settings(config, port=port)
    from dragoman.app import StartError, run_demo

    try:
        run_demo(settings, data_dir, announce=lambda line: print(line, flush=True))
    except StartError as error:
        _fail(str(error), NO_START)


@app.command()
def migrate(config: Config = None) -> None:
    """Bring the database to this version's schema. Safe to repeat; several at once wait for each other."""
    settings = _settings(config)
    from dragoman.app import StartError, run_migrate

    try:
        print(run_migrate(settings, lambda step: print(step, file=sys.stderr, flush=True)))
    except StartError as error:
        _fail(str(error), NO_START)


@app.command()
def audit(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Recompute every balance from transfers and log rows. Exit code 1 when anything differs.

    Runs beside a live server: it reads one consistent state of the database.
    """
    settings = _settings(config)
    from dragoman.app import StartError, run_audit

    try:
        report = run_audit(settings)
    except StartError as error:
        _fail(str(error), NO_START)
    print(json.dumps(_audit_data(report), indent=2) if as_json else _audit_text(report))
    if not report.ok:
        raise typer.Exit(FAILED)


def _audit_data(report: AuditReport) -> dict[str, Any]:
    findings = [{"kind": f.kind, "subject": f.subject, "message": f.message} for f in report.findings]
    exposures = [
        {
            "hold": e.hold_id,
            "wallet": e.wallet_id,
            "held_usd": _usd(e.held),
            "expired_at": e.expired_at,
            "reason": e.reason,
        }
        for e in report.exposures
    ]
    return {
        "ok": report.ok,
        "counts": dict(report.counts),
        "findings": findings,
        "unbilled_exposure": exposures,
    }


def _audit_text(report: AuditReport) -> str:
    lines = [f"{name.replace('_', ' '):32}{count:>20}" for name, count in report.counts.items()]
    if report.exposures:
        total = sum(e.held for e in report.exposures)
        lines.append(
            f"\nunbilled exposure: {len(report.exposures)} holds of calls whose process died, at most ${_usd(total)}"
        )
        lines += [
            f"  {e.hold_id}  wallet {e.wallet_id}  ${_usd(e.held)}  {e.reason}" for e in report.exposures
        ]
    lines += [f"\nDIFFERENCE  {f.kind}  {f.subject}: {f.message}" for f in report.findings]
    lines.append(
        "\nThe books are clean."
        if report.ok
        else f"\nThe books are NOT clean: {len(report.findings)} differences."
    )
    return "\n".join(lines)


def _usd(nanos: int) -> str:
    from dragoman.core.money import nanos_to_usd

    return nanos_to_usd(nanos)


@app.command()
def version() -> None:
    """Print the version."""
    print(f"dragoman {__version__}")


@user.command("create")
def user_create(
    username: str,
    config: Config = None,
    group: Annotated[str, typer.Option(help="The group of the user's keys.")] = "default",
    role: Annotated[str, typer.Option(help="user, admin or root.")] = "user",
    credit: Annotated[str, typer.Option(help="USD to start with.")] = "0",
) -> None:
    """Create a user with a wallet."""
    _admin(config, "user.create", username=username, group=group, role=role, credit=credit)


@user.command("list")
def user_list(config: Config = None) -> None:
    """List users with their balances."""
    _admin(config, "user.list")


@user.command("credit")
def user_credit(
    username: str,
    usd: str,
    reason: Annotated[str, typer.Option(help="Why; kept with the transfer.")],
    config: Config = None,
) -> None:
    """Add credit to a user's wallet (USD)."""
    _admin(config, "user.credit", username=username, usd=usd, reason=reason)


@key.command("create")
def key_create(
    username: str,
    name: str,
    config: Config = None,
    limit: Annotated[
        str | None, typer.Option(help="USD this key may spend; without it only the wallet limits it.")
    ] = None,
    models: Annotated[str | None, typer.Option(help="Comma-separated model ids; without it all.")] = None,
    allow_ips: Annotated[
        str | None, typer.Option(help="Comma-separated addresses or ranges; without it any.")
    ] = None,
    group: Annotated[str, typer.Option(help="Group of this key; without it the user's.")] = "",
    expires: Annotated[int | None, typer.Option(help="Unix time after which the key is refused.")] = None,
) -> None:
    """Create a key and print it. This is the moment to copy it."""
    split: Callable[[str | None], list[str] | None] = lambda text: (
        [v.strip() for v in text.split(",")] if text else None
    )
    _admin(
        config,
        "key.create",
        username=username,
        name=name,
        limit=limit,
        models=split(models),
        allow_ips=split(allow_ips) or [],
        group=group,
        expires=expires,
    )


@key.command("list")
def key_list(username: str, config: Config = None) -> None:
    """List a user's keys, masked, with what they have used."""
    _admin(config, "key.list", username=username)


@key.command("disable")
def key_disable(key_id: int, config: Config = None) -> None:
    """Refuse a key from now on."""
    _admin(config, "key.status", key_id=key_id, active=False)


@key.command("enable")
def key_enable(key_id: int, config: Config = None) -> None:
    """Accept a disabled key again."""
    _admin(config, "key.status", key_id=key_id, active=True)


@key.command("limit")
def key_limit(
    key_id: int,
    config: Config = None,
    limit: Annotated[
        str | None, typer.Option(help="USD this key may spend in all; without it only the wallet limits it.")
    ] = None,
) -> None:
    """Change what a key may spend."""
    _admin(config, "key.limit", key_id=key_id, limit=limit)


@channel.command("list")
def channel_list(config: Config = None) -> None:
    """List channels with their provider, models and status."""
    _admin(config, "channel.list")


@channel.command("disable")
def channel_disable(name: str, config: Config = None) -> None:
    """Take a channel out of routing."""
    _admin(config, "channel.status", name=name, active=False)


@channel.command("enable")
def channel_enable(name: str, config: Config = None) -> None:
    """Put a channel back into routing."""
    _admin(config, "channel.status", name=name, active=True)


def _admin(config: Path | None, command: str, **arguments: Any) -> None:
    settings = _settings(config)
    from dragoman.app import AdminError, StartError, run_admin

    try:
        result = run_admin(settings, command, arguments)
    except AdminError as error:
        _fail(str(error), FAILED)
    except StartError as error:
        _fail(str(error), NO_START)
    _show(result)


def _show(result: Any) -> None:
    """Tables for lists, lines for single things; JSON when the output is not a terminal."""
    if not sys.stdout.isatty():
        print(json.dumps(result))
        return
    if isinstance(result, list):
        from rich.console import Console
        from rich.table import Table

        table = Table(*(result[0].keys() if result else ["nothing here"]))
        for row in result:
            table.add_row(*(str(v) if v is not None else "" for v in row.values()))
        Console().print(table)
        return
    for name, value in result.items():
        print(f"{name}: {value}")


def _settings(path: Path | None, **server: Any) -> Settings:
    from dragoman.config import ConfigError, load

    try:
        return load(path, **{k: v for k, v in server.items() if v is not None})
    except ConfigError as error:
        _fail(str(error), USAGE)


def _fail(message: str, code: int) -> NoReturn:
    print(f"dragoman: {message}", file=sys.stderr)
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
