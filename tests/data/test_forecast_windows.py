"""Forecasts of several columns: windows, their parts of a split, scaling, and the naive forecast."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netloom.core.plain_json import Json, JsonObject
from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.preparation.decode import decode
from netloom.data.quality.reach_back import reach_back_note
from netloom.data.raw.series import Series, forecast_of
from netloom.data.uploads import fitting, open_source
from netloom.data.uploads.series.series_windows import parts_of_windows, season
from netloom.data.uploads.upload_meta import read_meta, write_meta
from netloom.document import DataChoice
from tests.data.samples import import_and_prepare

STEPS, WINDOW, HORIZON = 200, 12, 3
HOURS = pd.date_range("2024-01-01", periods=STEPS, freq="h")


def weather(parts: list[str] | None = None) -> bytes:
    """Three columns whose values name their time step: step, 1000 + 10 · step, and −step."""
    step = np.arange(STEPS, dtype=np.float64)
    table = pd.DataFrame({"time": HOURS, "sun": step, "rain": 1000 + 10 * step, "wind": -step})
    if parts is not None:
        table["split"] = parts
    return table.to_csv(index=False).encode()


def added(home: Path, content: bytes = b"", choice: dict[str, Any] | None = None, **options: Json) -> Prepared:
    options_: JsonObject = {"target": ["rain", "sun"], "window": WINDOW, "horizon": HORIZON, **options}
    info = add_file(content or weather(), "weather.csv", home, kind="series", options=options_)
    return prepare(DataChoice(dataset=info.name, **(choice or {})), home)


def test_rows_that_are_left_out_are_named_if_too_few_remain(home: Path) -> None:
    table = pd.DataFrame({"day": HOURS.strftime("%Y-%m-%d"), "hour": HOURS.strftime("%H:%M"), "sun": np.arange(STEPS)})
    with pytest.raises(DataError, match=r"9 rows are too few .* Left out 191 rows with the same time as a later row"):
        added(home, table.to_csv(index=False).encode(), target=["sun"])


def steps_of(data: Prepared, part: str) -> tuple[set[int], set[int]]:
    """The steps that the windows of a part read, and those that they forecast, told by the values themselves."""
    rows = data.split[part].tolist()
    place = data.schema.inputs[0].columns.index("sun")
    read = {round(float(step)) for row in rows for step in data.row(row)["series"][:, place]}
    forecast = {
        round(float(step)) for row in rows for step in data.restore(data.target[row]).reshape(2, HORIZON)[1].tolist()
    }
    return read, forecast


@pytest.mark.parametrize(
    ("form", "note"),
    [
        ("%d.%m.%Y %H:%M", ""),
        ("%m/%d/%Y %I:%M %p", "The times in 'time' cannot be read, as its dates can begin with the day"),
        ("%d.%m.%y %H:%M", ""),
        ("%y-%m-%d %H:%M", "The texts in 'time', such as '24-01-01 00:00', are not read as times"),
    ],
)
def test_times_that_cannot_be_read_are_named(form: str, note: str, home: Path) -> None:
    """Here all days are at most 9, so that they cannot be told from months."""
    table = pd.DataFrame({"time": HOURS.strftime(form), "sun": np.arange(STEPS)})
    data = added(home, table.to_csv(index=False).encode(), target=["sun"])
    assert [text.startswith(note) for text in data.warnings] == [True] * bool(note)
    assert isinstance(data.raw, Series)
    assert data.raw.time == ("" if note else "time")


def test_several_targets_are_forecast_one_after_the_other_beside_a_covariate(home: Path) -> None:
    data = added(home)
    assert data.schema.inputs[0].columns == ("rain", "sun", "wind")
    assert data.schema.inputs[0].shape == (WINDOW, 3)
    assert data.schema.target.shape == (2 * HORIZON,)
    assert data.schema.target.number_names == ("rain +1", "rain +2", "rain +3", "sun +1", "sun +2", "sun +3")
    assert data.restore(data.target[0]).tolist() == pytest.approx([1120, 1130, 1140, 12, 13, 14], abs=1e-3)
    assert data.target_text(0) == "rain: 1120, 1130, 1140; sun: 12, 13, 14"


@pytest.mark.parametrize(
    "choice", [{}, {"validation": 0.0}, {"folds": 4, "fold": 1}, {"gap": 5}], ids=["shares", "no", "folds", "gap"]
)
def test_windows_reach_back_without_a_common_target(home: Path, choice: dict[str, Any]) -> None:
    data = added(home, choice=choice)
    read, targets = zip(*(steps_of(data, part) for part in ("train", "validation", "test")), strict=True)
    assert not targets[0] & targets[1]
    assert not targets[0] & targets[2]
    assert not targets[1] & targets[2]
    # Training reads nothing that is forecast in validation or test
    assert not read[0] & (targets[1] | targets[2])
    if not choice.get("folds"):
        assert read[2] & (targets[0] | targets[1])
        assert not read[1] & targets[2]


def test_reaching_back_recovers_a_window_for_each_step_of_context(home: Path) -> None:
    apart, reaching = (added(home, reach_back=choice) for choice in (False, True))
    recovered = {name: len(reaching.split[name]) - len(apart.split[name]) for name in apart.split}
    assert recovered == {"train": WINDOW, "validation": WINDOW, "test": 0}
    forecast = forecast_of(reaching.raw)
    assert forecast is not None
    split = {name: rows.numpy() for name, rows in reaching.split.items()}
    assert forecast.reaching_back(split) == {"train": 0, "validation": WINDOW, "test": WINDOW}
    rows = len(split["test"])
    assert f"{WINDOW} of {len(split['validation'])} validation windows and {WINDOW} of {rows}" in reach_back_note(
        reaching
    )
    assert reach_back_note(apart) == ""


def test_given_split_keeps_windows_that_read_an_earlier_part(home: Path) -> None:
    parts = ["train"] * 120 + ["validation"] * 40 + ["test"] * 40
    data = added(home, weather(parts))
    (read, train), (_, validation), (_, test) = (steps_of(data, part) for part in ("train", "validation", "test"))
    assert (min(train), max(train)) == (WINDOW, 119)
    assert validation == set(range(120, 160))
    assert test == set(range(160, 200))
    assert max(read) < 120


def test_training_after_the_test_does_not_read_it() -> None:
    parts = np.repeat([2, 0, 1, -1, 0], 10)
    starts = np.arange(50 - 4 - 2 + 1)
    for_window = parts_of_windows(parts, starts, 4, 2, reach_back=True, warnings=[])
    for start, part in zip(starts, for_window, strict=True):
        targets, context = parts[start + 4 : start + 6], parts[start : start + 4]
        allowed = len(set(targets)) == 1 and targets[0] >= 0 and (context <= targets[0]).all() and (context >= 0).all()
        assert part == (targets[0] if allowed else -1)


def test_scaling_is_fitted_on_the_time_steps_of_training_alone(home: Path) -> None:
    parts = ["train"] * 120 + ["validation"] * 40 + ["test"] * 40
    data = added(home, weather(parts))
    train = np.arange(120.0)
    columns = {"rain": 1000 + 10 * train, "sun": train, "wind": -train}
    state: Any = data.preprocess.fields[0]
    assert state.mean == pytest.approx([values.mean() for values in columns.values()])
    assert state.std == pytest.approx([values.std() for values in columns.values()])
    numbers = data.fitted_numbers
    assert numbers.mean == pytest.approx(np.repeat([columns["rain"].mean(), columns["sun"].mean()], HORIZON))
    assert numbers.std == pytest.approx(np.repeat([columns["rain"].std(), columns["sun"].std()], HORIZON))


def test_values_after_training_change_no_fitted_number(home: Path) -> None:
    parts = ["train"] * 120 + ["validation"] * 40 + ["test"] * 40
    table = pd.read_csv(io.BytesIO(weather(parts)))
    table.loc[120:, ["sun", "rain", "wind"]] = 1e6
    first, second = added(home, weather(parts)), added(home, table.to_csv(index=False).encode())
    assert first.preprocess == second.preprocess


def test_uploads_from_before_reaching_back_keep_their_windows(home: Path) -> None:
    options: JsonObject = {"target": "sun", "window": WINDOW, "horizon": HORIZON, "reach_back": False, "period": None}
    info = add_file(weather(), "weather.csv", home, kind="series", options=options)
    data = prepare(DataChoice(dataset=info.name), home)
    folder = home / "data" / info.name
    meta = read_meta(folder)
    for name in ("reach_back", "period"):
        del meta["options"][name]
    write_meta(folder, meta)
    older = prepare(DataChoice(dataset=info.name, seed=1), home)
    assert {name: rows.tolist() for name, rows in older.split.items()} == {
        name: rows.tolist() for name, rows in data.split.items()
    }
    assert older.preprocess == data.preprocess
    forecast = forecast_of(older.raw)
    assert forecast is not None
    assert forecast.period is None


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [("MS", 12), ("QS", 4), ("W", 52), ("D", 7), ("B", 5), ("h", 24), ("15min", 96), ("YS", 1), ("7h", 1)],
)
def test_season_is_guessed_from_the_sampling_step(frequency: str, expected: int) -> None:
    times = pd.Series(pd.date_range("2001-01-01", periods=250, freq=frequency))
    assert season(times, 250) == expected
    assert season(times, 2 * expected - 1) == 1


@pytest.mark.parametrize(("written", "expected"), [("%b %Y", 12), ("%Y-Q%q", 4), ("Q%q %Y", 4), ("%d-%b-%Y", 7)])
def test_written_periods_and_dates_order_a_series(written: str, expected: int, home: Path) -> None:
    frequency = {12: "M", 4: "Q", 7: "D"}[expected]
    times = pd.period_range("2001-01-01", periods=100, freq=frequency).strftime(written)
    table = pd.DataFrame({"time": times, "value": np.arange(100.0)}).sample(frac=1, random_state=0)
    data = prepare(DataChoice(dataset=add_file(table.to_csv(index=False).encode(), "a.csv", home).name), home)
    forecast = forecast_of(data.raw)
    assert forecast is not None
    assert forecast.period == expected
    assert np.diff(data.row(3)["series"][:, 0]) == pytest.approx(1)


def test_naive_forecast_repeats_the_season_before_the_window_ends(home: Path) -> None:
    forecast = forecast_of(added(home, period=24).raw)
    assert forecast is not None
    # Row 30 ends at step 42: its season is 18, 19, 20
    assert forecast.naive(np.array([30]), 24)[0, 1].tolist() == [18, 19, 20]
    assert forecast.naive(np.array([30]), 2)[0, 1].tolist() == [40, 41, 40]
    # Row 0 ends at step 12, before a season has passed: the last value
    assert forecast.naive(np.array([0]), 24)[0, 1].tolist() == [11, 11, 11]


def test_several_series_do_not_share_a_naive_forecast(home: Path) -> None:
    table = pd.concat(
        pd.DataFrame({"shop": name, "day": HOURS[:60], "sales": 1000.0 * index + np.arange(60), "staff": index})
        for index, name in enumerate("abc")
    )
    options: JsonObject = {"series": "shop", "target": ["sales", "staff"], "window": 5, "horizon": 2, "period": 10}
    info = add_file(table.to_csv(index=False).encode(), "shops.csv", home, kind="series", options=options)
    data = prepare(DataChoice(dataset=info.name), home)
    forecast = forecast_of(data.raw)
    assert forecast is not None
    rows = np.arange(len(data.target))
    assert (forecast.naive(rows, 10)[:, 1] == data.raw.target[:, 2:]).all()
    assert forecast.naive_errors(rows)[0] == pytest.approx(10)
    assert np.isnan(forecast.naive_errors(rows)[1])
    moments = data.raw.times
    assert moments is not None
    times = [set(moments[rows.numpy()].tolist()) for rows in data.split.values()]
    assert not times[0] & times[1]
    assert not times[1] & times[2]


def test_a_random_split_of_windows_is_named_as_leaking(home: Path) -> None:
    data = added(home, choice={"split": "random"})
    assert any("overlap in time" in warning for warning in data.warnings)
    assert reach_back_note(data) == ""
    assert not any("overlap in time" in warning for warning in added(home).warnings)


def test_predictions_of_several_series_are_named(home: Path) -> None:
    data = added(home)
    (answer,) = decode({"target": data.fitted_target.to_json()}, data.target[:1], {})
    assert list(answer["prediction"]) == ["rain", "sun"]
    assert answer["prediction"]["sun"] == pytest.approx([12, 13, 14], abs=1e-4)


@pytest.mark.parametrize("times", ["year", "fraction", "yyyymmdd"])
def test_a_value_per_numbered_time_is_a_series(times: str, home: Path) -> None:
    """As sunspots by year, and as R writes monthly series."""
    steps = np.arange(60)
    written: Any = {
        "year": 1900 + steps,
        "fraction": (1949 + steps / 12).round(6),
        "yyyymmdd": pd.date_range("1958-03-29", periods=60, freq="7D").strftime("%Y%m%d"),
    }[times]
    lines = [f"{row + 1},{time},{np.sin(row / 3):.4f}" for row, time in enumerate(written)]
    content = "\n".join(["," + ("date" if times == "yyyymmdd" else "time") + ",value", *lines]).encode()
    assert fitting(open_source(content, "a.csv"))[0].name == "series"
    data = import_and_prepare(content, home, "a.csv")
    assert data.schema.target.forecast is not None
    assert data.raw.channels == ("value",)  # type: ignore[attr-defined]
    assert "The rows were put in the order" not in " ".join(data.warnings)


@pytest.mark.parametrize(
    "table",
    [
        "year,price\n" + "\n".join(f"{1990 + row * 7 % 30},{row * 3 % 17}" for row in range(60)),  # not in order
        "year,price,area\n" + "\n".join(f"{1900 + row},{row * 3 % 17},{row * 5 % 19}" for row in range(60)),
        "age,price\n" + "\n".join(f"{row},{row * 3 % 17}" for row in range(60)),
        "hours,score\n" + "\n".join(f"{1 + row**1.5 / 100:.2f},{row * 3 % 17}" for row in range(60)),  # at uneven steps
        "day,rain\n" + "\n".join(f"{row},{row % 2}" for row in range(60)),  # a flag
    ],
)
def test_other_tables_with_years_stay_tables(table: str) -> None:
    assert fitting(open_source(table.encode(), "a.csv"))[0].name == "table"


def test_the_time_cannot_be_forecast(home: Path) -> None:
    with pytest.raises(DataError, match="'time' is not numeric"):
        added(home, target=["sun", "time"])
