"""The job that measures the layers of a network for the pages, which check it without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.document import Project
from netloom.jobs.request import Context, Request
from netloom.validation.measurements import Measurements, measure_networks


@dataclass(frozen=True)
class MeasureLayers(Request[Measurements], kind="layer_measurements", lane="layers", handed_over=True):
    """The measurements of all layers of a project, as JSON, whose input shapes are known."""

    project: str

    def compute(self, context: Context) -> Measurements:
        return measure_networks(Project.model_validate_json(self.project))
