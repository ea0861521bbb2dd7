"""The process that trains one run: `python -m netloom.runs.worker HOME`. Its standard input contains the run, or the
command to advance sweeps. Without HOME, it is the fork server of such processes, each of which then also receives its
data folder.

A separate thread communicates with the store, so that the loop never waits for a disk. The store has everything for
users; log.jsonl of the run has everything for developers.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from netloom.core.torch_internals import spare_optimizers_the_compiler
from netloom.runs.claimed_run import train_claimed_run
from netloom.runs.forkserver import serve
from netloom.runs.resources.limits import RunLimits, confine
from netloom.runs.search import sweep_process
from netloom.runs.search.sweep_process import tend
from netloom.store import StoreError, current_host, open_store
from netloom.training.optimization.optimizers import step_without_hooks


def _next(home: str) -> None:
    """Start the next run of the queue and the process of sweeps, also without an open page."""
    try:
        tend(open_store(Path(home)))
    except Exception:
        traceback.print_exc()  # the next supervisor retries


def _work(home: str) -> int:
    """Execute the command on the standard input: train a run, or advance sweeps. Returns the exit code."""
    message = _heard()
    if message is None:
        _hand_back(home)
        return 0
    import torch

    torch.set_num_threads(message["threads"])
    # Also for what C++ libraries write: `sys.stdout` would not catch that.
    output = os.open(message["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    if message["gpu"] is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = message["gpu"]  # CUDA reads it at its first use, which is still to come
    if message.get("sweeps"):
        return sweep_process.main(Path(home))
    limits = RunLimits(**message["limits"])
    confine(limits, gpu=torch.cuda.is_available())
    code = train_claimed_run(home, message["run"], message["claim"], limits, runs=message["runs"])
    _next(home)
    return code


def _work_forked() -> int:
    """Execute `_work` in a forked process, whose environment is still that of its server."""
    import numpy as np

    message = _heard()
    if message is None:
        return 0
    os.environ.clear()
    os.environ.update(message["environment"])
    np.random.seed()  # otherwise all forked processes would share a seed
    return _work(message["home"])


def _heard() -> dict[str, Any] | None:
    """Return the command of the process that started this one; None if that ended without one."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def _hand_back(home: str) -> None:
    """Return the run of this process to the queue, if the process that claimed it ended before it could send the
    command."""
    if not Path(home).exists():
        return
    with contextlib.suppress(StoreError):
        store = open_store(Path(home))
        for run in store.active_runs():
            if run.pid == os.getpid() and run.host in (None, current_host()) and run.state == "queued":
                store.give_back(run)


def _import_heavy() -> None:
    """Import everything that each run needs, in advance."""
    import safetensors.torch  # noqa: F401
    import torch.optim.adam
    import torch.utils.flop_counter

    import netloom.compile.logit_network  # noqa: F401
    from netloom.data.builtin_registry import builtin
    from netloom.data.splits.registry import split_methods
    from netloom.data.targets.registry import target_of
    from netloom.layers import registry

    # Declaring all layers takes a fifth of a second.
    registry()
    builtin()
    split_methods()
    target_of("class")  # also loads all other kinds
    # The first step of an optimizer imports further parts of torch, which would otherwise slow down the run.
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.sum().backward()  # type: ignore[no-untyped-call]
    spare_optimizers_the_compiler()
    adam = torch.optim.Adam([weight], fused=True)
    step_without_hooks(adam)
    adam.step()


if __name__ == "__main__":
    _import_heavy()
    sys.exit(_work(sys.argv[1]) if len(sys.argv) > 1 else serve(_work_forked))
