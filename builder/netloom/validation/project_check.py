"""A project together with the data that it names."""

from __future__ import annotations

from pathlib import Path

from netloom.data import DataError, schema
from netloom.data.preparation.project_defaults import default_training, with_defaults
from netloom.data.preparation.settings_transfer import carried
from netloom.data.quality.severe_findings import high_findings
from netloom.document import Project, apply
from netloom.validation.analysis import Analysis, analyse
from netloom.validation.fields import field_edits
from netloom.validation.issue import Issue


def check_project(project: Project, home: Path) -> tuple[Analysis, list[Issue]]:
    """A project's analysis and all its issues; where its data cannot be read, that is one of them, and so is what makes
    results on that data untrue."""
    problems: list[Issue] = []
    try:
        fields = schema(project.data, home)
    except DataError as error:
        fields = None
        problems = [Issue("data", "error", str(error))]
    problems += [Issue(f"data_{one.code}", "warning", one.message) for one in high_findings(project.data, home)]
    analysis = analyse(project, fields)
    return analysis, problems + analysis.issues


def with_dataset(project: Project, dataset: str, home: Path) -> tuple[Project, list[str]]:
    """The project with another dataset, by its exact name: data settings that still fit are kept, and the defaults of
    the dataset hold. Also, in sentences, which settings were not kept.

    Raises:
        DataError: the data cannot be read.
    """
    if dataset == project.data.dataset:
        return project, []
    data, remarks = carried(project.data, dataset, home)
    training = project.training.model_copy(update=default_training(dataset, home))
    return project.model_copy(update={"data": with_defaults(data, home), "training": training}), remarks


def with_fields(project: Project, home: Path) -> Project:
    """The project with each Input that reads no field yet reading the only one that fits.

    Raises:
        DataError: the data cannot be read.
    """
    for edit in field_edits(project, schema(project.data, home)):
        project = apply(project, edit)
    return project
