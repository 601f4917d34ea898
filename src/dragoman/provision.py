"""What a process works with before it serves: limits, the opened store, the book, the file's declarations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from dragoman.ledger.book import Book
from dragoman.ledger.housekeeping import Retention
from dragoman.ledger.writer import Limits as WriterLimits
from dragoman.providers.catalog import PLANNED
from dragoman.relay.gateway import Limits
from dragoman.store import reconcile, schema
from dragoman.store.engine import ProcessLock, StoreBusy, StoreError, open_engine
from dragoman.store.vault import Vault, VaultError
from dragoman.upstream.client import Timeouts

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dragoman.config import Settings


class StartError(Exception):
    """The gateway cannot start; the message says why and what to do."""


def limits_of(settings: Settings) -> Limits:
    """The relay's limits, as configured."""
    s = settings.server
    return Limits(
        body_bytes=s.body_bytes,
        body_idle_timeout_s=s.body_idle_timeout_s,
        body_wait_s=s.body_wait_s,
        answer_bytes=s.answer_bytes,
        attempts=s.attempts,
        timeouts=Timeouts(
            connect_s=s.connect_timeout_s,
            first_byte_s=s.first_byte_timeout_s,
            idle_s=s.idle_timeout_s,
            total_s=s.total_timeout_s,
        ),
        hold_output_tokens=s.hold_output_tokens,
        max_output_tokens=s.max_output_tokens,
        max_context_tokens=s.max_context_tokens,
        counts_at_once=s.counts_at_once,
        count_vendor_s=s.count_vendor_s,
        background_s=s.background_s,
        strict_paths=s.strict_paths,
        api_only_hosts=frozenset(h.lower() for h in s.api_only_hosts),
        public_url=s.public_url,
        trusted_proxies=tuple(ip_network(n, strict=False) for n in s.trusted_proxies),
        metrics_allow=s.metrics_allow,
    )


class Store:
    """The opened database: engine, the lock that goes with SQLite, and the vault."""

    def __init__(self, engine: Engine, lock: ProcessLock | None, vault: Vault) -> None:
        self.engine, self.lock, self.vault = engine, lock, vault

    def close(self) -> None:
        """Close connections and give the lock back."""
        self.engine.dispose()
        if self.lock is not None:
            self.lock.release()


@contextlib.contextmanager
def start_errors() -> Iterator[None]:
    """What can go wrong with a database or its secret, as StartError."""
    try:
        yield
    except (StoreBusy, StoreError, VaultError, OSError) as error:
        raise StartError(str(error)) from error
    except Exception as error:
        if type(error).__module__.startswith(("sqlalchemy", "psycopg")):
            raise StartError(f"the database cannot be used: {error}") from error
        raise


def open_store(settings: Settings, *, exclusive: bool = True) -> Store:
    """Open the database at this version's schema. ``exclusive`` False: only to read beside a running server."""
    s = settings.server
    with start_errors():
        # who called whom is nobody else's business
        Path(s.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = open_engine(s.database_url, s.data_dir)
        vault = Vault.from_data_dir(s.data_dir)
        lock = ProcessLock.of(engine) if exclusive else None
        if lock is not None:
            lock.acquire()
        try:
            if not schema.schema_is_current(engine):
                if not exclusive:
                    raise StartError("the database is not at this version's schema; run `dragoman migrate`")
                schema.migrate(engine, lock)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
    return Store(engine, lock, vault)


def open_book(settings: Settings, store: Store) -> Book:
    """The ledger, not started; it keeps records as long as is configured."""
    s = settings.server
    keep = Retention(details=s.detail_days, vendor_ids=s.vendor_ids_days, responses=s.response_days)
    return Book(store.engine, lock=store.lock, limits=WriterLimits(keep=keep))


def declared_of(settings: Settings) -> reconcile.Declared:
    """The file's entries as the store takes them."""
    named = {g.name for g in settings.groups}
    implied = {name for c in settings.channels for name in c.groups if name not in named}
    groups = [
        reconcile.DeclaredGroup(
            name=g.name,
            multiplier=g.multiplier,
            hold=g.hold,
            options={"translate": g.translate, "vendor_prefixes": g.vendor_prefixes},
        )
        for g in settings.groups
    ]
    served = [c for c in settings.channels if c.provider not in PLANNED]
    return reconcile.Declared(
        # a group that only a channel names exists with the defaults: a small file needs no [[groups]]
        groups=(*groups, *(reconcile.DeclaredGroup(name=name) for name in sorted(implied))),
        channels=tuple(reconcile.DeclaredChannel(**c.model_dump()) for c in served),
        prices=tuple(
            reconcile.DeclaredPrice(model=p.model, **p.served(), extra=p.unserved()) for p in settings.prices
        ),
        users=tuple(
            reconcile.DeclaredUser(
                **u.model_dump(exclude={"keys"}),
                keys=tuple(reconcile.DeclaredKey(**k.model_dump()) for k in u.keys),
            )
            for u in settings.users
        ),
    )
