"""Validation of a typed network on example inputs."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.document import Network, Project
from netloom.validation import analyze

# Issues about the lines themselves, as opposed to the project around them (its data, its objective).
CODES = ("internal", "parameter", "unknown_layer", "port_kind", "shape", "batch_axis", "depth")


def first_error(network: Network, callable_: Mapping[str, Network]) -> str:
    """The message of the first error on example inputs; "" if there is none.

    A network with an error can be valid on other inputs: size(2), for example, needs three axes.
    """
    project = Project(name="Typed", networks={**callable_, "typed_network": network}, main="typed_network")
    return next((issue.message for issue in analyze(project).errors if issue.code in CODES), "")
