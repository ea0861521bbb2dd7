"""A setting that changes during training is named wherever the run is compared or reported."""

from __future__ import annotations

from pathlib import Path

from netloom.runs.history.comparison import CHANGED, table
from netloom.runs.history.setting_changes import ChangeLog, change_sentence
from netloom.store import Run, Store, open_store
from tests.runs.examples import moons


def create_run(store: Store) -> Run:
    return store.create_run(store.create_project(moons()), moons())


def test_comparison_names_setting_changes(home: Path) -> None:
    store = open_store(home)
    unchanged, changed = create_run(store), create_run(store)
    assert CHANGED not in table(store, [unchanged, changed])[0]
    log = ChangeLog(changed, 0)
    log.add("learning_rate", 0.01, 0.001, 1_200, 4)
    log.add("schedule", "constant", "constant", 1_250, 4)  # nothing changed
    log.add("schedule", "constant", "cosine", 1_300, 4)
    store.update_run(changed.id, summary=log.facts())
    rows = table(store, [store.run(unchanged.id), store.run(changed.id)])
    assert [row[CHANGED] for row in rows] == [
        "",
        "learning rate 0.01 → 0.001 at step 1,200; learning-rate schedule constant → cosine at step 1,300",
    ]
    sentence = change_sentence(store.run(changed.id).summary.changes[0])
    assert sentence == "The learning rate was changed from 0.01 to 0.001 during the run, at step 1,200 (epoch 5)."


def test_resume_drops_changes_after_its_checkpoint(home: Path) -> None:
    store = open_store(home)
    run = create_run(store)
    log = ChangeLog(run, 0)
    log.add("learning_rate", 0.01, 0.1, 100, 0)
    log.add("learning_rate", 0.1, 0.2, 200, 1)
    store.update_run(run.id, summary=log.facts())
    resumed = ChangeLog(store.run(run.id), 150)
    assert resumed.facts().changes == store.run(run.id).summary.changes[:1]
