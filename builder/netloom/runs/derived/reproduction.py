"""Reproduces a run from its folder, and compares both number by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from netloom.core.plain_json import JsonObject
from netloom.data.preparation.fitted_state import stored_state
from netloom.document import DocumentError
from netloom.runs.control import start
from netloom.store import Points, Run, RunArtifacts, Store, StoreError
from netloom.store.run_summary import Reproduction, RunOrigin
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.training.weights import checkpoints

_WORDS = {
    "threads": "the number of threads",
    "data": "the data (its fingerprint)",
    "code": "the code that Netloom writes for the document",
    "document": "the document",
    "processor": "the processor",
    "platform": "the operating system",
    "python": "Python",
    "netloom": "Netloom",
}
# Parts of the environment that cannot change a result
_HARMLESS = ("cores", "streamlit", "captum", "networkx")
# A point of a curve: its step, split and metric.
Key = tuple[int, str, str]


@dataclass(frozen=True)
class Repetition:
    """The comparison of a run with the one that it reproduces. `points` were compared, `equal` of them bit for bit;
    `first` is the first difference, as {step, split, name, then, now}; `causes` are the differences of their
    environments."""

    original: str
    repeated: str
    points: int
    equal: int
    first: dict[str, Any] | None
    weights_equal: bool | None
    causes: tuple[str, ...]

    @property
    def same(self) -> bool:
        return self.points > 0 and self.equal == self.points and self.weights_equal is not False

    def as_json(self) -> JsonObject:
        return {**asdict(self), "same": self.same}

    def sentence(self) -> str:
        """Return the comparison in words."""
        if self.points == 0:
            return "The runs have no point in common, so nothing was compared."
        if self.same:
            weights = ", and so are the weights" if self.weights_equal else ""
            return f"All {self.points:,} points of the curves are the same, bit for bit{weights}."
        if self.first is None:
            text = f"All {self.points:,} points are the same, but the weights are not."
        else:
            first = self.first
            text = (
                f"{self.points - self.equal:,} of {self.points:,} points differ, first the {first['split']} "
                f"{first['name']} at step {first['step']:,}: {first['then']!r} then, {first['now']!r} now."
            )
        why = "; ".join(self.causes)
        return f"{text} What differs: {why}." if why else f"{text} Nothing that Netloom knows of differs."


def repeat(store: Store, run_id: str, *, owner: str | None = None) -> str:
    """Start a run again from the folder of an earlier one. Returns the id of the new run.

    Raises:
        StoreError: the folder is missing.
    """
    run = store.run(run_id)
    artifacts = store.artifacts(run_id)
    if artifacts.project_stamp() is None:
        raise StoreError("The folder of this run is missing, so the run cannot be reproduced.")
    first = artifacts.start_weights
    about = RunOrigin(start=Reproduction(run=run_id))
    title = f"{run.title[:180]}, again"
    weights = first if first.exists() else None
    owner = run.owner if owner is None else owner
    return start(
        store,
        run.project_id,
        artifacts.project(),
        title=title,
        owner=owner,
        about=about,
        weights=weights,
        fitted=stored_state(artifacts),
    )


def compare_runs(store: Store, original: Run, repeated: Run) -> Repetition:
    """Compare the curves of two runs point by point, and their last weights. Losses of batches are excluded, because
    the number of steps in each mean depends on the clock."""
    original_values, repeated_values = _values(store.points(original.id)), _values(store.points(repeated.id))
    keys = [key for key in original_values if key in repeated_values]
    off = [key for key in keys if original_values[key] != repeated_values[key]]
    first = None
    if off:
        step, split, name = min(off)  # the earliest step
        first = {
            "step": step,
            "split": split,
            "name": name,
            "then": original_values[min(off)],
            "now": repeated_values[min(off)],
        }
    artifacts = store.artifacts(original.id), store.artifacts(repeated.id)
    complete = len(original_values) == len(repeated_values)
    # Runs of different length have different last weights.
    weights = _same_weights(*artifacts) if complete else None
    causes = (
        *_environment_differences(*artifacts),
        *_manual_changes(original, artifacts[0]),
        *([] if complete else [_unlike(original_values, repeated_values)]),
    )
    return Repetition(original.id, repeated.id, len(keys), len(keys) - len(off), first, weights, causes)


def _values(points: Points) -> dict[Key, float]:
    rows = zip(points.step, points.split, points.name, points.value, strict=True)
    return {(step, split, name): value for step, split, name, value in rows if name not in TRAINING_LOSSES}


def _unlike(original_values: Mapping[Key, float], repeated_values: Mapping[Key, float]) -> str:
    return f"the length of the curves ({len(original_values):,} points then, {len(repeated_values):,} now)"


def _environment_differences(original_artifacts: RunArtifacts, repeated_artifacts: RunArtifacts) -> list[str]:
    """Return the differences between the environments of two runs."""
    old_environment, new_environment = original_artifacts.environment(), repeated_artifacts.environment()
    differences = []
    for name in dict.fromkeys([*old_environment, *new_environment]):
        old, new = old_environment.get(name, "not recorded"), new_environment.get(name, "not recorded")
        if name in _HARMLESS or old == new:
            continue
        # A setting that was renamed since changes the digest of the document
        if name == "document" and _same_document(original_artifacts, repeated_artifacts):
            continue
        if name in ("data", "code", "document"):
            differences.append(_WORDS[name])
        else:
            differences.append(f"{_WORDS.get(name, name)} ({old} then, {new} now)")
    return differences


def _same_document(original_artifacts: RunArtifacts, repeated_artifacts: RunArtifacts) -> bool:
    try:
        return original_artifacts.project() == repeated_artifacts.project()
    except DocumentError:
        return False


def _manual_changes(run: Run, artifacts: RunArtifacts) -> list[str]:
    """Return the changes that users made during the first run, which the second lacks."""
    changes = []
    for line in artifacts.events():
        if line.get("event") == "command" and line.get("kind") in ("learning_rate", "schedule"):
            setting = "learning rate" if line["kind"] == "learning_rate" else "schedule"
            changes.append(f"the {setting} was changed by hand at step {line.get('step', 0):,}")
    for extension in run.about.extended:
        changes.append(f"it was extended after epoch {extension.at}")
    return changes


def _same_weights(original_artifacts: RunArtifacts, repeated_artifacts: RunArtifacts) -> bool | None:
    import torch

    try:
        old_weights, new_weights = (
            checkpoints.weights(original_artifacts, "last"),
            checkpoints.weights(repeated_artifacts, "last"),
        )
    except (OSError, ValueError):
        return None
    return old_weights.keys() == new_weights.keys() and all(
        torch.equal(old_weights[name], new_weights[name]) for name in old_weights
    )
