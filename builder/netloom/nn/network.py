"""Repeated subnetworks, tied weights and frozen statistics."""

import torch
from torch import nn


class AuxiliaryLossSum:
    """Sums the `auxiliary_loss` of the parts of a module that is called several times in training.

    Each call overwrites the auxiliary losses of the previous one. `add` is called after each call and `assign` after
    the last one. `Repeated` does the same in its own lines, as the source of older documents must stay equal.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parts = list(module.modules()) if module.training else []
        self.losses: dict[nn.Module, torch.Tensor] = {}

    def add(self) -> None:
        for part in self.parts:
            loss = getattr(part, "auxiliary_loss", None)
            if loss is not None:
                self.losses[part] = self.losses[part] + loss if part in self.losses else loss

    def assign(self) -> None:
        for part, loss in self.losses.items():
            part.auxiliary_loss = loss


class Repeated(nn.ModuleList):
    """Applies its modules in sequence, `times` times, with the same weights each time.

    Each module receives the first output of the previous one and all extra inputs. The `auxiliary_loss` of a module is
    the sum over its calls.
    """

    def __init__(self, modules: list[nn.Module], times: int = 1) -> None:
        super().__init__(modules)
        self.times = times

    def forward(self, x: torch.Tensor, *extra_inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        result: torch.Tensor | tuple[torch.Tensor, ...] = x
        losses: dict[nn.Module, torch.Tensor] = {}
        for _ in range(self.times):
            for module in self:
                result = module(x, *extra_inputs)
                x = result[0] if isinstance(result, tuple) else result
            # Each call overwrites the auxiliary loss of the previous one, so the sum is formed here.
            for part in self.modules() if self.training and self.times > 1 else ():
                loss = getattr(part, "auxiliary_loss", None)
                if loss is not None:
                    losses[part] = losses[part] + loss if part in losses else loss
        for part, loss in losses.items():
            part.auxiliary_loss = loss
        return result


def tie(module: nn.Module, source: nn.Module) -> None:
    """Make `module` use the parameters of `source` that have the same name and shape.

    Buffers, such as the running mean of a normalization, are not shared: they describe the inputs of each module.
    """
    source_parameters = dict(source.named_parameters())
    for name, parameter in list(module.named_parameters()):
        if name in source_parameters and source_parameters[name].shape == parameter.shape:
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, source_parameters[name])


def keep_statistics(module: nn.Module) -> None:
    """Make normalizations in a frozen module use their running statistics without updating them, as Keras does.

    Dropout and other layers stay in training mode.
    https://keras.io/api/layers/normalization_layers/batch_normalization/
    """
    for part in module.modules():
        if getattr(part, "running_mean", None) is not None:
            part.eval()
