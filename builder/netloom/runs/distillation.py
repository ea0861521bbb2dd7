"""The teacher of a run: an earlier run, whose network is frozen into the folder and provides the outputs of each
batch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.compile import SourceError, input_fields, module
from netloom.data import DataError, schema
from netloom.document import DocumentError, Project
from netloom.store import NotFoundError, RunArtifacts, Store
from netloom.store.artifact_files import RESTORE
from netloom.store.run_summary import RunOrigin
from netloom.tasks import student_task, task
from netloom.training.weights import checkpoints
from netloom.training.weights.initialization import RUN, StartError
from netloom.training.weights.weight_files import CheckpointError, check_weights, read_weights
from netloom.validation import analyze
from netloom.validation.output_scales import scales as output_scales

if TYPE_CHECKING:
    import torch

    from netloom.data.schema import Schema
    from netloom.layers import TensorSpec
    from netloom.training.trainer import Trainer


@dataclass(frozen=True)
class TeacherFiles:
    """The files of a teacher, the fields of its network in order, and the scale and family of its output if it is not
    logits."""

    weights: Path
    source: Path
    fields: tuple[str, ...]
    scale: tuple[str, str] | None = None


def find_teacher(store: Store, project: Project, origin: RunOrigin | None = None) -> TeacherFiles | None:
    """Return the teacher that a project names; None if there is none.

    A run that reproduces or branches from another one, according to its `origin`, uses the teacher that was frozen into
    the folder of that run.

    Raises:
        StartError: the teacher is missing, has no weights, or does not match.
    """
    training = project.training
    if not task(training.objective).learns_from_teacher or not training.teacher:
        return None
    # First the frozen copy: the run that the document names may have changed or been deleted since.
    earlier = origin.earlier_run if origin else None
    # The run can be the teacher itself, which may have had a teacher as well.
    if earlier and training.teacher != f"{RUN}{earlier}" and (frozen := frozen_teacher(store.artifacts(earlier))):
        return frozen
    run_id = training.teacher.removeprefix(RUN)
    artifacts = store.artifacts(run_id)
    try:
        store.run(run_id)
        teacher = artifacts.project()
        weights = checkpoints.weights_file(artifacts, checkpoints.chosen(artifacts))
    except (NotFoundError, FileNotFoundError, DocumentError, CheckpointError):
        raise StartError("The teacher run does not exist any more or has no weights yet; choose another one.") from None
    try:
        check_weights(weights)
    except CheckpointError as error:
        raise StartError(f"{error} It cannot be used as a teacher.") from None
    _refuse(store, project, teacher)
    scale = next(iter(output_scales(teacher)), None)
    return TeacherFiles(weights, artifacts.source_file, tuple(input_fields(teacher)), scale)


def _refuse(store: Store, project: Project, teacher: Project) -> None:
    """Check that a teacher matches a project.

    Raises:
        StartError: the teacher has other outputs, or was trained on other data.
    """
    learner = task(project.training.objective)
    if student_task(teacher.training.objective) != learner.name:
        objective = teacher.training.objective.replace("_", " ")
        raise StartError(
            f"A teacher must give {learner.taught_by}, but the objective of the chosen run is {objective}."
        )
    if teacher.data != project.data:
        raise StartError(
            "The teacher was trained on other data, or on another split of it, and may have seen this run's test rows; "
            "choose a run of the same data, options and split."
        )
    try:
        data_schema = schema(project.data, store.home)
    except DataError:
        return  # the start of the run reports the error
    unread = [
        name
        for name in input_fields(teacher)
        if data_schema and name not in [field.name for field in data_schema.inputs]
    ]
    if unread:
        raise StartError(f"The teacher reads {unread[0]!r}, which the data does not have any more; choose another run.")
    missing = [name for name in input_fields(teacher) if name not in input_fields(project)]
    if missing:
        raise StartError(f"The teacher reads {missing[0]!r}, so this network needs an Input of that field as well.")
    if data_schema is not None:
        _refuse_other_shape(project, teacher, data_schema)


def _refuse_other_shape(project: Project, teacher: Project, data_schema: Schema) -> None:
    """Check that an output whose size is not given by the data, such as a grid, has the shape of that of the teacher.

    Raises:
        StartError: it has another one.
    """
    expected = task(project.training.objective).outputs(data_schema, project.training) or ()
    if not any(None in (output.shape or ()) for output in expected):
        return
    given, needed = (_output_shapes(document, data_schema) for document in (project, teacher))
    if None not in given and given != needed:
        written = (" and ".join(map(str, shapes)) for shapes in (needed, given))
        raise StartError(
            "The outputs of the teacher have the shape {}, but those of this network {}; give both the same grid, for "
            "example with as much pooling.".format(*written)
        )


def _output_shapes(project: Project, data_schema: Schema) -> list[TensorSpec | None]:
    context = analyze(project, data_schema).context
    return [context.output_spec(output) for output in context.network.ports("Output")]


def freeze_teacher(taught: TeacherFiles, artifacts: RunArtifacts) -> None:
    """Copy a teacher to the files of a run, so that changes to the earlier run do not affect this one."""
    shutil.copyfile(taught.weights, artifacts.teacher_weights)
    shutil.copyfile(taught.source, artifacts.teacher_source)
    artifacts.save_teacher({"fields": taught.fields, "scale": taught.scale})


def frozen_teacher(artifacts: RunArtifacts) -> TeacherFiles | None:
    """Return the teacher in the files of a run; None if there is none."""
    if not artifacts.teacher_weights.exists():
        return None
    about = artifacts.teacher()
    scale = about["scale"] if "scale" in about else _scale_of_before(artifacts)
    return TeacherFiles(
        artifacts.teacher_weights,
        artifacts.teacher_source,
        tuple(about["fields"]),
        (scale[0], scale[1]) if scale else None,
    )


def _scale_of_before(artifacts: RunArtifacts) -> tuple[str, str] | None:
    """Return the scale of a teacher that was frozen before scales were stored: from the run that it was copied from, if
    that exists; otherwise that of logits."""
    try:
        # The id comes from a document, so only its last path component is used: it must not name a file elsewhere.
        teacher_id = Path(artifacts.project().training.teacher.removeprefix(RUN)).name
        teacher = RunArtifacts(artifacts.store, teacher_id).project()
        return next(iter(output_scales(teacher)), None)
    except (OSError, DocumentError):
        return None


class Teacher:
    """A frozen network in evaluation mode: returns the outputs (N, …) of a batch whose inputs are in the order of
    `fields`, with logits of classes."""

    def __init__(self, taught: TeacherFiles, fields: list[str], device: str) -> None:
        """Load the network.

        Raises:
            StartError: its code cannot be run.
        """
        try:
            self.model = module(taught.source.read_text(encoding="utf-8"))
        except SourceError as error:
            raise StartError(f"{error.in_file(taught.source)} {RESTORE}") from error
        self.model.load_state_dict(read_weights(taught.weights))
        self.model.to(device).eval().requires_grad_(False)
        self._places = [fields.index(name) for name in taught.fields]
        self._scale = taught.scale

    def __call__(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Return the outputs (N, …), float32, with logits of classes."""
        import torch

        from netloom.nn.probability import logits

        with torch.no_grad():
            outputs: torch.Tensor = self.model(*[inputs[index] for index in self._places])
        return logits(outputs.float(), *self._scale) if self._scale else outputs.float()


def attach_teacher(trainer: Trainer, taught: TeacherFiles | None) -> Trainer:
    """Return the trainer with an objective that asks the teacher about each batch."""
    if taught is not None:
        trainer.objective.teacher = Teacher(taught, trainer.fields, trainer.device)  # type: ignore[attr-defined]
    return trainer
