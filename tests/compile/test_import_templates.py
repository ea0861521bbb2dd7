"""Exported templates (pt2 and ONNX) import again with the same outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netloom.compile import input_nodes, module
from netloom.compile.importers import read_model
from netloom.document import Project
from netloom.export.formats import onnx, pt2
from netloom.export.tracing import names
from netloom.templates import templates
from netloom.validation import analyze

# Templates with rare operators: top-k experts, empty slices, windows with their spectrum.
SPECIAL = ("intents_experts", "intents_mamba", "spoken_cnn", "clicks_deepfm")
HALF = 5


@dataclass(frozen=True)
class Drawn:
    """The attributes of a run that the exporters read."""

    project: Project
    model: nn.Module


def random_inputs(project: Project, count: int) -> dict[str, torch.Tensor]:
    """Random inputs by node; integers stay within every vocabulary."""
    facts, generator = analyze(project).nodes, torch.Generator().manual_seed(0)
    inputs = {}
    for key in input_nodes(project):
        spec = facts[key].outputs["out"]
        shape = [count, *(spec.size(axis) for axis in range(1, len(spec.shape)))]
        vocabulary = project.main_network.nodes[key].params.get("vocabulary") or 2
        integers = torch.randint(0, min(int(str(vocabulary)), HALF), shape, generator=generator)
        inputs[key] = integers if spec.dtype == "int" else torch.rand(shape, generator=generator)
    return inputs


def initialized_network(project: Project) -> nn.Module:
    torch.manual_seed(0)
    built = module(project).eval()
    for part in built.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return built


def run_network(model: nn.Module, inputs: dict[str, torch.Tensor], keys: list[str]) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        outputs: Any = model(*(inputs[key] for key in keys))
    return outputs if isinstance(outputs, tuple) else (outputs,)


def assert_round_trips(name: str, suffix: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = templates()[name].project
    inputs = random_inputs(project, 3)
    built = initialized_network(project)
    kind: Any = pt2 if suffix == ".pt2" else onnx
    # Data and encodings are tested with the formats; this test replaces both.
    monkeypatch.setattr("netloom.export.tracing.sample", lambda _, count: tuple(random_inputs(project, count).values()))
    monkeypatch.setattr(kind, "preprocess", lambda _: {})
    writer: Any = pt2.Pt2() if suffix == ".pt2" else onnx.Onnx()
    file = path / f"{name}{suffix}"
    file.write_bytes(writer.content(Drawn(project, built)))
    imported = read_model(file)
    reimported = module(imported.project).eval()
    reimported.load_state_dict(imported.weights)
    fields = dict(zip(input_nodes(project), names(project)[0], strict=True))
    order = []
    for key in input_nodes(imported.project):
        base = key.rpartition("_")[0]
        order += [node for node, field in fields.items() if key in (node, field) or base in (node, field)][:1]
    order = order if len(order) == len(inputs) else list(inputs)
    expected_outputs = run_network(built, inputs, list(inputs))
    for actual, expected in zip(run_network(reimported, inputs, order), expected_outputs, strict=True):
        assert torch.allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_operators_round_trip_through_pt2(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_round_trips(name, ".pt2", tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
@pytest.mark.parametrize("name", list(templates()))
def test_every_template_round_trips_through_export(
    name: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_round_trips(name, suffix, tmp_path, monkeypatch)
