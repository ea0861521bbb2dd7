"""Initial weights of a run, from an import or an earlier run. Matching tensors are loaded; the others are reported."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.compile import module
from netloom.core.delegation import Delegable
from netloom.core.text import plain
from netloom.document import Project
from netloom.layers import label
from netloom.store import NotFoundError, RunArtifacts, Store, weights
from netloom.training.weights import checkpoints
from netloom.training.weights.weight_files import CheckpointError, check_weights, read_weights

if TYPE_CHECKING:
    from torch import nn

    from netloom.compile.importers import ImportedModel

WEIGHTS, RUN = "weights:", "run:"
_LISTED = 8
# The batch counter of batch normalization. No output depends on it, and other formats do not store it.
_COUNTER = "num_batches_tracked"
Shapes = dict[str, tuple[int, ...]]


class StartError(ValueError):
    """A run cannot be initialized with these weights; the message is a sentence for people."""


@dataclass(frozen=True)
class Fit:
    """The match between a model and a file of weights.

    `layers` match; `fresh` do not match completely, each with a reason; `unused` are tensors of the file that no layer
    needs. `names` are the tensors to load.
    """

    names: tuple[str, ...]
    layers: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.fresh

    def sentence(self) -> str:
        """A sentence on the layers that match and those that do not."""
        if self.complete:
            count = len(self.layers)
            layers = f"all {count} layers with weights" if count > 1 else "the only layer with weights"
            text = f"The initial weights match {layers}."
        else:
            fits = f" match {_listed(self.layers)}" if self.layers else " match no layer completely"
            text = f"The initial weights{fits}. These layers are initialized randomly: {_listed(self.fresh)}."
        return text + (f" Unused tensors: {_listed(self.unused)}." if self.unused else "")


def save_import(store: Store, imported: ImportedModel) -> str:
    """Save an import as a project that is initialized with its weights. Returns the id of the project.

    The imported version gets a name, so that neither it nor its weights are ever deleted.

    Raises:
        StoreError: the project cannot be saved.
    """
    project = imported.project
    if imported.weights:  # stored under their SHA-256, so that equal imports share a file
        from safetensors.torch import save

        digest = weights.keep(store.home, save(checkpoints.separate(imported.weights)))
        project = starting_from(project, f"{WEIGHTS}{digest}")
    project_id = store.create_project(project)
    store.name_version(project_id, 1, "As imported")
    return project_id


def starting_from(project: Project, start: str) -> Project:
    """Return the project with another initialization."""
    return project.model_copy(update={"training": project.training.model_copy(update={"initial_weights": start})})


def imported_weights(store: Store, project_id: str) -> list[str]:
    """Return the weights that were imported with a project: those of its named versions."""
    named = [row.number for row in store.versions(project_id) if row.name]
    starts = [store.version(project_id, number).training.initial_weights for number in reversed(named)]
    return [start for start in dict.fromkeys(starts) if start.startswith(WEIGHTS)]


def first_weights(store: Store, start: str) -> Path:
    """Return the file of the weights that `start` of a document names.

    Raises:
        StartError: the weights are missing.
    """
    if start.startswith(WEIGHTS):
        try:
            return weights.path(store.home, start.removeprefix(WEIGHTS))
        except NotFoundError:
            raise StartError(
                "The imported weights that initialize this project are not on this machine; import the model again, "
                "or choose random initialization."
            ) from None
    run_id = start.removeprefix(RUN)
    try:
        artifacts = store.artifacts(run_id)
        return checkpoints.weights_file(artifacts, checkpoints.chosen(artifacts))
    except FileNotFoundError:
        raise StartError(_nothing_of(store, run_id)) from None


def _nothing_of(store: Store, run_id: str) -> str:
    """Return the reason why a run has no weights."""
    try:
        title = plain(store.run(run_id).title)[:60]
    except NotFoundError:
        return f"The run {run_id[:8]} that initializes this project was deleted; choose another initialization."
    return f"The run {title!r} ({run_id[:8]}) has no weights yet, so it cannot initialize another run."


def fit(project: Project, model: nn.Module, file_shapes: Shapes) -> Fit:
    """Compare the tensors of a model, which can be on the meta device, with those of a file.

    Raises:
        StartError: no layer matches.
    """
    model_shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    mismatched = {
        name for name, shape in model_shapes.items() if file_shapes.get(name) != shape and not name.endswith(_COUNTER)
    }
    # A random weight with a bias that was trained with another one is useless, so a module is loaded completely or not
    # at all.
    incomplete_modules = {name.rpartition(".")[0] for name in mismatched}
    matching, mismatching = dict[str, list[str]](), dict[str, list[str]]()
    for name in model_shapes:
        if not name.endswith(_COUNTER):
            kind = mismatching if name.rpartition(".")[0] in incomplete_modules else matching
            kind.setdefault(name.partition(".")[0], []).append(name)
    titles = {key: plain(label(node)) for key, node in project.main_network.nodes.items()}
    reasons = {key: _difference(names, mismatched, model_shapes, file_shapes) for key, names in mismatching.items()}
    if not matching:
        reasons_by_layer = [f"{titles[key]} ({reason})" for key, reason in reasons.items()]
        raise StartError(
            f"None of these weights match this network: {_listed(reasons_by_layer)}. Choose random initialization."
        )
    # Layers that match only in part, such as a subnetwork with another head
    partial = [key for key in mismatching if key in matching]
    shares = {
        key: f"{len(matching[key])} of its {len(matching[key]) + len(mismatching[key])} tensors match; "
        for key in partial
    }
    return Fit(
        tuple(
            name for name in file_shapes if name in model_shapes and name.rpartition(".")[0] not in incomplete_modules
        ),
        tuple(titles[key] for key in matching if key not in mismatching),
        tuple(f"{titles[key]} ({shares.get(key, '')}{reason})" for key, reason in reasons.items()),
        tuple(name for name in file_shapes if name not in model_shapes),
    )


def check_start(store: Store, project: Project, text: str) -> Fit | None:
    """Return the match of a project's initial weights; None for random initialization.

    Raises:
        StartError: the weights are missing or damaged, or no layer matches.
        StoreError: the file cannot be read.
    """
    if not project.training.initial_weights:
        return None
    return matched_start(store, project, text)


@Delegable
def matched_start(store: Store, project: Project, text: str) -> Fit:
    """Return the match of the initial weights that a project chooses. A web server delegates this to a worker.

    Raises:
        StartError, StoreError: as `check_start`.
    """
    import torch

    with torch.device("meta"):  # shapes without memory for weights
        model = module(text)
    file = first_weights(store, project.training.initial_weights)
    return fit(
        project, model, weights.shapes(check_intact(file) if project.training.initial_weights.startswith(RUN) else file)
    )


def verified_weights(store: Store, project: Project) -> Path | None:
    """Return the verified file of a project's initial weights; None for random initialization.

    Raises:
        StartError: the file is missing, or damaged.
        StoreError: it was changed after it was saved.
    """
    start = project.training.initial_weights
    if start.startswith(WEIGHTS):
        first_weights(store, start)
        return weights.verified(store.home, start.removeprefix(WEIGHTS))
    return check_intact(first_weights(store, start)) if start else None


def check_intact(file: Path) -> Path:
    """Return the file of a run's weights after verifying its checksum.

    Raises:
        StartError: the file is damaged.
    """
    try:
        check_weights(file)
    except CheckpointError as error:
        raise StartError(f"{error} It cannot initialize a run.") from None
    return file


def freeze_start(first: Path, artifacts: RunArtifacts) -> None:
    """Copy the initial weights into the folder of a run, so that later changes of their file do not affect it."""
    try:
        # These files are replaced, never modified, so a hard link is as good as a copy. It fails across file systems.
        os.link(first, artifacts.start_weights)
    except OSError:
        shutil.copyfile(first, artifacts.start_weights)


def load_start(project: Project, model: nn.Module, file: Path) -> Fit:
    """Load the matching weights of a file into a model on the CPU.

    Raises:
        StartError: no layer matches.
    """
    tensors = read_weights(file)
    match = fit(project, model, {name: tuple(value.shape) for name, value in tensors.items()})
    model.load_state_dict({name: tensors[name] for name in match.names}, strict=False)
    return match


def _difference(names: list[str], mismatched: set[str], model_shapes: Shapes, file_shapes: Shapes) -> str:
    """Return the problem of the first tensor of a layer that does not match."""
    name = next(name for name in names if name in mismatched)
    short = name.partition(".")[2]
    if name not in file_shapes:
        return f"{short} is missing"
    return (
        f"{short} has the shape {_size(file_shapes[name])} in the file and {_size(model_shapes[name])} in the network"
    )


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"


def _listed(items: list[str] | tuple[str, ...]) -> str:
    more = len(items) - _LISTED
    return ", ".join(items[:_LISTED]) + (f" and {more} more" if more > 0 else "") or "none"
