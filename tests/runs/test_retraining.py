"""Runs that go on from the weights of another one, on a version of its data."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from netloom import runs
from netloom.core.errors import DataError
from netloom.data import Prepared, add_file, prepare
from netloom.data.dataset_version import make_version
from netloom.data.preparation.fitted_state import with_fitted
from netloom.document import DataChoice, Project, updated
from netloom.modalities.encoding.tokenization import PAD, UNKNOWN
from netloom.monitoring.labeled import true_label_of
from netloom.monitoring.promotion import compare_for_promotion
from netloom.runs.derived import reproduction
from netloom.runs.derived.retraining import remark, retrain, why_not
from netloom.store import open_store
from netloom.templates import templates
from netloom.templates.starting import fit
from netloom.training.weights.weight_files import read_weights
from tests.networks import with_rows
from tests.runs.examples import trained_here


def project_of(home: Path) -> Project:
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    frame = pd.DataFrame({"x": x, "group": random.choice(["a", "b"], 200), "label": np.where(x > 0, "yes", "no")})
    info = add_file(frame.to_csv(index=False).encode(), "rows.csv", home, target="label")
    fitted = fit(templates()["breast_cancer"].project, DataChoice(dataset=info.name), "Rows", home)
    assert fitted is not None
    return fitted.project.model_copy(update={"training": updated(fitted.project.training, {"epochs": 1})})


def version_of(project: Project, home: Path, group: str = "a") -> str:
    data = prepare(project.data, home)
    return make_version(data, [({"x": 0.1, "group": group}, "no")] * 5, home, f"More {group}").name


def test_run_starts_from_the_weights_on_the_same_test_rows(home: Path) -> None:
    store, project = open_store(home), project_of(home)
    with trained_here():
        first = runs.start(store, store.create_project(project), project)
        store.artifacts(first).chat.save_policy("{}")
        second = retrain(store, first, version_of(project, home))
    assert (store.artifacts(second).chat.policy(), store.artifacts(second).chat.tests()) == (b"{}", b"")
    assert store.run(second).state == "finished"
    assert store.run(second).title.endswith(", retrained")
    before, after = store.artifacts(first), store.artifacts(second)
    start = read_weights(after.start_weights)
    best = read_weights(before.best_weights)
    assert all(torch.equal(start[name], values) for name, values in best.items())
    old, new = (prepare(item.project().data, home) for item in (before, after))
    assert len(new.split["train"]) == len(old.split["train"]) + 5
    for split in ("validation", "test"):
        rows = [[data.row(index) for index in sorted(data.split[split].tolist())] for data in (old, new)]
        assert rows[0] == rows[1]


def test_new_words_and_categories_are_unknown_to_the_kept_vocabulary(home: Path) -> None:
    """The network keeps the sizes of its embeddings, and old rows keep their encodings to the bit."""
    store, project = open_store(home), project_of(home)
    with trained_here():
        first = runs.start(store, store.create_project(project), project)
        second = retrain(store, first, version_of(project, home, group="new"))
        again = reproduction.repeat(store, second)
    assert {store.run(run).state for run in (first, second, again)} == {"finished"}
    before, after = (runs.load_run(store, run).data for run in (first, second))
    assert after.preprocess == before.preprocess
    fresh = prepare(store.artifacts(second).project().data, home)
    assert fresh.preprocess != before.preprocess, "fitted anew, the data would have one more category"
    added = [index for index in after.split["train"].tolist() if after.row(index)["group"] == "new"]
    assert len(added) == 5
    old, new = (sorted(data.split["test"].tolist()) for data in (before, after))
    assert torch.equal(before.inputs["features"][old], after.inputs["features"][new])
    assert store.artifacts(again).preprocess() == before.preprocess.to_json()


def test_texts_retrain_with_new_words(home: Path) -> None:
    template = templates()["reviews_lstm"].project
    choice = template.data
    data = prepare(choice, home)
    label = data.schema.target.classes[0]
    info = make_version(data, [({"text": "zyzzyva quokka"}, label)] * 3, home, "New words")
    version = prepare(choice.model_copy(update={"dataset": info.name, "split": "given", "options": {}}), home)
    assert version.schema.inputs[0].vocabulary != data.schema.inputs[0].vocabulary
    assert why_not(data, version) == ""
    kept = with_fitted(version, data.preprocess)
    assert kept.schema.inputs == data.schema.inputs
    added = next(index for index in kept.split["train"].tolist() if kept.row(index)["text"] == "zyzzyva quokka")
    assert kept.inputs["text"][added, :3].tolist() == [UNKNOWN, UNKNOWN, PAD]


def test_weights_are_not_used_for_other_classes_fields_or_targets(home: Path) -> None:
    store, project = open_store(home), project_of(home)
    with trained_here():
        first = runs.start(store, store.create_project(project), project)
    other = pd.DataFrame(
        {"size": range(60), "label": ["yes", "no"] * 30, "split": ["train", "train", "val", "test"] * 15}
    )
    info = add_file(other.to_csv(index=False).encode(), "other.csv", home, target="label")
    with pytest.raises(DataError, match="columns of this data differ"):
        retrain(store, first, info.name)
    with pytest.raises(DataError, match="choose a version of the run's dataset"):
        retrain(store, first, "digits")
    assert len(store.runs(store.run(first).project_id)) == 1

    def data_of(name: str) -> Prepared:
        return prepare(templates()[name].project.data, home)

    before = data_of("breast_cancer")
    info = make_version(before, [], home, "alphabetical")
    version = prepare(templates()["breast_cancer"].project.data.model_copy(update={"dataset": info.name}), home)
    assert version.schema.target.classes != before.schema.target.classes
    assert why_not(before, version) == ""
    ordered = with_fitted(version, before.preprocess)
    assert ordered.schema.target.classes == before.schema.target.classes
    names = [[data.target_text(int(place)) for place in data.split["train"][:20]] for data in (version, ordered)]
    assert names[0] == names[1]
    renamed = dataclasses.replace(version, raw=dataclasses.replace(version.raw, classes=("benign", "other")))
    reason = why_not(before, renamed)
    assert "depend on the classes" in reason
    assert "start a new run" in reason
    assert "The target of the new data is numbers" in why_not(before, data_of("diabetes"))
    digits = data_of("digits_mlp")
    info = make_version(digits, [], home, "the same digits")
    choice = templates()["digits_mlp"].project.data.model_copy(update={"dataset": info.name, "split": "given"})
    assert why_not(digits, prepare(choice, home)) == ""
    larger = io.BytesIO()
    np.savez(larger, x_train=np.random.default_rng(0).integers(0, 17, (60, 10, 10)), y_train=np.arange(60) % 10)
    info = add_file(larger.getvalue(), "larger.npz", home, kind="arrays", options={"task": "classification"})
    reason = why_not(digits, prepare(DataChoice(dataset=info.name), home))
    assert "has the shape 1 × 10 × 10, but the run was trained on 1 × 8 × 8" in reason


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("requests_tagger", 400),
        ("dates_gru", 1_000),
        ("station_dlinear", None),
        ("commands_joint", 400),
        ("shapes_unet", 60),
        ("shapes_detector", 60),
        ("spoken_cnn", 60),
    ],
)
def test_corrected_tags_texts_and_forecasts_retrain_the_run(
    name: str, rows: int | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = templates()[name].project if rows is None else with_rows(templates()[name].project, rows)
    project = project.model_copy(update={"training": updated(project.training, {"epochs": 0})})
    store = open_store(home)
    with trained_here():
        first = runs.start(store, store.create_project(project), project)
        old = runs.load_run(store, first)
        true_label = true_label_of(old)
        assert true_label is not None
        row = {field: np.asarray(value).tolist() for field, value in old.data.row(0).items()}
        [label] = true_label.of_rows(old.data, np.array([0]))
        typed = label if true_label.painted else true_label.parse(true_label.text(label))
        true_label.check_row(old.data, row, typed)
        assert true_label.error(typed, label) < 1e-3
        assert true_label.error(runs.predict(old, [row])[0]["prediction"], label) > 0, "an untrained network"
        version = make_version(old.data, [(row, typed)], home, "Corrected")
        second = retrain(store, first, version.name)
    new = runs.load_run(store, second)
    assert store.run(second).state == "finished"
    assert len(new.data.split["train"]) == len(old.data.split["train"]) + 1
    assert runs.predict(new, [row]) == runs.predict(old, [row]), "no epoch was trained from the same weights"
    # The version stores rows in another form, such as lists of words; its training rows are found all the same
    monkeypatch.setattr("netloom.monitoring.promotion.MAX_ROWS", 4)
    assert compare_for_promotion(new, old, [(row, typed)]).trained_on == 1
    place = int(old.data.split["train"][0])
    known = old.data.split | {"test": torch.tensor([place, *old.data.split["test"][:3].tolist()])}
    leaking = dataclasses.replace(old, data=dataclasses.replace(old.data, split=known))
    assert compare_for_promotion(new, leaking, []).left_out == 1


def test_answers_with_unknown_characters_get_a_remark(home: Path) -> None:
    data = prepare(templates()["dates_gru"].project.data, home)
    row = {name: np.asarray(value).tolist() for name, value in data.row(0).items()}
    known, unknown = (make_version(data, [(row, text)], home, text) for text in (data.target_text(0), "ß→1"))
    before, after = (prepare(DataChoice(dataset=info.name, split="given"), home) for info in (known, unknown))
    assert remark(data, before) == ""
    assert remark(data, after).startswith(
        "The answers of the new data have 2 characters that the run does not know: 'ß', '→'. It learns to write the"
    )
    assert remark(prepare(templates()["digits_mlp"].project.data, home), after) == ""
