"""The fixes of the quality report: each edit is applied, the data is read again, and the finding is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netloom.data import Prepared, add_file, datasets, prepare, statistics
from netloom.data.quality import Finding, report
from netloom.data.quality.dataset_card import card, markdown
from netloom.data.quality.overview import columns
from netloom.document import DataChoice

ROWS = 300


def _faulty_choice(home: Path) -> DataChoice:
    """A numeric column with markers for missing values, a column that is missing more often for one class, and a text
    column that is mostly numeric."""
    random = np.random.default_rng(0)
    label = np.arange(ROWS) % 2
    table = pd.DataFrame({f"n{index}": random.normal(size=ROWS).round(3) for index in range(3)})
    table.loc[::50, "n0"] = 9999.0
    table.loc[(label == 1) & (random.random(ROWS) < 0.5), "n1"] = None
    table["text"] = random.normal(size=ROWS).round(4).astype(str)
    table.loc[::40, "text"] = "unknown"
    table["label"] = np.array(["no", "yes"])[label]
    return DataChoice(dataset=add_file(table.to_csv(index=False).encode(), "x.csv", home, target="label").name)


def _data_and_findings(choice: DataChoice, home: Path) -> tuple[Prepared, dict[str, Finding]]:
    data = prepare(choice, home)
    return data, {
        f"{finding.code} {' '.join(finding.columns)}": finding for finding in report(data, choice, home).findings
    }


def _fixed(choice: DataChoice, finding: Finding) -> DataChoice:
    assert finding.fix is not None
    return DataChoice.model_validate({**choice.model_dump(mode="json"), **finding.fix.edit["data"]})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("outliers n0", {"n0": {"scale": "quantile"}}),
        ("missing_tells n1", {"n1": {"indicator": True}}),
        ("mixed_types text", {"text": {"kind": "number"}}),
    ],
)
def test_fix_removes_its_finding(code: str, message: dict[str, Any], home: Path) -> None:
    choice = _faulty_choice(home)
    before, findings = _data_and_findings(choice, home)
    fixed = _fixed(choice, findings[code])
    assert fixed.options["columns"] == message
    after, remaining = _data_and_findings(fixed, home)
    assert code not in remaining
    values = after.inputs["features"]
    if code.startswith("outliers"):
        assert float(before.inputs["features"][:, 0].abs().max()) > 5
        assert float(values[:, 0].abs().max()) < 2
    else:
        assert values.shape[1] == before.inputs["features"].shape[1] + 1
    if code.startswith("missing"):
        assert set(values[:, 2].tolist()) == {0.0, 1.0}
        assert int(values[:, 2].sum()) == findings[code].count


def test_column_overview_follows_the_fixed_type(home: Path) -> None:
    choice = _faulty_choice(home)
    fixed = _fixed(choice, _data_and_findings(choice, home)[1]["mixed_types text"])
    text = next(column for column in columns(fixed, home) if column.name == "text")
    assert (text.kind, text.missing, text.values) == ("number", 8, ())
    assert float(text.low) < 0 < float(text.high)


def test_fix_keeps_existing_column_settings(home: Path) -> None:
    choice = _faulty_choice(home).model_copy(update={"options": {"columns": {"n0": {"indicator": True}}}})
    fixed = _fixed(choice, _data_and_findings(choice, home)[1]["outliers n0"])
    assert fixed.options["columns"] == {"n0": {"indicator": True, "scale": "quantile"}}


def test_class_counts_exclude_dropped_rows(home: Path) -> None:
    table = pd.DataFrame(
        {"a": np.r_[np.arange(100), np.full(30, 7)] * 1.5, "label": ["x"] * 50 + ["y"] * 50 + ["x"] * 30}
    )
    choice = DataChoice(
        dataset=add_file(table.to_csv(index=False).encode(), "x.csv", home, target="label").name, duplicates="drop"
    )
    data = prepare(choice, home)
    assert statistics(data, choice).classes == {"x": 50, "y": 50}
    dataset_card = card(next(info for info in datasets(home) if info.name == choice.dataset), data, choice)
    assert dataset_card["classes"] == {"x": 50, "y": 50}
    assert "**Left out**: 30 rows that repeat another" in markdown(dataset_card)


def test_three_groups_give_three_splits(home: Path) -> None:
    table = pd.DataFrame({"a": np.arange(90) * 1.5, "who": list("abc") * 30, "label": ["x", "y"] * 45})
    options: dict[str, Any] = {"columns": {"who": {"role": "group"}}}
    choice = DataChoice(
        dataset=add_file(table.to_csv(index=False).encode(), "x.csv", home, target="label").name, options=options
    )
    assert [len(rows) for rows in prepare(choice, home).split.values()] == [30, 30, 30]
