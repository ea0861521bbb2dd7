"""What all tests share."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
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
    """A data folder of its own for one test. A process that moves its sweeps on ends with the test."""
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
    """A test marked `alone` has the machine to itself: those of the other processes wait until it is done. Another one
    gets it for the rest of its time by calling what it is given, such as where a first measurement falls short.

    Whoever wants in passes the door first, so that a test that waits to be alone is not overtaken for ever.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield lambda: None
        return
    shared = tmp_path_factory.getbasetemp().parent
    with (shared / "room").open("w") as inside:

        def enter(kind: int) -> None:
            fcntl.flock(inside, fcntl.LOCK_UN)  # or who waits at the door for an empty room would wait for ever
            with (shared / "door").open("w") as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(inside, kind)

        enter(fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH)
        yield lambda: enter(fcntl.LOCK_EX)


@pytest.fixture(scope="session")
def operators() -> Iterator[None]:
    """For tests that write ONNX: PyTorch goes through all operators for each file, here for the first alone."""
    from torch._export import utils
    from torch.onnx._internal import _lazy_import
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    apis, collect = vars(_lazy_import)["onnxscript_apis"], "_collect_all_valid_cia_ops_for_namespace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apis, "get_torchlib_ops", cache(apis.get_torchlib_ops))  # for each version of ONNX
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        patch.setattr(utils, collect, cache(getattr(utils, collect)))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Of processes that begin together each would rewrite the asserts of every file, half of what it takes to collect.
    So each begins with files of its own, and finds those of the others done by then."""
    worker, count = os.environ.get("PYTEST_XDIST_WORKER"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if worker is None or session.config.args_source is not session.config.ArgsSource.TESTPATHS:
        return
    paths = [path.relative_to(TESTS.parent).with_suffix("") for path in sorted(TESTS.rglob("test_*.py"))]
    names = [".".join(path.parts) for path in paths]
    mine = int(worker.removeprefix("gw"))
    for name in (name for turn in range(count) for name in names[(mine + turn) % count :: count]):
        with suppress(Exception, pytest.skip.Exception):  # it is told where it is collected
            import_module(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of several processes begins with its part of the list, and takes from the end of another's when it is done.
    So that one server and one browser serve nearly all tests that need them, these stand at the beginning of the first
    part; those that take longest at that of the second. Those that have to be alone come last, so that they need not
    wait for the end of a long one again and again."""

    def marked(name: str) -> list[pytest.Item]:
        return [item for item in items if item.get_closest_marker(name) is not None]

    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    alone = marked("alone")
    early = [item for item in marked("browser") if item not in alone]
    longest = marked("first")
    apart = {*alone, *early, *longest}
    found = early + [item for item in items if item not in apart] + alone
    second = len(items) // count if count > 1 else 0
    items[:] = found[:second] + longest + found[second:]


def pytest_collection_finish() -> None:
    """What is imported by now stays; to look through it for garbage again and again took a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_report_header() -> str:
    return f"threads per library: {THREADS}"
