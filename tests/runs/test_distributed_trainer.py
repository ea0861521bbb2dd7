"""Distributed training: the curve equals that of a single process, and all ranks end with the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from netloom.compile import input_fields, module, source
from netloom.document import Project, write
from netloom.runs import distillation
from netloom.runs.cluster import check
from netloom.runs.distillation import TeacherFiles
from netloom.store import RunArtifacts
from netloom.templates import templates
from netloom.training.evaluation import batch_totals, metrics_of_totals
from netloom.training.trainers.distributed import MIN_ROWS, share
from netloom.training.weights.initialization import StartError
from tests.networks import digits_mlp
from tests.preloaded import start_python
from tests.runs.examples import Recorder, loop, moons, supervised

pytestmark = pytest.mark.timeout(600)
RankResults = list[dict[str, Any]]
CLASSES = (1.0, 2.0, 0.5, 1.0, 1.0, 3.0, 1.0, 1.0, 0.2, 1.0)
EPOCHS = 2
SGD = {"epochs": EPOCHS, "optimizer": "sgd", "learning_rate": 0.1, "device": "cpu"}
RECIPES: dict[str, dict[str, Any]] = {
    # The last batch of every epoch has another size.
    "plain": {**SGD, "batch_size": 96},
    "weighted": {
        **SGD,
        "batch_size": 50,
        "gradient_accumulation_steps": 3,
        "class_weights": CLASSES,
        "gradient_clip": 0.5,
        "label_smoothing": 0.1,
        "ema_decay": 0.9,
    },
}


def distilled() -> Project:
    """A student of `teacher_files`."""
    return digits_mlp(
        objective="distillation", teacher="run:00000000-0000-0000-0000-000000000000", batch_size=96, **SGD
    )


def pairwise_project() -> Project:
    """Pairs of a preferred item and another one; a batch of 33 pairs is split into two unequal parts."""
    project = templates()["ratings_bpr"].project
    training = project.training.model_copy(update={**SGD, "batch_size": 33})
    data = project.data.model_copy(update={"options": {"rows": 1500}})
    return project.model_copy(update={"data": data, "training": training})


def teacher_files(folder: Path) -> TeacherFiles:
    """A network with weights, as stored in the folder of a run that distills it."""
    project = digits_mlp()
    torch.manual_seed(5)
    save_file(module(source(project)).state_dict(), folder / "first.safetensors")
    (folder / "first.py").write_text(source(project))
    return TeacherFiles(folder / "first.safetensors", folder / "first.py", tuple(input_fields(project)))


def documents() -> dict[str, tuple[Project, dict[str, Any]]]:
    """The projects to train, the number of ranks, and the control actions of rank 0."""
    return {
        "plain": (digits_mlp(**RECIPES["plain"]), {"world": 2}),
        "weighted": (digits_mlp(**RECIPES["weighted"]), {"world": 3}),
        "steered": (moons(epochs=50, batch_size=16), {"world": 2, "rate_at": 20, "stop_at": 100}),
        "taught": (distilled(), {"world": 2}),
        "pairs": (pairwise_project(), {"world": 2}),
        "diverged": (digits_mlp(**{**SGD, "learning_rate": 10.0, "weight_decay": 1.0, "epochs": 20}), {"world": 2}),
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RankResults]:
    """The results of each rank. All projects are trained in the same three processes."""
    folder = tmp_path_factory.mktemp("ranks")
    projects = documents()
    for name, (project, _) in projects.items():
        write(folder / f"{name}.json", project)
        (folder / f"{name}.py").write_text(source(project))
    (folder / "taught").mkdir()
    distillation.freeze_teacher(teacher_files(folder), RunArtifacts.in_directory(folder / "taught"))
    (folder / "orders.json").write_text(json.dumps({name: order for name, (_, order) in projects.items()}))
    errors = folder / "errors.txt"
    assert start_python("-m", "tests.runs.ranks", folder, 3, errors=errors).wait(280) == 0, errors.read_text()

    def results(name: str) -> RankResults:
        return [json.loads((folder / f"{name}-{rank}.out").read_text()) for rank in range(projects[name][1]["world"])]

    return results


def curve(points: list[Any], split: str, name: str) -> list[float]:
    return [value for _, _, kind, called, value in points if (kind, called) == (split, name)]


def mean_of_steps(points: list[Any]) -> float:
    """The mean loss over all steps; the number of steps per point depends on timing."""
    losses: list[tuple[int, float]] = [
        (step, value) for step, _, _, name, value in points if name in ("batch_loss", "weighted_loss")
    ]
    starts = [0, *(step for step, _ in losses)]
    return sum(value * (step - start) for start, (step, value) in zip(starts, losses, strict=False)) / starts[-1]


@pytest.mark.parametrize("name", RECIPES)
def test_curve_matches_a_single_process(name: str, home: Path, trained: Callable[[str], RankResults]) -> None:
    single, recorder = loop(digits_mlp(**RECIPES[name]), home), Recorder()
    single.fit(recorder)
    ranks = trained(name)
    assert {(result["step"], result["done"], result["problem"]) for result in ranks} == {(single.step, True, "")}
    for split in ("train", "validation"):
        expected = recorder.curve(split, "loss")
        assert len(expected) == EPOCHS
        assert curve(ranks[0]["points"], split, "loss") == pytest.approx(expected, rel=1e-4)
    assert mean_of_steps(ranks[0]["points"]) == pytest.approx(mean_of_steps(recorder.points), rel=1e-4)
    for key, value in single.model.state_dict().items():
        assert ranks[0]["weights"][key] == pytest.approx(value.double().flatten().tolist(), abs=1e-4)
    assert all(result["weights"] == ranks[0]["weights"] for result in ranks), "to the last bit"


def test_every_rank_loads_the_teacher(home: Path, tmp_path: Path, trained: Callable[[str], RankResults]) -> None:
    single, recorder = distillation.attach_teacher(loop(distilled(), home), teacher_files(tmp_path)), Recorder()
    single.fit(recorder)
    ranks = trained("taught")
    expected = recorder.curve("validation", "loss")
    assert len(expected) == EPOCHS
    assert curve(ranks[0]["points"], "validation", "loss") == pytest.approx(expected, rel=1e-4)
    for key, value in single.model.state_dict().items():
        assert ranks[0]["weights"][key] == pytest.approx(value.double().flatten().tolist(), abs=1e-4)
    assert ranks[0]["weights"] == ranks[1]["weights"]


def test_pairwise_batches_are_divided_by_pairs(home: Path, trained: Callable[[str], RankResults]) -> None:
    single, recorder = loop(pairwise_project(), home), Recorder()
    single.fit(recorder)
    ranks = trained("pairs")
    assert {result["problem"] for result in ranks} == {""}
    for split in ("train", "validation"):
        assert curve(ranks[0]["points"], split, "loss") == pytest.approx(recorder.curve(split, "loss"), rel=1e-4)
    assert ranks[0]["weights"] == ranks[1]["weights"]


def test_control_commands_of_rank_0_reach_all_ranks(trained: Callable[[str], RankResults]) -> None:
    first, second = trained("steered")
    assert (first["done"], second["done"]) == (False, False)
    assert first["step"] == second["step"]
    assert 100 <= first["step"] < 50 * 60
    assert first["rate"] == second["rate"] == 0.001
    learned = {key for key in first["weights"] if "running" not in key}
    assert {key for key in learned if first["weights"][key] != second["weights"][key]} == set()
    losses = curve(first["points"], "validation", "loss")
    assert losses[-1] < losses[0]


def test_nan_loss_stops_all_ranks(trained: Callable[[str], RankResults]) -> None:
    first, second = trained("diverged")
    assert first["problem"].startswith("The loss became ")
    assert first["step"] == second["step"]


@pytest.mark.parametrize(("world", "size"), [(1, 512), (2, 135), (3, 64), (8, 64)])
def test_metrics_of_shards_combine_to_the_whole(world: int, size: int, home: Path) -> None:
    trainer = supervised(digits_mlp(device="cpu"), home)
    inputs, target = trainer.loader.validation
    assert len(target) == 270
    parts = [
        batch_totals(trainer.model, trainer.objective, inputs, target, range(rank * size, 270, world * size), size)
        for rank in range(world)
    ]
    assert sum(part.count for part in parts) == 270
    assert metrics_of_totals(trainer.objective, parts) == pytest.approx(trainer.evaluate("validation"), rel=1e-6)


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 17, 64])
def test_each_row_belongs_to_one_rank(rows: int, world: int) -> None:
    parts = [share(10, 10 + rows, rank, world) for rank in range(world)]
    counted = [(first, last) for first, last, counts in parts if counts]
    assert counted[0][0] == 10
    assert counted[-1][1] == 10 + rows
    assert all(earlier[1] == later[0] for earlier, later in pairwise(counted))
    assert all(last - first >= min(rows, MIN_ROWS) for first, last, _ in parts)


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("pairs", [1, 2, 3, 33])
def test_paired_views_stay_on_one_rank(pairs: int, world: int) -> None:
    parts = [share(0, 2 * pairs, rank, world, together=2) for rank in range(world)]
    assert all(first % 2 == last % 2 == 0 for first, last, _ in parts)
    rows = [row for first, last, counts in parts if counts for row in range(first, last)]
    assert rows == list(range(2 * pairs))


def test_unsupported_objectives_and_worker_counts_are_refused() -> None:
    project = digits_mlp()
    check(project, 2)
    with pytest.raises(StartError, match="workers must be from 1 to 1,024, received 0"):
        check(project, 0)
    for objective, message in (("dqn", "cannot be divided"), ("gan", "alternately")):
        training = project.training.model_copy(update={"objective": objective})
        with pytest.raises(StartError, match=message):
            check(project.model_copy(update={"training": training}), 2)
