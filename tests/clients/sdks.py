"""Several major versions of each vendor's official SDK, each in a directory of its own.

The users' clients are not all of one age, so the tests speak to the gateway with old and new ones. Versions
of one SDK cannot share an environment, hence one `pip install --target` directory per version under
`.cache/sdks/` (git-ignored), from the hash-locked file `requirements/sdks/<name>-<version>.txt`. A directory
is complete when its `.complete` file names the lock file's digest and the interpreter; it is built beside its
place and renamed, so a broken installation is never taken for a whole one.

    python tests/clients/sdks.py install [NAME ...]     installs what is missing (all, or the named ones)
    python tests/clients/sdks.py list                   what there is
    python tests/clients/sdks.py lock                   writes the lock files again (needs uv)

Needs nothing but the standard library and pip.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "requirements" / "sdks"
CACHE = ROOT / ".cache" / "sdks"
INSTALL_TIMEOUT_S = 600

SDKS: tuple[str, ...] = (
    "openai-1.109.1",
    "openai-2.54.0",
    "openai-3.52.0",
    "anthropic-0.76.0",
    "anthropic-1.17.0",
    "anthropic-2.11.0",
    "google-genai-1.55.0",
    "google-genai-2.34.0",
    "google-genai-3.4.0",
    "google-generativeai-0.8.6",
)


class SdkUnavailable(Exception):
    """An SDK could not be installed; the message carries the end of pip's output."""


def family(sdk: str) -> str:
    """`google-genai-3.4.0` -> `google-genai`."""
    return sdk.rpartition("-")[0]


def _stamp(sdk: str) -> str:
    digest = hashlib.sha256((LOCKS / f"{sdk}.txt").read_bytes()).hexdigest()
    return f"{digest} {sys.implementation.cache_tag}"


def is_installed(sdk: str) -> bool:
    """Whether the directory of `sdk` is complete for this lock file and this interpreter."""
    try:
        return (CACHE / sdk / ".complete").read_text() == _stamp(sdk)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _locked(sdk: str) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{sdk}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure(sdk: str) -> Path:
    """The directory of `sdk`, installed first where it is missing, by one process at a time."""
    if is_installed(sdk):
        return CACHE / sdk
    with _locked(sdk):
        if not is_installed(sdk):
            _install(sdk)
    return CACHE / sdk


def _install(sdk: str) -> None:
    building = CACHE / f"{sdk}.building"
    shutil.rmtree(building, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--no-deps",
    ]
    command += [
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--target",
        str(building),
        "-r",
        str(LOCKS / f"{sdk}.txt"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise SdkUnavailable(f"{sdk}: pip did not end within {INSTALL_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise SdkUnavailable(f"{sdk}: pip ended with {done.returncode}\n{done.stderr[-2000:]}")
    shutil.rmtree(CACHE / sdk, ignore_errors=True)
    (building / ".complete").write_text(_stamp(sdk))
    os.replace(building, CACHE / sdk)


def lock() -> None:
    """Writes `requirements/sdks/*.txt` with uv: hashes of every platform's files, no registry's address."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise SystemExit("uv is needed to write the lock files")
    LOCKS.mkdir(parents=True, exist_ok=True)
    for sdk in SDKS:
        name, _, version = sdk.rpartition("-")
        options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
        options += ["--no-emit-find-links", "--python-version", "3.11", "--quiet"]
        command = [uv, "pip", "compile", *options, "-", "-o", str(LOCKS / f"{sdk}.txt")]
        subprocess.run(command, input=f"{name}=={version}\n", text=True, check=True)
        print(f"locked {sdk}", flush=True)


def _install_all(names: list[str]) -> int:
    missing = [sdk for sdk in names if not is_installed(sdk)]
    for number, sdk in enumerate(missing, start=1):
        started = time.monotonic()
        print(f"[{number}/{len(missing)}] {sdk} …", end=" ", flush=True)
        try:
            ensure(sdk)
        except SdkUnavailable as error:
            print(f"failed\n{error}", flush=True)
            return 1
        print(f"{time.monotonic() - started:.0f} s", flush=True)
    print(f"{len(names)} SDK versions are ready in {CACHE.relative_to(ROOT)}", flush=True)
    return 0


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="SDK versions for the client tests")
    parser.add_argument("command", choices=["install", "list", "lock"])
    parser.add_argument("names", nargs="*", choices=[*SDKS, []], help="default: all")
    options = parser.parse_args(arguments)
    names = options.names or list(SDKS)
    if options.command == "lock":
        lock()
        return 0
    if options.command == "list":
        for sdk in names:
            print(f"{sdk}\t{'installed' if is_installed(sdk) else 'missing'}")
        return 0
    return _install_all(names)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
