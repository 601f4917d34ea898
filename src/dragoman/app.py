"""The composition root: the only place that wires objects. Everything is provisioned, then served, then drained.

    Settings → Store (engine, lock, vault, schema, the file's declarations) → Book → Snapshot → Gateway → server

The snapshot follows the ``changes`` table: a change made by any process is read within ``POLL_S`` and the compiled
value is swapped in whole; keys are dropped from the key table and loaded again on their next use.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from dragoman import __version__
from dragoman.console.admin import AdminDesk, AdminError, ask, listen
from dragoman.ledger.batch import grant
from dragoman.observe import Journal, Metrics, stderr_journal
from dragoman.providers.catalog import PROVIDERS
from dragoman.providers.models import ALIASES, CATALOGUE
from dragoman.provision import (
    StartError,
    Store,
    declared_of,
    limits_of,
    open_book,
    open_store,
    start_errors,
)
from dragoman.relay.bodies import BodyBudget
from dragoman.relay.fetch import MediaLoader
from dragoman.relay.gateway import Gateway
from dragoman.relay.ids import RequestIds
from dragoman.relay.keys import Keys
from dragoman.relay.owners import OwnerRegister
from dragoman.relay.prices import DefaultPrices, read_table
from dragoman.relay.routes import Application
from dragoman.relay.server import GatewayServer, ServerLimits, build_server, serve
from dragoman.relay.state import ResponseState
from dragoman.routing.keytable import KeyRecord, KeyTable
from dragoman.routing.snapshot import Snapshot
from dragoman.store import accounts, publish, reconcile, records, responses, schema
from dragoman.store.engine import StoreBusy, open_engine
from dragoman.store.responses import StoredTurn
from dragoman.store.snapshot import compile_snapshot, key_record
from dragoman.store.vault import VaultError, generate_key
from dragoman.upstream.client import Client, EgressPolicy, PoolLimits
from dragoman.upstream.credentials import Credentials

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from dragoman.config import Settings
    from dragoman.ledger.audit import AuditReport

POLL_S = 0.25
Announce = Callable[[str], None]

__all__ = ["AdminError", "StartError", "run_admin", "run_audit", "run_demo", "run_migrate", "run_server"]


class Runtime:
    """A running gateway's parts, and the tasks that keep them current."""

    def __init__(self, settings: Settings, store: Store, journal: Journal) -> None:
        self.settings, self.store, self.journal = settings, store, journal
        self.metrics = Metrics()
        self.book = open_book(settings, store)
        self.table = KeyTable(capacity=settings.server.key_cache)
        self.client = Client(limits=PoolLimits(per_origin=settings.server.connections_per_origin))
        self.prices = DefaultPrices({})
        self.sequence = 0
        self.owners: OwnerRegister | None = None
        self.gateway: Gateway | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._followed_at = 0.0
        self._told = ""

    async def start(self) -> None:
        """Bring everything up; returns when the first request could be served."""
        reading = asyncio.create_task(asyncio.to_thread(read_table, time.time()))
        try:
            await self.book.start()
        except StoreBusy as error:
            raise StartError(str(error)) from error
        declared = declared_of(self.settings)
        try:
            report = await self._reconcile(declared)
        except (accounts.Conflict, ValueError) as error:
            raise StartError(f"{self.settings.source}: {error}") from error
        self.prices = DefaultPrices(await reading)
        try:
            snapshot = await asyncio.to_thread(self._compile)
        except VaultError as error:
            raise StartError(f"stored upstream credentials: {error}") from error
        self.sequence = snapshot.version
        self.gateway = self._gateway(snapshot)
        self.metrics.source("writer", "ledger writer", self.book.stats)
        self.metrics.source("pool", "upstream connections", self.client.stats)
        self.metrics.source("keys", "key table", lambda: {"known": len(self.table)})
        self.journal.note("reconciled", **{k: v for k, v in report.as_dict().items() if v})
        self._followed_at = time.monotonic()
        self._tasks = [asyncio.create_task(self._follow())]

    async def stop(self) -> None:
        """Finish what is written, close what is open."""
        if self.gateway is not None:
            self._tasks += self.gateway.later
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.client.close()
        await self.book.close()
        self.journal.flush()

    def _reconcile(self, declared: reconcile.Declared) -> asyncio.Future[reconcile.Report]:
        vault = self.store.vault
        return self.book.run(lambda c: reconcile.apply(c, vault, declared, now=time.time(), grant=grant))

    def problems(self) -> dict[str, str]:
        """Why this process should get no traffic now; empty when it should."""
        found: dict[str, str] = {}
        if trouble := self.book.trouble():
            if trouble != self._told:  # the whole reason is for the operator: anybody may ask /readyz
                self.journal.note("writer_down", error=trouble[:500])
            found["writer"] = "the database cannot be written"
        self._told = trouble
        if time.monotonic() - self._followed_at > 10:
            found["database"] = "the database has not answered for 10 s"
        return found

    def _gateway(self, snapshot: Snapshot) -> Gateway:
        settings, engine, vault = self.settings, self.store.engine, self.store.vault

        def load(lookup: bytes) -> KeyRecord | None:
            with engine.connect() as connection:
                row = accounts.find_key(connection, lookup)
            return None if row is None else key_record(row)

        def owner(kind: str, external_id: str) -> records.VendorId | None:
            with engine.connect() as connection:
                return records.find(connection, kind, external_id)

        self.owners = OwnerRegister(
            write=self.book.run,
            store=lambda c, ids, who: records.remember(c, ids, who, time.time()),
            erase=records.forget,
            read=owner,
        )
        return Gateway(
            snapshot=snapshot,
            limits=limits_of(settings),
            book=self.book,
            client=self.client,
            credentials=Credentials(self.client, clock=time.time),
            keys=Keys(self.table, lookup=vault.lookup, load=load, clock=time.monotonic),
            owners=self.owners,
            state=self._state(),
            media=MediaLoader(self.client, EgressPolicy(settings.egress.allow), settings.server.media_bytes),
            prices=self.prices,
            journal=self.journal,
            metrics=self.metrics,
            budget=BodyBudget(settings.server.body_budget_bytes),
            clock=time.time,
            random=random.random,  # which channel comes first is no secret
            new_id=RequestIds(time.time, os.urandom),
            ready=self.problems,
        )

    def _state(self) -> ResponseState:
        """The responses kept for upstreams that keep none."""
        server, engine, vault = self.settings.server, self.store.engine, self.store.vault

        def put(
            connection: Connection, response_id: str, user_id: int, parent: str | None, turn: StoredTurn
        ) -> None:
            responses.put(
                connection,
                vault,
                response_id=response_id,
                user_id=user_id,
                parent_id=parent,
                turn=turn,
                now=time.time(),
            )

        def read(response_id: str, user_id: int) -> StoredTurn | None:
            with engine.connect() as connection:
                return responses.get(connection, vault, response_id, user_id)

        def read_chain(response_id: str, user_id: int) -> list[StoredTurn]:
            with engine.connect() as connection:
                return responses.chain(connection, vault, response_id, user_id, server.body_bytes)

        return ResponseState(
            write=self.book.run,
            put=put,
            erase=responses.erase,
            read=read,
            read_chain=read_chain,
            enabled=server.store_responses,
            turn_bytes=server.response_bytes,
            note=self.journal.note,
        )

    def _compile(self) -> Snapshot:
        """Read and compile what is enabled now; its ``version`` is the last change that it includes."""
        with self.store.engine.connect() as connection:
            rows = publish.load_snapshot_rows(connection, self.store.vault)
        return compile_snapshot(
            rows,
            providers=PROVIDERS,
            default_price=self.prices.cached,
            aliases=ALIASES,
            catalogue=frozenset(CATALOGUE) | self.prices.names(),
            named={m.id: m.owner for m in CATALOGUE.values()},
            refused=lambda problem: self.journal.note("channel_left_out", problem=problem),
        )

    async def _follow(self) -> None:
        """Read what any process has changed, every ``POLL_S``; a database that is away is tried again."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                feed = await asyncio.to_thread(self._feed)
                if feed.changes:
                    await self.take(feed)
                self._followed_at = time.monotonic()
            except Exception as error:  # noqa: BLE001 (the next round tries again; /readyz tells when it lasts)
                self.journal.note("follow_failed", error=f"{type(error).__name__}: {error}")

    async def take(self, feed: publish.Feed) -> None:
        """Apply changes: forget keys, recompile once for everything else. What was missed may be anything."""
        rebuild = feed.missed
        if feed.missed:
            self.table.clear()
        for change in feed.changes:
            if change.kind == "key":
                self.table.drop_key(int(change.id))
            elif change.kind == "user":
                self.table.drop_user(int(change.id))
            else:
                rebuild = True
        if rebuild and self.gateway is not None:
            self.gateway.snapshot = await asyncio.to_thread(self._compile)
            if self.owners is not None and (feed.missed or any(c.kind == "channel" for c in feed.changes)):
                self.owners.refresh()  # with the snapshot: positions in it are the rows' again
        self.sequence = max(c.seq for c in feed.changes)  # last: what failed is tried again

    def _feed(self) -> publish.Feed:
        with self.store.engine.connect() as connection:
            return publish.read_feed(connection, self.sequence)


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Runtime]:
    """A started runtime, stopped and its store closed at the end."""
    store = await asyncio.to_thread(open_store, settings)
    try:
        journal = stderr_journal(settings.server.log_level)
        runtime = Runtime(settings, store, journal)
        try:
            await runtime.start()
            yield runtime
        finally:
            await runtime.stop()
    finally:
        await asyncio.to_thread(store.close)


async def _serve(
    settings: Settings,
    announce: Announce,
    ready: Callable[[str], None] | None = None,
    worker: int | None = None,
) -> None:
    async with running(settings) as runtime:
        loop = asyncio.get_running_loop()
        runtime.journal.attach(loop.call_later)
        for warning in settings.warnings():
            runtime.journal.note("warning", text=warning)
        assert runtime.gateway is not None
        try:
            server = _listen(settings, Application(runtime.gateway))
        except OSError as error:
            raise StartError(
                f"cannot listen on {settings.server.host}:{settings.server.port}: {error}"
            ) from error
        desk = AdminDesk(runtime.book, runtime.store.vault, reveal=settings.server.reveal_keys)
        # of several workers the first has the socket
        admin = None if worker else await _open_desk(desk, settings, runtime.journal)
        scheme = "https" if settings.server.tls_cert else "http"
        url = f"{scheme}://{_shown(settings.server.host)}:{server.port}"
        stops = contextlib.ExitStack()
        stops.enter_context(server.capture_signals())  # from the first word on, a signal is an orderly stop
        announce(f"dragoman {__version__} listening on {url}")
        if ready is not None:
            ready(url)
        # What exists now stays; what comes and goes per request is mostly freed by reference counts.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        runtime.journal.note("listening", url=url, version=__version__, pid=os.getpid())
        if worker is not None:
            _stop_with_parent(loop, server)
        try:
            await serve(server)
        finally:
            stops.close()
            runtime.journal.note("stopped")
            if admin is not None:
                admin.close()


def _stop_with_parent(loop: asyncio.AbstractEventLoop, server: GatewayServer) -> None:
    """A worker's stdin is a pipe that nobody writes to: it ends when the parent is gone, however that happened."""

    def stop() -> None:
        loop.remove_reader(0)
        server.should_exit = True

    loop.add_reader(0, stop)


def _listen(settings: Settings, application: Application) -> GatewayServer:
    s = settings.server
    limits = ServerLimits(
        header_bytes=s.header_bytes,
        header_timeout_s=s.header_timeout_s,
        keep_alive_s=s.keep_alive_s,
        connections=s.connections,
        drain_s=s.drain_s,
    )
    return build_server(
        application, host=s.host, port=s.port, limits=limits, tls_cert=s.tls_cert or None, tls_key=s.tls_key or None,
        reuse_port=s.workers > 1,
    )  # fmt: skip


async def _open_desk(desk: AdminDesk, settings: Settings, journal: Journal) -> asyncio.Server | None:
    """The admin socket. One process per data directory has it; without it only ``dragoman admin`` is missing."""
    try:
        return await listen(desk, Path(settings.server.data_dir))
    except OSError as error:
        journal.note("admin_socket_unavailable", error=str(error))
        return None


def _shown(host: str) -> str:
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else (f"[{host}]" if ":" in host else host)


def run_server(settings: Settings, announce: Announce, worker: int | None = None) -> None:
    """Serve in this process until told to stop; as ``worker`` number so-and-so of ``workers``. Raises StartError."""
    uvloop.run(_serve(settings, announce, worker=worker))


def run_demo(settings: Settings, data_dir: Path | None, announce: Announce) -> None:
    """Serve with the simulated provider, one funded user and one key. Raises StartError."""
    from dragoman.simulator.demo import entries, welcome
    from dragoman.simulator.server import running as simulated

    key = generate_key()
    with contextlib.ExitStack() as stack:
        directory = data_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-demo-"))
        )
        vendor = stack.enter_context(simulated("127.0.0.1"))
        own = {"data_dir": str(directory), "database_url": "", "workers": 1}
        server = {**settings.server.model_dump(), **own}
        demo = type(settings).model_validate({"server": server, **entries(vendor, key)})
        uvloop.run(_serve(demo, announce, lambda url: announce(welcome(url, key))))


def run_migrate(settings: Settings, progress: Announce) -> str:
    """Bring the schema up to date; returns what was done. Raises StartError."""
    with start_errors():
        engine = open_engine(settings.server.database_url, settings.server.data_dir)
        before = schema.schema_revision(engine)
        engine.dispose()
    progress(f"database: {engine.url.render_as_string(hide_password=True)}, at revision {before or 'none'}")
    if before == schema.SCHEMA_REVISION:
        return f"already at revision {before}"
    store = open_store(settings)
    try:
        after = schema.schema_revision(store.engine)
    finally:
        store.close()
    return f"migrated from {before or 'nothing'} to {after}"


def run_audit(settings: Settings) -> AuditReport:
    """Recompute every balance. Reads beside a running server. Raises StartError."""
    from dragoman.ledger.audit import audit

    store = open_store(settings, exclusive=False)
    try:
        return audit(store.engine)
    finally:
        store.close()


def run_admin(settings: Settings, command: str, arguments: Mapping[str, Any]) -> Any:
    """Ask the running server, or open the database when there is none. Raises AdminError, StartError."""
    try:
        return ask(Path(settings.server.data_dir), command, dict(arguments))
    except OSError:
        return asyncio.run(_administer(settings, command, dict(arguments)))


async def _administer(settings: Settings, command: str, arguments: dict[str, Any]) -> Any:
    store = await asyncio.to_thread(open_store, settings)
    book = open_book(settings, store)
    try:
        await book.start()
        desk = AdminDesk(book, store.vault, reveal=settings.server.reveal_keys)
        return await desk.execute(command, arguments)
    finally:
        await book.close()
        store.close()
