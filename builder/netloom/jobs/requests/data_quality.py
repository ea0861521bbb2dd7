"""Jobs for the statistics of data, and for the report on its quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netloom.data import Quality, prepare, statistics
from netloom.data.quality import Report, report
from netloom.document import DataChoice
from netloom.jobs.request import Context, Request


@dataclass(frozen=True)
class DatasetStatistics(Request[Quality], kind="dataset_statistics"):
    """Counts, ranges and notable properties of the data that `choice` names, as JSON.

    `fingerprint` distinguishes changed data.
    """

    fingerprint: str
    choice: dict[str, Any]

    def compute(self, context: Context) -> Quality:
        choice = DataChoice.model_validate(self.choice)
        return statistics(prepare(choice, context.home), choice)


@dataclass(frozen=True)
class DataQualityReport(Request[Report], kind="data_quality_report", lane="long"):
    """All checks of the data that `choice` names, as JSON. `fingerprint` is as in `DatasetStatistics`."""

    fingerprint: str
    choice: dict[str, Any]

    def compute(self, context: Context) -> Report:
        choice = DataChoice.model_validate(self.choice)
        data = prepare(choice, context.home)
        return report(data, choice, context.home, progress=lambda share, title: context.progress(share))
