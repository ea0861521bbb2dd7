"""Tables and images as users upload them from other programs."""

from __future__ import annotations

import datetime
import io
import itertools
import uuid
import zipfile
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from netloom.core import text
from netloom.data import DataError, DatasetInfo, Prepared, add_file, datasets, prepare, remove, statistics
from netloom.data.quality.dataset_card import summary
from netloom.data.raw.table import Table
from netloom.data.tables.readers import read_table
from netloom.data.uploads import add_source, fitting, open_source, readers
from netloom.document import DataChoice
from tests.data.crafted import image_folders, make_csv, make_zip, noise_image, solid_image, valid_csv


def _add(
    content: bytes, home: Path, filename: str = "people.csv", target: str | None = None, **options: Any
) -> Prepared:
    info = add_file(content, filename, home, target=target)
    return prepare(DataChoice(dataset=info.name, options=options), home)


def _columns(data: Prepared) -> tuple[str, ...]:
    return data.schema.inputs[0].columns


def test_added_table_is_listed_and_prepared(home: Path) -> None:
    info = add_file(valid_csv(), "My people.csv", home)
    assert uuid.UUID(info.name)
    assert (info.title, info.kind, info.task, info.rows, info.builtin) == (
        "My people",
        "table",
        "classification",
        60,
        False,
    )
    assert info.columns == ("height", "width", "kind")
    second = add_file(valid_csv(), "x.csv", home, name="Other", target="height")
    assert [dataset.name for dataset in datasets(home) if not dataset.builtin] == [second.name, info.name]
    assert (second.title, second.task) == ("Other", "regression")
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.schema.target.classes == ("a", "b")
    assert (data.schema.target.name, _columns(data)) == ("kind", ("height", "width"))
    assert data.target.tolist() == [0, 1] * 30
    assert torch.equal(data.encode({"height": 2.0, "width": 4})["features"][0], data.inputs["features"][4])


def test_file_on_disk_and_its_bytes_are_equal(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(valid_csv())
    first, second = (
        prepare(DataChoice(dataset=add_file(content, "people.csv", home).name), home) for content in (path, valid_csv())
    )
    assert first.fingerprint == second.fingerprint
    assert torch.equal(first.inputs["features"], second.inputs["features"])


def test_removed_upload_no_longer_exists(home: Path) -> None:
    info = add_file(valid_csv(), "people.csv", home)
    choice = DataChoice(dataset=info.name)
    prepare(choice, home)
    remove(info.name, home)
    assert all(dataset.builtin for dataset in datasets(home))
    assert list((home / "data").iterdir()) == []
    for attempt in (lambda: prepare(choice, home), lambda: remove(info.name, home)):
        with pytest.raises(DataError, match="does not exist any more"):
            attempt()
    with pytest.raises(DataError, match="no dataset"):
        remove("../..", home)
    assert home.exists()


SEPARATORS, ENDS, ENCODINGS = (",", ";", "\t", "|"), ("\n", "\r\n"), ("utf-8", "utf-8-sig", "utf-16")
# Each separator, and each encoding with each end of a line: the others combine the same.
FEW_NOTATIONS = [(",", "\n", "utf-8"), (";", "\r\n", "utf-8"), ("\t", "\n", "utf-8-sig"), ("|", "\r\n", "utf-8-sig")]
FEW_NOTATIONS += [("\t", "\n", "utf-16"), (";", "\r\n", "utf-16")]


@pytest.mark.parametrize(
    ("separator", "end", "encoding"),
    [
        pytest.param(*notation, marks=[] if notation in FEW_NOTATIONS else [pytest.mark.long])
        for notation in itertools.product(SEPARATORS, ENDS, ENCODINGS)
    ],
)
def test_table_is_read_with_any_separator_and_encoding(home: Path, separator: str, end: str, encoding: str) -> None:
    text = valid_csv().decode().replace(",", separator).replace("\n", end).replace("a" + end, "ä" + end)
    data = _add(text.encode(encoding), home)
    assert (_columns(data), data.schema.rows) == (("height", "width"), 60)
    assert data.schema.target.classes == ("b", "ä")
    assert data.row(3) == {"height": 1.5, "width": 3.0}


def test_quoted_cells_may_hold_separators_and_newlines(home: Path) -> None:
    rows = (
        f'"{i}","{("red, dark", "blue" + chr(10) + "light")[i % 2]}","say ""{"yn"[i // 2 % 2]}"""' for i in range(40)
    )
    data = _add(make_csv('"a, b","colour","answer"', rows), home)
    assert data.schema.target.classes == ('say "n"', 'say "y"')
    assert _columns(data) == ("a, b", "colour = blue\nlight", "colour = red, dark", "colour = (other)")


def test_one_hot_categories_have_an_other_column(home: Path) -> None:
    data = _add(make_csv("colour,size,y", (f"{('red', 'blue', 'green')[i % 3]},{i},{i % 2}" for i in range(60))), home)
    assert _columns(data) == ("size", "colour = blue", "colour = green", "colour = red", "colour = (other)")
    hot = data.inputs["features"][:, 1:]
    assert torch.equal(hot.sum(1), torch.ones(60))
    assert hot[0].tolist() == [0, 0, 1, 0]
    assert hot[:, 3].sum() == 0
    assert data.encode({"colour": "mauve", "size": 1})["features"][0, 1:].tolist() == [0, 0, 0, 1]


def test_category_only_in_test_rows_is_other(home: Path) -> None:
    rows = [f"{i * 1.25},c{i % 3}" for i in range(60)]
    first = _add(make_csv("y,colour", rows), home, target="y")
    for row in first.split["test"].tolist():
        rows[row] = rows[row].split(",")[0] + ",unseen"
    data = _add(make_csv("y,colour", rows), home, target="y")
    assert not any("unseen" in column for column in _columns(data))
    assert (data.inputs["features"][data.split["test"], -1] == 1).all()
    assert (data.inputs["features"][data.split["train"], -1] == 0).all()


def test_table_is_fitted_on_training_rows_only(home: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=(80, 2))
    rows = [f"{a},{b},{'xyz'[i % 3]},{a + i}" for i, (a, b) in enumerate(numbers)]
    first = _add(make_csv("a,b,c,y", rows), home, target="y")
    for part in ("validation", "test"):
        for row in first.split[part].tolist():
            rows[row] = f",{row * 1e6},new,{row * 1e5}"
    second = _add(make_csv("a,b,c,y", rows), home, target="y")
    assert second.preprocess == first.preprocess
    train = first.split["train"]
    assert torch.equal(first.inputs["features"][train], second.inputs["features"][train])
    assert torch.equal(first.target[train], second.target[train])
    assert second.fingerprint != first.fingerprint


def test_missing_numbers_use_the_training_median(home: Path) -> None:
    rows = [f"{'' if i % 5 == 0 else ('NA' if i % 7 == 0 else i * i)},{i % 2}" for i in range(80)]
    data = _add(make_csv("a,y", rows), home)
    assert isinstance(data.raw, Table)
    values = data.raw.numbers["a"]
    train = values[data.split["train"].numpy()]
    column: Any = data.fields[0].columns[0].state
    assert column.median == np.median(train[~np.isnan(train)])
    expected = (column.median - column.mean) / column.std
    assert data.inputs["features"][0, 0].item() == pytest.approx(expected, rel=1e-5)
    assert data.row(0) == {"a": None}
    quality = statistics(data)
    assert quality.columns[0]["missing"] == np.isnan(values).sum() > 0
    assert any("missing" in remark for remark in quality.remarks)


def test_missing_category_equals_an_empty_string(home: Path) -> None:
    data = _add(make_csv("a,b,y", (f"{'' if i % 3 == 0 else 'x'},{i},{i % 2}" for i in range(60))), home)
    assert data.encode({"a": None, "b": 1})["features"].tolist() == data.encode({"a": "", "b": 1})["features"].tolist()


def test_rows_without_target_are_dropped_with_warning(home: Path) -> None:
    data = _add(make_csv("a,y", (f"{i},{'' if i % 4 == 0 else 'pq'[i % 2]}" for i in range(80))), home)
    assert data.schema.rows == 60
    assert any("20 rows without a value" in warning for warning in data.warnings)
    assert data.warnings[0] in statistics(data).remarks


def test_dates_become_numeric_features(home: Path) -> None:
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(60)]
    data = _add(make_csv("day,y", (f"{day.isoformat()},{i % 2}" for i, day in enumerate(days))), home)
    assert isinstance(data.raw, Table)
    by_name = dict(data.raw.numbers)
    count = next(values for name, values in by_name.items() if "days" in name)
    weekday = next(values for name, values in by_name.items() if "weekday" in name)
    assert np.array_equal(count, [(day - datetime.date(1970, 1, 1)).days for day in days])
    assert np.array_equal(weekday, [day.weekday() for day in days])
    assert torch.equal(data.encode({"day": "2024-01-08"})["features"][0], data.inputs["features"][7])


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["31.12.2023", "1.2.2024"], ["2023-12-31", "2024-02-01"]),
        (["12/31/2023", "01/02/2024"], ["2023-12-31", "2024-01-02"]),
        (["31/12/2023", "01/02/2024"], ["2023-12-31", "2024-02-01"]),
        (["1,234.50", "12"], [1234.5, 12.0]),
        (["-1,234,567", "+12"], [-1234567.0, 12.0]),
        # Ambiguous cells stay unchanged.
        (["03/04/2023", "01/02/2024"], None),
        (["31.12.2023", "13/31/2023"], None),
        (["1,234", "12,000"], None),
    ],
)
def test_localized_cells_are_parsed_when_unambiguous(cells: list[str], read: list[Any] | None) -> None:
    table, _ = read_table("\n".join(["a\tb", *(f"{cell}\t1" for cell in [*cells, ""])]).encode(), "text", "x.tsv")
    values = [value.date().isoformat() if hasattr(value, "date") else value for value in table["a"][:2]]
    assert values == (cells if read is None else read)
    assert pd.isna(table["a"][2])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(86836.0, "86836"), (22331.1, "22331"), (9999.6, "10000"), (0.12346, "0.1235"), (-1.5e6, "-1500000")],
)
def test_large_numbers_are_formatted_without_an_exponent(value: float, expected: str) -> None:
    assert text.number(value) == expected


def test_free_text_is_tokenized_into_words(home: Path) -> None:
    rows = (
        f'"This is sentence number {i}, which is {("good", "bad")[i % 2]}.",{("up", "down")[i % 2]}' for i in range(60)
    )
    info = add_file(make_csv("review,label", rows), "reviews.csv", home)
    data = prepare(DataChoice(dataset=info.name), home)
    assert info.kind == "text"
    assert data.schema.inputs[0].kind == "tokens"
    assert data.schema.target.classes == ("down", "up")
    assert "good" in data.token_field(data.fields[0].name).vocabulary
    assert data.example(1).text == "This is sentence number 1, which is bad."


def test_integers_beyond_float_range_stay_text(home: Path) -> None:
    nines = "9" * 500
    info = add_file(make_csv("a,kind", (f"{(nines, 1)[i % 2]},{'pq'[i % 2]}" for i in range(80))), "long.csv", home)
    assert str(prepare(DataChoice(dataset=info.name), home).raw.row(0)["a"]) == nines


def test_target_is_inferred_by_name_or_position(home: Path) -> None:
    with_label_column = make_csv("label,a", (f"{'pq'[i % 2]},{i}" for i in range(40)))
    assert _add(with_label_column, home).schema.target.name == "label"
    assert _add(valid_csv(), home).schema.target.name == "kind"
    assert _add(valid_csv(), home, target="width").schema.target.name == "width"
    data = _add(valid_csv(), home, target="width", task="regression")
    assert data.schema.target.kind == "number"
    assert data.restore(data.target).flatten().tolist() == pytest.approx([i % 7 for i in range(60)], abs=1e-5)


def test_summary_names_the_selected_target(home: Path) -> None:
    info = add_file(valid_csv(), "people.csv", home)
    targets = []
    option_sets: list[dict[str, Any]] = [{}, {"target": "width"}]
    for options in option_sets:
        choice = DataChoice(dataset=info.name, options=options)
        targets.append(summary(info, prepare(choice, home), choice).rpartition(" ")[2])
    assert targets == ["kind", "width"]


def test_split_column_is_not_the_target(home: Path) -> None:
    words = ("train", "Training", "VAL", "dev", "Test")
    table = make_csv("a,kind,split", (f"{i},{'pq'[i % 2]},{words[i % 5]}" for i in range(60)))
    data = _add(table, home)
    assert (data.schema.target.name, _columns(data)) == ("kind", ("a",))
    for name, places in (("train", (0, 1)), ("validation", (2, 3)), ("test", (4,))):
        assert sorted(data.split[name]) == [row for row in range(60) if row % 5 in places]
    as_target = _add(table, home, target="split")  # selecting it as the target overrides this
    assert as_target.schema.target.name == "split"
    with pytest.raises(DataError, match="'split' has the value 'boat'; expected train, validation or test"):
        _add(table.replace(b"dev", b"boat"), home)
    unrelated = _add(table.replace(b"dev", b"boat").replace(b"split", b"by"), home)  # e.g. means of transport
    assert unrelated.schema.target.name == "by"


def test_numeric_classes_keep_their_values(home: Path) -> None:
    data = _add(make_csv("a,y", (f"{i},{(10, 9, -1, 2)[i % 4]}" for i in range(80))), home)
    assert data.schema.target.kind == "class"
    assert sorted(map(int, data.schema.target.classes)) == [-1, 2, 9, 10]
    assert [data.target_text(i) for i in range(4)] == ["10", "9", "-1", "2"]


def test_single_row_class_is_in_training(home: Path) -> None:
    rows = [f"{i},{'rare' if i == 7 else 'ab'[i % 2]}" for i in range(60)]
    info = add_file(make_csv("a,y", rows), "x.csv", home)
    for seed in range(40):
        data = prepare(DataChoice(dataset=info.name, seed=seed), home)
        assert 7 in data.split["train"].tolist()


@pytest.mark.parametrize("rows", [0, 1, 3, 17])
def test_split_shares_hold_for_imbalanced_classes(home: Path, rows: int) -> None:
    kinds = ["a"] * 100 + ["b"] * 40 + ["c"] * (5 + rows) + ["d"] * 3
    info = add_file(make_csv("n,y", (f"{i},{kind}" for i, kind in enumerate(kinds))), "x.csv", home)
    for seed in range(8):
        data = prepare(DataChoice(dataset=info.name, seed=seed, validation=0.2, test=0.1), home)
        for part, share in (("train", 0.7), ("validation", 0.2), ("test", 0.1)):
            for number, kind in enumerate("abcd"):
                count = (data.target[data.split[part]] == number).sum().item()
                assert abs(count - share * kinds.count(kind)) <= 1.5, (seed, part, kind)


def _parquet(table: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.to_parquet(stream)
    return stream.getvalue()


def test_parquet_and_csv_are_equal(home: Path) -> None:
    table = pd.read_csv(io.BytesIO(valid_csv()))
    first, second = _add(valid_csv(), home), _add(_parquet(table), home, "people.parquet")
    assert first.schema == second.schema
    assert torch.equal(first.inputs["features"], second.inputs["features"])
    assert torch.equal(first.target, second.target)


def test_parquet_column_types_are_read(home: Path) -> None:
    count = 60
    table = pd.DataFrame(
        {
            "whole": pd.array([None if i % 9 == 0 else i for i in range(count)], dtype="Int64"),
            "flag": [i % 3 == 0 for i in range(count)],
            "small": np.arange(count).astype(np.uint8),
            "half": np.arange(count).astype(np.float32) / 2,
            "colour": pd.Categorical([("red", "blue")[i % 2] for i in range(count)]),
            "moment": pd.date_range("2024-01-01", periods=count, freq="h", tz="Europe/Paris"),
            "day": [datetime.date(2024, 1, 1 + i % 28) for i in range(count)],
            "wait": pd.to_timedelta(np.arange(count), unit="s"),
            "list": [[i, i + 1] for i in range(count)],
            "map": [{"a": i % 2} for i in range(count)],
            "raw": [b"\xff\x00" if i % 2 else b"x" for i in range(count)],
            "nothing": [None] * count,
            "y": [i % 2 for i in range(count)],
        },
        index=pd.Index(np.arange(count) * 7, name="key"),
    )
    data = _add(_parquet(table), home, "types.parquet")
    assert data.schema.rows == count
    assert data.inputs["features"].isfinite().all()
    assert {"whole", "flag", "small", "half", "colour = red"} <= set(_columns(data))
    assert any("nothing" in warning for warning in data.warnings)
    assert torch.equal(data.encode(data.row(9))["features"][0], data.inputs["features"][9])


def test_zip_of_image_folders_becomes_a_dataset(home: Path) -> None:
    info = add_file(make_zip(image_folders()), "pets.zip", home)
    assert (info.kind, info.task, info.rows) == ("image", "classification", 20)
    data = prepare(DataChoice(dataset=info.name, options={"size": 16}), home)
    assert data.schema.target.classes == ("cats", "dogs")
    assert data.schema.inputs[0].shape == (3, 16, 16)
    assert data.raw.example(0, "").image.shape == (16, 16, 3)
    assert [path.name for path in (home / "data").iterdir()] == [info.name]
    train = data.split["train"]
    assert data.inputs["image"][train].mean().item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
def test_every_image_format_is_read(home: Path, form: str) -> None:
    members = {
        f"{'light' if i % 2 else 'dark'}/{i}.{form.lower()}": solid_image((250,) * 3 if i % 2 else (5,) * 3, form=form)
        for i in range(20)
    }
    data = _add(make_zip(members), home, "x.ZIP")
    assert data.schema.target.classes == ("dark", "light")
    bright = data.inputs["image"].flatten(1).mean(1)
    assert ((bright > 0) == (data.target == 1)).all()


def test_grayscale_images_have_one_channel(home: Path) -> None:
    data = _add(make_zip({f"{'ab'[i % 2]}/{i}.png": solid_image(i * 10) for i in range(20)}), home, "x.zip")
    assert data.schema.inputs[0].shape[0] == 1


def test_system_files_in_zips_are_ignored(home: Path) -> None:
    more = {"__MACOSX/set/cats/._1.png": b"x", "set/.DS_Store": b"x", "set/notes.txt": b"x", "set/cats/": b""}
    info = add_file(make_zip({**image_folders(), **more}, zipfile.ZIP_DEFLATED), "x.zip", home)
    assert info.rows == 20


def test_images_of_any_size_and_mode_are_read(home: Path) -> None:
    members = image_folders(16)
    from PIL import Image

    for number, mode in enumerate(("1", "P", "LA", "RGBA", "I;16", "CMYK")):
        stream = io.BytesIO()
        Image.new(mode, (30 + number, 7)).save(stream, "TIFF" if mode == "CMYK" else "PNG")
        members[f"set/cats/mode {mode.replace(';', '')}.{'tif' if mode == 'CMYK' else 'png'}"] = stream.getvalue()
    members["set/dogs/tiny.png"] = noise_image(1, side=1)
    assert add_file(make_zip(members), "x.zip", home).rows == 23


def test_listed_info_equals_the_returned_info(home: Path) -> None:
    infos: list[DatasetInfo] = [
        add_file(valid_csv(), "a.csv", home),
        add_file(make_zip(image_folders()), "b.zip", home),
    ]
    assert {info.name: info for info in datasets(home) if not info.builtin} == {info.name: info for info in infos}


def test_adding_a_table_parses_and_infers_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these takes long for a large table, and all readers are tried on it."""
    calls = Counter[str]()

    def count(module: str, name: str) -> None:
        original = getattr(import_module(f"netloom.data.{module}"), name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(f"netloom.data.{module}.{name}", counted)

    count("uploads.files.source", "read_table")
    count("uploads.kinds.table", "likely_targets")
    count("uploads.kinds.table", "table_to_raw")
    count("uploads.tabular", "split_column")
    source = open_source(valid_csv(), "people.csv")
    assert fitting(source)[0].name == "table"
    add_source(source, home)
    # Once for all readers, and once among the columns that no answer uses
    assert calls == {"read_table": 1, "likely_targets": 1, "table_to_raw": 1, "split_column": 2}
    readers()["table"].questions(source, {})
    assert calls["likely_targets"] == 1


def test_name_of_a_built_in_dataset_is_numbered_and_a_misspelled_one_gets_the_nearest(home: Path) -> None:
    content = make_csv("x,y", (f"{row},{'ab'[row % 2]}" for row in range(30)))
    assert add_file(content, "parts.csv", home).title == "parts (2)"
    assert add_file(content, "houses.csv", home).title == "houses"
    for misspelled, nearest in (("digitts", "digits"), ("housse", "houses")):
        with pytest.raises(DataError, match=f"There is no dataset '{misspelled}'; did you mean '{nearest}'"):
            prepare(DataChoice(dataset=misspelled), home)
    with pytest.raises(DataError, match=r"There is no dataset 'qqqqqq'\."):
        prepare(DataChoice(dataset="qqqqqq"), home)
