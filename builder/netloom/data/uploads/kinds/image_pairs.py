"""Pairs of images with a label, such as same and different, for Siamese networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.data import file_types
from netloom.data.paired_fields import PairedFieldsDataset
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.splits.given_splits import NO_PART, file_parts
from netloom.data.tables.target_guess import GUESSES
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.file_labels.filetables import NamingTable, label_columns, naming_table, rows_of
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import (
    GRAY,
    SIZE,
    load_arrays,
    read_pictures,
    stored_images,
    thumbnails,
    with_thumbnails,
)
from netloom.data.uploads.label_separators import separators_meta, with_separators
from netloom.data.uploads.pairing import FIELDS, likely_relations
from netloom.data.uploads.tabular import GROUP, SPLIT, TASK, groups_of_column, known_rows, parts_of_column, target_of
from netloom.data.uploads.upload_kind import (
    PREVIEWED,
    Answers,
    Question,
    Reader,
    StoredUpload,
    check_options,
    with_default,
)
from netloom.data.uploads.upload_meta import ReaderMeta, UploadMeta

if TYPE_CHECKING:
    import pandas as pd

FIRST = Question("first", "First file", "choice", "Column with the file of the first image", when_added=True)
SECOND = Question("second", "Second file", "choice", "Column with the file of the second image", when_added=True)
TARGET = Question("target", "Column to predict", "choice", "The target of the pair")


class PicturePairs(Reader):
    """A table whose rows name two images each.

    Attributes:
        files: The questions for the columns that name the images of a row.
        noun: What the rows are.
    """

    name = "picture_pairs"
    title = "Pairs of images"
    about = (
        "A zip of images and a table whose rows name two of them and say whether they belong together; or folders such "
        "as same/1 and different/2 with two images each."
    )
    kind = "image"
    target_question = "target"
    files: ClassVar[tuple[str, ...]] = FIELDS
    noun: ClassVar[str] = "pairs"

    def likely(self, source: Source) -> float:
        pictures = source.members.of(file_types.PICTURE)
        naming = naming_table(source, pictures) if pictures else None
        return 0.9 if naming is not None and len(naming.columns) == 2 and naming.labels(*naming.columns) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        table_of_pairs = naming_of(source, len(self.files))
        columns = table_of_pairs.columns
        first = str(answers.get("first", columns[0]))
        second = next((column for column in columns if column != first), columns[-1])
        named = (first, str(answers.get("second", second)))
        labels, every = table_of_pairs.labels(*named), label_columns(table_of_pairs.table, named)
        if not labels:
            raise DataError(
                f"{table_of_pairs.name[:100]!r} names two files per row, but has no other column to predict."
            )
        likely = likely_relations(table_of_pairs.table[labels])[:GUESSES]
        return [
            with_default(FIRST, columns[0], columns),
            with_default(SECOND, second, columns),
            with_default(TARGET, likely[0], every, likely),
            TASK,
            SIZE,
            GRAY,
            with_default(GROUP, None, every),
            with_default(SPLIT, table_of_pairs.split, every),
        ]

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} from two images, with one shared encoder."

    def target_phrase(self, answers: Answers) -> str:
        """Return the target, as the last phrase of the summary."""
        return f"predicts {answers[self.target_question]}"

    def columns_of(self, answers: Answers) -> list[str]:
        """Return the columns that name the images of a row."""
        return [Chosen(answers).choice(name) for name in self.files]

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        table = self._rows(source, answers, []).head(PREVIEWED)
        uris = {
            f"image {number}": thumbnails(source, [str(name) for name in table[answers[column]]])
            for number, column in enumerate(self.files, 1)
        }
        return with_thumbnails(table, uris)

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        notes: list[str] = []
        table = self._rows(source, answers, notes)
        columns = self.columns_of(answers)
        # An image that is in many pairs is stored once; `pairs` (R, 2), or (R, 3) of triplets, holds indices of images.
        names = sorted({str(name) for name in table[columns].to_numpy().ravel()})
        read = read_pictures(source, names, progress, notes)
        names = read.of(names)
        table = table[table[columns].isin(names).all(axis=1)].reset_index(drop=True)
        index_of = {name: number for number, name in enumerate(names)}
        progress(0.88, "Saving them")
        pair_indices = np.array([[index_of[str(name)] for name in row] for row in table[columns].to_numpy()])
        arrays: dict[str, Any] = {"pixels": read.pixels, "pairs": pair_indices}
        parts_of_images = file_parts(names).of(names)
        if parts_of_images is not None:
            arrays["parts"] = _of_all(parts_of_images[pair_indices], self.noun, notes)
        np.savez(folder / "images.npz", **arrays)
        labels = label_columns(table, columns)
        table[labels].to_parquet(folder / "labels.parquet")
        summary = f"{len(table):,} {self.noun} of {len(names):,} images; {self.target_phrase(answers)}"
        extra: ReaderMeta = {"side": read.pixels.shape[1], **separators_meta(table[labels])}
        return StoredUpload(len(table), summary, labels, notes, extra)

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        import pandas as pd

        table = with_separators(pd.read_parquet(folder / "labels.parquet"), meta)
        questions = [
            with_default(TARGET, meta["options"]["target"], list(table.columns)),
            TASK,
            SIZE,
            GRAY,
            with_default(GROUP, meta["options"].get("group"), list(table.columns)),
            with_default(SPLIT, meta["options"].get("split"), list(table.columns)),
        ]
        chosen = check_options(options, questions, meta["title"], "Pairs of images")
        warnings: list[str] = []
        labeled = known_rows(table, [chosen.choice("target")], warnings)
        arrays = load_arrays(folder)
        stored = stored_images(arrays["pixels"], chosen.optional_whole("size"), chosen.optional_switch(GRAY.name))
        # `known_rows` keeps the index, so it holds the numbers of the stored pairs.
        rows = labeled.index.to_numpy()
        pairs = arrays["pairs"][rows]
        target = target_of(labeled[chosen.choice("target")], chosen.optional_choice("task"), meta["title"])
        target_fields: RawTarget = {"target": target["target"], "target_kind": target["target_kind"]}
        parts = tuple(
            Images(name=name, **{**stored, "pixels": stored["pixels"][pairs[:, column_index]]}, **target_fields)
            for column_index, name in enumerate(FIELDS)
        )
        split = parts_of_column(
            labeled, chosen.optional_choice("split"), arrays["parts"][rows] if "parts" in arrays else None
        )
        groups = groups_of_column(labeled, chosen.optional_choice("group"))
        return PairedFieldsDataset(name="", parts=parts, warnings=warnings, given=split, groups=groups, **target)

    def _rows(self, source: Source, answers: Answers, notes: list[str]) -> pd.DataFrame:
        naming = naming_of(source, len(self.files))
        notes += naming.notes
        return rows_of(naming.table, self.columns_of(answers), source.members.of(file_types.PICTURE), notes)


def naming_of(source: Source, count: int) -> NamingTable:
    """Return the table beside the images.

    Raises:
        DataError: It has fewer than `count` columns with the names of images, or there is none.
    """
    naming = naming_table(source, source.members.of(file_types.PICTURE))
    if naming is None or len(naming.columns) < count:
        raise DataError(f"No table beside the images has {count} columns with the names of image files.")
    return naming


def _of_all(parts: np.ndarray, noun: str, notes: list[str]) -> np.ndarray:
    """Return the part of each pair or triplet (R,), from those of its images (R, 2) or (R, 3).

    One with images from several parts is in none: training would see an image of the test.
    """
    same = (parts == parts[:, :1]).all(axis=1)
    if not same.all():
        notes.append(f"Left out {int((~same).sum()):,} {noun} of images from several parts of the split.")
    return np.where(same, parts[:, 0], NO_PART)
