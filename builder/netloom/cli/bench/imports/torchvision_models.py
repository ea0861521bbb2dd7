"""The classification and segmentation networks of torchvision, with random weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from netloom.cli.bench.imports.case import ImportCase, ImportSuite
from netloom.cli.bench.imports.modules import as_module_case

if TYPE_CHECKING:
    import torch
    from torch import nn

# The side of the images; these networks accept no other or need a larger one.
_SIDE = 64
_SIDES = {"alexnet": 96, "inception_v3": 96, "googlenet": 64, "maxvit_t": 224, "vgg": 32}
# Operators of torchvision's binary that its classification and segmentation networks do not use. Its wheel at PyPI is
# built for CUDA, so that a CPU build of PyTorch cannot load the binary, and importing torchvision ends in an error.
_BINARY = ("nms", "qnms")


def torchvision_models() -> Any:
    """Return the module torchvision.models.

    Raises:
        ImportError: torchvision does not fit the installed PyTorch.
    """
    import torch

    try:
        import torchvision
    except RuntimeError:
        library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in _BINARY:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision.models


def torchvision_cases() -> list[ImportCase]:
    """Return all classification networks and all segmentation networks."""
    models = torchvision_models()
    names = [*models.list_models(module=models), *models.list_models(module=models.segmentation)]
    return [as_module_case(name, partial(_make, name)) for name in names]


def _make(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    torch.manual_seed(0)
    models = torchvision_models()
    side = next((size for part, size in _SIDES.items() if name.startswith(part)), _SIDE)
    options: dict[str, Any] = {"image_size": side} if name.startswith("vit_") else {}
    if name in models.list_models(module=models.segmentation):
        options |= {"weights_backbone": None, "num_classes": 5}
    elif name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    if name == "vit_h_14":
        options, side = {"image_size": 56}, 56
    return models.get_model(name, weights=None, **options).eval(), (torch.randn(2, 3, side, side),)


TORCHVISION = ImportSuite(
    "torchvision", "torchvision: classification and segmentation", "torchvision", 0.95, torchvision_cases
)
