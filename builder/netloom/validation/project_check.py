"""Validation of a project together with its data."""

from __future__ import annotations

from pathlib import Path

from netloom.data import DataError, schema
from netloom.data.preparation.project_defaults import default_training, with_defaults
from netloom.data.preparation.settings_transfer import carried
from netloom.data.quality.severe_findings import high_findings
from netloom.document import Edit, Project, apply
from netloom.validation.analysis import Analysis, analyze
from netloom.validation.applied_fixes import with_auto_sizes
from netloom.validation.fields import field_edits, reading_edits
from netloom.validation.issue import Fix, Issue


def check_project(project: Project, home: Path) -> tuple[Analysis, list[Issue]]:
    """Return the analysis of a project and all issues, including unreadable data and data that invalidates results."""
    problems: list[Issue] = []
    try:
        fields = schema(project.data, home)
    except DataError as error:
        fields = None
        problems = [Issue("data", "error", str(error))]
    problems += [
        Issue(f"data_{finding.code}", "warning", finding.message) for finding in high_findings(project.data, home)
    ]
    analysis = analyze(with_auto_sizes(project, fields), fields)
    return analysis, problems + analysis.issues


def with_dataset(project: Project, dataset: str, home: Path) -> tuple[Project, list[str]]:
    """Return the project with another dataset, by its exact name, and sentences on the settings that were dropped.

    Data settings that still apply are kept; all others take the defaults of the dataset.

    Raises:
        DataError: The data cannot be read.
    """
    if dataset == project.data.dataset:
        return project, []
    data, remarks = carried(project.data, dataset, home)
    training = project.training.model_copy(update=default_training(dataset, home))
    return project.model_copy(update={"data": with_defaults(data, home), "training": training}), remarks


def with_fields(project: Project, home: Path) -> Project:
    """Return the project with the sizes of its data in place of `auto`, and with a field assigned to each Input without
    one, if exactly one field fits it.

    Raises:
        DataError: The data cannot be read.
    """
    fields = schema(project.data, home)
    project = with_auto_sizes(project, fields)
    for edit in field_edits(project, fields):
        project = apply(project, edit)
    return project


def refit_edits(project: Project, home: Path) -> list[Edit]:
    """Return edits that fit a network to the current shapes of its data, in the order in which they apply.

    Encoders are fitted to the training rows, so shapes change with the split: a category or a word that occurs only in
    test rows adds neither a column nor a token. Inputs get the new shapes, and layers that depend on them get the
    parameters that validation proposes. No layer is inserted or removed.

    Raises:
        DataError: The data cannot be read.
    """
    fields = schema(project.data, home)
    if fields is None:
        return []
    edits = reading_edits(project, fields)
    for edit in edits:
        project = apply(project, edit)
    for _ in range(len(project.main_network.nodes)):  # each fix settles one layer
        fixes = (issue.fix for issue in analyze(project, fields).errors if issue.fix is not None)
        parts = next((parts for parts in map(_parts, fixes) if all(part["kind"] == "set" for part in parts)), None)
        if parts is None:
            break
        for part in parts:
            project = apply(project, part)
        edits += parts
    return edits


def _parts(fix: Fix) -> list[Edit]:
    """Return the edits of a fix, which can be a batch, such as one for the two layers at the end of a decoder."""
    return list(fix.edit["edits"]) if fix.edit["kind"] == "batch" else [fix.edit]
