"""Executes one run with a trainer, in a worker that trains alone or as one rank on a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from netloom.compile import SourceError
from netloom.core.text import first_line
from netloom.data import prepare
from netloom.data.preparation.fitted_state import with_stored_state
from netloom.data.quality.dataset_card import save_card
from netloom.document import Project
from netloom.runs.caveats import as_summary
from netloom.runs.distillation import attach_teacher, frozen_teacher
from netloom.runs.execution.run_reporter import RunReporter
from netloom.runs.fingerprint import note_machine
from netloom.runs.prediction.trained_run import TrainedRun, evaluate, save_evaluation
from netloom.runs.resources.limits import FULL, RunLimits, no_memory, storage_problem
from netloom.runs.resources.thread_count import ThreadCount
from netloom.store import Run, RunArtifacts, Store
from netloom.store.artifact_files import RESTORE
from netloom.store.run_end import RunEnd
from netloom.store.run_summary import RunSummary
from netloom.training.diagnostics import nan_tracer
from netloom.training.diagnostics.observer import Observer
from netloom.training.errors import DivergedError, TrainingError
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights import checkpoints
from netloom.training.weights.checkpoints import Checkpoint
from netloom.training.weights.weight_files import CheckpointError, StateDict

Through: TypeAlias = Callable[[RunReporter], Callback]

RESUME = "Resume, or netloom runs resume"
# Not refused: numbers of a generated dataset can differ in the last bit on another processor
CHANGED_DATA = (
    "The data has changed since the last checkpoint. Rows that the network was trained on can be validation or test "
    "rows now, so the metrics can be too good. Restore the data and reproduce the run, or start a new one."
)


def train_run(
    store: Store,
    run: Run,
    artifacts: RunArtifacts,
    limits: RunLimits,
    trainer: Trainer,
    through: Through | None = None,
    threads: ThreadCount | None = None,
) -> RunEnd:
    """Train from the last checkpoint of the run. Returns how it ended.

    `through` can wrap the reporter, the callback that communicates with the store. `threads` were chosen for this run.
    """
    run_id, project, text = run.id, artifacts.project(), artifacts.source()
    reporter = RunReporter(store, run, artifacts, Observer(project, artifacts), limits)
    data_before = artifacts.environment().get("data")
    note_machine(artifacts, trainer.data.fingerprint)
    if threads is not None:
        if threads.is_usual:
            artifacts.log_event("threads", said=threads.sentence)
        else:  # also on the page
            reporter.log_event("threads", threads.sentence)
    restored = checkpoints.restore(artifacts, partial(reporter.log_event, "damaged"))
    if restored is not None:
        step, checkpoint = restored
        best = checkpoints.restored_best(artifacts, partial(reporter.log_event, "damaged"))
        _continue_from(checkpoint, best, trainer, artifacts)
        artifacts.log_event("restore", step=step)
        if data_before not in (None, trainer.data.fingerprint):
            reporter.log_event("changed data", CHANGED_DATA)
    values: dict[str, Any] = {"started_at": datetime.now(UTC), "total_steps": trainer.total_steps, "reason": ""}
    store.change_state(run_id, "running", holding=run.claim, **values)
    # Points of step 0 are from an evaluation without training; without a checkpoint they are removed, too.
    store.drop_points_after(run_id, trainer.step if restored else -1, holding=run.claim)
    artifacts.delete_evaluation()  # of the weights before the training continued
    reporter.start(trainer)  # after old points are dropped: the observer reads the curves so far
    try:
        done = trainer.fit(reporter if through is None else through(reporter), reporter.observer)
        if not done:
            store.change_state(run_id, "stopping", holding=run.claim)  # evaluating many rows takes a while
        reporter.checkpoint.save(trainer)  # before the evaluation, so that a failure in it costs no training
        trained = TrainedRun(project, text, trainer.best_model(), trainer.data)
        measured = evaluate(trained)
        save_evaluation(artifacts, measured)
        save_card(artifacts, trainer.data, project.data, store.home)
        reporter.summary.update(RunSummary(test=measured.metrics))
        if measured.caveats:
            reporter.summary.update(RunSummary(caveats=as_summary(measured.caveats)))
    except DivergedError as error:
        raise TrainingError(_trace_divergence(error, reporter, project, artifacts, text)) from None
    finally:
        reporter.close()
    return RunEnd("finished") if done else reporter.end


def _continue_from(checkpoint: Checkpoint, best: StateDict | None, trainer: Trainer, artifacts: RunArtifacts) -> None:
    """Restore a checkpoint in the trainer.

    Raises:
        CheckpointError: it is not one of this network or optimizer, because files of the run were edited.
    """
    try:
        trainer.resume(checkpoint, best)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if no_memory(error):
            raise
        raise CheckpointError(
            f"The last checkpoint does not fit project.json and model.py in {artifacts.local_directory()}. Undo the "
            "changes of these files and resume the run again, or train the changed project in a new run."
        ) from error


def _trace_divergence(
    error: DivergedError, reporter: RunReporter, project: Project, artifacts: RunArtifacts, text: str
) -> str:
    """Return the reason with the source of the first NaN and a fix, which is added to the warnings, too."""
    data = with_stored_state(prepare(project.data, reporter.store.home), artifacts)
    taught = frozen_teacher(artifacts)
    non_finite = nan_tracer.trace_nan(
        project,
        artifacts,
        lambda: attach_teacher(build_trainer(project, text, data, existing(artifacts.start_weights)), taught),
    )
    if non_finite is None:
        return str(error)
    notice = non_finite.notice()
    reporter.observer.tell(notice)
    return f"{error.problem} {non_finite.sentence()} {notice.fix}"


def reason(error: Exception, limits: RunLimits, artifacts: RunArtifacts) -> str:
    """Return why a run failed and what to do, in a sentence."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return "The GPU's memory is full; make batches or layers smaller, or train on the CPU."
    if no_memory(error):
        return limits.too_much_memory
    if isinstance(error, SourceError):
        return f"{error.in_file(artifacts.source_file)} {RESTORE}"
    if full := storage_problem(error):
        return f"{FULL[full]}, and resume the run ({RESUME} {artifacts.run_id[:8]}): {_resumption(artifacts)}."
    return first_line(error, 500)


def _resumption(artifacts: RunArtifacts) -> str:
    """Return what a resumed run does: it has a checkpoint, or it was interrupted before the first one."""
    try:
        step = checkpoints.last_step(artifacts)
    except CheckpointError:
        return "its last checkpoint is damaged, and it continues from the one before, if there is one"
    if step is None:
        return "it starts again, as it had no checkpoint yet"
    return f"it continues from its last checkpoint, at step {step:,}"


def existing(file: Path) -> Path | None:
    """Return the file if it exists."""
    return file if file.exists() else None


def note(artifacts: RunArtifacts, event: str, **values: Any) -> None:
    """Write a line to the log. Does nothing on a full disk."""
    with contextlib.suppress(OSError):
        artifacts.log_event(event, **values)
