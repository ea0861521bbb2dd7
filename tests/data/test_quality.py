"""The data quality report: each fault is planted, and each check stays silent without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from netloom.data import DataError, Prepared, add_file, bigram_entropy, prepare, statistics
from netloom.data.preparation.deduplication import without_repeats
from netloom.data.quality import Finding, Report, quality_checks, report
from netloom.data.quality.association import explained_variance, purity, rank_association
from netloom.data.quality.checks.label_noise import doubts
from netloom.data.quality.checks.outliers import outliers
from netloom.data.quality.checks.split_drift import chi_squared, kolmogorov_smirnov
from netloom.data.quality.near_duplicates import near_texts
from netloom.document import DataChoice, Project, apply, blank
from tests.data.brought import npz
from tests.data.samples import (
    ROWS,
    csv_from_columns,
    example_columns,
    image_bytes,
    import_and_prepare,
    make_deflated_zip,
)

RANDOM = np.random.default_rng(4)
COUNT = 400


def clean(**more: Any) -> dict[str, Any]:
    """A table of two separable classes without faults."""
    random = np.random.default_rng(0)
    label = np.arange(COUNT) % 2
    numbers = {f"n{index}": random.normal(size=COUNT) + 3 * label for index in range(6)}
    return {**numbers, "kind": random.choice(["a", "b", "c"], COUNT), "label": np.array(["no", "yes"])[label], **more}


def report_on(table: dict[str, Any] | pd.DataFrame, home: Path, **choice: Any) -> Report:
    """The report on a table."""
    data = import_and_prepare(pd.DataFrame(table).to_csv(index=False).encode(), home)
    name = next(path.name for path in (home / "data").iterdir())
    data_choice = DataChoice(dataset=name, **choice)
    return report(prepare(data_choice, home) if choice else data, data_choice, home)


def findings_of(quality_report: Report, code: str) -> list[Finding]:
    return [finding for finding in quality_report.findings if finding.code == code]


def single_finding(quality_report: Report, code: str) -> Finding:
    (finding,) = findings_of(quality_report, code)
    return finding


def test_clean_table_has_no_findings(home: Path) -> None:
    quality_report = report_on(clean(), home)
    assert [finding.message for finding in quality_report.findings] == []
    assert len(quality_report.checked) == len(quality_checks())
    assert (quality_report.rows, quality_report.rows_checked) == (COUNT, COUNT)


def test_duplicate_rows_are_counted_and_dropped(home: Path) -> None:
    table = pd.DataFrame(clean())
    copied = pd.concat([table, table.iloc[10:27]], ignore_index=True)
    quality_report = report_on(copied, home)
    finding = single_finding(quality_report, "duplicate_rows")
    assert finding.count == 17
    assert all(
        copied.iloc[[first]].values.tolist() == copied.iloc[[second]].values.tolist() for first, second in finding.pairs
    )
    leaked = single_finding(quality_report, "leakage")
    assert 0 < leaked.count <= 17
    assert leaked.severity == "error"
    choice = fixed_choice(finding, home)
    data = prepare(choice, home)
    assert sum(map(len, data.split.values())) == COUNT
    assert not report(data, choice, home).findings


def fixed_choice(finding: Finding, home: Path) -> DataChoice:
    """The choice of data after the finding's fix."""
    assert finding.fix is not None
    name = next(path.name for path in (home / "data").iterdir())
    before = blank("x").model_copy(update={"data": DataChoice(dataset=name)})
    return apply(before, finding.fix.edit).data


def test_conflicting_labels_are_found(home: Path) -> None:
    table = pd.DataFrame(clean())
    other = table.iloc[:6].assign(label=["yes", "no"] * 3)
    quality_report = report_on(pd.concat([table, other], ignore_index=True), home)
    assert single_finding(quality_report, "conflicting_labels").count == 12
    assert not findings_of(quality_report, "duplicate_rows")


def test_rows_equal_by_chance_are_not_duplicates(home: Path) -> None:
    table = {"a": RANDOM.integers(0, 3, COUNT), "b": RANDOM.choice(["x", "y"], COUNT), "label": np.arange(COUNT) % 2}
    codes = {finding.code for finding in report_on(table, home).findings}
    assert not codes & {"duplicate_rows", "conflicting_labels", "leakage", "near_leakage"}


def test_rows_equal_by_chance_in_dependent_columns_are_not_duplicates(home: Path) -> None:
    # A date becomes several columns, each of which its day determines.
    days = np.datetime64("2024-01-01") + RANDOM.integers(0, 27, COUNT)
    table = {"user": RANDOM.integers(0, 5, COUNT), "day": days.astype(str), "label": np.arange(COUNT) % 2}
    codes = {finding.code for finding in report_on(table, home).findings}
    assert not codes & {"duplicate_rows", "conflicting_labels", "leakage", "near_leakage"}


def test_near_duplicate_rows_across_splits_are_found(home: Path) -> None:
    table = pd.DataFrame(clean())
    near = table.iloc[:40].copy()
    near[[f"n{index}" for index in range(6)]] += RANDOM.normal(scale=1e-3, size=(40, 6))
    both = pd.concat([table, near], ignore_index=True)
    quality_report = report_on(both, home)
    finding = single_finding(quality_report, "near_leakage")
    data = prepare(DataChoice(dataset=next(path.name for path in (home / "data").iterdir())), home)
    train = set(data.split["train"].tolist())
    twin = {row: row + COUNT for row in range(40)} | {row + COUNT: row for row in range(40)}
    assert finding.count == sum(row not in train and other in train for row, other in twin.items())
    assert all(twin[first] == second for first, second in finding.pairs)


def test_quiet_sounds_are_not_near_duplicates(home: Path) -> None:
    random = np.random.default_rng(0)
    waves = random.normal(size=(60, 300, 1)).astype(np.float32)
    waves[40:] *= 0.004  # some are nearly silent
    labels = np.arange(60) % 2
    data = prepare(DataChoice(dataset=add_file(npz(x=waves, y=labels), "x.npz", home).name), home)
    assert not findings_of(report(data, DataChoice()), "near_leakage")
    test_row, train_row = int(data.split["test"][0]), int(data.split["train"][0])
    waves[test_row] = waves[train_row] + random.normal(size=(300, 1)).astype(np.float32) * 0.0002
    data = prepare(DataChoice(dataset=add_file(npz(x=waves, y=labels), "y.npz", home).name), home)
    assert single_finding(report(data, DataChoice()), "near_leakage").count == 1


def test_near_duplicate_images_across_splits_are_found() -> None:
    data = prepare(DataChoice(dataset="shapes"))
    test, train = data.split["test"], data.split["train"]
    pixels = data.inputs["image"].clone()
    noise = torch.randn(20, *pixels.shape[1:], generator=torch.Generator().manual_seed(0))
    pixels[test[:20]] = pixels[train[:20]] * 1.1 + 0.05 * noise  # the same images with another exposure
    planted = replace(data, inputs={"image": pixels})
    finding = single_finding(report(planted, DataChoice(dataset="shapes")), "near_leakage")
    pairs = {(int(first), int(second)) for first, second in zip(test[:20], train[:20], strict=True)}
    assert finding.count == 20
    assert set(finding.pairs) == pairs
    assert not findings_of(report(data, DataChoice(dataset="shapes")), "near_leakage")


def test_near_texts_match_shingle_jaccard_similarity() -> None:
    texts = [f"sentence number {word} of a {word} corpus about {word}" for word in RANDOM.permutation(10_000)[:60]]
    texts += [text.replace("sentence", "Sentence") + "!" for text in texts[:7]]
    test_rows = np.arange(60, 67)

    def shingles(text: str) -> set[str]:
        text = text.lower()
        return {text[index : index + 5] for index in range(len(text) - 4)}

    expected = {
        (int(test_row), two)
        for test_row in test_rows
        for two in range(60)
        if len(shingles(texts[test_row]) & shingles(texts[two])) / len(shingles(texts[test_row]) | shingles(texts[two]))
        >= 0.8
    }
    assert len(expected) >= 7
    assert set(near_texts(texts, np.arange(60), test_rows)) == expected


@pytest.mark.parametrize("missing", [0, 40])
def test_columns_leaking_the_target_are_found(home: Path, missing: int) -> None:
    label = RANDOM.integers(0, 3, COUNT)
    leak = np.array([5.0, -1.0, 2.0])[label]  # not monotonic, so a correlation with the class indices would miss it
    leak[:missing] = np.nan
    table = clean(code=leak, name=np.array(["x", "y", "z"])[label], fair=RANDOM.normal(size=COUNT) + label, label=label)
    assert [finding.columns for finding in findings_of(report_on(table, home), "gives_away")] == [("code",), ("name",)]


def test_number_linear_in_the_target_is_found(home: Path) -> None:
    price = RANDOM.normal(size=COUNT)
    table = {"euros": price * -1.1 + 3, "near": price + RANDOM.normal(size=COUNT), "price": price}
    assert [finding.columns for finding in findings_of(report_on(table, home), "gives_away")] == [("euros",)]


def test_association_measures_match_scikit_learn() -> None:
    from sklearn.feature_selection import f_classif, r_regression

    values, label = RANDOM.normal(size=200), RANDOM.integers(0, 3, 200)
    values += label
    f, _ = f_classif(values[:, None], label)
    assert explained_variance(values, label, 3) == pytest.approx(2 * f[0] / (2 * f[0] + 197))
    other = RANDOM.normal(size=200) + values
    assert explained_variance(values, other, 0) == pytest.approx(r_regression(values[:, None], other)[0] ** 2)
    assert rank_association(np.exp(5 * values), values, 0) == pytest.approx(1), "not linear, but the same ranking"
    assert rank_association(np.exp(5 * values), -values, 0) == pytest.approx(1)
    assert rank_association(RANDOM.normal(size=200), values, 0) < 0.1
    assert purity(["a", "b"] * 50, [0, 1] * 50) == 1
    assert purity(["a"] * 100, [0] * 90 + [1] * 10) == 0


def test_imbalanced_and_small_classes_are_reported(home: Path) -> None:
    label = np.array(["usual"] * 360 + ["some"] * 33 + ["few"] * 7)
    quality_report = report_on(clean(label=label), home)
    imbalance = single_finding(quality_report, "imbalance")
    assert (imbalance.count, "'few'" in imbalance.message) == (7, True)
    assert imbalance.plot is not None
    assert dict(zip(imbalance.plot.names, imbalance.plot.series["rows"], strict=True)) == {
        "few": 7,
        "some": 33,
        "usual": 360,
    }
    assert imbalance.fix is not None
    project: Project = apply(blank("x"), imbalance.fix.edit)
    assert project.training.class_weights == "balanced"
    assert "'few'" in single_finding(quality_report, "small_classes").message


def test_many_outliers_do_not_mask_each_other() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert not outliers(values).any()
    values[:20] = 1000.0  # their standard deviation is above 200
    assert np.flatnonzero(outliers(values)).tolist() == list(range(20))
    values[20:22] = 9.0, 12.0  # about 10 deviations are allowed
    assert outliers(values)[20:22].tolist() == [False, True]


def test_many_different_far_values_are_a_tail_and_many_equal_ones_a_code() -> None:
    values = np.random.default_rng(0).normal(size=400)
    values[:80] = np.linspace(100, 900, 80)
    assert not outliers(values).any()
    values[:80] = 999
    assert np.flatnonzero(outliers(values)).tolist() == list(range(80))
    values[:30] = np.linspace(100, 900, 30)
    values[30:80] = 0
    assert np.flatnonzero(outliers(values)).tolist() == list(range(30))


def test_outliers_are_found_but_skewed_values_are_not(home: Path) -> None:
    age = RANDOM.normal(40, 9, COUNT)
    age[[3, 50, 77]] = 9999
    quality_report = report_on(clean(age=age, income=RANDOM.lognormal(10, 1, COUNT)), home)
    finding = single_finding(quality_report, "outliers")
    assert (finding.columns, finding.count, finding.rows) == (("age",), 3, (3, 50, 77))


def test_multivariate_outlier_rows_are_found(home: Path) -> None:
    table = pd.DataFrame(clean())
    names = [f"n{index}" for index in range(6)]
    table.loc[[11, 222], names] = [[6, -6, 6, -6, 6, -6], [-6, 6, -6, 6, -6, 6]]
    assert set(single_finding(report_on(table, home), "unusual_rows").rows) == {11, 222}


def test_constant_and_identical_columns_are_found_and_fixed(home: Path) -> None:
    base = clean()
    letters = np.array([{"a": "one", "b": "two", "c": "three"}[value] for value in base["kind"]])
    quality_report = report_on(clean(same=7, word="x", cents=base["n0"] * 100 + 5, other=letters), home)
    assert {listed.columns[0] for listed in findings_of(quality_report, "constant_column")} == {"same", "word"}
    assert [listed.columns for listed in findings_of(quality_report, "identical_columns")] == [
        ("n0", "cents"),
        ("kind", "other"),
    ]
    for finding in (*findings_of(quality_report, "constant_column"), *findings_of(quality_report, "identical_columns")):
        choice = fixed_choice(finding, home)
        after = report(prepare(choice, home), choice, home)
        assert finding.message not in [listed.message for listed in after.findings]


def test_missing_values_and_joint_missingness_are_reported(home: Path) -> None:
    table = pd.DataFrame(clean())
    table.loc[100:159, ["n0", "n1"]] = np.nan
    table.loc[table.index[table.label == "yes"][:40], "n2"] = np.nan
    table.loc[RANDOM.permutation(COUNT)[:50], "kind"] = None
    quality_report = report_on(table, home)
    finding = single_finding(quality_report, "missing_values")
    assert finding.count == table.isna().any(axis=1).sum()
    assert finding.plot is not None
    shares = dict(zip(finding.plot.names, finding.plot.series["missing"], strict=True))
    assert shares == pytest.approx({"n0": 0.15, "n1": 0.15, "n2": 0.1, "kind": 0.125})
    assert single_finding(quality_report, "missing_together").columns == ("n0", "n1")
    assert single_finding(quality_report, "missing_tells").columns == ("n2",)


def test_mixed_type_columns_are_found(home: Path) -> None:
    price = np.array([f"{value:.2f}" for value in RANDOM.normal(50, 9, COUNT)], dtype=object)
    price[[4, 90]] = "unknown"
    grade = RANDOM.choice(["1", "2", "3"], COUNT).astype(object)
    grade[[1, 2, 3]] = "n.b."
    quality_report = report_on(clean(price=price, grade=grade), home)
    assert {(finding.columns[0], finding.count) for finding in findings_of(quality_report, "mixed_types")} == {
        ("price", 2),
        ("grade", 3),
    }


def test_rare_categories_are_found(home: Path) -> None:
    city = RANDOM.choice(["Bonn", "Berlin", "Köln"], COUNT).astype(object)
    city[7] = "Berln"
    finding = single_finding(report_on(clean(city=city), home), "rare_categories")
    assert (finding.columns, finding.count) == (("city",), 1)
    assert "'Berln'" in finding.message


def test_split_drift_is_found(home: Path) -> None:
    data = import_and_prepare(csv_from_columns(clean()), home)
    name = next(path.name for path in (home / "data").iterdir())
    values: np.ndarray = data.raw.numbers["n0"]  # type: ignore[attr-defined]
    order = torch.from_numpy(np.argsort(values, kind="stable"))
    parts = dict(zip(("train", "validation", "test"), (order[:280], order[280:340], order[340:]), strict=True))
    quality_report = report(replace(data, split=parts), DataChoice(dataset=name, split="stratified"), home)
    assert "n0" in {finding.columns[0] for finding in findings_of(quality_report, "split_drift")}
    assert all(
        finding.fix and finding.fix.edit["data"] == {"split": "random"}
        for finding in findings_of(quality_report, "split_drift")
    )


def test_small_differences_of_many_rows_are_no_drift(home: Path) -> None:
    random, count = np.random.default_rng(0), 20_000
    is_test = np.arange(count) % 4 == 3
    numbers = random.normal(0.1 * is_test)  # by a tenth of a standard deviation
    cities = np.where(random.random(count) < 0.5 + 0.05 * is_test, "Bonn", "Berlin")
    moved = random.normal(0.5 * is_test)
    table = pd.DataFrame({"n": numbers, "city": cities, "moved": moved, "label": random.choice(["no", "yes"], count)})
    parts = np.where(is_test, "test", np.where(np.arange(count) % 4 == 2, "valid", "train"))
    assert kolmogorov_smirnov(numbers[~is_test], numbers[is_test])[1] < 1e-6
    counts = np.array([np.unique(cities[part], return_counts=True)[1] for part in (~is_test, is_test)])
    assert chi_squared(counts) < 1e-6
    quality_report = report_on(table.assign(split=parts), home)
    assert [finding.columns for finding in findings_of(quality_report, "split_drift")] == [("moved",)]


def test_drift_p_values_are_calibrated() -> None:
    random = np.random.default_rng(0)
    p_values = [kolmogorov_smirnov(*random.normal(size=(2, 300)))[1] for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.09
    assert kolmogorov_smirnov(random.normal(size=300), random.normal(0.5, size=300))[1] < 1e-4
    shares = np.array([0.5, 0.3, 0.2])
    p_values = [chi_squared(random.multinomial(300, shares, size=2)) for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.09
    assert chi_squared(np.array([[150, 90, 60], [90, 60, 150]])) < 1e-4


def test_chi_squared_pools_rare_values() -> None:
    assert chi_squared(np.array([[90, 60, 2, 3], [30, 40, 3, 2]])) == chi_squared(np.array([[90, 60, 5], [30, 40, 5]]))
    assert chi_squared(np.array([[90, 0], [30, 0]])) == 1.0, "there is only one value"


def test_wrong_labels_are_found(home: Path) -> None:
    table = clean()
    wrong = {3, 58, 101, 222, 377}
    label = np.array([{"no": "yes", "yes": "no"}[value] if row in wrong else value
                      for row, value in enumerate(table["label"])])  # fmt: skip
    finding = single_finding(report_on(table | {"label": label}, home), "label_noise")
    assert wrong & set(finding.rows) == wrong
    assert finding.count <= 8
    assert "folds" in finding.method


def test_label_noise_follows_confident_learning() -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.95, 0.05], [0.1, 0.9], [0.2, 0.8]])
    given_labels = np.array([0, 0, 1, 1, 1])
    # Rows of class 0 get 0.85 for it on average; row 2 is labeled 1 but gets 0.05 for 1 and 0.95 for 0.
    assert doubts(shares, given_labels)[0].tolist() == [2]


def test_empty_texts_are_found(home: Path) -> None:
    texts = [f"this is the sentence {n} of all of them" for n in range(80)]
    texts[5] = texts[9] = " "
    quality_report = report_on({"text": texts, "label": np.arange(80) % 2}, home)
    assert single_finding(quality_report, "empty_examples").count == 2


def test_column_statistics_match_pandas(home: Path) -> None:
    table = pd.DataFrame(example_columns())
    table.loc[::7, "size"] = np.nan
    table.loc[::5, "kind"] = None
    quality = statistics(import_and_prepare(table.to_csv(index=False).encode(), home))
    size, kind = quality.columns
    assert size["missing"] == table["size"].isna().sum()
    assert (size["minimum"], size["maximum"]) == (table["size"].min(), table["size"].max())
    assert size["mean"] == pytest.approx(table["size"].mean())
    assert (kind["missing"], kind["distinct"]) == (table["kind"].isna().sum(), table["kind"].nunique())
    assert quality.classes == table["label"].value_counts().to_dict()
    assert sum(quality.splits.values()) == quality.rows == ROWS
    assert any("missing in 2 columns" in remark for remark in quality.remarks)


def test_leaked_rows_are_counted_for_every_modality(home: Path) -> None:
    texts = [f"this is the sentence {n % 40}" for n in range(ROWS)]
    repeated_columns = {name: RANDOM.normal(size=ROWS // 2).repeat(2) for name in "ab"}
    for content, filename in (
        (csv_from_columns({"text": texts, "label": np.arange(ROWS) % 2}), "texts.csv"),
        (csv_from_columns(repeated_columns | {"label": np.arange(ROWS) // 2 % 2}), "table.csv"),
        (make_deflated_zip({f"{'ab'[n % 2]}/{n}.png": image_bytes(n % 2) for n in range(ROWS)}), "pictures.zip"),
    ):
        data = import_and_prepare(content, home, filename)
        expected = repeated(data)
        assert expected
        assert any(remark.startswith(f"{expected:,} row") for remark in statistics(data).remarks)


def repeated(data: Prepared) -> int:
    """The number of validation and test rows that also occur in training, compared as text."""
    train = {repr(data.row(row)) for row in data.split["train"].tolist()}
    held_out = [*data.split["validation"].tolist(), *data.split["test"].tolist()]
    return sum(repr(data.row(row)) in train for row in held_out)


def test_deduplication_keeps_the_row_of_the_first_split() -> None:
    parts = {"train": np.array([4, 0]), "validation": np.array([1]), "test": np.array([2, 3, 5])}
    values = np.array([[1.0], [2.0], [1.0], [2.0], [-0.0], [0.0]], dtype=np.float32)
    deduplicated = without_repeats(parts, {"x": values}, np.array([0, 0, 0, 1, 0, 1]))
    assert {name: rows.tolist() for name, rows in deduplicated.items()} == {
        "train": [4, 0],
        "validation": [1],
        "test": [3, 5],  # row 2 repeats row 0; rows 3 and 5 have another class
    }
    with pytest.raises(DataError, match="validation row"):
        without_repeats(parts, {"x": np.zeros((6, 1))}, np.arange(6) % 2 * 0)


def test_report_on_a_large_table_uses_a_sample() -> None:
    data = prepare(DataChoice(dataset="moons"))
    repeated_rows = torch.arange(1_000).repeat(30)
    large = replace(
        data,
        inputs={"features": data.inputs["features"][repeated_rows]},
        target=data.target[repeated_rows],
        split={"train": torch.arange(20_000), "validation": torch.arange(20_000, 25_000),
               "test": torch.arange(25_000, 30_000)},
        raw=replace(data.raw, target=data.raw.target[repeated_rows], numbers={  # type: ignore[call-arg]
            name: values[repeated_rows] for name, values in data.raw.numbers.items()  # type: ignore[attr-defined]
        }),
    )  # fmt: skip
    quality_report = report(large, heavy=False)
    assert (quality_report.rows, quality_report.rows_checked) == (30_000, 10_000)


def test_bigram_entropy_requires_next_token_data() -> None:
    for name in ("digits", "intents", "sine"):
        with pytest.raises(DataError, match="next-token"):
            bigram_entropy(prepare(DataChoice(dataset=name)))
