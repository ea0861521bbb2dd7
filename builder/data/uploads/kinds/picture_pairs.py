"""Pairs of pictures with a label, such as same and different, for networks with twins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.data import forms
from builder.data.raw import Images, Raw
from builder.data.schema import DataError
from builder.data.twins import Twins
from builder.data.uploads.base import PREVIEWED, Answers, Kept, Question, Reader, Tell, check_options, with_default
from builder.data.uploads.filetables import label_columns, naming_tables, rows_of
from builder.data.uploads.pictures import GREY, SIZE, brought_to, load_arrays, read_pictures, thumbnails
from builder.data.uploads.source import Source
from builder.data.uploads.tabular import TASK, known_rows, target_of

if TYPE_CHECKING:
    import pandas as pd

FIRST = Question("first", "First file", "choice", "The column that names the first picture", when_added=True)
SECOND = Question("second", "Second file", "choice", "The column that names the second picture", when_added=True)
TARGET = Question("target", "Column to predict", "choice", "What is to be predicted from the pair")


class PicturePairs(Reader):
    """Two pictures by row of a table."""

    name = "picture_pairs"
    title = "Pairs of pictures"
    about = "A zip of pictures and a table whose rows name two of them and say whether they belong together."
    kind = "image"
    target_question = "target"

    def likely(self, source: Source) -> float:
        pictures = source.members.of(forms.PICTURE)
        found = naming_tables(source, pictures) if pictures else []
        return 0.9 if found and len(found[0][1]) == 2 and _labels(source, *found[0]) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        name, naming = _naming(source)
        first = str(answers.get("first", naming[0]))
        second = next((column for column in naming if column != first), naming[-1])
        labels = label_columns(source.table(name)[0], [first, str(answers.get("second", second))])
        if not labels:
            raise DataError(f"{name[:100]!r} names two files by row, but has no other column that says what they are.")
        return [
            with_default(FIRST, naming[0], naming),
            with_default(SECOND, second, naming),
            with_default(TARGET, labels[-1], labels),
            TASK,
            SIZE,
            GREY,
        ]

    def learned(self, source: Source, answers: Answers) -> str:
        return f"To tell {answers.get('target')!r} from two pictures, by the same network for both."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        table = self._rows(source, answers, []).head(PREVIEWED).reset_index(drop=True)
        pictures = {
            f"picture {place}": thumbnails(source, [str(name) for name in table[answers[column]]])
            for place, column in enumerate(("first", "second"), 1)
        }
        return pd.concat([pd.DataFrame(pictures), table], axis=1)

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        notes: list[str] = []
        table = self._rows(source, answers, notes)
        pairs = table[[answers["first"], answers["second"]]].to_numpy()
        names = sorted({str(name) for name in pairs.ravel()})
        pixels = read_pictures(source, names, tell)
        place = {name: number for number, name in enumerate(names)}
        tell(0.88, "Keeping them")
        np.savez(
            folder / "images.npz", pixels=pixels, pairs=np.array([[place[str(name)] for name in row] for row in pairs])
        )
        labels = label_columns(table, [answers["first"], answers["second"]])
        table[labels].to_parquet(folder / "labels.parquet")
        summary = f"{len(table):,} pairs of {len(names):,} pictures; predicts {answers['target']}"
        return Kept(len(table), summary, labels, notes, {"side": pixels.shape[1]})

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> Raw:
        import pandas as pd

        table = pd.read_parquet(folder / "labels.parquet")
        asked = [
            with_default(TARGET, meta["options"]["target"], list(table.columns)),
            TASK,
            SIZE,
            GREY,
        ]
        chosen = check_options(options, asked, str(meta["title"]), "Pairs of pictures")
        warnings: list[str] = []
        known = known_rows(table, [chosen["target"]], warnings)
        arrays = load_arrays(folder)
        pixels = brought_to(arrays["pixels"], chosen["size"], chosen["grey"])
        pairs = arrays["pairs"][known.index.to_numpy()]
        target = target_of(known[chosen["target"]], chosen["task"], str(meta["title"]))
        rest = {"target": target["target"], "target_kind": target["target_kind"]}
        parts = tuple(
            Images(name=name, pixels=pixels[pairs[:, place]], **rest) for place, name in enumerate(("first", "second"))
        )
        return Twins(name="", parts=parts, warnings=warnings, **target)

    def _rows(self, source: Source, answers: Answers, notes: list[str]) -> pd.DataFrame:
        name, _ = _naming(source)
        table, said = source.table(name)
        notes += said
        return rows_of(table, [answers["first"], answers["second"]], source.members.of(forms.PICTURE), notes)


def _naming(source: Source) -> tuple[str, list[str]]:
    found = naming_tables(source, source.members.of(forms.PICTURE))
    if not found or len(found[0][1]) < 2:
        raise DataError("No table beside the pictures names two of them by row, each in a column of its own.")
    return found[0]


def _labels(source: Source, name: str, naming: list[str]) -> list[str]:
    return label_columns(source.table(name)[0], naming)
