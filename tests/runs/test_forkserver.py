"""The server of which processes are forked, with children that only end as they are told."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from netloom.runs import forkserver
from netloom.runs.forkserver import Forked, ForkServer, GoneError, sibling
from tests.runs.examples import until

SERVER = """
import sys
from netloom.runs.forkserver import serve, sibling

def work():
    told = sys.stdin.readline()
    if told == "sibling":
        child = sibling()
        child.stdin.write(b"3")
        child.stdin.close()
        return child.wait(20) + 1
    return int(told or 7)

sys.exit(serve(work))
"""


@pytest.fixture(scope="module")
def server() -> ForkServer:
    found = ForkServer([sys.executable, "-c", SERVER], os.environ)
    assert found.ready(60)
    return found


def told(server: ForkServer, word: str) -> Forked:
    child = server.fork()
    child.stdin.write(word.encode())
    child.stdin.close()
    return child


def test_exit_codes_are_told_also_to_a_sibling(server: ForkServer) -> None:
    assert [told(server, word).wait(20) for word in ("0", "200", "", "sibling")] == [0, 200, 7, 4]
    child = server.fork()
    assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(20) == child.poll() == -signal.SIGKILL
    child.stdin.close()
    with pytest.raises(GoneError):
        sibling()  # this process was not forked


def test_many_ask_at_once_and_nothing_is_left_open(server: ForkServer) -> None:
    process = psutil.Process(server.pid)
    until(lambda: not process.children(), 20)
    before, mine = process.num_fds(), psutil.Process().num_fds()
    codes: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        children = [told(server, str(number)) for _ in range(5)]
        codes[number] = [child.wait(60) for child in children]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {number: [number] * 5 for number in range(6)}
    until(lambda: process.num_fds() <= before and not process.children(), 20)
    assert psutil.Process().num_fds() <= mine


def test_one_that_does_not_answer_is_done_without(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "ANSWER_S", 0.1)
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(GoneError):
        server.fork()
    os.kill(server.pid, signal.SIGCONT)
    until(lambda: not psutil.Process(server.pid).children(), 20)  # what it forks then is told nothing, and ends
    monkeypatch.undo()
    assert told(server, "5").wait(20) == 5


def test_all_threads_that_wait_hear_that_it_is_ready() -> None:
    """It says so once, and of several threads each has to know."""
    one = ForkServer([sys.executable, "-c", SERVER], os.environ)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(one.ready, [60] * 8))


def test_it_ends_with_whoever_started_it() -> None:
    one = ForkServer([sys.executable, "-c", SERVER], os.environ)
    assert one.ready(60)
    process, child = psutil.Process(one.pid), one.fork()
    del one
    until(lambda: not process.is_running(), 20)
    assert psutil.pid_exists(child.pid), "what it forked goes on"
    with pytest.raises(ChildProcessError):
        child.wait(20)  # not at once: until it has got going, it holds what the server would tell by
    child.stdin.close()
    until(lambda: not psutil.pid_exists(child.pid) or psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 20)
