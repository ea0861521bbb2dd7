"""Several time series in one file, and the common title of several files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from netloom.core.plain_json import Json
from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.uploads import fitting, open_source
from netloom.data.uploads.naming import called
from netloom.document import DataChoice

DAYS = pd.date_range("2024-01-01", periods=90)
SHIFTS = {"north": 0, "south": 7, "west": 30}  # start of each series, in days after the first


def _stores() -> bytes:
    """One series per store; each value identifies the store (1000 per store) and the day."""
    parts = [
        pd.DataFrame({"store": name, "day": DAYS[first:], "sales": 1000 * index + np.arange(first, len(DAYS)) + 0.5})
        for index, (name, first) in enumerate(SHIFTS.items())
    ]
    return pd.concat(parts).sample(frac=1, random_state=0).to_csv(index=False).encode()


def _added(home: Path, content: bytes, kind: str = "", **options: Json) -> Prepared:
    info = add_file(content, "stores.csv", home, kind=kind, options=options)
    return prepare(DataChoice(dataset=info.name), home)


def test_stacked_series_are_separated_by_the_id_column(home: Path) -> None:
    data = _added(home, _stores(), window=5, horizon=2, reach_back=False)
    assert data.schema.rows == sum(90 - first - 6 for first in SHIFTS.values())
    assert data.schema.inputs[0].columns == ("sales",)
    for row in range(data.schema.rows):  # from one series only, in daily steps
        values = [*data.row(row)["series"][:, 0], *data.restore(data.target[row]).tolist()]
        assert np.diff(values) == pytest.approx(1, abs=1e-2)
    days = [
        {int(np.round(data.row(row)["series"][0, 0] - 0.5)) for row in rows.tolist()} for rows in data.split.values()
    ]
    days_by_split = [{day + step for day in first for step in range(7)} for first in days]
    assert not days_by_split[0] & days_by_split[1]
    assert not days_by_split[1] & days_by_split[2]
    last, first = (np.array(sorted(part)) % 1000 for part in days_by_split[:2])
    assert last.max() < first.max()
    assert min(map(len, data.split.values())) > 10


def test_group_split_holds_out_whole_series(home: Path) -> None:
    info = add_file(_stores(), "stores.csv", home, options={"window": 5})
    choice = DataChoice(dataset=info.name, split="group", validation=0.34, test=0.34)
    data = prepare(choice, home)
    parts = [{int(data.row(row)["series"][0, 0] // 1000) for row in rows.tolist()} for rows in data.split.values()]
    assert sorted(map(sorted, parts)) == [[0], [1], [2]]


def test_series_without_times_keep_the_row_order(home: Path) -> None:
    table = pd.read_csv(io.BytesIO(_stores())).sort_values(["store", "day"]).drop(columns="day")
    content = table.to_csv(index=False).encode()
    data = _added(home, content, kind="series", time=None, series="store", window=4)
    assert [np.diff(data.row(row)["series"][:, 0]).tolist() for row in (0, 5, 80)] == [[1, 1, 1]] * 3


def test_duplicate_times_are_noted_before_import(home: Path) -> None:
    table = pd.DataFrame({"day": np.repeat(DAYS, 2).astype(str), "sales": np.arange(180) * 1.01})
    source = open_source(table.to_csv(index=False).encode(), "sales.csv")
    reader = fitting(source)[0]
    assert reader.name == "table"
    (note,) = reader.noted(source, {})
    assert "Each time in 'day' occurs twice, and no column distinguishes these rows" in note
    source = open_source(_stores(), "stores.csv")
    assert (fitting(source)[0].name, fitting(source)[0].noted(source, {})) == ("series", [])


def test_customer_orders_are_not_a_series(home: Path) -> None:
    random = np.random.default_rng(0)
    orders = pd.DataFrame(
        {
            "customer": random.choice(list("abcdef"), 400),
            "day": pd.to_datetime("2024-01-01") + pd.to_timedelta(random.integers(0, 900, 400), "D"),
            "price": random.normal(size=400),
        }
    )
    source = open_source(orders.to_csv(index=False).encode(), "orders.csv")
    assert fitting(source)[0].name == "table"
    assert not fitting(source)[0].noted(source, {})


def test_series_id_cannot_be_the_target(home: Path) -> None:
    with pytest.raises(DataError, match="is the series ID"):
        add_file(_stores(), "x.csv", home, kind="series", options={"series": "sales", "target": "sales"})


@pytest.mark.parametrize(
    ("names", "folder", "title"),
    [
        (("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"), "",
         "images and labels"),
        (("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"), "mnist", "mnist"),
        (("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-test-labels-idx1-ubyte.gz"), "down",
         "emnist-letters"),
        (("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"), "", "x and y"),
        (("train.csv", "test.csv"), "", "train and test"),
        (("sales_2023.csv", "sales_2024.csv"), "", "sales"),
    ],
)  # fmt: skip
def test_title_of_several_files_is_their_common_name(names: tuple[str, ...], folder: str, title: str) -> None:
    assert called(names, folder) == title
