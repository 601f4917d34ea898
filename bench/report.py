"""Figures to table, Markdown and picture. A result is the dictionary that run.py writes as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

Figures = dict[str, Any]


class Metric(NamedTuple):
    """A row: where its figure stands in a peer's figures, its unit, and the limit that Dragoman must keep."""

    key: str
    label: str
    unit: str
    limit: float | None = None
    in_picture: bool = False


METRICS = (
    Metric("cpu_us_request", "CPU per request at saturation", "µs", 300, True),
    Metric("requests_per_s", "requests per second, one core", "/s"),
    Metric("cpu_us_frame", "CPU per streamed frame at saturation", "µs", 60, True),
    Metric("frames_per_s", "frames per second, one core", "/s"),
    Metric("translation_us_request", "translation (Anthropic to chat), CPU on top per request", "µs", 900),
    Metric("translation_us_frame", "translation, CPU on top per frame", "µs", 60),
    Metric("stall_ms", "longest wait of a stream while 10 MB bodies are translated", "ms", 20),
    Metric("added_p50_us_low", "added latency p50 at 50/s", "µs", None, True),
    Metric("added_p99_us_low", "added latency p99 at 50/s", "µs"),
    Metric("added_p50_us_high", "added latency p50 at 1 000/s", "µs"),
    Metric("added_p99_us_high", "added latency p99 at 1 000/s", "µs"),
    Metric("frame_added_p50_us", "added latency of a frame p50", "µs"),
    Metric("frame_added_p99_us", "added latency of a frame p99", "µs"),
    Metric("rss_idle_mb", "memory at rest", "MB", 120, True),
    Metric("rss_open_mb", "memory with {streams} open streams", "MB"),
    Metric("kb_per_stream", "memory per open stream", "KB", 25, True),
    Metric("start_s", "first answer after start", "s", 1.5, True),
    Metric("first_start_s", "the very first start, in an empty folder", "s"),
)


def number(value: float | None) -> str:
    """Three significant digits, thin spaces for thousands, an en dash for nothing."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _ratio(above: float | None, below: float | None) -> str:
    if above is None or below is None or below <= 0 or above < 0:
        return ""
    ratio = above / below
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.1f}×"


def rows(result: Figures) -> list[list[str]]:
    """The table, header first; ratios where both gateways were measured."""
    peers = result["peers"]
    header = ["", *(figures["label"] for figures in peers.values())]
    by_nginx = {"nginx", "dragoman"} <= peers.keys()
    by_litellm = {"litellm", "dragoman"} <= peers.keys()
    header += ["Dragoman ÷ nginx"] * by_nginx + ["LiteLLM ÷ Dragoman"] * by_litellm
    table = [header]
    for metric in METRICS:
        values = {name: figures.get(metric.key) for name, figures in peers.items()}
        if all(value is None for value in values.values()):
            continue
        label = metric.label.format(streams=number(result["settings"]["open_streams"]))
        row = [f"{label}, {metric.unit}", *(number(value) for value in values.values())]
        # A ratio of costs: throughput rows say the same the other way round.
        costs = metric.unit != "/s"
        if by_nginx:
            row.append(_ratio(values["dragoman"], values["nginx"]) if costs else "")
        if by_litellm:
            row.append(_ratio(values["litellm"], values["dragoman"]) if costs else "")
        table.append(row)
    return table


def plain_table(table: list[list[str]]) -> str:
    """The table for a terminal."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for index, row in enumerate(table):
        lines.append("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]))
        if index == 0:
            lines.append("-" * len(lines[0]))
    return "\n".join(lines)


def markdown_table(table: list[list[str]]) -> str:
    """The table for README.md and docs/benchmarks."""
    lines = ["| " + " | ".join(table[0]) + " |", "|---" + "|---:" * (len(table[0]) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table[1:]]
    return "\n".join(lines)


def gate(result: Figures) -> list[tuple[str, bool]]:
    """Each limit of the first release with Dragoman's figure beside it, and whether it holds."""
    figures = result["peers"].get("dragoman")
    if figures is None:
        return []
    verdicts = []
    for metric in METRICS:
        value = figures.get(metric.key)
        if metric.limit is not None and value is not None:
            line = f"{metric.label}: {number(value)} of {number(metric.limit)} {metric.unit}"
            verdicts.append((line.format(streams=""), value <= metric.limit))
    if figures["failures"]:
        verdicts.append((f"failed requests: {figures['failures']}", False))
    return verdicts


def doubts(result: Figures) -> list[str]:
    """What makes the figures less sure: failed requests, and a core that was not the gateway's alone."""
    found = []
    for figures in result["peers"].values():
        if figures["failures"]:
            found.append(f"{figures['label']}: {figures['failures']} failed requests")
        if figures["busy"] < 0.85:
            found.append(
                f"{figures['label']}: had its core for only {figures['busy']:.0%} of the time at saturation; another "
                "process ran there or the load could not keep up, so its throughput and latency are too bad"
            )
    return found


_COLOURS = {"dragoman": "#b4442e", "nginx": "#3f7d5f", "litellm": "#5a6b8c"}
_PANEL_WIDTH, _ROW, _PANELS_ACROSS = 440, 26, 2


def _panel(result: Figures, metric: Metric, left: int, top: int) -> Iterable[str]:
    """One metric: a bar per gateway on a logarithmic scale, each with its figure."""
    values = {name: figures.get(metric.key) for name, figures in result["peers"].items()}
    shown = [value for value in values.values() if value is not None and value > 0]
    low = math.floor(math.log10(min(shown))) if shown else 0
    high = max(math.log10(max(shown)) if shown else 1, low + 1)
    yield f'<text x="{left}" y="{top}" class="title">{escape(metric.label)}, {metric.unit}</text>'
    for index, (name, value) in enumerate(values.items()):
        y = top + 14 + index * _ROW
        label = result["peers"][name]["label"]
        yield f'<text x="{left + 76}" y="{y + 13}" class="name">{escape(label)}</text>'
        share = (math.log10(value) - low) / (high - low) if value is not None and value > 0 else 0
        width = max(3.0, share * (_PANEL_WIDTH - 170))
        colour = _COLOURS.get(name, "#8a8a8a")
        if value is not None:
            yield f'<rect x="{left + 84}" y="{y}" width="{width:.1f}" height="18" rx="3" fill="{colour}"/>'
        after = left + 90 + (width if value is not None else 0)
        yield f'<text x="{after:.1f}" y="{y + 13}">{number(value)}</text>'


def picture(result: Figures) -> str:
    """An SVG of the main metrics."""
    metrics = [metric for metric in METRICS if metric.in_picture]
    panel_height = 40 + _ROW * len(result["peers"])
    lines = math.ceil(len(metrics) / _PANELS_ACROSS)
    width, height = _PANEL_WIDTH * _PANELS_ACROSS + 24, 74 + panel_height * lines
    style = (
        "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;fill:#111}"
        ".name{text-anchor:end}.head{font-size:16px;font-weight:600;fill:#111}.note{fill:#666}"
    )
    labels = escape(", ".join(figures["label"] for figures in result["peers"].values()))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="Benchmark of {labels}">',
        f"<style>{style}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<text x="24" y="30" class="head">The cost of standing in between</text>',
        '<text x="24" y="48" class="note">one core per gateway, 1 KB chat requests, logarithmic bars, '
        f"less is better ({escape(result['date'])})</text>",
    ]
    for index, metric in enumerate(metrics):
        left = 24 + (index % _PANELS_ACROSS) * _PANEL_WIDTH
        parts += _panel(result, metric, left, 80 + (index // _PANELS_ACROSS) * panel_height)
    return "\n".join([*parts, "</svg>", ""])


def legend(result: Figures) -> str:
    """What was measured and how, in Markdown."""
    machine, settings = result["machine"], result["settings"]
    lines = [
        f"Measured {result['date']} on {machine['cores']} cores of {machine['cpu']} (Linux "
        f"{machine['kernel']}, Python {machine['python']}), gateways on one core, load and upstream on the "
        "other. CPU is user and system time of the gateway's whole process tree, divided by the requests (or "
        f"frames) it relayed, at {settings['conns']} connections (or {settings['frame_streams']} streams) that "
        "never wait: a stream's next frame is sent when the client has the one before it, so no two frames "
        "melt into one read. Added latency is a percentile through the gateway less the same percentile of "
        "direct calls; at 50/s most of it is an idle virtual CPU waking up.",
        "",
    ]
    for figures in result["peers"].values():
        lines.append(f"- {figures['label']} {figures['version']}: {figures['work']}.")
    for name, reason in result["skipped"].items():
        lines.append(f"- {name} was skipped: {reason}.")
    return "\n".join(lines)


def fill_between(path: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marker lines of a file."""
    whole = path.read_text(encoding="utf-8")
    head, found, rest = whole.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{path}: markers {begin} and {end} are missing")
    path.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")


def publish(result: Figures, docs: Path, readme: Path, as_json: Callable[[Figures], str]) -> None:
    """Write docs/benchmarks/latest.* and the table in the README."""
    docs.mkdir(parents=True, exist_ok=True)
    table = markdown_table(rows(result))
    (docs / "latest.json").write_text(as_json(result), encoding="utf-8")
    (docs / "latest.svg").write_text(picture(result), encoding="utf-8")
    (docs / "latest.md").write_text(
        f"# Benchmark\n\n{table}\n\n![The same as a picture](latest.svg)\n\n{legend(result)}\n\n"
        "Run it yourself with `make bench`. The raw figures stand in [latest.json](latest.json).\n",
        encoding="utf-8",
    )
    fill_between(readme, "<!-- bench:begin -->", "<!-- bench:end -->", f"\n{table}\n")
