"""The learning rate range test in a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.data import DataError, prepare
from netloom.jobs import Pool
from netloom.jobs.requests.learning_rate import LearningRateRangeTest
from netloom.runs.lr_finder import find_rate
from tests.jobs.test_pool import job_result
from tests.networks import chain, digits_mlp


def test_worker_lr_range_test_matches_local_result(pool: Pool, home: Path) -> None:
    project = digits_mlp(device="cpu")
    job = pool.submit(LearningRateRangeTest(project.model_dump(mode="json")), home)
    remote, local = job_result(job), find_rate(project, prepare(project.data, home))
    assert job.share > 0
    assert remote.rates == local.rates
    assert remote.losses == pytest.approx(local.losses, rel=1e-4)
    assert remote.suggested == local.suggested


def test_lr_range_test_without_data_is_refused(pool: Pool, home: Path) -> None:
    with pytest.raises(DataError, match="No data is chosen"):
        job_result(pool.submit(LearningRateRangeTest(chain().model_dump(mode="json")), home))
