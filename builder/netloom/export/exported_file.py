"""Exported files: written in a format, loaded again, and compared with the app before anyone receives them."""

from __future__ import annotations

from pathlib import Path

from netloom.core.text import file_stem
from netloom.document import write_bytes
from netloom.export.format import ExportError, Format, Report, Trained, registry
from netloom.export.gan_generator import generator
from netloom.export.verification import difference

GENERATOR = "The file contains the generator; the discriminator is used only in training."
# The endings of files within the zips, with which the programs for such files would try to open a zip
_INNER = frozenset({".html", ".ipynb", ".json", ".md", ".onnx", ".pt2", ".py", ".safetensors"})


def content(trained: Trained, name: str) -> bytes:
    """Return a trained network in a format, as the bytes of one file that was verified to give the outputs of the app.

    Raises:
        ExportError: The format does not exist or does not support this network, or the outputs of the file differ.
    """
    return _written(trained, _format(name))[0]


def export(
    trained: Trained, name: str, path: str | Path, card: str = "", *, runtime_home: Path | None = None
) -> Report:
    """Write a trained network in a format to `path`, or into the folder `path` under its default name.

    The file gets the model card `card`, the result of `model_card.export_card`, if its format has a place for it. With
    a data folder `runtime_home`, it includes the runtime of its format, which that folder keeps.

    Nothing is written if the outputs of the file differ from those of the app.

    Raises:
        ExportError: The format or the folder does not exist, the format does not support this network, its runtime
            cannot be included, or the outputs of the file differ.
        OSError: The file cannot be written.
    """
    kind, path = _format(name), destination(trained, name, path)
    if not path.parent.is_dir():
        raise ExportError(f"There is no folder {str(path.parent)[:200]!r} to write to; create it first.")
    if runtime_home is not None:
        kind = kind.with_runtime(runtime_home)
    content, difference = _written(trained, kind)
    write_bytes(path, kind.with_card(content, card) if card else content)
    part = GENERATOR if kind.tolerance is not None and trained.objective.task.generates_input else ""
    return Report(path, difference, kind.tolerance, part)


def destination(trained: Trained, name: str, path: str | Path) -> Path:
    """Return the file that `export` writes: `path`, or a file named after the project if `path` is a folder.

    Raises:
        ExportError: there is no such format, or it writes a zip, and the name is that of a file within it.
    """
    path, export_format = Path(path), _format(name)
    if export_format.suffix.endswith(".zip") and path.suffix.lower() in _INNER and not path.is_dir():
        raise ExportError(f"The format {name} writes a zip; let the name end with .zip instead of {path.suffix[:20]}.")
    return path / filename(trained, name) if path.is_dir() else path


def _written(trained: Trained, kind: Format) -> tuple[bytes, float | None]:
    """Return the file, and the largest difference of its outputs from the app; None without outputs to compare."""
    from netloom.runs.prediction.external_network import ExternalNetwork  # imports PyTorch

    if isinstance(trained.model, ExternalNetwork):
        if not kind.contains_onnx:
            *names, last = [other.title for other in registry().values() if other.contains_onnx]
            raise ExportError(
                f"{kind.title}: {trained.variant} is an ONNX file, which this format cannot contain; export it as "
                f"{', '.join(names)} or {last}, or export the run itself."
            )
    # Only files with a runnable network are reduced to the generator; drawings show the whole GAN.
    elif kind.tolerance is not None:
        trained = generator(trained) or trained
    content = kind.content(trained)
    if kind.tolerance is None:
        return content, None
    error = difference(kind, trained, content)
    # With `>`, NaN would pass.
    if not error <= kind.tolerance:
        raise ExportError(
            f"{kind.title}: the outputs of the file differ from the app's by {error:.2g}, but at most "
            f"{kind.tolerance:g} is allowed, so the file was discarded."
        )
    return content, error


def filename(trained: Trained, name: str) -> str:
    """Return a file name derived from the name of the project, and from that of a variant."""
    variant = f"-{file_stem(Path(trained.variant).stem)}" if trained.variant else ""
    return f"{file_stem(trained.project.name)}{variant}{_format(name).suffix}"


def _format(name: str) -> Format:
    export_format = registry().get(name)
    if export_format is None:
        raise ExportError(f"There is no export format {name[:60]!r}; choose one of {', '.join(registry())}.")
    return export_format
