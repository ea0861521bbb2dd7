"""What one run may take: memory, time, processes, and room on the disk. Declared here, and held to here."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from netloom.core.settings import settings
from netloom.runs.resources.capacity import limits as places
from netloom.store import RunArtifacts

GB = 2**30
# What a process may have beyond its limit once it has failed, so that there is room to say why.
_LAST_WORDS_BYTES = 256 * 2**20
_CONTAINER = Path("/sys/fs/cgroup/memory.max")
# Why nothing can be written, and what helps, as the beginning of a sentence.
FULL = {
    "disk": "The disk is full; free some space on it",
    "quota": "The disk quota of this user is used up; free some space of it",
    "size": "A file became larger than a file may be here; raise that limit (ulimit -f)",
}
_NO_ROOM_WORDS = re.compile(r"no space left|disk is full|failed writing file|unexpected pos")
_NO_MEMORY_WORDS = re.compile(r"not enough memory|can't allocate memory|bad_alloc|MemoryError|cannot allocate memory")


@dataclass(frozen=True)
class RunLimits:
    """What one run may take. `wall_s` counts from the start of its worker, pauses included; 0 there sets no limit.

    Processes are counted among the worker's descendants, not by RLIMIT_NPROC: that one counts the threads of all that
    the user runs, the page among them, and does not hold for root.
    """

    memory_bytes: int
    wall_s: float
    processes: int
    disk_bytes: int

    def as_json(self) -> dict[str, float]:
        return asdict(self)

    @property
    def too_much_memory(self) -> str:
        return (
            f"Training was stopped because it took more memory than a run may have here, {size(self.memory_bytes)}; "
            "make batches or layers smaller, or set NETLOOM_RUN_MEMORY_GB."
        )

    @property
    def too_long(self) -> str:
        return (
            f"It was stopped after {self.wall_s / 3600:.3g} hours, as long as a run may keep its place here; resume "
            "it to go on from where it stopped, or set NETLOOM_RUN_HOURS."
        )

    @property
    def too_many_processes(self) -> str:
        return (
            f"Training was stopped because it started more processes than a run may have here, {self.processes}; "
            "start fewer in its code, or set NETLOOM_RUN_PROCESSES."
        )

    @property
    def too_much_disk(self) -> str:
        return (
            f"Training was stopped because its folder took more of the disk than a run may have here, "
            f"{size(self.disk_bytes)}; make layers smaller, or set NETLOOM_RUN_DISK_GB."
        )


def declared() -> RunLimits:
    """NETLOOM_RUN_MEMORY_GB, NETLOOM_RUN_HOURS, NETLOOM_RUN_PROCESSES and NETLOOM_RUN_DISK_GB, or what suits most."""
    return RunLimits(
        memory_bytes=int((settings.run_memory_gb or 0) * GB) or int(_share() * memory()),
        wall_s=settings.run_hours * 3600,
        processes=settings.run_processes,
        disk_bytes=int(settings.run_disk_gb * GB),
    )


def _share() -> float:
    """Of the memory, what a run may have: its part where all places are taken, but half where there are many places,
    as runs that need that much are few; should they meet, the system ends one of them and not the page."""
    return 0.9 * max(0.5, 1 / places().workers)


def memory() -> int:
    """The memory of this machine, or of the container that this is, in bytes."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int(_CONTAINER.read_text()))
    except (OSError, ValueError):  # there is no such file, or it says "max"
        return total


def confine(limits: RunLimits, *, gpu: bool) -> None:
    """Let the system hold this process to its memory, and take it first where the machine's own runs out.

    A driver of a GPU reserves addresses by the terabyte, which count as memory, so there the guard alone looks.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if gpu:
        return
    with contextlib.suppress(OSError, ValueError):
        # Not RLIMIT_AS, which counts libraries and files that are only mapped.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = limits.memory_bytes + _LAST_WORDS_BYTES
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (min(limits.memory_bytes, most), most))


def loosen() -> None:
    """Give a process that has failed the little more memory that its last words may take."""
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


class Guard:
    """Looks at what this process takes, from a thread beside the training."""

    def __init__(self, limits: RunLimits, folder: Path) -> None:
        self.limits, self.folder = limits, folder
        self._me = psutil.Process()

    def problem(self) -> str:
        """What it takes too much of, as a sentence; nothing where all is well. Ends processes that are too many."""
        children = self._children()
        if len(children) > self.limits.processes:
            end(children)
            return self.limits.too_many_processes
        if sum(resident(process) for process in (self._me, *children)) > self.limits.memory_bytes:
            return self.limits.too_much_memory
        if taken(self.folder) > self.limits.disk_bytes:
            return self.limits.too_much_disk
        return ""

    def finish(self) -> None:
        """End the processes that training has left behind."""
        end(self._children())

    def _children(self) -> list[psutil.Process]:
        if _childless():
            return []
        try:
            return self._me.children(recursive=True)
        except (psutil.Error, OSError):
            return []


def _childless() -> bool:
    """Whether this process has surely no children. Linux keeps a list of those of each thread, so that not all
    processes of the machine have to be looked at (https://docs.kernel.org/filesystems/proc.html); elsewhere nothing is
    sure."""
    try:
        lists = [task / "children" for task in Path("/proc/self/task").iterdir()]
        return bool(lists) and not any(path.read_bytes() for path in lists)
    except OSError:  # another system, or a thread that has just ended
        return False


class Reserve:
    """A little room on the disk, given back when it is full so that a run can still say that it is."""

    BYTES = 2**20

    def __init__(self, artifacts: RunArtifacts) -> None:
        self.path = artifacts.reserve

    def take(self) -> None:
        with contextlib.suppress(OSError):
            self.path.write_bytes(os.urandom(self.BYTES))  # zeros would take no room on some file systems

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def end(processes: list[psutil.Process]) -> None:
    """Kill processes, and those that they start meanwhile are found at the next look."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def taken(folder: Path) -> int:
    """The bytes of all files in a folder."""
    size = 0
    for home, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(home, name)).st_size
    return size


def no_room(error: BaseException) -> Literal["", "disk", "quota", "size"]:
    """Whether an error, or what led to it, says that there is no room: the "disk" is full, a "quota" is used up, or a
    file has reached the "size" that it may have."""
    for cause in _chain(error):
        number, words = getattr(cause, "errno", None), str(cause).lower()
        if number == errno.EDQUOT or "disk quota" in words:
            return "quota"
        if number == errno.EFBIG or "file too large" in words:
            return "size"
        if number == errno.ENOSPC or _NO_ROOM_WORDS.search(words):
            return "disk"
    return ""


def no_memory(error: BaseException | str) -> bool:
    """Whether an error, or the last words of a process, say that there was no memory."""
    if isinstance(error, str):
        return _NO_MEMORY_WORDS.search(error) is not None
    return any(
        isinstance(cause, MemoryError)
        or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM)
        or _NO_MEMORY_WORDS.search(str(cause)) is not None
        for cause in _chain(error)
    )


def size(count: float) -> str:
    """Bytes in words, such as 1.5 GB."""
    return f"{count / GB:.3g} GB" if count >= GB else f"{count / 2**20:.3g} MB"


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def resident(process: Any) -> int:
    """The memory that a process holds and that the system cannot take back: files that are merely mapped, such as data
    larger than memory, are let go as soon as somebody else needs room."""
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return (
            1024 * sum(int(size) for size in re.findall(r"^Rss(?:Anon|Shmem):\s*(\d+) kB$", status, re.MULTILINE))
            or memory.rss
        )
    except (OSError, ValueError):  # another system, which does not tell them apart
        return int(memory.rss)
