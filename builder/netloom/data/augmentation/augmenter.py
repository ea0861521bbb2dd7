"""Applies the augmentations of a document to batches of training rows.

The result depends only on the training seed, the epoch and the first row of the batch. So a resumed run gets the same
batches, and no other random numbers, such as those of dropout, are affected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from netloom.core.errors import DataError
from netloom.data.augmentation.augmentation import Augmentation, Batch, Facts, Mixed, Random
from netloom.data.augmentation.mixing import Mixing
from netloom.data.augmentation.registry import parsed
from netloom.data.schema import TargetKind

if TYPE_CHECKING:
    import torch

    from netloom.data.preparation.prepared_data import Prepared
    from netloom.document import Augment


class Augmenter:
    """Changes batches of the fields `names` of `data` with the augmentations in `declared`.

    `target` is the target of the loss for all rows. If it is an input, as in reconstruction, or a mask, it is
    transformed with the first image.

    Raises:
        DataError: an augmentation is invalid, or matches no field.
    """

    def __init__(
        self, declared: Sequence[Augment], data: Prepared, names: Sequence[str], target: torch.Tensor | None = None
    ) -> None:
        specs = {field.name: field for field in data.schema.inputs}
        self.fields = [Facts(specs[name], data.field(name)) for name in names]
        spec = data.schema.target
        self.kind: TargetKind | Literal[""] = spec.kind
        first = 0
        if target is not None and target is not data.target:
            self.kind = ""
            same = [input_index for input_index, name in enumerate(names) if data.inputs[name] is target]
            first = same[0] if same else -1
        elif spec.type.is_in_image:
            first = next((input_index for input_index, facts in enumerate(self.fields) if facts.spec.is_image), -1)
        self.follows = first if first >= 0 else None
        self._steps: list[tuple[Augmentation, list[int]]] = []
        self._mixing: list[tuple[Augmentation, list[int]]] = []
        for augmentation in declared:
            self._add(augmentation)

    def _add(self, declared: Augment) -> None:
        augmentations = parsed(declared)
        indices = [
            input_index
            for input_index, facts in enumerate(self.fields)
            if declared.field in ("", facts.spec.name) and augmentations.suits(facts)
        ]
        if not indices:
            raise DataError(
                f"{augmentations.title} fits no field that the network reads; remove it from the augmentations."
            )
        if isinstance(augmentations, Mixing) and len(indices) < len(self.fields):
            raise DataError(
                f"{augmentations.title} blends whole examples, but not every field can be blended; remove it."
            )
        (self._mixing if isinstance(augmentations, Mixing) else self._steps).append((augmentations, indices))

    def __call__(
        self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]
    ) -> tuple[list[torch.Tensor], torch.Tensor, Mixed | None]:
        """Return a batch after all augmentations, without changing the given tensors. `seed` consists of the training
        seed, the epoch, the first row of the batch and, for one of several views, its index."""
        import numpy as np
        import torch

        numbers = np.random.default_rng((0x6175676D, *seed))
        generator = torch.Generator(inputs[0].device).manual_seed(int(numbers.integers(2**63)))
        random = Random(generator, numbers)
        batch = Batch(list(inputs), target, self.fields, self.kind, self.follows)
        with torch.no_grad():
            for step, indices in self._steps:
                step.apply(batch, indices, random)
            if self._mixing:
                step, indices = self._mixing[int(numbers.integers(len(self._mixing)))]
                step.apply(batch, indices, random)
        return batch.inputs, batch.target, batch.mixed
