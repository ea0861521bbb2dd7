"""Runs: train and load them, predict, evaluate, explain and export."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom import calibration, runs
from netloom.api.arguments import require_project, require_run
from netloom.api.home import data_folder
from netloom.api.rows import read_rows
from netloom.calibration import CalibrationReport, CalibrationSettings
from netloom.compile import CompileError
from netloom.compression.opened_variant import open_variant
from netloom.core.errors import UsageError
from netloom.data import DataError, schema
from netloom.data.dataset_lookup import find_dataset
from netloom.document import Project, updated
from netloom.explain import Explanation, explain, methods
from netloom.export import Report, export
from netloom.export.model_card import export_card
from netloom.modalities.encoding.rows import Answer
from netloom.runs import TrainedRun
from netloom.runs.owner import terminal_owner
from netloom.runs.prediction.batch_prediction import predict_rows
from netloom.runs.run_lookup import LAST, find_run
from netloom.store import Store, StoreError, open_store
from netloom.training import Evaluation, TrainingError
from netloom.training.weights.weight_files import digest
from netloom.validation import analyze
from netloom.validation.project_check import with_dataset, with_fields

if TYPE_CHECKING:
    import pandas as pd


def train(
    project: Project,
    *,
    data: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    save: bool = False,
    home: str | Path | None = None,
) -> TrainedRun:
    """Train a project to the end.

    The settings are those of the project; the arguments replace some of them. All other settings are fields of
    `project.training`.

    Args:
        project: the project.
        data: the name of another dataset with the same fields, such as a newer version of a file. For other data, see
            :func:`create_project`.
        epochs: the number of epochs; 0 keeps the initial weights.
        seed: the seed of the weights and of the order of the rows.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        save: train in a worker process with checkpoints and curves, as the app does, so that the Runs page shows the
            run and :func:`load_run` loads it. Ctrl-C stops the run, and `KeyboardInterrupt` is raised after it has
            saved its weights. Without `save`, the network is trained in this process, and nothing is written.
        home: the data folder.

    Returns:
        The run, with the best or the last weights, as the project is set: its `model` is on the CPU in evaluation mode.
        `run.run` has its id and state if it was saved, and is None otherwise.

    Raises:
        CompileError: the network has errors, or does not fit the data; `issues` lists them.
        DataError: the data cannot be read, or the project has no dataset.
        StartError: the weights of the initialization do not exist, or none of them fits.
        TrainingError: the loss became NaN, or the saved run failed.
        UsageError: there is no such dataset.

    Example:
        >>> run = netloom.train(netloom.open_project("digits_mlp"), epochs=1, seed=0, device="cpu")
        >>> run.data.schema.target.classes[:3]
        ('0', '1', '2')
    """
    require_project(project)
    folder = data_folder(home)
    if data is not None:
        project, _ = with_dataset(project, find_dataset(folder, data).name, folder)
    if not project.data.dataset:
        raise DataError("This project has no dataset; choose one with data=….")
    changes = {"epochs": epochs, "seed": seed, "device": device}
    training = updated(project.training, {key: value for key, value in changes.items() if value is not None})
    project = with_fields(project.model_copy(update={"training": training}), folder)
    if save:
        return _train_in_worker(open_store(folder), project)
    if errors := analyze(project, schema(project.data, folder)).errors:
        raise CompileError(errors)
    return runs.fit_here(project, folder)


def load_run(
    run: str = LAST,
    *,
    checkpoint: str | int = "",
    model: str | Path | None = None,
    home: str | Path | None = None,
) -> TrainedRun:
    """Load the network of a run of the app, of `netloom train` or of `train(save=True)`.

    Args:
        run: the id of the run, its first characters, or `"last"`: the newest run, or the best of a newer sweep.
        checkpoint: `"best"`, `"last"`, or the number of an epoch; default: `project.training.checkpoint`.
        model: an ONNX file of the run, such as a variant of `netloom optimize`, that predicts and is exported in place
            of these weights.
        home: the data folder.

    Returns:
        The run: its `project`, `source`, `model` (on the CPU in evaluation mode) and `data`.

    Raises:
        CheckpointError: there is no such checkpoint.
        DataError: the data of the run does not exist any more.
        FileNotFoundError: the run has no checkpoint yet.
        UsageError: there is no such run, or more than one, or `model` is not a file of this run.

    Example:
        >>> saved = netloom.train(netloom.open_project("digits_mlp"), epochs=1, save=True)
        >>> netloom.load_run("last").run.id == saved.run.id
        True
    """
    store = open_store(data_folder(home))
    trained = runs.load_run(store, find_run(store, run).id, str(checkpoint))
    return trained if model is None else open_variant(trained, Path(model))


def predict(run: TrainedRun, rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> list[Answer]:
    """Predict raw rows, which are read and encoded like the training rows, as in `netloom predict` and the model
    server.

    Args:
        run: the run.
        rows: a DataFrame, or one mapping per row, from the names of the fields (the columns of a table) to raw values:
            numbers, text, dates, None, or nested lists such as the `(C, H, W)` pixels of an image.

    Returns:
        One dictionary per row with the `prediction`, the `probabilities` by class for classification, `unknown` for
        categories that the training rows did not have, and `unreadable` for cells that count as missing. With a
        calibration, the `confidence`, and where that was chosen a `prediction_set` or an `interval`, and whether the
        network `abstained`, with the `reason`.

    Raises:
        DataError: a row has no value for a column, or a value that does not fit.
        UsageError: `rows` is something else, such as a single mapping.

    Example:
        >>> image = run.data.raw.row(0)["image"]  # (1, 8, 8)
        >>> prediction = netloom.predict(run, [{"image": image}])[0]
        >>> sum(prediction["probabilities"].values()) > 0.99
        True
    """
    require_run(run)
    file = read_rows(run, rows)
    return file.annotated(predict_rows(run, file.rows))


def calibrate(
    run: TrainedRun,
    method: str = "temperature",
    *,
    abstain_risk: float | None = None,
    abstain_coverage: float | None = None,
    conformal: float | None = None,
    ood: str = "",
    home: str | Path | None = None,
) -> CalibrationReport:
    """Fit a calibration on the validation rows of a run, and measure it on its test rows.

    Args:
        run: the run.
        method: `"temperature"`, `"platt"`, `"isotonic"` or `"none"`.
        abstain_risk: choose a threshold of the confidence so that at most this share of answers is wrong.
        abstain_coverage: choose a threshold so that at least this share of rows is answered.
        conformal: the error rate of prediction sets, or of intervals of numbers.
        ood: the name of another dataset, on which out-of-distribution scores are measured.
        home: the data folder.

    Returns:
        The report: `parts` with the measures `before` and `after` of each output, and `applied`, which
        :func:`apply_calibration` makes part of the predictions.

    Raises:
        DataError: the other dataset cannot be read.
        UsageError: the run cannot be calibrated, or an argument does not fit it; the message says why.

    Example:
        >>> report = netloom.calibrate(run, "temperature", conformal=0.1)
        >>> report.parts[0].sets.coverage > 0.5
        True
    """
    require_run(run)
    folder = data_folder(home)
    settings = CalibrationSettings(
        method, abstain_risk, abstain_coverage, conformal, measure_ood=bool(ood), ood_dataset=ood
    )
    checksum = digest(run.model.state_dict())
    return calibration.calibrate(run, settings, weights=checksum, home=folder)


def apply_calibration(
    run: TrainedRun,
    report: CalibrationReport | None,
    *,
    save: bool = False,
    even_if_worse: bool = False,
    home: str | Path | None = None,
) -> TrainedRun:
    """Return a run whose predictions and exports use a calibration.

    Args:
        run: the run.
        report: the report of :func:`calibrate`; None removes a calibration.
        save: make it part of the saved run, too, so that the app and :func:`load_run` use it.
        even_if_worse: apply it even if `report.worse`: if it makes the probabilities of the test rows worse.
        home: the data folder.

    Returns:
        The same run with the calibration.

    Raises:
        UsageError: the calibration is worse than none, or the run is not saved, so that nothing can be added to it.

    Example:
        >>> image = run.data.raw.row(0)["image"]
        >>> careful = netloom.apply_calibration(run, netloom.calibrate(run, abstain_risk=0.05))
        >>> "abstained" in netloom.predict(careful, [{"image": image}])[0]
        True
    """
    require_run(run)
    if report is not None:
        calibration.refuse_worse(report, even_if_worse=even_if_worse)
    if save:
        if run.run is None:
            raise UsageError("This run is not saved; train it with save=True to save its calibration.")
        artifacts = open_store(data_folder(home)).artifacts(run.run.id)
        if report is None:
            artifacts.delete_calibration()
        else:
            calibration.apply(artifacts, report, even_if_worse=even_if_worse)
    return replace(run, applied=report.applied if report else None)


def evaluate(run: TrainedRun, split: str = "test") -> Evaluation:
    """Evaluate a run on a split of its data.

    Args:
        run: the run.
        split: `"test"`, `"validation"` or `"train"`.

    Returns:
        The evaluation: `metrics` by name, their 95% confidence `intervals`, the `reference` of a trivial predictor, and
        results of the task, such as the `confusion` matrix.

    Raises:
        DataError: the data has no rows in this split.
        UsageError: there is no such split.

    Example:
        >>> netloom.evaluate(run).metrics["accuracy"] > 0.5
        True
    """
    require_run(run)
    if split not in run.data.split:
        raise UsageError(f"There is no split {split!r}; choose one of {', '.join(run.data.split)}.")
    return runs.evaluate(run, split)


def explain_prediction(
    run: TrainedRun,
    row: int | Mapping[str, Any],
    method: str | None = None,
    *,
    target: str | int | None = None,
    seed: int = 0,
    **options: Any,
) -> Explanation:
    """Explain the prediction for one row, with evidence of the faithfulness of the explanation.

    Args:
        run: the run.
        row: the number of a row of the data, such as one of `run.data.split["test"]`, or a raw row as
            :func:`predict` takes it.
        method: such as `"integrated_gradients"` (`netloom explain RUN --list` lists all); default: the first that fits.
        target: the class or the output to explain; default: the prediction.
        seed: the random seed of sampling and of the checks.
        options: options of the method, such as `baseline="mean"` or `n_steps=64`.

    Returns:
        The explanation: `attributions` has an array in the shape of each input (one number per column for tables),
        `proofs` has the evidence, and `verdict` its summary.

    Raises:
        DataError: the raw row has no value for a field, or a value that does not fit.
        ExplainError: there is no such method, option, row or target, or the method does not fit the network.
        UsageError: `row` is neither a whole number nor a mapping.

    Example:
        >>> explanation = netloom.explain_prediction(run, 0, "integrated_gradients")
        >>> explanation.attributions["image"].shape, explanation.verdict.level in ("good", "caution", "poor")
        ((1, 8, 8), True)
    """
    require_run(run)
    name = next(item.name for item in methods(run) if item.available) if method is None else method
    if isinstance(row, Mapping):
        row = read_rows(run, [row]).rows[0]
    elif not isinstance(row, (int, np.integer)):
        raise UsageError(f"A row is given by its number in the data or as a mapping, received {row!r:.40}.")
    return explain(run, name, row, target=target, seed=seed, **options)


def export_run(
    run: TrainedRun,
    format: str,
    path: str | Path,
    *,
    home: str | Path | None = None,
    include_runtime: bool = False,
) -> Report:
    """Write a run in a format that works without Netloom. The file is loaded again, and its predictions are compared
    with those of the run before it is written.

    Args:
        run: the run.
        format: such as `"bundle"` (a zip with source, weights and a script that predicts), `"onnx"` or `"pt2"`.
        path: the file, which is replaced if it exists, or a folder, where the file is named after the project.
        home: the data folder; a bundle gets the model card of a run that was saved there.
        include_runtime: whether a web page includes ONNX Runtime, which npm downloads into the data folder once.

    Returns:
        The report: the `path` of the file, and the largest `difference` between its predictions and those of the run.

    Raises:
        ExportError: there is no such format or folder, the format cannot hold this network, its runtime cannot be
            included, or the predictions differ.

    Example:
        >>> report = netloom.export_run(run, "bundle", "digits.zip")
        >>> report.difference
        0.0
    """
    require_run(run)
    folder, card = data_folder(home), ""
    if run.run is not None and folder.is_dir():
        with suppress(StoreError):  # the run belongs to another data folder
            store = open_store(folder)
            card = export_card(store, replace(run, run=store.run(run.run.id)))
    return export(run, format, path, card, runtime_home=folder if include_runtime else None)


def _train_in_worker(store: Store, project: Project) -> TrainedRun:
    """Train in a worker process, and load the run."""
    run_id = runs.start(store, store.find_or_create_project(project), project, owner=terminal_owner())
    try:
        run = runs.wait(store, run_id, math.inf)
    except KeyboardInterrupt:
        # Waits once more, until the worker has saved its weights; a second Ctrl-C interrupts that
        runs.stop(store, run_id)
        runs.wait(store, run_id, math.inf)
        raise
    if run.state == "failed":
        raise TrainingError(f"Run {run_id} failed: {run.reason}")
    return runs.load_run(store, run_id)
