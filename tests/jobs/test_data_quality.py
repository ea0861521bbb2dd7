"""The checks of data as jobs."""

from __future__ import annotations

from pathlib import Path

from netloom.data import prepare, statistics
from netloom.data.quality import report
from netloom.document import DataChoice
from netloom.explain.core.serialization import dumps
from netloom.jobs.data_quality import DataQualityReport, DatasetStatistics
from netloom.jobs.request import Context

CHOICE = DataChoice(dataset="breast_cancer")


def test_statistics_are_read_as_they_were_computed(home: Path) -> None:
    request = DatasetStatistics("", CHOICE.model_dump(mode="json"))
    computed = request.compute(Context(home))
    assert computed == statistics(prepare(CHOICE, home), CHOICE)
    assert request.read_answer(dumps(computed)) == computed


def test_a_report_is_read_as_it_was_computed(home: Path) -> None:
    shares: list[float] = []
    request = DataQualityReport("", CHOICE.model_dump(mode="json"))
    computed = request.compute(Context(home, shares.append))
    again = report(prepare(CHOICE, home), CHOICE, home)
    assert [finding.code for finding in computed.findings] == [finding.code for finding in again.findings]
    assert request.read_answer(dumps(computed)) == computed
    assert shares == sorted(shares)
    assert len(shares) == len(computed.checked)
