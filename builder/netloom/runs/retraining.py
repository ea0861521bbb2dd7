"""A run that goes on from the weights of another one, on a version of its data with more rows."""

from __future__ import annotations

from netloom.core.text import plain
from netloom.data import Prepared, prepare
from netloom.data.preparation.fitted_state import with_stored_state
from netloom.data.preparation.settings_transfer import carried
from netloom.document import DataChoice
from netloom.runs.control import start
from netloom.store import Store
from netloom.store.run_summary import Branch, RunOrigin
from netloom.training import checkpoints
from netloom.training.initialization import RUN, StartError, starting_from


def retrain(store: Store, run_id: str, dataset: str, *, owner: str | None = None) -> str:
    """Start a run from the current weights of a run, on another dataset of the same form. Returns its id.

    The split is that of the dataset. Its rows are encoded as those of the run, with the same scales, categories and
    vocabularies, because an embedding or an output belongs to one of them by its number. Optimizer, schedule and order
    of the rows start from the beginning.

    Raises:
        StartError: there are no weights, or the weights would mean something else on the dataset.
        DataError: the dataset cannot be read, or has other columns.
    """
    run, artifacts = store.run(run_id), store.artifacts(run_id)
    project = artifacts.project()
    choice = _on(project.data, dataset, store)
    before = with_stored_state(prepare(project.data, store.home), artifacts)
    reason = why_not(before, prepare(choice, store.home))
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
    return start(
        store,
        run.project_id,
        changed,
        title=title,
        owner=owner,
        about=about,
        weights=file,
        fitted=before.preprocess,
    )


def why_not(before: Prepared, after: Prepared) -> str:
    """Return why a run on some data cannot go on with other data, as a sentence; "" if it can.

    `before` has the fitted state of the run. What differs in that of the new data does not matter, as it is not used:
    a new word or category is encoded as unknown.
    """
    ours, theirs = before.schema, after.schema
    if ours.target.kind != theirs.target.kind or ours.target.number_names != theirs.target.number_names:
        return (
            f"The new data is for predicting {theirs.target.type.phrase} ({theirs.target.name}), the run predicts "
            f"{ours.target.type.phrase} ({ours.target.name}); choose a version of the data of the run."
        )
    for old, new in ((ours.target.classes, theirs.target.classes), (ours.target.tags, theirs.target.tags)):
        if old != new:
            return (
                f"The classes of the new data are {', '.join(new[:6])}, those of the run {', '.join(old[:6])}; the "
                "weights belong to the classes in their order, so start a new training on the new data instead."
            )
    names = [[field.name for field in schema.inputs] for schema in (ours, theirs)]
    if names[0] != names[1]:
        return (
            f"The fields of the new data are {', '.join(names[1])}, those of the run {', '.join(names[0])}, so its "
            "weights do not fit; start a new training on the new data instead."
        )
    return ""


def _on(choice: DataChoice, dataset: str, store: Store) -> DataChoice:
    """Return the choice with another dataset, whose own split is used."""
    other, _ = carried(choice.model_copy(update={"folds": None}), dataset, store.home)
    return other.model_copy(update={"split": "given", "folds": None})
