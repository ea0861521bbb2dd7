"""Trained runs for the job tests, and the pool that all tests of a process share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from netloom import jobs, runs
from netloom.jobs import Pool, RunWeights
from netloom.store import open_store
from netloom.templates import templates
from tests.runs.examples import trained_here

NAMES = ("breast_cancer", "digits_cnn", "intents_transformer")


class Runs:
    """A data folder with one run per template in NAMES."""

    def __init__(self, home: Path) -> None:
        self.home = home
        store, self.weights = open_store(home), dict[str, RunWeights]()
        for name in NAMES:
            project = templates()[name].project
            short = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 2})})
            with trained_here():
                run_id = runs.start(store, store.create_project(short), short)
            self.weights[name] = RunWeights(
                run_id, "best", open_store(self.home).artifacts(run_id).weights_written_at()
            )

    def folder(self, run_id: str) -> Path:
        return open_store(self.home).artifacts(run_id).local_directory()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    home = tmp_path_factory.mktemp("jobs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETLOOM_HOME", str(home))
        patch.delenv("NETLOOM_DATABASE_URL", raising=False)
        yield Runs(home)


@pytest.fixture
def pool() -> Pool:
    return jobs.pool()
