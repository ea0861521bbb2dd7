"""Import of torch.export programs (.pt2). Nothing in a file is executed or unpickled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from netloom.compile.importers.imported_model import ImportedModel, TrainingFacts, UnreadableModelError
from netloom.compile.importers.torch_export.archive import looks_like_pt2, read
from netloom.core.text import plain

__all__ = ["import_file", "looks_like_pt2"]


def import_file(path: str | Path, name: str = "", facts: TrainingFacts | None = None) -> ImportedModel:
    """Import an exported program with its weights; `facts` describes its module in training mode.

    Raises:
        UnreadableModelError: The file is not an exported program, or contains something that no layer expresses.
    """
    from netloom.compile.importers.preparation import parse_exported_preprocessing
    from netloom.compile.importers.torch_export.finalization import finish
    from netloom.compile.importers.torch_export.program import parse
    from netloom.compile.importers.torch_export.reader import Reader

    path = Path(path)
    archive = read(path)
    try:
        reader = Reader(archive, parse(archive), facts)
        builder = reader.build()
        imported = finish(builder, reader.owners, plain(name or path.stem)[:200] or "Imported network")
        return replace(imported, prepare=parse_exported_preprocessing(archive.preprocess))
    except RecursionError:
        raise UnreadableModelError("The program is nested too deeply to be imported.") from None
    except MemoryError:
        raise UnreadableModelError("The program is too large for the memory of this machine.") from None
