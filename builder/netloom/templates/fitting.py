"""The networks for which a file of weights without a network can be: projects and templates that its tensors fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from netloom.compile.importers import ImportedModel, UnreadableModelError
from netloom.core.text import plain
from netloom.document import Project
from netloom.store import Store, StoreError
from netloom.templates.catalogue import Architecture, Template, architectures, templates
from netloom.training.weights.state_dicts import Assignment, assign

if TYPE_CHECKING:
    import torch

_LISTED = 5
_MAX_PROJECTS = 50
# A file also contains the statistics of normalizations and tied weights twice, which are fewer than the parameters.
# Only networks within these limits are built, as building all of them takes long.
_MAX_EXCESS = 1.5


@dataclass(frozen=True)
class FittingNetwork:
    """A network that the tensors of a file fit. `name` is that of a template, or the id of a project."""

    name: str
    title: str
    project: Project
    assignment: Assignment

    @property
    def described(self) -> str:
        """The title, and by what it fits."""
        return f"{self.title} (fits by {'names and shapes' if self.assignment.by_names else 'shapes'})"


def fitting_networks(store: Store, tensors: Mapping[str, torch.Tensor]) -> list[FittingNetwork]:
    """Return the projects and templates that the tensors fit, those with equal names first."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    networks = []
    for name, title, project in _candidates(store, sum(map(prod, shapes.values()))):
        try:
            assignment = assign(project, shapes)
        except ValueError:  # the network of a project may be unfinished
            continue
        if assignment is not None:
            networks.append(FittingNetwork(name, title, project, assignment))
    return sorted(networks, key=lambda network: not network.assignment.by_names)


def question(tensors: Mapping[str, torch.Tensor], networks: list[FittingNetwork]) -> str:
    """The question for which network a file is, with the ones that fit, or what to do if none does."""
    names = ", ".join(plain(name)[:60] for name in list(tensors)[:_LISTED])
    more = f" and {len(tensors) - _LISTED} more" if len(tensors) > _LISTED else ""
    contents = f"The file contains {len(tensors)} tensors ({names}{more}) without a network."
    if networks:
        return f"{contents} Which network is it for?"
    return (
        f"{contents} No project and no template has these shapes. Build the network first, or import the model with "
        "its network: write it with torch.export.save, or run netloom import module:function."
    )


def with_weights(network: FittingNetwork, tensors: Mapping[str, torch.Tensor], name: str = "") -> ImportedModel:
    """The network with the weights of a file."""
    weights = {key: tensors[source_name] for key, source_name in network.assignment.names.items()}
    project = network.project.model_copy(update={"name": name[:200]}) if name else network.project
    remark = (
        "The names in the file differ, so the weights were assigned by their shapes, in the order of the file: "
        "compare some predictions with those of the original."
    )
    return ImportedModel(project, weights, () if network.assignment.by_names else (remark,))


def fit_to(project: Project, name: str, tensors: Mapping[str, torch.Tensor]) -> FittingNetwork:
    """The network of a project that was named.

    Raises:
        UnreadableModelError: the tensors do not fit.
        CompileError: the network has errors.
    """
    assignment = assign(project, {key: tuple(tensor.shape) for key, tensor in tensors.items()})
    if assignment is None:
        raise UnreadableModelError(
            f"The tensors of the file do not fit the network {plain(name)[:60]!r}: names or shapes differ. Leave out "
            "--network to list the ones that fit."
        )
    return FittingNetwork(name, project.name, project, assignment)


def _candidates(store: Store, numbers: int) -> Iterator[tuple[str, str, Project]]:
    for row in store.list_projects(_MAX_PROJECTS):
        try:
            yield row.id, f"Project {row.name}", store.load(row.id).project
        except StoreError:  # another tab deleted it
            continue
    templates_and_architectures: list[Template | Architecture] = [*templates().values(), *architectures().values()]
    for candidate in templates_and_architectures:
        if candidate.parameters <= numbers <= candidate.parameters * _MAX_EXCESS:
            yield candidate.name, f"{type(candidate).__name__} {candidate.title}", candidate.project
