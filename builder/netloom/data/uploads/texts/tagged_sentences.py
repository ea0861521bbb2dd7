"""Sentences with a tag for each word, and optionally an intent, from the files in which such data is published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_FILE_BYTES
from netloom.data.splits.given_splits import NO_PART, WORDS, file_parts, given_of, path_of, split_column
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.texts.tagged_sentence import Sentence
from netloom.data.uploads.texts.word_rows import sentences_of_rows, word_rows
from netloom.modalities.encoding.cells import items_of
from netloom.modalities.fields.text import UNKNOWN_TOKENS

if TYPE_CHECKING:
    import pandas as pd

Layout = Literal["columns", "parallel files", "records", "rows"]
TAG = re.compile(r"O|[BIESLUM]-\S{1,80}")
_INTENT_LINE = re.compile(r"#\s*(?:intent|label|class|domain)\s*[:=]\s*(\S.*)", re.IGNORECASE)
_PARTIAL_NUMBER = re.compile(r"\d+[-.]\d+")  # in CoNLL-U: several words that are written as one, and words left out
_SAMPLE_LINES = 400
_MAX_ODD = 0.1  # share of the lines of a sample; reading the file reports their errors
_MAX_FILES = 600
_MAX_TAGGED = 5_000  # files of columns
_WORDS, _TAGS, _INTENTS = (
    ("words", "tokens", "text", "sentence", "utterance", "query"),
    ("tags", "tag", "ner_tags", "slots", "slot_labels", "bio", "labels", "ner"),
    ("intent", "intents", "intent_label", "label", "class", "domain"),
)


@dataclass(frozen=True)
class _Parallel:
    """Files whose lines belong together: words, tags, and intents if there is a file of them."""

    words: str
    tags: str
    intents: str = ""


def layout_of(source: Source) -> Layout | None:
    """Return how the files hold tagged sentences; None if they hold something else."""
    if _parallel_files(source):
        return "parallel files"
    if column_files(source):
        return "columns"
    if _record_columns(source):
        return "records"
    return "rows" if word_rows(source) is not None else None


def sentences(source: Source, column: int = 0, most: int | None = None, tags: str = "") -> list[Sentence]:
    """Return all sentences, or the first `most`, each with its part of the split if the files or records give one.

    Args:
        column: The number of the column of tags in files of columns; 0 is the last.
        tags: The column of tags in a table with a row per word; by default the most likely one.

    Raises:
        DataError: The files cannot be read, or words and tags differ in number.
    """
    layout = layout_of(source)
    if layout == "parallel files":
        found_sentences = _of_parallel_files(source, most)
    elif layout == "records":
        found_sentences = _of_records(source, most)
    elif rows := word_rows(source):
        found_sentences = sentences_of_rows(rows, tags, most)
    else:
        found_sentences = _of_columns(source, column, most)
    return found_sentences if most is None else found_sentences[:most]


# ---------------------------------------------------------------- columns, as in CoNLL


def column_files(source: Source) -> list[str]:
    """Return the files of words and tags in columns."""
    texts = source.members.of(file_types.TEXT)
    if len(texts) > _MAX_TAGGED:
        return []
    files: list[str] = source.once("tagged", lambda: [name for name in texts if _is_tagged(source, name)])
    return files


def _is_tagged(source: Source, name: str) -> bool:
    try:
        text = source.members.head(name).decode("utf-8", "ignore")
    except DataError:
        return False
    lines = [line.split() for line in text.splitlines()[:_SAMPLE_LINES]]
    lines = lines[:-1] or lines  # the last line may be incomplete
    full = [
        line
        for line_index, line in enumerate(lines)
        if line and not line[0].startswith("#") and not _is_single_tag(lines, line_index)
    ]
    odd = sum(len(line) < 2 or not TAG.fullmatch(line[-1]) for line in full)
    return len(full) >= 3 and odd <= _MAX_ODD * len(full)


def _is_single_tag(lines: Sequence[Sequence[str]], line_index: int) -> bool:
    """Return whether a line has a single word and is the first or the last of its block: the intent of a sentence."""
    before = lines[line_index - 1] if line_index else ()
    after = lines[line_index + 1] if line_index + 1 < len(lines) else ()
    return len(lines[line_index]) == 1 and (not before) != (not after)


def _of_columns(source: Source, column: int, most: int | None) -> list[Sentence]:
    files = column_files(source) or source.members.of(file_types.TEXT)
    if not files:
        raise DataError("Tagged words need a plain text file, with one word and its tag per line.")
    parts = file_parts(files).parts
    sentences_of_files: list[Sentence] = []
    for name in files:
        sentences_of_files += _of_file(source, name, column, most, parts.get(name, NO_PART))
        if most is not None and len(sentences_of_files) >= most:
            break
    return sentences_of_files


def _of_file(source: Source, name: str, column: int, most: int | None, part: int) -> list[Sentence]:
    """Return the sentences of a file, at most `most`.

    Raises:
        DataError: A line has no tag, or another number of columns than the line before.
    """
    text, _ = decode_text(source.members.read(name, MAX_FILE_BYTES), name)
    line_blocks = list(_blocks(text, most))
    is_numbered = _are_numbered(line_blocks)
    blocks = [_block(lines, name, column, is_numbered=is_numbered) for lines in line_blocks]
    tagged_blocks = [(block, untagged) for block, untagged in blocks if block.words]
    intents = [untagged for block, untagged in tagged_blocks if untagged]
    if intents and len(intents) < len(tagged_blocks) / 2:  # most blocks have none, so that the tag of a word is missing
        raise _no_tag(*intents[0], name)
    return [Sentence(block.words, block.tags, block.intent, part) for block, _ in tagged_blocks]


def _blocks(text: str, most: int | None) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines between empty lines, with their numbers; at most `most` blocks."""
    block: list[tuple[int, str]] = []
    count = 0
    for number, line in enumerate([*text.replace("\0", " ").splitlines(), ""], 1):
        cells = _cells(line)
        if any(cells) and cells[0] != "-DOCSTART-":
            block.append((number, line))
            continue
        if block:
            yield block
            block, count = [], count + 1
        if most is not None and count >= most:
            return


def _are_numbered(blocks: Sequence[list[tuple[int, str]]]) -> bool:
    """Return whether the first column numbers the words of each sentence, as in CoNLL-U and GermEval."""
    columns = [
        [cells[0] for _, line in lines if len(cells := _cells(line)) > 2 and not line.startswith("#")]
        for lines in blocks
    ]
    numbers = [[cell for cell in cells if not _PARTIAL_NUMBER.fullmatch(cell)] for cells in columns]
    numbered = sum(
        bool(cells) and cells in ([str(place) for place in range(first, first + len(cells))] for first in (0, 1))
        for cells in numbers
    )
    return max(map(len, numbers), default=0) > 1 and numbered >= (1 - _MAX_ODD) * len(numbers)


def _block(
    lines: list[tuple[int, str]], name: str, column: int, *, is_numbered: bool
) -> tuple[Sentence, tuple[int, str] | None]:
    """Return the sentence in a block of lines, and its first or last line if that is a single word, its intent."""
    intent, untagged = "", None
    tagged: list[tuple[int, str, list[str]]] = []
    for number, line in lines:
        cells = _cells(line)
        is_comment = line.startswith("#") if is_numbered else _is_comment(line, cells)
        if is_numbered and _PARTIAL_NUMBER.fullmatch(cells[0]):
            continue
        if not is_comment:
            tagged.append((number, line, cells))
        elif match := _INTENT_LINE.match(line.strip()):
            intent = match[1].strip()
    for line_index in (-1, 0):
        if len(tagged) > 1 and len(tagged[line_index][2]) == 1 and not intent:
            untagged = (tagged[line_index][0], tagged[line_index][1])
            intent = tagged.pop(line_index)[2][0]
    words, tags, width = list[str](), list[str](), 0
    word_column = 1 if is_numbered else 0
    if column == word_column + 1:  # the tags, whose column is counted from 1, are in front of the words
        word_column += 1
    for number, line, cells in tagged:
        if len(cells) < 2 or column > len(cells) or not cells[column - 1]:
            raise _no_tag(number, line, name)
        if width and len(cells) != width:
            raise DataError(
                f"Line {number:,} of {name[:80]!r} has {len(cells)} columns where the line before has {width}: "
                f"{line[:60]!r}; all lines of a sentence need the same number."
            )
        width = len(cells)
        words.append(cells[word_column] or UNKNOWN_TOKENS[1])
        tags.append(cells[column - 1])
    return Sentence(words, tags, intent), untagged


def _no_tag(number: int, line: str, name: str) -> DataError:
    return DataError(
        f"Line {number:,} of {name[:80]!r} has no tag after its word: {line[:60]!r}; each line needs a word "
        "and a tag, with a tab or a space between them."
    )


def _cells(line: str) -> list[str]:
    cells = line.split("\t") if "\t" in line else line.split()
    return [cell.strip() for cell in cells] or [""]


def _is_comment(line: str, cells: list[str]) -> bool:
    """Return whether a line is a comment, not a tagged #."""
    return line.startswith("#") and (len(cells) == 1 or ("\t" not in line and not TAG.fullmatch(cells[-1])))


# ---------------------------------------------------------------- parallel files


def _parallel_files(source: Source) -> list[_Parallel]:
    """Return the files whose lines belong together, for each part of the split; [] if there are none."""
    groups: list[_Parallel] = source.once("parallel", lambda: _find_parallel(source))
    return groups


def _find_parallel(source: Source) -> list[_Parallel]:
    texts = source.members.of(file_types.TEXT)
    if source.alone or not 2 <= len(texts) <= _MAX_FILES:
        return []
    heads = {name: _head_lines(source, name) for name in texts}
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in texts:
        groups.setdefault(_group_of(name), []).append(name)
    if len(groups) == len(texts) or len(groups) == 1:  # such as words.txt, tags.txt, or all in one folder
        groups = {(): texts} if len(texts) <= 3 else groups
    parallel_groups = [group for names in groups.values() if (group := _aligned(names, heads)) is not None]
    return (
        parallel_groups if len(parallel_groups) == len([names for names in groups.values() if len(names) > 1]) else []
    )


def _group_of(name: str) -> tuple[str, ...]:
    """Return what the files of one part share: their folder, or the name of the part in front of theirs."""
    *folders, file = path_of(name)
    part = next((str(WORDS[piece]) for piece in re.split(r"[^a-z0-9]+", file.lower()) if piece in WORDS), "")
    return (*folders, part)


def _head_lines(source: Source, name: str) -> list[list[str]]:
    lines = source.members.head(name).decode("utf-8", "ignore").splitlines()
    return [line.split() for line in (lines[:-1] or lines)]


def _aligned(names: Sequence[str], heads: Mapping[str, list[list[str]]]) -> _Parallel | None:
    """Return the files of words, tags and intents among files of one part; None if they do not belong together."""
    tagged = [name for name in names if _are_tags(heads[name])]
    if len(tagged) != 1 or len(names) > 3:
        return None
    tags = heads[tagged[0]]
    words = [name for name in names if name not in tagged and _have_equal_lengths(heads[name], tags)]
    intent_files = [name for name in names if name not in (*tagged, *words)]
    if len(words) == 2 and not intent_files:  # sentences of a single word: the intents have a single word, too
        words.sort(key=lambda name: -sum(map(len, heads[name])))
        words, intent_files = words[:1], words[1:]
    if len(words) != 1 or not all(len(line) <= 3 for name in intent_files for line in heads[name]):
        return None
    return _Parallel(words[0], tagged[0], "".join(intent_files))


def _have_equal_lengths(lines: list[list[str]], other_lines: list[list[str]]) -> bool:
    """Return whether most lines have as many words as those of another file; reading them reports the others."""
    pairs = list(zip(lines, other_lines, strict=False))
    equal = sum(len(words) == len(tags) for words, tags in pairs)
    return bool(pairs) and equal >= (1 - _MAX_ODD) * len(pairs)


def _are_tags(lines: list[list[str]]) -> bool:
    cells = [cell for line in lines for cell in line]
    return (
        len(cells) > len(lines) > 1
        and sum(TAG.fullmatch(cell) is not None for cell in cells) >= (1 - _MAX_ODD) * len(cells)
        and len({len(line) for line in lines}) > 1
    )


def _of_parallel_files(source: Source, most: int | None) -> list[Sentence]:
    groups = _parallel_files(source)
    parts = file_parts([group.words for group in groups]).parts if len(groups) > 1 else {}
    parsed: list[Sentence] = []
    for group in groups:
        lines = {name: _lines(source, name) for name in (group.words, group.tags, group.intents) if name}
        counts = {name: len(of_file) for name, of_file in lines.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name[-60:]!r} {count:,}" for name, count in counts.items())
            raise DataError(f"Files of words, tags and intents need equally many lines, received {listed}.")
        intents = lines.get(group.intents) or [""] * counts[group.words]
        for number, (words, tags, intent) in enumerate(
            zip(lines[group.words], lines[group.tags], intents, strict=True), 1
        ):
            if len(words.split()) != len(tags.split()):
                raise DataError(
                    f"Line {number:,} of {group.words[-60:]!r} has {len(words.split())} words, and that of "
                    f"{group.tags[-60:]!r} has {len(tags.split())} tags; each word needs one tag."
                )
            if words.strip():
                parsed.append(Sentence(words.split(), tags.split(), intent.strip(), parts.get(group.words, NO_PART)))
            if most is not None and len(parsed) >= most:
                return parsed
    return parsed


def _lines(source: Source, name: str) -> list[str]:
    """Return the lines of a file up to the last one that is not empty."""
    lines = source.lines(name)
    return lines[: max((number for number, line in enumerate(lines, 1) if line), default=0)]


# ---------------------------------------------------------------- records


def _record_columns(source: Source) -> dict[str, str]:
    """Return the columns of words, tags and, if there are any, intents in a table; {} for others."""
    columns: dict[str, str] = source.once("records", lambda: _find_columns(source))
    return columns


def _find_columns(source: Source) -> dict[str, str]:
    if source.large is not None or (not source.alone and len(source.tables()) < len(source.names)):
        return {}
    try:
        table = _table(source)
    except DataError:
        return {}
    names = {str(name).strip().lower(): str(name) for name in table.columns}
    columns: dict[str, str] = {}
    for role, usual in (("words", _WORDS), ("tags", _TAGS), ("intents", _INTENTS)):
        column = next((names[name] for name in usual if name in names and names[name] not in columns.values()), None)
        if column is not None:
            columns[role] = column
    if not {"words", "tags"} <= set(columns) or not len(table):
        return {}
    some = table.head(_SAMPLE_LINES)
    cells = zip(some[columns["words"]], some[columns["tags"]], strict=True)
    pairs = [(_items(words), _items(tags)) for words, tags in cells]
    are_aligned = sum(len(words) == len(tags) for words, tags in pairs) >= (1 - _MAX_ODD) * len(pairs)
    are_tagged = all(TAG.fullmatch(tag) or tag.isdigit() for _, tags in pairs for tag in tags)
    vary = len({len(words) for words, _ in pairs}) > 1
    return columns if are_aligned and are_tagged and vary else {}


def _table(source: Source) -> pd.DataFrame:
    return source.table()[0] if source.alone else source.together()[0]


def _items(cell: Any) -> list[str]:
    """Return the words or tags in a cell: a list of JSON or Python, or a text with blanks between them."""
    if not isinstance(cell, str):
        return []
    items = items_of(cell.strip())
    return cell.split() if items is None else ["_".join(item.split()) or UNKNOWN_TOKENS[1] for item in items]


def _of_records(source: Source, most: int | None) -> list[Sentence]:
    table, columns = _table(source), _record_columns(source)
    split = split_column(table)
    parts = [NO_PART] * len(table) if split is None else given_of(table[split], split).tolist()
    rows = table if most is None else table.head(most)
    intents = rows[columns["intents"]].fillna("").astype(str) if "intents" in columns else [""] * len(rows)
    parsed = []
    for number, (words, tags, intent) in enumerate(
        zip(rows[columns["words"]], rows[columns["tags"]], intents, strict=True), 1
    ):
        sentence = Sentence(_items(words), _items(tags), intent.strip(), parts[number - 1])
        if len(sentence.words) != len(sentence.tags):
            raise DataError(
                f"Record {number:,} of {source.filename[:80]!r} has {len(sentence.words)} words in "
                f"{columns['words']!r} and {len(sentence.tags)} tags in {columns['tags']!r}; each word needs one tag."
            )
        if sentence.words:
            parsed.append(sentence)
    return parsed
