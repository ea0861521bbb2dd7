"""`netloom import`: a network from elsewhere as a document of its own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from builder.cli.command import Command, Context, Failure


class Import(Command):
    """Makes a document and its weights from an ONNX or Keras file."""

    name = "import"
    summary = "make a document of an ONNX or Keras file, with its weights beside it"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", metavar="FILE", help="an ONNX file with its weights inside, a .keras file, or a Keras model as JSON"
        )
        parser.add_argument(
            "--to", metavar="DOCUMENT", help="write DOCUMENT.json (else it becomes a project of the app)"
        )
        parser.add_argument("--name", metavar="NAME", default="", help="what it is called (else as the file)")
        parser.add_argument("--force", action="store_true", help="write even where the files exist")

    def run(self, asked: Namespace, context: Context) -> int:
        targets = _targets(Path(asked.to), force=asked.force) if asked.to else None
        if len(asked.name) > 200:
            raise Failure("A name has at most 200 characters.")
        from builder.compile.importers import read_model

        found = read_model(asked.file, asked.name)
        value = {"name": found.project.name, "remarks": list(found.remarks), "weights": len(found.weights)}
        if targets:
            from safetensors.torch import save

            from builder.graph import write, write_bytes
            from builder.train.checkpoints import separate

            document, weights = targets
            write_bytes(weights, save(separate(found.weights)))
            write(document, found.project)
            value |= {"file": str(document), "weights_file": str(weights)}
            text = f"Wrote {document} and its weights, {weights}."
        else:
            from builder.store import open_store

            project = open_store(context.home).create_project(found.project)
            value |= {"project": project}
            text = (
                f"Made the project {found.project.name!r} ({project}); its weights were not kept, "
                "as --to writes them to a file."
            )
        context.answer(value, "\n".join([text, *found.remarks]))
        return 0


def _targets(document: Path, *, force: bool) -> tuple[Path, Path]:
    """The document's file and that of its weights.

    Raises:
        Failure: one of them may not be written.
    """
    if document.suffix != ".json":
        document = document.with_name(f"{document.name}.json")
    weights = document.with_suffix(".safetensors")
    if not document.parent.is_dir():
        raise Failure(f"There is no folder {str(document.parent)!r} to write to; make it first.")
    for path in (document, weights):
        if path.exists() and not force:
            raise Failure(f"{path} exists already; choose another name, or overwrite it with --force.")
    return document, weights
