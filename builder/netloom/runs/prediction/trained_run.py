"""A trained network with its document, source, data and run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.compile import SourceError, input_fields, module, source
from netloom.data import DataError, Prepared, prepare, schema
from netloom.data.preparation.calibrated import Decoding
from netloom.data.preparation.decode import decode
from netloom.data.preparation.fitted_state import with_stored_state
from netloom.data.preparation.preprocess import Preprocess
from netloom.data.quality.severe_findings import caveats, severe
from netloom.data.tables.raw_rows import unknown_categories, with_warnings
from netloom.document import DocumentError, Project
from netloom.document.files import DocumentPathError
from netloom.modalities.encoding.rows import Answer
from netloom.modalities.encoding.tokenization import last_places
from netloom.runs.distillation import attach_teacher, find_teacher
from netloom.runs.history import weight_history
from netloom.runs.prediction.applied_calibration import AppliedCalibration, applied
from netloom.runs.prediction.vae_sampling import sample_images
from netloom.store import DamagedArtifactError, RunArtifacts, Store, open_store
from netloom.store.artifact_files import RESTORE
from netloom.tasks import task
from netloom.training.evaluation import compute_metrics, with_uncertainty
from netloom.training.objectives import EVALUATION_BATCH, OBJECTIVES, Evaluation, Objective, Settings
from netloom.training.objectives.objective import joined
from netloom.training.objectives.reinforcement import Agent
from netloom.training.streaming import evaluation_rows, take
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights import checkpoints
from netloom.training.weights.initialization import verified_weights
from netloom.training.weights.weight_files import CheckpointError, check_weights, digest, recorded
from netloom.validation.output_scales import scales

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.store import Run

# Of the checksums of weights and calibrations in logs
CHECKSUM_LENGTH = 16
# The key of a saved evaluation with the checksum of the evaluated weights.
WEIGHTS = "weights"
# The key with the origin of losses and probabilities. In newer evaluations, that is the logits of a network, also if
# the network ends with softmax or sigmoid.
READS, LOGITS = "reads", "logits"
OutputOf = Callable[[Mapping[str, "torch.Tensor"]], "torch.Tensor"]
_DAMAGED = "The file {} is damaged; delete it, and measure the run again."


@dataclass(frozen=True)
class TrainedRun:
    """The input of evaluation, explanation and export. `model` is the network as in the document, on the CPU in
    evaluation mode; `scorer` is the same network with logits as outputs, see `netloom.compile.logit_network`.

    `applied` is the calibration of its predictions. Outputs, metrics and explanations are not calibrated. `variant` is
    the name of the file whose network replaces the weights of the run, or "".
    """

    project: Project
    source: str
    model: nn.Module
    data: Prepared
    run: Run | None = None
    applied: AppliedCalibration | None = None
    variant: str = ""

    # `cached_property` writes to `__dict__`, which a frozen dataclass does not prevent.
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
        """The parameters that the objective chose on the monitored rows, such as a decision threshold."""
        if not self.objective.task.tunes_threshold:
            return {}
        split = self.data.monitored_split
        return self.objective.calibrate(self.output_of(split), self.data, evaluation_rows(self.data, split))

    @property
    def decoding(self) -> Decoding:
        """The data with which a script without Netloom decodes outputs."""
        if self.applied is None:
            return self.objective.decoding(self.data, self.calibration)
        decoding = self.objective.decoding(self.data, self.applied.settings)
        return self.objective.with_calibration(decoding, self.applied.parts_json())

    @property
    def fields(self) -> list[str]:
        """The fields of the data in the order of the model's arguments."""
        return input_fields(self.project)

    @property
    def preprocess(self) -> Preprocess:
        """The fitted state of the fields that the network reads, and of the target."""
        return self.data.preprocess.of_fields(self.fields)

    def output(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the outputs of the network (N, …) for rows given by field; logits for classes.

        Several outputs are concatenated.
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
        """Return the outputs (N, …) of the network for the evaluation rows of a split."""
        return self.output(take(self.data, self.fields, evaluation_rows(self.data, split).numpy()))


def checksum_of(trained: TrainedRun) -> str:
    """Return the beginning of the checksum of the weights of a run, which the header of their file has."""
    return digest(trained.model.state_dict())[:CHECKSUM_LENGTH]


def calibration_checksum_of(trained: TrainedRun) -> str:
    """Return the beginning of the checksum of the calibration of a run; "" if it has none."""
    return trained.applied.checksum[:CHECKSUM_LENGTH] if trained.applied is not None else ""


def load_run(store: Store, run_id: str, checkpoint: str = "") -> TrainedRun:
    """Load the network of a run with its "best" or "last" weights, or those of an epoch, by its number as text. By
    default, with the weights that its document selects.

    Raises:
        CheckpointError: there are no such weights, or they do not fit its code.
        DocumentError: its document or its code cannot be used.
        FileNotFoundError: the run has no checkpoint yet.
        DataError: its data does not exist any more.
    """
    artifacts = store.artifacts(run_id)
    project, text = artifacts.project(), artifacts.source()
    model = _stored_network(artifacts, text)
    name = checkpoint or project.training.checkpoint
    _load_weights(model, artifacts, name)
    data = with_stored_state(prepare(project.data, store.home), artifacts)
    calibration = applied(artifacts, weight_history.weights_path(artifacts, name))
    return TrainedRun(project, text, model.eval(), data, store.run(run_id), calibration)


def _stored_network(artifacts: RunArtifacts, text: str) -> nn.Module:
    try:
        return module(text)
    except SourceError as error:
        file = artifacts.source_file
        raise DocumentPathError(f"{error.in_file(file)} {RESTORE}", file) from error


def _load_weights(model: nn.Module, artifacts: RunArtifacts, name: str) -> None:
    weights = weight_history.weights(artifacts, name)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        path = weight_history.weights_path(artifacts, name)
        raise CheckpointError(f"{path} does not fit the network in {artifacts.source_file}. {RESTORE}") from error


def with_weights(trained: TrainedRun, artifacts: RunArtifacts, checkpoint: str) -> TrainedRun:
    """Return the same run with other weights, without preparing the data again. It is not calibrated.

    Raises:
        CheckpointError: there are no such weights, or they do not fit its code.
        FileNotFoundError: the run has no checkpoint yet.
    """
    model = module(trained.source)
    _load_weights(model, artifacts, checkpoint)
    return replace(trained, model=model.eval(), applied=None)


def fit_here(project: Project, home: Path | None = None) -> TrainedRun:
    """Train in this process until the end, and return the run with the best weights; for scripts and tests.

    Raises:
        CompileError: the network has errors.
        DataError: the data cannot be read.
        StartError: the initial weights are missing or do not match.
        TrainingError: the loss became NaN or infinite.
    """
    data, text = prepare(project.data, home), source(project)
    with closing(open_store(home)) as store:
        first = verified_weights(store, project) if project.training.initial_weights else None
        taught = find_teacher(store, project) if project.training.teacher else None
    trainer = attach_teacher(build_trainer(project, text, data, first), taught)
    trainer.fit()
    return TrainedRun(project, text, trainer.best_model(), data)


def save_evaluation(artifacts: RunArtifacts, evaluation: Evaluation) -> None:
    """Save the evaluation of the current weights on the test split, with their checksum, which identifies them."""
    weights = checkpoints.weights_file(artifacts, checkpoints.chosen(artifacts))
    artifacts.save_evaluation({**evaluation.as_json(), WEIGHTS: recorded(weights), READS: LOGITS})


def evaluation(store: Store, run_id: str) -> Evaluation | None:
    """Return the evaluation of a run on its test split, as measured by its worker. None if it does not exist, or
    belongs to other weights than the current ones.

    Raises:
        CheckpointError: the evaluated weights or the file of the evaluation are damaged.
    """
    artifacts = store.artifacts(run_id)
    try:
        value = artifacts.evaluation()
    except DamagedArtifactError as error:
        raise CheckpointError(_DAMAGED.format(error.path)) from None
    if value is None:
        return None
    measured = value.pop(WEIGHTS, "")
    with suppress(FileNotFoundError):  # deleted weights do not invalidate their evaluation
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
    """Repeat an old evaluation that applied softmax or sigmoid twice, because it ignored that of the network. None if
    there is no evaluation, or the weights or the data are missing."""
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
    """Evaluate a trained network on a split that it was not trained on, or for comparison on "train".

    Raises:
        DataError: the data has no validation rows.
    """
    if isinstance(trained.objective, Agent):
        return trained.objective.play(trained.output, trained.data, split)
    if not len(trained.data.split[split]):
        raise DataError(f"The data of this run has no {split} rows; evaluate it on the test or the training rows.")
    output, rows, objective = trained.output_of(split), evaluation_rows(trained.data, split), trained.objective
    evaluation = objective.evaluate(output, trained.data, rows, split, trained.calibration)
    evaluation = objective.extend_evaluation(evaluation, output, trained.output, trained.data, rows)
    drawn = partial(sample_images, objective, trained.model, trained.data, trained.fields, trained.output)
    evaluation = replace(evaluation, samples=evaluation.samples or drawn(rows))
    evaluation = with_uncertainty(objective, evaluation, output, trained.data, rows, trained.calibration)
    if objective.samples_latents:
        inputs_list = [trained.data.inputs[name][rows] for name in trained.fields]
        bound = compute_metrics(trained.model, objective, inputs_list, objective.target(trained.data)[rows])
        # The errors are those of the reconstructions without sampling, to which their intervals belong.
        evaluation = replace(evaluation, metrics={**evaluation.metrics, **bound, **evaluation.metrics})
    return replace(evaluation, caveats=caveats(severe(trained.data, trained.project.data)))


def predict(trained: TrainedRun, rows: Iterable[Mapping[str, Any]]) -> list[Answer]:
    """Return the predictions for raw rows from a file or a form, with the calibration of the run. The key "unknown" of
    a prediction lists the categories of its row that do not occur in the training rows.

    Raises:
        DataError: a row lacks a column, or has an invalid value.
    """
    rows = list(rows)
    encoded = [trained.data.encode(row, trained.fields) for row in rows]
    if not encoded:
        return []
    import torch

    inputs = {name: torch.cat([row[name] for row in encoded]) for name in trained.fields}
    answered = answers(trained, inputs, trained.output)
    return with_warnings(answered, unknown=unknown_categories(trained.preprocess.to_json(), rows))


def answers(trained: TrainedRun, inputs: Mapping[str, torch.Tensor], output_of: OutputOf) -> list[Answer]:
    """Return the predictions for encoded rows (N, …) by field. `output_of` is `trained.output`, or computes the same
    in another way, such as in batches of other sizes."""
    import torch

    texts = trained.objective.generate_texts(output_of, trained.data, inputs)
    if texts is not None:
        return [{"prediction": text} for text in texts]
    output = output_of(inputs)
    if trained.data.schema.target.type.continues_text:
        # Only the prediction after the last token is an answer; those at earlier positions are known already.
        positions = last_places(inputs[trained.fields[0]].numpy())
        output = output[torch.arange(len(output)), torch.from_numpy(positions)].unsqueeze(1)  # (N, 1, vocabulary)
    if trained.applied is not None:
        preprocess = {**trained.data.preprocess.to_json(), "target": trained.decoding}
        return decode(preprocess, trained.objective.parted(output, trained.data), inputs)
    return trained.objective.answers(output, trained.data, inputs, trained.calibration)
