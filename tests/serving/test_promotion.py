"""The gate before a new run answers on a server."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from netloom.api import load_run
from netloom.compression import registry
from netloom.core.errors import UsageError
from netloom.monitoring.promotion import compare_for_promotion
from netloom.runs import TrainedRun, evaluate, predict
from netloom.store import open_store
from netloom.templates import templates
from tests.cli.conftest import called
from tests.explain import models
from tests.networks import with_rows
from tests.serving.conftest import Runs, Server, start_server


@pytest.fixture
def ordered(runs: Runs) -> tuple[TrainedRun, TrainedRun]:
    """The runs, the better one on test rows last."""
    both = [load_run(run, home=runs.home) for run in (runs.first, runs.second)]
    worse, better = sorted(both, key=lambda run: evaluate(run).metrics["accuracy"])
    return worse, better


@pytest.fixture
def serving_worse(runs: Runs, ordered: tuple[TrainedRun, TrainedRun]) -> Iterator[Server]:
    server = start_server(runs.home, id_of(ordered[0]), "--name", "digits")
    yield server
    server.process.kill()
    server.process.wait()


def id_of(trained: TrainedRun) -> str:
    assert trained.run is not None
    return trained.run.id


def test_gate_measures_both_runs_on_the_same_rows(ordered: tuple[TrainedRun, TrainedRun]) -> None:
    worse, better = ordered
    gate = compare_for_promotion(better, worse, [])
    assert gate.passes
    assert gate.left_out == 0
    one = dataclasses.replace(gate, left_out=1).notes
    assert one == ("1 test row is left out, because the new run was trained on it.",)
    assert gate.mistakes is None
    for error, trained in ((gate.held_out.old, worse), (gate.held_out.new, better)):
        assert 1 - error == pytest.approx(evaluate(trained).metrics["accuracy"])
    assert gate.held_out.rows == len(worse.data.split["test"])
    assert gate.held_out.low <= gate.held_out.new - gate.held_out.old <= gate.held_out.high
    row = {"image": better.data.row(int(better.data.split["train"][0]))["image"].tolist()}
    with pytest.raises(UsageError, match="collected example 1 does not fit the old run"):
        compare_for_promotion(better, worse, [(row, "none of the classes")])
    answers = {predict(trained, [row])[0]["prediction"] for trained in ordered}
    wrong = next(name for name in worse.data.schema.target.classes if name not in answers)
    both_wrong = compare_for_promotion(better, worse, [(row, wrong)])
    assert both_wrong.mistakes is not None
    assert both_wrong.passes, "the new run repeats a mistake of the old one"
    assert both_wrong.trained_on == 1
    assert both_wrong.mistakes.difference == "+0.0%", "one row has no interval"
    answered = worse.data.schema.target.classes
    right_before = [
        (worse.data.row(int(index)), answered[int(worse.data.target[int(index)])]) for index in worse.data.split["test"]
    ]
    backwards = compare_for_promotion(worse, better, right_before)
    assert not backwards.passes


def test_rows_of_a_group_are_not_compared_as_independent_ones() -> None:
    old = models.trained("regression")
    new = dataclasses.replace(old, model=copy.deepcopy(old.model))
    with torch.no_grad():
        for weight in new.model.parameters():
            weight.mul_(1.02)
    rows = old.data.split["test"].numpy()
    labels = old.data.raw.target[rows, 0]
    before, after = (
        np.abs([answer["prediction"] for answer in predict(run, [old.data.row(int(row)) for row in rows])] - labels)
        for run in (old, new)
    )
    # In each group, the errors of the runs differ by about the same.
    groups = np.arange(len(old.data.raw))
    groups[rows[np.argsort(after - before)]] = np.arange(len(rows)) // 3
    raw = dataclasses.replace(old.data.raw, groups=groups)
    grouped = dataclasses.replace(old, data=dataclasses.replace(old.data, raw=raw))
    of_rows, of_groups = (compare_for_promotion(new, run, []).held_out for run in (old, grouped))
    assert (of_rows.old, of_rows.new) == (of_groups.old, of_groups.new)
    assert of_groups.high - of_groups.low > 1.3 * (of_rows.high - of_rows.low)


def test_a_run_with_infinite_errors_is_not_promoted() -> None:
    old = models.trained("regression")
    model = copy.deepcopy(old.model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(torch.nan)
    gate = compare_for_promotion(dataclasses.replace(old, model=model), old, [])
    assert not gate.passes
    assert np.isinf(gate.held_out.new)
    assert gate.sentence.startswith("The new run is worse on held-out rows: mean absolute error inf")
    assert compare_for_promotion(old, old, []).passes


def test_detectors_are_compared_by_the_objects_of_their_images() -> None:
    run = models.untrained_run(with_rows(templates()["shapes_detector"].project, 60))
    gate = compare_for_promotion(run, run, [])
    assert gate.passes
    assert gate.sentence.startswith("The new run is not worse: share of unmatched objects ")
    assert gate.held_out.rows == 9
    assert gate.held_out.difference == "+0.0%"


def test_command_reloads_the_server_only_with_a_run_that_is_not_worse(
    runs: Runs, ordered: tuple[TrainedRun, TrainedRun], serving_worse: Server
) -> None:
    worse, better = map(id_of, ordered)

    def promote(new: str, old: str, *options: str) -> tuple[int, str]:
        answer = called("--home", runs.home, "promote", new, "--over", old, *options)
        return answer.code, answer.out + answer.err

    address = ("--server", serving_worse.address)
    assert promote(better, worse)[0] == 0
    assert serving_worse.get("/models").value[0]["current"]["run"] == worse, "without --server, nothing changes"
    code, text = promote(worse, better, *address)
    assert code == 1
    assert f"the run {worse[:8]} answers" in text
    code, text = promote(better, worse, *address, "--model", "other")
    assert code == 1
    assert "it has digits" in text
    code, text = promote(better, worse, *address, "--canary", "20")
    assert code == 0, text
    assert "for 20% of the requests" in text
    served = serving_worse.get("/models").value[0]
    assert (served["current"]["run"], served["canary"]["run"], served["canary_percent"]) == (worse, better, 20)
    code, text = promote(better, worse, *address)
    assert code == 0, text
    assert "The server now uses " in text
    served = serving_worse.get("/models").value[0]
    assert (served["current"]["run"], served["canary"]) == (better, None)
    answer = called("--home", runs.home, "promote", "--rollback", *address)
    assert answer.code == 0, answer.err
    served = serving_worse.get("/models").value[0]
    assert served["current"]["run"] == worse
    assert answer.out == f"The server now uses {served['current']['version']}.\n"
    again = called("--home", runs.home, "promote", "--rollback", *address, "--json")
    assert again.value == {"version": serving_worse.get("/models").value[0]["current"]["version"]}
    assert serving_worse.get("/models").value[0]["current"]["run"] == better, "the run before the rollback"
    project = open_store(runs.home).run(better).project_id
    collected = open_store(runs.home).collected(project)
    trained = ordered[1]
    classes = trained.data.schema.target.classes
    for index in trained.data.split["test"].tolist():
        row = {"image": trained.data.row(index)["image"].tolist()}
        collected.add(row, classes[int(trained.data.target[index])], "Try it")
    code, text = promote(worse, better, *address)
    collected.delete_all()
    assert code == 3
    assert "worse" in text
    assert serving_worse.get("/models").value[0]["current"]["run"] == better
    for options, words in (
        (("--server", "file:///x"), "begins with http"),
        (("--server", "http://127.0.0.1:9"), "reached"),
    ):
        code, text = promote(worse, better, *options)
        assert code in (1, 2)
        assert words in text
    assert "name the same run" in promote(better, better)[1]


@pytest.mark.usefixtures("operators")
def test_a_served_file_is_named_because_the_weights_are_compared(
    runs: Runs, ordered: tuple[TrainedRun, TrainedRun], tmp_path: Path
) -> None:
    worse, better = map(id_of, ordered)
    file = tmp_path / "small.onnx"
    file.write_bytes(registry()["dynamic_int8"].compress(ordered[0]).content)
    server = start_server(runs.home, worse, "--name", "digits", "--model", file)
    try:
        notes = []
        for options in ((better, "--over", worse), (better, "--over", worse, "--canary", "20")):
            answer = called("--home", runs.home, "promote", *options, "--server", server.address, "--json")
            assert answer.code == 0, answer.err
            notes.append(answer.err)
            assert called("--home", runs.home, "promote", "--rollback", "--server", server.address).code == 0
    finally:
        server.stop()
    named = "The server answers with the file 'small.onnx' instead of the weights of the run, which are"
    assert [note.startswith(named) for note in notes] == [True, True]
