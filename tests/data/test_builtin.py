"""Properties of every built-in dataset, also compared with scikit-learn's loaders."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets as sklearn_datasets
from sklearn.preprocessing import StandardScaler

from netloom.data import DataError, Prepared, bigram_entropy, datasets, prepare, schema, statistics
from netloom.data.builtin_registry import builtin
from netloom.data.environment import Episodes
from netloom.data.multi_field import Categories, Matrices, MultiFieldDataset
from netloom.data.raw.images import Images
from netloom.data.raw.series import Series
from netloom.data.raw.table import Table
from netloom.data.raw.texts import Characters, Texts
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.split import split
from netloom.document import DataChoice
from netloom.modalities.encoding.tags import IGNORE
from tests.data.samples import builtin_data

NAMES = list(builtin())
STATED = "digits breast_cancer wine diabetes spirals moons circles shapes sine intents tales".split()


def _data(name: str, **options: Any) -> Prepared:
    return prepare(DataChoice(dataset=name, **options)) if options else builtin_data(name)


def _rows(data: Prepared) -> dict[str, set[int]]:
    return {name: set(rows.tolist()) for name, rows in data.split.items()}


def test_documented_builtin_datasets_are_listed() -> None:
    assert set(STATED) <= set(NAMES)
    listed = {info.name: info for info in datasets()}
    assert set(NAMES) <= set(listed)
    assert all(listed[name].builtin and listed[name].title and listed[name].summary for name in NAMES)


def shapes_and_dtypes_match_the_schema(name: str) -> None:
    data = _data(name)
    assert len(data.raw) == builtin()[name].example_count
    dataset_schema = schema(DataChoice(dataset=name))
    assert dataset_schema == data.schema
    assert (data.masks is not None) == (name == "shapes")
    rows, target = data.schema.rows, data.schema.target
    assert list(data.inputs) == [field.name for field in data.schema.inputs]
    for field in data.schema.inputs:
        values = data.inputs[field.name]
        assert values.shape == (rows, *field.shape)
        if field.kind == "tokens":
            assert field.vocabulary is not None
            assert values.dtype == torch.int64
            assert values.min() >= 0
            assert values.max() < field.vocabulary
        else:
            assert values.dtype == torch.float32
            assert values.isfinite().all()
        if field.columns:
            assert len(field.columns) == len(set(field.columns)) == field.shape[-1]
    assert data.target.shape[0] == rows == len(data.raw)
    if target.kind in ("mask", "tags"):
        assert data.target.dtype == (torch.uint8 if target.kind == "mask" else torch.int64)
        assert data.target.shape == (rows, *target.shape)
        assert set(data.target.flatten().tolist()) - {IGNORE} == set(range(len(target.classes)))
        assert (target.kind == "tags") == bool((data.target == IGNORE).any())
    elif target.kind == "boxes":
        assert data.target.dtype == torch.float32
        assert data.target.shape == (rows, *target.shape)
        there = data.target[..., 0] >= 0
        assert set(data.target[..., 0].flatten().tolist()) == {-1, *range(len(target.classes))}
        assert (data.target[there][:, 1:3] < data.target[there][:, 3:]).all()
        assert ((data.target[..., 1:] >= 0) & (data.target[..., 1:] <= 1)).all()
    elif target.kind == "class_and_tags":
        assert data.target.shape == (rows, 1 + target.shape[0])
        assert set(data.target[:, 0].tolist()) == set(range(len(target.classes)))
        assert set(data.target[:, 1:].flatten().tolist()) - {IGNORE} == set(range(len(target.tags)))
    elif target.kind in ("class", "action"):
        assert data.target.dtype == torch.int64
        assert data.target.shape == (rows,)
        assert set(data.target.tolist()) == set(range(len(target.classes)))
    elif target.kind == "number":
        assert data.target.dtype == torch.float32
        assert data.target.shape == (rows, *target.shape)
        assert data.target.isfinite().all()
    elif target.kind in ("labels", "several"):
        assert data.target.dtype == torch.float32
        assert data.target.shape == (rows, len(target.classes or target.parts))
        assert data.target.isfinite().all()
        assert target.kind == "several" or set(data.target.flatten().tolist()) == {0.0, 1.0}
    elif target.kind == "sequence":
        assert data.target.shape == (rows, *target.shape) == data.inputs[data.schema.inputs[-1].name].shape
    else:
        assert data.target.shape == data.inputs[data.schema.inputs[0].name].shape


def splits_are_disjoint_and_complete(name: str) -> None:
    data = _data(name)
    parts = _rows(data)
    assert list(parts) == ["train", "validation", "test"]
    assert sum(map(len, data.split.values())) == len(set().union(*parts.values()))
    assert all(parts.values())
    left_out = set(range(data.schema.rows)) - set().union(*parts.values())
    assert len(left_out) == 2 * (data.raw.gap - data.raw.reach_back)
    if data.raw.groups is not None:
        groups = [set(data.raw.groups[rows.numpy()].tolist()) for rows in data.split.values()]
        assert sum(map(len, groups)) == len(set().union(*groups))
        assert abs(len(groups[2]) - 0.15 * len(set().union(*groups))) <= 1
    elif not data.raw.contiguous:
        assert abs(len(parts["test"]) - 0.15 * data.schema.rows) <= 1
        assert abs(len(parts["validation"]) - 0.15 * data.schema.rows) <= 1


def contiguous_data_is_split_in_order_with_a_gap(name: str) -> None:
    data = _data(name)
    if not data.raw.contiguous:
        assert data.raw.gap == 0
        return
    parts = [sorted(rows.tolist()) for rows in data.split.values()]
    for rows in parts:
        assert rows == list(range(rows[0], rows[-1] + 1))
    for before, after in itertools.pairwise(parts):
        assert after[0] - before[-1] == data.raw.gap - data.raw.reach_back + 1


def test_sine_splits_share_no_value() -> None:
    data = _data("sine")
    window = data.schema.inputs[0].shape[0]
    # Row r holds the values r … r + window - 1 and predicts value r + window.
    values_by_split = [{r + i for r in rows.tolist() for i in range(window + 1)} for rows in data.split.values()]
    assert not values_by_split[0] & values_by_split[1]
    assert not values_by_split[1] & values_by_split[2]


def split_depends_on_the_seed(name: str) -> None:
    raw = builtin_data(name).raw
    first, repeated, other = (split(raw, DataChoice(dataset=name, seed=seed)) for seed in (3, 3, 4))
    for part, rows in first.items():
        assert np.array_equal(rows, repeated[part])
    assert all(np.array_equal(rows, other[part]) for part, rows in first.items()) == raw.contiguous


def splits_are_stratified_by_class(name: str) -> None:
    data = _data(name)
    if data.schema.target.kind != "class" or data.raw.groups is not None:
        return
    class_counts = Counter(data.target.tolist())
    for shares in ((0.15, 0.15), (0.1, 0.3)):
        parts = split(data.raw, DataChoice(dataset=name, validation=shares[0], test=shares[1], seed=1))
        for part, share in zip(("validation", "test"), shares, strict=True):
            counts = Counter(data.target[torch.from_numpy(parts[part])].tolist())
            for number, count in class_counts.items():
                assert abs(counts[number] - share * count) <= 1, (shares, part, number)


def reading_is_deterministic(name: str) -> None:
    first, second = builtin_data(name).raw, builtin()[name]().read()
    assert first.fingerprint() == second.fingerprint() == builtin_data(name).fingerprint
    assert np.array_equal(first.target, second.target)


def test_fingerprints_differ_between_datasets() -> None:
    names = "digits breast_cancer wine diabetes spirals moons circles sine".split()  # the fast ones
    assert len({builtin()[name]().read().fingerprint() for name in names}) == len(names)
    raw = builtin()["wine"]().read()
    changed = dataclasses.replace(raw, target=np.roll(raw.target, 1))
    assert changed.fingerprint() != raw.fingerprint()
    assert _perturbed(raw, np.array([0])).fingerprint() != raw.fingerprint()


def single_rows_encode_as_in_the_dataset(name: str) -> None:
    data = _data(name)
    for index in (0, 1, data.schema.rows // 2, data.schema.rows - 1):
        arrays = data.encode(data.row(index))
        for field, values in data.inputs.items():
            assert arrays[field].shape == (1, *values.shape[1:])
            assert arrays[field].dtype == values.dtype
            assert torch.equal(arrays[field][0], values[index])


def incomplete_row_is_rejected_with_a_message(name: str) -> None:
    with pytest.raises(DataError) as caught:
        _data(name).encode({})
    assert "\n" not in str(caught.value)


def examples_are_readable(name: str) -> None:
    data = _data(name)
    example = data.example(5)
    assert example.row == 5
    assert example.target == data.target_text(5)
    assert example.target
    kind = data.schema.inputs[0].kind
    if isinstance(data.raw, (Categories, MultiFieldDataset)):
        shown = example.columns
        assert shown or len(example.images) == len(data.schema.inputs)
        assert all(str(value) for value in shown.values())
    elif kind == "image":
        assert example.image.min() >= 0
        assert example.image.max() <= 1
    elif kind == "vector":
        assert example.columns == data.row(5)
    elif kind == "tokens":
        assert example.text
        assert example.tokens
    else:
        assert example.series.shape == data.schema.inputs[0].shape


def statistics_match_the_dataset(name: str) -> None:
    data = _data(name)
    quality = statistics(data)
    assert quality.rows == data.schema.rows
    assert quality.splits == {part: len(rows) for part, rows in data.split.items()}
    if data.schema.target.kind == "class":
        assert sum(quality.classes.values()) == quality.rows
    assert quality.remarks == []


def _perturbed(raw: RawDataset, rows: np.ndarray) -> RawDataset:
    """The same data with other values in some rows."""
    if isinstance(raw, Images):
        pixels = raw.pixels.copy()
        pixels[rows] = raw.top - pixels[rows]
        return dataclasses.replace(raw, pixels=pixels)
    if isinstance(raw, Table):
        numbers = {key: values.copy() for key, values in raw.numbers.items()}
        for values in numbers.values():
            values[rows] = values[rows] * 1000 + 77
        return dataclasses.replace(raw, numbers=numbers)
    if isinstance(raw, MultiFieldDataset):
        return dataclasses.replace(raw, parts=tuple(_perturbed(part, rows) for part in raw.parts))
    if isinstance(raw, Matrices):
        return dataclasses.replace(raw, values=raw.values + 1)
    if isinstance(raw, Categories):
        columns = {key: list(texts) for key, texts in raw.columns.items()}
        for texts in columns.values():
            for row in rows.tolist():
                texts[row] = "zyzzyva"
        return dataclasses.replace(raw, columns=columns)
    if isinstance(raw, Texts):
        texts = list(raw.texts)
        for row in rows.tolist():
            texts[row] = "zyzzyva " * 99
        return dataclasses.replace(raw, texts=texts)
    if isinstance(raw, Series):
        windows = raw.windows.copy()
        windows[rows] += 1e6
        if raw.forecast is not None:
            steps = raw.forecast.target_steps(rows)[:, None]
            forecast = dataclasses.replace(raw.forecast, values=raw.forecast.values + 1e6 * steps)
            return dataclasses.replace(raw, windows=windows, forecast=forecast)
        return dataclasses.replace(raw, windows=windows)
    assert isinstance(raw, Characters)
    letters = list(raw.text)
    for row in rows.tolist():
        letters[row * raw.length : (row + 1) * raw.length] = "ж" * raw.length
    return dataclasses.replace(raw, text="".join(letters))


def preprocessing_is_fitted_on_training_rows_only(name: str) -> None:
    data = _data(name)
    train, test = data.split["train"].numpy(), data.split["test"].numpy()
    fitted = list(data.preprocess.fields)
    assert data.raw.fits(train) == fitted
    assert _perturbed(data.raw, test).fits(train) == fitted
    assert _perturbed(data.raw, data.split["validation"].numpy()).fits(train) == fitted
    # Molecules are not scaled, and environments declare their scales.
    if name != "molecules" and not isinstance(data.raw, Episodes):
        # Training rows do have an effect.
        assert _perturbed(data.raw, train[: len(train) // 2]).fits(train) != fitted


def numbers_are_standardized_by_training_statistics(name: str) -> None:
    data = _data(name)
    train = data.split["train"]
    field = data.schema.inputs[0]
    values = data.inputs[field.name]
    if isinstance(data.raw, Episodes):
        assert values.abs().max() < 10  # environments declare their scales, because agents encounter other values
    elif field.kind == "vector" and isinstance(data.raw, Table):
        raw = np.stack([data.raw.numbers[column] for column in field.columns], axis=1)
        expected = StandardScaler().fit(raw[train.numpy()]).transform(raw)
        assert np.allclose(values.numpy(), expected, atol=1e-5)
    elif field.kind in ("image", "sequence") and name != "molecules":
        # The steps of forecasts of several series count once, however many windows read them
        tolerance = 1e-2 if data.schema.target.forecast else 1e-4
        assert values[train].mean().item() == pytest.approx(0, abs=tolerance)
        assert values[train].std(correction=0).item() == pytest.approx(1, abs=tolerance)
    if data.schema.target.kind == "number" and data.schema.target.forecast is None:
        scaler = StandardScaler().fit(data.raw.target[train.numpy()])
        assert np.allclose(data.target.numpy(), scaler.transform(data.raw.target), atol=1e-5)
        assert np.allclose(data.restore(data.target).numpy(), data.raw.target, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_builtin_dataset_passes_all_checks(name: str) -> None:
    """One test per dataset, because each test process would prepare the data again."""
    shapes_and_dtypes_match_the_schema(name)
    splits_are_disjoint_and_complete(name)
    contiguous_data_is_split_in_order_with_a_gap(name)
    split_depends_on_the_seed(name)
    splits_are_stratified_by_class(name)
    reading_is_deterministic(name)
    single_rows_encode_as_in_the_dataset(name)
    incomplete_row_is_rejected_with_a_message(name)
    examples_are_readable(name)
    statistics_match_the_dataset(name)
    preprocessing_is_fitted_on_training_rows_only(name)
    numbers_are_standardized_by_training_statistics(name)


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("digits", sklearn_datasets.load_digits),
        ("breast_cancer", sklearn_datasets.load_breast_cancer),
        ("wine", sklearn_datasets.load_wine),
        ("diabetes", lambda: sklearn_datasets.load_diabetes(scaled=False)),
    ],
)
def test_builtin_datasets_match_scikit_learn_loaders(name: str, load: Any) -> None:
    reference, raw = load(), builtin()[name]().read()
    assert np.array_equal(np.ravel(raw.target), reference.target)
    if isinstance(raw, Images):
        assert np.array_equal(raw.pixels[:, 0], reference.images)
    else:
        assert isinstance(raw, Table)
        assert list(raw.numbers) == list(reference.feature_names)
        assert np.array_equal(np.stack(list(raw.numbers.values()), axis=1), reference.data)
    if name != "diabetes":
        assert list(raw.classes) == [str(label) for label in reference.target_names]


def test_masks_cover_the_shape_but_not_the_decoy() -> None:
    data = _data("shapes")
    assert data.masks is not None
    assert data.masks.dtype == torch.bool
    pixels = data.inputs["image"][:, 0]
    assert data.masks.shape == pixels.shape
    assert (data.masks.flatten(1).sum(1) > 0).all()
    shares = data.masks.float().mean((1, 2))
    assert shares.max() < 0.4
    quiet = prepare(DataChoice(dataset="shapes", options={"noise": 0.0}))
    assert quiet.masks is not None
    for picture, mask in zip(quiet.inputs["image"][:100, 0], quiet.masks[:100], strict=True):
        ground = picture.min()
        assert (picture[mask] > ground).all()
        decoy = (picture > ground + 1e-4) & ~mask
        assert 0 <= decoy.sum() <= 16
    size = prepare(DataChoice(dataset="shapes", options={"size": 40, "rows": 60}))
    assert size.masks is not None
    assert size.masks.shape == (60, 40, 40)


def test_mask_fill_ratio_identifies_each_shape() -> None:
    data = _data("shapes")
    assert data.masks is not None
    fill_ratios = []
    for number in range(4):
        masks = data.masks[data.target == number]
        boxes = [(m.any(0).sum() * m.any(1).sum()).item() for m in masks]
        fill_ratios.append(float(np.mean([m.sum().item() / box for m, box in zip(masks, boxes, strict=True)])))
    circle, square, triangle, cross = fill_ratios
    assert square == 1.0
    assert circle == pytest.approx(math.pi / 4, abs=0.08)
    assert triangle == pytest.approx(0.5, abs=0.12)
    assert cross < 0.65


def test_vocabulary_comes_from_training_texts_only() -> None:
    data = _data("intents")
    field = data.token_field("text")
    vocabulary = field.vocabulary
    assert len(set(vocabulary)) == len(vocabulary)
    assert isinstance(data.raw, Texts)
    train = " ".join(data.raw.texts[row] for row in data.split["train"].tolist()).lower()
    assert all(word in train for word in vocabulary[2:])
    tokens = data.encode({"text": "zyzzyva Alarm alarm"})["text"][0]
    assert tokens[0] == 1  # an unknown word
    assert tokens[1] == tokens[2] == vocabulary.index("alarm")
    assert (tokens[3:] == 0).all()
    assert data.encode({"text": ""})["text"].sum() == 0
    assert data.encode({"text": "word " * 1000})["text"].shape == (1, field.length)


def test_character_tokens_round_trip_to_text() -> None:
    data = _data("tales")
    assert isinstance(data.raw, Characters)
    tokens = data.inputs["text"]
    for row in data.split["train"][:5].tolist():
        assert data.decode(tokens[row]) == data.row(row)["text"]
        assert torch.equal(data.target[row, :-1], tokens[row, 1:])
        assert data.target[row, -1] == tokens[row + 1, 0]
    text = data.raw.text
    assert "".join(data.row(row)["text"] for row in range(len(data.raw))) == text[: len(data.raw) * 64]


def test_bigram_entropy_matches_a_direct_computation() -> None:
    data = _data("tales", options={"length": 32})
    size = data.schema.inputs[0].vocabulary
    assert size is not None
    pairs: Counter[tuple[int, int]] = Counter()
    first_counts: Counter[int] = Counter()
    for row in data.split["train"].tolist():
        for current, following in zip(data.inputs["text"][row].tolist(), data.target[row].tolist(), strict=True):
            pairs[current, following] += 1
            first_counts[current] += 1
    losses = [
        -math.log((pairs[current, following] + 0.5) / (first_counts[current] + 0.5 * size))
        for row in data.split["test"].tolist()
        for current, following in zip(data.inputs["text"][row].tolist(), data.target[row].tolist(), strict=True)
    ]
    assert bigram_entropy(data) == pytest.approx(sum(losses) / len(losses), rel=1e-9)
    assert 1 < bigram_entropy(data) < math.log(size)


@pytest.mark.parametrize(
    ("name", "options", "expected_message"),
    [
        ("", {}, "No data"),
        ("nosuch", {}, "no dataset"),
        ("../../etc/passwd", {}, "no dataset"),
        ("spirals", {"rows": 10**12}, "rows"),
        ("spirals", {"rows": 3}, "rows"),
        ("spirals", {"rows": "many"}, "rows"),
        ("spirals", {"noise": -1.0}, "noise"),
        ("spirals", {"</script>\n": 1}, "option"),
        ("shapes", {"size": 10_000}, "size"),
        ("sine", {"window": 0}, "window"),
        ("tales", {"length": True}, "length"),
        ("digits", {"x": 1}, "x"),
    ],
)
def test_invalid_data_choice_is_rejected_with_a_message(
    home: Path, name: str, options: dict[str, Any], expected_message: str
) -> None:
    with pytest.raises(DataError) as caught:
        prepare(DataChoice(dataset=name, options=options), home)
    message = str(caught.value)
    assert expected_message in message
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 600


def test_empty_data_choice_has_no_schema() -> None:
    assert schema(DataChoice()) is None


def test_split_with_an_empty_training_part_is_rejected() -> None:
    with pytest.raises(DataError, match="train split would be empty"):
        _data("wine", validation=0.5, test=0.5)
