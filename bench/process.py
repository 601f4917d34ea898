"""What a process tree costs: CPU time and memory, read from /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

_TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


class Cpu(NamedTuple):
    """CPU time in microseconds."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """User and system time."""
        return self.user + self.system


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name: state, parent, …"""
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2 :].split()


def tree(root: int) -> list[int]:
    """``root`` and all its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children[int(_stat_fields(int(entry.name))[1])].append(int(entry.name))
            except OSError:
                continue
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children[pid]
    return found


def cpu(pids: list[int]) -> Cpu:
    """CPU time used so far by all threads of ``pids``."""
    user = system = 0.0
    for pid in pids:
        try:
            fields = _stat_fields(pid)
        except OSError:
            continue
        user += int(fields[11]) * _TICK_US
        system += int(fields[12]) * _TICK_US
    return Cpu(user, system)


def rss_kb(pids: list[int]) -> int:
    """Resident memory, shared pages counted in each process."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total


def stolen_ticks() -> int:
    """Ticks that the hypervisor took from this machine, all cores."""
    return int(Path("/proc/stat").read_text().splitlines()[0].split()[8])


def stop(process: subprocess.Popen[bytes], patience_s: float = 8) -> None:
    """End the process group that ``process`` leads: TERM, then KILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            end = time.monotonic() + patience_s
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.02)
    process.wait()
