"""The benchmark compares like with like, and says it in ratios."""

from __future__ import annotations

import pytest
import torch

from builder.check import analyse
from builder.cli.bench.checking import BUDGET_S, large
from builder.cli.bench.forward import TWINS, count
from builder.cli.bench.ratio import ratio
from builder.cli.bench.tasks import tasks
from builder.compile import module
from builder.data import prepare
from builder.templates import architectures
from tests.cli.command import netloom
from tests.cli.conftest import Console


def test_each_twin_is_the_same_network() -> None:
    for task in tasks():
        sizes = [sum(p.numel() for p in model.parameters()) for model in (module(task.project), task.twin())]
        assert sizes[0] == sizes[1]
        data = prepare(task.project.data)
        assert not analyse(task.project, data.schema).errors
        rows = data.inputs[data.schema.inputs[0].name][:3]
        assert module(task.project)(rows).shape == task.twin()(rows).shape


@pytest.mark.parametrize("nodes", BUDGET_S)
def test_the_large_document(nodes: int) -> None:
    document = large(1, nodes)
    assert len(document.main_network.nodes) == nodes
    assert not analyse(document).errors


@pytest.mark.parametrize("name", TWINS)
def test_each_architecture_and_its_twin_are_the_same_network(name: str) -> None:
    twin, batch = TWINS[name]
    theirs, ours = twin().eval(), module(architectures()[name].project).eval()
    assert count(theirs) == count(ours)
    with torch.no_grad():
        assert theirs(batch()).shape == ours(batch()).shape


def test_ratio() -> None:
    found = ratio([2, 6, 12], [1, 2, 3])
    assert (found.median, found.low, found.high) == (3, 2, 4)


@pytest.mark.alone
def test_the_check_alone(console: Console) -> None:
    value = console("bench", "--only", "check", "--repeats", 1, "--json").value
    assert [item["nodes"] for item in value["check"]] == list(BUDGET_S)
    assert all(item["share"]["median"] > 0 and item["edit_share"]["median"] > 0 for item in value["check"])
    assert "training" not in value


def test_the_canvas_without_its_tools(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.cli.bench.canvas.find_spec", lambda name: None)
    value = console("bench", "--only", "canvas", "--json").value["canvas"]
    assert value["unmeasured"].endswith("brings.")


@pytest.mark.slow
@pytest.mark.alone
def test_the_promises() -> None:
    for part in netloom("bench", "--only", "training", "--repeats", 3, "--json").value["training"]:
        # The promise is 1.0; a machine that does other things beside it is worth five hundredths.
        assert part["plain"]["median"] >= 0.95, part
    for size in netloom("bench", "--only", "check", "--repeats", 3, "--json").value["check"]:
        assert size["share"]["median"] <= 1.0, size
        assert size["edit_share"]["median"] <= 1.0, size
    for network in netloom("bench", "--only", "forward", "--repeats", 3, "--json").value["forward"]:
        # The promise is 1.05; a machine that does other things beside it is worth a tenth.
        assert network["forward"]["median"] <= 1.15, network
        assert network["training"]["median"] <= 1.15, network
