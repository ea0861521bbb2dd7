"""What a run's row holds as JSON: how far its worker has got, and where the run comes from.

Each key is there once something is known of it. The worker writes it as a whole with each heartbeat.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class BestResult(TypedDict, total=False):
    """The best value on the validation rows so far, of `measure`; `loss` is its name since before there were others."""

    loss: float
    epoch: int
    step: int
    measure: str


class RunNotice(TypedDict):
    """A warning about the training: what is wrong, at which layers (`where`, `nodes`), when, and what helps."""

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
    """What makes the test score of a run untrue."""

    code: str
    message: str


class RunSummary(TypedDict, total=False):
    """What the worker of a run told last."""

    objective: str
    # The titles of the metrics under the settings of the run, by name.
    titles: dict[str, str]
    device: str
    total_steps: int
    steps_per_epoch: int
    rows_per_step: int
    # The learning rate of the document or of the last change by hand, and the rate of the schedule at the moment.
    learning_rate: float
    rate: float
    schedule: str
    best: BestResult
    # The metrics on the test rows.
    test: dict[str, float]
    caveats: list[NotedCaveat]
    changes: list[SettingChange]
    warnings: list[RunNotice]
    # Sentences on how training is carried out, such as whether the network was compiled.
    notes: list[str]
    steps_per_s: float
    speeds: list[float]
    eta_s: float | None
    eta_range_s: tuple[float, float] | None
    # What the worker uses: shares between 0 and 1, memory in bytes.
    cpu_share: float
    memory_bytes: int
    memory_share: float
    gpu: str
    gpu_memory_bytes: int
    gpu_memory_total: int
    # Seconds of the processor, and the energy, measured or estimated from them.
    cpu_s: float
    energy_kwh: float
    energy_measured: bool


class Branch(TypedDict):
    """From which weights of which run another one was started: after epoch `at`, or its "best" or "last" ones."""

    run: str
    at: int | str
    title: str


class Extension(TypedDict):
    """A run was extended after epoch `at` to `epochs`."""

    at: int
    epochs: int


class RunOrigin(TypedDict, total=False):
    """Where a run comes from, and what was decided about it since."""

    branch: Branch
    # The run that this one repeats.
    again: str
    extended: list[Extension]
    # The sweep that this run is a trial of, the trial's number and the settings that it assigns.
    sweep: str
    trial: int
    assigned: dict[str, Any]
    retries: int
    halted: bool
    backend: str
    workers: int
