"""Labels that people type or clients report: how they are read and checked, and the errors that they measure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from netloom.core.errors import DataError
from netloom.data import prepare
from netloom.tasks.true_labels import (
    ClassLabel,
    ClassWithTags,
    ColumnsLabel,
    ForecastLabel,
    LabelSet,
    NumberLabel,
    WordTags,
)
from netloom.templates import templates

TAGS = WordTags(("O", "B-place", "I-place", "B-time", "I-time"), length=4)
COLUMNS = ColumnsLabel(("size: cm", "weight"))
ONE, TWO = ForecastLabel(("load",), 2), ForecastLabel(("open", "close"), 2)


def test_tags_are_right_only_if_as_many_are_equal_as_the_network_reads() -> None:
    assert TAGS.error(["O", "O"], ["O", "O"]) == 0.0
    assert TAGS.error(["O", "O"], ["O"] * 7) == 1.0
    assert TAGS.error([], ["B-place"]) == 1.0
    assert TAGS.error(["O"] * 4, ["O"] * 7) == 0.0, "words beyond the length of the network"
    assert TAGS.error(["O"] * 4, ["O"] * 3) == 1.0


def test_tags_that_an_upload_would_change_are_refused() -> None:
    assert TAGS.check(["B-place", "I-place", "I-place"])
    for tags in (["I-place"], ["O", "I-place"], ["B-time", "I-place"]):
        with pytest.raises(DataError, match="I-place follows neither B-place nor I-place; write B-place"):
            TAGS.check(tags)
    assert WordTags(("NOUN", "I-place", "B-place"), 4).check(["I-place"]), "these are not all tags of entities"
    long = ["O"] * 10_001
    with pytest.raises(DataError, match="has 10,001 tags"):
        TAGS.check(long)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(long, TAGS.schema)


def test_a_row_of_other_data_is_refused_as_data(home: Path) -> None:
    project = templates()["requests_tagger"].project
    with pytest.raises(DataError, match="text"):
        TAGS.check_row(prepare(project.data, home), {"size": 1.0}, ["O"])


@pytest.mark.parametrize("value", [1234567.25, 0.1, 1e-7, 3.0, 2.0**60 + 2.0**10])
def test_a_forecast_keeps_its_digits_while_it_is_corrected(value: float) -> None:
    assert ONE.parse(ONE.text([value, -value])) == [value, -value]
    assert ONE.in_short([1234567.25, 0.5]) == "1.23457e+06 0.5"


@pytest.mark.parametrize(
    ("label", "text", "words"),
    [
        (TWO, "open: 1 2\nopen: 3 4\nclose: 5 6", "'open' has two lines"),
        (TWO, "open: 1 2\nhigh: 3 4", "'high' is not a series of the model"),
        (TWO, "open: 1 2", "by name"),
        (ONE, "other: 1 2", "'other' is not a series of the model"),
        (ONE, "1 2\n3 4", "one line of numbers, received 2"),
        (ONE, "1,5", "write 1.5 with a point"),
        (ONE, "1 x", "must consist of numbers"),
        (ForecastLabel(("load",), 1), "1 2", "needs 1 number for 'load', one for each step, received 2"),
    ],
)
def test_typed_forecasts_are_refused_in_words(label: ForecastLabel, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        label.parse(text)


def test_typed_forecasts_are_read_by_series() -> None:
    assert ONE.parse(" 1.5, 2") == ONE.parse("load: 1.5 2") == [1.5, 2.0]
    assert TWO.parse("close: 3 4\nopen: 1 2") == {"open": [1.0, 2.0], "close": [3.0, 4.0]}
    assert ForecastLabel(("a: b", "c"), 1).parse("a: b: 1\nc: 2") == {"a: b": 1.0, "c": 2.0}


@pytest.mark.parametrize("prediction", [None, [None, 1.0], [math.nan, 1.0], [1.0], ["x", 1.0], {"load": [1.0, 2.0]}])
def test_a_prediction_that_is_not_finite_numbers_is_infinitely_wrong(prediction: Any) -> None:
    assert ONE.error(prediction, [1.0, 2.0]) == math.inf
    assert NumberLabel().error(None, 1.0) == math.inf
    for large in (1e101, -(10**400)):
        with pytest.raises(DataError, match=r"too large; at most 1e\+100"):
            NumberLabel().check(large)


def test_errors_of_forecasts_are_means_over_steps_and_series() -> None:
    assert ONE.error([1.0, 4.0], [2.0, 2.0]) == 1.5
    assert TWO.error({"close": [0.0, 0.0], "open": [1.0, 1.0]}, {"open": [1.0, 2.0], "close": [3.0, 4.0]}) == 2.0
    single = ForecastLabel(("open", "close"), 1)
    assert single.error({"open": 1.0, "close": 2.0}, {"open": 2.0, "close": 2.0}) == 0.5


def test_numbers_of_columns_are_given_by_name_or_in_the_order_of_predictions() -> None:
    expected = {"size: cm": 1.5, "weight": 2.0}
    assert COLUMNS.check({"weight": 2, "size: cm": 1.5}) == COLUMNS.check([1.5, 2]) == expected
    assert COLUMNS.parse("weight: 2\n\nsize: cm: 1.5") == COLUMNS.parse("1.5 2") == expected
    assert COLUMNS.text(expected) == COLUMNS.text([1.5, 2.0]) == "size: cm: 1.5\nweight: 2"
    assert COLUMNS.parse(COLUMNS.text([1 / 3, -1234567.25])) == {"size: cm": 1 / 3, "weight": -1234567.25}
    assert COLUMNS.in_short([1234567.25, 0.5]) == "size: cm: 1.23457e+06, weight: 0.5"
    assert COLUMNS.as_label([1.5, 2.0]) == expected
    for label in (expected, [1.5, 2.0]):
        jsonschema.validate(label, COLUMNS.schema)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (1.5, "by name, or as a list in this order, received 1.5"),
        ([1.0], "the numbers of 'size: cm', 'weight'"),
        ({"weight": 1.0}, "the numbers of 'size: cm', 'weight'"),
        ({"weight": 1.0, "size: cm": 1.0, "age": 1.0}, "the numbers of 'size: cm', 'weight'"),
        ({"weight": 1.0, "size: cm": None}, "^size: cm: The label must be a number, received None"),
        ([1.0, True], "^weight: The label must be a number, received True"),
        ([math.nan, 1.0], "^size: cm: The label must be a number, received nan"),
    ],
)
def test_other_numbers_of_columns_are_refused_in_words(label: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        COLUMNS.check(label)
    if label != [math.nan, 1.0]:  # which JSON does not have
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(label, COLUMNS.schema)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("weight: 1\nweight: 2", "'weight' has two lines"),
        ("weight: 1\nage: 2", "'age' is not a column of the model; it has 'size: cm', 'weight'"),
        ("weight: 1 2\nsize: cm: 3", r"^weight: The label must be a number, received \[1.0, 2.0\]"),
        ("1 2 3", "as a list in this order"),
    ],
)
def test_typed_numbers_of_columns_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        COLUMNS.parse(text)


def test_the_error_of_columns_is_the_mean_distance_in_their_units() -> None:
    label = {"size: cm": 10.0, "weight": 1.0}
    assert COLUMNS.error([12.0, 0.0], label) == 1.5
    scaled = ColumnsLabel(COLUMNS.names, (4.0, 0.5))
    assert scaled.error([12.0, 0.0], label) == (2 / 4 + 1 / 0.5) / 2
    differences = scaled.differences([12.0, 0.0], label)
    assert differences is not None
    assert differences.tolist() == [[2.0], [-1.0]], "in the units of the data"
    for prediction in (None, [1.0], [None, 1.0], [math.inf, 1.0], "x", {"weight": 1.0}):
        assert scaled.error(prediction, label) == math.inf


def test_only_labels_of_the_same_kind_can_be_compared() -> None:
    assert ONE.is_comparable(ForecastLabel(("load",), 2))
    assert not ONE.is_comparable(ForecastLabel(("load",), 3)), "another horizon"
    assert not TWO.is_comparable(ForecastLabel(("open", "high"), 2))
    assert ClassLabel(("a", "b")).is_comparable(ClassLabel(("b", "a")))
    assert not ClassLabel(("a", "b")).is_comparable(ClassLabel(("a", "c")))
    assert not NumberLabel().is_comparable(ONE)
    assert COLUMNS.is_comparable(ColumnsLabel(COLUMNS.names, (1.0, 2.0)))
    assert not COLUMNS.is_comparable(ColumnsLabel(COLUMNS.names[::-1])), "predictions are lists"


def test_classes_that_are_numbers_can_be_reported_as_numbers() -> None:
    numbers = ClassLabel(("0", "1", "2.5"))
    assert [numbers.check(label) for label in (1, 1.0, 2.5, "0")] == ["1", "1", "2.5", "0"]
    assert ClassLabel(("False", "True")).check(True) == "True"
    assert LabelSet(("3", "4")).check([4, 3.0]) == ["3", "4"]
    for label in (2, True, None, [1]):
        with pytest.raises(DataError, match=r"is not a class of the model; the classes are '0', '1', '2.5'"):
            numbers.check(label)
    with pytest.raises(DataError, match=r"^0 is not a class of the model; the classes are 'no', 'yes'"):
        ClassLabel(("no", "yes")).check(0)


def test_predicted_tags_become_a_valid_label() -> None:
    predicted = "O I-place I-place B-time I-time I-place".split()
    label = "O B-place I-place B-time I-time B-place".split()
    assert TAGS.as_label(predicted) == TAGS.check(label) == TAGS.as_label(label)
    both = ClassWithTags(ClassLabel(("yes", "no")), TAGS)
    assert both.as_label({"class": "no", "tags": predicted}) == {"class": "no", "tags": label}
    assert both.as_label("no") == "no"
    assert WordTags(("NOUN", "I-place", "B-place"), 4).as_label(["I-place"]) == ["I-place"]


def test_missing_class_of_typed_tags_is_requested() -> None:
    both = ClassWithTags(ClassLabel(("yes", "no")), TAGS)
    with pytest.raises(DataError, match="Write the class in the first line; the classes are 'yes', 'no'"):
        both.parse("\nO O")
