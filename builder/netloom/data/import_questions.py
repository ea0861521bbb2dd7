"""The questions about an upload that a document can answer differently than when it was added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.uploads import find_upload, has_upload, options_of
from netloom.data.uploads.tabular import GROUP, SPLIT
from netloom.data.uploads.upload_kind import Question, readers
from netloom.data.uploads.upload_meta import read_meta
from netloom.document import DataChoice

_ROLES = (GROUP.name, SPLIT.name)


@dataclass(frozen=True)
class ImportQuestions:
    """Questions with their answers in a document as defaults; `target` is the name of that for the target."""

    questions: tuple[Question, ...] = ()
    target: str = ""

    def with_targets(self, names: Sequence[str]) -> JsonObject:
        """Return the option that makes these columns the target.

        Raises:
            DataError: There is no column to predict, or there is only one.
        """
        question = next((question for question in self.questions if question.name == self.target), None)
        if question is None:
            raise DataError("This data has no column to predict, so it cannot be chosen.")
        if not question.takes_several and len(names) > 1:
            raise DataError(f"This data has one column to predict; received {', '.join(map(repr, names))}.")
        return {self.target: list(names) if question.takes_several else names[0]}

    def with_role(self, role: str, column: str) -> JsonObject:
        """Return the option that gives a column a role, such as that of the groups.

        Raises:
            DataError: This kind of data has no such role.
        """
        roles = {question.name for question in self.questions} & {*_ROLES}
        if role == self.target or role == "target":
            return self.with_targets([column])
        if role not in roles:
            known = ", ".join(["target"] * bool(self.target) + sorted(roles))
            raise DataError(f"A column of this data has no role {role!r}; it has {known}.")
        return {role: column}


def import_questions(choice: DataChoice, home: Path) -> ImportQuestions:
    """Return the questions about the chosen data; none for built-in data and for kinds with settings of columns.

    Raises:
        DataError: The upload was removed.
    """
    if not has_upload(choice.dataset, home):
        return ImportQuestions()
    folder = find_upload(choice.dataset, home)
    meta = read_meta(folder)
    reader = readers().get(meta.get("reader", ""))
    if reader is None or not reader.asks_in_documents:
        return ImportQuestions()
    options = options_of(meta["options"], choice)
    return ImportQuestions(tuple(reader.stored_questions(folder, meta, options)), reader.target_question)
