"""The job that reads, splits and preprocesses data for the pages, which map the result."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data import Prepared, prepare
from netloom.document import DataChoice
from netloom.jobs.request import Context, Request


@dataclass(frozen=True)
class PrepareData(Request[Prepared], kind="prepared_data", lane="data", handed_over=True):
    """The data of a choice, as the JSON of `choice_key`."""

    choice: str

    def compute(self, context: Context) -> Prepared:
        return prepare(DataChoice.model_validate_json(self.choice), context.home)
