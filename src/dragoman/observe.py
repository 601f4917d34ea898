"""What the operator sees: one wide JSON log line per call, Prometheus metrics, redaction.

Log lines are collected for at most ``flush_s`` and written in one system call; secrets never reach them, because a line
is built from named fields only (never from headers or bodies) and free text passes ``core.faults.redact``.
Metric labels come from closed sets (operation, owner, token kind, outcome): no model, key or user name is a label.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from dragoman.core.faults import redact

_encode = msgspec.json.Encoder().encode

FIRST_BYTE_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
OVERHEAD_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2)
TOKEN_KINDS = ("input", "cached_input", "cache_write", "output", "reasoning")


class Journal:
    """The log: JSON lines to a file descriptor, batched. ``schedule(delay_s, fn)`` is the loop's ``call_later``."""

    def __init__(self, *, fd: int = 2, flush_s: float = 0.2, level: str = "info") -> None:
        self._fd, self._flush_s, self.level = fd, flush_s, level
        self._lines: list[bytes] = []
        self._schedule: Callable[[float, Callable[[], None]], object] | None = None

    def attach(self, schedule: Callable[[float, Callable[[], None]], object]) -> None:
        """Batch from now on, flushing through the event loop; before that every line is written at once."""
        self._schedule = schedule

    def call(self, fields: Mapping[str, Any]) -> None:
        """The one line of a call. ``error`` is free text and is redacted."""
        if self.level in ("warning", "error"):
            return
        line = {"ts": round(time.time(), 3), "event": "call", **fields}
        error = line.get("error")
        line["error"] = redact(str(error)) if error else ""
        self._write(line)

    def note(self, event: str, /, **fields: Any) -> None:
        """Anything else worth a line: start, stop, a reload, a failure of our own."""
        clean = {k: redact(v) if isinstance(v, str) else v for k, v in fields.items()}
        self._write({"ts": round(time.time(), 3), "event": event, **clean})

    def flush(self) -> None:
        """Write what was collected. A closed descriptor loses lines, never a request."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            os.write(self._fd, b"".join(lines))
        except OSError:
            return

    def _write(self, fields: Mapping[str, Any]) -> None:
        self._lines.append(_encode(fields) + b"\n")
        if self._schedule is None:
            self.flush()
        elif len(self._lines) == 1:
            self._schedule(self._flush_s, self.flush)


class Metrics:
    """All series of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        reg = self.registry
        self._requests = Counter(
            "dragoman_requests_total", "Calls by operation and status", ["operation", "status"], registry=reg
        )
        self._errors = Counter(
            "dragoman_errors_total", "Failed calls by owner of the failure", ["owner"], registry=reg
        )
        tokens = Counter("dragoman_tokens_total", "Tokens by kind", ["kind"], registry=reg)
        self._tokens = {k: tokens.labels(k) for k in TOKEN_KINDS}
        self._charged = Counter(
            "dragoman_charged_quota_units_total", "Quota units charged (1/500000 USD)", registry=reg
        )
        first = Histogram(
            "dragoman_first_byte_seconds",
            "Request to first byte of the answer",
            ["operation"],
            buckets=FIRST_BYTE_BUCKETS,
            registry=reg,
        )
        over = Histogram(
            "dragoman_overhead_seconds",
            "The gateway's own share of the time to the upstream request",
            ["operation"],
            buckets=OVERHEAD_BUCKETS,
            registry=reg,
        )
        self._first, self._over = first, over
        self.open_streams = Gauge("dragoman_open_streams", "Streams being relayed", registry=reg)
        self._children: dict[tuple[str, str], Any] = {}
        self._sources: list[tuple[str, str, Callable[[], Mapping[str, float]]]] = []
        reg.register(self)

    def source(self, prefix: str, text: str, read: Callable[[], Mapping[str, float]]) -> None:
        """A part of the gateway that is asked for its figures when ``/metrics`` is read (pool, writer, key table)."""
        self._sources.append((prefix, text, read))

    def collect(self) -> Any:
        """prometheus_client's collector protocol: one gauge per figure of every source."""
        for prefix, text, read in self._sources:
            for name, value in read().items():
                yield GaugeMetricFamily(f"dragoman_{prefix}_{name}", f"{text}: {name}", value=value)

    def finished(
        self, operation: str, status: int, *, owner: str, first_byte_s: float | None, overhead_s: float | None
    ) -> None:
        """Count a call. ``owner`` is "" for a success, else client, upstream or gateway."""
        child = self._child
        child("r", operation, lambda: self._requests.labels(operation, str(status)), str(status)).inc()
        if owner:
            child("e", owner, lambda: self._errors.labels(owner)).inc()
        if first_byte_s is not None:
            child("f", operation, lambda: self._first.labels(operation)).observe(first_byte_s)
        if overhead_s is not None:
            child("o", operation, lambda: self._over.labels(operation)).observe(overhead_s)

    def used(self, counts: Mapping[str, int], quota: int) -> None:
        """Add a call's tokens and its charge in quota units."""
        for kind, count in counts.items():
            if count:
                self._tokens[kind].inc(count)
        if quota:
            self._charged.inc(quota)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)

    def _child(self, family: str, label: str, make: Callable[[], Any], second: str = "") -> Any:
        """Resolved label children are kept: resolving costs more than counting."""
        key = (family + second, label)
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = make()
        return found


def stderr_journal(level: str = "info") -> Journal:
    """The journal of a server process."""
    return Journal(fd=sys.stderr.fileno(), level=level)
