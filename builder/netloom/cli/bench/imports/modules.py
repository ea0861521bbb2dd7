"""The import of a PyTorch module through torch.export, and what the module itself computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from netloom.cli.bench.imports.case import ImportCase, NotExportedError, Reference
from netloom.cli.command import Failure
from netloom.cli.custom_module import write_program

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.compile.importers import ImportedModel


def as_module_case(name: str, make: Callable[[], tuple[nn.Module, tuple[torch.Tensor, ...]]]) -> ImportCase:
    """The case of a PyTorch module, imported as `netloom import module:name` imports it."""
    return ImportCase(name, lambda: import_module(name, *make()))


def import_module(name: str, model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[ImportedModel, Reference]:
    """Export a module and import the program.

    Raises:
        NotExportedError: torch.export cannot record the module.
        UnreadableModelError: the program cannot be imported.
    """
    from netloom.compile.importers import read_model

    model.eval()
    _randomize_statistics(model)
    reference = _reference(model, inputs)
    with TemporaryDirectory(prefix="netloom-") as folder:
        target = Path(folder) / "model.pt2"
        try:
            facts = write_program(model, inputs, target, name)
        except Failure as error:
            raise NotExportedError(str(error)) from None
        return read_model(target, name, facts), reference


def _randomize_statistics(model: nn.Module) -> None:
    """Give normalizations statistics, scales and shifts that are not 0 and 1, because those would hide mistakes."""
    import torch

    for module in model.modules():
        for part, tensor in [*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)]:
            if part == "running_var":
                tensor.uniform_(0.5, 1.5)
            elif part in ("running_mean", "bias") and tensor.is_floating_point():
                with torch.no_grad():
                    tensor.normal_(0.0, 0.1)


def _reference(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Reference:
    import torch

    outputs = _tensors(model(*inputs))
    sums = [(output * output).sum() for output in outputs if output.requires_grad]
    # A parameter without a gradient is not part of the outputs, and a program leaves it out.
    torch.autograd.backward(sums)
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.grad is not None)
    model.zero_grad()
    return Reference(inputs, tuple(output.detach() for output in outputs), count)


def _tensors(value: Any) -> list[torch.Tensor]:
    """The tensors in the result of a module, in the order in which torch.export lists them."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in _tensors(part)]
