"""A trained network with all that belongs to it: its document, source, data and run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.compile import input_fields, module, source
from netloom.data import DataError, Prepared, prepare, schema
from netloom.data.preparation.fitted_state import as_kept
from netloom.data.quality.severe_findings import caveats, severe
from netloom.data.tables.row_file import unknown_categories, with_warnings
from netloom.document import DocumentError, Project
from netloom.modalities.encoding.tokenization import last_places
from netloom.runs.distillation import attach_teacher, find_teacher
from netloom.runs.history import weight_history
from netloom.runs.vae_sampling import sample_images
from netloom.store import DamagedArtifactError, RunArtifacts, Store, open_store
from netloom.tasks import task
from netloom.training import checkpoints
from netloom.training.initialization import verified_weights
from netloom.training.objectives import EVALUATION_BATCH, OBJECTIVES, Evaluation, Objective, Settings
from netloom.training.objectives.objective import joined
from netloom.training.objectives.reinforcement import Agent
from netloom.training.objectives.sequence_to_sequence import SequenceToSequence
from netloom.training.streaming import evaluation_rows, take
from netloom.training.trainers.registry import build_trainer
from netloom.training.uncertainty import with_uncertainty
from netloom.training.weight_files import CheckpointError, check_weights, recorded
from netloom.validation.output_scales import scales

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.store import Run

# In a saved evaluation, the checksum of the weights that were measured.
WEIGHTS = "weights"
# In it, what it goes by: since then, losses and probabilities come from a network's logits, also where it gives
# probabilities itself.
READS, LOGITS = "reads", "logits"
_DAMAGED = "The file {} is damaged; delete it, and measure the run again."


@dataclass(frozen=True)
class TrainedRun:
    """What evaluation, explanation and export read. `model` is the network as it is drawn, on the CPU in evaluation
    mode; `scorer` is the same network with logits for answers, see `netloom.compile.logit_network`."""

    project: Project
    source: str
    model: nn.Module
    data: Prepared
    run: Run | None = None

    @cached_property
    def scorer(self) -> nn.Module:
        from netloom.compile.logit_network import with_logits

        return with_logits(self.project, self.model, self.data.schema)

    @cached_property
    def objective(self) -> Objective:
        training = self.project.training
        return OBJECTIVES[training.objective].described(training, self.data.schema)

    @cached_property
    def calibration(self) -> Settings:
        """What the objective chose on the validation rows, such as the threshold of what is unusual."""
        if not self.objective.task.tunes_threshold:
            return {}
        return self.objective.calibrate(
            self.output_of("validation"), self.data, evaluation_rows(self.data, "validation")
        )

    @property
    def decoding(self) -> dict[str, Any]:
        """What has to be known to put an answer into words without Netloom."""
        return self.objective.decoding(self.data, self.calibration)

    @property
    def fields(self) -> list[str]:
        """The data's fields in the order of the model's arguments."""
        return input_fields(self.project)

    def output(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The network's answer to rows given by field, (N, …), as logits where it tells classes.

        Several outputs are put side by side.
        """
        import torch

        rows = len(next(iter(inputs.values())))
        parts = []
        with torch.no_grad():
            for start in range(0, rows, EVALUATION_BATCH):
                part = slice(start, start + EVALUATION_BATCH)
                parts.append(joined(self.scorer(*[inputs[name][part] for name in self.fields])))
        return torch.cat(parts)

    def output_of(self, split: str) -> torch.Tensor:
        """The network's answers to the rows of a split that measures are taken on, (N, …)."""
        return self.output(take(self.data, self.fields, evaluation_rows(self.data, split).numpy()))


def load_run(store: Store, run_id: str, checkpoint: str = "") -> TrainedRun:
    """The network of a run with its "best" or "last" weights, or those kept of an epoch, by its number as text; else
    with those that its document says are used.

    Raises:
        CheckpointError: no such weights are kept.
        FileNotFoundError: the run has no checkpoint yet.
        DataError: its data is not there any more.
    """
    artifacts = store.artifacts(run_id)
    project, text = artifacts.project(), artifacts.source()
    model = module(text)
    model.load_state_dict(weight_history.weights(artifacts, checkpoint or project.training.keep))
    data = as_kept(prepare(project.data, store.home), artifacts)
    return TrainedRun(project, text, model.eval(), data, store.run(run_id))


def with_weights(trained: TrainedRun, artifacts: RunArtifacts, checkpoint: str) -> TrainedRun:
    """The same run with other weights of its own; the data is not prepared again. Raises: as `load_run`."""
    model = module(trained.source)
    model.load_state_dict(weight_history.weights(artifacts, checkpoint))
    return replace(trained, model=model.eval())


def fit_here(project: Project, home: Path | None = None) -> TrainedRun:
    """Train in this process, to the end, and keep the best weights: for scripts and tests.

    Raises:
        CompileError: the network has errors.
        DataError: the data cannot be read.
        StartError: the weights that it starts from are not there, or none of them fits.
        TrainingError: the loss is no number any more.
    """
    data, text = prepare(project.data, home), source(project)
    first = verified_weights(open_store(home), project) if project.training.start else None
    taught = find_teacher(open_store(home), project) if project.training.teacher else None
    trainer = attach_teacher(build_trainer(project, text, data, first), taught)
    trainer.fit()
    return TrainedRun(project, text, trainer.best_model(), data)


def save_evaluation(artifacts: RunArtifacts, evaluation: Evaluation) -> None:
    """Keep how the weights in use did on the test split, with their checksum: it says of which weights that is true."""
    weights = checkpoints.weights_file(artifacts, checkpoints.chosen(artifacts))
    artifacts.save_evaluation({**evaluation.as_json(), WEIGHTS: recorded(weights), READS: LOGITS})


def evaluation(store: Store, run_id: str) -> Evaluation | None:
    """How a run did on its test split, as its worker measured it; None while it has not, or where it measured other
    weights than those that are there now.

    Raises:
        CheckpointError: the weights that it measured are damaged, or the file of what it measured is.
    """
    artifacts = store.artifacts(run_id)
    try:
        value = artifacts.evaluation()
    except DamagedArtifactError as error:
        raise CheckpointError(_DAMAGED.format(error.path)) from None
    if value is None:
        return None
    measured = value.pop(WEIGHTS, "")
    with suppress(FileNotFoundError):
        weights = checkpoints.weights_file(artifacts, checkpoints.chosen(artifacts))
        check_weights(weights)
        if measured and recorded(weights) != measured:
            return None
    again = _measured_again(store, run_id, artifacts) if value.pop(READS, "") != LOGITS else None
    if again is not None:
        return again
    try:
        return Evaluation.from_json(value)
    except ValueError:
        raise CheckpointError(_DAMAGED.format(artifacts.evaluation_file)) from None


def _measured_again(store: Store, run_id: str, artifacts: RunArtifacts) -> Evaluation | None:
    """The evaluation of a run from before a network's own softmax or sigmoid was seen, whose loss and probabilities had
    another one applied; None where it has none, or its weights or its data are not there any more."""
    try:
        project = artifacts.project()
        probability_task = task(project.training.objective).output_probabilities(None, project.training)
        if not scales(project, None if probability_task else schema(project.data, store.home)):
            return None
        evaluation = evaluate(load_run(store, run_id))
        save_evaluation(artifacts, evaluation)
    except (CheckpointError, DataError, DocumentError, FileNotFoundError):
        return None
    return evaluation


def evaluate(trained: TrainedRun, split: str = "test") -> Evaluation:
    """Measure a trained network on a split that it was not trained on (or, to compare, on "train")."""
    if isinstance(trained.objective, Agent):
        return trained.objective.play(trained.output, trained.data, split)
    output, rows, objective = trained.output_of(split), evaluation_rows(trained.data, split), trained.objective
    evaluation = objective.evaluate(output, trained.data, rows, split, trained.calibration)
    if isinstance(objective, SequenceToSequence):
        inputs = {name: trained.data.inputs[name][rows] for name in trained.fields}
        evaluation = objective.compare(
            evaluation, objective.write(trained.output, trained.data, inputs), trained.data, rows
        )
    else:
        evaluation = objective.extend_evaluation(evaluation, output, trained.output, trained.data, rows)
        drawn = partial(sample_images, objective, trained.model, trained.data, trained.fields, trained.output)
        evaluation = replace(evaluation, samples=evaluation.samples or drawn(rows))
    evaluation = with_uncertainty(objective, evaluation, output, trained.data, rows, trained.calibration)
    return replace(evaluation, caveats=caveats(severe(trained.data, trained.project.data)))


def predict(trained: TrainedRun, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Answers for raw rows, as they come from a file or a form; each says under "unknown" which categories of its row
    training did not have.

    Raises:
        DataError: a row lacks a column, or holds what the data cannot take.
    """
    rows = list(rows)
    encoded = [trained.data.encode(row, trained.fields) for row in rows]
    if not encoded:
        return []
    return with_warnings(_answers(trained, encoded), unknown=unknown_categories(read_fields(trained), rows))


def read_fields(trained: TrainedRun) -> dict[str, Any]:
    """The preprocessing of the fields that the network reads."""
    preprocess = trained.data.preprocess
    return {**preprocess, "fields": [field for field in preprocess["fields"] if field["name"] in trained.fields]}


def _answers(trained: TrainedRun, encoded: list[dict[str, torch.Tensor]]) -> list[dict[str, Any]]:
    import torch

    inputs = {name: torch.cat([row[name] for row in encoded]) for name in trained.fields}
    if isinstance(trained.objective, SequenceToSequence):
        return [{"prediction": text} for text in trained.objective.write(trained.output, trained.data, inputs)]
    output = trained.output(inputs)
    if trained.data.schema.target.type.continues_text:
        places = last_places(inputs[trained.fields[0]].numpy())
        output = output[torch.arange(len(output)), torch.from_numpy(places)].unsqueeze(1)  # (N, 1, vocabulary)
    return trained.objective.answers(output, trained.data, inputs, trained.calibration)
