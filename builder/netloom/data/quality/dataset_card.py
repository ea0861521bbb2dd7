"""The dataset card: a description of a dataset in one page, as JSON or Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from netloom.core.plain_json import Json, JsonObject
from netloom.core.text import escape, plain
from netloom.data.builtin_registry import builtin
from netloom.data.preparation.prepare import datasets
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality.finding import Report
from netloom.data.quality.reach_back import reach_back_note
from netloom.data.quality.summary import class_counts, statistics
from netloom.data.schema import TARGET_TYPES, DatasetInfo
from netloom.data.uploads import identified
from netloom.document import DataChoice
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.fields.registry import modality_of

if TYPE_CHECKING:
    from netloom.store import RunArtifacts

_SPLIT = {
    "auto": "automatic", "random": "random", "stratified": "stratified by class", "group": "by group",
    "time": "by time", "given": "given by the data",
}  # fmt: skip
MAX_CLASSES = 50  # in the table of classes


class FieldCard(TypedDict):
    """A field as the network receives it, without the dimension of rows."""

    name: str
    kind: str
    shape: list[int]
    vocabulary: int | None
    columns: list[str]


class TargetCard(TypedDict):
    """The target without the dimension of rows."""

    name: str
    kind: str
    shape: list[int]


class PreprocessingCard(TypedDict):
    """How a field is encoded, in words, with its fitted numbers if they are few."""

    field: str
    encoding: str
    how: str
    fitted: JsonObject


class DatasetCard(TypedDict):
    """A dataset card as plain JSON. Those of early versions have no `reach_back`."""

    name: str
    id: str
    source: str
    summary: str
    notes: list[str]
    rows: int
    fields: list[FieldCard]
    target: TargetCard
    classes: dict[str, int]
    splits: dict[str, int]
    split_by: str
    reach_back: NotRequired[str]
    repeats_left_out: int
    seed: int
    preprocessing: list[PreprocessingCard]
    fingerprint: str
    options: Mapping[str, Json]
    findings: list[str] | None
    made_at: str


def summary(info: DatasetInfo, data: Prepared, choice: DataChoice) -> str:
    """Return the one-line summary of a dataset, with the target that the document chose."""
    head, mark, _ = info.summary.partition("; predicts ")
    return f"{head}{mark}{data.schema.target.name}" if mark and choice.options else info.summary


def card(info: DatasetInfo, data: Prepared, choice: DataChoice, findings: Sequence[str] | None = None) -> DatasetCard:
    """Return the card. `findings` are those of a quality report, if one was made."""
    target, schema = data.schema.target, data.schema
    return {
        "name": info.title,
        "id": info.name,
        "source": "comes with Netloom" if info.name in builtin() else "added from a file",
        "summary": summary(info, data, choice),
        "notes": list(data.warnings),
        "rows": schema.rows,
        "fields": [
            {
                "name": field.name,
                "kind": field.kind,
                "shape": list(field.shape),
                "vocabulary": field.vocabulary,
                "columns": list(field.columns),
            }
            for field in schema.inputs
        ],
        "target": {"name": target.name, "kind": target.kind, "shape": list(target.shape)},
        # Without duplicates, if they are dropped
        "classes": class_counts(data, np.concatenate(list(data.rows.values()))),
        "splits": {name: len(rows) for name, rows in data.rows.items()},
        "split_by": choice.split,
        "reach_back": reach_back_note(data),
        "repeats_left_out": schema.rows - sum(map(len, data.rows.values())) if choice.duplicates == "drop" else 0,
        "seed": choice.seed,
        "preprocessing": [_preprocessing(encoder) for encoder in data.fields],
        "fingerprint": data.fingerprint,
        "options": choice.options,
        "findings": None if findings is None else list(findings),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def markdown(card_data: DatasetCard) -> str:
    """Return a card as Markdown. Names from the data are escaped, so that they are not read as markup."""
    lines = [f"# {_text(card_data['name'])}", "", f"{_text(card_data['summary'])}", ""]
    lines += [f"- **Source**: {_text(card_data['source'])}", f"- **Rows**: {card_data['rows']:,}"]
    splits = ", ".join(f"{count:,} {name}" for name, count in card_data["splits"].items())
    method = _SPLIT.get(card_data["split_by"], _text(card_data["split_by"]))
    lines.append(f"- **Splits**: {splits} ({method}, seed {card_data['seed']})")
    if card_data.get("reach_back"):
        lines.append(f"- **Context**: {_text(card_data['reach_back'])}")
    if card_data["repeats_left_out"]:
        lines.append(f"- **Left out**: {card_data['repeats_left_out']:,} rows that repeat another")
    lines.append(
        f"- **Target**: {_text(card_data['target']['name'])} ({card_data['target']['kind'].replace('_', ' ')})"
    )
    lines.append(f"- **Fingerprint** (SHA-256): `{card_data['fingerprint']}`")
    lines += [f"- **Note**: {_text(note)}" for note in card_data["notes"]]
    lines += ["", "## Fields", "", "| Field | Kind | Shape | Preprocessing |", "| --- | --- | --- | --- |"]
    for field, how in zip(card_data["fields"], card_data["preprocessing"], strict=False):
        size = f", {field['vocabulary']:,} tokens" if field["vocabulary"] else ""
        shape = " × ".join(map(str, field["shape"]))
        lines.append(f"| {_text(field['name'])} | {field['kind']}{size} | {shape} | {_text(how['how'])} |")
    if card_data["classes"]:
        counted = TARGET_TYPES[card_data["target"]["kind"]].counted
        lines += ["", "## Classes", "", f"| Class | {counted.capitalize()} |", "| --- | ---: |"]
        lines += [f"| {_text(name)} | {count:,} |" for name, count in list(card_data["classes"].items())[:MAX_CLASSES]]
        more = len(card_data["classes"]) - MAX_CLASSES
        lines += [f"| and {more:,} more | |"] if more > 0 else []
    if card_data["findings"] is not None:
        lines += ["", "## Quality", ""]
        lines += [f"- {_text(finding)}" for finding in card_data["findings"]] or ["No problems found."]
    return "\n".join([*lines, "", f"Generated by Netloom, {card_data['made_at']}.", ""])


def findings(report: Report) -> list[str]:
    """Return the severity and message of each finding."""
    return [f"{finding.severity}: {finding.message}" for finding in report.findings]


def save_card(artifacts: RunArtifacts, data: Prepared, choice: DataChoice, home: Path) -> None:
    """Save the card of the data of a run, with the findings of the quick checks.

    Raises:
        OSError: The card cannot be written.
    """
    choice = choice if choice.dataset in builtin() else identified(choice, home)
    unnamed = DatasetInfo(choice.dataset, choice.dataset, "", "", "", builtin=False)
    info = next((info for info in datasets(home) if info.name == choice.dataset), unnamed)
    artifacts.save_data_card(card(info, data, choice, statistics(data).remarks))


def _preprocessing(encoder: FieldEncoder[Any]) -> PreprocessingCard:
    """Return a description of the preprocessing of a field, with its fitted numbers if they are few."""
    fitted: JsonObject = {
        name: value for name, value in encoder.state.to_json().items() if name in ("mean", "std", "scale", "length")
    }
    if encoder.columns:
        fitted["columns"] = [column.name for column in encoder.columns]
    how = modality_of(encoder).preprocessing(encoder)
    return {"field": encoder.name, "encoding": encoder.encoding, "how": how, "fitted": fitted}


def _text(value: object) -> str:
    """Return a value on one line, escaped for Markdown and its tables."""
    return escape(plain(str(value)))
