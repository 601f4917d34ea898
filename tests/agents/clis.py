"""How each agent is started: a clean environment, its own home, telemetry off, the gateway as its only vendor.

An ``Agent`` writes its settings into a fresh home and gives command and environment for one headless task. What stands
here is what `docs/clients.md` tells users, plus what a machine without a user needs (no prompts, no updates).
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents import install
from tests.conformance.world import AM, GM, RS

RUN_TIMEOUT_S = 75
SECRET_FILE = "secret.txt"


@dataclass(frozen=True)
class Task:
    """One headless run. key: the gateway's; proxy: where everything that is not the gateway is sent."""

    url: str
    key: str
    model: str
    proxy: str
    home: Path
    work: Path
    prompt: str

    @property
    def secret(self) -> Path:
        return self.work / SECRET_FILE


@dataclass(frozen=True)
class Agent:
    """An agent. tools: the names of a tool that can read the file, each with the arguments of a call that does.

    path: of its calls at the gateway, as the log shows it, with {model}. keeps_thoughts: it sends reasoning back that
    does not hang on a call.
    """

    name: str
    dialect: str
    client: str
    path: str
    tools: Mapping[str, Callable[[Task], dict[str, Any]]]
    command: Callable[[Task], list[str]]
    environment: Callable[[Task], dict[str, str]]
    settings: Callable[[Task], Mapping[str, str]]
    keeps_thoughts: bool = True


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    stdout: str
    stderr: str


def run(agent: Agent, task: Task) -> Ended:
    """Run the agent to its end; AssertionError with what it said if it has not ended in time."""
    for name, text in agent.settings(task).items():
        path = task.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    process = subprocess.Popen(
        agent.command(task),
        cwd=task.work,
        env={**_environment(task), **agent.environment(task)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its own children end with it
    )
    try:
        stdout, stderr = process.communicate(timeout=RUN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        raise AssertionError(
            f"{agent.name} did not end within {RUN_TIMEOUT_S} s\n{stdout[-2000:]}\n{stderr[-2000:]}"
        ) from None
    return Ended(process.returncode, stdout, stderr)


def _environment(task: Task) -> dict[str, str]:
    temporary = task.home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(task.home),
        "PATH": f"{install.node_dir(install.place())}:/usr/local/bin:/usr/bin:/bin",
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "SHELL": "/bin/sh",
        "HTTPS_PROXY": task.proxy,
        "HTTP_PROXY": task.proxy,
        "NO_PROXY": "127.0.0.1",
    }


def _script(*path: str) -> list[str]:
    """The command for a program of an npm package."""
    place = install.place()
    return [str(install.node_dir(place) / "node"), str(place.joinpath("node_modules", *path))]


# --- Claude Code ------------------------------------------------------------------------------------------


def _claude_environment(task: Task) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": task.url,
        "ANTHROPIC_API_KEY": task.key,
        "ANTHROPIC_MODEL": task.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": task.model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


CLAUDE = Agent(
    name="claude-code",
    dialect=AM,
    client="claude-code",
    path="/v1/messages",
    tools={"Read": lambda task: {"file_path": str(task.secret)}},
    command=lambda task: [
        *_script("@anthropic-ai", "claude-code", "cli-wrapper.cjs"),
        "-p",
        task.prompt,
        "--allowedTools",
        "Read",
    ],
    environment=_claude_environment,
    settings=lambda task: {},
)


# --- Codex ------------------------------------------------------------------------------------------------


def _codex_settings(task: Task) -> dict[str, str]:
    config = f"""\
model = "{task.model}"
model_provider = "dragoman"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[analytics]
enabled = false

[features]
plugins = false

[model_providers.dragoman]
name = "Dragoman"
base_url = "{task.url}/v1"
env_key = "DRAGOMAN_KEY"
wire_api = "responses"
"""
    return {".codex/config.toml": config}


def _cat(task: Task) -> str:
    return shlex.join(["cat", str(task.secret)])


CODEX = Agent(
    name="codex",
    dialect=RS,
    client="codex",
    path="/v1/responses",
    tools={
        "exec_command": lambda task: {"cmd": _cat(task)},
        "shell_command": lambda task: {"command": _cat(task)},
        "shell": lambda task: {"command": ["cat", str(task.secret)]},
    },
    command=lambda task: [
        *_script("@openai", "codex", "bin", "codex.js"),
        "exec",
        "--skip-git-repo-check",
        task.prompt,
    ],
    environment=lambda task: {"CODEX_HOME": str(task.home / ".codex"), "DRAGOMAN_KEY": task.key},
    settings=_codex_settings,
)


# --- Gemini CLI -------------------------------------------------------------------------------------------


def _gemini_settings(task: Task) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "model": {"name": task.model},
        "telemetry": {"enabled": False},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    }
    return {".gemini/settings.json": json.dumps(settings)}


GEMINI = Agent(
    name="gemini-cli",
    dialect=GM,
    client="gemini-cli",
    path="/v1beta/models/{model}:streamGenerateContent",
    tools={"read_file": lambda task: {"file_path": SECRET_FILE}},
    command=lambda task: [
        *_script("@google", "gemini-cli", "bundle", "gemini.js"),
        "--skip-trust",
        "--yolo",
        "--prompt",
        task.prompt,
    ],
    environment=lambda task: {
        "GEMINI_API_KEY": task.key,
        "GOOGLE_GEMINI_BASE_URL": task.url,
        "GEMINI_MODEL": task.model,
    },
    settings=_gemini_settings,
    keeps_thoughts=False,
)

AGENTS = (CLAUDE, CODEX, GEMINI)
