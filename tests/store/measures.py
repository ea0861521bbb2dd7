"""The measurements of docs/pages/scaling.md: `python -m tests.store.measures store|queue|worker|web|background|pages`.

Nothing here passes or fails; each printed line is a measurement of the current machine.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from netloom import jobs
from netloom.data import add_file, prepare, schema
from netloom.data.builtin_registry import builtin
from netloom.data.preparation.prepare import clear_cache, prepared
from netloom.data.preparation.project_defaults import default_choice
from netloom.document import DataChoice, Project
from netloom.store import Limits, Point, Store, open_store
from netloom.templates import templates
from netloom.templates.starting import start, starters
from netloom.validation import analyze
from netloom.validation.measurements import forget_known, measure_networks
from tests.page_server.server import long_calls
from tests.store import postgres
from tests.store.states import put

FLUSH = 20  # points that a worker writes in one batch
SECONDS = 1.0
ROUNDS = 2
RUNS = 1_000


@contextmanager
def _stores() -> Iterator[dict[str, Path]]:
    """A data folder for each database, by the name of the database; `_use` selects the current one."""
    with tempfile.TemporaryDirectory() as folder, postgres.server() as url, postgres.database(url) as database:
        _URLS["postgresql"] = database
        yield {name: Path(folder) / name for name in _URLS}


_URLS = {"sqlite": "", "postgresql": ""}


def _use(name: str) -> None:
    os.environ.pop("NETLOOM_DATABASE_URL", None)
    if _URLS[name]:
        os.environ["NETLOOM_DATABASE_URL"] = _URLS[name]


def _rows(count: int, first: int = 0) -> list[Point]:
    return [(first + number, 0, "train", "loss", 0.5, time.time()) for number in range(count)]


def _median_ms(act: Callable[[], object], times: int) -> float:
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        durations.append(1000 * (time.perf_counter() - start))
    return statistics.median(durations)


def store() -> None:
    """Compare both databases: points and writes per second of 1, 4 and 16 processes, and the latency of a command."""
    with _stores() as places:
        samples: dict[tuple[str, str], list[float]] = {}
        for _ in range(ROUNDS):
            for name, place in places.items():
                _use(name)
                for what, value in _measured(place).items():
                    print(f"{name} {what} {value:.2f}", file=sys.stderr, flush=True)
                    samples.setdefault((what, name), []).append(value)
    for what in dict.fromkeys(what for what, _ in samples):
        sqlite, pg = (statistics.median(samples[what, name]) for name in ("sqlite", "postgresql"))
        print(f"{what:44} sqlite {sqlite:10,.2f}   postgresql {pg:10,.2f}   postgresql ÷ sqlite {pg / sqlite:.2f}")


def _measured(place: Path) -> dict[str, float]:
    opened = open_store(place)
    run_id = _run(opened)
    start = time.perf_counter()
    for number in range(10):
        opened.add_points(run_id, _rows(2_000, number))
    results = {"points/s, one process, 2,000 at once": 20_000 / (time.perf_counter() - start)}
    for count in (1, 4):
        writes = _writers(place, opened, count)
        results[f"writes/s of {FLUSH} points, {count} processes"] = writes

    def ask() -> None:
        opened.command(run_id, "pause")
        assert opened.take_commands(run_id)

    results["command asked and taken, ms"] = _median_ms(ask, 60)
    results["look for a command, none there, ms"] = _median_ms(lambda: opened.take_commands(run_id), 100)
    results["heartbeat, ms"] = _median_ms(lambda: opened.heartbeat(run_id, epoch=1, step=1, summary={}), 100)
    results["save a project, ms"] = _saving(opened)
    load = _start_writers(place, [_run(opened) for _ in range(4)], SECONDS + 1)
    time.sleep(0.3)
    results["command asked and taken beside 4 writers, ms"] = _median_ms(ask, 60)
    for child in load:
        child.communicate()
    opened.close()
    return results


def _saving(opened: Store) -> float:
    project = templates()["digits_cnn"].project
    saved = opened.load(opened.create_project(project))
    state = [saved.revision, saved.stamp]

    def save() -> None:
        state[0] += 1
        changed = project.model_copy(update={"notes": str(state[0])})
        state[1] = opened.save(saved.id, changed, saved.epoch, state[0], {}, state[1])

    return _median_ms(save, 50)


def _run(opened: Store) -> str:
    project = templates()["digits_mlp"].project
    return opened.create_run(opened.create_project(project), project).id


def _start_writers(place: Path, run_ids: list[str], seconds: float) -> list[subprocess.Popen[str]]:
    begin = str(time.time() + 0.5 + 0.5 * len(run_ids))
    command = [sys.executable, "-m", "tests.store.measures", "writer", str(place)]
    return [
        subprocess.Popen([*command, run_id, begin, str(seconds)], stdout=subprocess.PIPE, text=True)
        for run_id in run_ids
    ]


def _writers(place: Path, opened: Store, count: int) -> float:
    children = _start_writers(place, [_run(opened) for _ in range(count)], SECONDS)
    return sum(int(child.communicate()[0]) for child in children) / SECONDS


def writer(place: str, run_id: str, begin: str, seconds: str) -> None:
    opened, writes, rows = open_store(Path(place)), 0, _rows(FLUSH)
    time.sleep(max(0.0, float(begin) - time.time()))
    end = time.time() + float(seconds)
    while time.time() < end:
        opened.add_points(run_id, rows)
        writes += 1
    print(writes)


def queue() -> None:
    """The cost of supervising a thousand runs, by their state."""
    from netloom.runs import processes, tend

    with _stores() as places:
        for name, place in places.items():
            _use(name)
            opened = open_store(place)
            project = templates()["digits_mlp"].project
            project_id = opened.create_project(project)
            ids = [opened.create_run(project_id, project, owner=str(number % 300)).id for number in range(RUNS)]
            full = Limits(workers=1, each=1)
            timings = {"line, all wait": _median_ms(opened.line, 5)}
            claimed = opened.claim_next(full)
            timings["claim, no room, all wait"] = _median_ms(partial(opened.claim_next, full), 20)
            assert claimed is not None
            timings["claim and give back, all wait"] = _claimed(opened)
            alive = subprocess.Popen([sys.executable, "-c", "input()", processes.MODULE], stdin=subprocess.PIPE)
            _all(opened, ids, state="running", pid=alive.pid, heartbeat=True)
            timings["active runs, all have a worker"] = _median_ms(opened.active_runs, 5)
            timings["tend, all have a worker"] = _median_ms(partial(tend, opened), 5)
            alive.communicate(b"\n")
            _all(opened, ids, state="finished")
            timings["tend, all ended"] = _median_ms(partial(tend, opened), 20)
            timings["list for the Runs page"] = _median_ms(partial(opened.runs, limit=RUNS), 5)
            for quantity, value in timings.items():
                print(f"{name:10} {quantity:32} {value:8.2f} ms")
            opened.close()


def _claimed(opened: Store) -> float:
    many = Limits(workers=RUNS, each=RUNS)

    def claim() -> None:
        run = opened.claim_next(many)
        assert run is not None
        assert opened.give_back(run)

    return _median_ms(claim, 10)


def _all(opened: Store, ids: list[str], *, state: str, heartbeat: bool = False, **values: Any) -> None:
    summary = {"titles": {"loss": "Loss"}, "best": {"loss": 0.5, "epoch": 3}, "speeds": [1000.0] * 60}
    for run_id in ids:
        put(opened, run_id, state, **values)
        if heartbeat:
            opened.heartbeat(run_id, epoch=1, step=1, summary=summary)


def worker() -> None:
    """The fork server at rest, and a worker with a small run: memory, time, rows, bytes."""
    from netloom import runs

    _use("sqlite")
    with tempfile.TemporaryDirectory() as folder:
        opened = open_store(Path(folder))
        runs.warm(opened)
        [child] = [process for process in psutil.Process().children() if runs.processes.MODULE in process.cmdline()]
        _settle(child)
        print(f"the server of workers at rest: {_mb(child)}")
        for name, epochs in (("digits_mlp", 20), ("digits_cnn", 5)):
            _trained(opened, templates()[name].project, epochs)
        opened.close()


def _trained(opened: Store, project: Project, epochs: int) -> None:
    from netloom import runs

    training = project.training.model_copy(update={"epochs": epochs, "early_stopping": None})
    project = project.model_copy(update={"training": training})
    start = time.time()
    run_id = runs.start(opened, opened.create_project(project), project)
    peak, uss, cpu = 0, 0, 0.0
    while (run := runs.refresh(opened, run_id)).state in runs.ACTIVE:
        if run.pid:
            with suppress(psutil.Error):  # it has just ended
                process = psutil.Process(run.pid)
                full, cpu = process.memory_full_info(), sum(process.cpu_times()[:2])
                peak, uss = max(peak, full.rss), max(uss, full.uss)
        time.sleep(0.05)
    total_s = time.time() - start
    assert run.state == "finished", run.reason
    assert run.started_at is not None
    assert run.ended_at is not None
    training_s = (run.ended_at - run.started_at).total_seconds()
    rows = len(opened.points(run_id).step)
    files = sum(path.stat().st_size for path in opened.artifacts(run_id).local_directory().rglob("*") if path.is_file())
    with opened.db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    print(
        f"{project.name}, {epochs} epochs: {total_s:.1f} s ({training_s:.1f} s from its start), {cpu:.1f} s of CPU, "
        f"peak {peak / 1e6:.0f} MB, "
        f"{uss / 1e6:.0f} MB of it its own, {rows} points ({rows / training_s:.0f}/s), folder {files / 1e3:.0f} kB, "
        f"summary {len(str(run.summary)) / 1e3:.1f} kB, database now {(opened.home / 'netloom.db').stat().st_size:,} B"
    )


def _settle(process: psutil.Process) -> None:
    """Wait until a process is almost idle, which it never is with many open pages."""
    before = -1.0
    for _ in range(8):
        if (now := sum(process.cpu_times()[:2])) - before < 0.05:
            return
        before = now
        time.sleep(1.5)


def _mb(process: psutil.Process) -> str:
    full = process.memory_full_info()
    return f"{full.rss / 1e6:.0f} MB resident, {full.uss / 1e6:.0f} MB of it its own"


def web() -> None:
    """The web server: memory at startup, per session and per project; CPU of pages that watch a run, and of an edit."""
    from playwright.sync_api import sync_playwright

    from netloom import runs
    from netloom.cli.bench.browser import chromium
    from netloom.cli.bench.canvas import CanvasTab, chain
    from netloom.cli.bench.server import Server

    _use("sqlite")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder))
        process = psutil.Process(server.process.pid)
        browser = chromium(playwright)
        assert browser is not None
        try:
            _settle(process)
            print(f"server, no session yet: {_mb(process)}")
            with CanvasTab(browser, server, 20) as tab:
                _settle(process)
                print(f"server, one session on the canvas: {_mb(process)}")
                start = sum(process.cpu_times()[:2])
                for _ in range(20):
                    tab.edit()
                print(f"an edit at 20 layers: {1000 * (sum(process.cpu_times()[:2]) - start) / 20:.0f} ms of CPU")
            project_id = server.store.create_project(chain(20))
            uss = process.memory_full_info().uss
            pages = [_open(browser, f"{server.url}/design?project={project_id}") for _ in range(4)]
            _settle(process)
            print(f"4 more sessions on another project: {(process.memory_full_info().uss - uss) / 4e6:.1f} MB each")
            uss = process.memory_full_info().uss
            for number in range(4):
                url = f"{server.url}/design?project={server.store.create_project(chain(20))}"
                pages[number].goto(url)
                pages[number].locator('[data-shape="linear_1"]').wait_for()
            _settle(process)
            print(f"4 more projects open: {(process.memory_full_info().uss - uss) / 4e6:.1f} MB each")
            for page in pages:
                page.close()
            project = templates()["digits_cnn"].project
            training = project.training.model_copy(update={"epochs": 5_000, "early_stopping": None})
            project = project.model_copy(update={"training": training})
            opened = server.store
            own_project = opened.create_project(project)
            run_id = runs.start(opened, own_project, project)
            while runs.refresh(opened, run_id).step == 0:
                time.sleep(0.2)
            pages = []
            for count in (0, 1, 4):
                while len(pages) < count:
                    page = browser.new_page(viewport={"width": 1440, "height": 900})
                    page.goto(f"{server.url}/train?project={own_project}&run={run_id}")
                    page.get_by_role("button", name="Pause").wait_for()
                    pages.append(page)
                time.sleep(4)
                start, start_s = sum(process.cpu_times()[:2]), time.time()
                time.sleep(8)
                share = (sum(process.cpu_times()[:2]) - start) / (time.time() - start_s)
                print(f"{count} pages watch a run: {share:.3f} cores of the server, {_mb(process)}", flush=True)
            for child in (run_id,):
                runs.stop(opened, child)
                runs.wait(opened, child, 60)
        finally:
            browser.close()
            server.stop()


def background() -> None:
    """The processor time of this process for reading data and checking networks with empty caches: if it computes
    itself, and if it leaves that to workers as the web server does."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["NETLOOM_HOME"] = folder
        _write_files(home)
        acts: dict[str, Callable[[], object]] = {}
        for name in FILES:
            info = add_file(home / f"{name}.csv", f"{name}.csv", home, target="y")
            acts[f"a {name} upload of {info.rows:,} rows"] = partial(prepare, DataChoice(dataset=info.name), home)
        acts |= {f"data {name}": partial(prepare, DataChoice(dataset=name), home) for name in builtin()}
        acts |= {f"check {name}": partial(analyze, template.project) for name, template in templates().items()}
        jobs.delegate()
        for act in acts.values():
            act()  # imports everything, and lets the workers cache the results
        _forget()
        delegated = {what: _processor_ms(act) for what, act in acts.items()}
        _forget()
        for function in (prepared, measure_networks):
            function.delegate(None)
        for what, act in acts.items():
            print(f"{what:40} here {_processor_ms(act):7.1f} ms, by a worker {delegated[what]:5.1f} ms", flush=True)


def _forget() -> None:
    clear_cache()
    forget_known()


def _processor_ms(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return 1000 * (time.process_time() - start)


FILES = ("table", "texts")


def _write_files(home: Path) -> None:
    """Write a table of 200,000 rows and 21 columns, and 50,000 texts of 20 words."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(200_000, 20)).round(3), columns=[f"x{place}" for place in range(20)])
    table["y"] = random.integers(0, 3, len(table))
    table.to_csv(home / "table.csv", index=False)
    words = np.array(["good", "bad", "film", "the", "plot", "is", "not", "very", "long", "short"])
    texts = pd.DataFrame({"text": [" ".join(row) for row in random.choice(words, (50_000, 20))]})
    texts["y"] = random.integers(0, 2, len(texts))
    texts.to_csv(home / "texts.csv", index=False)


PAGES = ("data", "design", "train", "explain", "playground", "deploy", "monitor", "runs")


def pages() -> None:
    """The processor time of the web server for each page, with and without a cold cache of the data and the network,
    and the calls in it that took long.

    Its modules are imported before, by opening the page for another project.
    """
    from playwright.sync_api import sync_playwright

    from netloom.cli.bench.browser import chromium
    from tests.page_server.server import WatchedServer

    _use("sqlite")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home, stretches = Path(folder), Path(folder) / "stretches"
        os.environ["NETLOOM_HOME"] = folder
        addresses = _projects_with_a_run(home)
        browser = chromium(playwright)
        assert browser is not None
        for page in PAGES:
            for data in ("shapes", *FILES):
                server = WatchedServer(home, stretches)
                process = psutil.Process(server.process.pid)
                url = f"{server.url}/{page}?"
                try:
                    for warming in (server.url, url + addresses["other"]):
                        _visited(browser, process, warming)
                        server.settle()
                    stretches.write_text("")
                    cold, again = (_visited(browser, process, url + addresses[data]) for _ in range(2))
                    has_torch = any("libtorch" in mapped.path for mapped in process.memory_maps())
                    print(
                        f"{page:10} {data:7} {cold:5.0f} ms of CPU, again {again:5.0f} ms; "
                        f"PyTorch {'was' if has_torch else 'was not'} imported; {_mb(process)}",
                        flush=True,
                    )
                    for call in long_calls(stretches):
                        print(f"    {call}", flush=True)
                finally:
                    server.stop()
        browser.close()


def _projects_with_a_run(home: Path) -> dict[str, str]:
    """Return the parameters of the address of projects, each with a run of one epoch."""
    from netloom import runs
    from tests.runs.examples import trained_here

    _write_files(home)
    opened = open_store(home)
    projects = {name: templates()[template].project for name, template in _TEMPLATES.items()}
    for name in FILES:
        choice = default_choice(add_file(home / f"{name}.csv", f"{name}.csv", home, target="y").name, home)
        described = schema(choice, home)
        assert described is not None
        project = start(starters(choice, described)[0], choice, name, home)
        assert project is not None
        projects[name] = project
    addresses = {}
    for name, project in projects.items():
        training = project.training.model_copy(update={"epochs": 1, "batch_size": 2_048, "early_stopping": None})
        project = project.model_copy(update={"training": training})
        project_id = opened.create_project(project)
        with trained_here():
            addresses[name] = f"project={project_id}&run={runs.start(opened, project_id, project)}"
    opened.close()
    return addresses


_TEMPLATES = {"shapes": "shapes_unet", "other": "breast_cancer"}
_DRAWN = '[data-testid="stApp"][data-test-script-state="notRunning"]'
_BUSY = '[data-testid="stStatusWidget"], .netloom-skeleton, [data-testid="stSpinner"]'


def _visited(browser: Any, process: psutil.Process, url: str) -> float:
    """Open a page until it is drawn. Returns the milliseconds of processor time of the server, without its workers."""
    start = sum(process.cpu_times()[:2])
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.locator(_DRAWN).wait_for()
    quiet, end = 0, time.monotonic() + 90
    while quiet < 6 and time.monotonic() < end:
        time.sleep(0.2)
        is_busy = page.locator(_BUSY).count() or not page.locator(_DRAWN).count()
        quiet = 0 if is_busy else quiet + 1
    page.close()
    return 1000 * (sum(process.cpu_times()[:2]) - start)


def _open(browser: Any, url: str) -> Any:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.locator('[data-shape="linear_1"]').wait_for()
    return page


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # started servers are stopped nevertheless
    task, *arguments = sys.argv[1:]
    tasks: dict[str, Callable[..., None]] = {
        "store": store,
        "queue": queue,
        "worker": worker,
        "web": web,
        "background": background,
        "pages": pages,
        "writer": writer,
    }
    tasks[task](*arguments)
