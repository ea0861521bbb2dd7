"""The default preprocessing of numbers and pixels, for columns and fields without their own settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import Schema
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.field_spec import NUMBERS, PIXELS, Quantity

# The choices and their labels; `preparation_sentence` explains each.
PREPARATIONS: Mapping[Preparation, str] = {
    "standardize": "Standardize",
    "scale": "Scale to 0 to 1",
    "none": "As they are in the data",
}
IMPORTED = "As the imported network asks"


def with_preparation(raw: RawDataset, prepare: Preparation | ImageNormalization) -> RawDataset:
    """Return the data with this default preprocessing.

    Raises:
        DataError: it does not match the data.
    """
    return raw if prepare == "standardize" else raw.with_preparation(prepare)


def preparation_sentence(prepare: Preparation | ImageNormalization, quantities: Collection[Quantity]) -> str:
    """Return what a network with inputs of these quantities receives, as a sentence; "" without preprocessing."""
    listed = [quantity for quantity in (PIXELS, NUMBERS) if quantity in quantities]
    if not listed:
        return ""
    if prepare == "standardize":
        return f"Inputs: {' and '.join(listed)} are standardized by the training rows (mean 0, standard deviation 1)."
    if prepare == "none":
        return f"Inputs: {' and '.join(listed)} are fed as they are in the data."
    phrases = {
        PIXELS: "pixels are fed from 0 to 1",
        NUMBERS: "numbers are scaled to 0 to 1 by the training rows",
    }
    if isinstance(prepare, ImageNormalization):
        phrases = {
            PIXELS: f"pixels × {prepare.rescale:.6g}, less {_list(prepare.mean)}, divided by {_list(prepare.std)}",
            NUMBERS: "numbers are fed as they are in the data",
        }
    return f"Inputs: {'; '.join(phrases[quantity] for quantity in listed)}."


def quantities_of(schema: Schema | None) -> set[Quantity]:
    """Return the quantities of the inputs that the default preprocessing applies to."""
    return {field.quantity for field in schema.inputs if field.quantity} if schema else set()


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
