"""The job that imports a model for the pages, which read no tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netloom.compile.importers import ImportedModel, UnreadableModelError
from netloom.data import with_dataset_id
from netloom.jobs.request import Context, Request
from netloom.sandbox import read_models, read_tensors
from netloom.store import Store
from netloom.templates.fitting import fitting_networks, question, with_weights
from netloom.training import save_import
from netloom.training.weights.state_dicts import is_state_dict


@dataclass(frozen=True)
class SavedImport:
    """An imported model, which is a project now.

    `layers` and `weights` are counts; `is_document` says whether the file was a Netloom project.
    """

    project_id: str
    name: str
    layers: int
    weights: int
    remarks: tuple[str, ...]
    is_document: bool


@dataclass(frozen=True)
class WeightsOnly:
    """A file of weights without a network: the question for which network it is, and the networks that it fits.

    `networks` are the descriptions of these networks, by the name of a template or the id of a project.
    """

    question: str
    networks: dict[str, str]


@dataclass(frozen=True)
class ImportModel(Request[SavedImport | WeightsOnly], kind="import", handed_over=True):
    """The import of a file, or of a Hugging Face folder, as a new project called `name` if the file has no name.

    `path` is that of the file or folder. `network` is the chosen network of weights without one. Each import is a job
    of its own, because paths are temporary.
    """

    path: str
    name: str
    network: str = ""

    def compute(self, context: Context) -> SavedImport | WeightsOnly:
        path = Path(self.path)
        if not path.is_file() or not is_state_dict(path):
            return _saved(context.store, *read_models(path, self.name))
        tensors = read_tensors(path)
        networks = {network.name: network for network in fitting_networks(context.store, tensors)}
        asked = question(tensors, list(networks.values()))
        if not networks:
            raise UnreadableModelError(asked)
        if self.network not in networks:
            return WeightsOnly(asked, {name: network.described for name, network in networks.items()})
        return _saved(context.store, with_weights(networks[self.network], tensors, self.name), False)


def _saved(store: Store, imported: ImportedModel, is_document: bool) -> SavedImport:
    """Save an imported model as a project of this store."""
    if is_document:
        project = with_dataset_id(imported.project, store.home)
        project_id = store.create_project(project)
    else:
        project, project_id = imported.project, save_import(store, imported)
    weights = sum(tensor.numel() for tensor in imported.weights.values())
    layers = len(project.main_network.nodes)
    return SavedImport(project_id, project.name, layers, weights, tuple(imported.remarks), is_document)
