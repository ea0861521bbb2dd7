"""`netloom data add`: add files, folders, addresses or datasets of the Hugging Face Hub as a dataset."""

from __future__ import annotations

import sys
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Context, OneOf
from netloom.cli.files import existing
from netloom.cli.text import table
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.data.uploads import Reader
    from netloom.data.uploads.upload_kind import Question
    from netloom.sandbox import FileInspection


class _OneTarget(Action):
    """Refuses a second target, which would silently replace the first one."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, target: Any, *_: Any) -> None:
        if namespace.target is not None:
            from netloom.api.arguments import SEVERAL_TARGETS

            parser.error(f"--target was given twice; {SEVERAL_TARGETS}.")
        namespace.target = target


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `netloom data add`."""
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="+",
        help="a file or folder, several files, such as IDX images and labels, an address (https://…), or a dataset of "
        "the Hugging Face Hub (hf:owner/name, optionally followed by [split] or :configuration)",
    )
    parser.add_argument("--allow-private", action="store_true", help="allow addresses in private networks")
    parser.add_argument(
        "--kind",
        metavar="KIND",
        type=OneOf(_kinds),
        default="",
        help="data type (default: detected from the content)",
    )
    parser.add_argument("--target", metavar="COLUMN", action=_OneTarget, help="column to predict (default: detected)")
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="import option, such as window=48 or values=a,b; --look lists them; repeatable",
    )
    parser.add_argument(
        "--name", metavar="NAME", default="", help="name of the dataset (default: the name of the file)"
    )
    parser.add_argument(
        "--look", action="store_true", help="dry run: report the detected type, columns and options, and add nothing"
    )


def add_data(arguments: Namespace, context: Context) -> int:
    """Add a dataset; with `--look`, only report what was detected."""
    with TemporaryDirectory(prefix="netloom-") as folder:
        return _add(arguments, context, _fetch_files(arguments, Path(folder)))


def _kinds() -> list[str]:
    from netloom.data.uploads.upload_kind import readers

    return sorted(readers())


def _fetch_files(arguments: Namespace, folder: Path) -> list[Path]:
    """Return the local paths of all files; those at an address or at the Hub are downloaded into `folder` first."""
    from netloom.data.downloads import download, fetch_dataset, remote_source

    paths = []
    progress = _Progress()
    try:
        for number, name in enumerate(arguments.file):
            source = remote_source(name)
            download_folder = folder / str(number)
            if source is None:
                paths.append(existing(name))
                continue
            download_folder.mkdir()
            if source.kind == "hub":
                paths.append(fetch_dataset(source.name, download_folder, progress, server=False))
            else:
                paths.append(
                    download(source.name, download_folder, progress, server=False, private=arguments.allow_private)
                )
    finally:
        progress.end()
    return paths


def _add(arguments: Namespace, context: Context, files: list[Path]) -> int:
    from netloom.data.preparation.prepare import read
    from netloom.data.preparation.project_defaults import default_choice
    from netloom.data.uploads import with_target
    from netloom.sandbox import FileInspection
    from netloom.sandbox.local_files import read_content

    inspection = FileInspection(*read_content(files))
    try:
        reader = inspection.reader(arguments.kind, arguments.target)
        options = _parse_options(arguments.option, reader, inspection)
        if arguments.look:
            return _report_inspection(inspection, reader, with_target(reader, options, arguments.target), context)
        guesses = _other_guesses(inspection, reader, with_target(reader, options, arguments.target))
        progress = _Progress()
        try:
            info = inspection.add(
                context.home,
                name=arguments.name,
                target=arguments.target,
                kind=reader.name,
                options=options,
                progress=progress,
            )
        finally:
            progress.end()
    finally:
        inspection.close()
    added = f"Added {plain(info.title)!r} as {info.name}: {plain(info.summary)}."
    # What is left out or assumed, such as columns that are not inputs, as `netloom data show` reports it
    warnings = read(default_choice(info.name, context.home), context.home).warnings
    lines = [added, *map(plain, guesses), *(f"! {plain(warning)}" for warning in warnings)]
    context.answer({**asdict(info), "warnings": warnings}, "\n".join(lines))
    return 0


def _other_guesses(inspection: FileInspection, reader: Reader, options: Mapping[str, Any]) -> list[str]:
    """Return sentences on the other likely answers to questions that the command does not answer."""
    from netloom.data.uploads.upload_kind import other_guesses

    questions = [question for question in inspection.questions(reader, options) if question.name not in options]
    return other_guesses(questions, {question.name: question.default for question in questions})


def _parse_options(assignments: list[str], reader: Reader, inspection: FileInspection) -> dict[str, Any]:
    """Return the values of `--option NAME=VALUE`, converted to the types of the reader's questions."""
    from netloom.document.former_names import renamed_options

    values: dict[str, str] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"An option is written as name=value, received {text[:60]!r}.")
        values[name.strip()] = value.strip()
    values = renamed_options(values)
    questions: dict[str, Question] = {}
    for _ in range(2):  # an answer may bring up further questions, whose types the first pass does not know
        answers = {name: _parse_answer(value, questions.get(name)) for name, value in values.items()}
        questions = {question.name: question for question in inspection.questions(reader, answers)}
    return {name: _parse_answer(value, questions.get(name)) for name, value in values.items()}


def _parse_answer(text: str, question: Question | None) -> Any:
    """Convert a value; one that does not fit stays text, and the question refuses it with a sentence."""
    if question is None:
        return text
    if question.optional and text.lower() in ("", "none"):
        return None
    if question.takes_several:
        return [part.strip() for part in text.split(",")] if text not in question.choices else [text]
    if question.kind == "switch":
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    if question.is_numeric:
        try:
            return int(text) if question.kind == "whole" else float(text)
        except ValueError:
            return text
    return text


def _report_inspection(inspection: FileInspection, reader: Reader, options: Mapping[str, Any], context: Context) -> int:
    from netloom.data.uploads.upload_kind import other_guesses

    readers, description = inspection.kinds(), inspection.described(reader, options, preview=False)
    answers, questions = description.answers, description.questions
    question_values = [{**asdict(question), "answer": answers.get(question.name)} for question in questions]
    summary = plain(description.learned)
    value = {
        "kind": reader.name,
        "kinds": [kind.name for kind in readers],
        "about": reader.about,
        "learned": summary,
        "notes": description.notes,
        "questions": question_values,
    }
    lines = [f"{plain(inspection.filename)}: {reader.title.lower()} (--kind {reader.name})", summary]
    lines += [plain(sentence) for sentence in other_guesses(questions, answers)]
    lines += [f"! {plain(note)}" for note in description.notes]
    other_kinds = [kind.name for kind in readers if kind.name != reader.name]
    if other_kinds:
        lines.append(f"It can also be read as {', '.join(other_kinds)}.")
    rows = [
        (
            question.name,
            _answer_text(answers.get(question.name, question.default), question),
            plain(question.label),
            _range(question),
        )
        for question in questions
    ]
    if rows:
        lines += ["", table(("option", "answer", "meaning", "allowed values"), rows)]
    context.answer(value, "\n".join(lines))
    return 0


def _answer_text(answer: Any, question: Question) -> str:
    if answer is None:
        return f"({question.empty})"
    return plain(", ".join(map(str, answer)) if isinstance(answer, (list, tuple)) else str(answer))[:40]


def _range(question: Question) -> str:
    if question.choices:
        return ", ".join(map(plain, question.choices[:8])) + (", …" if len(question.choices) > 8 else "")
    return "true, false" if question.kind == "switch" else f"{question.low:g} to {question.high:g}"


class _Progress:
    """Shows the progress of an import if standard error is a terminal."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, share: float, step: str) -> None:
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[K{share:4.0%} {plain(step)[:100]}")
            sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
