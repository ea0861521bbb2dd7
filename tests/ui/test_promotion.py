"""The part *Promote* of the Deploy page: from the comparison of two runs to the server that uses the new one."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.api import load_run
from netloom.document import updated
from netloom.serving.launched import LaunchedServer, free_port, launch, launched
from netloom.serving.models.served_model import example_row
from netloom.serving.server_client import ServerClient
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.deploy.state import Key
from tests.runs.examples import trained_here
from tests.ui.page_texts import checked, texts

PAGE = Path(__file__).parents[2] / "pages" / "deploy.py"
START_S = 120


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A project with a run that answers on a server, and a better one."""
    monkeypatch.setenv("NETLOOM_HOME", str(tmp_path))
    st.cache_resource.clear()
    st.cache_data.clear()
    store, project = open_store(tmp_path), templates()["breast_cancer"].project
    project_id = store.create_project(project)
    with trained_here():
        for epochs in (1, 4):
            short = project.model_copy(update={"training": updated(project.training, {"epochs": epochs})})
            runs.start(store, project_id, short, title=f"{epochs} epochs")
    titles = {run.title: run.id for run in store.runs(project_id)}
    yield titles["1 epochs"], titles["4 epochs"]
    for server in launched(tmp_path):
        server.stop()


def open_page(run_id: str) -> AppTest:
    store = open_store()
    project = store.run(run_id).project_id
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.query_params["project"] = project
    app.query_params["run"] = run_id
    app.session_state[str(Key.MODE)] = "promotion"
    return checked(app.run())


def click(app: AppTest, key: Key) -> AppTest:
    return checked(app.button(key=str(key)).click().run())


def started(run_id: str) -> LaunchedServer:
    home = open_store().home
    server = launch(home, run_id, "tumors", free_port(home))
    end = time.monotonic() + START_S
    while not server.is_ready:
        assert time.monotonic() < end, server.output()
        time.sleep(0.1)
    return server


def test_a_better_run_is_promoted_compared_as_a_canary_and_rolled_back(trained: tuple[str, str]) -> None:
    old, new = trained
    app = open_page(new)
    assert "No server of this project was started" in texts(app)
    server = started(old)
    client = ServerClient(server.address, open_store().home)
    assert "This is the run that you chose above" in texts(open_page(old))
    app = open_page(new)
    assert str(Key.PROMOTE) not in [button.key for button in app.button], "nothing is promoted without a comparison"
    app = click(app, Key.PROMOTION_COMPARE)
    assert "The new run is not worse" in texts(app)
    assert list(app.dataframe[0].value["Rows"]) == ["Held-out rows"]
    app = click(app, Key.SHADOW)
    shadow = client.model().shadow
    assert shadow is not None
    assert shadow.run_id == new
    assert client.model().current.run_id == old, "it answers alone"
    assert "The shadow has not computed a row yet" in texts(app)
    data = load_run(old, home=open_store().home).data
    row = example_row(data, data.fields)
    with urllib.request.urlopen(
        urllib.request.Request(f"{server.address}/predict", json.dumps(row).encode()), timeout=30
    ) as answer:
        assert json.load(answer)["prediction"]
    end = time.monotonic() + 30
    while "of 1 row " not in texts(checked(app.run())):  # it computes after the answer
        assert time.monotonic() < end, texts(app)
    app = click(app, Key.SHADOW_END)
    assert client.model().shadow is None
    app = click(app, Key.CANARY)
    body = json.dumps({"row": {}}).encode()
    with pytest.raises(urllib.error.HTTPError):  # a request that fails is counted, too
        urllib.request.urlopen(urllib.request.Request(f"{server.address}/predict", body), timeout=30)
    model = client.model()
    assert model.canary is not None
    assert (model.current.run_id, model.canary.run_id, model.canary_percent) == (old, new, 10)
    traffic = app.dataframe[0].value
    assert list(traffic["Version"]) == ["Current", "Canary"]
    app = click(app, Key.PROMOTE)
    model = client.model()
    assert model.current.run_id == new
    assert model.canary is None, "a promoted run does not stay its own canary"
    assert "This is the run that you chose above" in texts(app)
    assert [one.run_id for one in launched(open_store().home)] == [new], "pages list the server for the new run"
    worse = click(open_page(old), Key.PROMOTION_COMPARE)
    assert "The new run is worse" in texts(worse)
    assert str(Key.PROMOTE) not in [button.key for button in worse.button]
    click(app, Key.ROLLBACK)
    assert client.model().current.run_id == old
