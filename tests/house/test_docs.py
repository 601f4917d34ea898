"""The documents say what the program does."""

import re
import tomllib
from pathlib import Path

import msgspec
from pydantic import BaseModel

from dragoman import config
from dragoman.core.facts import Facts
from dragoman.providers.catalog import PROVIDERS
from dragoman.providers.facts import checked

ROOT = Path(__file__).resolve().parents[2]


def documented(text: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", text))


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    sections: dict[str, type[BaseModel]] = {
        "## [server]": config.Server,
        "## [[groups]]": config.GroupEntry,
        "## [[channels]]": config.ChannelEntry,
        "## [[prices]]": config.PriceEntry,
        "## [[users]]": config.UserEntry,
        "### [[users.keys]]": config.KeyEntry,
        "## [egress]": config.Egress,
    }
    for heading, section in sections.items():
        _, found, rest = text.partition(heading + "\n")
        assert found, heading
        part = re.split(r"^#{2,3} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
        missing = set(section.model_fields) - documented(part) - {"keys"}
        assert not missing, f"{heading}: {missing}"


def test_documented_defaults_are_the_defaults() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    defaults = {name: field.default for name, field in config.Server.model_fields.items()}
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", text.partition("## [[groups]]")[0], flags=re.MULTILINE)
    assert len(rows) > 30
    for name, shown in rows:
        value = tomllib.loads(f"x = {shown}")["x"]
        default = defaults[name]
        assert value == (list(default) if isinstance(default, tuple) else default), name


def test_the_configurations_in_the_documents_are_valid(tmp_path: Path) -> None:
    examples = 0
    for name in ("README.md", "docs/getting-started.md", "docs/translation.md"):
        for example in re.findall(r"```toml\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL):
            path = tmp_path / "dragoman.toml"
            path.write_text(example)
            names = re.findall(r'"env:(\w+)"', example)
            config.load(path, dict.fromkeys(names, "sk-" + "a" * 48))
            examples += 1
    assert examples >= 3


def test_every_provider_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text().partition("## Providers")[2]
    assert set(PROVIDERS) <= set(re.findall(r"`([a-z0-9-]+)`", text.partition("Accepted with a warning")[0]))


def test_every_fact_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "translation.md").read_text()
    _, found, rest = text.partition("\n## Facts\n")
    assert found, "configuration.md links to #facts"
    part = rest.partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \| \S", part, flags=re.MULTILINE))
    shown = {name: tomllib.loads(f"x = {value}")["x"] for name, value in rows.items()}
    defaults = msgspec.to_builtins(Facts())
    assert shown == {name: list(v) if isinstance(v, tuple) else v for name, v in defaults.items()}


def test_the_facts_of_the_example_are_facts() -> None:
    text = (ROOT / "docs" / "translation.md").read_text()
    examples = [tomllib.loads(e) for e in re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)]
    facts = [channel["facts"] for example in examples for channel in example["channels"]]
    assert facts
    for entry in facts:
        checked((name, type(value), value) for name, value in entry.items())
