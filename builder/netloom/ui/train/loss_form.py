"""The settings of single objectives on the Train page: weights of outputs, a teacher, a margin."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.data import TargetSpec
from netloom.document import DataChoice, DocumentError, Edit
from netloom.document.loss_settings import Head, LossSettings
from netloom.document.training_settings import describe_field
from netloom.editing.live import Live
from netloom.runs import distillation
from netloom.store import Run, RunArtifacts, StoreError
from netloom.tasks import student_task, task
from netloom.tasks.several_outputs import head_of, heads
from netloom.training import CheckpointError
from netloom.training.weights.checkpoints import weights_file
from netloom.training.weights.initialization import RUN, StartError
from netloom.ui.components.column_row import in_rows
from netloom.ui.components.errors import show_error
from netloom.ui.components.forms import bound, refused
from netloom.ui.components.settings import field
from netloom.ui.components.words import at, unique_labels

UNIFORM, BALANCED, CUSTOM = "alike", "balanced", "own"
WEIGHTINGS = {UNIFORM: "Uniform", BALANCED: "Balanced (inverse frequency)", CUSTOM: "Custom"}
# The settings that the advanced settings show.
ADVANCED_LOSSES = ("focal_gamma", "dice_weight")
SHOWN_RUNS = 20
SEARCHED_RUNS = 200  # the newest runs of all projects


def objective_settings(live: Live) -> None:
    """Draw the settings of the project's objective, if it has any."""
    settings = live.project.training
    names = [name for name in task(settings.objective).read_settings(settings) if name in LossSettings.model_fields]
    forms = {"positive_weight": _positives, "outputs": _outputs, "teacher": _teacher}
    plain_ones = [name for name in names if name not in (*forms, *ADVANCED_LOSSES)]
    for name in names:
        if name in forms:
            forms[name](live)
    for column, name in in_rows(plain_ones, 2):
        with column:
            field(live, name)


def _positives(live: Live) -> None:
    weight = live.project.training.positive_weight
    current = UNIFORM if weight is None else BALANCED if weight == BALANCED else CUSTOM
    description = describe_field("positive_weight")

    def edit(new: str) -> Edit:
        weight: Any = {UNIFORM: None, BALANCED: BALANCED, CUSTOM: 2.0}[new]
        return {"kind": "project", "training": {"positive_weight": weight}}

    binding = bound(live, "training/positives", current, edit, renews=True)
    options = list(WEIGHTINGS)
    st.selectbox(
        description.title,
        options,
        options.index(current),
        WEIGHTINGS.__getitem__,
        help=description.description,
        **binding,
    )
    refused(binding)
    if current == CUSTOM:

        def change(new: float) -> Edit:
            return {"kind": "project", "training": {"positive_weight": new}}

        binding = bound(live, "training/positive_weight", weight, change)
        st.number_input("Positive weight", 0.01, 1e6, float(weight or 1.0), step=None, format="%g", **binding)
        refused(binding)


def _outputs(live: Live) -> None:
    """Draw the objective and the weight of each target."""
    schema = None if live.data_problem() else live.schema()
    if schema is None or not schema.target.parts:
        return
    st.caption("Outputs, in the same order as the Output layers of the network")
    for part in schema.target.parts:
        _output(live, part)


def _output(live: Live, part: TargetSpec) -> None:
    head = live.project.training.outputs.get(part.name, Head())
    tasks_by_name = {task.name: task for task in heads(part) if task.accepts(part)}
    current = head_of(part, live.project.training).name
    supports_class_weights = "class_weights" in tasks_by_name[current].settings if current in tasks_by_name else False
    task_column, weight_column = st.columns([2, 1])

    def edit(**change: Any) -> Edit:
        outputs = {name: output.model_dump(mode="json") for name, output in live.project.training.outputs.items()}
        outputs[part.name] = {**head.model_dump(mode="json"), **change}
        return {"kind": "project", "training": {"outputs": outputs}}

    binding = bound(
        live, f"training/outputs/{part.name}/objective", current, lambda new: edit(objective=new), renews=True
    )
    names = list(tasks_by_name)
    task_column.selectbox(
        escape(part.name),
        names,
        names.index(current),
        lambda name: tasks_by_name[name].title,
        disabled=len(tasks_by_name) < 2,
        **binding,
    )
    refused(binding)
    binding = bound(live, f"training/outputs/{part.name}/weight", head.weight, lambda new: edit(weight=new))
    text = "Weight of the loss of this output in the total loss"
    weight_column.number_input("Weight", 0.0, 1e6, head.weight, step=None, format="%g", help=text, **binding)
    refused(binding)
    if supports_class_weights:
        _classes(live, part, head, lambda new: edit(class_weights=new))


def _classes(live: Live, part: TargetSpec, head: Head, edit: Callable[[Any], Edit]) -> None:
    """Draw the class weights of a target."""
    weights, name = head.class_weights, f"training/outputs/{part.name}"
    current = UNIFORM if weights is None else BALANCED if weights == BALANCED else CUSTOM
    begin: dict[str, Any] = {UNIFORM: None, BALANCED: BALANCED, CUSTOM: [1.0] * len(part.classes)}
    binding = bound(live, f"{name}/weighting", current, lambda new: edit(begin[new]), renews=True)
    options = list(WEIGHTINGS)
    st.selectbox(
        f"Class weights of {escape(part.name)}",
        options,
        options.index(current),
        WEIGHTINGS.__getitem__,
        **binding,
    )
    refused(binding)
    if isinstance(weights, tuple):
        weights_input(live, f"{name}/class_weights", weights, part.classes, edit)


def weights_input(
    live: Live, name: str, weights: tuple[float, ...], classes: tuple[str, ...], edit: Callable[[Any], Edit]
) -> None:
    """Draw an input for one weight per class, separated by commas; `edit` takes a list."""
    text = ", ".join(f"{weight:g}" for weight in weights)

    def typed(new: str) -> Edit:
        try:
            weights = [float(part) for part in new.split(",")]
        except ValueError:
            raise ValueError(f"Class weights are numbers separated by commas; received {new[:60]!r}.") from None
        return edit(weights)

    binding = bound(live, name, text, typed)
    st.text_input("Weights", text, help="One number per class, separated by commas", **binding)
    refused(binding)
    if classes:
        st.caption(escape("Order of the classes: " + ", ".join(classes[:30]) + (" …" if len(classes) > 30 else "")))


def _elsewhere(live: Live, chosen: str) -> str:
    """Return the label of a run that is not listed, if it still exists."""
    try:
        return _named(live.store.run(chosen.removeprefix(RUN)))
    except StoreError:
        return "An earlier run"


def _named(run: Run) -> str:
    return f"{run.title[:40]} · {at(run.created_at)}"


def _runs(live: Live) -> dict[str, str]:
    """Return the labels of possible teachers: runs of this project with weights, then matching runs of others."""
    runs = live.store.runs(live.id, limit=SHOWN_RUNS)
    names = {f"{RUN}{run.id}": _named(run) for run in runs if _has_weights(live, run)}
    other_runs = (run for run in live.store.runs(limit=SEARCHED_RUNS) if run.project_id != live.id and _fits(live, run))
    projects = {row.id: row.name for row in live.store.list_projects()}
    for run in islice(other_runs, SHOWN_RUNS):
        project = projects.get(run.project_id, "")
        names[f"{RUN}{run.id}"] = f"{project[:40]}: {_named(run)}" if run.title != project else _named(run)
    return names


def _has_weights(live: Live, run: Run) -> bool:
    try:
        weights_file(live.store.artifacts(run.id))
    except (FileNotFoundError, CheckpointError):
        return False
    return True


@lru_cache(maxsize=1_000)
def _data_of(artifacts: RunArtifacts) -> DataChoice | None:
    """Return the data of a run, which is cached because it never changes; None if its document is unreadable."""
    try:
        return artifacts.project().data
    except DocumentError:
        return None


def _fits(live: Live, run: Run) -> bool:
    """Return whether a run can be the teacher of this project."""
    if student_task(run.summary.objective) != task(live.project.training.objective).name:
        return False
    if _data_of(live.store.artifacts(run.id)) != live.project.data:
        return False
    training = live.project.training.model_copy(update={"teacher": f"{RUN}{run.id}"})
    try:
        return distillation.find_teacher(live.store, live.project.model_copy(update={"training": training})) is not None
    except StartError:
        return False


def _teacher(live: Live) -> None:
    """Draw the choice of the teacher."""
    chosen = live.project.training.teacher
    names = {"": "Choose a run", **_runs(live)}
    names.setdefault(chosen, _elsewhere(live, chosen))
    names = unique_labels(names)
    st.selectbox(
        "Teacher",
        list(names),
        list(names).index(chosen),
        format_func=names.__getitem__,
        help=LossSettings.model_fields["teacher"].description,
        **bound(live, "training/teacher", chosen, lambda new: {"kind": "project", "training": {"teacher": new}}),
    )
    try:
        distillation.find_teacher(live.store, live.project)
    except StartError as error:
        show_error(error)
