"""The built-in blocks of the library: small networks with parameters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from netloom.core.plain_json import JsonObject
from netloom.document import Project, loads
from netloom.layers.subnetwork import interface
from netloom.validation import Analysis, analyze


@dataclass(frozen=True)
class Block:
    """A built-in network; `url` is the address of its publication."""

    name: str
    title: str
    summary: str
    topic: str
    url: str

    @property
    def bundle(self) -> Project:
        """The network with all networks that it uses."""
        return _read(self.name)


@cache
def blocks() -> dict[str, Block]:
    """All built-in blocks by name, in the order of display."""
    return {item["name"]: Block(**item) for item in json.loads(_file("index"))}


def summary(bundle: Project, analysis: Analysis | None = None) -> JsonObject:
    """Return the summary of a network for the library: ports, exposed parameters and size.

    `size` is the number of weights for the declared Inputs, or None if they do not fit.
    """
    analysis = analysis or analyze(bundle)
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
