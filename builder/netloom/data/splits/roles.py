"""Columns that are not learned from: which rows belong together, what came before what, how much a row counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.splits.given_splits import given_of
from netloom.modalities.columns import conversion

if TYPE_CHECKING:
    import pandas as pd

    from netloom.data.tables.column_inference import ColumnPlan

_ONE_EACH = ("group", "weight", "time", "split")


def column_roles(table: pd.DataFrame, plans: Mapping[str, ColumnPlan]) -> dict[str, Any]:
    """Groups, moments, weights and given parts (R,), as far as columns have these roles.

    Raises:
        DataError: two columns have one of them, or a column cannot have its role.
    """
    found: dict[str, Any] = {}
    for role in _ONE_EACH:
        names = [name for name, plan in plans.items() if plan.role == role]
        if len(names) > 1:
            raise DataError(f"The columns {names[0]!r} and {names[1]!r} both have the role {role}; one can have it.")
        if names:
            name = names[0]
            place, read = {
                "group": ("groups", _groups),
                "weight": ("weights", _weights),
                "time": ("times", _moments),
                "split": ("given", given_of),
            }[role]
            found[place] = read(table[name], name)
    return found


def _groups(values: pd.Series, name: str) -> np.ndarray:
    """A number for each group; a row of which no group is known is one of its own."""
    import pandas as pd

    codes = pd.factorize(values)[0].astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(int(alone.sum()))
    if len(np.unique(codes)) < 3:
        raise DataError(f"The column {name!r} has fewer than three groups, so they cannot be split; ignore it.")
    return codes


def _weights(values: pd.Series, name: str) -> np.ndarray:
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values):
        raise DataError(f"The weights in {name!r} are no numbers; give the column another role.")
    found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(found).all() or (found < 0).any() or not found.any():
        raise DataError(f"The weights in {name!r} are missing, negative or all zero in some rows; mend these.")
    return found


def _moments(values: pd.Series, name: str) -> np.ndarray:
    """Days since 1970, or the numbers that say what came before what."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        found = values.to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isfinite(found).all():
            raise DataError(f"The moments in {name!r} are infinite in some rows; mend these.")
        return found
    days = conversion.days(conversion.dates(values, name, [])).to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(days).any():
        raise DataError(f"The column {name!r} holds cells that are no dates such as 2024-05-31; mend them.")
    return days
