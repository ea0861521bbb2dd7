"""What is said about data before anybody trains on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builder.data import DataError, bigram_entropy, builtin, prepare, statistics
from builder.graph import DataChoice
from tests.data.samples import ROWS, columns, csv, pack, picture, read

RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize("name", sorted(builtin()))
def test_nothing_is_held_against_what_comes_with_netloom(name: str) -> None:
    assert statistics(prepare(DataChoice(dataset=name))).remarks == []


def test_columns_are_counted_as_pandas_counts_them(home: Path) -> None:
    table = pd.DataFrame(columns())
    table.loc[::7, "size"] = np.nan
    quality = statistics(read(table.to_csv(index=False).encode(), home))
    size, kind = quality.columns
    assert size["missing"] == table["size"].isna().sum()
    assert (size["minimum"], size["maximum"]) == (table["size"].min(), table["size"].max())
    assert size["mean"] == pytest.approx(table["size"].mean())
    assert (size["distinct"], kind["distinct"]) == (table["size"].nunique(), table["kind"].nunique())
    assert quality.classes == table["label"].value_counts().to_dict()
    assert sum(quality.splits.values()) == quality.rows == ROWS
    assert any("median of the training rows" in remark for remark in quality.remarks)


def test_uneven_classes_are_remarked(home: Path) -> None:
    table = columns() | {"label": ["rare"] * 5 + ["common"] * (ROWS - 5)}
    assert any("uneven: 'rare' has 5 of 80" in remark for remark in statistics(read(csv(table), home)).remarks)


def test_columns_that_say_nothing_are_remarked(home: Path) -> None:
    quality = statistics(read(csv(columns(same=7, word="x")), home))
    assert [remark.split()[0] for remark in quality.remarks if "says nothing" in remark] == ["'same'", "'word'"]


@pytest.mark.parametrize("missing", [0, 9])
def test_columns_that_give_the_target_away_are_remarked(home: Path, missing: int) -> None:
    label = RANDOM.integers(0, 3, ROWS)
    leak = np.array([5.0, -1.0, 2.0])[label]  # in no order that a correlation with the class numbers would find
    leak[:missing] = np.nan
    table = columns(code=leak, name=np.array(["x", "y", "z"])[label], fair=RANDOM.normal(size=ROWS) + label)
    found = statistics(read(csv(table | {"label": label}), home)).remarks
    assert [remark.split()[0] for remark in found if "make sure" in remark] == ["'code'", "'name'"]


def test_a_number_that_equals_the_number_to_predict_is_remarked(home: Path) -> None:
    price = RANDOM.normal(size=ROWS)
    table = {"euros": price * -1.1 + 3, "near": price + RANDOM.normal(size=ROWS), "price": price}
    remarks = statistics(read(csv(table), home)).remarks
    assert [remark.split()[0] for remark in remarks] == ["'euros'"]


def test_names_of_many_rows_do_not_pass_for_a_leak(home: Path) -> None:
    table = columns(city=[f"c{n // 2}" for n in range(ROWS)])
    assert not any("make sure" in remark for remark in statistics(read(csv(table), home)).remarks)


def test_test_rows_that_training_sees_are_counted(home: Path) -> None:
    texts = [f"this is the sentence {n % 40}" for n in range(ROWS)]
    for content, filename in (
        (csv({"text": texts, "label": np.arange(ROWS) % 2}), "texts.csv"),
        (csv({"a": np.arange(ROWS) % 5 / 7, "label": np.arange(ROWS) % 2}), "table.csv"),
        (pack({f"{'ab'[n % 2]}/{n}.png": picture(n % 2) for n in range(ROWS)}), "pictures.zip"),
    ):
        data = read(content, home, filename)
        train = {repr(data.row(row)) for row in data.split["train"].tolist()}
        expected = sum(repr(data.row(row)) in train for row in data.split["test"].tolist())
        assert expected
        assert any(remark.startswith(f"{expected:,} of the") for remark in statistics(data).remarks)


def test_only_text_has_pairs_of_tokens() -> None:
    for name in ("digits", "intents", "sine"):
        with pytest.raises(DataError, match="next token"):
            bigram_entropy(prepare(DataChoice(dataset=name)))
