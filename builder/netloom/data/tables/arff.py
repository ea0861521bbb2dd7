"""Tables in the format of Weka and OpenML, https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/.

The reader of scipy refuses texts and quoted values.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data.tables.plain_types import to_numbers

if TYPE_CHECKING:
    import pandas as pd

_BEGIN = re.compile(r"\s*(%[^\n]*\n\s*)*@relation\b", re.IGNORECASE)
_DATA = re.compile(r"^\s*@data\s*$", re.IGNORECASE | re.MULTILINE)
_ATTRIBUTE = re.compile(
    r"""^\s*@attribute\s+(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"|(\S+))\s+(\S+)""", re.IGNORECASE | re.MULTILINE
)
_NUMBERS = ("numeric", "real", "integer")


def is_arff(text: str) -> bool:
    """Return whether a text begins like an ARFF file."""
    return _BEGIN.match(text) is not None


def arff_table(text: str, filename: str) -> pd.DataFrame | None:
    """Return the table in an ARFF file, whose missing values are question marks; None if the text is something else.

    Raises:
        DataError: The file is damaged, or has sparse rows or tables in its cells.
    """
    if not is_arff(text):
        return None
    import pandas as pd

    head, *bodies = _DATA.split(text, 1)
    body = "".join(bodies)
    types = {quoted or doubled or plain: kind.lower() for quoted, doubled, plain, kind in _ATTRIBUTE.findall(head)}
    if "relational" in types.values():
        raise DataError(
            f"{filename[:100]!r} has tables in its cells (relational attributes), which cannot be read; the archive of "
            "such series also has them as .ts files, which are."
        )
    lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("%")]
    if any(line.lstrip().startswith("{") for line in lines):
        raise DataError(f"{filename[:100]!r} has sparse rows, which cannot be read; save it as CSV.")
    quote = "'" if body.count("'") >= body.count('"') else '"'
    try:
        rows = [
            [None if cell.strip() == "?" else cell.strip() for cell in row]
            for row in csv.reader(lines, quotechar=quote, escapechar="\\", skipinitialspace=True)
        ]
    except csv.Error as error:
        raise DataError(f"{filename[:100]!r} cannot be read as ARFF: {error}.") from None
    for number, row in enumerate(rows, 1):
        if len(row) != len(types):
            raise DataError(
                f"Row {number:,} of {filename[:100]!r} has {len(row)} values, but the file declares {len(types)} "
                "attributes; fix it there, or save it as CSV."
            )
    table = pd.DataFrame(rows, columns=list(types), dtype="string")
    for name, kind in types.items():
        table[name] = to_numbers(table[name]) if kind in _NUMBERS else table[name]
    return table
