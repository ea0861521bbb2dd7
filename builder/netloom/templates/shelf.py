"""The library's ready blocks: small networks with parameters of their own, to put into any project."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from netloom.document import Project, loads
from netloom.layers.subnetwork import interface
from netloom.validation import Analysis, analyse


@dataclass(frozen=True)
class Block:
    """A ready network; `url` says where it was published."""

    name: str
    title: str
    summary: str
    topic: str
    url: str

    @property
    def bundle(self) -> Project:
        """The network with all that it is made of."""
        return _read(self.name)


@cache
def blocks() -> dict[str, Block]:
    """All ready blocks by name, in the order in which they are shown."""
    return {item["name"]: Block(**item) for item in json.loads(_file("index"))}


def summary(bundle: Project, analysis: Analysis | None = None) -> dict[str, Any]:
    """What the library tells of a bundle's network: its ports, exposed parameters and size.

    `size` is the number of its weights where its Inputs are as drawn, or None where they say nothing that fits.
    """
    analysis = analysis or analyse(bundle)
    network, outside = bundle.main_network, interface(bundle.main_network)
    return {
        "inputs": [node for _, node in outside.inputs],
        "outputs": [node for _, node in outside.outputs],
        "parameters": dict(network.parameters),
        "layers": analysis.totals.layers,
        "size": None if analysis.errors else analysis.totals.parameters,
    }


@cache
def _read(name: str) -> Project:
    return loads(_file(name))


def _file(name: str) -> str:
    return files("netloom.templates").joinpath("blocks", f"{name}.json").read_text(encoding="utf-8")
