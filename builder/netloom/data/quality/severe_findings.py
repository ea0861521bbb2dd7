"""Findings of severity high: those that make results untrue. They follow the data to every page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from netloom.core.errors import DataError
from netloom.data.preparation.memmap_cache import key, remembered
from netloom.data.preparation.prepare import choice_key, prepare
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality.finding import Finding, Fix
from netloom.data.quality.quality_view import Look
from netloom.data.quality.report import AT_ONCE, looked
from netloom.document import DataChoice

HIGH = "error"


@dataclass(frozen=True)
class Caveat:
    """What has to be known beside a score on this data, in a sentence."""

    code: str
    message: str


def high_findings(choice: DataChoice, home: Path | None = None) -> tuple[Finding, ...]:
    """The findings of severity high of the chosen data, worked out once; none where it cannot be read."""
    if not choice.dataset:
        return ()
    try:
        return _high(*choice_key(choice, home))
    except DataError:
        return ()


def severe(data: Prepared, choice: DataChoice) -> tuple[Finding, ...]:
    """The findings of severity high of data that is prepared."""
    look = Look(data, choice)
    found = [one for check in AT_ONCE if check.severe for one in looked(check, look) if one.severity == HIGH]
    return tuple(replace(one, plot=None) for one in found)


def caveats(findings: Sequence[Finding]) -> list[Caveat]:
    """What is said of findings beside a score."""
    return [Caveat(one.code, one.message) for one in findings]


@lru_cache(maxsize=256)
def _high(chosen: str, home: str) -> tuple[Finding, ...]:
    choice = DataChoice.model_validate_json(chosen)
    data = prepare(choice, Path(home) if home else None)
    kept = data.raw.folder if data.raw.large else None  # of what does not fit into memory it takes long
    plain = remembered(kept, f"high-{key(chosen)}", lambda: [one.as_json() for one in severe(data, choice)])
    return tuple(_finding(one) for one in plain)


def _finding(plain: dict[str, Any]) -> Finding:
    lists = {name: tuple(plain[name]) for name in ("columns", "rows", "notes")}
    pairs = tuple((int(one), int(other)) for one, other in plain["pairs"])
    return Finding(**{**plain, **lists, "pairs": pairs, "fix": Fix(**plain["fix"]) if plain["fix"] else None})
