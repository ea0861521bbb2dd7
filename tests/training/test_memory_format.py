"""Convolutions whose weights lie channels last learn what they would have learned otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netloom.compile import source
from netloom.data import prepare
from netloom.document import Project
from netloom.templates import templates
from netloom.training.memory_format import channels_last, set_memory_format
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import build_trainer


def without_chance(name: str, **training: Any) -> Project:
    """A template whose dropout drops nothing, as what it drops depends on how pictures lie in memory."""
    project = templates()[name].project
    networks = {
        key: network.model_copy(
            update={
                "nodes": {
                    at: node.model_copy(update={"params": {**node.params, "rate": 0.0}})
                    if "rate" in node.params
                    else node
                    for at, node in network.nodes.items()
                }
            }
        )
        for key, network in project.networks.items()
    }
    changed = project.training.model_copy(update={"device": "cpu", "epochs": 1, **training})
    return project.model_copy(update={"networks": networks, "training": changed})


class Until(Callback):
    def __init__(self, step: int) -> None:
        self._step = step

    def should_continue(self, loop: Trainer) -> bool:
        return loop.step < self._step


def stepped(project: Project, steps: int) -> Trainer:
    """A run that was stopped after so many steps."""
    loop = build_trainer(project, source(project), prepare(project.data))
    loop.fit(Until(steps))
    return loop


@pytest.mark.parametrize("name", ["digits_cnn", "shapes_unet", "shapes_mobilenet", "shapes_residual", "digits_gan"])
def test_a_few_steps_lead_to_the_same_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Adam makes of a gradient's sign a whole step, so that rounding would decide where a gradient is zero.
    project = without_chance(name, optimizer="sgd", learning_rate=0.01)
    last = stepped(project, 3)
    monkeypatch.setattr("netloom.training.trainer.channels_last", lambda model, device: False)
    plain = stepped(project, 3)
    assert last.step == plain.step == 3
    assert [one.stride() for one in last.model.parameters()] != [one.stride() for one in plain.model.parameters()]
    for (key, one), other in zip(last.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        assert torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-5), key


def test_a_run_from_before_goes_on_as_it_was(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = without_chance("digits_cnn", epochs=2)
    with monkeypatch.context() as before:
        before.setattr("netloom.training.trainer.channels_last", lambda model, device: False)
        whole, half = stepped(project, 12), stepped(project, 6)
    found = half.checkpoint()
    del found.state["channels_last"]
    later = build_trainer(project, source(project), prepare(project.data))
    strides = [weight.stride() for weight in whole.model.parameters()]
    assert [weight.stride() for weight in later.model.parameters()] != strides
    later.resume(found)
    assert [weight.stride() for weight in later.model.parameters()] == strides
    later.fit(Until(12))
    for one, other in zip(later.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_is_used_lies_as_pytorch_makes_it() -> None:
    assert all(weight.is_contiguous() for weight in stepped(without_chance("digits_cnn"), 1).best_model().parameters())


def test_where_it_pays() -> None:
    narrow, wide = nn.Conv2d(128, 128, 3), nn.Conv2d(128, 129, 3)
    assert channels_last(nn.Sequential(narrow), "cpu")
    assert not channels_last(nn.Sequential(narrow), "cuda")
    assert not channels_last(nn.Sequential(narrow, wide), "cpu")
    assert not channels_last(nn.Sequential(nn.Conv1d(3, 4, 3), nn.Conv3d(3, 4, 3)), "cpu")
    mixed = set_memory_format(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3)), True)
    assert [weight.is_contiguous() for weight in mixed.parameters() if weight.dim() > 1] == [False, True]
