"""The content of a model card, apart from its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from netloom.export.format import ExportError

MAX_LETTERS = 4_000


@dataclass(frozen=True)
class Statement:
    """The parts of a model card that only a person knows; each is empty if it was not written.

    `license` is an identifier such as apache-2.0, as Hugging Face lists them.
    """

    intended_use: str = ""
    out_of_scope: str = ""
    limitations: str = ""
    license: str = ""
    authors: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Statement:
        """Return the statement from the result of `as_json`.

        Raises:
            ExportError: a part does not exist, is not a text, or is too long.
        """
        names = [item.name for item in fields(cls)]
        for name, text in value.items():
            if name not in names:
                raise ExportError(f"A model card has no part {name[:40]!r}; its parts are {', '.join(names)}.")
            if not isinstance(text, str):
                raise ExportError(f"{name} of a model card must be a text, received {type(text).__name__}.")
            if len(text) > MAX_LETTERS:
                title = name.replace("_", " ").capitalize()
                raise ExportError(
                    f"{title} has {len(text):,} characters, but at most {MAX_LETTERS:,} are allowed. Shorten it."
                )
        return cls(**value)

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Score:
    """A metric on a split: its name, title, value and text, with the interval and the value of a trivial predictor as
    text; both are empty if they are unknown."""

    name: str
    title: str
    value: float
    text: str
    interval: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text cells below a header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Pairs of a term and a text; without any, `missing` says why."""

    title: str
    facts: tuple[tuple[str, str], ...]
    missing: str = ""


@dataclass(frozen=True)
class ModelCard:
    """A model card. Tables are empty, and texts are "", where nothing is known; `missing` says what was not measured.

    `unit` is a sentence about the units of the scores. `facts` of each section are pairs of a term and a text;
    `drawing` is the network as SVG, `flowchart` as Mermaid text, and `layers` as a table, where neither is drawn.
    `evidence` are the sections on calibration, robustness and explanations.
    """

    name: str
    summary: str
    task: str
    task_title: str
    statement: Statement
    dataset: str
    dataset_id: str
    split: str
    scores: tuple[Score, ...] = ()
    unit: str = ""
    missing: tuple[str, ...] = ()
    reference: str = ""
    caveats: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    data: tuple[tuple[str, str], ...] = ()
    findings: tuple[str, ...] = ()
    architecture: tuple[tuple[str, str], ...] = ()
    training: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    drawing: str = ""
    flowchart: str = ""
    layers: Table = Table("", (), ())
    evidence: tuple[Section, ...] = ()
    warnings: tuple[str, ...] = field(default=())
