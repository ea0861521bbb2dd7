"""The JSON columns of a run: the progress that its worker reports, and the origin of the run.

The store parses them once, so that readers get attributes with a type and a default. A key exists in the JSON once its
value is known; `as_json` writes the same keys again. The worker writes the whole summary with each heartbeat.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, Discriminator, JsonValue, ValidationError

from netloom.core.plain_json import JsonObject
from netloom.document.former_names import FORMER_TASKS, present_name
from netloom.store.run_end import EndCause


class JsonFacts(BaseModel, frozen=True):
    """Facts that are stored as a JSON object without the keys that are not known yet."""

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """Return the facts of a JSON object. Unknown keys and values of another type are left out, also single
        entries of lists and objects: a run of another version of Netloom remains in the list of runs."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            valid = _without(value, error, depth=2)
        try:
            return cls.model_validate(valid)
        except ValidationError as error:  # what is left of an entry is not valid either
            return cls.model_validate(_without(valid, error, depth=1))

    def as_json(self) -> JsonObject:
        """Return the known facts as a JSON object."""
        return self.model_dump(exclude_unset=True)

    def merged(self, facts: Self) -> Self:
        """Return these facts with those that `facts` knows."""
        return self.model_copy(update={name: getattr(facts, name) for name in facts.model_fields_set})


def _without(value: Any, error: ValidationError, depth: int) -> dict[str, Any]:
    """Return a JSON object without the invalid entries that an error names, at this depth at most."""
    if not isinstance(value, dict):
        return {}
    valid = copy.deepcopy(value)
    paths = {problem["loc"][:depth] for problem in error.errors(include_url=False)}
    # The last entries of a list first, so that the numbers of the others remain.
    for key, *inner in sorted(paths, key=lambda path: [-item if isinstance(item, int) else 0 for item in path]):
        entries = valid.get(str(key))
        numbered = isinstance(entries, list) and inner and isinstance(inner[0], int)
        if entries and inner and (numbered or (isinstance(entries, dict) and inner[0] in entries)):
            del entries[inner[0]]
        if not (entries and inner):  # the value itself is invalid, or no entry is left
            valid.pop(str(key), None)
    return valid


class BestResult(JsonFacts, frozen=True):
    """The best value of `measure` on the monitored rows so far; `loss` is its key for compatibility with earlier
    releases."""

    loss: float | None = None
    epoch: int = 0
    step: int = 0
    measure: str = "loss"


class SuggestedEdit(BaseModel, frozen=True):
    """An edit of the document that fixes what a warning is about, and the title of its button."""

    title: str
    edit: dict[str, JsonValue]


class RunNotice(BaseModel, frozen=True):
    """A warning about the training: what is wrong, in which layers (`where`, `nodes`), when, and how to fix it. `edit`
    is the fix as an edit of the document, if one edit suffices."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    fix: str
    where: str
    nodes: tuple[str, ...]
    step: int
    epoch: int
    edit: SuggestedEdit | None = None


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

    objective: Annotated[str, BeforeValidator(present_name(FORMER_TASKS))] = ""
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


class NewRun(BaseModel, frozen=True):
    """A run from the initial weights of its document."""

    kind: Literal["new"] = "new"
    sentence: ClassVar[str] = ""

    def as_json(self) -> JsonObject:
        return {}


class Branch(BaseModel, frozen=True):
    """A run that continues from the weights of another run after epoch `at`, or from its "best" or "last" weights."""

    kind: Literal["branch"] = "branch"
    run: str
    at: int | str
    title: str = ""

    @property
    def sentence(self) -> str:
        """What the run was made from."""
        weights = f"weights after epoch {self.at}" if isinstance(self.at, int) else f"{self.at} weights"
        return f"Continues from the {weights} of the run {self.run[:8]}."

    def as_json(self) -> JsonObject:
        return {"branch": self.model_dump(exclude={"kind"})}


class Compressed(BaseModel, frozen=True):
    """A smaller run that was made from another run: the method of compression, and what it did as a sentence."""

    kind: Literal["compressed"] = "compressed"
    run: str
    method: str = ""
    note: str = ""

    @property
    def sentence(self) -> str:
        """What the run was made from."""
        return f"A smaller network made from the run {self.run[:8]}. {self.note}".rstrip()

    def as_json(self) -> JsonObject:
        return {"compressed": self.model_dump(exclude={"kind"})}


class Reproduction(BaseModel, frozen=True):
    """A repetition of another run."""

    kind: Literal["reproduction"] = "reproduction"
    run: str

    @property
    def sentence(self) -> str:
        """What the run was made from."""
        return f"Repeats the run {self.run[:8]}."

    def as_json(self) -> JsonObject:
        return {"again": self.run}


class SweepTrial(BaseModel, frozen=True):
    """The trial `number` of a sweep, with its assigned settings by path."""

    kind: Literal["trial"] = "trial"
    sweep: str
    number: int
    assigned: dict[str, Any] = {}

    @property
    def sentence(self) -> str:
        """What the run was made from."""
        return f"Trial {self.number} of the sweep {self.sweep[:8]}."

    def as_json(self) -> JsonObject:
        return {"sweep": self.sweep, "trial": self.number, "assigned": self.assigned}


RunStart: TypeAlias = Annotated[NewRun | Branch | Compressed | Reproduction | SweepTrial, Discriminator("kind")]


class Extension(BaseModel, frozen=True):
    """A run was extended after epoch `at` to `epochs`."""

    at: int
    epochs: int


class RunOrigin(JsonFacts, frozen=True):
    """How a run was started, later decisions about it, and why it ended."""

    start: RunStart = NewRun()
    extended: tuple[Extension, ...] = ()
    # How often an interrupted trial was retried, and whether it was stopped together with its sweep.
    retries: int = 0
    halted: bool = False
    # Why the run ended; None while it is active, and for runs that ended in earlier versions.
    end_cause: EndCause | None = None
    # The cluster that trains the run, and its number of workers.
    backend: str = ""
    workers: int = 1

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """Return the origin of a JSON object, which has a key for each kind of start instead of a tag."""
        facts = {key: item for key, item in value.items() if key != "start"} if isinstance(value, dict) else {}
        origin, start = super().from_json(facts), _start(facts)
        return origin if start is None else origin.merged(cls(start=start))

    @classmethod
    def unread_keys(cls, value: Mapping[str, Any]) -> list[str]:
        """Return the keys of a JSON object that `from_json` leaves out, such as those of a newer version."""
        known = cls.from_json(dict(value)).as_json()
        return [key for key in value if key not in known]

    @property
    def earlier_run(self) -> str | None:
        """The run that this one was made from; None if it is a new one."""
        match self.start:
            case Branch(run=run) | Compressed(run=run) | Reproduction(run=run):
                return run
        return None

    def as_json(self) -> JsonObject:
        return {**self.start.as_json(), **self.model_dump(exclude_unset=True, exclude={"start"})}


def _start(value: dict[str, Any]) -> RunStart | None:
    """Return how a run was started; None if its origin does not say it, or in a form that is unknown."""
    try:
        match value:
            case {"branch": branch}:
                return Branch.model_validate(branch)
            case {"compressed": compressed}:
                return Compressed.model_validate(compressed)
            case {"again": run}:
                return Reproduction(run=run)
            case {"sweep": sweep, "trial": number}:
                return SweepTrial(sweep=sweep, number=number, assigned=value.get("assigned", {}))
    except ValidationError:
        pass
    return None
