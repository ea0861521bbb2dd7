"""Settings of augmentation in the document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from netloom.document.base_model import Frozen


class Augment(Frozen):
    """One augmentation. `kind` is its name in `netloom.data.augmentation`; `params` holds non-default parameters.

    `field` is the field of the dataset to augment; if it is empty, all fields of a suitable kind are augmented.
    """

    kind: Annotated[str, Field(max_length=64)]
    field: Annotated[str, Field(max_length=200)] = ""
    params: Annotated[
        dict[Annotated[str, Field(max_length=64)], bool | int | float | Annotated[str, Field(max_length=64)]],
        Field(max_length=20),
    ] = {}
