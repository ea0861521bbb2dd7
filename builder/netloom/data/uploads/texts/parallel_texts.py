"""Two text files whose lines belong together, such as train.en and train.de, as in the corpora of Moses and OPUS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data import file_types
from netloom.data.limits import MAX_ROWS
from netloom.data.splits.given_splits import NAMES, is_split, part_in
from netloom.data.uploads.files.joining import PART
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.files.table_sets import is_about

if TYPE_CHECKING:
    import pandas as pd

_MAX_FILES = 200
# ISO 639-1 and the frequent codes of ISO 639-2; English is first, as it is translated from in most corpora
_LANGUAGES = (
    "en eng english de deu ger german deutsch fr fra fre french es spa spanish it ita italian pt por portuguese nl "
    "nld dut dutch ru rus russian zh zho chi cn chinese ja jpn jp japanese ko kor korean ar ara arabic hi hin hindi "
    "tr tur turkish vi vie vietnamese pl pol polish cs ces cze cz czech sv swe swedish da dan danish no nor nb nn "
    "norwegian fi fin finnish el ell greek he heb hebrew hu hun hungarian ro ron rum romanian uk ukr ukrainian bg "
    "bul bulgarian hr hrv croatian sr srp serbian sk slk slovak sl slv slovenian et est estonian lv lav latvian lt "
    "lit lithuanian is isl icelandic ga gle irish cy cym welsh eu eus basque ca cat catalan gl glg galician mt mlt "
    "maltese sq sqi albanian mk mkd hy hye armenian ka kat georgian az aze kk kaz uz uzb fa fas per persian ur urd "
    "urdu bn ben bengali ta tam tamil te tel telugu ml mal mr mar gu guj kn kan pa pan ne nep nepali si sin sinhala "
    "my mya burmese km khm khmer lo lao th tha thai id ind indonesian ms msa malay tl fil tagalog sw swa swahili am "
    "amh ha hau yo yor zu zul xh xho af afr afrikaans eo epo esperanto la lat latin sa san mn mon yi yid lb ltz be "
    "bel br bre oc oci ht mg mlg so som ku ps"
).split()
_ROLES = (("source", "target"), ("src", "tgt"), ("src", "trg"), ("input", "output"), ("inputs", "outputs"),
          ("question", "answer"), ("questions", "answers"), ("document", "summary"), ("article", "summary"),
          ("from", "to"))  # fmt: skip
_RANK: Mapping[str, int] = {name: rank for rank, name in enumerate(_LANGUAGES)}
_NOT_TEXTS = {"vocab", "vocabulary", "dict", "dictionary", "bpe", "codes"}
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class ParallelTexts:
    """Pairs of files whose lines belong together.

    Attributes:
        sides: The names of the two columns, such as en and de.
        files: The two files of each pair.
        parts: The part of the split of each pair, None for one that names none; () if the files are not a split.
        are_certain: Whether the names alone show that the lines belong together, not only their equal number.
        other_sides: Other languages of the files, which are not read.
    """

    sides: tuple[str, str]
    files: tuple[tuple[str, str], ...]
    parts: tuple[int | None, ...]
    are_certain: bool
    other_sides: tuple[str, ...]


def parallel_texts(source: Source) -> ParallelTexts | None:
    """Return the parallel files of a source; None if there are none. Cached."""
    parallel: ParallelTexts | None = source.once("parallel texts", lambda: _parallel_texts(source))
    return parallel


def read_parallel(source: Source, parallel: ParallelTexts) -> tuple[pd.DataFrame, list[str]]:
    """Return the table of the lines, with the column `PART` if the files are a split, and notes; cached.

    Raises:
        DataError: Two files have different numbers of lines, or a file is in no part of the split.
    """
    table: tuple[pd.DataFrame, list[str]] = source.once("parallel table", lambda: _read(source, parallel))
    return table


def have_equal_lines(source: Source, parallel: ParallelTexts) -> bool:
    """Return whether the two files of each pair are texts with equally many lines."""
    try:
        return all(len(source.lines(first)) == len(source.lines(second)) for first, second in parallel.files)
    except DataError:
        return False


def _parallel_texts(source: Source) -> ParallelTexts | None:
    texts = [name for name in source.members.of(file_types.TEXT) if not is_about(name)]
    if source.alone or not 2 <= len(texts) <= _MAX_FILES:
        return None
    words = _words(texts)
    texts = [name for name in texts if not _NOT_TEXTS & {*words[name]}]
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for first, second in permutations(texts, 2):
        sides = _differing(words[first], words[second])
        if sides is not None and _are_ordered(*sides):
            pairs.setdefault(sides, []).append((first, second))
    if not pairs:
        return None
    sides = min(pairs, key=lambda names: (-len(pairs[names]), [_RANK.get(name, 0) for name in names]))
    other_sides = {name for names in pairs for name in names} - {*sides}
    named = {name for both in pairs.values() for pair in both for name in pair}
    if 2 * len(named) <= len(texts):
        return None
    files = tuple(pairs[sides])
    parts = tuple(_part(words[first]) for first, _ in files)
    if not is_split(part for part in parts if part is not None):
        parts = ()
    are_suffixes = all(PurePosixPath(first).suffix.lower() == f".{sides[0]}" for first, _ in files)
    are_certain = are_suffixes or (bool(parts) and sides in _ROLES)
    parallel = ParallelTexts(sides, files, parts, are_certain, tuple(sorted(other_sides)))
    if not are_certain and (not have_equal_lines(source, parallel) if parts else len(files) > 1 or other_sides):
        return None  # texts or lists of several languages, which are their classes
    return parallel


def _words(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the words in the path of each file, without .txt and the words with which all paths begin."""
    words = {name: _WORD.findall(name.lower().removesuffix(".txt")) for name in names}
    shared = next((place for place, of_all in enumerate(zip(*words.values(), strict=False)) if len({*of_all}) > 1), 0)
    return {name: of_name[shared:] for name, of_name in words.items()}


def _differing(first: Sequence[str], second: Sequence[str]) -> tuple[str, str] | None:
    """Return the words in which two paths differ, if it is one of each."""
    if len(first) != len(second):
        return None
    differing = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
    return differing[0] if len(differing) == 1 else None


def _are_ordered(first: str, second: str) -> bool:
    """Return whether these are two languages or roles of texts, in the order in which one is generated from another."""
    return (first, second) in _ROLES or _RANK.get(first, len(_RANK)) < _RANK.get(second, -1)


def _part(words: Sequence[str]) -> int | None:
    """Return the part of the split that the words of a path name, as in newstest2014; None without a single one."""
    parts = {part for word in words if (part := part_in(word.removeprefix("news"))) is not None}
    return parts.pop() if len(parts) == 1 else None


def _read(source: Source, parallel: ParallelTexts) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    tables, rows = [], 0
    for index, (first, second) in enumerate(parallel.files):
        lines = source.lines(first), source.lines(second)
        if len(lines[0]) != len(lines[1]):
            raise DataError(
                f"{first[-80:]!r} has {counted(len(lines[0]), 'line')}, but {second[-80:]!r} has {len(lines[1]):,}; "
                "each line of one belongs to a line of the other, so both need the same number, including empty lines."
            )
        rows += len(lines[0])
        if rows > MAX_ROWS:
            raise DataError(f"The texts up to {first[-80:]!r} have {rows:,} lines; at most {MAX_ROWS:,} can be read.")
        table = pd.DataFrame(dict(zip(parallel.sides, lines, strict=True)), dtype="string").replace("", pd.NA)
        if parallel.parts:
            part = parallel.parts[index]
            if part is None:
                raise DataError(
                    f"{first[-80:]!r} is in no part of the split, while other files are named train and test (or "
                    "validation); name it after its part, or remove it."
                )
            table[PART] = NAMES[part]
        tables.append(table)
    return pd.concat(tables, ignore_index=True), _notes(source, parallel)


def _notes(source: Source, parallel: ParallelTexts) -> list[str]:
    notes = []
    if not parallel.are_certain:
        first, second = parallel.files[0]
        notes.append(
            f"The lines of {first[-60:]!r} and {second[-60:]!r} are read as pairs of a text and its answer, as "
            "both files have the same number; to predict the file of a line instead, add them as 'text_files'."
        )
    if parallel.other_sides:
        notes.append(
            f"Only {parallel.sides[0]!r} and {parallel.sides[1]!r} are read; to read "
            f"{', '.join(map(repr, parallel.other_sides))}, remove the files of another language."
        )
    return notes
