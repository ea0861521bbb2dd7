"""`netloom train --job`: a run as a job file for the scheduler of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.command import Context
from netloom.cli.files import new_file
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.document import Project

IMAGE = "netloom"
START_COMMANDS = {".yaml": "kubectl apply -f", ".yml": "kubectl apply -f", ".sh": "sbatch", ".sbatch": "sbatch"}


def write_job(project: Project, workers: int, file: str, image: str, context: Context, *, force: bool = False) -> int:
    """Write a RayJob or a batch script that trains `project`. Returns the exit code.

    Raises:
        UsageError: the file name does not end in .yaml, .yml, .sh or .sbatch.
        CompileError: the project has errors.
        StartError: the project cannot be trained on a cluster.
    """
    from netloom.compile import CompileError
    from netloom.data import schema
    from netloom.document import write_bytes
    from netloom.runs import cluster
    from netloom.runs.cluster.manifest import rayjob, slurm
    from netloom.validation import analyze

    if Path(file).suffix not in START_COMMANDS:
        raise UsageError(f"--job takes a name that ends in .yaml (Kubernetes) or .sh (Slurm), received {file[:80]!r}.")
    path = new_file(file, force=force)
    cluster.check(project, workers, on_this_machine=False)
    analysis = analyze(project, schema(project.data, context.home))
    if analysis.errors:
        raise CompileError(analysis.errors)
    command = START_COMMANDS[path.suffix]
    text = slurm(project, workers) if command == "sbatch" else rayjob(project, workers, image)
    write_bytes(path, text.encode())
    context.answer({"job": str(path), "workers": workers}, f"Wrote {path}; {command} {path} starts it.")
    return 0
