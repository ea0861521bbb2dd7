"""Whatever other people wrote into a document, a dataset or a run, looking at it fetches nothing and leads nowhere."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from netloom import runs
from netloom.cli.bench.server import Server
from netloom.data import add_file, schema
from netloom.document import DataChoice, Network, Node, Note, Project, Training
from netloom.store import Store
from netloom.templates.starting import start, starters
from tests.runs.examples import until_state
from tests.store.states import put

pytestmark = pytest.mark.browser

# Every place in the page, also within the shadows of components, that makes a browser ask for an address.
LEADING = """(place) => {
    const found = [];
    const look = (root) => {
        for (const element of root.querySelectorAll("*")) {
            for (const {name, value} of element.attributes) {
                const leads = ["src", "href", "srcset", "poster", "data", "action", "style", "xlink:href"];
                if (leads.includes(name) && value.includes(place)) found.push(element.outerHTML.slice(0, 300));
            }
            if (element.shadowRoot) look(element.shadowRoot);
        }
    };
    look(document);
    return found;
}"""
# What opens more of a page: tabs, choices of a view, folds, and what is behind a button.
OPENING = (
    "[role=tab]",
    "[data-testid=stExpander] summary",
    "[data-testid=stPopoverButton]",
    "[data-testid=stButtonGroup] button",
)
MOST = 5  # of each kind on a page


class Listener:
    """A server of somebody else, which counts who asks it for anything."""

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
    found = Listener()
    yield found
    found.socket.close()


def planted(port: int, word: str = "x") -> str:
    """A text that would fetch something, wherever it is read as Markdown or HTML."""
    place = f"http://127.0.0.1:{port}/{word}"
    return f"![{word}]({place}.png) <img src={place}.svg> [{word}]({place}) {place}"


def data(store: Store, port: int) -> DataChoice:
    one, other, text = planted(port, "one"), planted(port, "other"), planted(port, "text")
    head = f'"{planted(port, "a")}","{planted(port, "b")}","{planted(port, "y")}"\n'
    rows = "".join(f'{row},"{text} {row % 4}","{one if row % 2 else other}"\n' for row in range(60))
    info = add_file((head + rows).encode(), "a.csv", store.home, name=planted(port, "data"))
    return DataChoice(dataset=info.name)


def project(store: Store, choice: DataChoice, port: int) -> Project:
    known = schema(choice, store.home)
    assert known is not None
    made = next(
        found for template in starters(choice, known) if (found := start(template, choice, "a", store.home)) is not None
    )
    note = Note(text=planted(port, "note"))
    networks = {
        name: network.model_copy(update={"notes": {"note": note, "frame": note.model_copy(update={"frame": True})}})
        for name, network in made.networks.items()
    }
    training = made.training.model_copy(update={"epochs": 1, "device": "cpu"})
    update = {"name": planted(port, "name")[:200], "notes": planted(port, "notes"), "networks": networks}
    return made.model_copy(update={**update, "training": training})


def broken(port: int) -> Project:
    """A document in which nothing is right, and every mistake is quoted."""
    short = f"![x](http://127.0.0.1:{port})"
    nodes = {
        "a": Node(id="a", type=short, title=short, note=planted(port, "remark")),
        "b": Node(id="b", type="Input", params={"field": planted(port, "field"), "kind": "vector", "shape": [2]}),
        "c": Node(id="c", type="Linear", params={"units": planted(port, "units"), planted(port, "key"): 1}),
    }
    choice = DataChoice(dataset=planted(port, "dataset"), options={planted(port, "option"): planted(port, "value")})
    training = Training(objective=short, start=f"weights:{'0' * 64}")
    return Project(name=planted(port)[:200], networks={"main": Network(nodes=nodes)}, data=choice, training=training)


def test_looking_at_what_others_wrote_fetches_nothing(page: Page, server: Server, listener: Listener) -> None:
    store, port = server.store, listener.port
    choice = data(store, port)
    whole = project(store, choice, port)
    project_id = store.create_project(whole)
    # Real workers: the server looks after all runs of its store, and takes this process for none.
    run_id, failed = (runs.start(store, project_id, whole) for _ in range(2))
    for run in (run_id, failed):
        until_state(store, run, "finished", 120)
    put(store, failed, "failed", reason=planted(port, "reason"))
    for run in (run_id, failed):
        store.update_run(run, notes=planted(port, "notes"), tags=[planted(port, "tag")[:40]])
    wrong_id = store.create_project(broken(port))

    for path in ("", "design", "data", "train", "runs", "explain"):
        for opened, kinds in ((project_id, OPENING), (wrong_id, OPENING[:1])):
            page.goto(f"{server.url}/{path}?project={opened}&run={run_id}")
            walked(page, port, kinds)
    assert not listener.asked
    with socket.create_connection(("127.0.0.1", port)) as line:  # it would have heard
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert line.recv(1) == b""
    assert listener.asked


def walked(page: Page, port: int, kinds: tuple[str, ...]) -> None:
    """Open everything that a page has to open, and look each time."""
    settled(page)
    assert not page.evaluate(LEADING, f"//127.0.0.1:{port}")
    for kind in kinds:
        for place in range(MOST):
            items = page.locator(kind).filter(visible=True)
            if place >= items.count():
                break
            with contextlib.suppress(Exception):
                items.nth(place).click(timeout=1_000)
            settled(page)
            assert not page.evaluate(LEADING, f"//127.0.0.1:{port}"), (page.url, kind, place)
            page.keyboard.press("Escape")


def settled(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=90_000)
