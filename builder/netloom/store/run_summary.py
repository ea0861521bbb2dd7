"""The JSON columns of a run: the progress that its worker reports, and the origin of the run.

Each key exists once its value is known. The worker writes the whole summary with each heartbeat.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class BestResult(TypedDict, total=False):
    """The best value of `measure` on the monitored rows so far; `loss` is its key for compatibility with earlier
    releases."""

    loss: float
    epoch: int
    step: int
    measure: str


class RunNotice(TypedDict):
    """A warning about the training: what is wrong, in which layers (`where`, `nodes`), when, and how to fix it."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    fix: str
    where: str
    nodes: list[str]
    step: int
    epoch: int


class SettingChange(TypedDict):
    """A setting that was changed while the run trained: after `step` steps, in epoch `epoch` (counted from 0), at `at`
    seconds since 1970."""

    setting: str
    old: float | str
    new: float | str
    step: int
    epoch: int
    at: float


class NotedCaveat(TypedDict):
    """A finding that invalidates the test metrics of a run."""

    code: str
    message: str


class RunSummary(TypedDict, total=False):
    """The last report of the worker of a run."""

    objective: str
    # The titles of the metrics by name, which depend on the settings.
    titles: dict[str, str]
    device: str
    total_steps: int
    steps_per_epoch: int
    rows_per_step: int
    # The learning rate of the document or of the last manual change, and the current rate of the schedule.
    learning_rate: float
    rate: float
    schedule: str
    # The split whose metrics select the best weights; without this key: validation.
    monitored_split: str
    best: BestResult
    # The test metrics.
    test: dict[str, float]
    caveats: list[NotedCaveat]
    changes: list[SettingChange]
    warnings: list[RunNotice]
    # Sentences on how training is executed, such as whether the network was compiled.
    notes: list[str]
    steps_per_s: float
    speeds: list[float]
    eta_s: float | None
    eta_range_s: tuple[float, float] | None
    # The resource use of the worker: shares from 0 to 1, memory in bytes.
    cpu_share: float
    memory_bytes: int
    memory_share: float
    gpu: str
    gpu_memory_bytes: int
    gpu_memory_total: int
    # CPU seconds, and the energy in kWh, measured or estimated from them.
    cpu_s: float
    energy_kwh: float
    energy_measured: bool


class Branch(TypedDict):
    """The origin of the initial weights of a branched run: another run after epoch `at`, or its "best" or "last"
    weights."""

    run: str
    at: int | str
    title: str


class Compressed(TypedDict):
    """The run that a smaller run was made from, the method of compression, and what it did as a sentence."""

    run: str
    method: str
    note: str


class Extension(TypedDict):
    """A run was extended after epoch `at` to `epochs`."""

    at: int
    epochs: int


def monitored_split(summary: RunSummary) -> str:
    """Return the split whose metrics select the best weights of a run: "train" if it has no validation rows."""
    return summary.get("monitored_split", "validation")


class RunOrigin(TypedDict, total=False):
    """The origin of a run, and later decisions about it."""

    branch: Branch
    compressed: Compressed
    # The run that this one reproduces.
    again: str
    extended: list[Extension]
    # The sweep of this trial, its number and its assigned settings.
    sweep: str
    trial: int
    assigned: dict[str, Any]
    retries: int
    halted: bool
    backend: str
    workers: int
