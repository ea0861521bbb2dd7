"""The learning rate range test in a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.data import DataError, prepare
from netloom.jobs import Pool
from netloom.jobs.learning_rate import LearningRateRangeTest
from netloom.runs.lr_finder import find_rate
from tests.jobs.test_pool import answer
from tests.networks import chain, digits_mlp


def test_a_worker_finds_the_same_rates(pool: Pool, home: Path) -> None:
    project = digits_mlp(device="cpu")
    job = pool.submit(LearningRateRangeTest(project.model_dump(mode="json")), home)
    there, here = answer(job), find_rate(project, prepare(project.data, home))
    assert job.share > 0
    assert there.rates == here.rates
    assert there.losses == pytest.approx(here.losses, rel=1e-4)
    assert there.suggested == here.suggested


def test_what_cannot_be_tried_says_why(pool: Pool, home: Path) -> None:
    with pytest.raises(DataError, match="No data is chosen"):
        answer(pool.submit(LearningRateRangeTest(chain().model_dump(mode="json")), home))
