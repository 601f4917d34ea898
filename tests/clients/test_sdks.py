import re

import pytest
from tests.clients import sdks


def test_every_sdk_has_a_lock_file_and_a_probe() -> None:
    assert {path.stem for path in sdks.LOCKS.glob("*.txt")} == set(sdks.SDKS)
    probes = {path.stem for path in (sdks.ROOT / "tests/clients/probes").glob("*_probe.py")}
    assert probes == {f"{sdks.family(sdk).replace('-', '_')}_probe" for sdk in sdks.SDKS}


@pytest.mark.parametrize("sdk", sdks.SDKS)
def test_lock_files_pin_hashes_and_name_no_registry(sdk) -> None:
    text = (sdks.LOCKS / f"{sdk}.txt").read_text()
    name, _, version = sdk.rpartition("-")
    assert re.search(rf"^{name}=={re.escape(version)} \\$", text, re.MULTILINE)
    assert not re.search(r"https?://|--(extra-)?index|--find-links", text)
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert "==" in requirement.splitlines()[0] and "--hash=sha256:" in requirement


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(sdks, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(sdks, "LOCKS", tmp_path)
    (tmp_path / "some-sdk-1.0.txt").write_text("some-sdk==1.0\n")
    return tmp_path / "cache"


def fill(building):
    building.mkdir(parents=True)
    (building / "module.py").write_text("")


def test_installs_once_and_again_when_the_lock_changes(cache, tmp_path, monkeypatch) -> None:
    installed = []

    def pip(command, **_):
        installed.append(command)
        fill(cache / "some-sdk-1.0.building")
        return sdks.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(sdks.subprocess, "run", pip)
    for _ in range(2):
        assert (sdks.ensure("some-sdk-1.0") / "module.py").exists()
    assert len(installed) == 1 and "--require-hashes" in installed[0]
    (tmp_path / "some-sdk-1.0.txt").write_text("some-sdk==1.0 # changed\n")
    sdks.ensure("some-sdk-1.0")
    assert len(installed) == 2


def test_a_failed_installation_is_not_taken_for_a_whole_one(cache, monkeypatch) -> None:
    def pip(command, **_):
        fill(cache / "some-sdk-1.0.building")
        return sdks.subprocess.CompletedProcess(command, 1, "", "no such thing")

    monkeypatch.setattr(sdks.subprocess, "run", pip)
    with pytest.raises(sdks.SdkUnavailable, match="no such thing"):
        sdks.ensure("some-sdk-1.0")
    assert not sdks.is_installed("some-sdk-1.0")
