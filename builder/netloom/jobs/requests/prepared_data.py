"""The jobs that read data for the pages: rows, also augmented ones, columns, findings, and whether settings fit."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data import Example, Prepared, prepare
from netloom.data.augmentation import previewed
from netloom.data.preparation.settings_transfer import refuse_misfit
from netloom.data.quality.finding import Finding
from netloom.data.quality.overview import Column, columns
from netloom.data.quality.severe_findings import high_findings
from netloom.document import Augment, DataChoice
from netloom.jobs.request import Context, Request


@dataclass(frozen=True)
class PrepareData(Request[Prepared], kind="prepared_data", lane="data", handed_over=True):
    """The data of a choice, as the JSON of `choice_key`."""

    choice: str

    def compute(self, context: Context) -> Prepared:
        return prepare(DataChoice.model_validate_json(self.choice), context.home)


@dataclass(frozen=True)
class PreviewAugmentation(Request[list[tuple[Example, str]]], kind="augmentation", lane="data", handed_over=True):
    """Augmented versions of a training row of the data of a choice, as the JSON of `choice_key`; see `previewed`.

    `fields` are those that the network reads, and `augmentations` the JSON of each declared augmentation.
    """

    choice: str
    fields: tuple[str, ...]
    augmentations: tuple[str, ...]
    row: int
    count: int
    seed: int

    def compute(self, context: Context) -> list[tuple[Example, str]]:
        data = prepare(DataChoice.model_validate_json(self.choice), context.home)
        declared = list(map(Augment.model_validate_json, self.augmentations))
        return previewed(data, self.fields, declared, self.row, self.count, self.seed)


@dataclass(frozen=True)
class ReadColumns(Request[list[Column]], kind="columns", lane="data", handed_over=True):
    """The columns of the data of a choice, as the JSON of `choice_key`."""

    choice: str

    def compute(self, context: Context) -> list[Column]:
        return columns(DataChoice.model_validate_json(self.choice), context.home)


@dataclass(frozen=True)
class FindSevere(Request[tuple[Finding, ...]], kind="severe_findings", lane="data", handed_over=True):
    """The findings that invalidate test scores on the data of a choice, as the JSON of `choice_key`."""

    choice: str

    def compute(self, context: Context) -> tuple[Finding, ...]:
        return high_findings(DataChoice.model_validate_json(self.choice), context.home)


@dataclass(frozen=True)
class CheckSettings(Request[bool], kind="data_settings", lane="data", handed_over=True):
    """Whether the dataset of a choice, as the JSON of `choice_key`, supports its settings; otherwise an error."""

    choice: str

    def compute(self, context: Context) -> bool:
        refuse_misfit(self.choice, str(context.home))
        return True
