"""The dataset card: what a dataset is, in one page that can be taken along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.core.text import plain
from netloom.data.builtin_registry import builtin
from netloom.data.preparation.prepare import datasets
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality.finding import Report
from netloom.data.quality.summary import statistics
from netloom.data.schema import DatasetInfo
from netloom.data.uploads import identified
from netloom.document import DataChoice
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.fields.registry import modality_of

if TYPE_CHECKING:
    from netloom.store import RunArtifacts

_SPLIT = {
    "auto": "as the data asks", "random": "by chance", "stratified": "by chance within each class", "group": "by group",
    "time": "by time", "given": "as given",
}  # fmt: skip
CLASSES = 50  # that are counted one by one


def summary(info: DatasetInfo, data: Prepared, choice: DataChoice) -> str:
    """What a dataset is in a line, with the target that a document chose."""
    head, mark, _ = info.summary.partition("; predicts ")
    return f"{head}{mark}{data.schema.target.name}" if mark and choice.options else info.summary


def card(info: DatasetInfo, data: Prepared, choice: DataChoice, found: Sequence[str] | None = None) -> dict[str, Any]:
    """Everything that the card says, as plain JSON. `found` is what the quality report says, where there is one."""
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
        "classes": _classes(data),
        "splits": {name: len(rows) for name, rows in data.split.items()},
        "split_by": choice.split,
        "repeats_left_out": schema.rows - sum(map(len, data.split.values())) if choice.duplicates == "drop" else 0,
        "seed": choice.seed,
        "preprocessing": [_preprocessing(encoder) for encoder in data.fields],
        "fingerprint": data.fingerprint,
        "options": choice.options,
        "findings": None if found is None else list(found),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def markdown(made: Mapping[str, Any]) -> str:
    """A card as Markdown. What people wrote is not read as markup."""
    lines = [f"# {_text(made['name'])}", "", f"{_text(made['summary'])}", ""]
    lines += [f"- **Source**: {_text(made['source'])}", f"- **Rows**: {made['rows']:,}"]
    splits = ", ".join(f"{count:,} {name}" for name, count in made["splits"].items())
    lines.append(
        f"- **Splits**: {splits} ({_SPLIT.get(made['split_by'], _text(made['split_by']))}, seed {made['seed']})"
    )
    if made["repeats_left_out"]:
        lines.append(f"- **Left out**: {made['repeats_left_out']:,} rows that repeat another")
    lines.append(f"- **To predict**: {_text(made['target']['name'])} ({made['target']['kind'].replace('_', ' ')})")
    lines.append(f"- **Fingerprint** (SHA-256): `{made['fingerprint']}`")
    lines += [f"- **Note**: {_text(note)}" for note in made["notes"]]
    lines += ["", "## Fields", "", "| Field | Kind | Shape | Preprocessing |", "| --- | --- | --- | --- |"]
    for field, how in zip(made["fields"], made["preprocessing"], strict=False):
        size = f", {field['vocabulary']:,} tokens" if field["vocabulary"] else ""
        shape = " × ".join(map(str, field["shape"]))
        lines.append(f"| {_text(field['name'])} | {field['kind']}{size} | {shape} | {_text(how['how'])} |")
    if made["classes"]:
        lines += ["", "## Classes", "", "| Class | Rows |", "| --- | ---: |"]
        lines += [f"| {_text(name)} | {count:,} |" for name, count in list(made["classes"].items())[:CLASSES]]
        rest = len(made["classes"]) - CLASSES
        lines += [f"| and {rest:,} more | |"] if rest > 0 else []
    if made["findings"] is not None:
        lines += ["", "## Quality", ""]
        lines += [f"- {_text(finding)}" for finding in made["findings"]] or ["Nothing was found."]
    return "\n".join([*lines, "", f"Made by Netloom, {made['made_at']}.", ""])


def findings(found: Report) -> list[str]:
    """A quality report in short."""
    return [f"{one.severity}: {one.message}" for one in found.findings]


def save_card(artifacts: RunArtifacts, data: Prepared, choice: DataChoice, home: Path) -> None:
    """Put the card of the data beside a run, with what is found at a glance.

    Raises:
        OSError: it cannot be written.
    """
    choice = choice if choice.dataset in builtin() else identified(choice, home)
    unnamed = DatasetInfo(choice.dataset, choice.dataset, "", "", "", builtin=False)
    info = next((info for info in datasets(home) if info.name == choice.dataset), unnamed)
    artifacts.save_data_card(card(info, data, choice, statistics(data).remarks))


def _classes(data: Prepared) -> dict[str, int]:
    if not data.schema.target.type.is_one_of:
        return {}
    import torch

    used = torch.cat(list(data.split.values()))  # without rows that repeat another
    counts = data.target[used].bincount(minlength=len(data.schema.target.classes)).tolist()
    return dict(zip(data.schema.target.classes, counts, strict=False))


def _preprocessing(encoder: FieldEncoder[Any]) -> dict[str, Any]:
    """How raw values become numbers, in words, with the numbers that were fitted where they are few."""
    fitted: dict[str, Any] = {
        name: value for name, value in encoder.field.items() if name in ("mean", "std", "scale", "length")
    }
    if encoder.columns:
        fitted["columns"] = [column.name for column in encoder.columns]
    how = modality_of(encoder).preprocessing(encoder)
    return {"field": encoder.name, "encoding": encoder.encoding, "how": how, "fitted": fitted}


def _text(value: object) -> str:
    """One line that is safe within Markdown and its tables."""
    special = "\\`*_[]<>|#"
    return "".join(f"\\{letter}" if letter in special else letter for letter in plain(str(value)))
