"""The resource limits of a run: memory, time, processes and disk space, and their enforcement."""

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

from netloom.core.memory import memory
from netloom.core.settings import settings
from netloom.core.text import size
from netloom.runs.resources.capacity import limits as queue_limits
from netloom.store import RunArtifacts

GB = 2**30
# Additional memory for a process that failed, so that it can report the reason.
_LAST_WORDS_BYTES = 256 * 2**20
# The reason why a file cannot be written, and a fix, as the beginning of a sentence.
FULL = {
    "disk": "The disk is full; free some space on it",
    "quota": "The disk quota of this user is used up; free some space",
    "size": "A file exceeded the maximum file size of this machine; raise that limit (ulimit -f)",
}
# SQLite, safetensors and torch report a full disk or memory in words of their own, without an `errno`.
_NO_ROOM_WORDS = re.compile(r"no space left|disk is full|failed writing file|unexpected pos")
_NO_MEMORY_WORDS = re.compile(r"not enough memory|can't allocate memory|bad_alloc|MemoryError|cannot allocate memory")


@dataclass(frozen=True)
class RunLimits:
    """The resource limits of a run. `wall_s` counts from the start of its worker, including pauses; 0: unlimited.

    Processes are counted among the descendants of the worker. RLIMIT_NPROC is unsuitable: it counts the threads of all
    processes of the user, including the page, and does not apply to root.
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
            f"Training was stopped because it exceeded the memory limit of a run, {size(self.memory_bytes)}; "
            "make batches or layers smaller, or set NETLOOM_RUN_MEMORY_GB."
        )

    @property
    def too_long(self) -> str:
        return (
            f"It was stopped after {self.wall_s / 3600:.3g} hours, the time limit of a run; resume it to continue from "
            "where it stopped, or set NETLOOM_RUN_HOURS."
        )

    @property
    def too_many_processes(self) -> str:
        return (
            f"Training was stopped because it exceeded the limit of {self.processes} processes of a run; "
            "start fewer in its code, or set NETLOOM_RUN_PROCESSES."
        )

    @property
    def too_much_disk(self) -> str:
        return (
            f"Training was stopped because its folder exceeded the size limit of a run, "
            f"{size(self.disk_bytes)}; make layers smaller, or set NETLOOM_RUN_DISK_GB."
        )


def declared() -> RunLimits:
    """Return the limits of NETLOOM_RUN_MEMORY_GB, NETLOOM_RUN_HOURS, NETLOOM_RUN_PROCESSES and NETLOOM_RUN_DISK_GB, or
    the defaults."""
    return RunLimits(
        memory_bytes=int((settings.run_memory_gb or 0) * GB) or int(_share() * memory()),
        wall_s=settings.run_hours * 3600,
        processes=settings.run_processes,
        disk_bytes=int(settings.run_disk_gb * GB),
    )


def _share() -> float:
    """Return the share of the memory for a run: its part if all places are taken, but at least half, because few runs
    need that much. If several do, the system ends one of them and not the page."""
    return 0.9 * max(0.5, 1 / queue_limits().workers)


def confine(limits: RunLimits, *, gpu: bool) -> None:
    """Limit the memory of this process, and let the system end it first when the machine runs out of memory.

    A GPU driver reserves terabytes of address space, which count as memory, so with a GPU only the guard checks.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump is as large as the memory of the process
    if gpu:
        return
    with contextlib.suppress(OSError, ValueError):
        # RLIMIT_AS would also count libraries and files that are only mapped.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = limits.memory_bytes + _LAST_WORDS_BYTES
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # A process cannot raise its hard limit again, so that one includes what `loosen` gives back.
        resource.setrlimit(resource.RLIMIT_DATA, (min(limits.memory_bytes, most), most))


def loosen() -> None:
    """Raise the limit of a process that failed by the memory that it needs to report the reason."""
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


class Guard:
    """Checks the resources of this process from a thread beside the training."""

    def __init__(self, limits: RunLimits, folder: Path) -> None:
        self.limits, self.folder = limits, folder
        self._me = psutil.Process()

    def problem(self) -> str:
        """Return the exceeded limit as a sentence, or "". Ends processes above the limit of their number."""
        children = self._children()
        if len(children) > self.limits.processes:
            end(children)
            return self.limits.too_many_processes
        if sum(resident(process) for process in (self._me, *children)) > self.limits.memory_bytes:
            return self.limits.too_much_memory
        if disk_usage(self.folder) > self.limits.disk_bytes:
            return self.limits.too_much_disk
        return ""

    def finish(self) -> None:
        """End the processes that the training has left behind."""
        end(self._children())

    def _children(self) -> list[psutil.Process]:
        if _childless():
            return []
        try:
            return self._me.children(recursive=True)
        except (psutil.Error, OSError):
            return []


def _childless() -> bool:
    """Return whether this process certainly has no children. Linux lists the children of each thread
    (https://docs.kernel.org/filesystems/proc.html), which avoids a scan of all processes of the machine; elsewhere the
    answer is no."""
    try:
        lists = [task / "children" for task in Path("/proc/self/task").iterdir()]
        return bool(lists) and not any(path.read_bytes() for path in lists)
    except OSError:  # another system, or a thread that has just ended
        return False


class Reserve:
    """Reserved disk space, which is released when the disk is full, so that the run can still report the reason."""

    BYTES = 2**20

    def __init__(self, artifacts: RunArtifacts) -> None:
        self.path = artifacts.reserve

    def take(self) -> None:
        with contextlib.suppress(OSError):
            self.path.write_bytes(os.urandom(self.BYTES))  # some file systems store zeros without using space

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def end(processes: list[psutil.Process]) -> None:
    """Kill processes. Processes that they start meanwhile are found at the next check."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def disk_usage(folder: Path) -> int:
    """Return the size of all files in a folder, in bytes."""
    size = 0
    for home, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(home, name)).st_size
    return size


def storage_problem(error: BaseException) -> Literal["", "disk", "quota", "size"]:
    """Return whether an error or its cause means that there is no space: "disk" for a full disk, "quota" for an
    exhausted quota, "size" for a file at its size limit."""
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
    """Return whether an error, or the last output of a process, means that it ran out of memory."""
    if isinstance(error, str):
        return _NO_MEMORY_WORDS.search(error) is not None
    return any(
        isinstance(cause, MemoryError)
        or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM)
        or _NO_MEMORY_WORDS.search(str(cause)) is not None
        for cause in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(10):  # causes can form a cycle
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def resident(process: Any) -> int:
    """Return the memory of a process that the system cannot reclaim, in bytes. Mapped files, such as data larger than
    memory, are excluded: the system drops their pages when another process needs memory."""
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
    except (OSError, ValueError):  # another system, which does not report mapped files separately
        return int(memory.rss)
