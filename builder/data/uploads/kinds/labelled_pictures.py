"""Pictures with a table beside them that says a class or a number for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.data import forms
from builder.data.raw import Images, Raw
from builder.data.schema import DataError
from builder.data.tables import default_target
from builder.data.uploads.base import PREVIEWED, Answers, Kept, Question, Reader, Tell, check_options, with_default
from builder.data.uploads.filetables import label_columns, naming_tables, rows_of
from builder.data.uploads.pictures import (
    GREY,
    SIZE,
    brought_to,
    given_parts,
    load_arrays,
    read_pictures,
    set_given,
    thumbnails,
)
from builder.data.uploads.source import Source
from builder.data.uploads.tabular import TASK, known_rows, target_of

if TYPE_CHECKING:
    import pandas as pd

FILE = Question("file", "File column", "choice", "Which names the picture of each row", when_added=True)
TARGET = Question("target", "Column to predict", "choice", "What is to be predicted from a picture")


class LabelledPictures(Reader):
    """Pictures and a table of labels: classes, or numbers for regression."""

    name = "labelled_pictures"
    title = "Pictures and a table"
    about = "A zip of pictures and a table (CSV, JSON, Parquet) that names each file and says its class or number."
    kind = "image"
    target_question = "target"

    def likely(self, source: Source) -> float:
        pictures = source.members.of(forms.PICTURE)
        return 0.8 if pictures and naming_tables(source, pictures) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        name, naming = self._naming(source)
        table, _ = source.table(name)
        file = answers.get("file", naming[0])
        labels = label_columns(table, [str(file)])
        if not labels:
            raise DataError(f"{name[:100]!r} names files, but has no other column that says what they are.")
        guess = default_target(table[labels])
        return [
            with_default(FILE, naming[0], naming),
            with_default(TARGET, guess, labels),
            TASK,
            SIZE,
            GREY,
        ]

    def learned(self, source: Source, answers: Answers) -> str:
        return f"To tell {answers.get('target')!r} from a picture."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        table = self._rows(source, answers, []).head(PREVIEWED)
        names = [str(name) for name in table[answers["file"]]]
        pictures = pd.DataFrame({"picture": thumbnails(source, names)})
        return pd.concat([pictures, table.reset_index(drop=True)], axis=1)

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        notes: list[str] = []
        table = self._rows(source, answers, notes)
        names = [str(name) for name in table[answers["file"]]]
        pixels = read_pictures(source, names, tell)
        tell(0.88, "Keeping them")
        arrays: dict[str, Any] = {"pixels": pixels}
        parts = given_parts(names)
        if parts is not None:
            arrays["parts"] = parts
        np.savez(folder / "images.npz", **arrays)
        table.drop(columns=answers["file"]).to_parquet(folder / "labels.parquet")
        labels = label_columns(table, [answers["file"]])
        summary = f"{len(names):,} pictures; predicts {answers['target']}"
        return Kept(len(names), summary, labels, notes, {"side": pixels.shape[1]})

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> Raw:
        import pandas as pd

        table = pd.read_parquet(folder / "labels.parquet")
        asked = [
            with_default(TARGET, meta["options"]["target"], list(table.columns)),
            TASK,
            SIZE,
            GREY,
        ]
        chosen = check_options(options, asked, str(meta["title"]), "Pictures")
        warnings: list[str] = []
        known = known_rows(table, [chosen["target"]], warnings)
        arrays = load_arrays(folder)
        rows = known.index.to_numpy()
        raw = Images(
            name="image",
            warnings=warnings,
            pixels=brought_to(arrays["pixels"][rows], chosen["size"], chosen["grey"]),
            **target_of(known[chosen["target"]], chosen["task"], str(meta["title"])),
        )
        set_given(raw, arrays["parts"][rows] if "parts" in arrays else None)
        return raw

    def _naming(self, source: Source) -> tuple[str, list[str]]:
        found = naming_tables(source, source.members.of(forms.PICTURE))
        if not found:
            raise DataError(
                "No table beside the pictures names them; it needs a column with the files' names, such as cat1.png."
            )
        return found[0]

    def _rows(self, source: Source, answers: Answers, notes: list[str]) -> pd.DataFrame:
        name, _ = self._naming(source)
        table, said = source.table(name)
        notes += said
        return rows_of(table, [answers["file"]], source.members.of(forms.PICTURE), notes)
