"""The calibration of a run as a job."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.calibration import CalibrationReport, CalibrationSettings, calibrate
from netloom.calibration.stored_measures import store_measures
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.runs.prediction.applied_calibration import run_weights_checksum


@dataclass(frozen=True)
class Calibrate(Request[CalibrationReport], kind="calibration", lane="long"):
    """The report of a calibration, which changes no prediction; `calibration.apply` applies its result."""

    weights: RunWeights
    settings: CalibrationSettings

    def compute(self, context: Context) -> CalibrationReport:
        artifacts = context.store.artifacts(self.weights.run_id)
        report = calibrate(
            context.run(self.weights),
            self.settings,
            weights=run_weights_checksum(artifacts, self.weights.checkpoint),
            ensemble_members=[context.run(RunWeights(run_id)) for run_id in self.settings.ensemble],
            home=context.home,
            progress=context.progress,
        )
        store_measures(artifacts, report)
        return report
