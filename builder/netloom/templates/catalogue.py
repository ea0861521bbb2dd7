"""Templates, which train without changes and state the metric that they reach on their test split, and published
architectures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from netloom.document import Project, loads


@dataclass(frozen=True)
class Template:
    """A document to start from.

    If it is trained without changes, `metric` on the test split is at least `at_least`. The loss of a language model
    is below the bigram entropy of the training text instead.
    """

    name: str
    title: str
    summary: str
    topic: str
    metric: str
    parameters: int
    at_least: float | None = None
    below_bigram_entropy: bool = False

    @property
    def project(self) -> Project:
        """The document."""
        return _read(self.name)


@dataclass(frozen=True)
class Architecture:
    """A published network with exactly the published number of parameters, without data."""

    name: str
    title: str
    summary: str
    topic: str
    year: int
    parameters: int
    url: str

    @property
    def project(self) -> Project:
        """The document."""
        return _read(f"architectures/{self.name}")


@cache
def templates() -> dict[str, Template]:
    """All templates by name, in the order of display."""
    listed = json.loads(_file("index"))
    return {item["name"]: Template(**item) for item in listed}


@cache
def architectures() -> dict[str, Architecture]:
    """All published networks by name, in the order of display."""
    listed = json.loads(_file("architectures/index"))
    return {item["name"]: Architecture(**item) for item in listed}


@cache
def _read(name: str) -> Project:
    return loads(_file(name))


def _file(name: str) -> str:
    return files("netloom.templates").joinpath(f"{name}.json").read_text(encoding="utf-8")
