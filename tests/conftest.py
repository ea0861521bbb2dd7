"""Fixtures and hooks that all tests share."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from tests import THREADS
from tests.processes import sweep_processes

TESTS = Path(__file__).parent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An isolated data folder for one test. Its sweep processes are killed when the test ends."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("NETLOOM_HOME", str(folder))
    monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
    yield folder
    if (folder / "sweeps.log").exists():
        for pid in sweep_processes(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], None]]:
    """A test marked `alone` has the machine to itself: the tests of other workers wait until it is done. Any other test
    can request the same for the rest of its time by calling the fixture, for example to repeat a measurement.

    Every test takes the door lock first, so that a test that waits to be alone is not starved.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield lambda: None
        return
    shared = tmp_path_factory.getbasetemp().parent
    with (shared / "room").open("w") as inside:

        def enter(kind: int) -> None:
            fcntl.flock(inside, fcntl.LOCK_UN)  # otherwise a test that waits for exclusive access would deadlock
            with (shared / "door").open("w") as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(inside, kind)

        enter(fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH)
        yield lambda: enter(fcntl.LOCK_EX)


@pytest.fixture(scope="session")
def operators() -> Iterator[None]:
    """For tests that export ONNX: PyTorch collects all operators for each file; here, only for the first one."""
    from torch._export import utils
    from torch.onnx._internal import _lazy_import
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    apis, collect = vars(_lazy_import)["onnxscript_apis"], "_collect_all_valid_cia_ops_for_namespace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apis, "get_torchlib_ops", cache(apis.get_torchlib_ops))  # for each version of ONNX
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        patch.setattr(utils, collect, cache(getattr(utils, collect)))
        yield


@pytest.fixture(scope="session")
def component_manifests() -> Iterator[None]:
    """For tests with AppTest: it scans the installed packages for components only once, and waits for the event at
    the end of the script instead of looking for it a thousand times a second, which takes time from the script."""
    from streamlit.components.v2 import manifest_scanner
    from streamlit.runtime.scriptrunner import ScriptRunnerEvent
    from streamlit.testing.v1 import local_script_runner

    look = local_script_runner.require_widgets_deltas

    def wait(runner: local_script_runner.LocalScriptRunner, timeout: float = 3) -> None:
        ended = threading.Event()

        def listen(sender: object, event: ScriptRunnerEvent, **details: object) -> None:
            if event == ScriptRunnerEvent.SHUTDOWN:
                ended.set()

        runner.on_event.connect(listen)
        if not runner.script_stopped() and not ended.wait(timeout):
            look(runner, 0)  # reports the timeout

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        patch.setattr(local_script_runner, "require_widgets_deltas", wait)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device", choices=("cpu", "cuda"), default="cpu", help='hardware that "auto" stands for (default: cpu)'
    )


def pytest_configure(config: pytest.Config) -> None:
    """Leave out the tests marked `long` unless `-m` names them, and those marked `gpu` without `--device cuda`. An
    `-m "not long"` among the default options would be replaced by any other, so that `-m "not browser"` would run them
    all. Without `--device cuda`, tests and the processes that they start find no GPU."""
    if config.getoption("device") == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    left_out = [
        *(["long"] if "long" not in config.option.markexpr else []),
        *(["gpu"] if config.getoption("device") == "cpu" else []),
    ]
    chosen = [f"({config.option.markexpr})"] if config.option.markexpr else []
    config.option.markexpr = " and ".join([*chosen, *(f"not {name}" for name in left_out)])


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name the contents of files by a number, as other objects: archives have the time in them, so workers that
    collect a second apart would find different tests."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Workers that start together would each rewrite the asserts of every file, which is half of the collection time.
    So each worker starts with its own share of the files; by then, the others have cached theirs."""
    worker, count = os.environ.get("PYTEST_XDIST_WORKER"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if worker is None:
        return
    gc.disable()  # until the tests start: almost everything that is imported and collected stays
    if session.config.args_source is not session.config.ArgsSource.TESTPATHS:
        return
    paths = [path.relative_to(TESTS.parent).with_suffix("") for path in sorted(TESTS.rglob("test_*.py"))]
    names = [".".join(path.parts) for path in paths]
    worker_number = int(worker.removeprefix("gw"))
    for name in (name for turn in range(count) for name in names[(worker_number + turn) % count :: count]):
        with suppress(Exception, pytest.skip.Exception):  # reported during collection
            import_module(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker starts with its part of the list, and takes from the end of another part when it is done. Browser
    tests come at the beginning of the first part, so that nearly all of them share one server and one browser; the
    longest tests at the beginning of the second part. Tests that run alone come last, so that they do not wait for long
    tests again and again."""

    def marked(name: str) -> list[pytest.Item]:
        return [item for item in items if item.get_closest_marker(name) is not None]

    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    alone = marked("alone")
    browser_items = [item for item in marked("browser") if item not in alone]
    longest = marked("first")
    apart = {*alone, *browser_items, *longest}
    ordered = browser_items + [item for item in items if item not in apart] + alone
    second = len(items) // count if count > 1 else 0
    items[:] = ordered[:second] + longest + ordered[second:]


def pytest_collection_finish() -> None:
    """Exclude imported modules from garbage collection, which took a tenth of the test time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(10_000, 20, 20)


def pytest_report_header() -> str:
    return f"threads per library: {THREADS}"
