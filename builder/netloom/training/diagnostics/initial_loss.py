"""A check before the first step: is the loss of the initial weights that of a guess?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.core.text import plain
from netloom.document.initialization import Initialization
from netloom.store.run_summary import SuggestedEdit
from netloom.training.diagnostics.alerts import Notice
from netloom.training.diagnostics.node_modules import LayerModule, places
from netloom.training.objectives.objective import joined
from netloom.validation.rules.initialization import TIED_STD

if TYPE_CHECKING:
    import torch
    from pydantic import JsonValue
    from torch import nn

    from netloom.document import Project
    from netloom.training.loop import SupervisedTrainer

CODE = "initial_loss"
# Outputs of unit scale add about 0.5 to the loss of a guess, ln(classes). The templates start at 0.94 to 1.6 times that
# loss; 2.5 times needs outputs that training first has to shrink. https://karpathy.github.io/2019/04/25/recipe/
FAR = 2.5
# A layer multiplies the scale of its inputs by about 1; norms and rectifiers change it by less than 2.
GROWS = 3.0
ROWS = 64


@dataclass(frozen=True)
class _Growth:
    """The root mean square of the outputs of a layer, and its ratio to that of its inputs."""

    layer: LayerModule
    size: float
    ratio: float


def initial_loss_notice(project: Project, trainer: SupervisedTrainer) -> Notice | None:
    """Return a warning if the loss before the first step is far above that of a guess, naming the layer that causes it.

    None if it is not, or if the task has no such loss.
    """
    import torch

    inputs, target = trainer.loader.evaluation_rows("train")
    inputs, target = [value[:ROWS] for value in inputs], target[:ROWS]
    sizes: dict[str, tuple[float, float]] = {}
    with _unchanged(trainer.model, trainer.device), torch.no_grad(), _sizes(trainer.model, project, sizes):
        output = joined(trainer.model(*inputs)).float()
        guess = trainer.objective.guess_loss(output)
        if guess is None:
            return None
        scores = trainer.objective.scores(output, target)
        loss = scores.sums["loss"].item() / max(scores.count, 1)
    if not math.isfinite(loss) or loss <= FAR * guess:
        return None
    growths = [
        _Growth(layer, sizes[layer.path][1], sizes[layer.path][1] / max(sizes[layer.path][0], 1e-6))
        for layer in places(project, trainer.model)
        if layer.path in sizes and any(True for _ in trainer.model.get_submodule(layer.path).parameters())
    ]
    start = f"Before the first step, the loss is {loss:.3g}; a guess has {guess:.3g}."
    largest = max((_size(value) for value in inputs if value.is_floating_point()), default=0.0)
    growing = [growth for growth in growths if growth.ratio > GROWS]
    if not growing and largest > GROWS:
        return Notice(
            CODE,
            "warning",
            f"{start} The inputs are large: their root mean square is {largest:.3g} instead of about 1.",
            "Standardize the inputs on the Data page, or add a normalization layer after the input.",
        )
    # Without one layer that stands out, the last large one decides the size of the logits.
    culprit = max(growing or growths, key=lambda growth: growth.ratio, default=None)
    if culprit is None:
        return None
    message = (
        f"{start} {culprit.layer.title} makes its inputs {culprit.ratio:.3g} times as large "
        f"(root mean square {culprit.size:.3g})."
    )
    fix, edit = _fix(project, culprit.layer)
    return Notice(CODE, "warning", message, fix, culprit.layer.title, culprit.layer.nodes, edit=edit)


def _fix(project: Project, layer: LayerModule) -> tuple[str, SuggestedEdit | None]:
    """Return what to change, as a sentence and as an edit: the initialization of the layer that owns the weights.

    There is no edit if the layer already has the initialization that it would set.
    """
    name = project.main
    for key in layer.nodes[:-1]:
        name = str(project.networks[name].nodes[key].params.get("network"))
    nodes = project.networks[name].nodes
    node = nodes[layer.nodes[-1]]
    if node.shares is not None:
        owner = plain(nodes[node.shares].title) or node.shares
        setting = Initialization(method="normal", std=TIED_STD)
        return (
            f"It uses the weights of {owner}: set the initialization of {owner} to normal with standard deviation "
            f"{TIED_STD} on the Design page, or with netloom initialize."
        ), _edit(project, name, node.shares, setting, f"Initialize {owner} with standard deviation {TIED_STD}")
    title = f"Initialize {plain(node.title) or node.id} with Xavier uniform"
    return (
        "Set its initialization to Xavier uniform, or to normal with a smaller standard deviation, on the Design page "
        "or with netloom initialize; or add a normalization layer before it."
    ), _edit(project, name, node.id, Initialization(method="xavier_uniform"), title)


def _edit(project: Project, network: str, node: str, setting: Initialization, title: str) -> SuggestedEdit | None:
    current = project.initialization(network, node)
    if current is not None and (current.method, current.options) == (setting.method, setting.options):
        return None
    edit: dict[str, JsonValue] = {"kind": "update", "network": network, "node": node}
    return SuggestedEdit(title=title, edit={**edit, "initialization": setting.model_dump(mode="json")})


@contextmanager
def _unchanged(model: nn.Module, device: str) -> Iterator[None]:
    """Restore buffers, such as running means, and random numbers: the model runs in training mode.

    In evaluation mode, norms without statistics would pass on their inputs and other values than in training arise.
    """
    import torch

    buffers = {name: value.clone() for name, value in model.named_buffers()}
    devices = range(torch.cuda.device_count()) if device.startswith("cuda") else []
    was_training = model.training
    try:
        with torch.random.fork_rng(devices=devices):
            model.train()
            yield
    finally:
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(buffers[name])
        for module in model.modules():
            if hasattr(module, "auxiliary_loss"):
                setattr(module, "auxiliary_loss", None)  # noqa: B010 — of any type for mypy
        model.train(was_training)


@contextmanager
def _sizes(model: nn.Module, project: Project, sizes: dict[str, tuple[float, float]]) -> Iterator[None]:
    """Record the root mean squares of the inputs and outputs of each layer by the path of its module."""
    hooks = [
        model.get_submodule(layer.path).register_forward_hook(_hook(layer.path, sizes))
        for layer in places(project, model)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(path: str, sizes: dict[str, tuple[float, float]]) -> Callable[..., None]:
    def hook(_: nn.Module, inputs: tuple[Any, ...], answer: Any) -> None:
        import torch

        first = answer[0] if isinstance(answer, tuple) else answer
        if isinstance(first, torch.Tensor) and first.is_floating_point() and first.numel():
            real = [_size(value) for value in inputs if isinstance(value, torch.Tensor) and value.is_floating_point()]
            sizes[path] = (max(real, default=1.0), _size(first))  # token ids count as inputs of size 1

    return hook


def _size(value: torch.Tensor) -> float:
    return value.float().square().mean().sqrt().item()
