"""Tables with a row for each object: the file of its image, the sides of its box, and its class."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.dialect import infer_dialect, looks_like_number, numbered_names, read_records
from netloom.data.limits import MAX_FILE_BYTES
from netloom.data.splits.given_splits import NAMES, NO_PART, given_of, path_of, split_column
from netloom.data.tables.code_columns import padded_texts
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.boxes.box_annotations import Annotations, ImageObjects, class_name, finite, stated_size
from netloom.data.uploads.boxes.box_columns import BoxColumns, box_columns, unnamed_box_columns
from netloom.data.uploads.boxes.box_format import BoxFormat
from netloom.data.uploads.chosen import text
from netloom.data.uploads.file_labels.filetables import MAX_TABLES
from netloom.data.uploads.files.members import PICTURE_SUFFIXES
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_index import ImageIndex
from netloom.data.uploads.upload_kind import Answers, Question, with_default

if TYPE_CHECKING:
    import pandas as pd

CATEGORY = Question("category", "Class column", "choice", "Column with the class of each object", optional=True,
                    when_added=True, empty="one class for all objects")  # fmt: skip
_ONLY_CLASS = "object"
_SAMPLE = 200
_EXPECTED = "finite numbers"
# The beginning of a table without column names: the file of an image, and another cell
_UNNAMED = re.compile(
    rb"\A(\xef\xbb\xbf)?\s*\"?[^,;\t|\r\n]+\.(png|jpe?g|bmp|gif|webp|tiff?)\"?[ ]*[,;\t|]", re.IGNORECASE
)


@dataclass(frozen=True)
class _BoxTable:
    """A table, the columns with the file and the part of the split of each row (None without), and those of boxes."""

    name: str
    table: pd.DataFrame
    file: str
    columns: BoxColumns
    notes: list[str]
    split: str | None = None

    def others(self) -> list[str]:
        """Return the columns that may be the class."""
        used = {self.file, self.split, *self.columns.sides, *self.columns.size}
        return [str(column) for column in self.table.columns if str(column) not in used]


class BoxTables(BoxFormat):
    name = "table"
    title = "Table (CSV)"
    order = 6

    def files(self, source: Source, images: ImageIndex) -> Sequence[str]:
        return [table.name for table in _box_tables(source, images)]

    def questions(self, source: Source, images: ImageIndex) -> list[Question]:
        tables = _box_tables(source, images)
        choices = [column for column in tables[0].others() if all(column in table.others() for table in tables)]
        default = tables[0].columns.category
        return [with_default(CATEGORY, default if default in choices else None, choices)] if choices else []

    def read(self, source: Source, images: ImageIndex, answers: Answers) -> Annotations:
        annotations = Annotations()
        for table in _box_tables(source, images):
            annotations.notes += table.notes
            if not answers.get(CATEGORY.name) and table.others():
                annotations.notes.append(
                    f"All objects have one class, as no column of {table.name[-80:]!r} was chosen as their class; "
                    f"there is {', '.join(repr(column[:40]) for column in table.others()[:8])}."
                )
            _read(table, text(answers, CATEGORY.name), images, annotations)
        sides = [side for objects in annotations.images.values() for box in objects.sides for side in box]
        annotations.in_shares = bool(sides) and min(sides) >= 0 and max(sides) <= 1
        if not annotations.parts:
            annotations.split_by_origin()
        return annotations


def _box_tables(source: Source, images: ImageIndex) -> list[_BoxTable]:
    """Return the tables with boxes; cached."""
    tables: list[_BoxTable] = source.once("box tables", lambda: [*filter(None, _candidates(source, images))])
    return tables


def _candidates(source: Source, images: ImageIndex) -> list[_BoxTable | None]:
    pictures, stems = {*images.files}, {PurePosixPath(path_of(file)[-1]).stem.casefold() for file in images.files}
    names = [
        name
        for name in source.tables()
        # Files of one image each are not tables of all of them
        if name not in pictures and PurePosixPath(path_of(name)[-1]).stem.casefold() not in stems
    ]
    return [_box_table(source, name, images) for name in names[:MAX_TABLES]]


def _box_table(source: Source, name: str, images: ImageIndex) -> _BoxTable | None:
    try:
        unnamed = _unnamed(source, name, images)
        if unnamed is not None:
            return unnamed
        table, notes = source.table(name)
    except DataError:
        return None
    columns = box_columns([str(column) for column in table.columns])
    if columns is None:
        return None
    others = [str(column) for column in table.columns if str(column) not in (*columns.sides, *columns.size)]
    named = {column: _named(table[column], name, images) for column in others}
    file = max(others, key=lambda column: named[column], default="")
    if not file or not any(named[file]):
        return None
    split = split_column(table[[column for column in others if column != file]])
    return _BoxTable(name, table, file, columns, list(notes), split)


def _named(values: pd.Series, name: str, images: ImageIndex) -> tuple[float, float]:
    """Return the shares of the first cells that name an image with its suffix, and at all; (0, 0) if few do."""
    cells = [str(cell).strip() for cell in padded_texts(values.dropna().head(_SAMPLE))]
    files = [(cell, _found(cell, name, images)) for cell in cells]
    count = sum(is_image for _, is_image in files)
    if not cells or count < len(cells) / 2:
        return 0.0, 0.0
    return sum(is_image and _is_whole(cell) for cell, is_image in files) / len(cells), count / len(cells)


def _found(cell: str, name: str, images: ImageIndex) -> bool:
    try:
        return images.find(cell, name) is not None
    except DataError:
        return True  # several; reading the row says so


def _is_whole(cell: str) -> bool:
    return PurePosixPath(cell.replace("\\", "/")).suffix.lower() in PICTURE_SUFFIXES


def _unnamed(source: Source, name: str, images: ImageIndex) -> _BoxTable | None:
    """Return a table whose columns have no names, as that of keras-retinanet; None if it is another table.

    Raises:
        DataError: The file is not text.
    """
    import pandas as pd

    if source.members.form(name) != file_types.TEXT or not _UNNAMED.match(source.members.head(name)):
        return None
    content, _ = decode_text(source.members.read(name, MAX_FILE_BYTES), name)
    try:
        rows = [[cell.strip() for cell in cells] for _, cells in read_records(content, infer_dialect(content))]
    except csv.Error:
        return None
    columns = unnamed_box_columns(numbered_names(len(rows[0])))
    if columns is None or any(len(row) != len(rows[0]) for row in rows):
        return None
    sample = [cell for row in rows[:_SAMPLE] for cell in row[1:5]]
    table = pd.DataFrame(rows, columns=numbered_names(len(rows[0])))
    file = str(table.columns[0])
    if not all(looks_like_number(cell) or not cell for cell in sample) or not any(_named(table[file], name, images)):
        return None
    return _BoxTable(name, table, file, columns, [])


def _read(table: _BoxTable, category: str, images: ImageIndex, annotations: Annotations) -> None:
    data, columns = table.table, table.columns
    labels = padded_texts(data[category]) if category else None
    parts = None if table.split is None else given_of(data[table.split], table.split).tolist()
    sizes = data[list(columns.size)].to_numpy(dtype=object) if columns.size else None
    boxes = data[list(columns.sides)].to_numpy(dtype=object)
    own: dict[str, ImageObjects] = {}
    for row, cell in enumerate(padded_texts(data[table.file])):
        where = f"Row {row + 1:,} of {table.name[-80:]!r}"
        if _is_missing(cell):
            raise DataError(f"{where} names no file in {table.file[:60]!r}; add its name, or remove the row.")
        file = images.find(str(cell), table.name)
        if file is None:
            annotations.tally.add("Rows that name missing images left out", repr(str(cell)[-80:]))
            continue
        if file not in own:
            size = None if sizes is None else stated_size(*sizes[row])
            own[file] = annotations.start(file, table.name, size)
        if parts is not None and parts[row] != NO_PART and annotations.parts.setdefault(file, parts[row]) != parts[row]:
            raise DataError(
                f"{where} puts {file[-80:]!r} into {NAMES[parts[row]]}, but an earlier row into "
                f"{NAMES[annotations.parts[file]]}; put each image into one part of the split."
            )
        numbers = _numbers(boxes[row], where)
        if numbers:
            label = _ONLY_CLASS if labels is None else class_name(_label(labels.iloc[row]), where)
            own[file].add(label, columns.layout(*numbers))


def _numbers(cells: Sequence[Any], where: str) -> list[float]:
    """Return the four numbers of a box; [] if the cells are empty, as in a row for an image without objects.

    Raises:
        DataError: They are not four numbers.
    """
    if all(map(_is_missing, cells)):
        return []
    if len(cells) == 1:
        words = re.split(r"[\s,;]+", str(cells[0]).strip(" \t[](){}\"'"))
        if words == [""]:
            return []
        if len(words) != 4:
            raise DataError(
                f"{where} has the box {str(cells[0])[:60]!r}; expected four numbers: x, y, width and height. Write one "
                "row for each object."
            )
        return finite(words, where, _EXPECTED)
    if any(map(_is_missing, cells)):
        raise DataError(
            f"{where} has a box with an empty side; add it, or empty all four for an image without objects."
        )
    return finite(cells, where, _EXPECTED)


def _is_missing(cell: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(cell)) or not str(cell).strip()


def _label(cell: Any) -> Any:
    """Return a class; a number that the file has without a fraction is written without it."""
    if _is_missing(cell):
        return None
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
