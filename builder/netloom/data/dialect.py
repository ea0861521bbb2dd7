"""Parses delimited text files: encoding, separator, quotes, decimal mark, header and cells.

Import, prediction and exported networks all use this module. It is copied into exported networks, so it needs only the
standard library.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

LATIN = "cp1252"
SEPARATORS = ",;\t|"
# Marks of a missing cell in a column of any kind: the defaults of pandas, written out, as releases of pandas differ and
# exported networks run without it.
MISSING_MARKS = frozenset({
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
})  # fmt: skip
# Spellings of true and false; a column is boolean only if each of its cells is one of them.
BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
ENCODING_BYTES = 512  # from which the encoding is inferred
SAMPLE_LINES, SAMPLE_CHARACTERS = 200, 2**16
MAX_PREAMBLE = 20  # lines before a header
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEPARATOR_LINE = re.compile(r'"?sep=(.|\\t)"?', re.IGNORECASE)  # which Excel writes
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_QUOTED = re.compile(r'"[^"]*"')
# With a symbol, three digits after a comma are a group: $1,200.
_DECIMAL_COMMA = re.compile(
    r"(?:^|;)\s*[+\u2212-]?(?:(?:\d+|\d{1,3}(?:[.'\u2019 \u00a0\u2009\u202f]\d{3})+),\d+"
    r"|[$€£¥]?\s*(?:\d+|\d{1,3}(?:[.'\u2019 \u00a0\u2009\u202f]\d{3})+),(?:\d{1,2}|\d{4,})\s*[$€£¥%]?)\s*(?:;|$)",
    re.MULTILINE,
)
# Three digits after a comma may be a thousands group; any other count, or a zero before the comma, is a fraction.
_SURE_COMMA, _SURE_POINT = re.compile(r"[+-]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+)"), re.compile(r"[+-]?\d*\.\d+")
_COMMA_NUMBER = re.compile(r"[+-]?\d+(?:,\d+)?")
_FRACTION = re.compile(r"[+-]?(?:0,\d+|\d+,(?:\d{2}|\d{4,}))")
_BLANK_SEPARATED = re.compile(r'"[^"]*"|\S+')
_NUMBERED_NAME = re.compile(r"column \d+")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")


class FileError(ValueError):
    """A file cannot be read; the message is one sentence."""


@dataclass(frozen=True)
class Dialect:
    """The separator, the quoting and the decimal mark of a delimited text."""

    separator: str = ","
    decimal: str = "."
    quoted: bool = True  # whether quotation marks enclose cells, or are ordinary characters

    @property
    def quoting(self) -> Literal[0, 3]:
        """The constant of the csv module: QUOTE_MINIMAL or QUOTE_NONE."""
        return 0 if self.quoted else 3


def encoding_of(data: bytes) -> str:
    """Return the likely encoding of a text, by its byte order mark or the positions of zero bytes; else UTF-8."""
    # Before UTF-16, whose little-endian mark is the beginning of that of UTF-32
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    # ASCII characters in UTF-16 have a zero byte each: at odd positions if little-endian, at even ones if big-endian.
    head = data[: ENCODING_BYTES // 2 * 2]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 8 and odd > len(head) // 5 and not even:
        return "utf-16-le"
    if len(head) >= 8 and even > len(head) // 5 and not odd:
        return "utf-16-be"
    return "utf-8-sig"


def decode_text(data: bytes, name: str) -> tuple[str, str]:
    """Return the text of a file and its encoding: Windows-1252 if it looks like text but is not UTF-8.

    Raises:
        FileError: The file is not text.
    """
    encoding = encoding_of(data)
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        # Almost any bytes decode as Windows-1252, so they must also look like text: no control characters.
        if encoding == "utf-8-sig" and not _CONTROL.search(data):
            with suppress(UnicodeDecodeError):
                return data.decode(LATIN), LATIN
        # A character of UTF-8 or UTF-16 has at most 4 bytes
        is_cut = error.start > len(data) - 4
        wrong = f"has {data[error.start]:#04x} there, which is not a character"
        reason = "ends in the middle of a character" if is_cut else wrong
        raise FileError(
            f"{name[:100]!r} is not {encoding.removesuffix('-sig').upper()} text at byte {error.start:,}: it {reason}; "
            f"{'copy it again to its end' if is_cut else 'save it as CSV UTF-8 and upload it again'}."
        ) from None


def refuse_empty(text: str, name: str) -> None:
    """Refuse a text without content.

    Raises:
        FileError: The text is empty, or holds NUL characters.
    """
    if not text.strip():
        raise FileError(f"{name[:100]!r} is empty; choose the file that holds the data.")
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise FileError(
            f"{name[:100]!r} holds a NUL character in line {line:,}, so it is not CSV text; save it again as CSV."
        )


def infer_dialect(text: str) -> Dialect:
    """Infer the dialect from a text, or from its beginning."""
    line = next((line for line in text_lines(text) if line.strip()), "")
    unquoted_line = next((line for line in _QUOTED.sub("", text[:SAMPLE_CHARACTERS]).splitlines() if line.strip()), "")
    # Tabs separate cells also of texts that hold more commas than tabs: no other mark is as rare inside a cell.
    # A quoted name may continue on the next line, and an inch mark does not open a quote: the first line without quoted
    # text is tried as it is, and then with quotes that span lines removed.
    heads = (_QUOTED.sub("", line), unquoted_line)
    first = next((head for head in heads if any(mark in head for mark in SEPARATORS)), "")
    separator = _separator_of(first, text)
    if separator not in first:  # a single column: choose the mark that its cells hold least often
        separator = min(SEPARATORS, key=_QUOTED.sub("", text).count)
    dialect = Dialect(separator, quoted=_is_quoted(text, separator))
    return Dialect(separator, _infer_decimal(text, dialect), dialect.quoted)


def _separator_of(line: str, text: str) -> str:
    """Return the separator of the first line of a text: the most frequent one, or one that the other lines confirm."""
    if "\t" in line and has_separator(text, "\t"):
        return "\t"
    numbers = [cell for cell in line.split(";") if "," in cell]
    if ";" in line and numbers and all(map(_DECIMAL_COMMA.fullmatch, numbers)):  # 1,5;2,5 has more commas
        return ";"
    frequent = sorted(filter(line.count, SEPARATORS), key=line.count, reverse=True)
    confirmed = [mark for mark in frequent if len(frequent) > 1 and has_separator_outside_quotes(text, mark)]
    return next(iter(confirmed or frequent), SEPARATORS[0])


def has_separator(text: str, separators: str) -> bool:
    """Return whether one of these characters occurs equally often in most lines of a text."""
    lines = [line for line in islice(text_lines(text), SAMPLE_LINES) if line.strip()]
    for separator in separators:
        counts = [line.count(separator) for line in lines]
        usual = max(set(counts), key=counts.count, default=0)
        if usual and counts.count(usual) > 0.8 * len(counts):
            return True
    return False


def has_separator_outside_quotes(text: str, separators: str) -> bool:
    """Return whether one of these characters occurs equally often in most lines of the beginning of a text, without
    those in quotes."""
    return has_separator(_QUOTED.sub("", text[:SAMPLE_CHARACTERS]), separators)


def _shared_separator(line: str, text: str) -> str:
    """Return the separator that a line has as often as most lines of a text, outside of quotes; "" if there is none."""
    lines = [_QUOTED.sub("", other) for other in text_lines(text) if other.strip()]
    own = _QUOTED.sub("", line)
    for mark in SEPARATORS:
        count = own.count(mark)
        if count and 2 * sum(other.count(mark) == count for other in lines) > len(lines):
            return mark
    return ""


def without_preamble(text: str) -> str:
    """Return a table without the text of the lines before its header, which stay as empty lines."""
    count, end = preamble_lines(text), 0
    for line_end in islice(_LINE_END.finditer(text), count):
        end = line_end.end()
    return "\n" * count + text[end:]


def preamble_lines(text: str) -> int:
    """Return the number of lines before the header: `sep=;`, comments that begin with #, and titles in single cells.

    A line with as many cells as the rows is not one of them.
    """
    lines = list(islice(text_lines(text[:SAMPLE_CHARACTERS]), SAMPLE_LINES))
    below = "".join(lines[len(lines) // 2 :])
    dialect = infer_dialect(with_tabs(below))
    widths = [width for cells in sample_records(with_tabs(below), dialect) if (width := sum(map(bool, cells)))]
    usual, count = max(set(widths), key=widths.count, default=0), 0
    for number, line in enumerate(lines[:MAX_PREAMBLE], 1):
        if not line.strip():
            continue
        if _SEPARATOR_LINE.fullmatch(line.strip()) and number == 1:
            count = number
            continue
        own = replace(dialect, separator=_shared_separator(line, below) or dialect.separator)
        filled = [cell for cell in next(iter(sample_records(with_tabs(line + below), own)), []) if cell]
        is_comment = line.startswith("#") and len(filled) != usual
        is_title = usual > 2 and len(filled) == 1 and not looks_like_number(filled[0]) and line.count('"') % 2 == 0
        if filled and not is_comment and not is_title:
            break
        count = number
    else:
        return 0  # no header
    return count


def with_tabs(text: str) -> str:
    """Return a table whose cells are separated by `::` or by blanks with tabs in their place; other texts unchanged.

    Blanks separate cells if all lines have equally many words, most of them numbers.
    """
    lines = [line for line in islice(text_lines(text), SAMPLE_LINES) if line.strip()]
    if len(lines) < 2:
        return text
    doubled = {line.count("::") for line in lines}
    if len(doubled) == 1 and 0 not in doubled and "\t" not in text:
        return text.replace("::", "\t")
    words = [_BLANK_SEPARATED.findall(line) for line in lines]
    if len(set(map(len, words))) > 1 or len(words[0]) < 2 or any(mark in line for line in lines for mark in ",;|"):
        return text
    if any(line.count("\t") >= len(words[0]) - 1 for line in lines):
        return text
    below = [word for line_words in words[1:] for word in line_words]
    if sum(map(looks_like_number, below)) <= len(below) / 2:
        return text
    return "\n".join("\t".join(_BLANK_SEPARATED.findall(line)) for line in text_lines(text))


def sample_records(text: str, dialect: Dialect) -> list[list[str]]:
    """Return the cells of the first records, stripped; [] if they cannot be parsed."""
    try:
        return [[cell.strip() for cell in cells] for _, cells in islice(read_records(text, dialect), SAMPLE_LINES)]
    except csv.Error:
        return []


def read_records(text: str, dialect: Dialect, *, quoted_blank: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Iterate over the records that are not blank: the line in which each ends, and its cells without leading blanks.

    With `quoted_blank`, a line with a pair of quotes alone is a record, as pandas writes the missing value of a table
    with one column.

    Raises:
        csv.Error: The text cannot be parsed.
    """
    csv.field_size_limit(2**31 - 1)  # an image or a sound may be a JSON list in one cell
    last = [""]

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            last[0] = line
            yield line

    reader = csv.reader(lines(), delimiter=dialect.separator, quoting=dialect.quoting, skipinitialspace=True)
    for cells in reader:
        if len(cells) > 1 or (cells and (cells[0].strip() or (quoted_blank and last[0].strip() == '""'))):
            yield reader.line_num, cells


def has_no_header(rows: list[list[str]]) -> bool:
    """Return whether the first line is data.

    It is not if it has a text above numbers, or numbers as pandas and R write names of columns. Otherwise, it is if its
    cells are numbers, if one is a decimal number above numbers, or a sentence above sentences, or if texts recur below.
    """
    if len(rows) < 2 or _are_numbers_of_columns(rows):
        return False
    recurs = False
    for position, name in enumerate(rows[0]):
        below = [row[position] for row in rows[1:] if len(row) > position and row[position]]
        if below and _SURE_POINT.fullmatch(name) and all(map(looks_like_number, below)):
            recurs = True  # a year can be a name, but not 18.5
        elif name and below and not looks_like_number(name):
            if all(map(looks_like_number, below)):
                return False
            recurs = (
                recurs
                or below.count(name) > 1
                or (_ends_like_sentence(name) and 2 * sum(map(_ends_like_sentence, below)) > len(below))
            )
    return recurs or all(map(looks_like_number, filter(None, rows[0]))) or _has_only_words_of_cells(rows)


def _are_numbers_of_columns(rows: list[list[str]]) -> bool:
    """Return whether numbers, rising or from 0 as pandas counts, follow an empty cell above the names of the rows.

    From 0 they can also be alone, above numbers with decimals.
    """
    if len(rows[0]) > 3 and rows[0] == [*map(str, range(len(rows[0])))]:
        return any(map(_SURE_POINT.fullmatch, rows[1]))
    corner, *names = rows[0] or [""]
    if corner or not names or not all(map(looks_like_number, names)) or not all(any(row[:1]) for row in rows[1:]):
        return False
    numbers = [float(name.replace(",", ".")) for name in names]
    return numbers == [*range(len(names))] or (len(names) > 2 and numbers == sorted(set(numbers)))


def _has_only_words_of_cells(rows: list[list[str]]) -> bool:
    """Return whether each text in the first line, one of at least three words, has only words of the cells below it."""
    texts = {position: cell.split() for position, cell in enumerate(rows[0]) if cell and not looks_like_number(cell)}
    return max(map(len, texts.values()), default=0) > 2 and all(
        words.issubset(word for row in rows[1:] if len(row) > position for word in row[position].split())
        for position, words in ((position, set(words)) for position, words in texts.items())
    )


def is_numbered_name(name: str) -> bool:
    """Return whether `numbered_names` can have a name."""
    return _NUMBERED_NAME.fullmatch(name) is not None


def numbered_names(count: int) -> list[str]:
    """Return the names of the columns of a file without a header."""
    return [f"column {number}" for number in range(1, count + 1)]


def column_names(first: list[str]) -> list[str]:
    """Return the names in a header, made unique: missing and repeated names are replaced as pandas does it."""
    names: list[str] = []
    for position, cell in enumerate(first):
        name = cell.strip()[:200] or f"Unnamed: {position}"
        candidate, number = name, 0
        while candidate in names:
            number += 1
            candidate = f"{name}.{number}"
        names.append(candidate)
    return names


def strip_cell(cell: str | None) -> str | None:
    """Return a cell without surrounding blanks; None if it is missing."""
    return None if cell is None or (plain := cell.strip()) in MISSING_MARKS else plain


def looks_like_number(text: str) -> bool:
    """Return whether a cell is a number, with either decimal mark."""
    return _PLAIN_NUMBER.fullmatch(text) is not None


def text_lines(text: str) -> Iterator[str]:
    """Iterate over the lines of a text; other than `splitlines`, it does not break them at U+2028 or form feeds."""
    return iter(io.StringIO(text, newline=None))


def _is_quoted(text: str, separator: str) -> bool:
    """Return whether quotation marks enclose cells.

    Tab-separated files often hold unescaped quotes. If all lines have the same number of tabs, and quoting would join
    some of them, the quotes are ordinary characters.
    """
    if separator != "\t" or '"' not in text:
        return True
    lines = [line for line in text_lines(text) if line.strip()]
    if len({line.count("\t") for line in lines}) > 1:
        return True
    try:
        return sum(1 for _ in read_records(text, Dialect(separator))) >= len(lines)
    except csv.Error:
        return False


def _infer_decimal(text: str, dialect: Dialect) -> str:
    """Return the decimal mark.

    Beside semicolons it is a comma if any cell is a number with one; beside tabs and bars, only if some number cannot
    be read otherwise and none has a decimal point.
    """
    head = text[:SAMPLE_CHARACTERS]
    if dialect.separator == ";":
        return "," if _DECIMAL_COMMA.search(head) else "."
    if dialect.separator == ",":
        return _quoted_decimal(sample_records(head, dialect)[1:])
    cells = {cell for row in sample_records(head, dialect)[1:] for cell in row}
    return "," if any(map(_SURE_COMMA.fullmatch, cells)) and not any(map(_SURE_POINT.fullmatch, cells)) else "."


def _quoted_decimal(rows: list[list[str]]) -> str:
    """Return the decimal mark of rows with commas between the cells: a comma if a column of quoted numbers such as
    "0,5" shows it, and no number has a point."""
    if any(_SURE_POINT.fullmatch(cell) for row in rows for cell in row):
        return "."
    for place in range(max(map(len, rows), default=0)):
        cells = [row[place] for row in rows if len(row) > place and row[place]]
        sure = sum(map(bool, map(_SURE_COMMA.fullmatch, cells)))
        are_numbers = 2 * sure > len(cells) and all(map(_COMMA_NUMBER.fullmatch, cells))
        if are_numbers and any(map(_FRACTION.fullmatch, cells)):  # 1,2 and 3,4 can be lists of labels
            return ","
    return "."


def _ends_like_sentence(text: str) -> bool:
    """Return whether a text ends like a sentence; column names do not."""
    return text[-1:] in tuple(".!?…。！？")
