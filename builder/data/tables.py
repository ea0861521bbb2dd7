"""What a table means: the target, and numbers, categories or a text to learn from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.data.raw import CATEGORY_LIMIT, Raw, Table, Texts
from builder.data.schema import DataError

if TYPE_CHECKING:
    import pandas as pd

TARGET_NAMES = ("target", "label", "class", "y", "category", "intent", "sentiment")
MAX_CLASSES = 1_000
FEW_VALUES = 20
TASKS = ("classification", "regression")
OPTIONS = ("target", "task", "text")
LARGEST = 1e100  # the square of a number must not be infinite
_ID = re.compile(r"(?i:unnamed: 0(\.\d+)?|index|id|uuid|row|.+[_ -]id)|.*[a-z]Id|.*[a-z]ID")


def default_target(table: pd.DataFrame) -> str:
    """The column that looks like what is to be predicted: by its name, or else the last that is no free text."""
    named = [column for column in table.columns if str(column).strip().lower() in TARGET_NAMES]
    plain = [column for column in table.columns if not _is_text(table[column]) and not _is_names(table[column])]
    return str((named or plain[-1:] or [table.columns[-1]])[0])


def table_to_raw(table: pd.DataFrame, options: dict[str, Any], title: str) -> Raw:
    """The rows that can be used, with a target of classes or numbers.

    Raises:
        DataError: an option is wrong, or there is nothing to learn from.
    """
    unknown = set(options) - set(OPTIONS)
    if unknown:
        raise DataError(f"{title[:60]!r} has no option {min(unknown)[:60]!r}; it takes {', '.join(OPTIONS)}.")
    target, warnings = str(options.get("target", "")), list[str]()
    if target not in table.columns:
        names = ", ".join(repr(str(column)[:40]) for column in table.columns[:20])
        raise DataError(f"There is no column {target[:80]!r} to predict; the table has {names}.")
    known = table[table[target].notna()]
    if len(known) < len(table):
        warnings.append(f"{len(table) - len(known):,} rows without a value in {target!r} were left out.")
    if not len(known):
        raise DataError(f"The column {target!r} is empty, so there is nothing to predict.")
    common = _target(known[target], target, options.get("task"))
    features = _without_ids(known.drop(columns=target), warnings)
    text = _text_column(features, options, warnings)
    if text is not None:
        texts = ["" if value is None else value for value in _strings(features[text])]
        return Texts(name="text", texts=texts, warnings=warnings, **common)
    numbers, categories, dates = _columns(features, warnings)
    if not numbers and not categories:
        raise DataError(f"No column but {target!r} can be learned from; numbers, categories or one text are needed.")
    return Table(name="features", numbers=numbers, categories=categories, dates=dates, warnings=warnings, **common)


def _without_ids(features: pd.DataFrame, warnings: list[str]) -> pd.DataFrame:
    """The columns that do not merely number the rows."""
    import pandas as pd

    ids = [
        name
        for name, values in features.items()
        if _ID.fullmatch(str(name).strip())
        and values.is_unique
        and (pd.api.types.is_integer_dtype(values) or pd.api.types.is_string_dtype(values))
    ]
    if len(ids) == features.shape[1]:
        return features
    warnings += [f"The column {name!r} only names the rows, each differently, and was left out." for name in ids]
    return features.drop(columns=ids)


def _text_column(features: pd.DataFrame, options: dict[str, Any], warnings: list[str]) -> str | None:
    """The text to learn from, where one is asked for, or where there are texts alone."""
    if "text" in options:
        text = options["text"]
        if text is not None and (not isinstance(text, str) or text not in features.columns):
            raise DataError(f"There is no column {str(text)[:80]!r} to read text from.")
        return text
    texts = [str(name) for name in features.columns if _is_text(features[name])]
    if not texts or len(texts) < features.shape[1]:
        return None
    warnings += [f"The texts in {name!r} were left out; one column of text is read." for name in texts[1:]]
    return texts[0]


def _target(values: pd.Series, name: str, task: Any) -> dict[str, Any]:
    import pandas as pd

    if task is not None and task not in TASKS:
        raise DataError(f"The option task is {' or '.join(TASKS)}, received {str(task)[:40]!r}.")
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if task == "regression" and not numeric:
        raise DataError(f"{name!r} holds no numbers, so it cannot be predicted by regression; choose classification.")
    if task == "regression" or (task is None and numeric and not _few(values.to_numpy(dtype=np.float64))):
        return _number_target(values.to_numpy(dtype=np.float64), name)
    labels = [_label(value) for value in values]
    classes = sorted(
        set(labels), key=lambda label: (not label.lstrip("-").isdigit(), len(label) if label.isdigit() else 0, label)
    )
    if len(classes) < 2:
        raise DataError(
            f"The column {name!r} has one value only, {classes[0][:60]!r}; at least two classes are needed."
        )
    if len(classes) > min(MAX_CLASSES, max(2, len(labels) // 2)):
        raise DataError(
            f"The column {name!r} has {len(classes):,} different values in {len(labels):,} rows, too many for classes; "
            f"choose another target{', or regression' if numeric else ''}."
        )
    places = {label: place for place, label in enumerate(classes)}
    numbers = np.array([places[label] for label in labels], dtype=np.int64)
    return {"target": numbers, "target_kind": "class", "target_name": name, "classes": tuple(classes)}


def _few(numbers: np.ndarray) -> bool:
    """Whether numbers look like the numbers of classes: few of them, and whole."""
    distinct = np.unique(numbers)
    return len(distinct) <= min(FEW_VALUES, max(2, len(numbers) // 5)) and bool((distinct == distinct.round()).all())


def _number_target(numbers: np.ndarray, name: str) -> dict[str, Any]:
    if not (abs(numbers) < LARGEST).all():
        raise DataError(f"The column {name!r} holds infinite or far too large numbers; remove those rows.")
    if numbers.min() == numbers.max():
        raise DataError(f"The column {name!r} has the same value in every row, so there is nothing to predict.")
    return {"target": numbers[:, None], "target_kind": "number", "target_name": name}


def _columns(
    features: pd.DataFrame, warnings: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, list[str]], dict[str, tuple[str, str]]]:
    """Numbers, categories, and which numbers are parts of dates; what can be neither is left out with a warning."""
    import pandas as pd

    numbers: dict[str, np.ndarray] = {}
    categories: dict[str, list[str]] = {}
    dates: dict[str, tuple[str, str]] = {}
    for name, values in features.items():
        name = str(name)
        if not values.notna().any():
            warnings.append(f"The column {name!r} is empty and was left out.")
        elif pd.api.types.is_datetime64_any_dtype(values):
            for part, column in _parts(values).items():
                own = f"{name} ({part})"
                while own in features.columns:
                    own += "'"
                numbers[own], dates[own] = column, (name, part)
        elif pd.api.types.is_numeric_dtype(values):
            finite = _finite(values.to_numpy(dtype=np.float64, na_value=np.nan), name, warnings)
            if finite is not None:
                numbers[name] = finite
        elif _is_names(values):
            warnings.append(f"The column {name!r} has {values.nunique():,} different texts and was left out.")
        else:
            categories[name] = [value or "" for value in _strings(values)]
    return numbers, categories, dates


def _parts(values: pd.Series) -> dict[str, np.ndarray]:
    """Numbers from dates, as `builder.data.encode.date_part` makes them."""
    import pandas as pd

    days = (values - pd.Timestamp(0, tz=values.dt.tz)).dt.total_seconds() / 86_400
    parts = {"days": days, "month": values.dt.month, "weekday": values.dt.day_of_week}
    return {name: part.to_numpy(dtype=np.float64, na_value=np.nan) for name, part in parts.items()}


def _finite(column: np.ndarray, name: str, warnings: list[str]) -> np.ndarray | None:
    wrong = abs(column) > LARGEST
    if not wrong.any():
        return column
    column = np.where(wrong, np.nan, column)
    if np.isnan(column).all():
        warnings.append(f"The column {name!r} holds no finite number and was left out.")
        return None
    warnings.append(f"Infinite or far too large numbers in {name!r} are taken as missing.")
    return column


def _strings(values: pd.Series) -> list[str | None]:
    return [None if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]


def _is_names(values: pd.Series) -> bool:
    """Whether texts are too many and too different to be categories."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values):
        return False
    distinct = values.nunique()
    if distinct > CATEGORY_LIMIT:
        return bool(distinct > len(values) // 20)
    return bool(distinct > FEW_VALUES and distinct > len(values) // 2)


def _is_text(values: pd.Series) -> bool:
    """Whether a column holds sentences rather than names of categories."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values):
        return False
    known = values.dropna().head(1_000)
    if known.empty:
        return False
    return float(np.mean([len(text.split()) for text in known])) >= 2.5 and known.nunique() > len(known) * 0.3


def _label(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)[:200]
