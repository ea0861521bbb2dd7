"""The data of a document: the dataset, its split, and the preparation of its values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from netloom.document.base_model import Frozen
from netloom.document.field_types import Params, Value
from netloom.document.former_names import renamed_options

# The preparation of numbers and pixels whose column or field has no setting of its own.
Preparation = Literal["standardize", "scale", "none"]


class ImageNormalization(Frozen):
    """The preprocessing of images that an imported network expects: (pixel · `rescale` − `mean`) / `std`.

    Pixels are between 0 and 255. `mean` and `std` have one value per channel, or one for all channels.
    """

    rescale: Annotated[float, Field(gt=0, le=1e6)] = 1 / 255
    mean: Annotated[tuple[Value, ...], Field(strict=False, min_length=1, max_length=64)] = (0.0,)
    std: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1e9)], ...], Field(strict=False, min_length=1, max_length=64)
    ] = (1.0,)


class DataChoice(Frozen):
    """The dataset and its split. `options` depend on the dataset, such as the target column of a table.

    `test` is a fraction of the rows. `validation` is a fraction of all rows, or with `validation_of` "training" of
    those that are not test rows; 0 leaves all of them to training. `split` is the strategy; "auto" selects it from the
    data. With `folds` (cross-validation), the test rows are those of `fold`, counted from 0, and `test` is ignored. A
    split by time skips `gap` rows between consecutive parts. `duplicates` keeps all identical rows, or one of them.

    `prepare` applies to numbers and pixels whose column or field has no setting of its own: they are standardized with
    the statistics of the training rows, scaled to the range from 0 to 1, or unchanged; `ImageNormalization`
    prepares images as an imported network expects. Numeric targets are standardized if the inputs are, and keep their
    units otherwise.
    """

    dataset: Annotated[str, Field(max_length=200)] = ""
    seed: Annotated[int, Field(ge=0, lt=2**31, title="Split seed")] = 0
    validation: Annotated[float, Field(ge=0, le=0.5, title="Validation share")] = 0.15
    # "rows" is the rule of documents that do not name one: their rows must not change.
    validation_of: Literal["rows", "training"] = "rows"
    test: Annotated[float, Field(gt=0, le=0.5, title="Test share")] = 0.15
    split: Literal["auto", "random", "stratified", "group", "time", "given"] = "auto"
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    fold: Annotated[int, Field(ge=0, lt=100)] = 0
    gap: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    duplicates: Literal["keep", "drop"] = "keep"
    prepare: Preparation | ImageNormalization = "standardize"
    options: Annotated[Params, BeforeValidator(renamed_options)] = {}

    @model_validator(mode="after")
    def _fold_exists(self) -> DataChoice:
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} is out of range; with {self.folds} folds, choose 0 to {self.folds - 1}")
        return self
