"""Viewing a document, a dataset or a run with hostile text fetches nothing and links to nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from netloom import runs
from netloom.cli.bench.server import Server
from netloom.data import add_file, schema
from netloom.document import DataChoice, Network, Node, Note, Project, Training
from netloom.store import Store
from netloom.templates.starting import start, starters
from tests.browser.navigation import open_by_link
from tests.runs.examples import until_state
from tests.store.states import put

pytestmark = pytest.mark.browser

# Records all elements that make a browser request an address, including those in shadow roots of components, whenever
# they appear: a view is replaced by the next while it is still loading. An observer looks at what changes; to look at
# everything many times a second took a third of the renderer's time.
RECORD = """(place) => {
    window.leading = new Set();
    const leads = ["src", "href", "srcset", "poster", "data", "action", "style", "xlink:href"];
    const check = (element) => {
        for (const {name, value} of element.attributes) {
            if (leads.includes(name) && value.includes(place)) window.leading.add(element.outerHTML.slice(0, 300));
        }
    };
    const observe = (root) => new MutationObserver((changes) => {
        for (const {type, target, addedNodes} of changes) {
            if (type === "attributes") check(target);
            for (const node of addedNodes) {
                if (node.nodeType === Node.ELEMENT_NODE) [node, ...node.querySelectorAll("*")].forEach(check);
            }
        }
    }).observe(root, {subtree: true, childList: true, attributes: true});
    observe(document);
    const attachShadow = Element.prototype.attachShadow;
    Element.prototype.attachShadow = function (options) {
        const root = attachShadow.call(this, options);
        observe(root);
        return root;
    };
    window.lastBusy = performance.now();
    setInterval(() => {
        if (!document.querySelector("[data-test-script-state=notRunning]")) window.lastBusy = performance.now();
    }, 50);
}"""
# Adds elements that request an address in each way that RECORD has to notice. Returns the number of elements.
PLANT = """(place) => {
    const added = document.createElement("div");
    added.innerHTML = `<p><a href="${place}/1"></a></p>`;
    const shadow = document.createElement("div");
    const inner = document.createElement("div");
    shadow.attachShadow({mode: "open"}).append(inner);
    const changed = document.createElement("p");
    document.body.append(added, shadow, changed);
    inner.innerHTML = `<a href="${place}/2"></a>`;
    changed.style.setProperty("--address", `"${place}/3"`);
    setTimeout(() => [added, shadow, changed].forEach((element) => element.remove()));
    return 3;
}"""
# Elements that open more of a page: tabs, view choices, expanders and popovers.
OPENING = (
    "[role=tab]",
    "[data-testid=stExpander] summary",
    "[data-testid=stPopoverButton]",
    "[data-testid=stButtonGroup] button",
)
IDLE_MS = 300  # without work, before a page counts as idle: it shows only later that it works on a click
MOST = 5  # elements of each kind to open on a page


class Listener:
    """A foreign server that records every request."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self.socket.accept()
                with line:
                    line.settimeout(1)
                    with contextlib.suppress(OSError):
                        self.asked.append(line.recv(300))


@pytest.fixture
def listener() -> Iterator[Listener]:
    instance = Listener()
    yield instance
    instance.socket.close()


def hostile_text(port: int, word: str = "x") -> str:
    """A text that would fetch something if it were rendered as Markdown or HTML."""
    address = f"http://127.0.0.1:{port}/{word}"
    return f"![{word}]({address}.png) <img src={address}.svg> [{word}]({address}) {address}"


def hostile_data(store: Store, port: int) -> DataChoice:
    first_class, second_class, text = hostile_text(port, "one"), hostile_text(port, "other"), hostile_text(port, "text")
    head = f'"{hostile_text(port, "a")}","{hostile_text(port, "b")}","{hostile_text(port, "y")}"\n'
    rows = "".join(f'{row},"{text} {row % 4}","{first_class if row % 2 else second_class}"\n' for row in range(60))
    info = add_file((head + rows).encode(), "a.csv", store.home, name=hostile_text(port, "data"))
    return DataChoice(dataset=info.name)


def hostile_project(store: Store, choice: DataChoice, port: int) -> Project:
    data_schema = schema(choice, store.home)
    assert data_schema is not None
    starter = next(
        candidate
        for template in starters(choice, data_schema)
        if (candidate := start(template, choice, "a", store.home)) is not None
    )
    note = Note(text=hostile_text(port, "note"))
    networks = {
        name: network.model_copy(update={"notes": {"note": note, "frame": note.model_copy(update={"frame": True})}})
        for name, network in starter.networks.items()
    }
    training = starter.training.model_copy(update={"epochs": 1, "device": "cpu"})
    update = {"name": hostile_text(port, "name")[:200], "notes": hostile_text(port, "notes"), "networks": networks}
    return starter.model_copy(update={**update, "training": training})


def broken_project(port: int) -> Project:
    """A document with errors throughout, whose messages quote hostile text."""
    short = f"![x](http://127.0.0.1:{port})"
    nodes = {
        "a": Node(id="a", type=short, title=short, note=hostile_text(port, "remark")),
        "b": Node(id="b", type="Input", params={"field": hostile_text(port, "field"), "kind": "vector", "shape": [2]}),
        "c": Node(id="c", type="Linear", params={"units": hostile_text(port, "units"), hostile_text(port, "key"): 1}),
    }
    choice = DataChoice(
        dataset=hostile_text(port, "dataset"), options={hostile_text(port, "option"): hostile_text(port, "value")}
    )
    training = Training(objective=short, initial_weights=f"weights:{'0' * 64}")
    return Project(
        name=hostile_text(port)[:200], networks={"main": Network(nodes=nodes)}, data=choice, training=training
    )


def test_viewing_hostile_text_fetches_nothing(page: Page, server: Server, listener: Listener) -> None:
    store, port = server.store, listener.port
    choice = hostile_data(store, port)
    valid_project = hostile_project(store, choice, port)
    project_id = store.create_project(valid_project)
    # Real workers: the server supervises all runs of its store, and does not accept this process as a worker.
    failed, run_id = (runs.start(store, project_id, valid_project) for _ in range(2))  # pages show the last one
    for run in (run_id, failed):
        until_state(store, run, "finished", 120)
    put(store, failed, "failed", reason=hostile_text(port, "reason"))
    for run in (run_id, failed):
        store.update_run(run, notes=hostile_text(port, "notes"), tags=[hostile_text(port, "tag")[:40]])
    wrong_id = store.create_project(broken_project(port))

    page.add_init_script(f"({RECORD})('//127.0.0.1:{port}')")
    for shown_id, kinds in ((project_id, OPENING), (wrong_id, OPENING[:1])):
        for name in ("design", "data", "train", "runs", "explain", "playground", "deploy", "monitor", ""):
            if name in ("design", "runs"):  # the first page, and the one that shows a run only if its address names it
                page.goto(f"{server.url}/{name}?project={shown_id}&run={run_id}")
            else:
                open_by_link(page, name)
            check_page(page, kinds)
    assert not listener.asked
    planted = page.evaluate(PLANT, f"//127.0.0.1:{port}")
    page.wait_for_timeout(0)
    assert page.evaluate("window.leading.size") == planted, "the recorder works"
    with socket.create_connection(("127.0.0.1", port)) as line:  # the listener works
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert line.recv(1) == b""
    assert listener.asked


def check_page(page: Page, kinds: tuple[str, ...]) -> None:
    """Open all that a page can open, and check that nothing on it has led to an address."""
    wait_until_idle(page)
    for kind in kinds:
        for index in range(MOST):
            items = page.locator(kind).filter(visible=True)
            if index >= items.count():
                break
            with contextlib.suppress(Exception):
                items.nth(index).click(timeout=3_000)
            wait_until_idle(page)
            page.keyboard.press("Escape")
    assert page.evaluate("[...window.leading]") == [], page.url


def wait_until_idle(page: Page) -> None:
    page.evaluate("window.lastBusy = performance.now()")
    # By default, it would look in each frame, and so have the page drawn again and again.
    page.wait_for_function(f"performance.now() - window.lastBusy > {IDLE_MS}", polling=50, timeout=90_000)
