"""The declaration of an augmentation: a class whose fields are its parameters, and which changes a batch of training
rows.

Form, validation, preview and tests derive from this class, as they do for a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from netloom.data.schema import TARGET_TYPES, TargetKind
from netloom.data.targets import target_of
from netloom.modalities.encoding.field_encoder import FieldEncoder, ScaledEncoder
from netloom.modalities.field_spec import FieldSpec, Kind
from netloom.modalities.fields.registry import modality_of

if TYPE_CHECKING:
    import numpy as np
    import torch

CHANCE = Field(0.5, ge=0, le=1, description="Probability that a row is changed")

# Applies a sampled geometric transformation to values (N, C, H, W) or (N, T). `exact` uses the nearest value instead of
# interpolating.
Move = Callable[["torch.Tensor", bool], "torch.Tensor"]


@dataclass
class Random:
    """The two random sources of a batch: `generator` for tensors on its device, `numbers` for scalars."""

    generator: torch.Generator
    numbers: np.random.Generator

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """Return uniform numbers from `low` to `high` of this shape."""
        import torch

        return torch.rand(shape, generator=self.generator, device=self.generator.device) * (high - low) + low

    def normal(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Return standard normal numbers of this shape."""
        import torch

        return torch.randn(shape, generator=self.generator, device=self.generator.device)

    def whole(self, shape: tuple[int, ...], low: int, high: int) -> torch.Tensor:
        """Return uniform integers from `low` to `high`, both included, of this shape."""
        import torch

        return torch.randint(low, high + 1, shape, generator=self.generator, device=self.generator.device)

    def chosen(self, rows: int, chance: float, axes: int) -> torch.Tensor:
        """Return which rows are changed, bool (N, 1, …) with `axes` axes; each row with probability `chance`."""
        return self.uniform((rows, *(1 for _ in range(axes - 1)))) < chance


@dataclass(frozen=True)
class Facts:
    """A field with its fitted encoder, as an augmentation receives it."""

    spec: FieldSpec
    encoder: FieldEncoder[Any]

    def normalized(self, value: float) -> Any:
        """Return a pixel value from 0 to 1 on the scale of the network: a number, or one per channel (C, 1, 1)."""
        if not isinstance(self.encoder, ScaledEncoder):
            return value
        mean, std = _by_channel(self.encoder.mean), _by_channel(self.encoder.std)
        return (value - mean) / std

    def stretched(self, amount: float) -> Any:
        """Return a difference of pixel values on the scale of the network."""
        return self.normalized(amount) - self.normalized(0.0)


def _by_channel(value: np.ndarray) -> Any:
    if value.ndim == 0:
        return float(value)
    import torch

    return torch.tensor(value, dtype=torch.float32).reshape(-1, 1, 1)


@dataclass
class Mixed:
    """The mixture of each row of a batch with another: `share` is the weight of the row itself, `partner` (N,) the
    index of the other."""

    share: float
    partner: torch.Tensor


@dataclass
class Batch:
    """The batch that an augmentation changes. `follows` is the field whose geometric transformations also apply to the
    target, or None; `kind` is the kind of the target, or "" if it is that field itself."""

    inputs: list[torch.Tensor]
    target: torch.Tensor
    fields: list[Facts]
    kind: TargetKind | Literal[""] = "class"
    follows: int | None = None
    mixed: Mixed | None = field(default=None)

    @property
    def is_input(self) -> bool:
        """Return whether the target is an input itself."""
        return not self.kind

    @property
    def is_per_pixel(self) -> bool:
        """Return whether the target has a class for each pixel."""
        return bool(self.kind) and TARGET_TYPES[self.kind].is_per_pixel

    def moved(self, move: Move) -> torch.Tensor:
        """Return the target after the transformation of the field that it follows."""
        if not self.kind or self.follows is None:
            return move(self.target, False)
        moved: torch.Tensor = target_of(self.kind).moved(self.target, move, self.inputs[self.follows].shape)
        return moved


class Augmentation(BaseModel):
    """A random change of training rows that preserves their meaning."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    # The required number of channels of an image; 0: any number.
    channels: ClassVar[int] = 0
    # Kinds of targets that it would invalidate, and why, as the middle of a sentence.
    spoils: ClassVar[tuple[str, ...]] = ()
    spoiled: ClassVar[str] = ""

    def changes(self, spec: FieldSpec) -> bool:
        """Return whether it has an effect on fields of this kind and size."""
        return spec.kind in self.kinds and self.channels in (0, spec.shape[0])

    def suits(self, facts: Facts) -> bool:
        """Return whether it can change this field."""
        return self.changes(facts.spec) and not (facts.spec.is_tokens and not modality_of(facts.encoder).has_words)

    def apply(self, batch: Batch, places: list[int], random: Random) -> None:
        """Change the fields at `places` of a batch, and the target if it follows them."""
        raise NotImplementedError


class Change(Augmentation):
    """Changes values at their positions; the target stays the same."""

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        """Return the changed values (N, …) of a field."""
        raise NotImplementedError

    def apply(self, batch: Batch, places: list[int], random: Random) -> None:
        for input_index in places:
            batch.inputs[input_index] = self.change(batch.inputs[input_index], batch.fields[input_index], random)


class Motion(Augmentation):
    """Moves values to other positions. A mask, an image to reconstruct, or tags are moved with them."""

    def moves(self, values: torch.Tensor, facts: Facts, random: Random) -> Move:
        """Sample the transformation of each row of (N, …)."""
        raise NotImplementedError

    def apply(self, batch: Batch, places: list[int], random: Random) -> None:
        for input_index in places:
            move = self.moves(batch.inputs[input_index], batch.fields[input_index], random)
            batch.inputs[input_index] = move(
                batch.inputs[input_index], not batch.inputs[input_index].is_floating_point()
            )
            if input_index == batch.follows:
                batch.target = batch.moved(move)
