import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dragoman.observe import TOKEN_KINDS, Journal, Metrics, stderr_journal

SECRET = "sk-abcdefghijklmnop1234"


class Pipe:
    """A journal's descriptor and what was written to it, one entry a system call."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)

    def read(self) -> bytes:
        try:
            return os.read(self.read_end, 1 << 20)
        except BlockingIOError:
            return b""

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.read().splitlines()]

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


class Loop:
    """``call_later`` as a list."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> None:
        self.later.append((delay_s, fn))


# --- journal ----------------------------------------------------------------------------------------------


def test_before_there_is_a_loop_every_line_is_written_at_once(pipe: Pipe) -> None:
    journal = Journal(fd=pipe.write_end)
    journal.note("start", port=80, ready=True, nothing=None)
    (line,) = pipe.lines()
    assert line.pop("ts") > 0
    assert line == {"event": "start", "port": 80, "ready": True, "nothing": None}
    journal.note("stop")
    assert [e["event"] for e in pipe.lines()] == ["stop"]


def test_lines_are_collected_and_flushed_together(pipe: Pipe) -> None:
    journal, loop = Journal(fd=pipe.write_end, flush_s=0.5), Loop()
    journal.attach(loop.call_later)
    for name in ("a", "b", "c"):
        journal.note(name)
    assert pipe.read() == b""
    assert [delay for delay, _ in loop.later] == [0.5]
    loop.later.pop()[1]()
    assert [e["event"] for e in pipe.lines()] == ["a", "b", "c"]
    journal.note("d")
    assert len(loop.later) == 1
    journal.flush()
    journal.flush()
    assert [e["event"] for e in pipe.lines()] == ["d"]


def test_a_call_is_one_line_with_its_fields(pipe: Pipe) -> None:
    Journal(fd=pipe.write_end).call({"request_id": "req_1", "status": 200, "error": ""})
    raw = pipe.read()
    assert raw.count(b"\n") == 1 and raw.endswith(b"\n")
    line = json.loads(raw)
    assert line.pop("ts") > 0
    assert line == {"event": "call", "request_id": "req_1", "status": 200, "error": ""}


def test_free_text_is_redacted(pipe: Pipe) -> None:
    journal = Journal(fd=pipe.write_end)
    journal.call({"error": f"Incorrect API key provided: {SECRET}"})
    journal.note("internal_error", error=f"KeyError: {SECRET}")
    raw = pipe.read()
    assert SECRET.encode() not in raw and raw.count(b"***") == 2


@pytest.mark.parametrize("error", [None, ""])
def test_a_call_without_an_error_says_so(pipe: Pipe, error: str | None) -> None:
    Journal(fd=pipe.write_end).call({"error": error})
    Journal(fd=pipe.write_end).call({})
    assert [e["error"] for e in pipe.lines()] == ["", ""]


@pytest.mark.parametrize(("level", "calls"), [("debug", 1), ("info", 1), ("warning", 0), ("error", 0)])
def test_the_level_silences_calls_but_no_notes(pipe: Pipe, level: str, calls: int) -> None:
    journal = Journal(fd=pipe.write_end, level=level)
    journal.call({"a": 1})
    journal.note("stop")
    events = [e["event"] for e in pipe.lines()]
    assert events == ["call"] * calls + ["stop"]


def test_a_newline_in_a_field_does_not_break_the_line(pipe: Pipe) -> None:
    Journal(fd=pipe.write_end).note("x", text='a\n{"event":"forged"}')
    assert [e["event"] for e in pipe.lines()] == ["x"]


def test_a_closed_descriptor_loses_lines_and_nothing_else() -> None:
    journal, loop = Journal(fd=-1), Loop()
    journal.note("lost")
    journal.attach(loop.call_later)
    journal.note("lost too")
    loop.later.pop()[1]()
    journal.note("next")
    assert len(loop.later) == 1


def test_the_server_writes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    stderr_journal("warning").note("hello")
    out, err = capfd.readouterr()
    assert out == "" and json.loads(err)["event"] == "hello"
    assert stderr_journal("warning").level == "warning"


# --- metrics ----------------------------------------------------------------------------------------------


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_calls_are_counted_by_operation_and_status() -> None:
    metrics = Metrics()
    metrics.finished("chat", 200, owner="", first_byte_s=None, overhead_s=None)
    metrics.finished("chat", 200, owner="", first_byte_s=None, overhead_s=None)
    metrics.finished("chat", 429, owner="upstream", first_byte_s=None, overhead_s=None)
    metrics.finished("messages", 200, owner="", first_byte_s=None, overhead_s=None)
    assert value(metrics, "dragoman_requests_total", operation="chat", status="200") == 2
    assert value(metrics, "dragoman_requests_total", operation="chat", status="429") == 1
    assert value(metrics, "dragoman_requests_total", operation="messages", status="200") == 1
    assert value(metrics, "dragoman_errors_total", owner="upstream") == 1
    assert value(metrics, "dragoman_errors_total", owner="") is None


def test_times_are_observed_only_where_they_are_known() -> None:
    metrics = Metrics()
    metrics.finished("chat", 200, owner="", first_byte_s=0.3, overhead_s=0.002)
    metrics.finished("chat", 500, owner="gateway", first_byte_s=None, overhead_s=None)
    assert value(metrics, "dragoman_first_byte_seconds_count", operation="chat") == 1
    assert value(metrics, "dragoman_first_byte_seconds_sum", operation="chat") == 0.3
    assert value(metrics, "dragoman_first_byte_seconds_bucket", operation="chat", le="0.25") == 0
    assert value(metrics, "dragoman_first_byte_seconds_bucket", operation="chat", le="0.5") == 1
    assert value(metrics, "dragoman_overhead_seconds_count", operation="chat") == 1
    assert value(metrics, "dragoman_overhead_seconds_bucket", operation="chat", le="0.0025") == 1
    assert value(metrics, "dragoman_overhead_seconds_bucket", operation="chat", le="0.001") == 0


def test_tokens_and_charges_add_up() -> None:
    metrics = Metrics()
    metrics.used({"input": 3, "output": 0, "cache_write": 2}, 7)
    metrics.used({"input": 4}, 0)
    assert value(metrics, "dragoman_tokens_total", kind="input") == 7
    assert value(metrics, "dragoman_tokens_total", kind="cache_write") == 2
    assert value(metrics, "dragoman_tokens_total", kind="output") == 0
    assert value(metrics, "dragoman_charged_quota_units_total") == 7


def test_all_token_kinds_are_there_from_the_start() -> None:
    metrics = Metrics()
    assert [value(metrics, "dragoman_tokens_total", kind=k) for k in TOKEN_KINDS] == [0] * 5


def test_sources_are_read_when_metrics_are() -> None:
    metrics, figures = Metrics(), {"open": 1.0}
    metrics.source("pool", "Upstream pool", lambda: figures)
    assert b"\ndragoman_pool_open 1.0\n" in metrics.render()
    figures["open"], figures["idle"] = 5.0, 2.0
    text = metrics.render()
    assert b"\ndragoman_pool_open 5.0\n" in text and b"\ndragoman_pool_idle 2.0\n" in text
    assert b"# HELP dragoman_pool_idle Upstream pool: idle\n" in text


def test_two_sets_of_metrics_share_nothing() -> None:
    first, second = Metrics(), Metrics()
    first.open_streams.inc()
    first.used({"input": 1}, 1)
    assert value(second, "dragoman_open_streams") == 0
    assert value(second, "dragoman_charged_quota_units_total") == 0
    assert b"dragoman_open_streams 1.0" in first.render()
