"""The answers of a document to the questions about an upload, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from netloom.core.plain_json import Json


@dataclass(frozen=True)
class Chosen:
    """Checked answers by the name of the question. Each method returns the answer to a question of one kind, see
    `Question`; the optional ones also None."""

    answers: Mapping[str, Json]

    def __contains__(self, name: str) -> bool:
        return name in self.answers

    def without(self, name: str) -> Chosen:
        """Return the answers to all other questions."""
        return Chosen({other: answer for other, answer in self.answers.items() if other != name})

    def choice(self, name: str) -> str:
        answer = self.answers[name]
        return answer if isinstance(answer, str) else self._refuse(name)

    def optional_choice(self, name: str) -> str | None:
        return None if self.answers[name] is None else self.choice(name)

    def several(self, name: str) -> list[str]:
        """Return the choices of an answer; documents and older uploads may name a single one."""
        return listed(self.answers[name])

    def whole(self, name: str) -> int:
        answer = self.answers[name]
        return answer if isinstance(answer, int) else self._refuse(name)

    def optional_whole(self, name: str) -> int | None:
        return None if self.answers[name] is None else self.whole(name)

    def number(self, name: str) -> float:
        answer = self.answers[name]
        return float(answer) if isinstance(answer, (int, float)) else self._refuse(name)

    def optional_switch(self, name: str) -> bool | None:
        answer = self.answers.get(name)
        return answer if answer is None or isinstance(answer, bool) else self._refuse(name)

    def switch(self, name: str) -> bool:
        return bool(self.optional_switch(name))

    def _refuse(self, name: str) -> NoReturn:
        raise TypeError(f"The answer to {name!r} is of another kind: {str(self.answers[name])[:60]!r}.")


def listed(answer: Json) -> list[str]:
    """Return the choices of an answer, which may be a single one, or None."""
    if answer is None:
        return []
    return list(map(str, answer)) if isinstance(answer, (list, tuple)) else [str(answer)]


def text(answers: Mapping[str, Json], name: str) -> str:
    """Return the answer to a question that is a text; empty if it is not answered yet."""
    answer = answers.get(name)
    return answer if isinstance(answer, str) else ""
