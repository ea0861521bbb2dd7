"""An open project that many tabs share: nobody waits for what is slow, nothing stops for ever, and no edit is lost."""

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
from netloom.ui.design.canvas.payload import payload
from netloom.ui.design.state import VisibleNetwork
from netloom.validation import analyse

# How long a test waits for what takes milliseconds. One that hangs fails then.
PATIENCE_S = 5.0


@pytest.fixture
def live(home: Path) -> Live:
    store = open_store(home)
    found = Live(store, store.create_project(templates()["spirals"].project))
    drawn(found)  # imports, and what is measured once
    return found


def drawn(live: Live, client: str = "", shown: str = "main") -> CanvasData:
    return payload(live, VisibleNetwork(shown), client, [], 600)


def message(live: Live, client: str, seq: int, **edit: Any) -> dict[str, Any]:
    return {"epoch": live.editor.epoch, "client": client, "ops": [{"seq": seq, **edit}]}


def hold(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> tuple[threading.Event, Callable[[], None]]:
    """Make a function stop, in the first thread that calls it, until it is let go. Returns what tells that it was
    called, and what lets it go."""
    called, go, real = threading.Event(), threading.Event(), getattr(module, name)

    def slow(*args: Any, **kwargs: Any) -> Any:
        if not called.is_set():
            called.set()
            assert go.wait(4 * PATIENCE_S)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, slow)
    return called, go.set


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def add(live: Live, client: str = "tab", seq: int = 1) -> object:
    return live.sync(message(live, client, seq, kind="add", nodes=[{"id": f"relu_{client}_{seq}", "type": "ReLU"}]))


ENTRIES: dict[str, Callable[[Live], object]] = {
    "the canvas is drawn": drawn,
    "an edit comes from the canvas": lambda live: add(live, "other"),
    "an edit comes from a form": lambda live: live.apply({"kind": "project", "notes": "x"}, widget="notes"),
    "undo": lambda live: live.apply({"kind": "undo"}),
    "a version is put back": lambda live: live.replace(live.store.version(live.id, 1)),
    "versions are listed": lambda live: live.store.versions(live.id),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("reader", [drawn, add], ids=["drawing", "syncing"])
def test_nobody_waits_for_data_that_another_tab_reads(
    live: Live, monkeypatch: pytest.MonkeyPatch, entry: str, reader: Callable[[Live], object]
) -> None:
    called, go = hold(monkeypatch, netloom.editing.live, "schema")
    first = started(lambda: reader(live))
    assert called.wait(PATIENCE_S)
    second = started(lambda: ENTRIES[entry](live))
    second.join(PATIENCE_S)
    waited = second.is_alive()
    go()
    first.join(PATIENCE_S)
    assert not waited
    assert not first.is_alive()


@pytest.mark.parametrize("entry", [name for name in ENTRIES if "drawn" not in name])
def test_no_edit_waits_for_shapes_that_another_tab_measures(
    live: Live, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    add(live)  # so that there is something to measure
    called, go = hold(monkeypatch, netloom.editing.analyses, "analyse")
    first = started(lambda: drawn(live))
    assert called.wait(PATIENCE_S)
    second = started(lambda: ENTRIES[entry](live))
    second.join(PATIENCE_S)
    waited = second.is_alive()
    go()
    first.join(PATIENCE_S)
    assert not waited
    assert not first.is_alive()


def test_no_page_waits_for_a_save(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    called, go = hold(monkeypatch, Store, "save")
    first = started(lambda: add(live))
    assert called.wait(PATIENCE_S)
    second = started(lambda: (drawn(live), live.analysis(), live.schema(), live.data_problem()))
    second.join(PATIENCE_S)
    waited = second.is_alive()
    seen = drawn(live)["network"]["nodes"]
    go()
    first.join(PATIENCE_S)
    assert not waited
    assert not first.is_alive()
    assert "relu_tab_1" not in seen, "what is shown is what was saved"
    assert "relu_tab_1" in drawn(live)["network"]["nodes"]


def test_tabs_that_ask_together_have_it_measured_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    add(live)
    real, calls = analyse, list[Project]()

    def counted(project: Project, *rest: Any) -> Any:
        calls.append(project)
        time.sleep(0.05)
        return real(project, *rest)

    monkeypatch.setattr(netloom.editing.analyses, "analyse", counted)
    tabs = [started(live.analysis) for _ in range(6)]
    for tab in tabs:
        tab.join(PATIENCE_S)
    assert len(calls) == 1


def test_an_edit_that_netloom_fails_at_takes_no_other_along(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Project:
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(COMPOSITIONS, "group", broken)
    nodes = [{"id": "relu_9", "type": "ReLU"}]
    ops = [{"seq": 1, "kind": "group", "nodes": []}, {"seq": 2, "kind": "add", "nodes": nodes}]
    refused = live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": ops})
    assert refused == ["This edit failed because of a bug in Netloom (ZeroDivisionError); it was not applied."]
    assert "relu_9" in live.store.load(live.id).project.main_network.nodes


class Tab:
    """One who works on a project, at random, in every way that the pages have."""

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
        drawn(self.live, self.name, self.random.choice(["main", self.name]))

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
            return  # it made room for newer ones just now
        self.live.replace(older)

    def look(self) -> None:
        project = self.live.project
        self.live.schema(project)
        self.live.data_problem()
        with contextlib.suppress(CompileError):  # the network has errors
            source(project, self.live.analysis(project))


WAYS = ("canvas", "canvas", "draw", "draw", "form", "travel", "versions", "look")


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=pytest.mark.long)])
def test_eight_tabs_on_one_project_end_in_one_document(live: Live, seconds: int) -> None:
    tabs, failures = [Tab(live, f"tab{number}") for number in range(8)], list[BaseException]()
    until = time.monotonic() + seconds

    def work(tab: Tab) -> None:
        try:
            tab.work(until)
        except BaseException as error:
            failures.append(error)

    threads = [started(lambda tab=tab: work(tab)) for tab in tabs]  # type: ignore[misc]
    for thread in threads:
        thread.join(seconds + 20)
    assert not [thread for thread in threads if thread.is_alive()], "they wait for each other for ever"
    assert not failures
    assert all(tab.done > 10 for tab in tabs)
    kept = live.store.load(live.id)
    assert live.saved
    assert kept.project == live.project == loads(dumps(live.project))
    assert {name: seq for name, seq in kept.acks.items() if seq} == {tab.name: tab.seq for tab in tabs if tab.seq}
