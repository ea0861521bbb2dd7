"""Projects: open, create and check them, and generate the source and the module of their network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netloom.api.arguments import require_project
from netloom.api.home import data_folder
from netloom.compile import module, source
from netloom.core.errors import UsageError
from netloom.data import schema
from netloom.data.dataset_lookup import find_dataset
from netloom.data.preparation.project_defaults import default_choice
from netloom.document import Project, read
from netloom.store import open_store
from netloom.templates import Architecture, Template, architectures, templates
from netloom.templates.starting import fit, start, starters
from netloom.validation import Issue
from netloom.validation.project_check import check_project

if TYPE_CHECKING:
    from torch import nn


def list_templates() -> dict[str, Template | Architecture]:
    """The templates with their data, then the published architectures, by name.

    Returns:
        A dictionary whose values have a `title`, a `summary`, a `topic` and the `project` itself.

    Example:
        >>> netloom.list_templates()["digits_cnn"].title
        'Digits with a CNN'
    """
    return {**templates(), **architectures()}


def open_project(path_or_name: str | Path, home: str | Path | None = None) -> Project:
    """Open a project: a document, a template, a published architecture, or a project of the app.

    Args:
        path_or_name: the path of a document (a JSON file, as the app and `netloom templates --write` write it), a name
            from :func:`list_templates`, or the name or id of a project in the data folder. They are tried in this
            order; of several projects with one name, the one that was changed last is opened.
        home: the data folder.

    Returns:
        The project. It is immutable: `project.model_copy(update={…})` returns a changed copy.

    Raises:
        DocumentError: the file is not a document.
        UsageError: there is no such file, template or project.

    Example:
        >>> project = netloom.open_project("digits_mlp")
        >>> project.name, project.data.dataset
        ('Digits with an MLP', 'digits')
    """
    if isinstance(path_or_name, Path) or Path(path_or_name).is_file():
        return read(path_or_name)
    documents = list_templates()
    if path_or_name in documents:
        return documents[path_or_name].project
    # Last, because opening the store creates a database
    store = open_store(data_folder(home))
    for row in store.list_projects():
        if path_or_name in (row.name, row.id):
            return store.load(row.id).project
    raise UsageError(
        f"There is no file, template or project {path_or_name[:60]!r}; netloom.list_templates() has the templates."
    )


def create_project(data: str, template: str | None = None, *, home: str | Path | None = None) -> Project:
    """Create a project for a dataset: the network of a template, adapted to the shapes and the target of the data.

    Args:
        data: the name of a dataset, from :func:`list_datasets` or :func:`add_data`.
        template: a template or published architecture; default: the first template that fits the kinds of the inputs
            and of the target.
        home: the data folder.

    Returns:
        The project, ready to train. The app lists it after `train(save=True)`.

    Raises:
        DataError: the data cannot be read.
        UsageError: there is no such dataset or template, or the template does not fit the data.

    Example:
        >>> project = netloom.create_project("wine")
        >>> run = netloom.train(project, epochs=20)
        >>> run.model(run.data.inputs["features"][:5]).shape  # (N, columns) to (N, classes)
        torch.Size([5, 3])
    """
    folder = data_folder(home)
    info = find_dataset(folder, data)
    choice = default_choice(info.name, folder)
    fields = schema(choice, folder)
    candidates = {starter.name: starter for starter in starters(choice, fields)} if fields else {}
    name = template or next(iter(candidates), "")
    if name in candidates and (project := start(candidates[name], choice, info.title, folder)) is not None:
        return project
    these = f"these fit it: {', '.join(candidates) or 'none'}."
    documents = list_templates()
    if name not in documents:
        raise UsageError(f"There is no template {name[:60]!r} for the dataset {data[:60]!r}; {these}")
    # Such as an autoencoder for images with classes
    fitted = fit(documents[name].project, choice, info.title, folder)
    errors = [issue.message for issue in fitted.remaining if issue.severity == "error"] if fitted else [""]
    if fitted is None or errors:
        raise UsageError(f"The template {name!r} does not fit the dataset {data[:60]!r}; {these} {errors[0]}".rstrip())
    return fitted.project


def check(project: Project, home: str | Path | None = None) -> list[Issue]:
    """Check a project and the data that it names.

    Args:
        project: the project.
        home: the data folder.

    Returns:
        Every issue: a `severity` (`"error"`, `"warning"` or `"hint"`), a `message`, and where it is. A project without
        errors can be trained.

    Example:
        >>> netloom.check(netloom.open_project("digits_mlp"))
        []
    """
    require_project(project)
    return check_project(project, data_folder(home))[1]


def generate_source(project: Project) -> str:
    """The Python source of the network: plain PyTorch, which training runs and exports contain.

    Args:
        project: the project. Equal projects give equal source, byte for byte.

    Raises:
        CompileError: the network has errors; `issues` lists them.

    Example:
        >>> "class Main(nn.Module):" in netloom.generate_source(netloom.open_project("digits_mlp"))
        True
    """
    require_project(project)
    return source(project)


def build_module(project: Project) -> nn.Module:
    """The network as a `torch.nn.Module` with random weights, on the CPU and in training mode.

    Args:
        project: the project.

    Returns:
        The module. It takes one tensor per Input node, each with the batch first, and returns the tensor of the Output
        node, or a tuple of tensors if there are several. Call `torch.manual_seed` before it to get the same weights
        again.

    Raises:
        CompileError: the network has errors; `issues` lists them.

    Example:
        >>> model = netloom.build_module(netloom.open_project("digits_mlp"))
        >>> model(torch.zeros(32, 1, 8, 8)).shape  # (N, C, H, W) to (N, classes)
        torch.Size([32, 10])
    """
    require_project(project)
    return module(project)
