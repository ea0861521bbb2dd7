"""What a server of pages leaves to its workers, wherever it is needed: reading data and measuring layers."""

from __future__ import annotations

from pathlib import Path

from netloom.core.data_folder import home as default_home
from netloom.data import Prepared
from netloom.data.preparation.prepare import prepared
from netloom.document import Project
from netloom.jobs.layer_measurements import MeasureLayers
from netloom.jobs.prepared_data import PrepareData
from netloom.jobs.worker_pool import computed
from netloom.validation.measurements import Measurements, measure_networks


def delegate() -> None:
    """Let workers read data and measure layers from now on, so that this process only draws pages."""
    prepared.delegate(_prepared)
    measure_networks.delegate(_measured)


def _prepared(key: str, home: str) -> Prepared:
    return computed(PrepareData(key), Path(home) if home else default_home())


def _measured(project: Project) -> Measurements:
    return computed(MeasureLayers(project.model_dump_json()), default_home())
