"""A server of pages leaves reading data and measuring layers to its workers."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import netloom.data.quality.severe_findings as severe_module
import netloom.validation.analysis as analysis_module
import netloom.validation.measurements as measurements_module
from netloom import jobs
from netloom.core.errors import JobError
from netloom.data import DataError, prepare, schema
from netloom.data.preparation import prepare as prepare_module
from netloom.data.preparation.prepare import choice_key, clear_cache, prepared
from netloom.data.preparation.settings_transfer import carried, refuse_misfit
from netloom.data.quality.overview import columns
from netloom.data.quality.severe_findings import high_findings, severe_findings
from netloom.document import DataChoice, Project, apply
from netloom.explain.core.explainer import method_facts, registry
from netloom.jobs.requests.prepared_data import PrepareData
from netloom.templates import templates
from netloom.training.speed.device import has_gpu
from netloom.training.weights.initialization import matched_start
from netloom.validation import analyze
from netloom.validation.measurements import Measurements, measure_networks
from tests.runs.examples import until

DIGITS = DataChoice(dataset="digits")
DELEGATED = (prepared, columns, severe_findings, refuse_misfit, measure_networks, has_gpu, method_facts, matched_start)


@pytest.fixture(autouse=True)
def _delegated() -> Iterator[None]:
    clear_cache()
    measurements_module.forget_known()
    jobs.delegate()
    yield
    for function in DELEGATED:
        function.delegate(None)
    clear_cache()


def _not_here(*_: object) -> None:
    raise AssertionError("This was computed in the process of the pages.")


def test_data_is_prepared_in_another_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "read", _not_here)
    data = prepare(DIGITS, home)
    assert len(data.raw) == 1_797
    assert schema(DIGITS, home) == data.schema
    monkeypatch.setattr(severe_module, "severe", _not_here)
    assert high_findings(DIGITS.model_copy(update={"seed": 3}), home) == ()
    assert has_gpu() == torch.cuda.is_available()
    assert method_facts().keys() == registry().keys()
    table = DataChoice(dataset="breast_cancer")
    elsewhere = columns(table, home)
    columns.delegate(None)
    assert elsewhere == columns(table, home) != []
    job = jobs.pool().submit(PrepareData(choice_key(DIGITS, home)[0]), home)
    with job.watched():
        assert job.wait(60)
    assert job.worker in jobs.pool().worker_pids("data")
    assert job.worker != os.getpid()
    assert prepare(DIGITS, home) is data


def test_pool_does_not_keep_data_that_it_handed_over(home: Path) -> None:
    request = PrepareData(choice_key(DIGITS, home)[0])
    first = jobs.computed(request, home)
    until(lambda: jobs.computed(request, home) is not first, 60)


def test_errors_of_data_arrive_unchanged(home: Path) -> None:
    choice = DataChoice(dataset="shapes", options={"rows": "many"})
    with pytest.raises(DataError) as elsewhere:
        prepare(choice, home)
    prepared.delegate(None)
    with pytest.raises(DataError) as here:
        prepare(choice, home)
    assert str(elsewhere.value) == str(here.value)
    fitting, [remark] = carried(choice, "wine", home)
    assert "rows" not in fitting.options
    assert "'rows'" in remark


def test_a_killed_worker_is_an_error_and_the_next_try_succeeds(home: Path) -> None:
    prepare(DIGITS, home)  # the lane has a worker
    clear_cache()
    [worker, *_] = jobs.pool().worker_pids("data")
    os.kill(worker, signal.SIGSTOP)
    errors: list[JobError] = []

    def ask() -> None:
        try:
            prepare(DIGITS, home)
        except JobError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    job = jobs.pool().submit(PrepareData(choice_key(DIGITS, home)[0]), home)
    until(lambda: job.state == "running", 60)
    os.kill(worker, signal.SIGKILL)
    thread.join(60)
    assert "ended unexpectedly" in str(errors[0])
    jobs.pool().forget_failed()
    assert len(prepare(DIGITS, home).raw) == 1_797


def test_layers_are_measured_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    project = templates()["shapes_unet"].project
    measure_networks.delegate(None)
    expected = analyze(project)
    jobs.delegate()
    monkeypatch.setattr(analysis_module, "measure", _not_here)
    analysis = analyze(project)
    assert analysis.totals == expected.totals
    assert analysis.nodes == expected.nodes
    assert analysis.issues == expected.issues
    edited = apply(project, {"kind": "set", "node": "conv2d_1", "params": {"filters": 6}})
    again = analyze(edited, before=analysis)
    assert again.totals != analysis.totals
    measure_networks.delegate(_not_here)  # type: ignore[arg-type]
    assert analyze(project, before=again).totals == expected.totals  # all known by now


def test_a_worker_that_ended_is_not_a_failure_of_the_network() -> None:
    def ended(project: Project) -> Measurements:
        raise JobError("The process ended.")

    measure_networks.delegate(ended)
    with pytest.raises(JobError):
        analyze(templates()["spirals"].project)


def test_a_layer_that_fails_in_the_worker_is_an_issue(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("broken")

    def in_worker(project: Project) -> Measurements:
        measure_networks.delegate(None)
        return measure_networks(project)

    monkeypatch.setattr(measurements_module, "measure", fails)
    measure_networks.delegate(in_worker)
    [issue, *_] = analyze(templates()["spirals"].project).issues
    assert "failed to measure" in issue.message
    assert "KeyError: 'broken'" in issue.message
    assert "in fails" in issue.detail  # the traceback of the worker
