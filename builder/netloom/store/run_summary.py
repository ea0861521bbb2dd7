"""The JSON columns of a run: the progress that its worker reports, and the origin of the run.

The store parses them once, so that readers get attributes with a type and a default. A key exists in the JSON once its
value is known; `as_json` writes the same keys again. The worker writes the whole summary with each heartbeat.
"""

from __future__ import annotations

from typing import Any, Literal, Self, TypedDict

from pydantic import BaseModel, ValidationError


class JsonFacts(BaseModel, frozen=True):
    """Facts that are stored as a JSON object without the keys that are not known yet."""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return the facts of a JSON object. Unknown keys and values of another type are left out: a run of another
        version of Netloom remains in the list of runs."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            invalid = {problem["loc"][0] for problem in error.errors(include_url=False) if problem["loc"]}
            if not invalid:
                return cls()
            return cls.model_validate({key: item for key, item in value.items() if key not in invalid})

    def as_json(self) -> dict[str, Any]:
        """Return the known facts as a JSON object."""
        return self.model_dump(exclude_unset=True)

    def merged(self, facts: Self) -> Self:
        """Return these facts with those that `facts` knows."""
        return self.model_copy(update={name: getattr(facts, name) for name in facts.model_fields_set})


class BestResult(JsonFacts, frozen=True):
    """The best value of `measure` on the monitored rows so far; `loss` is its key for compatibility with earlier
    releases."""

    loss: float | None = None
    epoch: int = 0
    step: int = 0
    measure: str = "loss"


class RunNotice(BaseModel, frozen=True):
    """A warning about the training: what is wrong, in which layers (`where`, `nodes`), when, and how to fix it."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    fix: str
    where: str
    nodes: tuple[str, ...]
    step: int
    epoch: int


class SettingChange(BaseModel, frozen=True):
    """A setting that was changed while the run trained: after `step` steps, in epoch `epoch` (counted from 0), at `at`
    seconds since 1970."""

    setting: str
    old: float | str
    new: float | str
    step: int
    epoch: int
    at: float


class NotedCaveat(BaseModel, frozen=True):
    """A finding that invalidates the test metrics of a run."""

    code: str
    message: str


class RunSummary(JsonFacts, frozen=True):
    """The last report of the worker of a run. All kinds of runs report the same facts; they differ in their origin."""

    objective: str = ""
    # The titles of the metrics by name, which depend on the settings.
    titles: dict[str, str] = {}
    device: str = ""
    total_steps: int = 0
    steps_per_epoch: int = 0
    rows_per_step: int = 0
    # The learning rate of the document or of the last manual change, and the current rate of the schedule.
    learning_rate: float | None = None
    rate: float | None = None
    # The schedule after a manual change.
    schedule: str = ""
    # The split whose metrics select the best weights: "train" if the run has no validation rows.
    monitored_split: str = "validation"
    best: BestResult | None = None
    # The test metrics.
    test: dict[str, float] = {}
    caveats: tuple[NotedCaveat, ...] = ()
    changes: tuple[SettingChange, ...] = ()
    warnings: tuple[RunNotice, ...] = ()
    # Sentences on how training is executed, such as whether the network was compiled.
    notes: tuple[str, ...] = ()
    steps_per_s: float = 0.0
    speeds: tuple[float, ...] = ()
    eta_s: float | None = None
    eta_range_s: tuple[float, float] | None = None
    # The resource use of the worker: shares from 0 to 1, memory in bytes.
    cpu_share: float | None = None
    memory_bytes: int | None = None
    memory_share: float | None = None
    gpu: str = ""
    gpu_memory_bytes: int | None = None
    gpu_memory_total: int | None = None
    # CPU seconds, and the energy in kWh, measured or estimated from them.
    cpu_s: float = 0.0
    energy_kwh: float | None = None
    energy_measured: bool = False

    @property
    def is_reported(self) -> bool:
        """Whether the worker has reported anything."""
        return bool(self.model_fields_set)


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
