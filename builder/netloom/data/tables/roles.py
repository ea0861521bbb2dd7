"""Columns with roles other than input and target: groups, times, sample weights and given splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RowRoles
from netloom.data.splits.given_splits import given_of
from netloom.modalities.columns import conversion

if TYPE_CHECKING:
    import pandas as pd

    from netloom.data.tables.column_inference import ColumnPlan


def column_roles(table: pd.DataFrame, plans: Mapping[str, ColumnPlan]) -> RowRoles:
    """Return the groups, times, weights and given parts (R,).

    Raises:
        DataError: Two columns have the same role, or a column does not fit its role.
    """
    roles: RowRoles = {}
    for role, read in _READERS.items():
        names = [name for name, plan in plans.items() if plan.role == role]
        if len(names) > 1:
            raise DataError(f"The columns {names[0]!r} and {names[1]!r} both have the role {role}; one can have it.")
        if names:
            roles |= read(table[names[0]], names[0])
    return roles


def groups_of(values: pd.Series, name: str) -> np.ndarray:
    """Group indices (R,); a row without a group is a group of its own."""
    import pandas as pd

    codes = pd.factorize(values)[0].astype(np.int64)
    is_ungrouped = codes < 0
    codes[is_ungrouped] = codes.max(initial=-1) + 1 + np.arange(int(is_ungrouped.sum()))
    if len(np.unique(codes)) < 3:
        raise DataError(f"The column {name!r} has fewer than three groups, so they cannot be split; ignore it.")
    return codes


def _weights(values: pd.Series, name: str) -> np.ndarray:
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values):
        raise DataError(f"The weights in {name!r} are not numbers; give the column another role.")
    weights = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise DataError(f"The weights in {name!r} are missing or negative in some rows, or all zero; fix them.")
    return weights


def _times(values: pd.Series, name: str) -> np.ndarray:
    """Return the times (R,): days since 1970-01-01, or the numbers of a numeric column."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        times = values.to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isfinite(times).all():
            raise DataError(f"The times in {name!r} are infinite in some rows; fix them.")
        return times
    days = conversion.days(conversion.dates(values, name, [])).to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(days).any():
        raise DataError(f"The column {name!r} has cells that are not dates such as 2024-05-31; fix them.")
    return days


_READERS: dict[str, Callable[[pd.Series, str], RowRoles]] = {
    "group": lambda values, name: {"groups": groups_of(values, name)},
    "weight": lambda values, name: {"weights": _weights(values, name)},
    "time": lambda values, name: {"times": _times(values, name)},
    "split": lambda values, name: {"given": given_of(values, name)},
}
