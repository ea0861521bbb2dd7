"""A database that was deleted, emptied or damaged while the folders of runs still exist: no page claims that there are
no runs, and the list is rebuilt from the folders."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from netloom.cli import main
from netloom.runs import control, evaluation, resume, start, tend
from netloom.runs.history import recovery
from netloom.runs.history.records import describe
from netloom.runs.search import sweeps
from netloom.store import RunArtifacts, Store, StoreError, open_store
from netloom.ui.shell import session
from tests.runs.examples import check_curves, moons, trained_here

PAGES = Path(__file__).parents[2] / "pages"
# The data page needs no project and lists no runs.
ALL = ("home", "design", "train", "runs", "explain")


def delete(path: Path) -> None:
    path.unlink()


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def age_folders(home: Path) -> None:
    """Give the folders an age of one minute."""
    for document in home.glob("runs/*/project.json"):
        os.utime(document, (time.time() - 60,) * 2)


def lose_database(store: Store, how: Callable[[Path], None]) -> None:
    store.close()
    session.restart()
    for path in store.home.glob("netloom.db-*"):
        path.unlink()
    how(store.home / "netloom.db")
    age_folders(store.home)


@pytest.fixture
def filled(home: Path) -> tuple[Path, dict[str, str]]:
    """A data folder with two projects: one with a finished run and a killed run, one with a sweep."""
    store = open_store(home)
    first = store.create_project(moons(epochs=2))
    with trained_here():
        finished = start(store, first, moons(epochs=2), title="The good one", owner="ann@desk", tags=("keep",))
        describe(store, finished, notes="Of May")
        other = moons(epochs=1)
        other = other.model_copy(update={"name": "Other"})
        plan = sweeps.plan(other, {"training.seed": {"choices": [1, 2]}}, trials=2, sampler="grid")
        second = store.create_project(other)
        sweeps.start(store, second, other, plan)
        tend(store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "advance", lambda known: None)
        unfinished = start(store, first, moons(epochs=2), title="Cut off")
    store.close()
    return home, {"first": first, "second": second, "done": finished, "cut": unfinished}


@pytest.mark.parametrize("how", [delete, empty_file])
def test_rebuild_restores_runs_and_projects(
    filled: tuple[Path, dict[str, str]], how: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    home, ids = filled
    before = open_store(home)
    original, points = before.run(ids["done"]), before.points(ids["done"])
    assert recovery.rebuild_offer(before) == ""
    lose_database(before, how)
    for arguments in (("runs",), ("evaluate", "last")):
        code = main(["--home", str(home), *arguments])
        output = "".join(capsys.readouterr())
        assert "4 runs have their folders in" in output
        assert "netloom runs rebuild does that" in output
        assert "No runs yet" not in output
        assert code == (0 if arguments == ("runs",) else 2)
    assert main(["--home", str(home), "runs", "rebuild"]) == 0
    assert "4 runs and 2 projects are listed again." in capsys.readouterr().out
    store = open_store(home)
    assert recovery.rebuild_offer(store) == ""
    assert {row.id: row.name for row in store.list_projects()} == {ids["first"]: "Moons", ids["second"]: "Other"}
    assert store.load(ids["second"]).project.main_network == moons().main_network
    restored = store.run(ids["done"])
    names = ("title", "state", "reason", "owner", "notes", "tags", "about", "summary", "epoch", "step", "total_steps")
    assert {name: getattr(restored, name) for name in names} == {name: getattr(original, name) for name in names}
    assert (restored.created_at, restored.started_at, restored.ended_at) == (
        original.created_at,
        original.started_at,
        original.ended_at,
    )
    restored_points = store.points(ids["done"])
    assert (restored_points.step, restored_points.name, restored_points.value, restored_points.at) == (
        points.step,
        points.name,
        points.value,
        points.at,
    )
    assert evaluation(store, ids["done"]) is not None
    assert sorted(run.title for run in store.runs(ids["second"])) == [f"Other: grid sweep · {n}" for n in (1, 2)]
    unfinished = store.run(ids["cut"])
    assert (unfinished.state, unfinished.title) == ("failed", "Cut off")
    assert unfinished.reason.startswith("The database was lost while this run trained. Resume it: it starts again")
    with trained_here():
        resume(store, ids["cut"])
    assert store.run(ids["cut"]).state == "finished"
    check_curves(store.points(ids["cut"]), 2)
    assert recovery.rebuild(store) == recovery.Rebuilt(0, 0, ()), "a second time finds nothing"
    store.close()


def test_rebuild_names_the_parts_of_an_origin_that_it_cannot_read(filled: tuple[Path, dict[str, str]]) -> None:
    home, ids = filled
    store = open_store(home)
    lose_database(store, delete)
    file = home / "runs" / ids["done"] / "run.json"
    record = json.loads(file.read_text())
    record["about"] = {"branch": {"run": 7}, "halted": True, "planet": "Mars"}
    file.write_text(json.dumps(record))
    age_folders(home)
    store = open_store(home)
    rebuilt = recovery.rebuild(store)
    assert rebuilt.unread == (f"{ids['done']} (branch, planet)",)
    assert f"cannot be read: {ids['done']} (branch, planet)." in rebuilt.sentence()
    assert store.run(ids["done"]).about.halted
    store.close()


def test_rebuild_reads_folders_without_records(filled: tuple[Path, dict[str, str]]) -> None:
    home, ids = filled
    before = open_store(home)
    original = before.run(ids["done"])
    lose_database(before, delete)
    for path in [*home.glob("runs/*/run.json"), *home.glob("runs/*/curves*")]:
        path.unlink()
    (home / "runs" / ids["cut"] / "project.json").write_text("{")
    age_folders(home)
    store = open_store(home)
    rebuilt = recovery.rebuild(store)
    assert (rebuilt.runs, rebuilt.projects) == (3, 2)
    assert rebuilt.left_out[0].startswith(ids["cut"])
    restored = store.run(ids["done"])
    assert (restored.state, restored.step, restored.epoch) == ("finished", original.step, original.epoch)
    assert restored.summary.test == original.summary.test
    assert restored.summary.best == original.summary.best
    store.close()


def test_run_being_created_or_deleted_is_not_lost(home: Path) -> None:
    store = open_store(home)
    project_id = store.create_project(moons())
    folder = home / "runs" / "0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b"
    folder.mkdir(parents=True)
    (folder / "project.json").write_text("{}")
    assert recovery.lost_runs(store) == []
    age_folders(home)
    assert [lost.local_directory() for lost in recovery.lost_runs(store)] == [folder]
    run = store.create_run(project_id, moons())
    store.artifacts(run.id).local_directory().mkdir()
    (store.artifacts(run.id).local_directory() / "project.json").write_text("{}")
    age_folders(home)
    assert [lost.local_directory() for lost in recovery.lost_runs(store)] == [folder]
    store.delete_run(run.id)
    assert not store.artifacts(run.id).local_directory().exists()
    store.close()


def test_only_folders_without_a_document_are_deleted(home: Path) -> None:
    """The folder of a deleted run is removed, whatever was written into it meanwhile."""
    from netloom.runs.execution.store_thread import delete_unlisted

    folder = home / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "project.json").write_text("{}")
    delete_unlisted(RunArtifacts.in_directory(folder))
    assert (folder / "project.json").exists()
    (folder / "project.json").unlink()
    (folder / "log.jsonl").write_text("{}")
    delete_unlisted(RunArtifacts.in_directory(folder))
    assert not folder.exists()


def test_damaged_database_error_offers_rebuild(home: Path) -> None:
    open_store(home).close()
    (home / "netloom.db").write_bytes(b"not a database" * 1_000)
    with pytest.raises(StoreError, match="move it away: Netloom then creates a new one, and offers to rebuild"):
        open_store(home)


def test_pages_offer_to_rebuild_the_run_list(filled: tuple[Path, dict[str, str]]) -> None:
    home, _ = filled
    lose_database(open_store(home), empty_file)
    for page in ALL:
        app = AppTest.from_file(str(PAGES / f"{page}.py"), default_timeout=120).run()
        assert not app.exception, page
        warnings = [item.value for item in app.warning]
        assert any("4 runs have their folders in" in text for text in warnings), page
        assert not any("No runs yet" in item.value for item in app.markdown), page
        assert app.button(key="rebuild runs").label == "Rebuild the list of runs"
    app = AppTest.from_file(str(PAGES / "runs.py"), default_timeout=120).run()
    app.button(key="rebuild runs").click().run()
    assert not app.exception
    assert [item.value for item in app.success] == ["4 runs and 2 projects are listed again\\."]
    assert not app.warning
    assert set(app.dataframe[0].value["Title"]) >= {"The good one", "Cut off"}
    session.store().close()
    session.restart()
