"""Netloom from Python: what the pages and the command line do, as functions.

They are used as `netloom.train(…)`; the package loads this module when one of them is first needed. Every function with
a `home` takes the data folder, which holds uploads, projects and runs; without it, that is `NETLOOM_HOME` or the user's
own folder, as in the app.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom import runs
from netloom.compile import module, source
from netloom.core.data_folder import home as default_home
from netloom.core.errors import UsageError
from netloom.data import DataError, DatasetInfo, datasets, schema
from netloom.data.dataset_lookup import find_dataset
from netloom.data.preparation.project_defaults import default_choice
from netloom.document import Project, read
from netloom.explain import Explanation, explain, methods
from netloom.export import Report, export
from netloom.runs import TrainedRun
from netloom.runs.owner import terminal_owner
from netloom.runs.run_lookup import LAST, find_run
from netloom.sandbox import Look
from netloom.store import Store, open_store
from netloom.templates import Architecture, Template, architectures, templates
from netloom.templates.starting import start, starters
from netloom.training import Evaluation, TrainingError
from netloom.validation import Issue
from netloom.validation.project_check import check_project, with_dataset, with_fields

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "add_data",
    "build_module",
    "check",
    "create_project",
    "evaluate",
    "explain_prediction",
    "export_run",
    "generate_source",
    "list_datasets",
    "list_templates",
    "load_run",
    "open_project",
    "predict",
    "train",
]


def list_templates() -> dict[str, Template | Architecture]:
    """The templates with their data, then the published architectures, by name.

    Returns:
        A dictionary whose values have a `title`, a `summary`, a `topic` and the `project` itself.

    Example:
        >>> netloom.list_templates()["digits_cnn"].title
        'Digits with a CNN'
    """
    return {**templates(), **architectures()}


def list_datasets(home: str | Path | None = None) -> list[DatasetInfo]:
    """The built-in datasets, then those that were added.

    Args:
        home: the data folder.

    Example:
        >>> [dataset.name for dataset in netloom.list_datasets() if dataset.task == "regression"]
        ['ratings', 'diabetes', 'sine']
    """
    return datasets(_folder(home))


def add_data(
    path: str | Path,
    *,
    name: str = "",
    target: str | None = None,
    kind: str = "",
    options: Mapping[str, Any] | None = None,
    home: str | Path | None = None,
) -> DatasetInfo:
    """Add a file, a folder or a zip as a dataset. It is read in a confined process.

    Args:
        path: what to add, such as a CSV file with a header; see "Data formats" for all kinds.
        name: the title; default: the name of the file.
        target: the column to predict; default: guessed, as the app does.
        kind: how to read it, such as `"table"` or `"images"`; default: recognized by its content.
        options: answers to the questions of that kind, such as `{"window": 48}` for a series.
        home: the data folder.

    Returns:
        The new dataset. Its `name` is what `train(data=…)` takes.

    Raises:
        DataError: it cannot be read, or an option does not fit.
        UsageError: there is no such file, kind or target.

    Example:
        >>> _ = Path("heights.csv").write_text("age,height\\n" + "\\n".join(f"{n},{80 + 6 * n}" for n in range(60)))
        >>> heights = netloom.add_data("heights.csv", target="height")
        >>> heights.title, heights.task
        ('heights', 'regression')
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"{path} cannot be read: there is no such file or folder.")
    look = Look(path, path.name or path.resolve().name)
    try:
        return look.add(_folder(home), name=name, target=target, kind=kind, options=options)
    finally:
        look.close()


def open_project(path_or_name: str | Path, home: str | Path | None = None) -> Project:
    """Open a project: a document, a template, a published architecture, or a project of the app.

    Args:
        path_or_name: the path of a document (a JSON file, as the app and `netloom templates --write` write it), a name
            from :func:`list_templates`, or the name or id of a project in the data folder. They are tried in this
            order; of several projects with one name, the one that was changed last is opened.
        home: the data folder.

    Returns:
        The project. It cannot be changed in place: `project.model_copy(update={…})` makes a changed copy.

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
    known = list_templates()
    if path_or_name in known:
        return known[path_or_name].project
    store = open_store(_folder(home))
    for row in store.list_projects():
        if path_or_name in (row.name, row.id):
            return store.load(row.id).project
    raise UsageError(
        f"There is no file, template or project {path_or_name[:60]!r}; netloom.list_templates() has the templates."
    )


def create_project(data: str, template: str | None = None, *, home: str | Path | None = None) -> Project:
    """Create a project for a dataset: the network of a template, made to fit the shapes and the target of the data.

    Args:
        data: the name of a dataset, from :func:`list_datasets` or :func:`add_data`.
        template: the template; default: the first that fits the kinds of the inputs and of the target.
        home: the data folder.

    Returns:
        The project, ready to train. It is in the app once it is trained with `train(save=True)`.

    Raises:
        DataError: the data cannot be read.
        UsageError: there is no such dataset, or no such template for it.

    Example:
        >>> project = netloom.create_project("wine")
        >>> run = netloom.train(project, epochs=20)
        >>> run.model(run.data.inputs["features"][:5]).shape  # (N, columns) to (N, classes)
        torch.Size([5, 3])
    """
    folder = _folder(home)
    info = find_dataset(folder, data)
    choice = default_choice(info.name, folder)
    fields = schema(choice, folder)
    known = {one.name: one for one in starters(choice, fields)} if fields else {}
    name = template or next(iter(known), "")
    project = start(known[name], choice, info.title, folder) if name in known else None
    if project is None:
        names = ", ".join(known) or "none"
        raise UsageError(f"There is no template {name[:60]!r} for the dataset {data[:60]!r}; these fit it: {names}.")
    return project


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
    return check_project(project, _folder(home))[1]


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
    return source(project)


def build_module(project: Project) -> nn.Module:
    """The network as a `torch.nn.Module` with fresh weights, on the CPU and in training mode.

    Args:
        project: the project.

    Returns:
        The module. It takes one tensor per Input node, each with the batch first, and returns the tensor of the Output
        node, or a tuple of tensors if there are several. Seed PyTorch before to get the same weights again.

    Raises:
        CompileError: the network has errors; `issues` lists them.

    Example:
        >>> model = netloom.build_module(netloom.open_project("digits_mlp"))
        >>> model(torch.zeros(32, 1, 8, 8)).shape  # (N, C, H, W) to (N, classes)
        torch.Size([32, 10])
    """
    return module(project)


def train(
    project: Project,
    *,
    data: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    save: bool = False,
    home: str | Path | None = None,
) -> TrainedRun:
    """Train a project to the end.

    The settings are those of the project; the arguments replace some of them. All other settings are fields of
    `project.training`.

    Args:
        project: the project.
        data: the name of another dataset with the same fields, such as a newer version of a file. For other data, see
            :func:`create_project`.
        epochs: the number of epochs; 0 keeps the first weights.
        seed: the seed of the weights and of the order of the rows.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        save: train as the app does, and keep the run: in a worker process, with checkpoints and curves, so that the
            Runs page shows it and :func:`load_run` finds it. An interrupt (Ctrl-C) stops the run and is raised again
            when it has saved what it has. Without `save`, the network is trained in this process, and nothing is
            written.
        home: the data folder.

    Returns:
        The run, with the best weights or the last, as the project says: its `model` is on the CPU in evaluation mode.
        `run.run` has its id and state if it was saved, and is None otherwise.

    Raises:
        CompileError: the network has errors, or does not fit the data; `issues` lists them.
        DataError: the data cannot be read, or the project names none.
        StartError: the weights that it starts from do not exist, or none of them fits.
        TrainingError: the loss is not a number any more, or the saved run failed.
        UsageError: there is no such dataset.

    Example:
        >>> run = netloom.train(netloom.open_project("digits_mlp"), epochs=1, seed=0, device="cpu")
        >>> run.data.schema.target.classes[:3]
        ('0', '1', '2')
    """
    folder = _folder(home)
    if data is not None:
        project, _ = with_dataset(project, find_dataset(folder, data).name, folder)
    if not project.data.dataset:
        raise DataError("This project has no dataset; choose one with data=….")
    changes = {"epochs": epochs, "seed": seed, "device": device}
    values = project.training.model_dump() | {key: value for key, value in changes.items() if value is not None}
    training = type(project.training).model_validate(values)
    project = with_fields(project.model_copy(update={"training": training}), folder)
    return _saved(open_store(folder), project) if save else runs.fit_here(project, folder)


def load_run(run: str = LAST, *, checkpoint: str = "", home: str | Path | None = None) -> TrainedRun:
    """Load the network of a run that was started in the app, by `netloom train` or by `train(save=True)`.

    Args:
        run: the id of the run, the beginning of one, or `"last"`: the newest run, or the best of a sweep that is newer.
        checkpoint: `"best"`, `"last"`, or the number of an epoch; default: the weights that the project says.
        home: the data folder.

    Returns:
        The run: its `project`, `source`, `model` (on the CPU in evaluation mode) and `data`.

    Raises:
        CheckpointError: no such weights are kept.
        DataError: the data of the run does not exist any more.
        FileNotFoundError: the run has no checkpoint yet.
        UsageError: there is no such run, or more than one.

    Example:
        >>> saved = netloom.train(netloom.open_project("digits_mlp"), epochs=1, save=True)
        >>> netloom.load_run("last").run.id == saved.run.id
        True
    """
    store = open_store(_folder(home))
    return runs.load_run(store, find_run(store, run).id, checkpoint)


def predict(run: TrainedRun, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Predict for raw rows, which are encoded as the training rows were.

    Args:
        run: the run.
        rows: one mapping per row, from the names of the fields (the columns of a table) to raw values: numbers, text,
            or nested lists such as the `(C, H, W)` pixels of an image.

    Returns:
        One dictionary per row with the `prediction`, the `probabilities` by class for classification, and `unknown`
        for categories that the training rows did not have.

    Raises:
        DataError: a row lacks a column, or holds what the data cannot take.

    Example:
        >>> image = run.data.raw.row(0)["image"]  # (1, 8, 8)
        >>> answer = netloom.predict(run, [{"image": image}])[0]
        >>> sum(answer["probabilities"].values()) > 0.99
        True
    """
    return runs.predict(run, rows)


def evaluate(run: TrainedRun, split: str = "test") -> Evaluation:
    """Measure a run on a split of its data.

    Args:
        run: the run.
        split: `"test"`, `"validation"` or `"train"`.

    Returns:
        The evaluation: `metrics` by name, their 95% confidence `intervals`, the `reference` of a trivial predictor, and
        what the task has, such as `confusion`.

    Example:
        >>> netloom.evaluate(run).metrics["accuracy"] > 0.5
        True
    """
    return runs.evaluate(run, split)


def explain_prediction(
    run: TrainedRun,
    row: int | Mapping[str, Any],
    method: str | None = None,
    *,
    target: str | int | None = None,
    seed: int = 0,
    **options: Any,
) -> Explanation:
    """Explain the prediction for one row, with the evidence for how far the explanation can be relied on.

    Args:
        run: the run.
        row: the number of a row of the data, such as one of `run.data.split["test"]`, or a raw row as
            :func:`predict` takes it.
        method: such as `"integrated_gradients"` (`netloom explain RUN --list` lists all); default: the first that fits.
        target: the class or the output to explain; default: the prediction.
        seed: the seed of sampling and of the checks.
        options: options of the method, such as `baseline="mean"` or `n_steps=64`.

    Returns:
        The explanation: `attributions` has an array in the shape of each input (one number per column for tables),
        `proofs` the evidence, and `verdict` what it amounts to.

    Raises:
        DataError: the raw row lacks a field, or holds what the data cannot take.
        ExplainError: there is no such method, option, row or target, or the method does not fit the network.

    Example:
        >>> found = netloom.explain_prediction(run, 0, "integrated_gradients")
        >>> found.attributions["image"].shape, found.verdict.level in ("good", "caution", "poor")
        ((1, 8, 8), True)
    """
    name = next(item.name for item in methods(run) if item.available) if method is None else method
    return explain(run, name, row, target=target, seed=seed, **options)


def export_run(run: TrainedRun, format: str, path: str | Path) -> Report:
    """Write a run in a format that works without Netloom. The file is loaded again, and its predictions are compared
    with those of the run before it is written.

    Args:
        run: the run.
        format: such as `"bundle"` (a zip with source, weights and a script that predicts), `"onnx"` or `"pt2"`.
        path: the file, which is replaced if it exists, or a folder, where the file is named after the project.

    Returns:
        The report: the `path` of the file, and the largest `difference` between its predictions and those of the run.

    Raises:
        ExportError: there is no such format or folder, the format cannot hold this network, or the predictions differ.

    Example:
        >>> report = netloom.export_run(run, "bundle", "digits.zip")
        >>> report.difference
        0.0
    """
    return export(run, format, path)


def _folder(home: str | Path | None) -> Path:
    return default_home() if home is None else Path(home).expanduser().absolute()


def _saved(store: Store, project: Project) -> TrainedRun:
    """Train in a worker process, and load what it has kept."""
    run_id = runs.start(store, store.find_or_create_project(project), project, owner=terminal_owner())
    try:
        run = runs.wait(store, run_id, math.inf)
    except KeyboardInterrupt:
        runs.stop(store, run_id)
        runs.wait(store, run_id, math.inf)
        raise
    if run.state == "failed":
        raise TrainingError(f"Run {run_id} failed: {run.reason}")
    return runs.load_run(store, run_id)
