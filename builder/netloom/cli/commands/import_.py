"""`netloom import`: a network from elsewhere as a document of its own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context
from netloom.cli.files import existing, force_argument, new_file
from netloom.cli.selection import prepare_argument
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.compile.importers import Imported


class Import(Command):
    """Makes a document and its weights from a PyTorch, ONNX or Keras file, or from a person's own PyTorch module."""

    name = "import"
    summary = "import a PyTorch, ONNX, Keras or Hugging Face model with its weights"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            metavar="MODEL",
            help="a .pt2 program of torch.export, an ONNX file with its weights inside, a .keras file, a Keras model "
            "as JSON; a folder with config.json and safetensors as Hugging Face writes it (BERT, DistilBERT, GPT-2, "
            "ViT), or its name at the hub (hf:owner/name); or MODULE:FUNCTION, which imports your own Python module "
            "from this folder and RUNS ITS CODE: the function, called with nothing, or the class or variable gives "
            "the torch.nn.Module",
        )
        parser.add_argument(
            "--input",
            metavar="SHAPE",
            action="append",
            default=[],
            help="for MODULE:FUNCTION, shape of each input: 1x3x224x224, or 1x64:int for integers; repeatable "
            "(default: from its attribute example_inputs)",
        )
        parser.add_argument(
            "--to", metavar="DOCUMENT", help="write DOCUMENT.json (default: create a project in the app)"
        )
        prepare_argument(parser, "from the file, otherwise pixels scaled to 0–1 and numbers unchanged")
        parser.add_argument("--name", metavar="NAME", default="", help="name of the project (default: from the file)")
        force_argument(parser)

    def run(self, asked: Namespace, context: Context) -> int:
        targets = _targets(Path(asked.to), force=asked.force) if asked.to else None
        if len(asked.name) > 200:
            raise UsageError("A name has at most 200 characters.")
        from netloom.document import to_json

        found = _read(asked)
        value = {"name": found.project.name, "remarks": list(found.remarks), "weights": len(found.weights)}
        value["prepare"] = to_json(found.project)["data"].get("prepare", "standardize")
        if targets:
            from safetensors.torch import save

            from netloom.document import write, write_bytes
            from netloom.training.checkpoints import separate

            document, weights = targets
            write(document, found.project)
            value |= {"file": str(document)}
            text = f"Wrote {document}; the model has no weights."
            if found.weights:
                write_bytes(weights, save(separate(found.weights)))
                value |= {"weights_file": str(weights)}
                text = f"Wrote {document} and its weights, {weights}, for netloom train --from."
        else:
            from netloom.store import open_store
            from netloom.training import adopt

            store = open_store(context.home)
            project = adopt(store, found)
            value |= {"project": project, "start": store.load(project).project.training.start}
            start = f"training starts from its {len(found.weights):,} tensors" if found.weights else "it has no weights"
            text = f"Made the project {found.project.name!r} ({project}); {start}."
        context.answer(value, "\n".join([text, *found.remarks]))
        return 0


def _read(asked: Namespace) -> Imported:
    """The model of a file, or of the person's own code."""
    from netloom.cli.custom_module import is_own, record
    from netloom.compile.importers import read_model
    from netloom.data.downloads import asked_for, fetch_model
    from netloom.sandbox import read_models
    from netloom.training import pretrained

    wanted = asked_for(asked.file)
    if wanted is not None and wanted.kind == "hub":
        with TemporaryDirectory(prefix="netloom-") as folder:
            found = fetch_model(wanted.name, Path(folder), lambda share, what: None, server=False)
            return read_models(found, asked.name, asked.prepare)[0]
    if pretrained.is_folder(asked.file):
        if asked.input:
            raise UsageError("--input is for MODULE:FUNCTION; the folder defines the inputs.")
        return read_models(Path(asked.file), asked.name, asked.prepare)[0]
    if not is_own(asked.file):
        if asked.input:
            raise UsageError("--input is for MODULE:FUNCTION; the file defines the inputs.")
        return read_models(existing(asked.file), asked.name, asked.prepare)[0]
    with TemporaryDirectory() as folder:
        target = Path(folder) / "model.pt2"
        called, facts = record(asked.file, asked.input, target)
        return read_model(target, asked.name or called, facts, asked.prepare)


def _targets(document: Path, *, force: bool) -> tuple[Path, Path]:
    """The document's file and that of its weights.

    Raises:
        UsageError: one of them may not be written.
    """
    if document.suffix != ".json":
        document = document.with_name(f"{document.name}.json")
    weights = document.with_suffix(".safetensors")
    return new_file(document, force=force), new_file(weights, force=force)
