"""What is said about data before anybody trains on it: each fault is planted, and each check is silent without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from netloom.data import DataError, Prepared, add_file, bigram_entropy, prepare, statistics
from netloom.data.builtin_registry import builtin
from netloom.data.quality import Finding, Report, quality_checks, report, without_repeats
from netloom.data.quality.association import explained_variance, purity, rank_association
from netloom.data.quality.checks.label_noise import doubts
from netloom.data.quality.checks.outliers import outliers
from netloom.data.quality.checks.split_drift import chi_squared, kolmogorov_smirnov
from netloom.data.quality.near_duplicates import near_texts
from netloom.document import DataChoice, Project, apply, blank
from tests.data.brought import npz
from tests.data.samples import ROWS, columns, csv, pack, picture, read, whole

RANDOM = np.random.default_rng(4)
COUNT = 400


def clean(**more: Any) -> dict[str, Any]:
    """A table that nothing is wrong with, of two classes that are easily told apart."""
    random = np.random.default_rng(0)
    label = np.arange(COUNT) % 2
    numbers = {f"n{place}": random.normal(size=COUNT) + 3 * label for place in range(6)}
    return {**numbers, "kind": random.choice(["a", "b", "c"], COUNT), "label": np.array(["no", "yes"])[label], **more}


def looked(table: dict[str, Any] | pd.DataFrame, home: Path, **choice: Any) -> Report:
    """The report on a table."""
    data = read(pd.DataFrame(table).to_csv(index=False).encode(), home)
    name = next(path.name for path in (home / "data").iterdir())
    made = DataChoice(dataset=name, **choice)
    return report(prepare(made, home) if choice else data, made, home)


def found(made: Report, code: str) -> list[Finding]:
    return [finding for finding in made.findings if finding.code == code]


def only(made: Report, code: str) -> Finding:
    (finding,) = found(made, code)
    return finding


def test_nothing_is_found_in_a_clean_table(home: Path) -> None:
    made = looked(clean(), home)
    assert [finding.message for finding in made.findings] == []
    assert len(made.checked) == len(quality_checks())
    assert (made.rows, made.looked_at) == (COUNT, COUNT)


@pytest.mark.parametrize("name", sorted(builtin()))
def test_nothing_is_held_against_what_comes_with_netloom(name: str) -> None:
    assert statistics(whole(name)).remarks == []


def test_repeated_rows_are_counted_and_can_be_dropped(home: Path) -> None:
    table = pd.DataFrame(clean())
    copied = pd.concat([table, table.iloc[10:27]], ignore_index=True)
    made = looked(copied, home)
    finding = only(made, "duplicate_rows")
    assert finding.count == 17
    assert all(copied.iloc[[one]].values.tolist() == copied.iloc[[two]].values.tolist() for one, two in finding.pairs)
    leaked = only(made, "leakage")
    assert 0 < leaked.count <= 17
    assert leaked.severity == "error"
    choice = mended(finding, home)
    data = prepare(choice, home)
    assert sum(map(len, data.split.values())) == COUNT
    assert not report(data, choice, home).findings


def mended(finding: Finding, home: Path) -> DataChoice:
    """The choice of data after the finding's fix."""
    assert finding.fix is not None
    name = next(path.name for path in (home / "data").iterdir())
    before = blank("x").model_copy(update={"data": DataChoice(dataset=name)})
    return apply(before, finding.fix.edit).data


def test_equal_rows_of_other_classes_are_named(home: Path) -> None:
    table = pd.DataFrame(clean())
    other = table.iloc[:6].assign(label=["yes", "no"] * 3)
    made = looked(pd.concat([table, other], ignore_index=True), home)
    assert only(made, "conflicting_labels").count == 12
    assert not found(made, "duplicate_rows")


def test_rows_that_are_alike_by_chance_are_no_duplicates(home: Path) -> None:
    table = {"a": RANDOM.integers(0, 3, COUNT), "b": RANDOM.choice(["x", "y"], COUNT), "label": np.arange(COUNT) % 2}
    codes = {finding.code for finding in looked(table, home).findings}
    assert not codes & {"duplicate_rows", "conflicting_labels", "leakage", "near_leakage"}


def test_nearly_equal_rows_across_the_split_are_found(home: Path) -> None:
    table = pd.DataFrame(clean())
    near = table.iloc[:40].copy()
    near[[f"n{place}" for place in range(6)]] += RANDOM.normal(scale=1e-3, size=(40, 6))
    both = pd.concat([table, near], ignore_index=True)
    made = looked(both, home)
    finding = only(made, "near_leakage")
    data = prepare(DataChoice(dataset=next(path.name for path in (home / "data").iterdir())), home)
    train = set(data.split["train"].tolist())
    twin = {row: row + COUNT for row in range(40)} | {row + COUNT: row for row in range(40)}
    assert finding.count == sum(row not in train and other in train for row, other in twin.items())
    assert all(twin[one] == two for one, two in finding.pairs)


def test_faint_sounds_are_not_taken_for_copies_and_copies_are(home: Path) -> None:
    random = np.random.default_rng(0)
    waves = random.normal(size=(60, 300, 1)).astype(np.float32)
    waves[40:] *= 0.004  # some are nearly silent
    labels = np.arange(60) % 2
    data = prepare(DataChoice(dataset=add_file(npz(x=waves, y=labels), "x.npz", home).name), home)
    assert not found(report(data, DataChoice()), "near_leakage")
    held, known = int(data.split["test"][0]), int(data.split["train"][0])
    waves[held] = waves[known] + random.normal(size=(300, 1)).astype(np.float32) * 0.0002
    data = prepare(DataChoice(dataset=add_file(npz(x=waves, y=labels), "y.npz", home).name), home)
    assert only(report(data, DataChoice()), "near_leakage").count == 1


def test_nearly_equal_pictures_across_the_split_are_found() -> None:
    data = prepare(DataChoice(dataset="shapes"))
    test, train = data.split["test"], data.split["train"]
    pixels = data.inputs["image"].clone()
    noise = torch.randn(20, *pixels.shape[1:], generator=torch.Generator().manual_seed(0))
    pixels[test[:20]] = pixels[train[:20]] * 1.1 + 0.05 * noise  # another exposure of the same
    planted = replace(data, inputs={"image": pixels})
    finding = only(report(planted, DataChoice(dataset="shapes")), "near_leakage")
    pairs = {(int(one), int(two)) for one, two in zip(test[:20], train[:20], strict=True)}
    assert finding.count == 20
    assert set(finding.pairs) == pairs
    assert not found(report(data, DataChoice(dataset="shapes")), "near_leakage")


def test_texts_are_near_where_they_share_most_runs_of_letters() -> None:
    texts = [f"sentence number {word} of a {word} corpus about {word}" for word in RANDOM.permutation(10_000)[:60]]
    texts += [text.replace("sentence", "Sentence") + "!" for text in texts[:7]]
    held = np.arange(60, 67)

    def shingles(text: str) -> set[str]:
        text = text.lower()
        return {text[place : place + 5] for place in range(len(text) - 4)}

    expected = {
        (int(one), two)
        for one in held
        for two in range(60)
        if len(shingles(texts[one]) & shingles(texts[two])) / len(shingles(texts[one]) | shingles(texts[two])) >= 0.8
    }
    assert len(expected) >= 7
    assert set(near_texts(texts, np.arange(60), held)) == expected


@pytest.mark.parametrize("missing", [0, 40])
def test_columns_that_give_the_target_away_are_found(home: Path, missing: int) -> None:
    label = RANDOM.integers(0, 3, COUNT)
    leak = np.array([5.0, -1.0, 2.0])[label]  # in no order that a correlation with the class numbers would find
    leak[:missing] = np.nan
    table = clean(code=leak, name=np.array(["x", "y", "z"])[label], fair=RANDOM.normal(size=COUNT) + label, label=label)
    assert [one.columns for one in found(looked(table, home), "gives_away")] == [("code",), ("name",)]


def test_a_number_that_equals_the_number_to_predict_is_found(home: Path) -> None:
    price = RANDOM.normal(size=COUNT)
    table = {"euros": price * -1.1 + 3, "near": price + RANDOM.normal(size=COUNT), "price": price}
    assert [one.columns for one in found(looked(table, home), "gives_away")] == [("euros",)]


def test_what_a_column_tells_is_what_scikit_learn_says() -> None:
    from sklearn.feature_selection import f_classif, r_regression

    values, label = RANDOM.normal(size=200), RANDOM.integers(0, 3, 200)
    values += label
    f, _ = f_classif(values[:, None], label)
    assert explained_variance(values, label, 3) == pytest.approx(2 * f[0] / (2 * f[0] + 197))
    other = RANDOM.normal(size=200) + values
    assert explained_variance(values, other, 0) == pytest.approx(r_regression(values[:, None], other)[0] ** 2)
    assert rank_association(np.exp(5 * values), values, 0) == pytest.approx(1), "no line, but the same order"
    assert rank_association(np.exp(5 * values), -values, 0) == pytest.approx(1)
    assert rank_association(RANDOM.normal(size=200), values, 0) < 0.1
    assert purity(["a", "b"] * 50, [0, 1] * 50) == 1
    assert purity(["a"] * 100, [0] * 90 + [1] * 10) == 0


def test_uneven_and_small_classes_are_counted(home: Path) -> None:
    label = np.array(["usual"] * 360 + ["some"] * 33 + ["few"] * 7)
    made = looked(clean(label=label), home)
    uneven = only(made, "imbalance")
    assert (uneven.count, "'few'" in uneven.message) == (7, True)
    assert uneven.plot is not None
    assert dict(zip(uneven.plot.names, uneven.plot.series["rows"], strict=True)) == {"few": 7, "some": 33, "usual": 360}
    assert uneven.fix is not None
    project: Project = apply(blank("x"), uneven.fix.edit)
    assert project.training.class_weights == "balanced"
    assert "'few'" in only(made, "small_classes").message


def test_many_values_far_out_do_not_hide_each_other() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert not outliers(values).any()
    values[:20] = 1000.0  # their standard deviation is above 200
    assert np.flatnonzero(outliers(values)).tolist() == list(range(20))
    values[20:22] = 9.0, 12.0  # about 10 deviations are allowed
    assert outliers(values)[20:22].tolist() == [False, True]


def test_values_far_out_are_named_and_skewed_ones_are_not(home: Path) -> None:
    age = RANDOM.normal(40, 9, COUNT)
    age[[3, 50, 77]] = 9999
    made = looked(clean(age=age, income=RANDOM.lognormal(10, 1, COUNT)), home)
    finding = only(made, "outliers")
    assert (finding.columns, finding.count, finding.rows) == (("age",), 3, (3, 50, 77))


def test_rows_unusual_as_a_whole_are_found(home: Path) -> None:
    table = pd.DataFrame(clean())
    names = [f"n{place}" for place in range(6)]
    table.loc[[11, 222], names] = [[6, -6, 6, -6, 6, -6], [-6, 6, -6, 6, -6, 6]]
    assert set(only(looked(table, home), "unusual_rows").rows) == {11, 222}


def test_dull_and_doubled_columns_are_found_and_can_be_left_out(home: Path) -> None:
    base = clean()
    letters = np.array([{"a": "one", "b": "two", "c": "three"}[value] for value in base["kind"]])
    made = looked(clean(same=7, word="x", cents=base["n0"] * 100 + 5, other=letters), home)
    assert {one.columns[0] for one in found(made, "constant_column")} == {"same", "word"}
    assert [one.columns for one in found(made, "identical_columns")] == [("n0", "cents"), ("kind", "other")]
    for finding in (*found(made, "constant_column"), *found(made, "identical_columns")):
        choice = mended(finding, home)
        after = report(prepare(choice, home), choice, home)
        assert finding.message not in [one.message for one in after.findings]


def test_missing_values_are_counted_with_what_is_missing_together(home: Path) -> None:
    table = pd.DataFrame(clean())
    table.loc[100:159, ["n0", "n1"]] = np.nan
    table.loc[table.index[table.label == "yes"][:40], "n2"] = np.nan
    table.loc[RANDOM.permutation(COUNT)[:50], "kind"] = None
    made = looked(table, home)
    finding = only(made, "missing_values")
    assert finding.count == table.isna().any(axis=1).sum()
    assert finding.plot is not None
    shares = dict(zip(finding.plot.names, finding.plot.series["missing"], strict=True))
    assert shares == pytest.approx({"n0": 0.15, "n1": 0.15, "n2": 0.1, "kind": 0.125})
    assert only(made, "missing_together").columns == ("n0", "n1")
    assert only(made, "missing_tells").columns == ("n2",)


def test_columns_of_several_kinds_are_found(home: Path) -> None:
    price = np.array([f"{value:.2f}" for value in RANDOM.normal(50, 9, COUNT)], dtype=object)
    price[[4, 90]] = "unknown"
    grade = RANDOM.choice(["1", "2", "3"], COUNT).astype(object)
    grade[[1, 2, 3]] = "n.b."
    made = looked(clean(price=price, grade=grade), home)
    assert {(one.columns[0], one.count) for one in found(made, "mixed_types")} == {("price", 2), ("grade", 3)}


def test_rare_categories_are_found(home: Path) -> None:
    city = RANDOM.choice(["Bonn", "Berlin", "Köln"], COUNT).astype(object)
    city[7] = "Berln"
    finding = only(looked(clean(city=city), home), "rare_categories")
    assert (finding.columns, finding.count) == (("city",), 1)
    assert "'Berln'" in finding.message


def test_parts_that_differ_are_found(home: Path) -> None:
    data = read(csv(clean()), home)
    name = next(path.name for path in (home / "data").iterdir())
    values: np.ndarray = data.raw.numbers["n0"]  # type: ignore[attr-defined]
    order = torch.from_numpy(np.argsort(values, kind="stable"))
    parts = dict(zip(("train", "validation", "test"), (order[:280], order[280:340], order[340:]), strict=True))
    made = report(replace(data, split=parts), DataChoice(dataset=name, split="stratified"), home)
    assert "n0" in {one.columns[0] for one in found(made, "split_drift")}
    assert all(one.fix and one.fix.edit["data"] == {"split": "random"} for one in found(made, "split_drift"))


def test_drift_is_as_rare_as_its_p_value_says() -> None:
    random = np.random.default_rng(0)
    alike = [kolmogorov_smirnov(*random.normal(size=(2, 300))) for _ in range(200)]
    assert 0.01 <= np.mean(np.array(alike) <= 0.05) <= 0.09
    assert kolmogorov_smirnov(random.normal(size=300), random.normal(0.5, size=300)) < 1e-4
    shares = np.array([0.5, 0.3, 0.2])
    alike = [chi_squared(random.multinomial(300, shares, size=2)) for _ in range(200)]
    assert 0.01 <= np.mean(np.array(alike) <= 0.05) <= 0.09
    assert chi_squared(np.array([[150, 90, 60], [90, 60, 150]])) < 1e-4


def test_rare_values_are_counted_as_one() -> None:
    assert chi_squared(np.array([[90, 60, 2, 3], [30, 40, 3, 2]])) == chi_squared(np.array([[90, 60, 5], [30, 40, 5]]))
    assert chi_squared(np.array([[90, 0], [30, 0]])) == 1.0, "there is one value"


def test_wrong_labels_are_doubted(home: Path) -> None:
    table = clean()
    wrong = {3, 58, 101, 222, 377}
    label = np.array([{"no": "yes", "yes": "no"}[value] if row in wrong else value
                      for row, value in enumerate(table["label"])])  # fmt: skip
    finding = only(looked(table | {"label": label}, home), "label_noise")
    assert wrong & set(finding.rows) == wrong
    assert finding.count <= 8
    assert "folds" in finding.method


def test_a_label_is_doubted_by_the_rule_of_confident_learning() -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.95, 0.05], [0.1, 0.9], [0.2, 0.8]])
    given = np.array([0, 0, 1, 1, 1])
    # Rows of class 0 usually get 0.85 of it; row 2 was called 1, got 0.05 of it and 0.95 of 0.
    assert doubts(shares, given)[0].tolist() == [2]


def test_empty_texts_and_blank_pictures_are_found(home: Path) -> None:
    texts = [f"this is the sentence {n} of all of them" for n in range(80)]
    texts[5] = texts[9] = " "
    made = looked({"text": texts, "label": np.arange(80) % 2}, home)
    assert only(made, "empty_examples").count == 2


def test_columns_are_counted_as_pandas_counts_them(home: Path) -> None:
    table = pd.DataFrame(columns())
    table.loc[::7, "size"] = np.nan
    quality = statistics(read(table.to_csv(index=False).encode(), home))
    size, kind = quality.columns
    assert size["missing"] == table["size"].isna().sum()
    assert (size["minimum"], size["maximum"]) == (table["size"].min(), table["size"].max())
    assert size["mean"] == pytest.approx(table["size"].mean())
    assert kind["distinct"] == table["kind"].nunique()
    assert quality.classes == table["label"].value_counts().to_dict()
    assert sum(quality.splits.values()) == quality.rows == ROWS
    assert any("missing in 'size'" in remark for remark in quality.remarks)


def test_measured_rows_that_training_sees_are_counted_whatever_they_are(home: Path) -> None:
    texts = [f"this is the sentence {n % 40}" for n in range(ROWS)]
    twice = {name: RANDOM.normal(size=ROWS // 2).repeat(2) for name in "ab"}
    for content, filename in (
        (csv({"text": texts, "label": np.arange(ROWS) % 2}), "texts.csv"),
        (csv(twice | {"label": np.arange(ROWS) // 2 % 2}), "table.csv"),
        (pack({f"{'ab'[n % 2]}/{n}.png": picture(n % 2) for n in range(ROWS)}), "pictures.zip"),
    ):
        data = read(content, home, filename)
        expected = repeated(data)
        assert expected
        assert any(remark.startswith(f"{expected:,} row") for remark in statistics(data).remarks)


def repeated(data: Prepared) -> int:
    """How many validation and test rows training sees as well, by what they look like written out."""
    train = {repr(data.row(row)) for row in data.split["train"].tolist()}
    held = [*data.split["validation"].tolist(), *data.split["test"].tolist()]
    return sum(repr(data.row(row)) in train for row in held)


def test_one_of_each_row_is_kept_in_the_part_that_comes_first() -> None:
    parts = {"train": np.array([4, 0]), "validation": np.array([1]), "test": np.array([2, 3, 5])}
    values = np.array([[1.0], [2.0], [1.0], [2.0], [-0.0], [0.0]], dtype=np.float32)
    kept = without_repeats(parts, {"x": values}, np.array([0, 0, 0, 1, 0, 1]))
    assert {name: rows.tolist() for name, rows in kept.items()} == {
        "train": [4, 0],
        "validation": [1],
        "test": [3, 5],  # 2 is row 0 once more; 3 and 5 stand for another class
    }
    with pytest.raises(DataError, match="validation row"):
        without_repeats(parts, {"x": np.zeros((6, 1))}, np.arange(6) % 2 * 0)


def test_a_large_table_is_sampled_and_said_to_be() -> None:
    data = prepare(DataChoice(dataset="moons"))
    many = torch.arange(1_000).repeat(30)
    large = replace(
        data,
        inputs={"features": data.inputs["features"][many]},
        target=data.target[many],
        split={"train": torch.arange(20_000), "validation": torch.arange(20_000, 25_000),
               "test": torch.arange(25_000, 30_000)},
        raw=replace(data.raw, target=data.raw.target[many], numbers={  # type: ignore[call-arg]
            name: values[many] for name, values in data.raw.numbers.items()  # type: ignore[attr-defined]
        }),
    )  # fmt: skip
    made = report(large, heavy=False)
    assert (made.rows, made.looked_at) == (30_000, 10_000)


def test_only_text_has_pairs_of_tokens() -> None:
    for name in ("digits", "intents", "sine"):
        with pytest.raises(DataError, match="next-token"):
            bigram_entropy(prepare(DataChoice(dataset=name)))
