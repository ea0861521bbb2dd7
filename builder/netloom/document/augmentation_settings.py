"""Settings of augmentation in the document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from netloom.document.base_model import Frozen


class Augment(Frozen):
    """One augmentation: its `kind`, as `netloom.data.augmentation` knows it, with what of it is not as by default.

    `field` is the field of the data that it changes; without one, all that it fits.
    """

    kind: Annotated[str, Field(max_length=64)]
    field: Annotated[str, Field(max_length=200)] = ""
    params: Annotated[
        dict[Annotated[str, Field(max_length=64)], bool | int | float | Annotated[str, Field(max_length=64)]],
        Field(max_length=20),
    ] = {}
