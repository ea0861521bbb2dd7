"""The cost of editing sessions: `python -m tests.ui.editing_sessions [--sessions 1 10 25] [--layers 20]`.

Speaks Streamlit's protocol as the canvas does, without a browser, whose own work would be measured with the server's on
a small machine. Each session has its own project, adds a layer about once per second, requests the other parts of the
page when its canvas would, and reruns the canvas every two seconds. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from netloom.cli.bench.canvas import chain
from netloom.cli.bench.server import Server
from netloom.document import Project
from netloom.ui.design.page import LOOK_EVERY_S

# The pause of a user between two edits, and the delay after which the canvas requests the other parts (SEEN_MS).
PAUSE_S, SEEN_S = 1.0, 0.04
# How long an edit may take
PATIENCE_S = 60.0


@dataclass
class Session:
    """A tab with the Design page of a project."""

    connection: ClientConnection
    project: str
    layers: int
    page: str = ""
    fragment: str = ""
    widget: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    client: str = ""
    seq: int = 0
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)
    latencies: list[float] = field(default_factory=list)
    received: int = 0
    side_panel: str = ""
    tabs: str = ""
    open_tab: str = ""
    code: str = ""

    async def read(self) -> None:
        """Receive messages until the connection closes."""
        async for content in self.connection:
            message = ForwardMsg.FromString(content if isinstance(content, bytes) else content.encode())
            self.received += len(content)
            if message.WhichOneof("type") == "navigation":
                self.page = message.navigation.page_script_hash
            if message.WhichOneof("type") != "delta":
                continue
            if message.delta.add_block.HasField("tab_container"):
                self.side_panel, self.tabs = message.delta.fragment_id, message.delta.add_block.tab_container.id
            element = message.delta.new_element
            if element.WhichOneof("type") == "code":
                async with self.answered:
                    self.code = element.code.code_text
                    self.answered.notify_all()
            if element.WhichOneof("type") != "bidi_component" or not element.bidi_component.bytes:
                continue
            value = json.loads(element.bidi_component.bytes)
            if "epoch" not in value:
                continue
            async with self.answered:
                self.fragment, self.widget, self.data = message.delta.fragment_id, element.bidi_component.id, value
                self.answered.notify_all()

    async def send(self, *, fragment: str = "", auto: bool = False) -> None:
        """Rerun a fragment, or the page."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = f"project={self.project}", self.page
        state.fragment_id, state.is_auto_rerun = fragment, auto
        if not self.page:
            state.page_name = "design"
        if self.widget:
            widget = state.widget_states.widgets.add()
            widget.id, widget.json_value = self.widget, json.dumps(self.state)
        if self.open_tab:
            widget = state.widget_states.widgets.add()
            widget.id, widget.string_value = self.tabs, self.open_tab
        await self.connection.send(message.SerializeToString())

    async def until(self, is_reached: Any) -> None:
        async with self.answered:
            await asyncio.wait_for(self.answered.wait_for(is_reached), PATIENCE_S)

    async def open(self) -> None:
        await self.send()
        await self.until(lambda: bool(self.data) and bool(self.fragment))
        self.client = f"client{random.randrange(10**9)}"
        await asyncio.sleep(1)
        await self.look()

    async def look(self) -> None:
        """Request the other parts of the page, as the canvas does after an answer."""
        self.state["selection"] = {
            "network": "main",
            "nodes": [],
            "edges": [],
            "about": None,
            "palette": self.data["palette_version"],
            "changes": self.data["changes"],
        }
        await self.send(fragment=self.fragment)

    async def edit(self, *, looks: bool = True) -> None:
        """Add a layer behind the last one, and wait until its shape is known."""
        self.seq += 1
        node, source = f"tanh_{self.seq}", f"tanh_{self.seq - 1}" if self.seq > 1 else f"linear_{self.layers - 1}"
        at = [260.0 * (self.seq // 20), 90.0 * (self.seq % 20)]
        op = {
            "kind": "add",
            "network": "main",
            "nodes": [{"id": node, "type": "Tanh", "params": {}, "at": at}],
            "edges": [{"source": source, "target": node}],
            "seq": self.seq,
        }
        palette, epoch = self.data["palette_version"], self.data["epoch"]
        self.state["sync"] = {
            "epoch": epoch,
            "client": self.client,
            "ops": [op],
            "palette": palette,
            "number": self.seq,
        }
        start, changes = time.perf_counter(), self.data["changes"]
        await self.send(fragment=self.fragment)
        await self.until(lambda: self.data["ack"].get(self.client, 0) >= self.seq)
        self.latencies.append(time.perf_counter() - start)
        if self.data["refusals"] or not self.data["saved"]:
            raise RuntimeError(f"The edit was refused: {self.data['refusals']}")
        await asyncio.sleep(SEEN_S)
        if looks and self.data["changes"] != changes:
            await self.look()

    async def watch(self) -> None:
        """Rerun the canvas as its fragment does by itself."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.send(fragment=self.fragment, auto=True)


async def connected(server: Server, project: Project, layers: int = 0) -> Session:
    """Return a tab for the Design page of a new project."""
    address = server.url.replace("http", "ws") + "/_stcore/stream"
    connection = await connect(address, subprotocols=["streamlit"], max_size=None, ping_interval=None)  # type: ignore[list-item]
    return Session(connection, server.store.create_project(project), layers)


async def measure(server: Server, sessions: int, layers: int, edits: int, pause_s: float = PAUSE_S) -> str:
    process = psutil.Process(server.process.pid)
    tabs = []
    tasks = []
    for _ in range(sessions):
        tab = await connected(server, chain(layers), layers)
        tabs.append(tab)
        tasks.append(asyncio.create_task(tab.read()))
        await tab.open()
    await asyncio.sleep(2)
    for tab in tabs:
        await tab.edit()  # a warm-up
        tab.latencies.clear()
    await asyncio.to_thread(server.settle)

    def used_s() -> float:
        return sum(process.cpu_times()[:2])

    before = used_s()
    for _ in range(edits):
        for tab in tabs:
            await tab.edit(looks=False)
            tab.latencies.clear()
    await asyncio.sleep(0.5)
    canvas = (used_s() - before) / edits / sessions
    watchers = [asyncio.create_task(tab.watch()) for tab in tabs]
    await asyncio.sleep(2)
    before, start_s = used_s(), time.perf_counter()
    await asyncio.sleep(8)
    idle = (used_s() - before) / (time.perf_counter() - start_s) / sessions

    async def work(tab: Session) -> None:
        await asyncio.sleep(random.uniform(0, pause_s))
        for _ in range(edits):
            await tab.edit()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))

    before, start_s = used_s(), time.perf_counter()
    await asyncio.gather(*(work(tab) for tab in tabs))
    took, cpu = time.perf_counter() - start_s, used_s() - before
    for task in (*watchers, *tasks):
        task.cancel()
    for tab in tabs:
        await tab.connection.close()
    latencies = sorted(latency for tab in tabs for latency in tab.latencies)
    p95 = latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))]
    whole = (cpu - idle * sessions * took) / len(latencies)
    return (
        f"{sessions:3} sessions, {layers} layers: an edit takes {statistics.median(latencies) * 1000:.0f} ms "
        f"(p95 {p95 * 1000:.0f} ms), {1000 * canvas:.1f} ms of CPU for the canvas and {1000 * whole:.1f} ms with the "
        f"other parts of the page; an idle tab {idle:.4f} cores; {cpu / took:.2f} cores in total"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10, 25])
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--pause", type=float, default=PAUSE_S)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            for sessions in arguments.sessions:
                server.settle()
                print(
                    asyncio.run(measure(server, sessions, arguments.layers, arguments.edits, arguments.pause)),
                    flush=True,
                )
        finally:
            server.stop()


if __name__ == "__main__":
    main()
