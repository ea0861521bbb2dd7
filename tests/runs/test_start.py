"""Initialization from the weights of an import or of an earlier run, fully or partially, and evaluation without
training."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save

from netloom import runs, training
from netloom.compile import module, source
from netloom.compile.importers import ImportedModel
from netloom.data import prepare
from netloom.document import Project, Training, dumps, loads
from netloom.runs import TrainedRun
from netloom.store import NotFoundError, Store, open_store, weights
from netloom.training import StartError, check_start, imported_weights, save_import, starting_from
from netloom.training.trainer import Callback
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights.initialization import fit
from tests.networks import IMAGE, chain, network, networks
from tests.runs.examples import Recorder, check_curves, moons, trained_here


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return runs.fit_here(moons(epochs=3), tmp_path_factory.mktemp("first"))


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


def save_weights(store: Store, trained: TrainedRun) -> str:
    return "weights:" + weights.keep(store.home, save(trained.model.state_dict()))


def with_training(project: Project, **training: Any) -> Project:
    return project.model_copy(update={"training": project.training.model_copy(update=training)})


def same_weights(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    left_state, right_state = left.state_dict(), right.state_dict()
    return left_state.keys() == right_state.keys() and all(
        torch.equal(left_state[name], right_state[name]) for name in left_state
    )


@pytest.mark.parametrize(
    "start", ["weights", "weights:", "weights:" + "g" * 64, "run:", "run:../..", "run:" + "0" * 36, "/etc/passwd"]
)
def test_start_must_have_a_known_form(start: str) -> None:
    with pytest.raises(ValidationError, match="weights:DIGEST"):
        Training(initial_weights=start)


def test_document_omits_an_empty_start() -> None:
    without_start, with_start = moons(), moons(initial_weights=f"run:{uuid.uuid4()}")
    assert '"initial_weights"' not in dumps(without_start)
    assert loads(dumps(without_start)) == without_start
    assert loads(dumps(with_start)) == with_start


def test_zero_epochs_evaluate_the_initial_weights(store: Store, trained: TrainedRun) -> None:
    evaluated = runs.fit_here(
        with_training(trained.project, epochs=0, initial_weights=save_weights(store, trained)), store.home
    )
    assert same_weights(evaluated.model, trained.model)
    assert runs.evaluate(evaluated).metrics == runs.evaluate(trained).metrics


def test_zero_epochs_evaluate_random_initialization(home: Path) -> None:
    fresh = runs.fit_here(moons(epochs=0), home)
    torch.manual_seed(0)
    assert same_weights(fresh.model, module(moons()))


def test_zero_epochs_log_one_point_per_split(store: Store, trained: TrainedRun) -> None:
    project = with_training(trained.project, epochs=0)
    loop, recorder = build_trainer(project, source(project), prepare(project.data, store.home)), Recorder()
    assert loop.fit(recorder)
    assert (loop.step, loop.epoch) == (0, 0)
    assert len(recorder.curve("validation", "loss")) == len(recorder.curve("train", "loss")) == 1
    assert loop.best.value == recorder.curve("validation", "loss")[0]


def test_nan_weights_are_refused(store: Store, trained: TrainedRun) -> None:
    broken = {name: value.clone() for name, value in trained.model.state_dict().items()}
    broken["linear_2.bias"][0] = torch.nan
    start = "weights:" + weights.keep(store.home, save(broken))
    with pytest.raises(training.TrainingError, match="is NaN"):
        runs.fit_here(with_training(trained.project, epochs=0, initial_weights=start), store.home)


def test_training_continues_from_the_initial_weights(store: Store, trained: TrainedRun) -> None:
    """The first epoch is better than with random weights: the file determines the initial weights, not the seed."""
    first = weights.path(store.home, save_weights(store, trained).removeprefix("weights:"))
    project = with_training(trained.project, epochs=1, learning_rate=1e-9)
    curves = []
    for initial_weights in (first, None):
        recorder = Recorder()
        build_trainer(project, source(project), prepare(project.data, store.home), initial_weights).fit(recorder)
        curves.append(recorder.curve("validation", "loss")[0])
    assert curves[0] < 0.9 * curves[1]


def test_frozen_layers_stay_bit_identical(store: Store, trained: TrainedRun) -> None:
    main = trained.project.main_network
    frozen = main.nodes["linear_1"].model_copy(update={"frozen": True})
    project = trained.project.with_network(
        "main", main.model_copy(update={"nodes": {**main.nodes, "linear_1": frozen}})
    )
    tuned = runs.fit_here(
        with_training(project, epochs=1, weight_decay=0.1, initial_weights=save_weights(store, trained)), store.home
    )
    before, after = trained.model.state_dict(), tuned.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("linear_1."))
    assert not torch.equal(before["linear_2.weight"], after["linear_2.weight"])


def test_resume_after_initialization_matches_uninterrupted(store: Store, trained: TrainedRun) -> None:
    first = weights.path(store.home, save_weights(store, trained).removeprefix("weights:"))
    project = with_training(trained.project, epochs=2, seed=5)
    text, data = source(project), prepare(project.data, store.home)
    uninterrupted = build_trainer(project, text, data, first)
    uninterrupted.fit(Callback())
    interrupted = build_trainer(project, text, data, first)
    assert not interrupted.fit(Recorder(stop_at=3))
    saved = interrupted.checkpoint()
    resumed = build_trainer(project, text, data, first)
    resumed.resume(saved)
    resumed.fit(Callback())
    assert same_weights(resumed.model, uninterrupted.model)


def match_weights(project: Project, offered: torch.nn.Module | dict[str, torch.Tensor]) -> training.Fit:
    tensors = offered if isinstance(offered, dict) else offered.state_dict()
    return fit(project, module(project), {name: tuple(value.shape) for name, value in tensors.items()})


def test_all_layers_match() -> None:
    match = match_weights(moons(), module(moons()))
    assert match.complete
    assert match.layers == ("Linear (linear_1)", "Batch norm 1D (batchnorm1d_1)", "Linear (linear_2)")
    assert match.sentence() == "The initial weights match all 3 layers with weights."


def hidden(units: int, classes: int = 10) -> Project:
    return chain(IMAGE, ("Flatten", {}), ("Linear", {"units": units}), ("ReLU", {}), ("Linear", {"units": classes}))


def test_mismatched_head_is_initialized_randomly_and_named() -> None:
    match = match_weights(hidden(64), module(hidden(64, 5)))
    assert not match.complete
    assert match.names == ("linear_1.weight", "linear_1.bias")
    assert match.sentence() == (
        "The initial weights match Linear (linear_1). These layers are initialized randomly: Linear (linear_2) "
        "(weight has the shape 5 × 64 in the file and 10 × 64 in the network)."
    )


def test_bias_is_not_loaded_without_its_weight() -> None:
    """The bias of linear_2 has the same shape in both, but its weight does not."""
    shapes = "64 × 64 in the file and 32 × 64 in the network"
    with pytest.raises(StartError, match=f"None of these weights match.*linear_1.*{shapes}"):
        match_weights(hidden(32), module(hidden(64)))


def test_missing_and_unused_tensors_are_named() -> None:
    offered = {name: value for name, value in module(hidden(64)).state_dict().items() if "linear_2" not in name}
    match = match_weights(hidden(64), offered | {"head.weight": torch.zeros(3)})
    assert match.fresh == ("Linear (linear_2) (weight is missing)",)
    assert match.unused == ("head.weight",)
    assert match.sentence().endswith("Unused tensors: head.weight.")


def test_subnetwork_may_match_partially() -> None:
    linear = ("Linear", {"units": 8})
    block = network({"input_1": ("Input", {}), "a": linear, "b": linear, "end": ("Output", {})})
    entry = ("Input", {"field": "features", "kind": "vector", "shape": [8]})
    subnetwork = ("Subnetwork", {"network": "block"})
    outer = network({"input_1": entry, "block_1": subnetwork, "output_1": ("Output", {})})
    project = networks(main=outer, block=block)
    offered = dict(module(project).state_dict())
    offered["block_1.b.weight"] = torch.zeros(9, 8)
    match = match_weights(project, offered)
    assert set(match.names) == {"block_1.a.weight", "block_1.a.bias"}
    assert match.layers == ()
    shapes = "b.weight has the shape 9 × 8 in the file and 8 × 8 in the network"
    assert f"2 of its 4 tensors match; {shapes}" in match.fresh[0]


def test_layers_with_equal_titles_are_matched_separately(store: Store, trained: TrainedRun) -> None:
    main = trained.project.main_network
    nodes = {key: node.model_copy(update={"title": "Same"}) for key, node in main.nodes.items()}
    project = trained.project.with_network("main", main.model_copy(update={"nodes": nodes}))
    offered = {name: value for name, value in trained.model.state_dict().items() if "linear_2" not in name}
    match = match_weights(project, offered)
    assert (match.layers, match.fresh) == (("Same", "Same"), ("Same (weight is missing)",))


def test_missing_initial_weights_are_refused_before_a_run_exists(store: Store) -> None:
    project_id = store.create_project(moons())
    gone = store.create_run(project_id, moons())
    empty = store.create_run(project_id, moons(), "Begun")
    store.delete_run(gone.id)
    wide = "weights:" + weights.keep(store.home, save({"linear_1.weight": torch.zeros(3, 3)}))
    cases = {
        "weights:" + "0" * 64: "import the model again",
        f"run:{gone.id}": "was deleted",
        f"run:{empty.id}": "'Begun' .* has no weights yet",
        wide: "None of these weights match",
    }
    for start, sentence in cases.items():
        with pytest.raises(StartError, match=sentence):
            runs.start(store, project_id, moons(initial_weights=start))
    assert [run.id for run in store.runs()] == [empty.id]


def test_run_outlives_the_run_that_initialized_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    project = moons(epochs=2)
    project_id = store.create_project(project)
    with trained_here():
        first = runs.start(store, project_id, project)
    assert store.run(first).state == "finished"
    before, best = runs.evaluation(store, first), runs.load_run(store, first).model
    with monkeypatch.context() as patch:
        patch.setattr(runs.control, "advance", lambda store: None)
        second = runs.start(store, project_id, with_training(project, epochs=0, initial_weights=f"run:{first}"))
    store.delete_run(first)
    with trained_here():
        runs.advance(store)
    finished = store.run(second)
    assert (finished.state, finished.step, finished.total_steps) == ("finished", 0, 0)
    after = runs.evaluation(store, second)
    assert before is not None
    assert after is not None
    assert after.metrics == before.metrics
    assert same_weights(runs.load_run(store, second).model, best)
    check_curves(store.points(second), epochs=1)


def test_import_creates_a_project_with_its_weights(store: Store, trained: TrainedRun) -> None:
    project_id = save_import(store, ImportedModel(moons(), dict(trained.model.state_dict())))
    project = store.load(project_id).project
    match = check_start(store, project, source(project))
    assert match is not None
    assert match.complete
    assert imported_weights(store, project_id) == [project.training.initial_weights]
    saved = store.load(project_id)
    store.save(project_id, starting_from(project, ""), saved.epoch, 1, {}, saved.stamp)
    assert imported_weights(store, project_id) == [project.training.initial_weights]
    weights.path(store.home, project.training.initial_weights.removeprefix("weights:")).unlink()
    with pytest.raises(StartError, match="not on this machine"):
        check_start(store, project, source(project))


def test_import_without_weights_is_initialized_randomly(store: Store) -> None:
    project_id = save_import(store, ImportedModel(moons()))
    assert store.load(project_id).project.training.initial_weights == ""
    assert imported_weights(store, project_id) == []
    with pytest.raises(NotFoundError):
        weights.path(store.home, "")
