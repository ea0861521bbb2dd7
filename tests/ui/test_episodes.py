"""The pages of an RL agent: its settings, its episodes, and its steps as examples to explain."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import pytest
import streamlit as st

from netloom.data.builtin_registry import builtin
from netloom.data.environment import Environment
from netloom.document import write
from netloom.document.rl_settings import Agent
from netloom.document.training_settings import describe_field
from netloom.runs import evaluate, fit_here
from netloom.store import RunArtifacts, open_store
from netloom.tasks import task
from netloom.training.objectives.evaluation import PlayedEpisode, PlayedEpisodes
from netloom.training.weights import checkpoints
from netloom.ui.train.episodes import ENDS, player_data, returns_chart
from netloom.ui.train.state import Key
from tests.store.states import put
from tests.training.test_reinforcement import agent
from tests.ui.test_pages import open_page


@pytest.fixture(scope="module")
def home_with_agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a finished run of an agent, as a worker leaves it."""
    folder: Path = tmp_path_factory.mktemp("agent")
    store, project = open_store(folder), agent("ppo", epochs=1)
    run = store.create_run(store.create_project(project), project, "Agent")
    trained, directory = fit_here(project, folder), store.artifacts(run.id).local_directory()
    directory.mkdir(parents=True, exist_ok=True)
    write(directory / "project.json", project)
    (directory / "model.py").write_text(trained.source)
    checkpoints.save_best(RunArtifacts.in_directory(directory), dict(trained.model.state_dict()), {})
    (directory / "evaluation.json").write_text(json.dumps(asdict(evaluate(trained))))
    put(store, run.id, "finished", total_steps=300, summary={"objective": project.training.objective})
    store.close()
    return folder


@pytest.fixture(autouse=True)
def _use_agent_home(home_with_agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setenv("NETLOOM_HOME", str(home_with_agent))


def test_train_page_shows_agent_settings_metrics_and_episodes(home_with_agent: Path) -> None:
    app = open_page("train")
    assert not app.error
    titles = [Agent.model_fields[name].title for name in task("ppo").rl_settings]
    shown = {item.label: item for item in app.number_input}
    assert set(titles) <= set(shown)
    assert Agent.model_fields["buffer_size"].title not in shown
    assert {"Return", "Return of random actions"} <= {item.label for item in app.metric}
    store = open_store(home_with_agent)
    (project_row,) = store.list_projects()
    app.session_state[Key.RESULTS.of(store.runs(project_row.id)[0].id)] = "Episodes"
    app.run()
    assert any("Episode playback" in item.value for item in app.markdown)
    next(item for item in app.number_input if item.label == "Clip range").set_value(0.3).run()
    assert not app.exception
    training = store.load(project_row.id).project.training
    assert training.agent.clip_range == 0.3
    assert training.monitor == "loss"  # unchanged, although two of its options once had the same label
    app.session_state[Key.GROUP.of("Early stopping and checkpoints", False)] = True  # open the expander
    app.run()
    (monitor,) = [item for item in app.selectbox if item.label == describe_field("monitor").title]
    assert monitor.options == ["Return"]
    store.close()


def test_explain_page_explains_an_episode_step() -> None:
    app = open_page("explain")
    assert not app.error
    assert any("Prediction: **push" in item.value for item in app.markdown)
    (step,) = [item for item in app.slider if item.label == "Step"]
    step.set_value(3).run()
    assert not app.exception
    assert any("at step 3" in item.value for item in app.caption)


def test_every_environment_has_a_drawing() -> None:
    script = files("netloom.ui.train").joinpath("episodes.js").read_text(encoding="utf-8")
    for kind in builtin().values():
        if issubclass(kind, Environment):
            assert kind.drawing in ENDS
            assert f"  {kind.drawing}(svg) {{" in script
            assert f"{kind.drawing}: " in script  # its playback speed


def test_episode_player_shows_returns_and_endings() -> None:
    def episode(total: float, *, ended: bool) -> PlayedEpisode:
        return {"seed": 1, "return": total, "ended": ended, "seen": [[0.0]], "actions": [0], "scores": [[1.0, 0.0]]}

    episodes: PlayedEpisodes = {
        "drawing": "cart_pole",
        "actions": ["a", "b"],
        "values": True,
        "returns": [12.0, 500.0],
        "random_returns": [20.0],
        "shown": [episode(12.0, ended=True), episode(500.0, ended=False)],
    }
    data = player_data(episodes, "run")
    assert [item["title"] for item in data["episodes"]] == ["An episode: 12", "An episode: 500"]
    assert [item["end"] for item in data["episodes"]] == list(ENDS["cart_pole"])
    agent_returns, random_returns = returns_chart([1.0, 2.0], [3.0, 4.0]).data
    assert (list(agent_returns.y), list(random_returns.y)) == ([1.0, 2.0], [3.0, 4.0])
