"""A run that goes on from the weights of another one, on a version of its data with more rows."""

from __future__ import annotations

from netloom.core.errors import DataError
from netloom.core.text import plain
from netloom.data import Prepared, prepare
from netloom.data.preparation.fitted_state import with_stored_state
from netloom.data.preparation.prepare import in_class_order
from netloom.data.preparation.settings_transfer import carried
from netloom.data.raw.texts import TaggedTexts
from netloom.data.schema import TargetSpec
from netloom.data.sequence_pairs import Pairs
from netloom.document import DataChoice
from netloom.runs.control import start
from netloom.store import Store
from netloom.store.run_summary import Branch, RunOrigin
from netloom.training.weights import checkpoints
from netloom.training.weights.initialization import RUN, StartError, starting_from


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
    choice = _choice_on(project.data, dataset, store)
    before = with_stored_state(prepare(project.data, store.home), artifacts)
    try:
        after = prepare(choice, store.home)
    except DataError as error:
        raise DataError(
            f"The run cannot continue on this dataset; choose a version of the run's dataset. {error}"
        ) from None
    reason = why_not(before, after)
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

    `before` has the fitted state of the run. That of the new data is not used, so it may differ: a new word or category
    is encoded as unknown, also in texts that the run learns to write.
    """
    old_schema, new_schema = before.schema, after.schema
    if _kinds(old_schema.target) != _kinds(new_schema.target):
        return (
            f"The target of the new data is {new_schema.target.type.phrase} ({new_schema.target.name}), but the run "
            f"predicts {old_schema.target.type.phrase} ({old_schema.target.name}); choose a version of the run's "
            "dataset."
        )
    # Also in another order, which the run's data then has
    raw = in_class_order(after.raw, before.preprocess)
    tags = raw.tag_names if isinstance(raw, TaggedTexts) and new_schema.target.tags else new_schema.target.tags
    for old, new in (
        (old_schema.target.classes, raw.classes or new_schema.target.classes),
        (old_schema.target.tags, tags),
        *(
            (old.classes, new.classes)
            for old, new in zip(old_schema.target.parts, new_schema.target.parts, strict=True)
        ),
    ):
        if old != new:
            return (
                f"The new data has the classes {', '.join(new[:6])}, but the run was trained on {', '.join(old[:6])}. "
                "The output weights depend on the classes and their order; start a new run on the new data."
            )
    names = [[field.name for field in schema.inputs] for schema in (old_schema, new_schema)]
    if names[0] != names[1]:
        return (
            f"The new data has the fields {', '.join(names[1])}, but the run was trained on {', '.join(names[0])}; "
            "start a new run on the new data."
        )
    for field, new_field in zip(before.fields, after.fields, strict=True):
        # The sizes of texts and of tables follow from the fitted state, which is that of the run.
        if field.vocabulary_size is None and not field.columns and field.shape != new_field.shape:
            shapes = [" × ".join(map(str, encoder.shape)) for encoder in (field, new_field)]
            return (
                f"The field {field.name} of the new data has the shape {shapes[1]}, but the run was trained on "
                f"{shapes[0]}; start a new run on the new data."
            )
    return ""


def _kinds(target: TargetSpec) -> tuple[object, ...]:
    """Return what a target is, without its classes: its kind and numbers, or the names and kinds of several targets."""
    parts = [(part.name, part.kind) for part in target.parts]
    return target.kind, target.number_names, parts


def remark(before: Prepared, after: Prepared) -> str:
    """Return a sentence on answers of new data that the run cannot learn to write as they are; "" if there are none."""
    if not isinstance(after.raw, Pairs) or not before.schema.target.type.is_text:
        return ""
    known = set(before.token_field(before.schema.inputs[-1].name).vocabulary)
    train = (str(after.raw.answers[int(row)]) for row in after.split["train"])
    field = before.token_field(before.schema.inputs[-1].name)
    unknown = sorted({token for answer in train for token in field.tokens(answer)} - known)
    if not unknown:
        return ""
    listed = ", ".join(map(repr, unknown[:8])) + (", …" if len(unknown) > 8 else "")
    return (
        f"The answers of the new data have {len(unknown):,} character{'s' * (len(unknown) > 1)} that the run does not "
        f"know: {listed}. It learns to write the unknown token in their place; start a new training to learn them."
    )


def _choice_on(choice: DataChoice, dataset: str, store: Store) -> DataChoice:
    """Return the choice with another dataset, whose own split is used."""
    new_choice, _ = carried(choice.model_copy(update={"folds": None}), dataset, store.home)
    return new_choice.model_copy(update={"split": "given", "folds": None})
