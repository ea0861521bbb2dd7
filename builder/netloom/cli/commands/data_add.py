"""`netloom data add`: bring data, with an answer to each question that its kind asks."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Context
from netloom.cli.files import existing
from netloom.cli.text import table
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.data.uploads import Reader
    from netloom.data.uploads.upload_kind import Question
    from netloom.sandbox import Look


def add_arguments(parser: ArgumentParser) -> None:
    """What `netloom data add` takes."""
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="+",
        help="a file or folder, several files, such as IDX images and labels, an address (https://…), or a dataset of "
        "the Hugging Face Hub (hf:owner/name, optionally followed by [split] or :configuration)",
    )
    parser.add_argument("--allow-private", action="store_true", help="allow addresses in private networks")
    parser.add_argument(
        "--kind", default="", help="data type; --look lists the types (default: detected from the content)"
    )
    parser.add_argument("--target", metavar="COLUMN", help="column to predict (default: guessed)")
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="import option, such as window=48 or values=a,b; repeatable",
    )
    parser.add_argument("--name", default="", help="name of the dataset (default: the name of the file)")
    parser.add_argument("--look", action="store_true", help="dry run: detect and report")


def add_data(asked: Namespace, context: Context) -> int:
    """Add a file, or say what it is."""
    with TemporaryDirectory(prefix="netloom-") as folder:
        return _add(asked, context, _fetched(asked, Path(folder)))


def _fetched(asked: Namespace, folder: Path) -> list[Path]:
    """The files, of which those that lie elsewhere are fetched into a folder."""
    from netloom.data.downloads import asked_for, download, fetch_dataset

    found = []
    tell = _Progress()
    try:
        for number, name in enumerate(asked.file):
            wanted = asked_for(name)
            place = folder / str(number)
            if wanted is None:
                found.append(existing(name))
                continue
            place.mkdir()
            if wanted.kind == "hub":
                found.append(fetch_dataset(wanted.name, place, tell, server=False))
            else:
                found.append(download(wanted.name, place, tell, server=False, private=asked.allow_private))
    finally:
        tell.end()
    return found


def _add(asked: Namespace, context: Context, files: list[Path]) -> int:
    from netloom.data.uploads import with_target
    from netloom.sandbox import Look

    look = Look(*_content(files))
    try:
        reader = look.reader(asked.kind, asked.target)
        options = _options(asked.option, reader, look)
        if asked.look:
            return _look(look, reader, with_target(reader, options, asked.target), context)
        tell = _Progress()
        try:
            info = look.add(
                context.home, name=asked.name, target=asked.target, kind=reader.name, options=options, tell=tell
            )
        finally:
            tell.end()
    finally:
        look.close()
    context.answer(asdict(info), f"Added {plain(info.title)!r} as {info.name}: {plain(info.summary)}.")
    return 0


def _content(paths: list[Path]) -> tuple[Path | dict[str, bytes], str]:
    """The files, and what to call them."""
    from netloom.data import DataError
    from netloom.data.limits import MAX_FILE_BYTES
    from netloom.data.uploads.naming import called

    if len(paths) == 1:
        return paths[0], paths[0].name or paths[0].resolve().name
    files: dict[str, bytes] = {}
    left = MAX_FILE_BYTES + 1
    for name, path in _named(paths).items():
        try:
            with path.open("rb") as file:
                content = file.read(left)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        left -= len(content)
        files[name] = content
    return files, called(list(files), paths[0].resolve().parent.name)


def _named(paths: list[Path]) -> dict[str, Path]:
    """Files, and those in folders, by their names; where two have one name, such as train/x.csv and test/x.csv, by
    their paths below a common folder. Links and hidden files in folders are passed over."""
    found: list[tuple[str, Path]] = []
    for path in paths:
        if not path.is_dir():
            found.append((path.name, path))
            continue
        for inside in sorted(path.rglob("*")):
            below = inside.relative_to(path)
            if inside.is_file() and not inside.is_symlink() and not any(part.startswith(".") for part in below.parts):
                found.append(((Path(path.resolve().name) / below).as_posix(), inside))
    often = Counter(name for name, _ in found)
    if len(often) == len(found):
        return dict(found)
    base = Path(os.path.commonpath([path.resolve().parent for _, path in found]))
    return {path.resolve().relative_to(base).as_posix(): path for _, path in found}


def _options(texts: list[str], reader: Reader, look: Look) -> dict[str, Any]:
    """What was typed, as values of the kinds that the reader asks for."""
    typed: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"An option is written as name=value, received {text[:60]!r}.")
        typed[name.strip()] = value.strip()
    asked: dict[str, Question] = {}
    for _ in range(2):  # what is asked may depend on what was answered
        answers = {name: _value(value, asked.get(name)) for name, value in typed.items()}
        asked = {question.name: question for question in look.questions(reader, answers)}
    return {name: _value(value, asked.get(name)) for name, value in typed.items()}


def _value(text: str, question: Question | None) -> Any:
    """What was typed; where it is no answer it stays as it is, which the question then refuses in words."""
    if question is None:
        return text
    if question.optional and text.lower() in ("", "none"):
        return None
    if question.kind == "several":
        return [part.strip() for part in text.split(",")] if text not in question.choices else [text]
    if question.kind == "switch":
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    if question.kind in ("whole", "number"):
        try:
            return int(text) if question.kind == "whole" else float(text)
        except ValueError:
            return text
    return text


def _look(look: Look, reader: Reader, options: Mapping[str, Any], context: Context) -> int:
    kinds, described = look.kinds(), look.described(reader, options, preview=False)
    answers, questions = described.answers, described.questions
    asked = [{**asdict(question), "answer": answers.get(question.name)} for question in questions]
    learned = plain(described.learned)
    value = {
        "kind": reader.name,
        "kinds": [one.name for one in kinds],
        "about": reader.about,
        "learned": learned,
        "notes": described.notes,
        "questions": asked,
    }
    lines = [f"{plain(look.filename)}: {reader.title.lower()} (--kind {reader.name})", learned]
    lines += [f"! {plain(note)}" for note in described.notes]
    others = [one.name for one in kinds if one.name != reader.name]
    if others:
        lines.append(f"It can also be read as {', '.join(others)}.")
    rows = [
        (question.name, _shown(answers.get(question.name), question), plain(question.label), _range(question))
        for question in questions
    ]
    if rows:
        lines += ["", table(("option", "answer", "meaning", "allowed values"), rows)]
    context.answer(value, "\n".join(lines))
    return 0


def _shown(answer: Any, question: Question) -> str:
    if answer is None:
        return f"({question.empty})" if question.default is None else plain(str(question.default))
    return plain(", ".join(map(str, answer)) if isinstance(answer, (list, tuple)) else str(answer))[:40]


def _range(question: Question) -> str:
    if question.choices:
        return ", ".join(map(plain, question.choices[:8])) + (", …" if len(question.choices) > 8 else "")
    return "true, false" if question.kind == "switch" else f"{question.low:g} to {question.high:g}"


class _Progress:
    """Says on a terminal how far an import is; elsewhere it says nothing."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __call__(self, share: float, what: str) -> None:
        if self._shown:
            sys.stderr.write(f"\r\x1b[K{share:4.0%} {plain(what)[:100]}")
            sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
