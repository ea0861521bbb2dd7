"""Delimited text and JSON Lines that are too large to be read at once."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.core.progress import ProgressCallback
from netloom.data.decoded_size import refuse_long_lines_in
from netloom.data.dialect import (
    LATIN,
    encoding_of,
    has_no_header,
    infer_dialect,
    preamble_lines,
    sample_records,
    without_preamble,
)
from netloom.data.tables import json_records, plain_types, readers
from netloom.data.tables.arff import is_arff
from netloom.data.tables.code_columns import zero_padded_records
from netloom.data.tables.streamed_table import StreamedTable, Types, max_record_cells, phase_of
from netloom.data.tables.streamed_types import TEXT
from netloom.data.tables.svmlight import is_svmlight
from netloom.modalities.encoding.cells import RawRow

if TYPE_CHECKING:
    import pandas as pd

_HEAD_BYTES = 2**20  # from which the dialect is inferred


class StreamedText(StreamedTable):
    """CSV, or one JSON record per line, in UTF-8 or Windows-1252."""

    def __init__(self, content: bytes | Path, filename: str) -> None:
        super().__init__(content, filename)
        with self._open() as file:
            self._head = file.read(_HEAD_BYTES)
        self._encoding = encoding_of(self._head)
        if self._encoding == "utf-8-sig":
            self._encoding = self._utf8_or_latin()
        self._is_json = json_records.JSON_START.match(self._head.decode(self._encoding, "replace")) is not None
        head = self._head.decode(self._encoding, "replace")
        if is_arff(head) or is_svmlight(head[: head.rfind("\n") + 1]):
            form = "ARFF" if is_arff(head) else "SVMlight"
            raise DataError(
                f"{filename[:100]!r} is an {form} file that does not fit into memory; save it as CSV, which is read in "
                "parts, or raise NETLOOM_DATA_MEMORY_MB."
            )
        with self._open() as file:
            refuse_long_lines_in(file, filename)

    def _utf8_or_latin(self) -> str:
        """UTF-8 if the whole file decodes, else Windows-1252: the first accent may be gigabytes into the file."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        with self._open() as file:
            try:
                while block := file.read(2**22):
                    decoder.decode(block)
            except UnicodeDecodeError:
                self.notes.append(readers.LATIN_NOTE)
                return LATIN
        return "utf-8-sig"

    def chunks(self, types: Types | None, progress: ProgressCallback) -> Iterator[pd.DataFrame]:
        with self._open() as file:
            rows = 0
            for chunk in self._json_chunks(file, types) if self._is_json else self._csv_chunks(file, types):
                rows += len(chunk)
                progress(min(1.0, file.tell() / max(1, self.size)), phase_of(types, rows))
                yield chunk

    def _csv_chunks(self, file: IO[bytes], types: Types | None) -> Iterator[pd.DataFrame]:
        import pandas as pd

        head = self._head.decode(self._encoding, "replace")
        head = head[: head.rfind("\n") + 1] or head  # complete lines
        skipped, head = preamble_lines(head), without_preamble(head)
        dialect = infer_dialect(head)
        self.decimal = dialect.decimal
        rows = sample_records(head, dialect)
        headless = has_no_header(rows)
        for note in readers.csv_notes(skipped, dialect, headless):
            self._note(note)
        names = readers.header_names(rows, headless)
        if names is None:
            raise DataError(f"{self.filename[:100]!r} cannot be read as CSV: its first line has no column names.")
        texts = [name for name in names if types and name in types and types[name].is_read_as_text]
        padded = zero_padded_records(names, rows if headless else rows[1:])
        self.widths = padded.widths
        texts += padded.codes
        chunks = pd.read_csv(
            file,
            encoding=self._encoding,
            names=names,
            dtype=dict.fromkeys(texts, str) or None,
            chunksize=self.rows_per_chunk(len(names)),
            skiprows=skipped,
            **readers.csv_options(dialect, headless),
        )
        with chunks:
            for chunk in chunks:
                chunk = readers.drop_unnamed_last(chunk, names)
                if not isinstance(chunk.index, pd.RangeIndex):
                    raise DataError(f"{self.filename[:100]!r} has rows with more fields than there are column names.")
                columns = {
                    name: plain_types.strip_cells(chunk[name], dialect.decimal, as_texts=name in texts)
                    for name in names
                }
                yield pd.DataFrame(columns).reset_index(drop=True)

    def _note(self, note: str) -> None:
        """Add a note once, although the file is read more than once."""
        if note not in self.notes:
            self.notes.append(note)

    def _json_chunks(self, file: IO[bytes], types: Types | None) -> Iterator[pd.DataFrame]:
        names: dict[str, None] = dict.fromkeys(types or {})
        lines = io.TextIOWrapper(file, self._encoding)
        rows: list[RawRow] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line, parse_constant=json_records.constant_as_missing)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise DataError(
                    f"Line {number:,} of {self.filename[:100]!r} is not a JSON record; a large file needs one record "
                    "per line."
                )
            rows.append(json_records.cells_of(record))
            names.update(dict.fromkeys(rows[-1]))
            if len(rows) * max(1, len(names)) >= max_record_cells():
                yield _frame(rows, names, types)
                rows = []
        if rows:
            yield _frame(rows, names, types)
        lines.detach()  # the caller closes the file


def _frame(rows: list[RawRow], names: Iterable[str], types: Types | None) -> pd.DataFrame:
    import pandas as pd

    # In a column that also holds texts, pandas would make 1 a float among missing cells, and write it as "1.0".
    dtypes = {name: object if types and types[name].content == TEXT else None for name in names}
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=dtypes[name]) for name in names})
