"""Watches the server of the pages from inside, for tests and measurements.

Python imports a module of this name when it starts, if its folder is on `PYTHONPATH`; see `WatchedServer`. Only the
server of Streamlit is watched, and not its workers, which inherit the variable.

An import of a package that only workers need is written to the log of the server, as a traceback. With `STRETCHES`, a
thread also samples all others, and writes each call that took more than `MIN_MS` of processor time to that file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

PACKAGES = ("torch", "captum", "sklearn")
SHOWN_FRAMES = 16
STRETCHES = "TEST_STRETCHES_FILE"
MIN_MS = 50
EVERY_S = 0.004


def report_imports() -> None:
    """Write a traceback to the log of the server when it first imports one of `PACKAGES`."""
    imported: set[str] = set()

    def listen(event: str, args: tuple[Any, ...]) -> None:
        # Unlike a finder, this event is not raised by a search for an installed package.
        if event == "import" and args[0] in PACKAGES and args[0] not in imported:
            imported.add(args[0])
            frames = [frame for frame in traceback.extract_stack() if "importlib" not in frame.filename][:-1]
            stack = "".join(traceback.format_list(frames[-SHOWN_FRAMES:]))
            print(f"Traceback: the server of the pages imports {args[0]}.\n{stack}", file=sys.stderr, flush=True)

    sys.addaudithook(listen)


@dataclass
class _Call:
    """A call on the stack of a thread: its processor time so far, and that of the calls in it."""

    frame: FrameType
    cpu_s: float = 0.0
    started_at: float = field(default_factory=time.time)
    inner: Counter[str] = field(default_factory=Counter)
    largest_inner_s: float = 0.0

    @property
    def name(self) -> str:
        code = self.frame.f_code
        return f"{code.co_qualname} ({code.co_filename}:{code.co_firstlineno})"


class _Sampler:
    """Samples the stacks of all threads, and writes the calls that took long."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.stacks: dict[int, list[_Call]] = {}
        self.cpu_s: dict[int, float] = {}

    def run(self) -> None:
        while True:
            time.sleep(EVERY_S)
            frames = sys._current_frames()
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident in self.stacks.keys() - frames.keys():
                self._end(ident, 0)
                del self.stacks[ident]
                self.cpu_s.pop(ident, None)
            for ident, frame in frames.items():
                if ident != threading.get_ident() and ident in names:
                    self._sample(ident, frame, names[ident])
            del frames

    def _sample(self, ident: int, innermost: FrameType, name: str) -> None:
        try:
            cpu_s = time.clock_gettime(time.pthread_getcpuclockid(ident))
        except OSError:  # the thread has just ended
            return
        frames: list[FrameType] = []
        frame: FrameType | None = innermost
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        frames.reverse()
        stack = self.stacks.setdefault(ident, [])
        same = 0
        for call, frame in zip(stack, frames, strict=False):
            if call.frame is not frame:
                break
            same += 1
        elapsed_s = cpu_s - self.cpu_s.get(ident, cpu_s)
        self.cpu_s[ident] = cpu_s
        for call in stack[:same]:
            call.cpu_s += elapsed_s
        self._end(ident, same, name)
        stack += [_Call(frame) for frame in frames[same:]]

    def _end(self, ident: int, depth: int, thread: str = "") -> None:
        """Remove the calls that have returned, and write those that took long and have no long call inside."""
        stack = self.stacks[ident]
        while len(stack) > depth:
            call = stack.pop()
            if stack:
                stack[-1].inner[call.name] += call.cpu_s  # type: ignore[assignment]
                stack[-1].largest_inner_s = max(stack[-1].largest_inner_s, call.cpu_s)
            is_script = call.frame.f_code.co_name == "_run_script"
            if call.cpu_s * 1000 < MIN_MS or (call.largest_inner_s * 1000 >= MIN_MS and not is_script):
                continue
            line = {
                "at": call.started_at,
                "s": time.time() - call.started_at,
                "ms": round(1000 * call.cpu_s),
                "thread": thread,
                "script": is_script,
                "call": call.name,
                "inner": [(name, round(1000 * s)) for name, s in call.inner.most_common(4)],
                "stack": [parent.name for parent in reversed(stack)],
            }
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")


if "streamlit" in sys.orig_argv and "run" in sys.orig_argv:
    report_imports()
    if path := os.environ.get(STRETCHES):
        threading.Thread(target=_Sampler(path).run, name="sampler", daemon=True).start()
