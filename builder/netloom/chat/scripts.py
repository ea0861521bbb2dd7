"""Regression tests of a chatbot: dialogues with the expected intent and response of each turn.

A script is a CSV file with the columns `dialogue`, `message`, `intent` and optionally `response`, `event` and `slots`
(such as `date=tomorrow; city=Rome`), or the same as a JSON or YAML list, or as an object with the turns of each
dialogue by its name. Turns with one value of `dialogue` are one dialogue, in order. An expectation that is empty is not
tested; the intent `-` expects that no intent is accepted.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from netloom.chat.dialogue import Dialogue, Event, Turn, Write
from netloom.chat.policy import Policy
from netloom.chat.understanding import Understanding
from netloom.core.errors import UsageError
from netloom.core.yaml_text import read_yaml

COLUMNS = ("dialogue", "message", "intent", "response", "event", "slots")
EVENTS: tuple[str, ...] = get_args(Event)
NO_INTENT = "-"
YAML_SUFFIXES = (".yaml", ".yml")
MAX_TURNS = 100_000


@dataclass(frozen=True)
class Expected:
    """A message, and what is expected of the answer; "" is not tested."""

    message: str
    intent: str = ""
    response: str = ""
    event: str = ""
    slots: tuple[tuple[str, str], ...] = ()

    def failures(self, turn: Turn) -> Iterator[str]:
        """Yield what differs from the expectation."""
        actual = turn.intent or NO_INTENT
        if self.intent and self.intent != actual:
            yield f"intent {actual}, expected {self.intent}"
        if self.event and self.event != turn.event:
            yield f"event {turn.event}, expected {self.event}"
        if self.response and self.response != turn.response.strip():
            yield f"response {turn.response!r}, expected {self.response!r}"
        for name, value in self.slots:
            if turn.slots.get(name, "") != value:
                yield f"slot {name} is {turn.slots.get(name, '')!r}, expected {value!r}"


@dataclass(frozen=True)
class Script:
    """One dialogue of a test."""

    name: str
    turns: tuple[Expected, ...]


@dataclass(frozen=True)
class ScriptResult:
    """A dialogue that was played: each turn with what differs from the expectation."""

    name: str
    turns: tuple[tuple[Turn, tuple[str, ...]], ...]

    @property
    def passed(self) -> bool:
        return not any(failures for _, failures in self.turns)


def read_scripts(content: bytes, name: str) -> list[Script]:
    """Return the dialogues of a CSV, JSON or YAML file; the name of a YAML file ends with .yaml or .yml.

    Raises:
        UsageError: it cannot be read; the message names the row and the column.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{name[:80]} is not UTF-8; save it as UTF-8.") from None
    if text.lstrip()[:1] in ("[", "{"):
        rows = _listed(_json_value(text, name), name)
    else:
        rows = _yaml_rows(text, name) if name.lower().endswith(YAML_SUFFIXES) else _csv_rows(text, name)
    if not rows or len(rows) > MAX_TURNS:
        raise UsageError(f"{name[:80]} has {len(rows):,} turns; a test has 1 to {MAX_TURNS:,}.")
    turns = [_turn(row, number, name) for number, row in enumerate(rows, 1)]
    by_dialogue: dict[str, list[Expected]] = {}
    for dialogue, turn in turns:
        by_dialogue.setdefault(dialogue, []).append(turn)
    return [Script(dialogue, tuple(group)) for dialogue, group in by_dialogue.items()]


def run_script(
    script: Script,
    policy: Policy,
    understand: Callable[[Sequence[str]], Sequence[Understanding]],
    write: Write | None = None,
) -> ScriptResult:
    """Play a dialogue from the beginning, and compare each turn. `write` generates responses, as in `Dialogue`."""
    dialogue = Dialogue(policy, write=write)
    responses = [dialogue.respond(understood) for understood in understand([turn.message for turn in script.turns])]
    return ScriptResult(
        script.name,
        tuple((turn, tuple(expected.failures(turn))) for turn, expected in zip(responses, script.turns, strict=True)),
    )


def script_of(name: str, turns: Sequence[Turn], corrected: Mapping[int, str]) -> Script:
    """Return a dialogue as a test that expects the same again; from a corrected turn, by its index, only the right
    intent is expected."""
    return Script(
        name,
        tuple(
            Expected(turn.message, corrected[index])
            if index in corrected
            else Expected(turn.message, turn.intent or NO_INTENT, turn.response, turn.event, tuple(turn.slots.items()))
            for index, turn in enumerate(turns)
        ),
    )


def dumps_scripts(scripts: Sequence[Script]) -> str:
    """Return tests as CSV that `read_scripts` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for script in scripts:
        for turn in script.turns:
            writer.writerow(
                (script.name, turn.message, turn.intent, turn.response, turn.event, _slots_text(turn.slots))
            )
    return text.getvalue()


def _slots_text(slots: Sequence[tuple[str, str]]) -> str:
    """Return slots as `date=tomorrow; city=Rome`, or as JSON if that would be ambiguous."""
    is_plain = all(
        not set(";=") & set(name) and ";" not in value and (name, value) == (name.strip(), value.strip())
        for name, value in slots
    ) and not any(name.startswith("{") for name, _ in slots)
    if is_plain:
        return "; ".join(f"{name}={value}" for name, value in slots)
    return json.dumps(dict(slots), ensure_ascii=False)


def _csv_rows(text: str, name: str) -> list[dict[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows: list[dict[str, Any]] = list(reader)
    except csv.Error as error:
        raise UsageError(f"{name[:80]} is not valid CSV: {error}.") from None
    if not columns:
        raise UsageError(f"{name[:80]} is empty; a test has the columns {', '.join(COLUMNS)}.")
    for needed in ("message", "intent"):
        if needed not in columns:
            raise UsageError(
                f"{name[:80]} has no column {needed!r}; its columns are {', '.join(columns)[:200]}. A test has the "
                f"columns {', '.join(COLUMNS)}, and only message and intent are needed."
            )
    return rows


def _json_value(text: str, name: str) -> Any:
    from netloom.core.text import no_json

    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name[:80]} is not valid JSON: {no_json(error)}.") from None


def _yaml_rows(text: str, name: str) -> list[dict[str, Any]]:
    try:
        return _listed(read_yaml(text, only_texts=True), name)
    except ValueError as error:
        raise UsageError(f"{name[:80]} is not valid YAML: {error}.") from None


def _listed(value: Any, name: str) -> list[dict[str, Any]]:
    """Return the turns of a list, of one turn, or of dialogues by their names."""
    rows = value if isinstance(value, list) else [value]
    if isinstance(value, dict) and value and all(isinstance(turns, list) for turns in value.values()):
        rows = [
            {"dialogue": dialogue, **turn} if isinstance(turn, dict) else turn
            for dialogue, turns in value.items()
            for turn in turns
        ]
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{name[:80]} must be a list of turns, each an object with the keys {', '.join(COLUMNS)}.")
    return rows


def _turn(row: Mapping[Any, Any], number: int, name: str) -> tuple[str, Expected]:
    if None in row:  # the key of cells without a column
        raise UsageError(
            f"Row {number} of {name[:80]} has more cells than the header; put a message with a comma in double quotes."
        )
    unknown = [str(key) for key in row if key not in COLUMNS]
    if unknown:
        raise UsageError(
            f"Row {number} of {name[:80]} has an unknown column {unknown[0][:40]!r}; choose from {', '.join(COLUMNS)}."
        )
    message = _text(row, "message", number, name)
    if not message.strip():
        raise UsageError(f"Row {number} of {name[:80]} has no message.")
    intent, response, event = (_text(row, column, number, name).strip() for column in ("intent", "response", "event"))
    if event and event not in EVENTS:
        raise UsageError(
            f"Row {number} of {name[:80]} has an unknown event {event[:40]!r}; choose from {', '.join(EVENTS)}."
        )
    expected = Expected(message, intent, response, event, tuple(_slots(row.get("slots") or "", number, name)))
    return _text(row, "dialogue", number, name).strip() or f"row {number}", expected


def _text(row: Mapping[Any, Any], column: str, number: int, name: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise UsageError(f"{column} in row {number} of {name[:80]} must be a text, received {type(value).__name__}.")
    return str(value)


def _slots(value: Any, number: int, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _json_value(value, f"slots in row {number} of {name[:80]}")
    if isinstance(value, dict):
        yield from ((str(slot), "" if text is None else str(text)) for slot, text in value.items())
        return
    for part in filter(str.strip, str(value).split(";")):
        slot, equals, text = part.partition("=")
        if not equals:
            raise UsageError(f"slots in row {number} of {name[:80]} are written date=tomorrow; received {part[:40]!r}.")
        yield slot.strip(), text.strip()
