"""The frozen project of a new run: checked, compiled, and written into its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from netloom.compile import CompileError, source
from netloom.data import Schema, prepare, schema, with_dataset_id
from netloom.data.preparation.fitted_state import with_fitted
from netloom.data.preparation.preprocess import Preprocess
from netloom.document import Project
from netloom.runs import distillation
from netloom.runs.distillation import TeacherFiles
from netloom.runs.fingerprint import environment
from netloom.runs.resources.limits import FULL, storage_problem
from netloom.store import RunArtifacts, Store
from netloom.training.weights.initialization import StartError, freeze_start
from netloom.validation import Analysis, analyze
from netloom.validation.applied_fixes import with_auto_sizes


def compiled(store: Store, project: Project, fitted: Preprocess | None) -> tuple[Project, str]:
    """Return a project with the version of its dataset and its automatic sizes, and its generated code.

    Raises:
        CompileError: the network has errors, or does not match the data.
        DataError: the data cannot be read.
    """
    project = with_dataset_id(project, store.home)
    fields = _schema(store, project, fitted)
    project = with_auto_sizes(project, fields)
    analysis: Analysis = analyze(project, fields)
    if analysis.errors:
        raise CompileError(analysis.errors)
    return project, source(project, analysis)


def freeze(
    artifacts: RunArtifacts,
    project: Project,
    text: str,
    initial_weights: Path | None,
    teacher: TeacherFiles | None,
    fitted: Preprocess | None,
) -> None:
    """Write everything that a run depends on to its folder."""
    artifacts.save_project(project)
    artifacts.save_source(text)
    if initial_weights:
        freeze_start(initial_weights, artifacts)
    if teacher:
        distillation.freeze_teacher(teacher, artifacts)
    if fitted is not None:
        artifacts.save_preprocess(fitted.to_json())
    artifacts.save_environment(environment(project, text))


@contextlib.contextmanager
def deleted_on_failure(artifacts: RunArtifacts) -> Iterator[None]:
    """Delete the files of a new run if it cannot be added: a folder without a row in the store would look like a lost
    run.

    Raises:
        StartError: the disk is full.
    """
    try:
        yield
    except BaseException as error:  # also Ctrl+C
        artifacts.delete()
        if isinstance(error, OSError) and (full := storage_problem(error)):
            raise StartError(f"{FULL[full]}, and start the run again.") from error
        raise


def _schema(store: Store, project: Project, fitted: Preprocess | None) -> Schema | None:
    if fitted is None:
        return schema(project.data, store.home)
    return with_fitted(prepare(project.data, store.home), fitted).schema
