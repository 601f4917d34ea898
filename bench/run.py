"""make bench: what a gateway costs, beside nginx and LiteLLM in the same run.

    python bench/run.py [--quick] [--only nginx,dragoman] [--publish | --no-publish] [--gate]

Gateways run on core 0, the load and the upstream on core 1. Each gateway is started with a bare environment
and an empty folder, measured, and stopped before the next. Writes bench/out/<time>.json and .svg; a full run
also writes docs/benchmarks/latest.* and the table in README.md.
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import process
import report
from load import BenchError, Load, chat_body, http_request, messages_body
from peers import PEERS, Launch, Peer, Place, SkippedError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = HERE / "out"
READY_TIMEOUT_S = 120


class Settings(NamedTuple):
    """How long and how hard."""

    repeats: int = 3
    seconds: float = 5
    conns: int = 32
    frame_streams: int = 64
    frames_per_stream: int = 500
    low_rate: float = 50
    low_seconds: float = 10
    high_rate: float = 1000
    high_needs_per_s: float = 2200
    paced_streams: int = 20
    paced_interval_us: float = 100_000
    open_streams: int = 2000
    open_interval_us: float = 4_000_000
    large_bytes: int = 10_000_000
    large_bodies: int = 5
    stall_interval_us: float = 5_000


QUICK = Settings(repeats=1, seconds=3, low_seconds=4, open_streams=500)


class Direct(NamedTuple):
    """The latencies without a gateway, in microseconds."""

    low: dict[str, Any]
    high: dict[str, Any]
    paced: dict[str, Any]


class Gateway:
    """One running gateway under measurement."""

    def __init__(self, launch: Launch, place: Place, core: int | None) -> None:
        self.launch = launch
        self.port = place.port
        self._log = place.folder / "gateway.log"
        env = {"PATH": os.environ["PATH"], "HOME": str(place.folder), "LANG": "C.UTF-8", **launch.env}
        command = launch.command if core is None else ["taskset", "-c", str(core), *launch.command]
        started = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=place.folder, env=env, start_new_session=True
            )
        try:
            self._wait(started)
        except BenchError:
            self.stop()
            raise
        self.start_s = time.monotonic() - started
        self.pids = process.tree(self._process.pid)

    def request(self, *, stream: bool, translated: bool = False) -> bytes:
        """The request that the load generator sends through this gateway; the upstream always speaks chat."""
        if translated:
            body = messages_body(self.launch.model, stream=stream)
            return http_request(self.port, self.launch.key, body, "/v1/messages")
        return http_request(self.port, self.launch.key, chat_body(self.launch.model, stream=stream))

    def post(self, path: str, body: bytes) -> int:
        """One request of our own; its status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self.launch.key}", "Content-Type": "application/json"}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def _wait(self, started: float) -> None:
        """Ask until the first 200."""
        body = chat_body(self.launch.model, stream=False).replace(b"@@@@@@", b"100000")
        headers = {"Authorization": f"Bearer {self.launch.key}", "Content-Type": "application/json"}
        last = "no connection"
        while time.monotonic() - started < READY_TIMEOUT_S and self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.request("POST", "/v1/chat/completions", body, headers)
                answer = connection.getresponse()
                if answer.status == 200:
                    answer.read()
                    return
                last = f"{answer.status} {answer.read()[:300]!r}"
            except (OSError, http.client.HTTPException) as error:
                last = repr(error)
            finally:
                connection.close()
            time.sleep(0.01)
        tail = self._log.read_text(errors="replace")[-1500:]
        raise BenchError(f"not ready: {last}\n{tail}")

    def stop(self) -> None:
        """Stop it and all it started."""
        process.stop(self._process)


class Bench:
    """The measurements of one gateway; ``figures`` fills up as they are made."""

    def __init__(self, gateway: Gateway, load: Load, settings: Settings, figures: dict[str, Any]) -> None:
        self._gateway, self._load, self._settings, self._figures = gateway, load, settings, figures
        self._runs: list[dict[str, Any]] = figures.setdefault("runs", [])
        figures.setdefault("failures", 0)

    def _run(self, mode: str, *, translated: bool = False, **arguments: Any) -> dict[str, Any]:
        """One run with its CPU time, kept among the raw figures."""
        request = self._gateway.request(stream=mode in ("frames", "paced"), translated=translated)
        stolen, before = process.stolen_ticks(), process.cpu(self._gateway.pids)
        found = self._load.run(mode, self._gateway.port, request, **arguments)
        after = process.cpu(self._gateway.pids)
        units = found["events"] or found["done"]
        if not units:
            raise BenchError(f"{mode}: nothing came through: {found}")
        found |= {
            "mode": mode + ("/translated" if translated else ""),
            "cpu_us": (after.total - before.total) / units,
            "user_us": (after.user - before.user) / units,
            "gateway_busy": (after.total - before.total) / 1e6 / found["seconds"],
            "stolen_ticks": process.stolen_ticks() - stolen,
        }
        self._runs.append(found)
        self._figures["failures"] += found["errors"] + found["bad"]
        return found

    def _median(self, mode: str, **arguments: Any) -> dict[str, Any]:
        """The run with the median CPU time of several."""
        found = [
            self._run(mode, seconds=self._settings.seconds, **arguments)
            for _ in range(self._settings.repeats)
        ]
        return sorted(found, key=lambda run: run["cpu_us"])[len(found) // 2]

    def memory(self) -> None:
        """At rest, then with many open streams."""
        settings, pids, found = self._settings, self._gateway.pids, self._figures
        time.sleep(1)
        found["rss_idle_mb"] = process.rss_kb(pids) / 1024
        warm = self._run("closed", conns=settings.conns, seconds=1.5)
        before = process.rss_kb(pids)
        seen: list[int] = []

        def sample() -> None:
            seen.append(process.rss_kb(pids))
            time.sleep(1)
            seen.append(process.rss_kb(pids))

        # Opening may take four times what the speed just seen promises; then two seconds to look.
        seconds = 4 * settings.open_streams / max(warm["per_second"], 20) + 10
        self._run(
            "paced",
            conns=settings.open_streams,
            seconds=seconds,
            rate=2,
            frames=1_000_000,
            interval_us=settings.open_interval_us,
            when_open=sample,
        )
        if seen:
            found["rss_open_mb"] = max(seen) / 1024
            found["kb_per_stream"] = (max(seen) - before) / settings.open_streams

    def cost(self) -> None:
        """CPU per request and per frame at saturation."""
        settings, found = self._settings, self._figures
        self._run("closed", conns=settings.conns, seconds=1.5)
        closed = self._median("closed", conns=settings.conns)
        found["cpu_us_request"], found["requests_per_s"] = closed["cpu_us"], closed["per_second"]
        frames = self._median("frames", conns=settings.frame_streams, frames=settings.frames_per_stream)
        found["cpu_us_frame"] = frames["cpu_us"]
        found["frames_per_s"] = frames["events"] / frames["seconds"]
        found["busy"] = min(closed["gateway_busy"], frames["gateway_busy"])

    def translation(self) -> None:
        """What it costs more when the client speaks Anthropic and the upstream chat, and whom a large body stops."""
        settings, found = self._settings, self._figures
        self._run("closed", conns=settings.conns, seconds=1.5, translated=True)
        closed = self._median("closed", conns=settings.conns, translated=True)
        found["translation_us_request"] = closed["cpu_us"] - found["cpu_us_request"]
        frames = self._median(
            "frames", conns=settings.frame_streams, frames=settings.frames_per_stream, translated=True
        )
        found["translation_us_frame"] = frames["cpu_us"] - found["cpu_us_frame"]
        large = large_body(self._gateway.launch.model, settings.large_bytes)
        statuses: list[int] = []

        def send_large() -> None:
            statuses.extend(self._gateway.post("/v1/messages", large) for _ in range(settings.large_bodies))

        quiet, busy = (
            self._run(
                "paced",
                conns=settings.paced_streams,
                seconds=settings.seconds,
                frames=1_000_000,
                interval_us=settings.stall_interval_us,
                when_open=work,
            )
            for work in (lambda: None, send_large)
        )
        if statuses != [200] * settings.large_bodies:
            raise BenchError(f"large bodies were answered {statuses}")
        found["stall_ms"] = (busy["max_us"] - quiet["max_us"]) / 1000

    def latency(self, direct: Direct) -> None:
        """What it adds at a fixed rate."""
        settings, found = self._settings, self._figures
        low = self._run("rate", conns=32, seconds=settings.low_seconds, rate=settings.low_rate)
        pairs = [("added_{}_us_low", low, direct.low)]
        if found["requests_per_s"] >= settings.high_needs_per_s:
            high = self._run("rate", conns=64, seconds=settings.seconds, rate=settings.high_rate)
            pairs.append(("added_{}_us_high", high, direct.high))
        paced = self._run(
            "paced",
            conns=settings.paced_streams,
            seconds=settings.seconds,
            frames=1_000_000,
            interval_us=settings.paced_interval_us,
        )
        pairs.append(("frame_added_{}_us", paced, direct.paced))
        for name, through, without in pairs:
            for share in ("p50", "p99"):
                found[name.format(share)] = through[f"{share}_us"] - without[f"{share}_us"]


def large_body(model: str, size: int) -> bytes:
    """An Anthropic request with base64 images of ``size`` bytes together."""
    images = [
        {
            "type": "image",
            "source": {
                "type": "base64",
                "media_type": "image/png",
                "data": "iVBORw0KGgo" + "A" * (size // 4),
            },
        }
        for _ in range(4)
    ]
    message = {"role": "user", "content": [*images, {"type": "text", "text": "What is this?"}]}
    return json.dumps({"model": model, "max_tokens": 16, "messages": [message]}).encode()


def measure_direct(load: Load, settings: Settings) -> Direct:
    """The same calls straight to the upstream."""
    port = load.upstream_port
    plain = http_request(port, "sk-upstream", chat_body("gpt-4.1", stream=False))
    streamed = http_request(port, "sk-upstream", chat_body("gpt-4.1", stream=True))
    return Direct(
        load.run("rate", port, plain, conns=32, seconds=settings.low_seconds, rate=settings.low_rate),
        load.run("rate", port, plain, conns=64, seconds=settings.seconds, rate=settings.high_rate),
        load.run(
            "paced",
            port,
            streamed,
            conns=settings.paced_streams,
            seconds=settings.seconds,
            frames=1_000_000,
            interval_us=settings.paced_interval_us,
        ),
    )


def measure(peer: Peer, load: Load, direct: Direct, settings: Settings, core: int | None) -> dict[str, Any]:
    """All figures of one gateway."""
    folder = OUT / "work" / peer.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    place = Place(folder, free_port(), load.upstream_port)
    launch = peer.launch(place)
    figures: dict[str, Any] = {"label": peer.label, "version": launch.version, "work": peer.work}
    starts: list[float] = []

    def start() -> Gateway:
        gateway = Gateway(launch, place, core)
        starts.append(gateway.start_s)
        return gateway

    # Three starts: in an empty folder; for memory, before anything has run; for the rest.
    start().stop()
    work = [
        Bench.cost,
        *([Bench.translation] if peer.translates else []),
        lambda bench: bench.latency(direct),
    ]
    for parts in ([Bench.memory], work):
        gateway = start()
        try:
            for part in parts:
                part(Bench(gateway, load, settings, figures))
        finally:
            gateway.stop()
    figures |= {"starts_s": starts, "first_start_s": starts[0], "start_s": statistics.median(starts[1:])}
    return figures


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def pin() -> int | None:
    """Move this process (and so the load) to core 1; returns the gateways' core, or None with one core."""
    if len(os.sched_getaffinity(0)) < 2 or shutil.which("taskset") is None:
        print(
            "bench: one core or no taskset, so nothing is pinned and the figures are worth less", flush=True
        )
        return None
    os.sched_setaffinity(0, {1})
    return 0


def run(names: list[str], settings: Settings) -> dict[str, Any]:
    """Measure the named gateways, one after the other."""
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "settings": settings._asdict(),
        "peers": {},
        "skipped": {},
    }
    core = pin()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    OUT.mkdir(exist_ok=True)
    with Load(free_port(), OUT, None if core is None else 1) as load:
        print("bench: the upstream without a gateway", flush=True)
        direct = measure_direct(load, settings)
        result["direct"] = direct._asdict()
        for peer in PEERS:
            if peer.name not in names:
                continue
            print(f"bench: {peer.label}", flush=True)
            try:
                result["peers"][peer.name] = measure(peer, load, direct, settings, core)
            except (SkippedError, BenchError) as error:
                result["skipped"][peer.label] = str(error)
                print(f"bench: {peer.label} skipped: {error}", flush=True)
    return result


def as_json(result: dict[str, Any]) -> str:
    """Readable, with figures rounded to what they are worth."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 3)
        if isinstance(value, dict):
            return {name: rounded(item) for name, item in value.items()}
        return [rounded(item) for item in value] if isinstance(value, list) else value

    return json.dumps(rounded(result), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Parse the command line, measure, report."""
    parser = argparse.ArgumentParser(
        description="What a gateway costs, beside nginx and LiteLLM in the same run."
    )
    parser.add_argument("--quick", action="store_true", help="shorter runs, for a first look")
    parser.add_argument("--only", default="nginx,dragoman,litellm", help="comma-separated gateways")
    parser.add_argument(
        "--publish",
        action=argparse.BooleanOptionalAction,
        help="write docs/benchmarks and the README's table",
    )
    parser.add_argument("--gate", action="store_true", help="exit 1 when Dragoman misses a limit")
    options = parser.parse_args()
    names = options.only.split(",")
    unknown = set(names) - {peer.name for peer in PEERS}
    if unknown:
        parser.error(f"unknown gateway {', '.join(unknown)}; known: {', '.join(peer.name for peer in PEERS)}")
    result = run(names, QUICK if options.quick else Settings())
    if not result["peers"]:
        return 1
    stem = OUT / datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    stem.with_suffix(".json").write_text(as_json(result), encoding="utf-8")
    stem.with_suffix(".svg").write_text(report.picture(result), encoding="utf-8")
    print(f"\n{report.plain_table(report.rows(result))}\n")
    for line in report.doubts(result):
        print(f"note    {line}")
    verdicts = report.gate(result)
    for line, holds in verdicts:
        print(f"{'ok    ' if holds else 'MISSED'}  {line}")
    print(f"bench: figures in {stem.relative_to(ROOT)}.json, picture in {stem.relative_to(ROOT)}.svg")
    full = not options.quick and {"nginx", "dragoman"} <= result["peers"].keys()
    if options.publish or (options.publish is None and full):
        report.publish(result, ROOT / "docs" / "benchmarks", ROOT / "README.md", as_json)
        print("bench: docs/benchmarks/latest.* and the README's table are up to date")
    return 1 if options.gate and not all(holds for _, holds in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
