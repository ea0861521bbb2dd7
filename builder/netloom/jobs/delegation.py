"""What a server of pages leaves to its workers, so that it imports no PyTorch: data, layers, and facts about them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from netloom.core.data_folder import home as default_home
from netloom.data import Prepared
from netloom.data.preparation.prepare import choice_key, prepared
from netloom.data.preparation.settings_transfer import refuse_misfit
from netloom.data.quality.finding import Finding
from netloom.data.quality.overview import Column, columns
from netloom.data.quality.severe_findings import severe_findings
from netloom.document import DataChoice, Project
from netloom.explain.core.explainer import MethodFacts, method_facts
from netloom.jobs.requests.device import FindGpu
from netloom.jobs.requests.initial_weights import MatchStart
from netloom.jobs.requests.inspection import DescribeMethods
from netloom.jobs.requests.layer_measurements import MeasureLayers
from netloom.jobs.requests.prepared_data import CheckSettings, FindSevere, PrepareData, ReadColumns
from netloom.jobs.workers.worker_pool import computed
from netloom.store import Store
from netloom.training.speed.device import has_gpu
from netloom.training.weights.initialization import Fit, first_weights, matched_start
from netloom.validation.measurements import Measurements, measure_networks


def delegate() -> None:
    """Let workers read data and measure layers from now on, so that this process only draws pages."""
    prepared.delegate(_prepared)
    severe_findings.delegate(_severe)
    columns.delegate(_columns)
    refuse_misfit.delegate(_refuse_misfit)
    measure_networks.delegate(_measured)
    has_gpu.delegate(cache(_detected_gpu))
    method_facts.delegate(cache(_described_methods))
    matched_start.delegate(_matched_start)


def _prepared(key: str, home: str) -> Prepared:
    return computed(PrepareData(key), Path(home) if home else default_home())


def _severe(key: str, home: str) -> tuple[Finding, ...]:
    return computed(FindSevere(key), Path(home) if home else default_home())


def _columns(choice: DataChoice, home: Path | None = None) -> list[Column]:
    home = home or default_home()
    return computed(ReadColumns(choice_key(choice, home)[0]), home)


def _refuse_misfit(key: str, home: str) -> None:
    computed(CheckSettings(key), Path(home) if home else default_home())


def _described_methods() -> dict[str, MethodFacts]:
    return computed(DescribeMethods(), default_home())


def _matched_start(store: Store, project: Project, text: str) -> Fit:
    written = first_weights(store, project.training.initial_weights).stat().st_mtime_ns
    return computed(MatchStart(project.model_dump_json(), text, written), store.home)


def _detected_gpu() -> bool:
    return computed(FindGpu(), default_home())


def _measured(project: Project) -> Measurements:
    return computed(MeasureLayers(project.model_dump_json()), default_home())
