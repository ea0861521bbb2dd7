"""The augmentations of a document, applied to batches of training rows.

What happens to a batch depends on the training seed, the epoch and the batch's first row alone: a run that is resumed
sees exactly what it would have seen, and no other draw of chance, such as that of dropout, is moved by it.
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
    """Changes batches of the fields `names` of `data`, as `declared` says.

    `target` is what the loss is taken against, for all rows: where it is an input, such as in reconstruction, or a
    mask, it moves along with the first picture.

    Raises:
        DataError: something is not well declared, or fits no field.
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
            same = [place for place, name in enumerate(names) if data.inputs[name] is target]
            first = same[0] if same else -1
        elif spec.type.is_per_pixel:
            first = next((place for place, facts in enumerate(self.fields) if facts.spec.is_image), -1)
        self.follows = first if first >= 0 else None
        self._steps: list[tuple[Augmentation, list[int]]] = []
        self._mixing: list[tuple[Augmentation, list[int]]] = []
        for one in declared:
            self._add(one)

    def _add(self, declared: Augment) -> None:
        augmentations = parsed(declared)
        places = [
            place
            for place, facts in enumerate(self.fields)
            if declared.field in ("", facts.spec.name) and augmentations.suits(facts)
        ]
        if not places:
            raise DataError(
                f"{augmentations.title} fits no field that the network reads; take it out of the augmentations."
            )
        if isinstance(augmentations, Mixing) and len(places) < len(self.fields):
            raise DataError(
                f"{augmentations.title} blends whole examples, but not every field can be blended; take it out."
            )
        (self._mixing if isinstance(augmentations, Mixing) else self._steps).append((augmentations, places))

    def __call__(
        self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]
    ) -> tuple[list[torch.Tensor], torch.Tensor, Mixed | None]:
        """A batch after all augmentations; the tensors that were given stay as they are. `seed` is the training seed,
        the epoch, the batch's first row in it, and for one of several views its number."""
        import numpy as np
        import torch

        numbers = np.random.default_rng((0x6175676D, *seed))
        generator = torch.Generator(inputs[0].device).manual_seed(int(numbers.integers(2**63)))
        random = Random(generator, numbers)
        batch = Batch(list(inputs), target, self.fields, self.kind, self.follows)
        with torch.no_grad():
            for step, places in self._steps:
                step.apply(batch, places, random)
            if self._mixing:
                step, places = self._mixing[int(numbers.integers(len(self._mixing)))]
                step.apply(batch, places, random)
        return batch.inputs, batch.target, batch.mixed
