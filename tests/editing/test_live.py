"""An open project shared by many tabs: no blocking on slow work, no deadlocks, and no lost edits."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import netloom.editing.analyses
import netloom.editing.live
from netloom.compile import CompileError, source
from netloom.document import EditError, Project, dumps, loads
from netloom.document.network_edits import COMPOSITIONS
from netloom.editing.live import Live
from netloom.store import Store, StoreError, open_store
from netloom.templates import templates
from netloom.ui.design.canvas.messages import CanvasData
from netloom.ui.design.canvas_payload import payload
from netloom.ui.design.state import VisibleNetwork
from netloom.validation import analyze

# Timeout for operations that take milliseconds; a deadlock fails the test.
PATIENCE_S = 5.0


@pytest.fixture
def live(home: Path) -> Live:
    store = open_store(home)
    project_session = Live(store, store.create_project(templates()["spirals"].project))
    canvas_payload(project_session)  # warm up imports and caches
    return project_session


def canvas_payload(live: Live, client: str = "", shown: str = "main") -> CanvasData:
    return payload(live, VisibleNetwork(shown), client, [], 600)


def message(live: Live, client: str, seq: int, **edit: Any) -> dict[str, Any]:
    return {"epoch": live.editor.epoch, "client": client, "ops": [{"seq": seq, **edit}]}


def pause_in(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> tuple[threading.Event, Callable[[], None]]:
    """Make a function block in the first thread that calls it until it is resumed. Returns an event that is set on the
    call, and a function that resumes it."""
    called, go, real = threading.Event(), threading.Event(), getattr(module, name)

    def slow(*args: Any, **kwargs: Any) -> Any:
        if not called.is_set():
            called.set()
            assert go.wait(4 * PATIENCE_S)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, slow)
    return called, go.set


def start_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def add_relu(live: Live, client: str = "tab", seq: int = 1) -> object:
    return live.sync(message(live, client, seq, kind="add", nodes=[{"id": f"relu_{client}_{seq}", "type": "ReLU"}]))


ENTRIES: dict[str, Callable[[Live], object]] = {
    "the canvas is drawn": canvas_payload,
    "an edit comes from the canvas": lambda live: add_relu(live, "other"),
    "an edit comes from a form": lambda live: live.apply({"kind": "project", "notes": "x"}, widget="notes"),
    "undo": lambda live: live.apply({"kind": "undo"}),
    "a version is put back": lambda live: live.replace(live.store.version(live.id, 1)),
    "versions are listed": lambda live: live.store.versions(live.id),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("reader", [canvas_payload, add_relu], ids=["drawing", "syncing"])
def test_slow_data_read_blocks_no_other_tab(
    live: Live, monkeypatch: pytest.MonkeyPatch, entry: str, reader: Callable[[Live], object]
) -> None:
    called, resume = pause_in(monkeypatch, netloom.editing.live, "schema")
    first = start_thread(lambda: reader(live))
    assert called.wait(PATIENCE_S)
    second = start_thread(lambda: ENTRIES[entry](live))
    second.join(PATIENCE_S)
    waited = second.is_alive()
    resume()
    first.join(PATIENCE_S)
    assert not waited
    assert not first.is_alive()


@pytest.mark.parametrize("entry", [name for name in ENTRIES if "drawn" not in name])
def test_shape_inference_blocks_no_edit(live: Live, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    add_relu(live)  # so that there is something to analyze
    called, resume = pause_in(monkeypatch, netloom.editing.analyses, "analyze")
    first = start_thread(lambda: canvas_payload(live))
    assert called.wait(PATIENCE_S)
    second = start_thread(lambda: ENTRIES[entry](live))
    second.join(PATIENCE_S)
    waited = second.is_alive()
    resume()
    first.join(PATIENCE_S)
    assert not waited
    assert not first.is_alive()


def test_save_blocks_no_page_rendering(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    called, resume = pause_in(monkeypatch, Store, "save")
    first = start_thread(lambda: add_relu(live))
    assert called.wait(PATIENCE_S)
    second = start_thread(lambda: (canvas_payload(live), live.analysis(), live.schema(), live.data_problem()))
    second.join(PATIENCE_S)
    waited = second.is_alive()
    nodes = canvas_payload(live)["network"]["nodes"]
    resume()
    first.join(PATIENCE_S)
    assert not waited
    assert not first.is_alive()
    assert "relu_tab_1" not in nodes, "what is shown is what was saved"
    assert "relu_tab_1" in canvas_payload(live)["network"]["nodes"]


def test_concurrent_tabs_share_one_analysis(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    add_relu(live)
    real, calls = analyze, list[Project]()

    def counted(project: Project, *arguments: Any) -> Any:
        calls.append(project)
        time.sleep(0.05)
        return real(project, *arguments)

    monkeypatch.setattr(netloom.editing.analyses, "analyze", counted)
    tabs = [start_thread(live.analysis) for _ in range(6)]
    for tab in tabs:
        tab.join(PATIENCE_S)
    assert len(calls) == 1


def test_failing_edit_does_not_discard_other_edits(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Project:
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(COMPOSITIONS, "group", broken)
    nodes = [{"id": "relu_9", "type": "ReLU"}]
    ops = [{"seq": 1, "kind": "group", "nodes": []}, {"seq": 2, "kind": "add", "nodes": nodes}]
    refused = live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": ops})
    assert refused == ["This edit failed because of a bug in Netloom (ZeroDivisionError); it was not applied."]
    assert "relu_9" in live.store.load(live.id).project.main_network.nodes


class Tab:
    """A simulated tab that performs random edits of every kind that the pages offer."""

    def __init__(self, live: Live, name: str) -> None:
        self.live, self.name, self.random = live, name, random.Random(name)
        self.done, self.seq = 0, 0

    def work(self, until: float) -> None:
        while time.monotonic() < until:
            getattr(self, self.random.choice(WAYS))()
            self.done += 1

    def canvas(self) -> None:
        node, network = f"{self.name}_{self.random.randrange(6)}", self.random.choice(list(self.live.project.networks))
        edit: dict[str, Any] = self.random.choice(
            [
                {"kind": "add", "nodes": [{"id": node, "type": self.random.choice(["ReLU", "Linear", "Input"])}]},
                {"kind": "remove", "nodes": [node], "edges": []},
                {"kind": "connect", "source": node, "target": "output_1"},
                {"kind": "move", "at": {node: [self.random.random(), 0]}},
                {"kind": "batch", "edits": [{"kind": "project", "notes": node}]},
                {"kind": "undo"},
                {"kind": "redo"},
            ]
        )
        self.seq += 1
        self.live.sync(message(self.live, self.name, self.seq, **edit, network=network))

    def draw(self) -> None:
        canvas_payload(self.live, self.name, self.random.choice(["main", self.name]))

    def form(self) -> None:
        edit: dict[str, Any] = self.random.choice(
            [
                {"kind": "project", "name": self.name},
                {"kind": "project", "training": {"epochs": self.random.randrange(1, 9)}},
                {"kind": "project", "data": {"dataset": self.random.choice(["", "spirals", "none"])}},
                {"kind": "set", "node": "linear_1", "params": {"units": self.random.randrange(1, 40)}},
                {"kind": "create_network", "name": self.name},
                {"kind": "delete_network", "name": self.name},
            ]
        )
        with contextlib.suppress(EditError):  # another tab was first
            self.live.apply(edit, widget=self.name, renews=self.random.random() < 0.5)

    def travel(self) -> None:
        self.live.apply({"kind": self.random.choice(["undo", "redo"])})

    def versions(self) -> None:
        rows = self.live.store.versions(self.live.id)
        try:
            older = self.live.store.version(self.live.id, self.random.choice(rows).number)
        except StoreError:
            return  # the version was pruned just now
        self.live.replace(older)

    def look(self) -> None:
        project = self.live.project
        self.live.schema(project)
        self.live.data_problem()
        with contextlib.suppress(CompileError):  # the network has errors
            source(project, self.live.analysis(project))


WAYS = ("canvas", "canvas", "draw", "draw", "form", "travel", "versions", "look")


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=pytest.mark.long)])
def test_eight_concurrent_tabs_converge_to_one_document(live: Live, seconds: int) -> None:
    tabs, failures = [Tab(live, f"tab{number}") for number in range(8)], list[BaseException]()
    until = time.monotonic() + seconds

    def work(tab: Tab) -> None:
        try:
            tab.work(until)
        except BaseException as error:
            failures.append(error)

    threads = [start_thread(lambda tab=tab: work(tab)) for tab in tabs]  # type: ignore[misc]
    for thread in threads:
        thread.join(seconds + 20)
    assert not [thread for thread in threads if thread.is_alive()], "they wait for each other for ever"
    assert not failures
    assert all(tab.done > 2 for tab in tabs)  # on a busy machine, too
    stored = live.store.load(live.id)
    assert live.saved
    assert stored.project == live.project == loads(dumps(live.project))
    assert {name: seq for name, seq in stored.acks.items() if seq} == {tab.name: tab.seq for tab in tabs if tab.seq}
