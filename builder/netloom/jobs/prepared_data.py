"""The jobs that read data for the pages: preprocessed rows, severe findings, and whether settings fit."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data import Prepared, prepare
from netloom.data.preparation.settings_transfer import refuse_misfit
from netloom.data.quality.finding import Finding
from netloom.data.quality.severe_findings import high_findings
from netloom.document import DataChoice
from netloom.jobs.request import Context, Request


@dataclass(frozen=True)
class PrepareData(Request[Prepared], kind="prepared_data", lane="data", handed_over=True):
    """The data of a choice, as the JSON of `choice_key`."""

    choice: str

    def compute(self, context: Context) -> Prepared:
        return prepare(DataChoice.model_validate_json(self.choice), context.home)


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
