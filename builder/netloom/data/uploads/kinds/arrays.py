"""Arrays of numbers in NPZ, NPY, MAT or IDX files, such as those of MNIST."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.data import file_types
from netloom.data.images import data_uri
from netloom.data.mask_values import MAX_CLASSES, void_note
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TARGET_TYPES
from netloom.data.splits.given_splits import TEST, TRAIN, VALIDATION, given_of, part_in, path_of, split_column
from netloom.data.uploads.arrays.array_values import are_masks, array_target, check_inputs, inferred_void
from netloom.data.uploads.arrays.array_views import VIEWS, as_images, dataset_kind, dataset_of, displayed, guess_view
from netloom.data.uploads.arrays.arrayfiles import as_column, read_array, shape_of
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import set_given_split
from netloom.data.uploads.images.void import VOID_QUESTIONS, chosen_void
from netloom.data.uploads.sounds.soundfiles import RATES
from netloom.data.uploads.tabular import TASK
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

_SPLIT = re.compile(r"(?i)(split|subset|partition|set|part)s?|is[ _-]?[a-z]+")
_TARGET = re.compile(r"(?i)(^|[^a-z])(y|labels?|targets?|classes|class|masks?)([^a-z]|$)")
_INPUT = re.compile(r"(?i)(^|[^a-z])(x|images?|data|features?|inputs?|pixels?|series)([^a-z]|$)")
_ENDING = re.compile(
    r"(?i)([-.]idx\d-ubyte)?(\.npy)?(\.gz)?$"
)  # suffixes of file types, which are not part of an array's name
INPUT = Question(
    "input", "Input array", "choice", "Array of the input features; its test part is included", when_added=True
)
TARGET = Question("target", "Target array", "choice", "Array of the targets", when_added=True)
SPLITTER = Question("split", "Split array", "choice", "Array that assigns rows to training, validation and test",
                    optional=True, when_added=True, empty="none")  # fmt: skip
# An optional array with the names of the values 0, 1, … of masks
CLASS_NAMES = "class_names"
# An optional array with the sample rate in Hz of series with one channel, which are sounds then
SAMPLE_RATE = "sample_rate"
VIEW = Question(
    "view", "Rows are", "choice", "Images, series of steps × channels, or columns of a table", choices=VIEWS
)


class Arrays(Reader):
    """An array of inputs and an array of targets, each optionally with a test part."""

    name = "arrays"
    title = "Arrays"
    about = (
        "NPZ, NPY, MAT or IDX (also gzipped) with an array of inputs and one of targets, such as x_train and y_train; "
        "x_test and y_test beside them become the test split. Or series and their classes in .ts files."
    )
    kind = "array"
    target_question = "target"

    def likely(self, source: Source) -> float:
        arrays = source.members.of(file_types.NPY, file_types.IDX)
        return 0.9 if arrays and len(arrays) >= len(source.names) - 2 else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        names = _names(source)
        shapes = {name: shape_of(source, names[name])[0] for name in names}
        leading = [name for name in names if part_in(name) in (None, TRAIN)] or list(names)
        split = next((name for name in names if _is_splitter(source, names, name)), None)
        if split is not None and answers.get("split", split) == split:
            leading = [name for name in leading if name != split]
        source_of = answers.get("input") or _guess_input(leading, shapes)
        target = answers.get("target") or _guess_target(leading, shapes, str(source_of))
        view = VIEW
        if source_of in names:
            shape, dtype = shape_of(source, names[str(source_of)])
            view = with_default(VIEW, guess_view(shape, dtype))
        return [
            with_default(INPUT, source_of, leading),
            with_default(TARGET, target, [name for name in leading if name != source_of]),
            view,
            TASK,
            with_default(SPLITTER, split, list(names)),
            *(VOID_QUESTIONS if _may_be_masks(source, names, target) else []),
        ]

    def learned(self, source: Source, answers: Answers) -> str:
        names = _names(source)
        shape, _ = shape_of(source, names[Chosen(answers).choice("input")])
        rows = f"{shape[0]:,}" if shape else "no"
        each = " × ".join(map(str, shape[1:]))
        return f"Predict {answers['target']!r} from {answers['input']!r}: {rows} rows of {each}."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        names, chosen = _names(source), Chosen(answers)
        inputs = read_array(source, names[chosen.choice("input")])[:PREVIEWED]
        targets = read_array(source, names[chosen.choice("target")])[:PREVIEWED]
        columns: dict[str, list[Any]] = {"target": [_cell(row) for row in targets]}
        if answers["view"] == "picture":
            pixels, top = as_images(inputs)
            columns = {"image": [data_uri(displayed(image, top)) for image in pixels], **columns}
        else:
            columns["input"] = [_cell(row.ravel()[:12]) for row in inputs]
        return pd.DataFrame(columns)

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        names = _names(source)
        parts: list[int] = []
        inputs: list[np.ndarray] = []
        targets: list[np.ndarray] = []
        for index, (input_name, target_name, part) in enumerate(_parts(names, answers)):
            progress(0.1 + 0.2 * index, f"Reading {input_name}")
            input_part, target_part = read_array(source, names[input_name]), read_array(source, names[target_name])
            input_count, target_count = (len(array) if array.ndim else 0 for array in (input_part, target_part))
            if not input_part.ndim or not target_part.ndim or input_count != target_count:
                raise DataError(
                    f"{input_name[:60]!r} has {input_count:,} rows and {target_name[:60]!r} {target_count:,}; there "
                    "has to be one target for each row, so choose other arrays, or save them again."
                )
            inputs.append(input_part)
            targets.append(target_part)
            parts += [part] * len(input_part)
        progress(0.7, "Saving them")
        input_name, target_name = Chosen(answers).choice("input"), Chosen(answers).choice("target")
        input_rows, target_rows = _joined(inputs, input_name), _joined(targets, target_name)
        check_inputs(input_rows, input_name)
        if answers.get("split") is not None:
            parts = _parts_of_array(source, names, str(answers["split"]), len(input_rows))
        np.save(folder / "input.npy", input_rows, allow_pickle=False)
        np.save(folder / "target.npy", target_rows, allow_pickle=False)
        if CLASS_NAMES in names:
            class_names = [str(name)[:200] for name in read_array(source, names[CLASS_NAMES]).ravel()[:MAX_CLASSES]]
            np.save(folder / f"{CLASS_NAMES}.npy", np.array(class_names), allow_pickle=False)
        np.save(folder / "parts.npy", np.array(parts, dtype=np.int8), allow_pickle=False)
        rate = _rate(read_array(source, names[SAMPLE_RATE])) if SAMPLE_RATE in names else 0
        predicted = str(answers["target"]).rpartition("/")[2]
        extra: ReaderMeta = {
            "kind": dataset_kind(input_rows.shape, str(answers["view"]), rate),
            "target": predicted,
        }
        if rate:
            extra["rate"] = rate
        summary = f"{len(input_rows):,} rows of {' × '.join(map(str, input_rows.shape[1:]))}; predicts {predicted}" + (
            ", with a test part" if len(set(parts)) > 1 else ""
        )
        notes = _unread(names, answers)
        if are_masks(target_rows, input_rows):
            void = chosen_void(answers, inferred_void(target_rows))
            if void is not None:
                extra["void"] = void
                notes.append(void_note(void, float((target_rows == void).mean())))
        return StoredUpload(len(input_rows), summary, notes=notes, extra=extra)

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        view_question = with_default(VIEW, meta["options"]["view"])
        chosen = check_options(options, [view_question, TASK], meta["title"], "Arrays")
        # Viewed as plain arrays: indexing a row of a memmap creates a memmap, which is slow.
        inputs, target, parts = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
            for name in ("input", "target", "parts")
        )
        names_file = folder / f"{CLASS_NAMES}.npy"
        class_names = tuple(np.load(names_file, allow_pickle=False).tolist()) if names_file.is_file() else ()
        task = chosen.optional_choice("task")
        target_fields = array_target(target, task, meta["target"], meta["title"], inputs, class_names, meta.get("void"))
        view = chosen.choice("view")
        if TARGET_TYPES[target_fields["target_kind"]].is_boxes and view != "picture":
            raise DataError(f"{meta['target'][:60]!r} has boxes, which are those of images; choose view=picture.")
        raw = dataset_of(inputs, view, target_fields, meta.get("rate", 0))
        set_given_split(raw, parts if len(np.unique(parts)) > 1 else None)
        return raw


def _may_be_masks(source: Source, names: Mapping[str, str], name: object) -> bool:
    """Return whether an array has the form of masks (R, H, W)."""
    if name not in names:
        return False
    shape, dtype = shape_of(source, names[str(name)])
    return len(shape) == 3 and np.dtype(dtype).kind in "biu"


def _rate(array: np.ndarray) -> int:
    """Return the sample rate of sounds, in Hz; 0 if the array is not a single number.

    Raises:
        DataError: no sound has such a rate.
    """
    low, high = RATES
    if array.size != 1 or array.dtype.kind not in "iuf":
        return 0  # an array with this name for another purpose
    if not low <= float(array.flat[0]) <= high:
        raise DataError(f"{SAMPLE_RATE!r} has to be one number from {low:,} to {high:,}, the samples per second.")
    return int(array.flat[0])


def _names(source: Source) -> dict[str, str]:
    """Return the files of the arrays by display name.

    Names include the folders if these name a part of the split, or if several arrays have the same name.
    """
    files = source.members.of(file_types.NPY, file_types.IDX)
    plain = {file: _ENDING.sub("", PurePosixPath(file).name)[:100] for file in files}
    often = Counter(plain.values())
    names: dict[str, str] = {}
    for file, name in plain.items():
        full_name = "/".join((*path_of(file)[:-1], name))[-100:]
        in_part = any(part_in(folder) is not None for folder in path_of(file)[:-1])
        display_name = full_name if often[name] > 1 or (part_in(name) is None and in_part) else name
        names[display_name if display_name not in names else file] = file
    return names


def _is_splitter(source: Source, names: Mapping[str, str], name: str) -> bool:
    """Return whether an array names the part of the split of each row."""
    shape, _ = shape_of(source, names[name])
    if len(shape) != 1 or not _SPLIT.fullmatch(name.rpartition("/")[2]):
        return False
    import pandas as pd

    return split_column(pd.DataFrame({name: as_column(read_array(source, names[name]))})) is not None


def _parts_of_array(source: Source, names: Mapping[str, str], name: str, rows: int) -> list[int]:
    """Return the part of each row, from the split array."""
    import pandas as pd

    values = read_array(source, names[name])
    if values.shape != (rows,):
        raise DataError(
            f"The split {name[:60]!r} has shape {values.shape}, but expected ({rows},): one part for each row."
        )
    parts: list[int] = given_of(pd.Series(as_column(values)), name).tolist()
    return parts


def _unread(names: Mapping[str, str], answers: Answers) -> list[str]:
    """Return a note on arrays that are named after a part of the split but are not read."""
    read = {name for input_name, target_name, _ in _parts(names, answers) for name in (input_name, target_name)}
    unread = [name for name in names if part_in(name) in (VALIDATION, TEST) and name not in read]
    if not unread:
        return []
    listed = ", ".join(repr(name[:60]) for name in unread[:4])
    return [f"{listed}: left out, as a part needs an array of inputs and one of targets with matching names."]


def _guess_input(names: list[str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    if not names:
        raise DataError("There is no array in these files.")
    named = [name for name in names if _INPUT.search(name) and not _TARGET.search(name)]
    # The most axes, then the most numbers; in float64, as the product of the lengths could overflow an integer.
    return max(named or names, key=lambda name: (len(shapes[name]), int(np.prod(shapes[name], dtype=np.float64))))


def _guess_target(names: list[str], shapes: Mapping[str, tuple[int, ...]], source: str) -> str:
    candidates = [name for name in names if name != source]
    if not candidates:
        raise DataError(
            f"{source[:60]!r} is the only array; an array of targets is needed too, such as y or labels. Upload both "
            "files together, or in one zip."
        )
    rows = shapes.get(source, (0,))[:1]
    # The same number of rows counts more than the name, and that more than few axes.
    return max(candidates, key=lambda name: (shapes[name][:1] == rows, bool(_TARGET.search(name)), -len(shapes[name])))


def _parts(names: Mapping[str, str], answers: Answers) -> list[tuple[str, str, int]]:
    """Return the input and target of each part of the split, as (input, target, part)."""
    parts = [(str(answers["input"]), str(answers["target"]), 0)]
    for part in (VALIDATION, TEST):
        part_names = [name for name in names if part_in(name) == part]
        pair = tuple(
            next((name for name in part_names if _same(name, training_name)), "") for training_name in parts[0][:2]
        )
        if all(pair) and pair[0] != pair[1] and not set(pair) & set(parts[0][:2]):
            parts.append((pair[0], pair[1], part))
    return parts


def _same(first: str, second: str) -> bool:
    """Return whether two names differ only in the part of the split: x_test and x_train, or x_test and x."""

    def core(text: str) -> str:
        pieces = re.split(r"[^a-z0-9]+", text.lower())
        return "".join(piece for piece in pieces if part_in(piece) is None)

    return core(first) == core(second)


def _joined(arrays: list[np.ndarray], name: str) -> np.ndarray:
    if len({array.shape[1:] for array in arrays}) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise DataError(f"The parts of {name[:60]!r} have different shapes: {shapes}.")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _cell(row: Any) -> str:
    return np.array2string(np.asarray(row), precision=3, threshold=12, max_line_width=200)[:120].replace("\n", " ")
