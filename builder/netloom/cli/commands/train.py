"""`netloom train`: start a run from a document, and show its progress until it ends."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure, whole
from netloom.cli.files import add_force_argument
from netloom.cli.job import IMAGE, write_job
from netloom.cli.lr_finder import find_rate
from netloom.cli.selection import add_prepare_argument, find_run
from netloom.cli.training_options import list_settings, with_settings
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.document import Project
    from netloom.store import Store


FRESH = "fresh"


class Train(Command):
    """Starts a run in a worker process, as the app does, and shows its progress and test metrics."""

    name = "train"
    summary = "train the network of a document and evaluate it on the test split"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", nargs="?", help="project document")
        parser.add_argument(
            "--data",
            metavar="NAME",
            help="dataset to use; `netloom data list` lists all (default: that of the document)",
        )
        add_prepare_argument(parser, "that of the document")
        parser.add_argument(
            "--epochs",
            type=whole(0, 10_000),
            metavar="N",
            help="number of epochs; 0: evaluate only (default: that of the document)",
        )
        parser.add_argument(
            "--from",
            dest="start",
            metavar="RUN|WEIGHTS",
            help='initialization: the best weights of a run (or "last"), a safetensors file, a Hugging Face folder, '
            "or fresh for random weights (default: that of the document)",
        )
        parser.add_argument(
            "--seed",
            type=whole(0, 2**31 - 1),
            metavar="SEED",
            help="random seed of the weights and of the order of the rows (default: that of the document)",
        )
        _add_backend_arguments(parser)
        parser.add_argument(
            "--device", choices=("auto", "cpu", "cuda"), help="hardware to train on (default: that of the document)"
        )
        parser.add_argument(
            "--set",
            dest="settings",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="training setting, such as optimizer=sgd, momentum=0.8, layer_lr_multipliers.conv2d_1=0.1, or "
            "class_weights=1,3; --settings lists all; repeatable",
        )
        parser.add_argument(
            "--find-rate", action="store_true", help="run an LR range test, print the suggested learning rate and exit"
        )
        parser.add_argument(
            "--settings", dest="listed", action="store_true", help="list all settings with their defaults and exit"
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        if arguments.listed:
            return list_settings(context)
        if arguments.file is None:
            raise UsageError("Give a document to train, or use --settings.")
        from netloom import runs, training
        from netloom.cli.run_progress import follow, report_run
        from netloom.data import with_dataset_id
        from netloom.data.quality.severe_findings import high_findings
        from netloom.document import read
        from netloom.runs.owner import terminal_owner
        from netloom.runs.processes import warm
        from netloom.store import open_store
        from netloom.training.speed.device import choose

        if arguments.backend == "local":
            refuse_unused(self, arguments, ["workers", "job"], without="--backend ray")
        if arguments.job is None:
            refuse_unused(self, arguments, ["force", "image"], without="--job")
        document = with_dataset_id(read(arguments.file), context.home)
        if not arguments.find_rate and arguments.job is None:
            warm(context.home)  # imports torch in the process for the worker while this one checks the project
        project = _project(document, arguments, context)
        # The machines of a cluster may have a GPU where this one has none, so they check it themselves.
        if arguments.backend == "local" or arguments.find_rate:
            try:
                choose(project.training.device)
            except ValueError as error:
                raise Failure(str(error)) from None
        if arguments.find_rate:
            return find_rate(project, context)
        store = open_store(context.home)
        if arguments.start is not None:
            project = training.starting_from(project, _initial_weights(store, project, arguments.start, context))
        _note_initialization(store, project, context)
        for finding in high_findings(project.data, context.home):
            context.note(f"! {plain(finding.message)}")
        if arguments.job is not None:
            return write_job(
                project, _workers(arguments), arguments.job, arguments.image, context, force=arguments.force
            )
        run_id = runs.start(
            store, store.find_or_create_project(document), project, workers=_workers(arguments), owner=terminal_owner()
        )
        context.note(f"Run {run_id} of {plain(project.name)!r}; Ctrl-C stops it.")
        run, interrupted = follow(store, run_id, context)
        return report_run(store, run, context, is_interrupted=interrupted)


def _add_backend_arguments(parser: ArgumentParser) -> None:
    add_backend_argument(parser)
    parser.add_argument(
        "--workers", type=whole(1, 1_024), metavar="N", help="with --backend ray: number of workers (default: 1)"
    )
    parser.add_argument(
        "--job",
        metavar="FILE",
        help="with --backend ray: write a job instead of starting the run: a RayJob for Kubernetes (FILE.yaml) or "
        "a batch script for Slurm (FILE.sh)",
    )
    add_force_argument(parser)
    parser.add_argument(
        "--image",
        metavar="NAME",
        default=IMAGE,
        help="with --job: container image of the pods (default: %(default)s)",
    )


def add_backend_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--backend",
        choices=("local", "ray"),
        default="local",
        help="execution backend: this machine, or the Ray cluster at RAY_ADDRESS (default: local)",
    )


def _workers(arguments: Namespace) -> int:
    """Return the number of workers on a cluster; 0 trains on this machine."""
    return 0 if arguments.backend == "local" else int(arguments.workers or 1)


def _project(document: Project, arguments: Namespace, context: Context) -> Project:
    """Return the document with the dataset and the settings of the command line.

    Raises:
        UsageError: there is no such dataset.
        Failure: there is no data to train on.
    """
    from netloom.data.dataset_lookup import find_dataset
    from netloom.validation.project_check import with_dataset, with_fields

    project = document
    if arguments.data is not None:
        project, remarks = with_dataset(document, find_dataset(context.home, arguments.data).name, context.home)
        for remark in remarks:
            context.note(plain(remark))
    data, training = project.data, project.training
    fields = {"epochs": arguments.epochs, "seed": arguments.seed, "device": arguments.device}
    training = training.model_copy(update={key: value for key, value in fields.items() if value is not None})
    try:
        training = with_settings(training, arguments.settings)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if arguments.prepare is not None:
        data = data.model_copy(update={"prepare": arguments.prepare})
    if not data.dataset:
        raise Failure("This document has no dataset; choose one with --data.")
    return with_fields(project.model_copy(update={"training": training, "data": data}), context.home)


def _initial_weights(store: Store, project: Project, start_from: str, context: Context) -> str:
    """Return the value of `training.initial_weights` for `--from`.

    The weights of a file, or those of a Hugging Face folder that fit the network, are copied into the data folder.

    Raises:
        UsageError: there is neither such a file nor such a run.
        StartError: no weights of the folder fit.
        UnreadableModelError: the folder cannot be read.
    """
    from netloom.sandbox import keep_folder
    from netloom.store import weights
    from netloom.training import pretrained

    if start_from == FRESH:
        return ""
    path = Path(start_from)
    if pretrained.is_folder(path):
        reference, remarks = keep_folder(store, project, path)
        for remark in remarks:
            context.note(remark)
        return reference
    if path.suffix != ".safetensors" and not path.is_file():
        return f"run:{find_run(store, start_from).id}"
    try:
        if path.stat().st_size > weights.MAX_BYTES:
            raise Failure(f"{path} has more than {weights.MAX_BYTES:,} bytes, too large to be stored.")
        return f"weights:{weights.keep(store.home, path.read_bytes())}"
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None


def _note_initialization(store: Store, project: Project, context: Context) -> None:
    """Note which layers start from existing weights. A network with errors is left to the check of the run."""
    from netloom.compile import CompileError, source
    from netloom.data import schema
    from netloom.data.preparation.default_preprocessing import preparation_sentence, quantities_of
    from netloom.training import check_start

    try:
        initialization = check_start(store, project, source(project)) if project.training.initial_weights else None
    except CompileError:
        return
    if initialization is not None:
        context.note(initialization.sentence())
    if initialization is not None or project.data.prepare != "standardize":
        sentence = preparation_sentence(project.data.prepare, quantities_of(schema(project.data, context.home)))
        if sentence:
            context.note(sentence)
