"""Files that workers write."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest

from netloom.export import ExportError, content
from netloom.jobs import Context, Pool
from netloom.jobs.exports import Export, RunArchive
from netloom.runs.history.comparison import as_csv, table
from netloom.store import open_store
from tests.jobs.conftest import Runs
from tests.jobs.test_pool import answer


def test_a_worker_writes_the_same_bytes(trained: Runs, pool: Pool) -> None:
    weights = replace(trained.weights["breast_cancer"], checkpoint="")
    made = answer(pool.submit(Export(weights, "bundle"), trained.home))
    assert made.name.endswith(".zip")
    assert "bit for bit" in made.verdict
    here = content(Context(trained.home).run(weights), "bundle")
    assert (trained.folder(weights.run_id) / made.stored).read_bytes() == here


def test_what_cannot_be_exported_says_why(trained: Runs, pool: Pool) -> None:
    with pytest.raises(ExportError, match="no export format 'cake'"):
        answer(pool.submit(Export(trained.weights["breast_cancer"], "cake"), trained.home))


def test_curves_and_results_are_packed_for_other_programs(trained: Runs, pool: Pool) -> None:
    run_id = trained.weights["breast_cancer"].run_id
    archive = answer(pool.submit(RunArchive((run_id,), "tensorboard", ""), trained.home)).tobytes()
    (name,) = [name for name in zipfile.ZipFile(io.BytesIO(archive)).namelist() if "tfevents" in name]
    assert run_id in name
    store = open_store(trained.home)
    table_there = answer(pool.submit(RunArchive((run_id,), "csv", ""), trained.home)).tobytes().decode()
    assert table_there == as_csv(table(store, [store.run(run_id)]))
