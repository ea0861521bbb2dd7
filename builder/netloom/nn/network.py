"""What networks within networks need: repetition, and weights that are shared."""

import torch
from torch import nn


class Repeated(nn.ModuleList):
    """Modules one after the other, `times` times over.

    Each takes what the one before gave first, and the other inputs as they are. What a module asks to be added to the
    loss is added up over the times that it is used.
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
            for part in self.modules() if self.training and self.times > 1 else ():
                loss = getattr(part, "auxiliary_loss", None)
                if loss is not None:
                    losses[part] = losses[part] + loss if part in losses else loss
        for part, loss in losses.items():
            part.auxiliary_loss = loss
        return result


def tie(module: nn.Module, source: nn.Module) -> None:
    """Make `module` use the parameters of `other`, wherever both have one of the same name and shape.

    Buffers, such as the running mean of a normalisation, stay each module's own: they say what comes in at its place.
    """
    source_parameters = dict(source.named_parameters())
    for name, parameter in list(module.named_parameters()):
        if name in source_parameters and source_parameters[name].shape == parameter.shape:
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, source_parameters[name])


def keep_statistics(module: nn.Module) -> None:
    """Make normalisations in a frozen module use their running statistics and leave them as they are, as Keras does.

    What else works differently in training, such as dropout, goes on.
    https://keras.io/api/layers/normalization_layers/batch_normalization/
    """
    for part in module.modules():
        if getattr(part, "running_mean", None) is not None:
            part.eval()
