"""What the check finds wrong with a typed network, where it gets what its Inputs say."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.document import Network, Project
from netloom.validation import analyse

# What says something of the lines themselves, and not of a project around them.
CODES = ("internal", "parameter", "unknown_layer", "port_kind", "shape", "batch_axis", "depth")


def trouble(made: Network, callable_: Mapping[str, Network]) -> str:
    """The first such finding on an example of its inputs, or nothing. Other inputs may do: size(2) needs three axes."""
    alone = Project(name="Typed", networks={**callable_, "typed_network": made}, main="typed_network")
    return next((issue.message for issue in analyse(alone).errors if issue.code in CODES), "")
