"""The chat of the Try it page: messages, why, corrections, the policy, thresholds, and dialogues as tests."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.chat import read_scripts
from netloom.store import RunArtifacts, open_store
from netloom.templates import templates
from netloom.ui.playground.chat.state import ChatState, Key
from netloom.ui.playground.page import CHAT
from netloom.ui.playground.state import Key as PageKey
from tests.runs.examples import trained_here

PAGE = Path(__file__).parents[2] / "pages" / "playground.py"
ALARM = "wake me at seven tomorrow"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two runs of intents and entities, the first untrained, and a run that cannot chat."""
    folder: Path = tmp_path_factory.mktemp("chat")
    store = open_store(folder)
    for name, epochs in (("commands_joint", (0, 6)), ("digits_mlp", (0,))):
        project = templates()[name].project
        project_id = store.create_project(project.model_copy(update={"name": name}))
        for count in epochs:
            training = project.training.model_copy(update={"epochs": count, "device": "cpu"})
            with trained_here():
                run_id = runs.start(
                    store, project_id, project.model_copy(update={"training": training, "name": name})
                )
            assert store.run(run_id).state == "finished"
    return folder


@pytest.fixture(autouse=True)
def _use_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(home))
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(autouse=True)
def _forget(home: Path) -> None:
    """Remove what the test before saved with a run."""
    for run in open_store(home).runs(limit=9):
        files = open_store(home).artifacts(run.id)
        files.delete_chat_policy()
        files.save_chat_tests("")


def open_chat(name: str = "commands_joint") -> AppTest:
    store = open_store()
    [project] = [row.id for row in store.list_projects(limit=9) if row.name == name]
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.query_params["project"] = project
    app.query_params["run"] = store.runs(project)[0].id
    app.session_state[PageKey.MODE.value] = CHAT
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    assert not app.exception, [item.message for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    return app


def say(app: AppTest, text: str) -> AppTest:
    return checked(app.chat_input[0].set_value(text).run())


def texts(app: AppTest) -> str:
    return " ".join(str(item.proto) for kind in ("markdown", "caption", "html", "info") for item in app.get(kind))


def button(app: AppTest, label: str, place: int = 0) -> Any:
    return [item for item in app.button if item.label == label][place]


def widget(app: AppTest, kind: str, label: str) -> Any:
    return next(item for item in app.get(kind) if item.label == label)


def tab(app: AppTest, name: str) -> AppTest:
    app.session_state[Key.PANEL.value] = name
    return checked(app.run())


def artifacts(app: AppTest) -> RunArtifacts:
    return open_store().artifacts(app.query_params["run"][0])


def test_messages_show_intent_entities_and_the_answer() -> None:
    app = say(open_chat(), ALARM)
    text = texts(app)
    assert "blue-badge[set\\\\_alarm" in text
    assert "border-bottom" in text, "entities are highlighted"
    assert "You asked about: set alarm" in text
    say(app, "zzz")
    assert len(app.chat_message) == 4
    checked(button(app, "Restart").click().run())
    assert not app.chat_message
