"""Splits of every kind: nothing leaks between the parts, and no row is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from netloom.data import DataError
from netloom.data.builtin_registry import builtin
from netloom.data.raw.table import Table
from netloom.data.splits.given_splits import NAMES
from netloom.data.splits.registry import AUTO, split_methods
from netloom.data.splits.split import Split, split
from netloom.document import DataChoice

ROWS = st.integers(40, 200)
SEEDS = st.integers(0, 2**31 - 1)
SHARES = st.sampled_from([0.1, 0.15, 0.25])
quick = settings(max_examples=40, deadline=None)


# The first 16 digits of the SHA-256 of each part's rows, recorded when only one way to split existed.
FIRST = {
    "wine": ("3c32ab97df44be6d", "db901eae489b3e67", "a18fa995f3b2981b"),  # by class
    "diabetes": ("b2a34214bc7f8ab7", "b1e0457f9f4ca028", "4eb0592d5dcffc46"),  # random
    "requests": ("341958b38e09d76e", "a54df9e1d1e2cf3a", "52cd6834f36f1918"),  # by group
    "sine": ("6f9b5bc74c4cd9e0", "23a8fc6f7b8a90e4", "03253d9dde0bb9f9"),  # in order
}


def table(rows: int, classes: int = 3, **arguments_: Any) -> Table:
    target = np.random.default_rng(rows).integers(classes, size=rows)
    arguments = {"target": target, "target_kind": "class", "classes": tuple(map(str, range(classes)))}
    return Table(name="features", numbers={"x": np.arange(rows, dtype=np.float64)}, **{**arguments, **arguments_})


def parts(splits: Split) -> list[set[int]]:
    sets = [set(splits[name].tolist()) for name in NAMES]
    assert sum(map(len, sets)) == len(set().union(*sets)), "a row is in two parts or twice in one part"
    return sets


@quick
@given(ROWS, SEEDS, SHARES, SHARES, st.sampled_from(["random", "stratified"]))
def test_every_row_is_in_exactly_one_split(rows: int, seed: int, validation: float, test: float, how: Any) -> None:
    choice = DataChoice(seed=seed, validation=validation, test=test, split=how)
    row_sets = parts(split(table(rows), choice))
    assert set().union(*row_sets) == set(range(rows))
    assert abs(len(row_sets[1]) - validation * rows) <= 1
    assert abs(len(row_sets[2]) - test * rows) <= 1


@quick
@given(ROWS, SEEDS, st.integers(2, 5))
def test_stratified_split_preserves_class_proportions(rows: int, seed: int, classes: int) -> None:
    raw = table(rows, classes)
    splits = split(raw, DataChoice(seed=seed, split="stratified"))
    for number, count in Counter(raw.target.tolist()).items():
        for name in ("validation", "test"):
            assert abs((raw.target[splits[name]] == number).sum() - 0.15 * count) <= 2


def test_numeric_targets_are_stratified_by_quantile() -> None:
    price = np.random.default_rng(0).exponential(size=(1_000, 1))
    raw = table(1_000, target=price, target_kind="number")
    splits = split(raw, DataChoice(split="stratified"))
    for name in NAMES:  # each decile of the prices is represented in every part
        deciles = np.searchsorted(np.quantile(price, np.arange(1, 10) / 10), price[splits[name], 0])
        assert np.bincount(deciles).min() >= 0.08 * len(splits[name])


@quick
@given(st.integers(60, 200), st.integers(12, 30), SEEDS, st.one_of(st.none(), st.integers(2, 5)))
def test_groups_are_never_divided_across_splits(rows: int, groups: int, seed: int, folds: int | None) -> None:
    group = np.random.default_rng(seed).integers(groups, size=rows)
    splits = split(table(rows, groups=group), DataChoice(seed=seed, split="group", folds=folds))
    groups_by_split = [set(group[splits[name]].tolist()) for name in NAMES]
    assert sum(map(len, groups_by_split)) == len(set().union(*groups_by_split))
    assert set().union(*parts(splits)) == set(range(rows))


@quick
@given(st.integers(80, 200), SEEDS, st.integers(0, 6), st.booleans())
def test_time_split_is_chronological(rows: int, seed: int, gap: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    times = random.integers(rows // 2, size=rows).astype(float) if ties else random.permutation(rows).astype(float)
    splits = split(table(rows, times=times), DataChoice(split="time", gap=gap))
    train, validation, test = (times[splits[name]] for name in NAMES)
    assert train.max() < validation.min() <= validation.max() < test.min()
    left_out = rows - sum(map(len, parts(splits)))
    assert left_out == 2 * gap


@quick
@given(st.integers(50, 200), SEEDS, st.integers(2, 7), st.sampled_from(["random", "stratified", "auto"]))
def test_every_row_is_tested_in_exactly_one_fold(rows: int, seed: int, folds: int, how: Any) -> None:
    raw = table(rows)
    tests: list[int] = []
    for fold in range(folds):
        splits = split(raw, DataChoice(seed=seed, split=how, folds=folds, fold=fold))
        assert set().union(*parts(splits)) == set(range(rows))
        assert abs(len(splits["test"]) - rows / folds) < 1
        assert abs(len(splits["validation"]) - 0.15 * rows) <= 1
        tests += splits["test"].tolist()
    assert sorted(tests) == list(range(rows))


@pytest.mark.parametrize("folds", [3, 5, 10])
def test_stratified_folds_match_scikit_learn(folds: int) -> None:
    raw = table(203, 4)
    reference = StratifiedKFold(folds, shuffle=True, random_state=0).split(np.zeros(len(raw)), raw.target)
    expected = np.array([np.bincount(raw.target[rows], minlength=4) for _, rows in reference])
    choices = [DataChoice(split="stratified", folds=folds, fold=fold) for fold in range(folds)]
    class_counts = np.array([np.bincount(raw.target[split(raw, choice)["test"]], minlength=4) for choice in choices])
    assert (np.sort(class_counts, axis=0) == np.sort(expected, axis=0)).all()


@quick
@given(st.integers(60, 150), st.integers(2, 6), st.integers(0, 4))
def test_contiguous_folds_are_separated_by_gaps(rows: int, folds: int, gap: int) -> None:
    raw = table(rows, contiguous=True, gap=gap)
    tests: list[int] = []
    for fold in range(folds):
        splits = split(raw, DataChoice(folds=folds, fold=fold))
        train, validation, test = parts(splits)
        for first, second in ((train, test), (train, validation), (validation, test)):
            distance = min(abs(left - right) for left in first for right in second)
            assert distance > gap
        tests += splits["test"].tolist()
    assert sorted(tests) == list(range(rows))


def test_given_split_is_used_unchanged() -> None:
    given_parts = np.repeat([0, 1, 2, -1], [60, 20, 15, 5])
    splits = split(table(100, given=given_parts), DataChoice())
    assert [sorted(splits[name].tolist()) for name in NAMES] == [
        np.flatnonzero(given_parts == number).tolist() for number in range(3)
    ]
    # If only train and test are given, validation is taken from train.
    splits = split(table(100, given=np.repeat([0, 2], [80, 20])), DataChoice(seed=5))
    assert sorted(splits["test"].tolist()) == list(range(80, 100))
    assert len(splits["validation"]) == 15
    assert set().union(*parts(splits)) == set(range(100))


def test_validation_within_given_training_rows_has_every_class_in_new_uploads() -> None:
    target = np.repeat([0, 1, 2], [70, 20, 30])
    raw = table(120, target=target, given=np.repeat([0, 2], [90, 30]))
    raw.target[80:90], raw.target[110:] = 2, 0
    rare = []
    for seed in range(20):
        choice = DataChoice(seed=seed, validation_of="training", validation=0.2)
        older, newer = (split(replace(raw, stratifies_given=stratified), choice) for stratified in (False, True))
        assert parts(newer)[2] == parts(older)[2] == set(range(90, 120))
        assert len(newer["validation"]) == len(older["validation"]) == 18
        assert np.bincount(raw.target[newer["validation"]], minlength=3).tolist() == [14, 2, 2]
        rare.append((raw.target[older["validation"]] == 1).sum())
        assert not np.array_equal(np.sort(newer["train"]), newer["train"])
    assert min(rare) == 0, "the rows of earlier uploads stay as they were"


def test_folds_exclude_the_given_test_rows() -> None:
    raw = table(100, given=np.repeat([0, 1, 2], [60, 20, 20]))
    fold_splits = [split(raw, DataChoice(folds=4, fold=fold)) for fold in range(4)]
    assert sorted(row for fold_split in fold_splits for row in fold_split["test"].tolist()) == list(range(80))
    assert all(set().union(*parts(fold_split)) == set(range(80)) for fold_split in fold_splits)
    assert "the 20 test rows are in no fold" in raw.warnings[0]
    # An explicit split method overrides the given split.
    fold_splits = [split(raw, DataChoice(folds=4, fold=fold, split="random")) for fold in range(4)]
    assert sorted(row for fold_split in fold_splits for row in fold_split["test"].tolist()) == list(range(100))


def test_missing_validation_is_taken_from_training_without_leakage() -> None:
    """A gap separates similar neighbors, and groups stay together, as in any other split."""
    splits = split(table(100, given=np.repeat([0, 2], [80, 20]), contiguous=True, gap=3), DataChoice())
    assert splits["validation"].tolist() == list(range(68, 80))
    assert splits["train"].tolist() == list(range(65))
    groups = np.arange(100) // 4
    splits = split(table(100, given=np.repeat([0, 2], [80, 20]), groups=groups), DataChoice(seed=1))
    assert sorted(splits["test"].tolist()) == list(range(80, 100))
    assert not set(groups[splits["train"]]) & set(groups[splits["validation"]])
    assert len(splits["train"]) + len(splits["validation"]) == 80
    assert len(splits["validation"]) == 12


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"split": "group"}, "role group"),
        ({"split": "time"}, "role time"),
        ({"split": "given"}, "role split"),
        ({"split": "given", "folds": 3}, "no folds"),
        ({"split": "time", "folds": 3}, "before training"),
    ],
)
def test_unavailable_split_kind_is_rejected_with_a_message(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        split(table(50), DataChoice(**choice))
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("name", FIRST)
def test_splits_match_recorded_hashes(name: str) -> None:
    splits = split(builtin()[name]().read(), DataChoice())
    assert tuple(sha256(splits[part].astype(np.int64).tobytes()).hexdigest()[:16] for part in NAMES) == FIRST[name]


def test_more_folds_than_groups_are_rejected() -> None:
    with pytest.raises(DataError, match="too few for 5 folds"):
        split(table(50, groups=np.arange(50) % 3), DataChoice(split="group", folds=5))


def test_document_rejects_fold_out_of_range() -> None:
    with pytest.raises(ValueError, match="with 3 folds, choose 0 to 2"):
        DataChoice(folds=3, fold=3)


@pytest.mark.parametrize(
    ("choice", "raw", "expected"),
    [
        ({}, {}, (75, 15, 10)),
        ({"split": "stratified"}, {}, (75, 15, 10)),
        ({"split": "group"}, {"groups": np.arange(100)}, (75, 15, 10)),
        ({"split": "time"}, {"contiguous": True}, (75, 15, 10)),
        ({}, {"given": np.repeat([0, 2], [80, 20])}, (67, 13, 20)),
        ({}, {"given": np.repeat([0, 2], [80, 20]), "groups": np.arange(100)}, (67, 13, 20)),
        ({}, {"given": np.repeat([0, 2], [80, 20]), "contiguous": True}, (67, 13, 20)),
        ({}, {"given": np.repeat([0, 1], [80, 20])}, (70, 20, 10)),
        ({"folds": 5}, {}, (67, 13, 20)),
        ({"folds": 5, "split": "group"}, {"groups": np.arange(100)}, (67, 13, 20)),
        ({"folds": 5}, {"contiguous": True}, (67, 13, 20)),
    ],
)
def test_validation_share_counts_from_the_rows_without_test_rows(
    choice: dict[str, Any], raw: dict[str, Any], expected: tuple[int, ...]
) -> None:
    counted: dict[str, Any] = {"validation": 1 / 6, "test": 0.1, "validation_of": "training", **choice}
    with_test_rows = split(table(100, **raw), DataChoice(**counted))
    assert tuple(map(len, parts(with_test_rows))) == expected
    without = split(table(100, **raw), DataChoice(**{**counted, "validation": 0.0}))
    given_rows = 20 if expected == (70, 20, 10) else 0
    assert tuple(map(len, parts(without))) == (100 - given_rows - expected[2], given_rows, expected[2])
    assert {*with_test_rows["test"]} == {*without["test"]}


def test_rows_next_to_the_test_stay_out_of_training_without_validation() -> None:
    raw, choice = table(100, contiguous=True), DataChoice(validation=0.0, test=0.2, gap=3)
    assert parts(split(raw, choice)) == [set(range(77)), set(), set(range(80, 100))]
    fold = split(raw, choice.model_copy(update={"folds": 5, "fold": 2}))
    assert parts(fold) == [{*range(37), *range(63, 100)}, set(), set(range(40, 60))]


def test_documents_name_every_method() -> None:
    names = get_args(DataChoice.model_fields["split"].annotation)
    assert set(names) == {AUTO, *split_methods()}
