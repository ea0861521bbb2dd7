"""Export jobs."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from netloom.export import ExportError, export
from netloom.export.model_card import export_card
from netloom.jobs import Context, Pool
from netloom.jobs.requests.exports import Export, RunArchive
from netloom.runs.history.comparison import as_csv, table
from netloom.store import open_store
from tests.jobs.conftest import Runs
from tests.jobs.test_pool import job_result


def test_worker_export_matches_local_bytes(trained: Runs, pool: Pool, tmp_path: Path) -> None:
    weights = replace(trained.weights["breast_cancer"], checkpoint="")
    exported = job_result(pool.submit(Export(weights, "bundle"), trained.home))
    assert exported.name.endswith(".zip")
    assert "bit for bit" in exported.verdict
    context = Context(trained.home)
    run = context.run(weights)
    local = tmp_path / "local.zip"
    export(run, "bundle", local, export_card(open_store(trained.home), run))
    assert (trained.folder(weights.run_id) / exported.stored).read_bytes() == local.read_bytes()


def test_unknown_export_format_is_refused(trained: Runs, pool: Pool) -> None:
    with pytest.raises(ExportError, match="no export format 'cake'"):
        job_result(pool.submit(Export(trained.weights["breast_cancer"], "cake"), trained.home))


def test_run_archives_contain_tensorboard_and_csv(trained: Runs, pool: Pool) -> None:
    run_id = trained.weights["breast_cancer"].run_id
    archive = job_result(pool.submit(RunArchive((run_id,), "tensorboard", ""), trained.home)).tobytes()
    (name,) = [name for name in zipfile.ZipFile(io.BytesIO(archive)).namelist() if "tfevents" in name]
    assert run_id in name
    store = open_store(trained.home)
    csv_text = job_result(pool.submit(RunArchive((run_id,), "csv", ""), trained.home)).tobytes().decode()
    assert csv_text == as_csv(table(store, [store.run(run_id)]))
