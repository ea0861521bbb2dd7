"""`netloom import`: convert a model of PyTorch, ONNX, Keras or Hugging Face to a document with weights."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure
from netloom.cli.files import add_force_argument, existing, new_file
from netloom.cli.selection import add_prepare_argument
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.compile.importers import ImportedModel
    from netloom.document import Project


class Import(Command):
    """Writes a document and a weights file, or creates a project in the app."""

    name = "import"
    summary = "import a PyTorch, ONNX, Keras or Hugging Face model with its weights"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            metavar="MODEL",
            help="a .pt2 program of torch.export; an ONNX file, with its weights inside or in a file beside it; a "
            ".keras file, or a Keras model as JSON; a Hugging Face folder with config.json and safetensors (BERT, "
            "DistilBERT, GPT-2, ViT), or "
            "its name at the Hub (hf:owner/name); or MODULE:NAME, which imports your Python module from the current "
            "folder and RUNS ITS CODE: NAME is a torch.nn.Module, or a class or function that returns one without "
            "arguments",
        )
        parser.add_argument(
            "--input",
            metavar="SHAPE",
            action="append",
            default=[],
            help="with MODULE:NAME: shape of an input, such as 1x3x224x224, or 1x64:int for integers; repeatable "
            "(default: the attribute example_inputs)",
        )
        parser.add_argument(
            "--to", metavar="DOCUMENT", help="write DOCUMENT.json (default: create a project in the app)"
        )
        parser.add_argument(
            "--network",
            metavar="NAME",
            default="",
            help="with a state dict (.pt, .pth or .safetensors): the network of the weights, as a template, a project "
            "id or a document (default: list the ones that fit)",
        )
        add_prepare_argument(parser, "from the file, otherwise pixels scaled to 0–1 and numbers unchanged")
        parser.add_argument("--name", metavar="NAME", default="", help="name of the project (default: from the file)")
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        if not arguments.to:
            refuse_unused(self, arguments, ["force"], without="--to")
        targets = _output_files(Path(arguments.to), force=arguments.force) if arguments.to else None
        if len(arguments.name) > 200:
            raise UsageError("A name has at most 200 characters.")
        imported = _read_model(arguments, context)
        value = {"name": imported.project.name, "remarks": list(imported.remarks), "weights": len(imported.weights)}
        value["prepare"] = imported.project.data.model_dump(mode="json")["prepare"]
        if targets:
            from safetensors.torch import save

            from netloom.document import write, write_bytes
            from netloom.training.weights.checkpoints import separate

            document, weights = targets
            write(document, imported.project)
            value |= {"file": str(document)}
            text = f"Wrote {document}; the model has no weights."
            if imported.weights:
                write_bytes(weights, save(separate(imported.weights)))
                value |= {"weights_file": str(weights)}
                text = f"Wrote {document} and its weights, {weights}, for netloom train --from."
        else:
            from netloom.store import open_store
            from netloom.training import save_import

            store = open_store(context.home)
            project = save_import(store, imported)
            value |= {"project": project, "initial_weights": store.load(project).project.training.initial_weights}
            start = (
                f"it is initialized with the {len(imported.weights):,} tensors of the model"
                if imported.weights
                else "the model has no weights"
            )
            text = f"Created the project {imported.project.name!r} ({project}); {start}."
        context.answer(value, "\n".join([text, *imported.remarks]))
        return 0


def _read_model(arguments: Namespace, context: Context) -> ImportedModel:
    """Read the model from a file, a folder, the Hub, or a Python module of the user."""
    from netloom.cli.custom_module import names_python_object, record
    from netloom.compile.importers import read_model
    from netloom.data.downloads import fetch_model, remote_source
    from netloom.sandbox import read_models
    from netloom.training import pretrained
    from netloom.training.weights.state_dicts import is_state_dict

    source = remote_source(arguments.file)
    if source is not None and source.kind == "hub":
        with TemporaryDirectory(prefix="netloom-") as folder:
            model_folder = fetch_model(source.name, Path(folder), lambda share, step: None, server=False)
            return read_models(model_folder, arguments.name, arguments.prepare)[0]
    if pretrained.is_folder(arguments.file):
        if arguments.input:
            raise UsageError("--input is for MODULE:NAME; the folder defines the inputs.")
        return read_models(Path(arguments.file), arguments.name, arguments.prepare)[0]
    if is_state_dict(Path(arguments.file)):
        return _read_state_dict(existing(arguments.file), arguments, context)
    if arguments.network:
        raise UsageError("--network is for a state dict; this model contains its network.")
    if not names_python_object(arguments.file):
        if arguments.input:
            raise UsageError("--input is for MODULE:NAME; the file defines the inputs.")
        return read_models(existing(arguments.file), arguments.name, arguments.prepare)[0]
    with TemporaryDirectory() as folder:
        target = Path(folder) / "model.pt2"
        # The module's code has run in this process already, so its program is not read in the sandbox.
        name, facts = record(arguments.file, arguments.input, target)
        return read_model(target, arguments.name or name, facts, arguments.prepare)


def _read_state_dict(path: Path, arguments: Namespace, context: Context) -> ImportedModel:
    """Assign weights without a network to the network that `--network` names.

    Raises:
        Failure: no network is named; the message lists the ones that fit.
    """
    from netloom.sandbox import read_tensors
    from netloom.store import open_store
    from netloom.templates.fitting import fit_to, fitting_networks, question, with_weights

    tensors = read_tensors(path)
    if not arguments.network:
        networks = fitting_networks(open_store(context.home), tensors)
        lines = [f"  --network {network.name}    {network.described}" for network in networks]
        raise Failure("\n".join([question(tensors, networks), *lines]))
    project = _network(arguments.network, context)
    if arguments.prepare:
        data = project.data.model_copy(update={"prepare": arguments.prepare})
        project = project.model_copy(update={"data": data})
    return with_weights(fit_to(project, arguments.network, tensors), tensors, arguments.name)


def _network(name: str, context: Context) -> Project:
    """The document of a template, a project or a file."""
    from netloom.core.field_errors import unknown_name
    from netloom.document import read
    from netloom.store import NotFoundError, open_store
    from netloom.templates import Architecture, Template, architectures, templates

    documents: dict[str, Template | Architecture] = {**templates(), **architectures()}
    if name in documents:
        return documents[name].project
    if Path(name).is_file():
        return read(name)
    try:
        return open_store(context.home).load(name).project
    except NotFoundError:
        raise UsageError(unknown_name(name, documents, "template", "Netloom")) from None


def _output_files(document: Path, *, force: bool) -> tuple[Path, Path]:
    """Return the paths of the document and of its weights.

    Raises:
        UsageError: one of them exists, or its folder does not.
    """
    if document.suffix != ".json":
        document = document.with_name(f"{document.name}.json")
    weights = document.with_suffix(".safetensors")
    return new_file(document, force=force), new_file(weights, force=force)
