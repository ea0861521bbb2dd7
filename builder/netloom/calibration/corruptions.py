"""Corruptions of encoded inputs, to measure whether a score notices them.

Noise is added to all numbers; images (N, C, H, W) are blurred, the columns of tables (N, F) shuffled, and the order of
series (N, T, C) and texts (N, T).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.modalities.encoding.tokenization import PAD
from netloom.modalities.field_spec import FieldSpec

if TYPE_CHECKING:
    import torch

Change = Callable[["torch.Tensor", "torch.Generator"], "torch.Tensor"]
NOISE = 1.0  # in standard deviations of the input
BLUR_WIDTH = 5


@dataclass(frozen=True)
class Corruption:
    """A change of rows (N, …) of one field. `applies` returns whether it suits the field."""

    title: str
    help: str
    applies: Callable[[FieldSpec], bool]
    change: Change


def corrupted(
    inputs: dict[str, torch.Tensor], fields: Iterable[FieldSpec], corruption: Corruption, seed: int = 0
) -> dict[str, torch.Tensor] | None:
    """Return rows by field with a corruption of all `fields` that it suits; None if it suits none."""
    import torch

    suited = {field.name for field in fields if corruption.applies(field)}
    if suited.isdisjoint(inputs):
        return None
    generator = torch.Generator().manual_seed(seed)
    return {name: corruption.change(values, generator) if name in suited else values for name, values in inputs.items()}


def _noise(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    import torch

    # By column for tables, and over all values of images and series
    axes = [0] if values.dim() == 2 else list(range(values.dim()))
    deviation = values.std(dim=axes, keepdim=True, correction=0)  # of one row, it is 0
    return values + NOISE * deviation * torch.randn(values.shape, generator=generator)


def _blur(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    from torch.nn import functional

    return functional.avg_pool2d(values, BLUR_WIDTH, stride=1, padding=BLUR_WIDTH // 2, count_include_pad=False)


def _shuffle_columns(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return rows with each column from another row, so that columns keep their distribution but do not fit
    together."""
    import torch

    columns = [column[torch.randperm(len(values), generator=generator)] for column in values.unbind(1)]
    return torch.stack(columns, dim=1)


def _shuffle_order(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return rows whose steps (N, T, …) are in random order; the padding of texts stays at the end."""
    import torch

    keys = torch.rand(values.shape[:2], generator=generator)
    if not values.is_floating_point():
        keys = keys + (values == PAD)
    order = keys.argsort(1)
    return values.gather(1, order.reshape(*order.shape, *[1] * (values.dim() - 2)).expand_as(values))


CORRUPTIONS = (
    Corruption("Noise", "Gaussian noise of one standard deviation", lambda field: not field.is_tokens, _noise),
    Corruption("Blur", "Means of 5 × 5 pixels", lambda field: field.is_image, _blur),
    Corruption(
        "Shuffled columns",
        "Each column comes from another row",
        lambda field: field.is_vector or field.is_categories,
        _shuffle_columns,
    ),
    Corruption(
        "Shuffled order",
        "Time steps or words in random order",
        lambda field: field.is_sequence or field.is_text,
        _shuffle_order,
    ),
)
