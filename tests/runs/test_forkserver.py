"""The fork server, with children that end on request."""

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
    started = ForkServer([sys.executable, "-c", SERVER], os.environ)
    assert started.ready(60)
    return started


def fork_and_send(server: ForkServer, word: str) -> Forked:
    child = server.fork()
    child.stdin.write(word.encode())
    child.stdin.close()
    return child


def test_exit_codes_reach_parent_and_sibling(server: ForkServer) -> None:
    assert [fork_and_send(server, word).wait(20) for word in ("0", "200", "", "sibling")] == [0, 200, 7, 4]
    child = server.fork()
    assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(20) == child.poll() == -signal.SIGKILL
    child.stdin.close()
    with pytest.raises(GoneError):
        sibling()  # this process is not a forked one


def test_concurrent_forks_leak_no_file_descriptors(server: ForkServer) -> None:
    process = psutil.Process(server.pid)
    until(lambda: not process.children(), 20)
    before, own_before = process.num_fds(), psutil.Process().num_fds()
    codes: dict[int, list[int]] = {}

    def fork_five(number: int) -> None:
        children = [fork_and_send(server, str(number)) for _ in range(5)]
        codes[number] = [child.wait(60) for child in children]

    threads = [threading.Thread(target=fork_five, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {number: [number] * 5 for number in range(6)}
    until(lambda: process.num_fds() <= before and not process.children(), 20)
    assert psutil.Process().num_fds() <= own_before


def test_unresponsive_server_raises_and_recovers(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "ANSWER_S", 0.1)
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(GoneError):
        server.fork()
    os.kill(server.pid, signal.SIGCONT)
    until(lambda: not psutil.Process(server.pid).children(), 20)  # the child that it then forks gets no input, and ends
    monkeypatch.undo()
    assert fork_and_send(server, "5").wait(20) == 5


def test_server_wakes_all_waiting_threads_and_exits_with_its_owner() -> None:
    server = ForkServer([sys.executable, "-c", SERVER], os.environ)
    with ThreadPoolExecutor(8) as threads:  # the server reports readiness once; each thread must see it
        assert all(threads.map(server.ready, [60] * 8))
    process, child = psutil.Process(server.pid), server.fork()
    del server
    until(lambda: not process.is_running(), 20)
    assert psutil.pid_exists(child.pid), "what it forked goes on"
    with pytest.raises(ChildProcessError):
        child.wait(20)  # not immediately: until the child has started, it holds the server's pipe
    child.stdin.close()
    until(lambda: not psutil.pid_exists(child.pid) or psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 20)
