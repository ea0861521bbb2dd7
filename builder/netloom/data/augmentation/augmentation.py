"""What an augmentation is: a class whose fields are its parameters, and which changes a batch of training rows.

The form, the check, the preview and the tests derive from that one class, as they do for a layer.
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

CHANCE = Field(0.5, ge=0, le=1, description="The share of the rows that it happens to")

# Applies one drawn change of place to values (N, C, H, W) or (N, T); `exact` takes the nearest value and blends none.
Move = Callable[["torch.Tensor", bool], "torch.Tensor"]


@dataclass
class Random:
    """The two sources of chance of one batch: `generator` for tensors on its device, `numbers` for single numbers."""

    generator: torch.Generator
    numbers: np.random.Generator

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """Numbers of this shape, each as likely as any other from `low` to `high`."""
        import torch

        return torch.rand(shape, generator=self.generator, device=self.generator.device) * (high - low) + low

    def normal(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Standard normal numbers of this shape."""
        import torch

        return torch.randn(shape, generator=self.generator, device=self.generator.device)

    def whole(self, shape: tuple[int, ...], low: int, high: int) -> torch.Tensor:
        """Whole numbers of this shape, from `low` to `high`, both included."""
        import torch

        return torch.randint(low, high + 1, shape, generator=self.generator, device=self.generator.device)

    def chosen(self, rows: int, chance: float, axes: int) -> torch.Tensor:
        """Which rows it happens to, (N, 1, …) with `axes` axes."""
        return self.uniform((rows, *(1 for _ in range(axes - 1)))) < chance


@dataclass(frozen=True)
class Facts:
    """A field as an augmentation sees it, with what was fitted for it."""

    spec: FieldSpec
    encoder: FieldEncoder[Any]

    def normalised(self, value: float) -> Any:
        """A pixel's value from 0 to 1 as the network gets it: a number, or one for each channel (C, 1, 1)."""
        if not isinstance(self.encoder, ScaledEncoder):
            return value
        mean, std = _by_channel(self.encoder.mean), _by_channel(self.encoder.std)
        return (value - mean) / std

    def stretched(self, amount: float) -> Any:
        """A difference between pixels' values as the network gets it."""
        return self.normalised(amount) - self.normalised(0.0)


def _by_channel(value: np.ndarray) -> Any:
    if value.ndim == 0:
        return float(value)
    import torch

    return torch.tensor(value, dtype=torch.float32).reshape(-1, 1, 1)


@dataclass
class Mixed:
    """Each row of a batch has a share of another row: `share` is its own, `partner` (N,) tells the other's place."""

    share: float
    partner: torch.Tensor


@dataclass
class Batch:
    """What an augmentation changes. `follows` is the field whose changes of place the target follows, or None;
    `kind` is the kind of the target, or "" where it is that field itself."""

    inputs: list[torch.Tensor]
    target: torch.Tensor
    fields: list[Facts]
    kind: TargetKind | Literal[""] = "class"
    follows: int | None = None
    mixed: Mixed | None = field(default=None)

    @property
    def is_input(self) -> bool:
        """Whether the target is an input itself."""
        return not self.kind

    @property
    def is_per_pixel(self) -> bool:
        """Whether the target has a class for each pixel."""
        return bool(self.kind) and TARGET_TYPES[self.kind].is_per_pixel

    def moved(self, move: Move) -> torch.Tensor:
        """The target after the field that it follows was moved."""
        moved: torch.Tensor = target_of(self.kind).moved(self.target, move) if self.kind else move(self.target, False)
        return moved


class Augmentation(BaseModel):
    """One way to change training rows without changing what they mean."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    # Of how many channels a picture has to be; 0: of any number.
    channels: ClassVar[int] = 0
    # Targets that it would make wrong.
    spoils: ClassVar[tuple[str, ...]] = ()

    def changes(self, spec: FieldSpec) -> bool:
        """Whether it does anything to fields of this kind and size."""
        return spec.kind in self.kinds and self.channels in (0, spec.shape[0])

    def suits(self, facts: Facts) -> bool:
        """Whether it can change this field."""
        return self.changes(facts.spec) and not (facts.spec.is_tokens and not modality_of(facts.encoder).has_words)

    def apply(self, batch: Batch, places: list[int], random: Random) -> None:
        """Change the fields at `places` of a batch, and the target where it follows them."""
        raise NotImplementedError


class Change(Augmentation):
    """Changes values where they are; the target stays as it is."""

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        """The values (N, …) of a field after it."""
        raise NotImplementedError

    def apply(self, batch: Batch, places: list[int], random: Random) -> None:
        for place in places:
            batch.inputs[place] = self.change(batch.inputs[place], batch.fields[place], random)


class Motion(Augmentation):
    """Moves values to other places; a mask, a picture to be given back, or tags move along."""

    def moves(self, values: torch.Tensor, facts: Facts, random: Random) -> Move:
        """Draw how each row of (N, …) is moved."""
        raise NotImplementedError

    def apply(self, batch: Batch, places: list[int], random: Random) -> None:
        for place in places:
            move = self.moves(batch.inputs[place], batch.fields[place], random)
            batch.inputs[place] = move(batch.inputs[place], not batch.inputs[place].is_floating_point())
            if place == batch.follows:
                batch.target = batch.moved(move)
