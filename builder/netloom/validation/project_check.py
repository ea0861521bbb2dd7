"""A project together with the data that it names."""

from __future__ import annotations

from pathlib import Path

from netloom.data import DataError, schema
from netloom.data.preparation.project_defaults import default_training, with_defaults
from netloom.data.preparation.settings_transfer import carried
from netloom.data.quality.severe_findings import high_findings
from netloom.document import Edit, Project, apply
from netloom.validation.analysis import Analysis, analyse
from netloom.validation.fields import field_edits, reading_edits
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


def refit_edits(project: Project, home: Path) -> list[Edit]:
    """The edits by which a network takes the shapes that its data has now, in the order in which they apply.

    What is fitted to the training rows changes with the split: a category or a word that only test rows have adds no
    column and no token. Inputs take the new shapes, and layers whose parameters depend on them the values that the
    check proposes. Nothing is inserted or removed.

    Raises:
        DataError: the data cannot be read.
    """
    fields = schema(project.data, home)
    if fields is None:
        return []
    edits = reading_edits(project, fields)
    for edit in edits:
        project = apply(project, edit)
    for _ in range(len(project.main_network.nodes)):  # each fix settles one layer, so that no more can be needed
        fixes = (issue.fix for issue in analyse(project, fields).errors if issue.fix is not None)
        fix = next((fix for fix in fixes if fix.edit["kind"] == "set"), None)
        if fix is None:
            break
        project = apply(project, fix.edit)
        edits.append(fix.edit)
    return edits
