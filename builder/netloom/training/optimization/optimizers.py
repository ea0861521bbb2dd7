"""Optimizers by their names in documents, and parameter groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from netloom.core.torch_internals import spare_optimizers_the_compiler
from netloom.document.optimizer_settings import OPTIMIZERS
from netloom.document.training_settings import settings
from netloom.layers import module_layer
from netloom.training.weights.weight_files import StateDict

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.document import Training

# The key of a group's learning rate factor. It is stored in the group, so that checkpoints contain it.
FACTOR = "rate_factor"
# A parameter group of torch.optim: its weights under "params", and the settings in which it differs from the others.
Group: TypeAlias = dict[str, Any]


class CommonArguments(TypedDict):
    """Keyword arguments of every optimizer of torch."""

    lr: float
    weight_decay: float


@dataclass(frozen=True)
class OptimizerArguments:
    """The arguments of a builder: parameter groups, the common settings, and the `settings` of this optimizer by their
    names in documents."""

    groups: list[Group]
    learning_rate: float
    weight_decay: float
    settings: Mapping[str, Any]

    @property
    def common(self) -> CommonArguments:
        """The arguments that all optimizers of torch share."""
        return {"lr": self.learning_rate, "weight_decay": self.weight_decay}


Builder: TypeAlias = Callable[[OptimizerArguments], "torch.optim.Optimizer | ChainedOptimizer"]


class ChainedOptimizer:
    """Several optimizers that act as one, each for its own weights."""

    def __init__(self, parts: Mapping[str, torch.optim.Optimizer | ChainedOptimizer]) -> None:
        self.parts = parts

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the PyTorch optimizers that it contains."""
        return [optimizer for part in self.parts.values() for optimizer in optimizers_of(part)]

    @property
    def param_groups(self) -> list[Group]:
        return [group for part in self.parts.values() for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts.values():
            part.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        for part in self.parts.values():
            part.step()

    def state_dict(self) -> StateDict:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: StateDict) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


def optimizers_of(optimizer: torch.optim.Optimizer | ChainedOptimizer) -> list[torch.optim.Optimizer]:
    """Return the PyTorch optimizers in an optimizer."""
    return optimizer.optimizers if isinstance(optimizer, ChainedOptimizer) else [optimizer]


def setting_names(optimizer: torch.optim.Optimizer | ChainedOptimizer) -> list[set[str]]:
    """Return the names of the settings of each group of weights, which those of a loaded state replace."""
    return [{*group} for part in optimizers_of(optimizer) for group in part.param_groups]


def optimizer(training: Training, model: nn.Module, prefix: str = "") -> torch.optim.Optimizer | ChainedOptimizer:
    """Return the optimizer of a document for the trainable weights of a model; fused if torch supports it, which saves
    about a third of the time.

    `prefix` is the path of `model` in the whole network.
    """
    arguments = OptimizerArguments(
        groups(training, model, prefix),
        training.learning_rate,
        training.weight_decay,
        settings(OPTIMIZERS[training.optimizer], training.optimizer_settings),
    )
    build: Builder = _SPECIAL.get(training.optimizer, _of_torch(training.optimizer))
    spare_optimizers_the_compiler()
    optimizer = build(arguments)
    for part in optimizers_of(optimizer):
        step_without_hooks(part)
    return optimizer


def step_without_hooks(optimizer: torch.optim.Optimizer) -> None:
    """Call the step of an optimizer without PyTorch's decorators.

    They call step hooks, which are not used here, record a profiler range and mark a graph break for the compiler.
    Without them, a small network trains 5 to 10% faster.
    """
    import torch

    # Unwrapping also removes the decorator that turns gradients off; `no_grad` replaces it.
    inner: Any = inspect.unwrap(type(optimizer).step)
    optimizer.step = MethodType(torch.no_grad()(inner), optimizer)  # type: ignore[method-assign]


def groups(training: Training, model: nn.Module, prefix: str = "") -> list[Group]:
    """Return the parameter groups: a single one, unless the document has different settings for some weights."""
    rates = layer_factors(training, model, prefix)
    # In the order of the model's weights: the state of an optimizer in a checkpoint refers to them by index.
    groups: dict[tuple[float, bool], Group] = {}
    for name, weight, owner in _weights(model):
        spared = training.decay_matrices_only and spares(owner, weight)
        group = groups.setdefault((rates[name], spared), {"params": [], FACTOR: rates[name]})
        group["params"].append(weight)
        if spared:
            group["weight_decay"] = 0.0
    return list(groups.values())


def layer_factors(training: Training, model: nn.Module, prefix: str = "") -> dict[str, float]:
    """Return the learning rate factor of each weight by its name.

    With layer-wise decay, layers near the input learn more slowly than those near the output, as their features are
    more general: https://arxiv.org/abs/1801.06146.
    Depth is counted backward over the nodes with weights; if the main network is a single subnetwork, over its nodes.
    The longest path that matches a layer applies.
    """
    names = [name for name, _ in model.named_parameters()]
    layers = _layers(names)
    last = max(layers.values(), default=0)
    factors = {}
    for name in names:
        full_name = f"{prefix}.{name}" if prefix else name
        paths = [path for path in training.layer_lr_multipliers if full_name.startswith(f"{path}.")]
        factor = training.layer_lr_multipliers[max(paths, key=len)] if paths else 1.0
        factors[name] = factor * training.layer_lr_decay ** (last - layers[name])
    return factors


def _layers(names: list[str]) -> dict[str, int]:
    """Return the index of the layer of each weight by its name."""
    parts = [name.split(".") for name in names]
    outer = 0  # the number of enclosing networks that contain all weights
    while len({tuple(path[: outer + 1]) for path in parts}) == 1 and all(len(path) > outer + 2 for path in parts):
        outer += 1
    keys = [".".join(path[: outer + 1]) for path in parts]
    depths = {key: depth for depth, key in enumerate(dict.fromkeys(keys))}
    return {name: depths[key] for name, key in zip(names, keys, strict=True)}


def clip_gradient(weights: list[torch.nn.Parameter], length: float | None, value: float | None) -> None:
    """Clip each gradient element to `value`, then the total norm to `length`: https://arxiv.org/abs/1211.5063."""
    import torch

    if value is not None:
        torch.nn.utils.clip_grad_value_(weights, value)
    if length is not None:
        torch.nn.utils.clip_grad_norm_(weights, length)


def spares(owner: nn.Module, weight: torch.Tensor) -> bool:
    """Return whether a weight is a bias, a norm scale or an embedding, which should not be decayed."""
    if weight.ndim < 2 or not module_layer(owner).decays_weights:
        return True
    # Modules of the author's code have no declaration, only a name.
    return any(word in type(owner).__name__ for word in ("Norm", "Embedding", "Position"))


def _weights(model: nn.Module) -> Iterator[tuple[str, torch.nn.Parameter, nn.Module]]:
    """Yield each trainable weight once, with its name and module. Tied weights get their first name."""
    weight_ids: set[int] = set()
    for path, owner in model.named_modules():
        for name, weight in owner.named_parameters(path, recurse=False):
            if weight.requires_grad and id(weight) not in weight_ids:
                weight_ids.add(id(weight))
                yield name, weight, owner


def _of_torch(name: str) -> Builder:
    """Return a builder for a torch optimizer whose settings are its arguments."""

    def build(arguments: OptimizerArguments) -> torch.optim.Optimizer:
        from torch import optim

        kind: Any = getattr(optim, OPTIMIZERS[name].torch)
        keywords = {**arguments.common, **_keywords(arguments.settings)}
        if OPTIMIZERS[name].fused:
            keywords["fused"] = True
        optimizer: torch.optim.Optimizer = kind(arguments.groups, **keywords)
        return optimizer

    return build


# The names of settings in torch, where they differ from those in documents.
_NAMES = {"epsilon": "eps", "smoothing": "alpha", "decoupled": "decoupled_weight_decay", "clip_threshold": "d"}


def _keywords(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a document as keyword arguments of torch."""
    keywords = {_NAMES.get(name, name): value for name, value in chosen.items() if name not in ("beta1", "beta2")}
    if "beta1" in chosen:
        keywords["betas"] = (float(chosen["beta1"]), float(chosen["beta2"]))
    return keywords


def _adadelta(arguments: OptimizerArguments) -> torch.optim.Optimizer:
    from torch import optim

    chosen = arguments.settings  # its smoothing is `rho` in torch, and `alpha` in other optimizers
    return optim.Adadelta(arguments.groups, rho=chosen["smoothing"], eps=chosen["epsilon"], **arguments.common)


def _rprop(arguments: OptimizerArguments) -> torch.optim.Optimizer:
    from torch import optim

    # Rprop uses only the sign of the gradient, so weight decay, which is added to the gradient, would have no scale.
    chosen = arguments.settings
    etas, sizes = (chosen["eta_minus"], chosen["eta_plus"]), (chosen["min_step"], chosen["max_step"])
    for group in arguments.groups:
        group.pop("weight_decay", None)
    return optim.Rprop(arguments.groups, lr=arguments.learning_rate, etas=etas, step_sizes=sizes)


def _muon(arguments: OptimizerArguments) -> ChainedOptimizer:
    """Return Muon for the matrices of hidden layers, and AdamW for the first and last layer and for all other weights.

    Muon's updates are scaled to the RMS of AdamW's, so that both use one learning rate:
    https://arxiv.org/abs/2502.16982.
    """
    from torch import optim

    groups, chosen, common = arguments.groups, arguments.settings, arguments.common
    hidden = _hidden([weight for group in groups for weight in group["params"]])
    parts: dict[str, torch.optim.Optimizer] = {}
    inner = _parted(groups, lambda weight: id(weight) in hidden)
    if inner:
        muon = {name: chosen[name] for name in ("momentum", "nesterov")}
        parts["muon"] = optim.Muon(
            inner, ns_steps=int(chosen["ns_steps"]), adjust_lr_fn="match_rms_adamw", **muon, **common
        )
    outer = _parted(groups, lambda weight: id(weight) not in hidden)
    if outer:
        betas = (chosen["beta1"], chosen["beta2"])
        parts["adamw"] = optim.AdamW(outer, betas=betas, eps=chosen["epsilon"], fused=True, **common)
    return ChainedOptimizer(parts)


def _hidden(weights: list[torch.nn.Parameter]) -> set[int]:
    """Return the ids of the matrices between the first and the last one, or of all if there are fewer than three.

    Muon is defined for matrices; for the input and output layers, its author recommends AdamW:
    https://kellerjordan.github.io/posts/muon/.
    """
    matrices = [id(weight) for weight in weights if weight.ndim == 2]
    return set(matrices[1:-1] if len(matrices) > 2 else matrices)


def _parted(groups: list[Group], selects: Callable[[torch.nn.Parameter], bool]) -> list[Group]:
    """Return the groups with only the wanted weights, without empty groups."""
    parted = [{**group, "params": [weight for weight in group["params"] if selects(weight)]} for group in groups]
    return [group for group in parted if group["params"]]


_SPECIAL: dict[str, Builder] = {"adadelta": _adadelta, "rprop": _rprop, "muon": _muon}
