"""From the bytes of a delimited text file to its cells: its encoding, separator, quotes, decimal mark and header.

Import, prediction and exported networks read files by this one module. It travels with an exported network and needs
the standard library alone.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Literal

LATIN = "cp1252"
SEPARATORS = ",;\t|"
# What stands for a missing cell, in a column of any kind: what pandas takes for it, whatever its release.
MISSING_MARKS = frozenset({
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
})  # fmt: skip
# What a column of which nothing else is written holds as true and false.
BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
LOOKED_AT = 512  # bytes that tell the encoding
SAMPLE_LINES, SAMPLE_CHARACTERS = 200, 2**16
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_QUOTED = re.compile(r'"[^"]*"')
_DECIMAL_COMMA = re.compile(r"(?:^|;)\s*[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+\s*(?:;|$)", re.MULTILINE)
# Three digits behind a comma may be a group of a large number; any other count, or a zero before it, is a fraction.
_SURE_COMMA, _SURE_POINT = re.compile(r"[+-]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+)"), re.compile(r"[+-]?\d*\.\d+")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")


class FileError(ValueError):
    """A file that cannot be read; the message is one sentence."""


@dataclass(frozen=True)
class Dialect:
    """How a delimited text writes its cells."""

    separator: str = ","
    decimal: str = "."
    quoted: bool = True  # whether a quotation mark encloses a cell, or is a letter like any other

    @property
    def quoting(self) -> Literal[0, 3]:
        """As the csv module names it: QUOTE_MINIMAL or QUOTE_NONE."""
        return 0 if self.quoted else 3


def encoding_of(data: bytes) -> str:
    """The encoding that a text is in, by its mark or by where its zero bytes stand; UTF-8 where nothing tells more."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    head = data[: LOOKED_AT // 2 * 2]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 8 and odd > len(head) // 5 and not even:
        return "utf-16-le"
    if len(head) >= 8 and even > len(head) // 5 and not odd:
        return "utf-16-be"
    return "utf-8-sig"


def decoded(data: bytes, name: str) -> tuple[str, str]:
    """The text in a file, and the encoding that it is in: Windows-1252 where it looks like text, but is not UTF-8.

    Raises:
        FileError: it is not text.
    """
    encoding = encoding_of(data)
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        # One byte per letter can be read from anything, so it has to look like text: no control characters at all.
        if encoding == "utf-8-sig" and not _CONTROL.search(data):
            with suppress(UnicodeDecodeError):
                return data.decode(LATIN), LATIN
        cut = error.start > len(data) - 4
        wrong = (
            "ends in the middle of a letter" if cut else f"has {data[error.start]:#04x} there, which is not a character"
        )
        named = encoding.removesuffix("-sig").upper()
        raise FileError(
            f"{name[:100]!r} is not {named} text at byte {error.start:,}: it {wrong}; "
            f"{'copy it again to its end' if cut else 'save it as CSV UTF-8 and upload it again'}."
        ) from None


def refuse_empty(text: str, name: str) -> None:
    """Raises:
    FileError: a text is empty, or holds NUL characters, as no text does.
    """
    if not text.strip():
        raise FileError(f"{name[:100]!r} is empty; choose the file that holds the data.")
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise FileError(
            f"{name[:100]!r} holds a NUL character in line {line:,}, so it is not CSV text; save it again as CSV."
        )


def dialect_of(text: str) -> Dialect:
    """How a text, or the beginning of one, writes its cells."""
    line = next((line for line in _text_lines(text) if line.strip()), "")
    whole = next((line for line in _QUOTED.sub("", text[:SAMPLE_CHARACTERS]).splitlines() if line.strip()), "")
    # A name in quotes may go on in the next line; a mark of inches is not one that opens quotes.
    first = next((one for one in (_QUOTED.sub("", line), whole) if any(mark in one for mark in SEPARATORS)), "")
    separator = max(SEPARATORS, key=first.count)
    if separator not in first:  # of a single column: what its cells hold separates nothing
        separator = min(SEPARATORS, key=_QUOTED.sub("", text).count)
    found = Dialect(separator, quoted=_is_quoted(text, separator))
    return Dialect(separator, _decimal(text, found), found.quoted)


def sample(text: str, dialect: Dialect) -> list[list[str]]:
    """The cells of the first records, without blanks around them."""
    try:
        return [[cell.strip() for cell in cells] for _, cells in islice(records(text, dialect), SAMPLE_LINES)]
    except csv.Error:
        return []


def records(text: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record that holds any, without blanks before them, and the line that it ends in.

    Raises:
        csv.Error: it cannot be parsed.
    """
    csv.field_size_limit(2**31 - 1)  # a picture or a sound stands in one cell
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.separator,
        quoting=dialect.quoting,
        skipinitialspace=True,
        quotechar='"',
    )
    for cells in reader:
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield reader.line_num, cells


def has_no_header(rows: list[list[str]]) -> bool:
    """Whether the first line is data: a name above numbers would say that it is not, and then it has to be numbers
    itself, or one of its texts has to come again and again below itself, or to be a sentence above sentences."""
    if len(rows) < 2:
        return False
    again = False
    for place, name in enumerate(rows[0]):
        below = [row[place] for row in rows[1:] if len(row) > place and row[place]]
        if name and below and not looks_like_number(name):
            if all(map(looks_like_number, below)):
                return False
            again = again or below.count(name) > 1 or (_ends(name) and 2 * sum(map(_ends, below)) > len(below))
    return again or all(map(looks_like_number, filter(None, rows[0])))


def numbered_names(count: int) -> list[str]:
    """The names of columns that a file does not name."""
    return [f"column {number}" for number in range(1, count + 1)]


def column_names(first: list[str]) -> list[str]:
    """The names in a header, each once: those that are missing or come again are called as pandas calls them."""
    names: list[str] = []
    for place, cell in enumerate(first):
        name = cell.strip()[:200] or f"Unnamed: {place}"
        other, number = name, 0
        while other in names:
            number += 1
            other = f"{name}.{number}"
        names.append(other)
    return names


def looks_like_number(text: str) -> bool:
    """Whether a cell is a number, with either decimal mark."""
    return _PLAIN_NUMBER.fullmatch(text) is not None


def _text_lines(text: str) -> Iterator[str]:
    return iter(io.StringIO(text, newline=None))


def _is_quoted(text: str, separator: str) -> bool:
    """Whether quotation marks enclose cells. In tab-separated text a quote is mostly just a quote: where taking it for
    more would glue lines together that are whole by themselves, it is taken for what it is."""
    if separator != "\t" or '"' not in text:
        return True
    lines = [line for line in _text_lines(text) if line.strip()]
    if len({line.count("\t") for line in lines}) > 1:
        return True
    try:
        return sum(1 for _ in records(text, Dialect(separator))) >= len(lines)
    except csv.Error:
        return False


def _decimal(text: str, dialect: Dialect) -> str:
    """The decimal mark: a comma in text with semicolons where a cell is a number with one; beside tabs and bars, where
    no cell can be meant otherwise."""
    head = text[:SAMPLE_CHARACTERS]
    if dialect.separator == ";":
        return "," if _DECIMAL_COMMA.search(head) else "."
    if dialect.separator == ",":
        return "."
    cells = {cell for row in sample(head, dialect)[1:] for cell in row}
    return "," if any(map(_SURE_COMMA.fullmatch, cells)) and not any(map(_SURE_POINT.fullmatch, cells)) else "."


def _ends(text: str) -> bool:
    """Whether a text ends as sentences do, and names of columns do not."""
    return text[-1:] in tuple(".!?…。！？")
