"""What the app exports, it reads again, with the same answers: every template, as a program and as ONNX."""

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
from netloom.validation import analyse

# Those that need operators which few networks have: the top experts, windows and their spectrum, parts that are empty.
SPECIAL = ("intents_experts", "intents_mamba", "spoken_cnn", "clicks_deepfm", "dates_gru")
HALF = 5


@dataclass(frozen=True)
class Drawn:
    """What the exporters need of a trained network, with rows that are made up."""

    project: Project
    model: nn.Module


def rows(project: Project, count: int) -> dict[str, torch.Tensor]:
    """Made-up inputs by node; whole numbers stay within every vocabulary."""
    facts, chance = analyse(project).nodes, torch.Generator().manual_seed(0)
    found = {}
    for key in input_nodes(project):
        spec = facts[key].outputs["out"]
        shape = [count, *(spec.size(axis) for axis in range(1, len(spec.shape)))]
        most = project.main_network.nodes[key].params.get("vocabulary") or 2
        whole = torch.randint(0, min(int(str(most)), HALF), shape, generator=chance)
        found[key] = whole if spec.dtype == "int" else torch.rand(shape, generator=chance)
    return found


def network(project: Project) -> nn.Module:
    torch.manual_seed(0)
    made = module(project).eval()
    for part in made.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return made


def answers(network: nn.Module, given: dict[str, torch.Tensor], keys: list[str]) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        found: Any = network(*(given[key] for key in keys))
    return found if isinstance(found, tuple) else (found,)


def back(name: str, suffix: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = templates()[name].project
    given = rows(project, 3)
    made = network(project)
    kind: Any = pt2 if suffix == ".pt2" else onnx
    # Data and what it is encoded with take no part in this; the formats' own tests have both.
    monkeypatch.setattr("netloom.export.tracing.sample", lambda _, count: tuple(rows(project, count).values()))
    monkeypatch.setattr(kind, "preprocess", lambda _: {})
    writer: Any = pt2.Pt2() if suffix == ".pt2" else onnx.Onnx()
    file = path / f"{name}{suffix}"
    file.write_bytes(writer.content(Drawn(project, made)))
    found = read_model(file)
    again = module(found.project).eval()
    again.load_state_dict(found.weights)
    fields = dict(zip(input_nodes(project), names(project)[0], strict=True))
    order = []
    for key in input_nodes(found.project):
        base = key.rpartition("_")[0]
        order += [own for own, field in fields.items() if key in (own, field) or base in (own, field)][:1]
    order = order if len(order) == len(given) else list(given)
    wanted = answers(made, given, list(given))
    for mine, theirs in zip(answers(again, given, order), wanted, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("name", SPECIAL)
def test_a_program_comes_back(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back(name, ".pt2", tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
@pytest.mark.parametrize("name", list(templates()))
def test_every_template_comes_back(name: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back(name, suffix, tmp_path, monkeypatch)
