"""The benchmark compares equal networks, and reports ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.cli.bench.forward_passes import TWINS, count_parameters
from netloom.cli.bench.live_prediction import BUDGET_MS
from netloom.cli.bench.peer_libraries import Peer, installed, prepare_run
from netloom.cli.bench.ratio import ratio
from netloom.cli.bench.run_costs import measure_cost
from netloom.cli.bench.tasks import Task, small_mlp, tasks
from netloom.cli.bench.throughput import measure_training
from netloom.cli.bench.validation import BUDGET_S, large
from netloom.cli.command import USAGE
from netloom.compile import module
from netloom.data import prepare
from netloom.templates import architectures
from netloom.validation import analyze
from netloom.validation.measure import measure
from tests.cli.command import netloom
from tests.cli.conftest import Console


def test_pytorch_twins_match_the_task_networks() -> None:
    for task in tasks():
        models = module(task.project), task.twin()
        sizes = [count_parameters(model) for model in models]
        assert sizes[0] == sizes[1]
        data = prepare(task.project.data)
        assert not analyze(task.project, data.schema).errors
        rows = data.inputs[data.schema.inputs[0].name][:3]
        shapes = [model(rows).shape for model in models]
        assert shapes[0] == shapes[1]


def small_lenet() -> Task:
    return replace(next(task for task in tasks() if task.title == "LeNet-5"), steps=2)


@pytest.mark.parametrize("nodes", BUDGET_S)
def test_large_document_has_the_requested_size(nodes: int) -> None:
    document = large(0, nodes)
    assert len(document.main_network.nodes) == nodes
    assert not analyze(document).errors


@pytest.mark.parametrize("name", TWINS)
def test_pytorch_twins_match_the_architectures(name: str) -> None:
    twin, batch = TWINS[name]
    with torch.no_grad(), torch.device("meta"):
        reference, generated = twin().eval(), module(architectures()[name].project).eval()
        assert reference(batch()).shape == generated(batch()).shape
    assert count_parameters(reference) == count_parameters(generated)


def test_handwritten_loop_ends_with_the_loss_of_netloom() -> None:
    task = small_lenet()
    result = measure_training(task, 1)
    assert result.losses[0] == pytest.approx(result.losses[1], rel=1e-3), "equal weights and equal batches"
    assert result.best_name in ("plain", "fused", "channels-last", "bf16")
    assert result.rows == 2 * task.project.training.batch_size


def test_ratio_reports_median_and_range() -> None:
    result = ratio([2, 6, 12], [1, 2, 3])
    assert (result.median, result.low, result.high) == (3, 2, 4)


def test_picture_benchmark_requires_the_mnist_folder(console: Console) -> None:
    answer = console("bench", "pictures", "--repeats", 1)
    assert answer.code == USAGE


@pytest.mark.parametrize(
    ("part", "message"),
    [("check", "check is measured on the CPU only; leave out --device cuda."), ("training", "finds no GPU")],
)
def test_benchmark_on_a_gpu_needs_one_and_a_part_that_trains(
    part: str, message: str, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = console("bench", part, "--device", "cuda")
    assert answer.code == USAGE
    assert message in answer.err


def test_benchmark_on_a_gpu_refuses_the_images_that_it_would_not_read(console: Console, tmp_path: Path) -> None:
    answer = console("bench", "--device", "cuda", "--pictures", tmp_path)
    assert answer.code == USAGE
    assert "pictures is measured on the CPU only" in answer.err


def test_run_cost_shares_are_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.cli.bench.run_costs.SETTLE_S", 0.0)
    monkeypatch.setattr("netloom.runs.resources.energy.find_spec", lambda name: None)
    task = small_mlp(epochs=3)
    monkeypatch.setattr("netloom.cli.bench.run_costs.MIN_LOOP_S", 0.1)
    cost = measure_cost(task, 1)
    # 0.1 s is too short for the promised 2 %, which the slow test checks.
    assert all(-0.05 < share.median < 5 for share in (cost.recorded, cost.observed, cost.saved))


@pytest.mark.parametrize("peer", installed(), ids=lambda one: one.title)
@pytest.mark.slow
def test_each_peer_library_trains(peer: Peer) -> None:
    task = small_mlp(epochs=1)
    prepare_run(peer, task, prepare(task.project.data))()


@pytest.mark.parametrize("part", ["canvas", "first-picture", "try-it"])
def test_pages_without_playwright_are_unmeasured(part: str, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.cli.bench.browser.find_spec", lambda name: None)
    value = console("bench", "--only", part, "--json").value[part]
    assert value["unmeasured"].endswith("'.[test]'.")


@pytest.mark.long
@pytest.mark.browser
def test_first_pictures_are_timed() -> None:
    """In a process of its own: another test in a browser leaves a running event loop in this one."""
    (picture,) = netloom("bench", "first-picture", "--model", "digits_mlp", "--json").value["first-picture"]
    assert picture["template"] == "digits_mlp"
    assert 0.01 < picture["seconds"] < 30


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.alone
def test_predictions_while_a_person_types_are_timed() -> None:
    """In a process of its own, as above."""
    names = ("--model", "breast_cancer", "--model", "digits_cnn", "--model", "reviews_gru")
    times = netloom("bench", "try-it", *names, "--repeats", 3, "--json").value["try-it"]
    assert {item["template"]: item["edit"] for item in times} == {
        "breast_cancer": "number", "breast_cancer_binary": "number", "digits_cnn": "drawing", "reviews_gru": "text",
    }  # fmt: skip
    # The budget is for an idle machine. A page waits 100 ms for the next keystroke before it computes.
    assert all(20 < item["median_ms"] <= item["largest_ms"] for item in times)
    assert min(item["median_ms"] for item in times) <= 3 * BUDGET_MS


# The promise of each part of the benchmark about each of its measurements.
PROMISES: dict[str, Callable[[dict[str, Any]], bool]] = {
    # The promise is 1.0; other load on the machine may cost 0.05, and 0.1 for the few steps of a ResNet and a GPT. Both
    # start from weights of their own where those have another order, and end with about the same loss.
    "training": lambda part: (
        part["plain"]["median"] >= (0.95 if part["batch_size"] == 64 else 0.9)
        and part["losses"][0] < 1.1 * part["losses"][1]
    ),
    "check": lambda size: 0 < size["share"]["median"] <= 1.0 and 0 < size["edit_share"]["median"] <= 1.0,
    # The promise is 1.05; other load on the machine may cost 0.1.
    "forward": lambda network: max(network["forward"]["median"], network["training"]["median"]) <= 1.15,
}


# Those that train take half a minute each, and longer with other tests in parallel.
@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [part if part == "check" else pytest.param(part, marks=pytest.mark.long) for part in PROMISES]
)
def test_benchmark_keeps_its_promises(part: str, console: Console, room: Callable[[], None]) -> None:
    """Measured once with other tests in parallel; if that fails, the median of three repeats alone decides."""
    for repeats in (1, 3):
        if repeats > 1:
            room()
        measure.cache_clear()  # the check must see the document for the first time
        arguments = ("bench", "--only", part, "--repeats", repeats, "--json")
        value = (console if part == "check" else netloom)(*arguments).value
        violations = [measurement for measurement in value[part] if not PROMISES[part](measurement)]
        if not violations:
            break
    assert not violations, violations
    assert set(PROMISES) & set(value) == {part}
    if part == "check":
        assert [size["nodes"] for size in value[part]] == list(BUDGET_S)
