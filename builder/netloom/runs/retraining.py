"""A run that goes on from the weights of another one, on a version of its data with more rows."""

from __future__ import annotations

from typing import Any

from netloom.core.text import plain
from netloom.data import Prepared, prepare
from netloom.data.preparation.settings_transfer import carried
from netloom.document import DataChoice
from netloom.runs.control import start
from netloom.store import Store
from netloom.store.run_summary import Branch, RunOrigin
from netloom.training import checkpoints
from netloom.training.initialization import RUN, StartError, starting_from

# Rows whose encodings are compared, and the difference that training evens out
ROWS, MAX_CHANGE = 200, 0.5
# The keys of a field that describe which files it takes, and not what the network gets
_OF_FILES = ("resized",)


def retrain(store: Store, run_id: str, dataset: str, *, owner: str | None = None) -> str:
    """Start a run from the current weights of a run, on another dataset of the same form. Returns its id.

    The split is that of the dataset. Optimizer, schedule and order of the rows start from the beginning.

    Raises:
        StartError: there are no weights, or the weights would mean something else on the dataset.
        DataError: the dataset cannot be read.
    """
    run, artifacts = store.run(run_id), store.artifacts(run_id)
    project = artifacts.project()
    choice = _on(project.data, dataset, store)
    reason = why_not(prepare(project.data, store.home), prepare(choice, store.home))
    if reason:
        raise StartError(reason)
    name = artifacts.default_weights()
    try:
        file = checkpoints.weights_file(artifacts, name)
    except FileNotFoundError as error:
        raise StartError(str(error)) from None
    changed = starting_from(project.model_copy(update={"data": choice}), f"{RUN}{run_id}")
    about = RunOrigin(start=Branch(run=run_id, at=name, title=run.title))
    title = f"{plain(run.title)[:120]}, retrained"
    owner = run.owner if owner is None else owner
    return start(store, run.project_id, changed, title=title, owner=owner, about=about, weights=file)


def why_not(before: Prepared, after: Prepared) -> str:
    """Return why the weights of a run on some data do not fit other data, as a sentence; "" if they do.

    Scales may differ a little, because they are fitted on more rows. Classes, categories and vocabularies may not: an
    output or an embedding belongs to one of them by its number.
    """
    if before.schema.target.classes != after.schema.target.classes:
        ours, theirs = (", ".join(data.schema.target.classes[:6]) for data in (before, after))
        return (
            f"The classes of the new data are {theirs}, those of the run {ours}; the weights belong to the classes in "
            "their order, so train from the start instead."
        )
    if _without_scales(before.preprocess["fields"]) != _without_scales(after.preprocess["fields"]):
        return (
            "The fields, categories or vocabulary of the new data differ from those of the run, so its weights do "
            "not fit; train from the start instead."
        )
    if before.schema.target.type.is_number and not _change_of_target(before, after) <= MAX_CHANGE:
        return (
            "The target of the new data is scaled differently from that of the run, so its weights do not fit; "
            "train from the start instead."
        )
    if not _change_of_scale(before, after) <= MAX_CHANGE:
        return (
            "The numbers of the new data are scaled differently from those of the run, so its weights do not fit; "
            "train from the start instead."
        )
    return ""


def _change_of_scale(before: Prepared, after: Prepared) -> float:
    """Return how much the encoded values of the same rows differ, in standard deviations of these values."""
    import torch

    changes = [0.0]
    places = before.split["train"][:ROWS].tolist()
    for field in before.fields:
        encoded = [torch.cat([data.encode(before.row(place), [field.name])[field.name] for place in places]).double()
                   for data in (before, after)]  # fmt: skip
        deviation = float(encoded[0].std(correction=0)) or 1.0
        changes.append(float((encoded[1] - encoded[0]).abs().max()) / deviation)
    return max(changes)


def _change_of_target(before: Prepared, after: Prepared) -> float:
    """Return how much the meaning of the same outputs differs, in standard deviations of the target."""
    outputs = before.target[before.split["train"][:ROWS]].double()
    ours, theirs = (data.restore(outputs) for data in (before, after))
    return float((theirs - ours).abs().max()) / (float(ours.std(correction=0)) or 1.0)


def _on(choice: DataChoice, dataset: str, store: Store) -> DataChoice:
    """Return the choice with another dataset, whose own split is used."""
    other, _ = carried(choice.model_copy(update={"folds": None}), dataset, store.home)
    return other.model_copy(update={"split": "given", "folds": None})


def _without_scales(value: Any) -> Any:
    """Return plain JSON in which real numbers, such as means and deviations, are left out."""
    if isinstance(value, dict):
        return {name: _without_scales(item) for name, item in value.items() if name not in _OF_FILES}
    if isinstance(value, (list, tuple)):
        return [_without_scales(item) for item in value]
    return None if isinstance(value, float) else value
