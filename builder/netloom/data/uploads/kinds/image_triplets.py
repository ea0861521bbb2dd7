"""Triplets of images: an anchor with a positive and a negative example, read as two pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.data import file_types
from netloom.data.paired_fields import PairedFieldsDataset
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.uploads.file_labels.filetables import label_columns, naming_table
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import GRAY, SIZE, load_arrays, stored_images
from netloom.data.uploads.kinds.image_pairs import PicturePairs, naming_of
from netloom.data.uploads.pairing import (
    ANCHOR,
    FIELDS,
    NEGATIVE,
    POSITIVE,
    ROLES,
    TRIPLETS_SUMMARY,
    learned_from_triplets,
    refuse_equal_columns,
    rows_of_triplets,
    triplet_columns,
)
from netloom.data.uploads.tabular import SPLIT, parts_of_column
from netloom.data.uploads.upload_kind import Answers, Question, check_options, with_default
from netloom.data.uploads.upload_meta import UploadMeta

if TYPE_CHECKING:
    import pandas as pd

_FILES = (
    Question(ANCHOR, "Anchor file", "choice", "Column with the image that the others are compared with",
             when_added=True),
    Question(POSITIVE, "Positive file", "choice", "Column with an image that belongs to the anchor", when_added=True),
    Question(NEGATIVE, "Negative file", "choice", "Column with an image that does not", when_added=True),
)  # fmt: skip


class PictureTriplets(PicturePairs):
    """A table with three images per row; the first belongs to the second and not to the third."""

    name = "picture_triplets"
    title = "Triplets of images"
    about = (
        "A zip of images and a table whose rows name three of them: an anchor, a positive that belongs to it, and a "
        "negative that does not; or folders anchor, positive and negative with images of the same names."
    )
    target_question = ""
    files = ROLES
    noun = "triplets"

    def likely(self, source: Source) -> float:
        pictures = source.members.of(file_types.PICTURE)
        naming = naming_table(source, pictures) if pictures else None
        return 0.95 if naming is not None and triplet_columns(naming.columns) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        naming = naming_of(source, len(ROLES))
        columns = naming.columns
        named = triplet_columns(columns) or dict(zip(ROLES, columns, strict=False))
        chosen = [str(answers.get(role, named[role])) for role in ROLES]
        return [
            *(with_default(question, named[question.name], columns) for question in _FILES),
            SIZE,
            GRAY,
            with_default(SPLIT, naming.split, label_columns(naming.table, chosen)),
        ]

    def learned(self, source: Source, answers: Answers) -> str:
        return learned_from_triplets("images", answers)

    def target_phrase(self, answers: Answers) -> str:
        return TRIPLETS_SUMMARY

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        import pandas as pd

        table: pd.DataFrame = pd.read_parquet(folder / "labels.parquet")
        questions = [SIZE, GRAY, with_default(SPLIT, meta["options"].get("split"), list(table.columns))]
        chosen = check_options(options, questions, meta["title"], self.title)
        arrays = load_arrays(folder)
        stored = stored_images(arrays["pixels"], chosen.optional_whole("size"), chosen.optional_switch(GRAY.name))
        triplets = arrays["pairs"]  # (R, 3)
        rows = rows_of_triplets(
            triplets[:, 0], parts_of_column(table, chosen.optional_choice("split"), arrays.get("parts"))
        )
        target: RawTarget = {"target": rows["target"], "target_kind": rows["target_kind"]}
        indices = (np.repeat(triplets[:, 0], 2), triplets[:, 1:].ravel())  # (2R,) each
        fields = tuple(
            Images(name=name, **{**stored, "pixels": stored["pixels"][images]}, **target)
            for name, images in zip(FIELDS, indices, strict=True)
        )
        return PairedFieldsDataset(name="", parts=fields, warnings=[], **rows)

    def columns_of(self, answers: Answers) -> list[str]:
        columns = super().columns_of(answers)
        refuse_equal_columns(columns)
        return columns
