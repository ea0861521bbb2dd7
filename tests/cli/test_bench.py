"""The benchmark compares like with like, and says it in ratios."""

from __future__ import annotations

import pytest

from builder.check import analyse
from builder.cli.bench.checking import NODES, large
from builder.cli.bench.ratio import ratio
from builder.cli.bench.tasks import tasks
from builder.compile import module
from builder.data import prepare
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


def test_the_large_document() -> None:
    document = large(1)
    assert len(document.main_network.nodes) == NODES
    assert not analyse(document).errors


def test_ratio() -> None:
    found = ratio([2, 6, 12], [1, 2, 3])
    assert (found.median, found.low, found.high) == (3, 2, 4)


def test_the_check_alone(console: Console) -> None:
    value = console("bench", "--only", "check", "--repeats", 1, "--json").value
    assert value["check"]["nodes"] == NODES
    assert value["check"]["share"]["median"] > 0
    assert "training" not in value


def test_the_canvas_alone() -> None:
    value = netloom("bench", "--only", "canvas", "--repeats", 1, "--json").value["canvas"]
    assert [edit["nodes"] for edit in value["edits"]] == [20, 100, 300]
    assert value["peer"]["median"] > 0


def test_the_canvas_without_its_tools(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.cli.bench.canvas.find_spec", lambda name: None)
    value = console("bench", "--only", "canvas", "--json").value["canvas"]
    assert value["unmeasured"].endswith("brings.")


@pytest.mark.slow
def test_the_promises() -> None:
    for part in netloom("bench", "--only", "training", "--json").value["training"]:
        # The promise is 1.0; a machine that does other things beside it is worth five hundredths.
        assert part["plain"]["median"] >= 0.95, part
    assert netloom("bench", "--only", "check", "--json").value["check"]["share"]["median"] <= 1.0
