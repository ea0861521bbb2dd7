"""The declaration of a kind of upload: its files, its questions, and how it is stored and read."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from netloom.core.errors import DataError
from netloom.core.plain_json import Json, JsonObject
from netloom.core.progress import ProgressCallback
from netloom.core.registry import discover
from netloom.data.raw_dataset import RawDataset
from netloom.data.settings.column_settings import refuse_unknown
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.upload_meta import ReaderMeta, UploadMeta

if TYPE_CHECKING:
    import pandas as pd

# The answers to questions so far, given or inferred. A table also takes the settings of its columns.
Answers = Mapping[str, Json]
PREVIEWED = 8  # rows
DEFAULTS = "defaults"  # the folder of the default settings for new projects, beside those of uploads
# The readers of uploads from before they named theirs, by the kind of their data
_EARLIER_READERS, _EARLIEST_READER = {"image": "picture_folders"}, "table"
_REFUSED = 0.005  # the likelihood of a reader that can only report an error


@dataclass(frozen=True)
class Question:
    """A setting of a kind of upload that a person chooses.

    Attributes:
        choices: The names to choose from, such as columns or sheets; several for the kind "several".
        low: The smallest number; likewise `high`.
        default: The inferred answer.
        optional: Whether the answer may be None, which `empty` describes.
        when_added: Whether the answer is final when the file is added; others may be changed in a project.
        likely: The inferred answers of a choice, the most likely first, if several are likely.
    """

    name: str
    label: str
    kind: Literal["choice", "several", "whole", "number", "switch"]
    help: str = ""
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 1
    default: Json = None
    optional: bool = False
    when_added: bool = False
    empty: str = "none"
    likely: tuple[str, ...] = ()

    @property
    def takes_several(self) -> bool:
        """Whether an answer is a list of choices."""
        return self.kind == "several"

    @property
    def is_numeric(self) -> bool:
        """Whether an answer is a number."""
        return self.kind in ("whole", "number")

    def check(self, value: Json, title: str) -> Json:
        """Return the value if it is a valid answer.

        Raises:
            DataError: It is invalid.
        """
        if value is None and self.optional:
            return None
        received = f"received {str(value)[:40]!r}."
        if self.kind == "whole":
            if not (type(value) is int and self.low <= value <= self.high):
                limits = f"from {self.low:,.0f} to {self.high:,.0f}"
                raise DataError(f"The option {self.name} has to be a whole number {limits}, {received}")
        elif self.kind == "number":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
                raise DataError(
                    f"The option {self.name} has to be a number from {self.low:g} to {self.high:g}, {received}"
                )
        elif self.kind == "switch":
            if not isinstance(value, bool):
                raise DataError(f"The option {self.name} has to be true or false, {received}")
        else:
            self._chosen(value, title)
        return value

    def _chosen(self, value: Json, title: str) -> None:
        values = value if self.takes_several and isinstance(value, (list, tuple)) else [value]
        listed = ", ".join(repr(choice[:40]) for choice in self.choices[:20])
        if not values:
            raise DataError(f"The option {self.name} needs at least one of {listed}.")
        for item in values:
            if not isinstance(item, str) or item not in self.choices:
                raise DataError(f"{title[:60]!r} has no {self.label.lower()} {str(item)[:80]!r}; there is {listed}.")


@dataclass
class StoredUpload:
    """The result of storing an upload in its folder.

    Attributes:
        summary: A phrase for lists of datasets.
        notes: Sentences on what had to be assumed or left out.
        extra: Metadata that `Reader.raw` needs.
    """

    rows: int
    summary: str
    columns: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    extra: ReaderMeta = field(default_factory=ReaderMeta)


class Reader(ABC):
    """A kind of upload.

    Attributes:
        about: A sentence that describes files of this kind.
        kind: The kind of data, as in `DatasetInfo`.
        takes_large: Whether tables larger than memory can be read.
        sets_columns: Whether it applies the settings of columns in a document itself, as a plain table does.
        target_question: The name of the question that asks for the target; "" if there is none.
        asks_in_documents: Whether a project can answer the questions anew, such as with other columns to predict.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    kind: ClassVar[str]
    takes_large: ClassVar[bool] = False
    sets_columns: ClassVar[bool] = False
    target_question: ClassVar[str] = ""
    asks_in_documents: ClassVar[bool] = False

    @abstractmethod
    def likely(self, source: Source) -> float:
        """Return the likelihood that the files are of this kind, from 0 (impossible) to 1."""

    @abstractmethod
    def questions(self, source: Source, answers: Answers) -> list[Question]:
        """Return the questions, with inferred defaults, which may depend on `answers` to earlier questions."""

    @abstractmethod
    def learned(self, source: Source, answers: Answers) -> str:
        """Return one sentence on what a network learns from this data."""

    @abstractmethod
    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        """Return the first rows; cells of images hold data URIs."""

    def noted(self, source: Source, answers: Answers) -> list[str]:
        """Return sentences about unusual files and assumptions."""
        return []

    def can_predict(self, source: Source, column: str) -> bool:
        """Return whether a column is a target of this kind of data, which files of a plain table can be, too."""
        return False

    def used_files(self, source: Source) -> Sequence[str]:
        """Return the files that become rows; others, such as images without a label, say nothing about the split."""
        return source.names

    @abstractmethod
    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        """Convert the files and store them in the folder.

        Raises:
            DataError: The files cannot be read.
        """

    @abstractmethod
    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        """Read the stored data with the options of a document.

        Raises:
            DataError: An option is invalid, or there is nothing to learn from.
        """

    def kind_of(self, raw: RawDataset) -> str:
        """Return the kind of data of a stored upload."""
        return self.kind

    def settled(self, source: Source, answers: Answers) -> set[str]:
        """Return the names of the answers that are final when the files are added."""
        return {question.name for question in self.questions(source, answers) if question.when_added}

    def stored_questions(self, folder: Path, meta: UploadMeta, options: Answers) -> list[Question]:
        """Return the questions about a stored upload that a document can answer, with the answers as defaults."""
        return []

    def answered(self, source: Source, provided: Answers) -> JsonObject:
        """Return an answer to every question: the given one, or the default.

        Raises:
            DataError: There is no such question, or an answer is invalid.
        """
        answers: JsonObject = dict(provided)
        questions = {question.name: question for question in self.questions(source, answers)}
        refuse_unknown(provided, questions, repr(self.title))
        for name, question in questions.items():
            answers[name] = question.check(provided[name], source.filename) if name in provided else question.default
        return answers


def stored_options(reader: Reader, source: Source, answers: Answers) -> JsonObject:
    """Return the answers that a document may change later."""
    settled = reader.settled(source, answers)
    return {name: value for name, value in answers.items() if name not in settled}


def check_options(options: Mapping[str, Json], questions: Sequence[Question], title: str, description: str) -> Chosen:
    """Return the options of a document, completed with defaults.

    Raises:
        DataError: An option is unknown or invalid.
    """
    by_name = {question.name: question for question in questions}
    refuse_unknown(options, by_name, description)
    return Chosen(
        {
            name: question.check(options[name], title) if name in options else question.default
            for name, question in by_name.items()
        }
    )


def other_guesses(questions: Sequence[Question], answers: Answers) -> list[str]:
    """Return a sentence for each question with several likely answers, on those that were not chosen."""
    sentences = []
    for question in questions:
        other_choices = [repr(choice[:60]) for choice in question.likely if choice != answers.get(question.name)]
        if other_choices:
            sentences.append(f"Other guesses for {question.label.lower()!r}: {', '.join(other_choices)}.")
    return sentences


def with_default(
    question: Question, default: Json, choices: Sequence[str] | None = None, likely: Sequence[str] = ()
) -> Question:
    """Return the question with an inferred default and likely answers, and with other choices if these are given."""
    chosen = question.choices if choices is None else tuple(choices)
    return dataclasses.replace(question, default=default, choices=chosen, likely=tuple(likely))


@cache
def readers() -> dict[str, Reader]:
    """All readers by name; the classes in the modules of `kinds/` are discovered."""
    kinds = discover(Reader, "netloom.data.uploads.kinds", order=lambda reader: reader.title)
    return {name: reader() for name, reader in kinds.items()}


def reader_of(meta: UploadMeta) -> Reader:
    """Return the reader of a stored upload; earlier uploads do not name it.

    Raises:
        KeyError: There is no such reader, as in an upload of a later version.
    """
    return readers()[meta.get("reader") or _EARLIER_READERS.get(meta["kind"], _EARLIEST_READER)]


def fitting(source: Source) -> list[Reader]:
    """Return the readers that the files fit, the most likely first."""
    able = [reader for reader in readers().values() if source.large is None or reader.takes_large]
    scored = [(_likely(reader, source), reader) for reader in able]
    return [reader for score, reader in sorted(scored, key=lambda item: -item[0]) if score > 0]


def _likely(reader: Reader, source: Source) -> float:
    """Return the likelihood of a reader. One that raises an error wins if no other fits, so that the error is shown."""
    try:
        return reader.likely(source)
    except DataError:
        return _REFUSED
