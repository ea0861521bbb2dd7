"""Data quality jobs."""

from __future__ import annotations

from pathlib import Path

from netloom.data import prepare, statistics
from netloom.data.quality import report
from netloom.document import DataChoice
from netloom.jobs.request import Context
from netloom.jobs.requests.data_quality import DataQualityReport, DatasetStatistics

CHOICE = DataChoice(dataset="breast_cancer")


def test_statistics_round_trip_through_serialization(home: Path) -> None:
    request = DatasetStatistics("", CHOICE.model_dump(mode="json"))
    computed = request.compute(Context(home))
    assert computed == statistics(prepare(CHOICE, home), CHOICE)
    assert request.read_answer(request.write_answer(computed)) == computed


def test_quality_report_round_trips_through_serialization(home: Path) -> None:
    shares: list[float] = []
    request = DataQualityReport("", CHOICE.model_dump(mode="json"))
    computed = request.compute(Context(home, shares.append))
    expected = report(prepare(CHOICE, home), CHOICE, home)
    assert [finding.code for finding in computed.findings] == [finding.code for finding in expected.findings]
    assert request.read_answer(request.write_answer(computed)) == computed
    assert shares == sorted(shares)
    assert len(shares) == len(computed.checked)
