"""Starting from weights: of an import or of an earlier run, whole or in part, and measured without training."""

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
from netloom.training.initialization import fit
from netloom.training.trainer import Callback
from netloom.training.trainers.registry import build_trainer
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


def kept(store: Store, trained: TrainedRun) -> str:
    return "weights:" + weights.keep(store.home, save(trained.model.state_dict()))


def asked(project: Project, **training: Any) -> Project:
    return project.model_copy(update={"training": project.training.model_copy(update=training)})


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize(
    "start", ["weights", "weights:", "weights:" + "g" * 64, "run:", "run:../..", "run:" + "0" * 36, "/etc/passwd"]
)
def test_a_start_is_of_a_known_form(start: str) -> None:
    with pytest.raises(ValidationError, match="weights:DIGEST"):
        Training(start=start)


def test_a_document_without_a_start_says_nothing_of_it() -> None:
    plain, other = moons(), moons(start=f"run:{uuid.uuid4()}")
    assert '"start"' not in dumps(plain)
    assert loads(dumps(plain)) == plain
    assert loads(dumps(other)) == other


def test_no_epochs_measure_the_weights_as_they_are(store: Store, trained: TrainedRun) -> None:
    again = runs.fit_here(asked(trained.project, epochs=0, start=kept(store, trained)), store.home)
    assert same(again.model, trained.model)
    assert runs.evaluate(again).metrics == runs.evaluate(trained).metrics


def test_fresh_weights_can_be_measured_too(home: Path) -> None:
    fresh = runs.fit_here(moons(epochs=0), home)
    torch.manual_seed(0)
    assert same(fresh.model, module(moons()))


def test_measuring_records_one_point_a_split(store: Store, trained: TrainedRun) -> None:
    project = asked(trained.project, epochs=0)
    loop, seen = build_trainer(project, source(project), prepare(project.data, store.home)), Recorder()
    assert loop.fit(seen)
    assert (loop.step, loop.epoch) == (0, 0)
    assert len(seen.curve("validation", "loss")) == len(seen.curve("train", "loss")) == 1
    assert loop.best.value == seen.curve("validation", "loss")[0]


def test_weights_that_are_no_numbers_are_a_sentence(store: Store, trained: TrainedRun) -> None:
    broken = {name: value.clone() for name, value in trained.model.state_dict().items()}
    broken["linear_2.bias"][0] = torch.nan
    start = "weights:" + weights.keep(store.home, save(broken))
    with pytest.raises(training.TrainingError, match="is NaN"):
        runs.fit_here(asked(trained.project, epochs=0, start=start), store.home)


def test_training_goes_on_from_the_start(store: Store, trained: TrainedRun) -> None:
    """The first epoch is better than that of fresh weights, and the start is what the file holds, not the seed's."""
    first = weights.path(store.home, kept(store, trained).removeprefix("weights:"))
    project = asked(trained.project, epochs=1, learning_rate=1e-9)
    curves = []
    for file in (first, None):
        seen = Recorder()
        build_trainer(project, source(project), prepare(project.data, store.home), file).fit(seen)
        curves.append(seen.curve("validation", "loss")[0])
    assert curves[0] < 0.9 * curves[1]


def test_frozen_layers_keep_their_bits(store: Store, trained: TrainedRun) -> None:
    main = trained.project.main_network
    frozen = main.nodes["linear_1"].model_copy(update={"frozen": True})
    project = trained.project.with_network(
        "main", main.model_copy(update={"nodes": {**main.nodes, "linear_1": frozen}})
    )
    tuned = runs.fit_here(asked(project, epochs=1, weight_decay=0.1, start=kept(store, trained)), store.home)
    before, after = trained.model.state_dict(), tuned.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("linear_1."))
    assert not torch.equal(before["linear_2.weight"], after["linear_2.weight"])


def test_resuming_is_as_if_nothing_had_happened(store: Store, trained: TrainedRun) -> None:
    first = weights.path(store.home, kept(store, trained).removeprefix("weights:"))
    project = asked(trained.project, epochs=2, seed=5)
    text, data = source(project), prepare(project.data, store.home)
    whole = build_trainer(project, text, data, first)
    whole.fit(Callback())
    broken = build_trainer(project, text, data, first)
    assert not broken.fit(Recorder(stop_at=3))
    saved = broken.checkpoint()
    resumed = build_trainer(project, text, data, first)
    resumed.resume(saved)
    resumed.fit(Callback())
    assert same(resumed.model, whole.model)


def fitted(project: Project, offered: torch.nn.Module | dict[str, torch.Tensor]) -> training.Fit:
    tensors = offered if isinstance(offered, dict) else offered.state_dict()
    return fit(project, module(project), {name: tuple(value.shape) for name, value in tensors.items()})


def test_all_layers_fit() -> None:
    found = fitted(moons(), module(moons()))
    assert found.complete
    assert found.layers == ("Linear (linear_1)", "Batch norm 1D (batchnorm1d_1)", "Linear (linear_2)")
    assert found.sentence() == "The initial weights match all 3 layers with weights."


def hidden(units: int, classes: int = 10) -> Project:
    return chain(IMAGE, ("Flatten", {}), ("Linear", {"units": units}), ("ReLU", {}), ("Linear", {"units": classes}))


def test_another_head_starts_fresh_and_is_named() -> None:
    found = fitted(hidden(64), module(hidden(64, 5)))
    assert not found.complete
    assert found.names == ("linear_1.weight", "linear_1.bias")
    assert found.sentence() == (
        "The initial weights match Linear (linear_1). These layers are initialized randomly: Linear (linear_2) "
        "(weight has the shape 5 × 64 in the file and 10 × 64 in the network)."
    )


def test_a_bias_is_not_taken_without_its_weight() -> None:
    """linear_2's bias has the same shape in both, but belongs to a weight that has not."""
    shapes = "64 × 64 in the file and 32 × 64 in the network"
    with pytest.raises(StartError, match=f"None of these weights match.*linear_1.*{shapes}"):
        fitted(hidden(32), module(hidden(64)))


def test_missing_and_unused_tensors_are_named() -> None:
    offered = {name: value for name, value in module(hidden(64)).state_dict().items() if "linear_2" not in name}
    found = fitted(hidden(64), offered | {"head.weight": torch.zeros(3)})
    assert found.fresh == ("Linear (linear_2) (weight is missing)",)
    assert found.unused == ("head.weight",)
    assert found.sentence().endswith("Unused tensors: head.weight.")


def test_a_network_within_may_start_in_part() -> None:
    eight = ("Linear", {"units": 8})
    block = network({"input_1": ("Input", {}), "a": eight, "b": eight, "end": ("Output", {})})
    entry = ("Input", {"field": "features", "kind": "vector", "shape": [8]})
    within = ("Subnetwork", {"network": "block"})
    outer = network({"input_1": entry, "block_1": within, "output_1": ("Output", {})})
    project = networks(main=outer, block=block)
    offered = dict(module(project).state_dict())
    offered["block_1.b.weight"] = torch.zeros(9, 8)
    found = fitted(project, offered)
    assert set(found.names) == {"block_1.a.weight", "block_1.a.bias"}
    assert found.layers == ()
    shapes = "b.weight has the shape 9 × 8 in the file and 8 × 8 in the network"
    assert f"2 of its 4 tensors match; {shapes}" in found.fresh[0]


def test_layers_of_one_title_are_told_apart(store: Store, trained: TrainedRun) -> None:
    main = trained.project.main_network
    nodes = {key: node.model_copy(update={"title": "Same"}) for key, node in main.nodes.items()}
    project = trained.project.with_network("main", main.model_copy(update={"nodes": nodes}))
    offered = {name: value for name, value in trained.model.state_dict().items() if "linear_2" not in name}
    found = fitted(project, offered)
    assert (found.layers, found.fresh) == (("Same", "Same"), ("Same (weight is missing)",))


def test_what_is_missing_is_refused_before_a_run_is_made(store: Store) -> None:
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
            runs.start(store, project_id, moons(start=start))
    assert [run.id for run in store.runs()] == [empty.id]


def test_a_run_starts_from_a_run_and_outlives_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    project = moons(epochs=2)
    project_id = store.create_project(project)
    with trained_here():
        first = runs.start(store, project_id, project)
    assert store.run(first).state == "finished"
    before, best = runs.evaluation(store, first), runs.load_run(store, first).model
    with monkeypatch.context() as patch:
        patch.setattr(runs.control, "advance", lambda store: None)
        second = runs.start(store, project_id, asked(project, epochs=0, start=f"run:{first}"))
    store.delete_run(first)
    with trained_here():
        runs.advance(store)
    done = store.run(second)
    assert (done.state, done.step, done.total_steps) == ("finished", 0, 0)
    after = runs.evaluation(store, second)
    assert before is not None
    assert after is not None
    assert after.metrics == before.metrics
    assert same(runs.load_run(store, second).model, best)
    check_curves(store.points(second), epochs=1)


def test_an_import_becomes_a_project_that_remembers_its_weights(store: Store, trained: TrainedRun) -> None:
    project_id = save_import(store, ImportedModel(moons(), dict(trained.model.state_dict())))
    project = store.load(project_id).project
    found = check_start(store, project, source(project))
    assert found is not None
    assert found.complete
    assert imported_weights(store, project_id) == [project.training.start]
    saved = store.load(project_id)
    store.save(project_id, starting_from(project, ""), saved.epoch, 1, {}, saved.stamp)
    assert imported_weights(store, project_id) == [project.training.start]
    weights.path(store.home, project.training.start.removeprefix("weights:")).unlink()
    with pytest.raises(StartError, match="not on this machine"):
        check_start(store, project, source(project))


def test_an_import_without_weights_starts_fresh(store: Store) -> None:
    project_id = save_import(store, ImportedModel(moons()))
    assert store.load(project_id).project.training.start == ""
    assert imported_weights(store, project_id) == []
    with pytest.raises(NotFoundError):
        weights.path(store.home, "")
