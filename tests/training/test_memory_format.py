"""Convolutions in the channels-last memory format learn the same weights as contiguous ones."""

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
from netloom.training.speed.memory_format import channels_last, set_memory_format
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import build_trainer


def without_dropout(name: str, **training: Any) -> Project:
    """A template without dropout, whose random mask depends on the memory format."""
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


def trained_for_steps(project: Project, steps: int) -> Trainer:
    """A run that is stopped after `steps` steps."""
    loop = build_trainer(project, source(project), prepare(project.data))
    loop.fit(Until(steps))
    return loop


@pytest.mark.parametrize("name", ["digits_cnn", "shapes_unet", "shapes_mobilenet", "shapes_residual", "digits_gan"])
def test_channels_last_trains_to_the_same_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Adam would turn rounding errors of zero gradients into full steps.
    project = without_dropout(name, optimizer="sgd", learning_rate=0.01)
    channels_last_run = trained_for_steps(project, 3)
    monkeypatch.setattr("netloom.training.trainer.channels_last", lambda model, device: False)
    contiguous_run = trained_for_steps(project, 3)
    assert channels_last_run.step == contiguous_run.step == 3
    assert [one.stride() for one in channels_last_run.model.parameters()] != [
        one.stride() for one in contiguous_run.model.parameters()
    ]
    for (key, one), other in zip(
        channels_last_run.model.state_dict().items(), contiguous_run.model.state_dict().values(), strict=True
    ):
        assert torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-5), key


def test_checkpoint_without_memory_format_resumes_contiguous(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = without_dropout("digits_cnn", epochs=2)
    with monkeypatch.context() as context:
        context.setattr("netloom.training.trainer.channels_last", lambda model, device: False)
        whole, half = trained_for_steps(project, 12), trained_for_steps(project, 6)
    checkpoint = half.checkpoint()
    del checkpoint.state["channels_last"]
    resumed = build_trainer(project, source(project), prepare(project.data))
    strides = [weight.stride() for weight in whole.model.parameters()]
    assert [weight.stride() for weight in resumed.model.parameters()] != strides
    resumed.resume(checkpoint)
    assert [weight.stride() for weight in resumed.model.parameters()] == strides
    resumed.fit(Until(12))
    for actual, expected in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(actual, expected)


def test_best_model_weights_are_contiguous() -> None:
    assert all(
        weight.is_contiguous()
        for weight in trained_for_steps(without_dropout("digits_cnn"), 1).best_model().parameters()
    )


def test_channels_last_applies_to_narrow_2d_convolutions_on_a_cpu_and_wide_ones_on_a_gpu() -> None:
    narrow, wide = nn.Conv2d(128, 128, 3), nn.Conv2d(128, 129, 3)
    assert channels_last(nn.Sequential(narrow), "cpu")
    assert not channels_last(nn.Sequential(narrow), "cuda")
    assert not channels_last(nn.Sequential(narrow, wide), "cpu")
    assert channels_last(nn.Sequential(narrow, wide), "cuda")
    for device in ("cpu", "cuda"):
        assert not channels_last(nn.Sequential(nn.Conv1d(3, 4, 3), nn.Conv3d(3, 4, 3)), device)
    mixed = set_memory_format(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3)), True)
    assert [weight.is_contiguous() for weight in mixed.parameters() if weight.dim() > 1] == [False, True]


def test_a_group_norm_after_a_frozen_convolution_trains() -> None:
    """With channels-last, its backward pass would end the process with a segmentation fault."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8))
    assert channels_last(model, "cpu")
    model[0].requires_grad_(False)
    assert not channels_last(model, "cpu")
    set_memory_format(model, channels_last(model, "cpu"))(torch.randn(4, 3, 16, 16)).square().sum().backward()
    assert model[1].weight.grad is not None
