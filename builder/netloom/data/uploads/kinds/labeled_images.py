"""Images with a table of labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.data import file_types
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import file_parts
from netloom.data.tables.target_guess import GUESSES, likely_targets
from netloom.data.tables.targets import LABELS, label_sets_note
from netloom.data.uploads.boxes.misread_boxes import refuse_box_columns, refuse_box_files
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.file_labels.filetables import (
    NamingTable,
    label_columns,
    naming_table,
    refuse_other_names,
    rows_of,
)
from netloom.data.uploads.file_labels.name_parts import table_of_names
from netloom.data.uploads.files.members import parts_of
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import (
    GRAY,
    SIZE,
    load_arrays,
    read_pictures,
    set_given_split,
    stored_images,
    thumbnails,
    unlabeled_note,
    with_thumbnails,
)
from netloom.data.uploads.label_separators import separators_meta, with_separators
from netloom.data.uploads.pairing import refuse_triplets
from netloom.data.uploads.tabular import (
    GROUP,
    SPLIT,
    TASK,
    groups_of_column,
    holds_sets,
    known_rows,
    parts_of_column,
    target_of,
)
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

FILE = Question("file", "File column", "choice", "Column with the image file of each row", when_added=True)
TARGET = Question("target", "Column to predict", "choice", "The target of an image")
_DOWNLOAD = re.compile(r"(?i)(part|archive|batch|chunk|shard)[ _-]?\d+")  # as part1 to part3 of UTKFace


class LabeledPictures(Reader):
    """Images and a table with a class or a number for each."""

    name = "labeled_pictures"
    title = "Images and a table"
    about = (
        "A zip of images and a table (CSV, JSON, Parquet) with the name and the class or number of each file; or of "
        "images with classes and numbers in the parts of their names, such as 25_0_2_1.jpg."
    )
    kind = "image"
    target_question = "target"

    def likely(self, source: Source) -> float:
        pictures = source.members.of(file_types.PICTURE)
        naming = naming_table(source, pictures) if pictures else None
        if pictures and naming is None:
            if self._by_names(source, pictures) is None:
                return 0.0
            # More likely than classes that are the parts of a download, and less than each other kind of images
            folders = {parts_of(name)[:-1] for name in pictures}
            return 0.75 if all(folder and _DOWNLOAD.fullmatch(folder[-1]) for folder in folders) else 0.3
        labels = [] if naming is None else naming.labels(*naming.columns[:1])
        if naming is None or not labels:
            return 0.0
        # A table to fill in for a competition has equal labels
        return 0.8 if any(naming.table[name].nunique() > 1 for name in labels) else 0.02

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        naming = self._naming(source)
        file, table = str(answers.get("file", naming.columns[0])), naming.table
        if answers.get("target") is None:
            columns = [str(name) for name in table.columns]
            refuse_triplets(columns)
            refuse_box_columns(naming.name, columns)
            refuse_box_files(source, [naming.name])
        labels = naming.labels(file)
        if not labels:
            raise DataError(f"{naming.name[:100]!r} names files, but has no other column to predict.")
        # The parts of names are guessed in their order, as those of sounds
        guesses = labels[:GUESSES] if _are_parts_of_names(naming) else likely_targets(table[labels])
        target = answers.get("target") or guesses[0]
        return [
            with_default(FILE, naming.columns[0], naming.columns),
            with_default(TARGET, guesses[0], label_columns(table, [file]), guesses),
            with_default(TASK, LABELS if target in naming.sets or holds_sets(table, target) else None),
            SIZE,
            GRAY,
            with_default(GROUP, None, label_columns(table, [file])),
            with_default(SPLIT, naming.split, label_columns(table, [file])),
        ]

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} from an image."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        table = self._rows(source, answers, []).head(PREVIEWED)
        names = [str(name) for name in table[answers["file"]]]
        return with_thumbnails(table, {"image": thumbnails(source, names)})

    def noted(self, source: Source, answers: Answers) -> list[str]:
        naming = self._naming(source)
        return list(naming.notes) if _are_parts_of_names(naming) else []

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        notes: list[str] = []
        table = self._rows(source, answers, notes)
        names = [str(name) for name in table[answers["file"]]]
        named = set(names)
        notes += unlabeled_note([name for name in source.members.of(file_types.PICTURE) if name not in named])
        read = read_pictures(source, names, progress, notes)
        names, table = read.of(names), table.iloc[read.rows].reset_index(drop=True)
        progress(0.88, "Saving them")
        arrays: dict[str, Any] = {"pixels": read.pixels}
        parts = file_parts(names).of(names)
        if parts is not None:
            arrays["parts"] = parts
        np.savez(folder / "images.npz", **arrays)
        table.drop(columns=answers["file"]).to_parquet(folder / "labels.parquet")
        labels = label_columns(table, [Chosen(answers).choice("file")])
        summary = f"{len(names):,} images; predicts {answers['target']}"
        extra: ReaderMeta = {"side": read.pixels.shape[1], **separators_meta(table[labels])}
        return StoredUpload(len(names), summary, labels, notes, extra)

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
        chosen = check_options(options, questions, meta["title"], "Images")
        warnings: list[str] = []
        labeled = known_rows(table, [chosen.choice("target")], warnings)
        if chosen.optional_choice("task") is None:
            column = chosen.choice("target")
            warnings += filter(None, [label_sets_note(labeled[column], column)])
        arrays = load_arrays(folder)
        # `known_rows` keeps the index, so it holds the numbers of the stored images.
        rows = labeled.index.to_numpy()
        raw = Images(
            name="image",
            warnings=warnings,
            **stored_images(arrays["pixels"][rows], chosen.optional_whole("size"), chosen.optional_switch(GRAY.name)),
            **target_of(labeled[chosen.choice("target")], chosen.optional_choice("task"), meta["title"]),
        )
        raw.groups = groups_of_column(labeled, chosen.optional_choice("group"))
        set_given_split(
            raw,
            parts_of_column(
                labeled, chosen.optional_choice("split"), arrays["parts"][rows] if "parts" in arrays else None
            ),
        )
        return raw

    def _naming(self, source: Source) -> NamingTable:
        pictures = source.members.of(file_types.PICTURE)
        naming = naming_table(source, pictures) or self._by_names(source, pictures)
        if naming is None:
            raise DataError("No table beside the images names them; it needs a column of file names, such as cat1.png.")
        return naming

    def _by_names(self, source: Source, pictures: list[str]) -> NamingTable | None:
        """Return the parts of the names of the images as a table; None if they cannot be classes or numbers. Cached.

        Raises:
            DataError: Files beside the images hold boxes, or name other images.
        """
        naming: NamingTable | None = source.once("parts of names", lambda: table_of_names(pictures))
        if naming is not None:
            refuse_box_files(source, source.names)
            refuse_other_names(source, pictures)
        return naming

    def _rows(self, source: Source, answers: Answers, notes: list[str]) -> pd.DataFrame:
        naming = self._naming(source)
        notes += naming.notes
        return rows_of(naming.table, [Chosen(answers).choice("file")], source.members.of(file_types.PICTURE), notes)


def _are_parts_of_names(naming: NamingTable) -> bool:
    """Return whether the columns are the parts of the names of the images, as no file has them."""
    return not naming.name and len(naming.columns) == 1
