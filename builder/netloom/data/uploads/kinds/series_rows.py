"""Series as rows of a table with a column for each step, as in the UCR archive or heartbeats of MIT-BIH on Kaggle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.raw.series import Series
from netloom.data.raw_dataset import RawDataset
from netloom.data.tables.target_guess import ranked_targets
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.tabular import TASK, Tabular, known_rows, numeric, parts_of_rows, target_of
from netloom.data.uploads.upload_kind import Answers, Question
from netloom.modalities.columns.text import FEW_VALUES
from netloom.modalities.encoding.image_field import PIXEL_NAME

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 24  # steps
_NUMBERED = re.compile(r"(\D*)(\d{1,6})", re.ASCII)
# The correlation of neighboring steps, from which columns are steps rather than unrelated features; in standard
# deviations of the columns, where large columns do not outweigh the others, noise is more
_SMOOTH, _SMOOTH_SCALED = 0.6, 0.3
_SAMPLE = 200


class SeriesRows(Tabular):
    """Rows with the steps of a series and its class or number."""

    name = "series_rows"
    title = "Series in a table"
    about = (
        "A table with a series in each row: a column for each step, and one with the class or number of the series, "
        "such as the TSV files of the UCR archive."
    )
    kind = "series"
    target_question = "target"
    specific_questions = (Question("target", "Column to predict", "choice", "The target of a series"), TASK)

    def suits(self, table: pd.DataFrame) -> float:
        """Return 0.6 for a table whose columns are numbered steps beside a first or last one with the target; other
        tables of numbers can be read in this way, too, but are more likely features."""
        steps = _steps(table, _target(table))
        if len(steps) < table.shape[1] - 1 or len(steps) < _FEWEST:
            return 0.0
        are_pixels = all(PIXEL_NAME.fullmatch(name.strip()) for name in steps)
        return 0.6 if _are_consecutive(steps) and not are_pixels and _are_smooth(table[steps]) else 0.1

    def can_predict(self, source: Source, column: str) -> bool:
        table = self._table(source, {})
        return self.suits(table) > 0 and column in (str(table.columns[0]), str(table.columns[-1]))

    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        return {"target": _target(table)}

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} from a series."

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        target = options.choice("target")
        steps = _steps(table, target)
        if not steps:
            raise DataError(f"{title[:60]!r} has no columns of numbers beside {target!r}; a series needs one per step.")
        warnings: list[str] = []
        labeled = known_rows(table, [*steps, target], warnings)
        return Series(
            name="series",
            windows=labeled[steps].to_numpy(dtype=np.float32)[:, :, None],  # (R, T) -> (R, T, 1)
            channels=("value",),
            warnings=warnings,
            given=parts_of_rows(parts, labeled),
            **target_of(labeled[target], options.optional_choice("task"), title),
        )


def _steps(table: pd.DataFrame, target: str) -> list[str]:
    """Return the columns of numbers beside the target."""
    return [name for name in numeric(table) if name != target]


def _target(table: pd.DataFrame) -> str:
    """Return the more likely target of the first and the last column: the only one of few values, if there is one."""
    names = list(dict.fromkeys([str(table.columns[0]), str(table.columns[-1])]))
    few = [name for name in names if table[name].nunique() <= FEW_VALUES]
    return few[0] if len(few) == 1 else ranked_targets(table[names])[0]


def _are_consecutive(names: list[str]) -> bool:
    """Return whether names are numbered one after the other, such as t0, t1 and t2."""
    numbered = [_NUMBERED.fullmatch(name.strip()) for name in names]
    first = numbered[0]
    return first is not None and all(
        match is not None and match[1] == first[1] and int(match[2]) == int(first[2]) + place
        for place, match in enumerate(numbered)
    )


def _are_smooth(steps: pd.DataFrame) -> bool:
    """Return whether neighboring columns have similar values within their row, beyond those that a row has in common.

    Whole numbers are not measurements of a series, but counts or pixels.
    """
    values = steps.head(_SAMPLE).to_numpy(dtype=np.float64)
    values = values[np.isfinite(values).all(1)]
    if not len(values) or (values == values.round()).all():
        return False
    deviation = values.std(0)
    scaled = (values - values.mean(0)) / np.where(deviation > 0, deviation, 1)
    return _correlation(values) >= _SMOOTH and _correlation(scaled) >= _SMOOTH_SCALED


def _correlation(values: np.ndarray) -> float:
    """Return the correlation of neighboring columns within the rows of (rows, steps); 0 if no row varies."""
    deviations = values - values.mean(1, keepdims=True)
    before, after = deviations[:, :-1], deviations[:, 1:]
    size = float(np.sqrt((before**2).sum() * (after**2).sum()))
    return float((before * after).sum()) / size if size > 0 else 0.0
