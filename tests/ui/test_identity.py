"""The owner of a run is the browser, by its cookie, or the terminal user who submits it; owners take turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from netloom.cli import main
from netloom.compile import module, source
from netloom.core.text import escape
from netloom.document import write
from netloom.runs import control, start
from netloom.runs.owner import terminal_owner
from netloom.runs.resources.capacity import limits
from netloom.runs.search import sweep_process, sweep_trials
from netloom.store import QueueFullError, RunArtifacts, Store, open_store
from netloom.training.weights import checkpoints
from netloom.ui.runs.state import RunsState
from netloom.ui.shell.identity import COOKIE, HEADER, BrowserCookie
from netloom.ui.shell.request_guard import middleware
from tests.runs.examples import moons
from tests.store.states import put, put_sweep

PAGES = Path(__file__).parents[2] / "pages"
ANN, BEN = "a" * 32, "b" * 32
Browser = Callable[[str], None]


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Nothing trains here: submitted runs stay queued."""
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setattr("netloom.runs.keep", lambda store: None)
    monkeypatch.setattr(control, "advance", lambda store: None)
    monkeypatch.setattr(sweep_process, "ensure_sweep_process", sweep_trials.advance_sweeps)
    return open_store(home)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    """Sets the browser that requests the pages from now on."""

    def set_browser(cookie: str, **headers: str) -> None:
        monkeypatch.setattr(
            st, "context", SimpleNamespace(cookies={COOKIE: cookie}, headers=Headers(headers), url=None)
        )

    return set_browser


def open_page(name: str, project_id: str, chosen: Sequence[str] = ()) -> AppTest:
    """The page of a project, with runs selected in the table of all runs."""
    app = AppTest.from_file(str(PAGES / f"{name}.py"), default_timeout=60)
    app.query_params["project"] = project_id
    app.session_state[RunsState.name()] = RunsState(chosen=list(chosen))
    app.run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> None:
    next(item for item in app.button if item.label == label).click().run()
    assert not app.exception
    assert not app.error, [item.value for item in app.error]


def create_ended_run(store: Store, project_id: str, state: str) -> str:
    """A run without an owner, with a checkpoint."""
    run = store.create_run(project_id, moons(), state)
    folder = store.artifacts(run.id).local_directory()
    folder.mkdir(parents=True)
    write(folder / "project.json", moons())
    weights = dict(module(source(moons())).state_dict())
    checkpoints.save(RunArtifacts.in_directory(folder), 3, checkpoints.Checkpoint(weights, {"step": 3}))
    put(store, run.id, state, total_steps=40, step=20, epoch=2)
    return run.id


def test_page_submissions_record_the_browser_as_owner(
    store: Store, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_WAITING_EACH", "99")
    project_id = store.create_project(moons(epochs=1))
    browser(ANN)
    press(open_page("train", project_id), "Start training")
    [first] = store.runs()
    assert re.fullmatch(r"browser [0-9a-f]{16}", first.owner), first.owner
    assert ANN not in first.owner
    ann = first.owner

    browser(BEN)
    put(store, first.id, "failed")
    press(open_page("train", project_id), "Resume")
    ben = store.run(first.id).owner
    assert ben.startswith("browser ")
    assert ben != ann

    put(store, first.id, "finished", total_steps=40, epoch=1)
    weights = dict(module(source(moons())).state_dict())
    checkpoints.save(store.artifacts(first.id), 3, checkpoints.Checkpoint(weights, {"step": 3}))
    browser(ANN)
    press(open_page("train", project_id), "Extend run")
    assert (store.run(first.id).state, store.run(first.id).owner) == ("waiting", ann)

    put(store, first.id, "finished")
    browser(BEN)
    press(open_page("runs", project_id, chosen=[first.id]), "Reproduce run")
    press(open_page("runs", project_id, chosen=[first.id]), "Start branch")
    for kind in ("reproduction", "branch"):
        [submitted] = [run for run in store.runs() if run.about.start.kind == kind]
        assert submitted.owner == ben, kind

    app = open_page("runs", project_id)
    app.segmented_control(key="runs part").set_value("sweeps").run()
    app.segmented_control(key="sweep kind").set_value("seeds").run()
    press(app, "Start sweep")
    [sweep] = store.sweeps()
    assert sweep.owner == ben
    assert {run.owner for run in store.runs() if run.sweep_id} == {ben}
    put_sweep(store, sweep.id, "stopped")
    app.run()
    browser(ANN)
    app.button(key="go on").click().run()
    assert not app.exception
    assert (store.sweep(sweep.id).state, store.sweep(sweep.id).owner) == ("running", ann)


def test_cli_submissions_record_the_user_as_owner(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_WAITING_EACH", "99")
    monkeypatch.setenv("NETLOOM_HOST", "desk/1234")
    monkeypatch.setenv("LOGNAME", "ann")
    monkeypatch.setattr("netloom.cli.run_progress.follow", lambda store, run_id, context: (store.run(run_id), False))
    monkeypatch.setattr("netloom.cli.commands.sweep.follow_sweep", lambda *args: False)
    assert terminal_owner() == "ann@desk"
    document = tmp_path / "moons.json"
    write(document, moons(epochs=1))
    project_id = store.create_project(moons())
    home = ("--home", str(store.home))
    assert main([*home, "train", str(document)]) == 0
    assert [run.owner for run in store.runs()] == ["ann@desk"]
    assert main([*home, "sweep", str(document), "--seeds", "2"]) == 1  # no trial has a result yet
    assert [sweep.owner for sweep in store.sweeps()] == ["ann@desk"]
    for state, words in (
        ("failed", ("resume", "RUN")),
        ("finished", ("extend", "RUN", "--epochs", "2")),
        ("finished", ("branch", "RUN", "--at", "last")),
        ("finished", ("again", "RUN")),
    ):
        before = {run.id for run in store.runs()}
        run_id = create_ended_run(store, project_id, state)
        assert store.run(run_id).owner == ""
        main([*home, "runs", *(run_id if word == "RUN" else word for word in words)])
        new = [run for run in store.runs() if run.id not in before and run.state == "waiting"]
        assert [run.owner for run in new] == ["ann@desk"], words


def test_terminal_owner_handles_long_and_missing_user_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOST", "h" * 120)
    monkeypatch.setenv("LOGNAME", "u" * 40)
    long_owner = terminal_owner()
    assert len(long_owner) == 64
    monkeypatch.setenv("LOGNAME", "u" * 41)
    assert terminal_owner() != long_owner, "what is cut off tells them apart as well"

    def raise_no_user() -> str:
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", raise_no_user)
    assert terminal_owner().split("@")[0].isdigit()


def test_queue_alternates_between_owners(store: Store, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann's 50 runs are queued first; Ben's two runs and one from a terminal take turns with them."""
    monkeypatch.setenv("NETLOOM_WAITING_EACH", "60")
    monkeypatch.setenv("NETLOOM_WORKERS", "1")
    project = moons(epochs=1)
    project_id = store.create_project(project)
    browser(ANN)
    press(open_page("train", project_id), "Start training")
    ann = store.runs()[0].owner
    for _ in range(49):
        start(store, project_id, project, owner=ann)
    browser(BEN)
    for _ in range(2):
        press(open_page("train", project_id), "Start training")
    ben = store.runs()[0].owner
    start(store, project_id, project, owner=terminal_owner())
    served = []
    for _ in range(6):
        run = store.claim_next(limits())
        assert run is not None
        assert store.claim_next(limits()) is None, "one place"
        served.append(run.owner)
        store.change_state(run.id, "finished", holding=run.claim)
    assert served == [ann, ben, terminal_owner(), ann, ben, ann]


def test_run_limits_apply_per_owner(store: Store, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORKERS": "3", "RUNS_EACH": "1", "WAITING_EACH": "1"}.items():
        monkeypatch.setenv(f"NETLOOM_{name}", value)
    project_id = store.create_project(moons(epochs=1))
    owners = []
    for cookie in (ANN, BEN):
        browser(cookie)
        for _ in range(2):
            press(open_page("train", project_id), "Start training")
        owners.append(store.runs()[0].owner)
        app = open_page("train", project_id)
        next(item for item in app.button if item.label == "Start training").click().run()
        assert escape("You have 2 runs that train or wait; at most 1 can train and 1 wait.") in app.error[0].value
    claimed = [store.claim_next(limits()) for _ in range(3)]
    assert [run and run.owner for run in claimed] == [*owners, None], "one each, though a third place is free"
    with pytest.raises(QueueFullError):
        start(store, project_id, moons(epochs=1), owner=owners[0])


def test_trusted_proxy_header_sets_the_owner(store: Store, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    project_id = store.create_project(moons(epochs=1))
    for cookie, named, expected in (
        (ANN, "ann@example.org", "user ann@example.org"),
        (BEN, "ann@example.org", "user ann@example.org"),
        (BEN, "", "browser "),
    ):
        monkeypatch.setenv(HEADER, "X-Forwarded-User")
        browser(cookie, **{"X-Forwarded-User": named})
        press(open_page("train", project_id), "Start training")
        assert store.runs()[0].owner.startswith(expected)
    monkeypatch.delenv(HEADER)
    browser(ANN, **{"X-Forwarded-User": "ann"})
    press(open_page("train", project_id), "Start training")
    assert store.runs()[0].owner.startswith("browser "), "nobody is believed who was not asked"


def test_browser_cookie_is_set_once_and_replaced_if_invalid() -> None:
    assert any("BrowserCookie" in repr(entry) for entry in middleware())
    app = Starlette(
        routes=[Route("/{path:path}", lambda request: HTMLResponse("x"))], middleware=[Middleware(BrowserCookie)]
    )
    page_headers = {"accept": "text/html,application/xhtml+xml"}
    with TestClient(app) as client:
        assert "set-cookie" not in client.get("/static/a.js", headers={"accept": "*/*"}).headers
        cookie = SimpleCookie(client.get("/", headers=page_headers).headers["set-cookie"])[COOKIE]
        assert re.fullmatch(r"[0-9a-f]{32}", cookie.value)
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", "")
        assert int(cookie["max-age"]) > 30 * 24 * 3600
        assert "set-cookie" not in client.get("/", headers=page_headers).headers, "it is sent back, and stays"
        client.cookies.clear()
        new_cookie = SimpleCookie(client.get("/", headers=page_headers).headers["set-cookie"])[COOKIE]
        assert new_cookie.value != cookie.value
        forged = client.get("/", headers={**page_headers, "cookie": f"{COOKIE}=<script>"})
        assert "set-cookie" in forged.headers, "what is none is exchanged"
    with TestClient(app, base_url="https://netloom.example") as client:
        assert "Secure" in client.get("/", headers=page_headers).headers["set-cookie"]
