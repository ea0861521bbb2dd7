"""Import of torch.export programs (.pt2). Nothing in a file is executed or unpickled."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.compile.importers.imported_model import (
    ImportedModel,
    TrainingFacts,
    UnreadableModelError,
    with_batch_axis,
)
from netloom.compile.importers.torch_export.archive import looks_like_pt2, read
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.compile.importers.torch_export.archive import Archive
    from netloom.compile.importers.torch_export.program import Program

__all__ = ["import_file", "looks_like_pt2"]


def import_file(path: str | Path, name: str = "", facts: TrainingFacts | None = None) -> ImportedModel:
    """Import an exported program with its weights; `facts` describes its module in training mode.

    Raises:
        UnreadableModelError: The file is not an exported program, or contains something that no layer expresses.
    """
    from netloom.compile.importers.torch_export.program import parse

    path = Path(path)
    archive = read(path)
    name = plain(name or path.stem)[:200] or "Imported network"
    try:
        program = parse(archive, unrolls=False)
        if any(item.body is not None for item in program.operators):
            # A loop that cannot be a network along an axis is unrolled.
            with suppress(UnreadableModelError):
                return _imported(archive, program, name, facts)
            program = parse(archive)
        return _imported(archive, program, name, facts)
    except RecursionError:
        raise UnreadableModelError("The program is nested too deeply to be imported.") from None
    except MemoryError:
        raise UnreadableModelError("The program is too large for the memory of this machine.") from None


def _imported(archive: Archive, program: Program, name: str, facts: TrainingFacts | None) -> ImportedModel:
    """The document of a program, with its weights.

    Raises:
        UnreadableModelError: The program contains something that no layer expresses.
    """
    from netloom.compile.importers.preparation import parse_exported_preprocessing
    from netloom.compile.importers.torch_export.finalization import finish
    from netloom.compile.importers.torch_export.operators.recurrent import is_time_first, with_batch_axes
    from netloom.compile.importers.torch_export.reader import Reader

    def converted(time_first: bool) -> Reader:
        reader = Reader(archive, with_batch_axes(program, time_first=time_first), facts)
        reader.build()
        return reader

    reader = with_batch_axis(converted, can_be_time_first=lambda: is_time_first(program))
    imported = finish(reader.builder, reader.owners, name)
    return replace(imported, prepare=parse_exported_preprocessing(archive.preprocess))
