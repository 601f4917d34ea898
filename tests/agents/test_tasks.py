"""Real agents finish a task through the gateway: each with a model of each upstream dialect.

The task takes two turns: the model asks for a file, the agent reads it, the model tells what it says. `make agents`
installs the agents and runs this; elsewhere it is skipped, for it needs the npm registry and a gigabyte.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.agents import clis, install
from tests.agents.clis import AGENTS, Agent, Task
from tests.agents.conftest import MODELS, Stage, key_of
from tests.agents.upstream import Play
from tests.conformance.world import DIALECTS

pytestmark = pytest.mark.skipif(
    not os.environ.get("DRAGOMAN_AGENTS"), reason="`make agents` runs these with the agents installed"
)


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_two_turns_with_a_tool(agent: Agent, upstream: str, stage: Stage, tmp_path: Path) -> None:
    assert install.is_installed(), "run `make agents`"
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    word = f"quokka{AGENTS.index(agent)}{DIALECTS.index(upstream)}"
    task = Task(
        url=stage.gateway.url,
        key=key_of(agent.name, upstream),
        model=MODELS[upstream],
        proxy=stage.outside.url,
        home=home,
        work=work,
        prompt=f"Read the file {clis.SECRET_FILE} in this folder and tell me the word in it.",
    )
    task.secret.write_text(f"The word is {word}.\n")
    calls = {name: arguments(task) for name, arguments in agent.tools.items()}
    play = Play(upstream, calls, word, agent.keeps_thoughts)
    stage.vendor.script = play
    stage.outside.received.clear()

    ended = clis.run(agent, task)

    (tmp_path / "upstream.json").write_text(json.dumps({"turns": play.turns, "aside": play.aside}, indent=1))
    said = f"stdout: {ended.stdout[-2000:]}\nstderr: {ended.stderr[-3000:]}"
    assert play.wrong == [], said
    assert ended.code == 0, said
    assert word in ended.stdout, said
    assert len(play.turns) == 2, f"{len(play.turns)} turns, {len(play.aside)} requests aside; {said}"
    assert [f"{r.method} {r.target}" for r in stage.outside.received] == [], "it called somebody else"
    _check_log(agent, upstream, stage)


def _check_log(agent: Agent, upstream: str, stage: Stage) -> None:
    """Every call of this run is in the log: answered, charged, on its path and from its client."""
    sql = "SELECT l.* FROM call_logs l JOIN keys k ON k.id = l.key_id WHERE k.name = ?"
    model, name = MODELS[upstream], f"{agent.name} {upstream}"
    path = agent.path.format(model=model)
    rows = stage.gateway.eventually(
        lambda: found if len(found := stage.gateway.rows(sql, name)) >= 2 else None
    )
    assert [row["path"] for row in rows].count(path) >= 2
    for row in rows:
        assert (row["status"], row["model"], row["client"]) == (200, model, agent.client)
        assert row["quota"] > 0 and row["output_tokens"] > 0 and not row["estimated"]
