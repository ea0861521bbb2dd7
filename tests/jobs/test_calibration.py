"""The calibration of a run as a job, and as a part of later predictions and exports."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, replace

import pytest

from netloom.calibration import CalibrationReport, CalibrationSettings, calibrate
from netloom.core.errors import UsageError
from netloom.jobs import Context, Pool
from netloom.jobs.requests.calibration import Calibrate
from netloom.jobs.requests.exports import Export
from netloom.runs import load_run, predict
from netloom.runs.prediction.applied_calibration import save
from netloom.store import open_store
from tests.jobs.conftest import Runs
from tests.jobs.test_pool import job_result

SETTINGS = CalibrationSettings("platt", abstain_coverage=0.8, conformal=0.2, measure_ood=True)


def test_worker_gives_the_report_that_is_computed_here(trained: Runs, pool: Pool) -> None:
    weights = replace(trained.weights["breast_cancer"], checkpoint="")
    report: CalibrationReport = job_result(pool.submit(Calibrate(weights, SETTINGS), trained.home))
    local = calibrate(Context(trained.home).run(weights), SETTINGS, weights=report.applied.weights)
    assert asdict(report) == asdict(local)
    assert report.applied == local.applied


def test_unknown_method_is_refused(trained: Runs, pool: Pool) -> None:
    weights = replace(trained.weights["breast_cancer"], checkpoint="")
    with pytest.raises(UsageError, match="no calibration method 'cake'"):
        job_result(pool.submit(Calibrate(weights, CalibrationSettings("cake")), trained.home))


def test_applied_calibration_changes_loaded_runs_and_exports(trained: Runs, pool: Pool) -> None:
    weights = replace(trained.weights["breast_cancer"], checkpoint="")
    store = open_store(trained.home)
    artifacts = store.artifacts(weights.run_id)
    context = Context(trained.home)
    run = context.run(weights)
    row = run.data.row(int(run.data.split["test"][0]))
    before = predict(run, [row])
    report: CalibrationReport = job_result(pool.submit(Calibrate(weights, SETTINGS), trained.home))
    uncalibrated = Export(weights, "bundle").key(trained.home)
    save(artifacts, report.applied)
    try:
        (answer,) = predict(context.run(weights), [row])  # the run that this process had loaded before
        assert {"confidence", "abstained", "prediction_set"} <= answer.keys()
        assert predict(load_run(store, weights.run_id), [row]) == [answer]
        assert Export(weights, "bundle").key(trained.home) != uncalibrated  # an earlier answer is not given again
        exported = job_result(pool.submit(Export(weights, "bundle"), trained.home))
        content = (trained.folder(weights.run_id) / exported.stored).read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            target = json.loads(archive.read("preprocess.json"))["target"]
        assert target["calibration"]["conformal"]["alpha"] == 0.2
    finally:
        artifacts.delete_calibration()
    assert predict(context.run(weights), [row]) == before
    assert Export(weights, "bundle").key(trained.home) == uncalibrated
