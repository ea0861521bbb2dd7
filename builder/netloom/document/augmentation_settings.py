"""Settings of augmentation in the document."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from netloom.document.base_model import Frozen
from netloom.document.former_names import FORMER_AUGMENTATIONS, present_name


class Augment(Frozen):
    """One augmentation. `kind` is its name in `netloom.data.augmentation`; `params` holds non-default parameters.

    `field` is the field of the dataset to augment; if it is empty, all fields of a suitable kind are augmented.
    """

    kind: Annotated[str, BeforeValidator(present_name(FORMER_AUGMENTATIONS)), Field(max_length=64)]
    field: Annotated[str, Field(max_length=200)] = ""
    params: Annotated[
        dict[Annotated[str, Field(max_length=64)], bool | int | float | Annotated[str, Field(max_length=64)]],
        Field(max_length=20),
    ] = {}

    def sentence(self) -> str:
        """The augmentation in a few words, such as “rotate, degrees 40”."""
        words = [f"{self.kind} of {self.field}" if self.field else self.kind]
        for name, value in self.params.items():
            words.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")
        return ", ".join(words)
