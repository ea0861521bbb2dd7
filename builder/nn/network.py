"""What networks within networks need: repetition, and weights that are shared."""

import torch
from torch import nn


class Repeated(nn.ModuleList):
    """Modules one after the other, `times` times over.

    Each takes what the one before gave first, and the other inputs as they are.
    """

    def __init__(self, modules: list[nn.Module], times: int = 1) -> None:
        super().__init__(modules)
        self.times = times

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        result: torch.Tensor | tuple[torch.Tensor, ...] = x
        for _ in range(self.times):
            for module in self:
                result = module(x, *others)
                x = result[0] if isinstance(result, tuple) else result
        return result


def tie(module: nn.Module, other: nn.Module) -> None:
    """Make `module` use the parameters of `other`, wherever both have one of the same name and shape."""
    theirs = dict(other.named_parameters())
    for name, parameter in list(module.named_parameters()):
        if name in theirs and theirs[name].shape == parameter.shape:
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, theirs[name])
