"""Requests: one class for each kind of job, with its arguments and its computation.

The fields of a request are plain data, so that it can be sent to another process and compared. Pages send requests to
the pool; the command line and tests can call `compute` in their own process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, get_type_hints

from netloom.core.registry import modules
from netloom.explain.core.serialization import dumps, loads
from netloom.jobs.handover import Handover, pack, unpack
from netloom.jobs.loaded_runs import RunWeights, load
from netloom.store import RunArtifacts, Store, open_store
from netloom.store.local_artifacts import run_files

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

R = TypeVar("R")
# Lanes for work of seconds, for work of minutes, for reading data, and for measuring the layers that an edit changed.
# None waits for another.
Lane = Literal["interactive", "long", "data", "layers"]
REQUESTS = "netloom.jobs.requests"


class Context:
    """The environment of a computation: the data folder, the loaded runs, and callbacks for intermediate results.

    `progress` is called with the share that is complete, and `preview` with a first answer, while the rest is computed.
    An exception in a callback ends the computation.
    """

    def __init__(
        self,
        home: Path,
        progress: Callable[[float], None] = lambda share: None,
        preview: Callable[[Any], None] = lambda value: None,
    ) -> None:
        self.home, self.progress, self.preview = home, progress, preview

    @cached_property
    def store(self) -> Store:
        return open_store(self.home)

    def run(self, weights: RunWeights) -> TrainedRun:
        """Return a run with its weights and data.

        Raises:
            CheckpointError, DataError, FileNotFoundError, StoreError, UsageError: as `load`.
        """
        return load(self.store, weights)

    def explained_run(self, weights: RunWeights) -> TrainedRun:
        """Return a run to explain, whose network is in PyTorch also for a variant, where that is possible.

        Raises:
            CheckpointError, DataError, FileNotFoundError, StoreError, UsageError: as `load`.
        """
        return load(self.store, weights, is_explained=True)

    def folder(self, weights: RunWeights) -> Path:
        """Return the folder of a run, which contains cached explanations."""
        return self.store.artifacts(weights.run_id).local_directory()


class Request(Generic[R]):
    """One kind of job. A subclass is a frozen dataclass of plain data, named by `kind`:

    @dataclass(frozen=True)
    class Answer(Request[Answered], kind="answer"):
        weights: RunWeights
        ...

        def compute(self, context: Context) -> Answered: ...

    With `handed_over`, the answer is an object of any kind that is mapped instead of copied, see `jobs.handover`. The
    pool does not keep it; the function that requests it does.
    """

    kind: ClassVar[str]
    lane: ClassVar[Lane]
    handed_over: ClassVar[bool]

    def __init_subclass__(cls, kind: str, lane: Lane = "interactive", *, handed_over: bool = False) -> None:
        cls.kind, cls.lane, cls.handed_over = kind, lane, handed_over
        if _kinds.setdefault(kind, cls).__qualname__ != cls.__qualname__:  # not `is not`, see below
            raise ValueError(f"There are two kinds of job named {kind!r}.")
        _kinds[kind] = cls  # dataclass(slots=True) creates a second class of the same name

    def compute(self, context: Context) -> R:
        """Return the answer, computed in this process. Its return annotation determines how the answer is decoded."""
        raise NotImplementedError

    @property
    def about(self) -> RunWeights | None:
        """Return the run of the request: a worker that has loaded it is preferred."""
        weights = getattr(self, "weights", None)
        return weights if isinstance(weights, RunWeights) else None

    def as_bytes(self) -> bytes:
        """Return the request in the form in which it is sent."""
        return dumps(self)

    def key(self, home: Path) -> str:
        """Return a key that is equal for equal requests to one data folder, which are computed once.

        A calibration of the run that was applied or reset since changes the key, because it changes predictions.
        """
        calibration = None
        if self.about is not None:  # without opening the database, as pages call this again and again
            calibration = RunArtifacts(run_files(home), self.about.run_id).calibration_stamp()
        # `dumps` gives equal bytes for equal values.
        return hashlib.sha256(f"{self.kind} {home} {calibration} ".encode() + self.as_bytes()).hexdigest()[:32]

    def write_answer(self, answer: R) -> Handover:
        """Return the answer in the form in which it is sent."""
        return pack(answer) if self.handed_over else Handover(dumps(answer), [], None)

    def read_answer(self, handover: Handover) -> R:
        """Return the answer that `write_answer` wrote in another process."""
        answer: R = unpack(handover) if self.handed_over else loads(_answer_type(self.kind), handover.content)
        return answer


_kinds: dict[str, type[Request[Any]]] = {}


@cache
def kinds() -> dict[str, type[Request[Any]]]:
    """Return all kinds of job by name."""
    for _ in modules(REQUESTS):  # each class registers itself when its module is imported
        pass
    return _kinds


@cache
def _answer_type(kind: str) -> Any:
    return get_type_hints(_kinds[kind].compute)["return"]
