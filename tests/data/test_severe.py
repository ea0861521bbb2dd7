"""Findings that invalidate results are detected, counted over all rows, and fixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import DataError, Prepared, add_file, prepare, remove, statistics
from netloom.data.preparation.project_defaults import default_choice, initial_choice, settle, take_back, with_defaults
from netloom.data.quality import quality_view, report
from netloom.data.quality.finding import Finding
from netloom.data.quality.severe_findings import caveats, high_findings
from netloom.data.settings.label_merging import merge, normal
from netloom.document import DataChoice
from netloom.modalities.encoding.category_column import resolve_alias
from netloom.modalities.encoding.rows import encode_rows
from netloom.runs.prediction.trained_run import evaluate, fit_here
from netloom.templates import templates
from netloom.templates.starting import start
from tests.data.brought import png
from tests.data.crafted import make_csv, make_zip

ROWS = 90


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def _labels(row: int) -> str:
    """Test rows (every third) spell their labels differently, and one of them has a unique label."""
    if row % 3:
        return ("cat", "dog", "two words")[row % 9 // 3]
    return "bird" if row == 0 else ("Cat.", "DOG ", "two  words!")[row % 9 // 3]


def _table() -> bytes:
    part = ("test", "train", "train")
    return make_csv("n,kind,split", (f'{row * 7 % 50},"{_labels(row)}",{part[row % 3]}' for row in range(ROWS)))


def _findings(choice: DataChoice, home: Path) -> dict[str, Finding]:
    return {finding.code: finding for finding in high_findings(choice, home)}


def _fixed(choice: DataChoice, finding: Finding) -> DataChoice:
    assert finding.fix is not None
    return DataChoice.model_validate({**choice.model_dump(mode="json"), **finding.fix.edit["data"]})


def _class_counts(data: Prepared, part: str) -> dict[str, int]:
    names, counts = np.unique([data.target_text(row) for row in data.split[part].tolist()], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def test_unseen_label_spellings_are_found_and_merged(home: Path) -> None:
    choice = DataChoice(dataset=add_file(_table(), "a.csv", home).name)
    finding = _findings(choice, home)["unseen_labels"]
    assert finding.message.startswith(
        "30 rows of the 44 validation and test rows have labels of 'kind' that no training"
    )
    assert "'bird'" in finding.advice
    assert finding.count == 30
    assert finding.columns == ("kind",)
    after = _fixed(choice, finding)
    data = prepare(after, home)
    assert data.schema.target.classes == ("bird", "cat", "dog", "two words")
    assert _class_counts(data, "test") == {"bird": 1, "cat": 9, "dog": 10, "two words": 10}
    remaining = _findings(after, home)["unseen_labels"]
    assert remaining.count == 1
    assert remaining.fix is None  # nothing similar in training
    assert "do not have the labels 'bird'" in remaining.advice
    # Statistics also report unseen labels.
    remarks = statistics(prepare(choice, home), choice).remarks
    assert any("that no training row has" in remark for remark in remarks)
    assert not any("have no" in remark for remark in remarks if "'Cat.'" in remark)


def test_folder_label_spellings_are_merged(home: Path) -> None:
    random = np.random.default_rng(0)
    content = make_zip(
        {
            f"{part}/{name}/{i}.png": png(random.integers(0, 255, (8, 8)).astype(np.uint8))
            for part, names in (("train", ("cat", "dog")), ("test", ("Cat", "dog")))
            for name in names
            for i in range(12)
        }
    )
    choice = DataChoice(dataset=add_file(content, "a.zip", home).name)
    assert prepare(choice, home).schema.target.classes == ("Cat", "cat", "dog")
    after = _fixed(choice, _findings(choice, home)["unseen_labels"])
    data = prepare(after, home)
    assert data.schema.target.classes == ("cat", "dog")
    assert _class_counts(data, "test") == {"cat": 12, "dog": 12}
    assert not _findings(after, home)
    with pytest.raises(DataError, match="accepts only 'aliases'"):
        prepare(DataChoice(dataset=choice.dataset, options={"columns": {"class": {"role": "ignore"}}}), home)


@pytest.mark.parametrize("task", ["multi_label", "several_outputs"])
def test_unseen_labels_are_found_for_multiple_targets(home: Path, task: str) -> None:
    if task == "multi_label":
        rows = (f"{r * 7 % 50},{'a;B.' if r % 3 == 0 else ('a;b', 'b;c')[r % 2]},{'etx'[r % 3]}" for r in range(ROWS))
        options: dict[str, Any] = {"target": "y", "task": task}
        table = make_csv("n,y,split", (row[:-1] + {"e": "test", "t": "train", "x": "train"}[row[-1]] for row in rows))
    else:
        rows = (f"{r * 7 % 50},{'B.' if r % 3 == 0 else 'ab'[r % 2]},{r % 5}.5,{r % 3}" for r in range(ROWS))
        table = make_csv("n,y,z,split", (row[:-1] + ("test", "train", "train")[int(row[-1])] for row in rows))
        roles = {"y": {"role": "target"}, "z": {"role": "target"}, "split": {"role": "split"}}
        options = {"target": "y", "task": task, "columns": roles}
    choice = DataChoice(dataset=add_file(table, "a.csv", home, options=options).name)
    finding = _findings(choice, home)["unseen_labels"]
    assert finding.count == 30
    assert finding.fix is not None
    assert "'B.' as 'b'" in finding.fix.title
    after = _fixed(choice, finding)
    data = prepare(after, home)
    classes = data.schema.target.classes or data.schema.target.parts[0].classes
    assert classes == (("a", "b", "c") if task == "multi_label" else ("a", "b"))
    assert "unseen_labels" not in _findings(after, home)


def test_input_aliases_apply_at_prediction(home: Path) -> None:
    rows = (f"{'red' if r % 4 else 'RED'},{'pq'[r % 3 == 0]},{r}" for r in range(60))
    choice = DataChoice(
        dataset=add_file(make_csv("colour,y,n", rows), "a.csv", home, target="y").name,
        options={"columns": {"colour": {"aliases": {"RED": "red"}}}},
    )
    data = prepare(choice, home)
    column: Any = next(encoder.state for encoder in data.fields[0].columns if encoder.name == "colour")
    assert column.values == ["red"]
    assert column.aliases == {"RED": "red"}
    prediction_rows = [{"colour": colour, "n": 3.0} for colour in ("red", "RED", "blue")]
    features = encode_rows(json.loads(json.dumps(data.preprocess.to_json())), prediction_rows)["features"]
    assert features[0].tolist() == features[1].tolist() != features[2].tolist()
    with pytest.raises(DataError, match="has no setting 'aliases'"):
        prepare(choice.model_copy(update={"options": {"columns": {"n": {"aliases": {"1": "2"}}}}}), home)


def test_labels_normalize_and_aliases_resolve() -> None:
    assert {normal(text) for text in ("Two  Words", "two words.", " TWO words !", "two\twords")} == {"two words"}
    assert normal("Two_words") == normal("two-words") == "two words"
    assert len({normal(text) for text in ("C++", "C#", "-1", "1", "_", "a_")}) == 6
    assert resolve_alias("a", {"a": "b", "b": "c"}) == "c"
    assert resolve_alias("a", {"a": "b", "b": "a"}) in ("a", "b")  # and it terminates
    assert merge(["A", "a", "b"], {"A": "a"})[1].tolist() == [0, 0, 1]


def test_unmeasured_classes_name_the_missing_splits(home: Path) -> None:
    # Training has all classes; validation has a and b, test a and c.
    rows = []
    for row in range(240):
        part = ("train", "train", "valid", "test")[row % 4]
        names = {"train": "abcd", "valid": "ab", "test": "ac"}[part]
        rows.append(f"{row},{names[row // 4 % len(names)]},{part}")
    choice = DataChoice(dataset=add_file(make_csv("n,y,split", rows), "a.csv", home).name)
    data = prepare(choice, home)
    message = {finding.code: finding.message for finding in report(data, choice, home, heavy=False).findings}[
        "unmeasured_classes"
    ]
    assert message == ("'b' has no test rows. 'c' has no validation rows. 'd' has no validation rows and no test rows.")


# Of 4,000 test rows, 0.9% can hardly change a score, and 1.5% can.
@pytest.mark.parametrize(("copies", "severity"), [(37, "warning"), (60, "error")])
def test_leakage_counts_all_rows_despite_sampling(copies: int, severity: str, home: Path) -> None:
    random = np.random.default_rng(1)
    numbers = random.random(24_000)
    numbers[20_000 : 20_000 + copies] = numbers[:copies]  # the test split repeats training rows
    gaps = random.random(24_000) < 0.2
    parts = ["train"] * 18_000 + ["valid"] * 2_000 + ["test"] * 4_000
    rows = (
        f"{value:.17g},{'' if gap else round(value, 3)},{'pq'[row % 2]},{parts[row]}"
        for row, (value, gap) in enumerate(zip(numbers, gaps, strict=True))
    )
    table = make_csv("n,m,y,split", rows).decode().splitlines()
    for copy in range(copies):
        table[20_001 + copy] = f"{table[1 + copy].rpartition(',')[0]},test"
    choice = DataChoice(dataset=add_file("\n".join(table).encode(), "a.csv", home).name)
    findings_by_code = {
        finding.code: finding for finding in report(prepare(choice, home), choice, home, heavy=False).findings
    }
    share = findings_by_code["leakage"]
    assert (share.count, share.severity) == (copies, severity)
    assert share.message.startswith(
        f"{copies} rows of the 6,000 validation and test rows have the same inputs as training"
    )
    assert all(second == first - 20_000 for first, second in share.pairs)
    assert findings_by_code["missing_values"].message.endswith("(in a sample of 10,000 of 24,000 rows).")
    beside_scores = [finding.code for finding in caveats(high_findings(choice, home))]
    assert beside_scores == (["leakage"] if severity == "error" else [])


def test_copies_that_a_sample_misses_are_estimated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample with 42% of the rows has about 17% of the copies together with their training rows."""
    monkeypatch.setattr(quality_view, "MAX_HASHED_BYTES", 0)
    numbers = np.random.default_rng(1).random((24_000, 2))
    numbers[20_000:20_080] = numbers[:80]  # 2% of the test rows
    parts = ["train"] * 18_000 + ["valid"] * 2_000 + ["test"] * 4_000
    rows = (f"{n:.12f},{m:.12f},{'ab'[row % 2]},{parts[row]}" for row, (n, m) in enumerate(numbers))
    choice = DataChoice(dataset=add_file(make_csv("n,m,y,split", rows), "a.csv", home).name)
    [leaked] = [item for item in report(prepare(choice, home), choice, home).findings if item.code == "leakage"]
    assert leaked.count < 0.01 * 4_000 * 10_000 / 24_000
    assert leaked.severity == "error"


@pytest.mark.parametrize("kind", ["stretches", "monotone", "categories of numbers"])
def test_columns_determining_the_target_are_found(home: Path, kind: str) -> None:
    random = np.random.default_rng(2)
    numbers, noise = random.random(300), random.random(300)
    if kind == "stretches":
        rows = [f"{v},{w},{'abc'[int(v > 0.3) + int(v > 0.6)]}" for v, w in zip(numbers, noise, strict=True)]
    elif kind == "monotone":
        rows = [f"{v**9},{w},{v * 100:.6f}" for v, w in zip(numbers, noise, strict=True)]
    else:
        rows = [f"g{int(v * 6)},{w},{10 * int(v * 6) + w / 100}" for v, w in zip(numbers, noise, strict=True)]
    choice = DataChoice(dataset=add_file(make_csv("tells,noise,y", rows), "a.csv", home).name)
    findings_by_code = _findings(choice, home)
    assert findings_by_code["gives_away"].columns == ("tells",)
    assert not _findings(_fixed(choice, findings_by_code["gives_away"]), home)


# ---------------------------------------------------------------- where findings are shown and what new projects
# inherit


def _leaking(home: Path) -> str:
    rows = (f"{row * 7 % 50},{'yn'[row % 2]},{row % 2}" for row in range(80))
    return add_file(make_csv("n,alive,label", rows), "a.csv", home, target="label").name


def test_new_projects_inherit_dataset_defaults(home: Path) -> None:
    name = _leaking(home)
    fix = _findings(DataChoice(dataset=name), home)["gives_away"].fix
    assert fix is not None
    settle(name, fix.edit, home)
    settle(name, {"kind": "project", "training": {"class_weights": "balanced"}, "data": {"seed": 7}}, home)
    choice = default_choice(name, home)
    assert choice.options == {"columns": {"alive": {"role": "ignore"}}}
    assert choice.seed == 0  # seeds belong to projects
    assert "gives_away" not in _findings(choice, home)
    project = start(templates()["breast_cancer"], choice, "a", home)
    assert project is not None
    assert project.data == choice
    assert project.training.class_weights == "balanced"
    # Settings of the document take precedence, one by one.
    document_choice = DataChoice(
        dataset=name, seed=3, options={"columns": {"alive": {"encode": "hash"}, "n": {"scale": "none"}}}
    )
    assert with_defaults(document_choice, home).options["columns"] == {
        "alive": {"role": "ignore", "encode": "hash"},
        "n": {"scale": "none"},
    }
    assert with_defaults(document_choice, home).seed == 3
    # Existing choices and built-in data are unchanged.
    assert prepare(DataChoice(dataset=name), home).schema.inputs[0].shape == (4,)
    settle("wine", {"data": {"duplicates": "drop"}}, home)
    assert default_choice("wine", home).duplicates == "drop"
    take_back("wine", home)
    assert default_choice("wine", home) == DataChoice(dataset="wine")
    with pytest.raises(ValueError, match="epochs"):
        settle(name, {"training": {"epochs": -3}}, home)
    defaults_file = home / "data" / "defaults" / f"{name}.json"
    assert defaults_file.exists()
    remove(name, home)
    assert not defaults_file.exists()
    with pytest.raises(DataError):
        settle(name, fix.edit, home)


def test_damaged_defaults_file_is_ignored(home: Path) -> None:
    name = _leaking(home)
    settle(name, {"data": {"duplicates": "drop"}}, home)
    for content in ("", "[1]", '{"data": {"split": "no such"}, "training": {}}', '{"data": 3, "training": {}}'):
        (home / "data" / "defaults" / f"{name}.json").write_text(content)
        assert default_choice(name, home) == initial_choice(name, home)


def test_evaluation_carries_data_caveats(home: Path) -> None:
    choice = DataChoice(dataset=_leaking(home))
    project = start(templates()["breast_cancer"], choice, "a", home)
    assert project is not None
    training = project.training.model_copy(update={"epochs": 1, "device": "cpu"})
    evaluation = evaluate(fit_here(project.model_copy(update={"training": training}), home))
    assert [caveat.code for caveat in evaluation.caveats] == ["gives_away"]
    assert "'alive'" in json.loads(json.dumps(evaluation.as_json()))["caveats"][0]["message"]
