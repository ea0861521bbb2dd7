"""What a kind of data is: one class, which says what fits it, what it asks, how it is kept and how it is read again."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from netloom.core.errors import DataError
from netloom.core.registry import discover
from netloom.data.preparation.column_settings import refuse_unknown
from netloom.data.raw_dataset import RawDataset
from netloom.data.uploads.source import Source

if TYPE_CHECKING:
    import pandas as pd

Answers = Mapping[str, Any]
Tell = Callable[[float, str], None]  # how far an import is, from 0 to 1, and what is being done
PREVIEWED = 8
DEFAULTS = "defaults"  # the folder beside uploads of what new projects take over of data sets
_REFUSED = 0.005


def silent(share: float, what: str) -> None:
    """Tells nobody how far an import is."""


@dataclass(frozen=True)
class Question:
    """Something that a kind of data has to know. `choices` are the names of columns, sheets or the like.

    What is asked `when_added` is settled then; all else may be set in a project, too.
    """

    name: str
    label: str
    kind: Literal["choice", "several", "whole", "number", "switch"]
    help: str = ""
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 1
    default: Any = None
    optional: bool = False
    when_added: bool = False
    empty: str = "none"  # what the absence of an answer means

    def check(self, value: Any, title: str) -> Any:
        """The value, if it is an answer.

        Raises:
            DataError: it is none.
        """
        if value is None and self.optional:
            return None
        said = f"received {str(value)[:40]!r}."
        if self.kind == "whole":
            if not (type(value) is int and self.low <= value <= self.high):
                raise DataError(
                    f"The option {self.name} is a whole number from {self.low:,.0f} to {self.high:,.0f}, {said}"
                )
        elif self.kind == "number":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
                raise DataError(f"The option {self.name} is a number from {self.low:g} to {self.high:g}, {said}")
        elif self.kind == "switch":
            if not isinstance(value, bool):
                raise DataError(f"The option {self.name} is true or false, {said}")
        else:
            self._chosen(value, title)
        return value

    def _chosen(self, value: Any, title: str) -> None:
        values = value if self.kind == "several" and isinstance(value, (list, tuple)) else [value]
        known = ", ".join(repr(choice[:40]) for choice in self.choices[:20])
        if not values:
            raise DataError(f"The option {self.name} needs at least one of {known}.")
        for one in values:
            if not isinstance(one, str) or one not in self.choices:
                raise DataError(f"{title[:60]!r} has no {self.label.lower()} {str(one)[:80]!r}; there is {known}.")


@dataclass
class Kept:
    """What was written into an upload's folder."""

    rows: int
    summary: str
    columns: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)  # what `raw` needs to know, as plain JSON


class Reader(ABC):
    """A kind of data that people bring."""

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]  # what a file of this kind looks like, in a sentence
    kind: ClassVar[str]  # as in DatasetInfo
    takes_large: ClassVar[bool] = False  # whether it reads tables that are larger than memory
    target_question: ClassVar[str] = ""  # the question whose answer is what is to be predicted

    @abstractmethod
    def likely(self, source: Source) -> float:
        """How likely these files are meant as this kind, from 0 (they cannot be) to 1."""

    @abstractmethod
    def questions(self, source: Source, answers: Answers) -> list[Question]:
        """What has to be known, each with a guess as its default; later ones may depend on earlier answers."""

    @abstractmethod
    def learned(self, source: Source, answers: Answers) -> str:
        """What a network will learn from this, in one sentence."""

    @abstractmethod
    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        """The first rows; columns of pictures hold data URIs."""

    def noted(self, source: Source, answers: Answers) -> list[str]:
        """What is odd about the files, and what had to be assumed while reading them, in sentences."""
        return []

    @abstractmethod
    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        """Bring the files into a form of ours.

        Raises:
            DataError: they cannot be read.
        """

    @abstractmethod
    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> RawDataset:
        """What was kept, with the options of a document.

        Raises:
            DataError: an option is wrong, or there is nothing to learn from.
        """

    def answered(self, source: Source, given: Answers) -> dict[str, Any]:
        """An answer to every question: what was given, else the guess.

        Raises:
            DataError: there is no such question, or what was given is no answer to it.
        """
        answers: dict[str, Any] = dict(given)
        asked = {question.name: question for question in self.questions(source, answers)}
        refuse_unknown(given, asked, repr(self.title))
        for name, question in asked.items():
            answers[name] = question.check(given[name], source.filename) if name in given else question.default
        return answers


def stored_options(reader: Reader, source: Source, answers: Answers) -> dict[str, Any]:
    """The answers that a document may change later."""
    settled = {question.name for question in reader.questions(source, answers) if question.when_added}
    return {name: value for name, value in answers.items() if name not in settled}


def check_options(options: dict[str, Any], questions: Sequence[Question], title: str, what: str) -> dict[str, Any]:
    """The options of a document, with the defaults of what it does not say.

    Raises:
        DataError: one is unknown or wrong.
    """
    asked = {question.name: question for question in questions}
    refuse_unknown(options, asked, what)
    return {
        name: question.check(options[name], title) if name in options else question.default
        for name, question in asked.items()
    }


def with_default(question: Question, default: Any, choices: Sequence[str] | None = None) -> Question:
    """A question with its guess."""
    chosen = question.choices if choices is None else tuple(choices)
    return dataclasses.replace(question, default=default, choices=chosen)


@cache
def readers() -> dict[str, Reader]:
    """Every kind of data by name; a new file in `kinds/` registers itself by its classes."""
    kinds = discover(Reader, "netloom.data.uploads.kinds", order=lambda reader: reader.title)
    return {name: reader() for name, reader in kinds.items()}


def fitting(source: Source) -> list[Reader]:
    """The kinds that these files can be, the likeliest first."""
    able = [reader for reader in readers().values() if source.large is None or reader.takes_large]
    scored = [(_likely(reader, source), reader) for reader in able]
    return [reader for score, reader in sorted(scored, key=lambda item: -item[0]) if score > 0]


def _likely(reader: Reader, source: Source) -> float:
    """How likely files are meant as a kind. One that can say what is wrong with them is asked where no other fits."""
    try:
        return reader.likely(source)
    except DataError:
        return _REFUSED
