"""Sounds whose class is the name of their folder, the beginning of their name, or a column of a table."""

from __future__ import annotations

import math
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DamagedFileError, DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.core.text import counted
from netloom.data import file_types
from netloom.data.caching import memmap_cache
from netloom.data.limits import MAX_CELLS, MAX_STORED_BYTES
from netloom.data.raw.series import Series
from netloom.data.raw_dataset import RawDataset
from netloom.data.settings.label_merging import spelling_notes
from netloom.data.splits.given_splits import file_parts, path_of
from netloom.data.tables.target_guess import likely_targets
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.file_labels.filetables import (
    NamingTable,
    label_columns,
    naming_table,
    refuse_other_names,
    rows_of,
    stated_parts,
)
from netloom.data.uploads.file_labels.name_parts import possible_parts
from netloom.data.uploads.files.damaged import DamagedFiles
from netloom.data.uploads.files.members import SOUND_SUFFIXES
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import load_arrays, set_given_split
from netloom.data.uploads.label_separators import separators_meta, with_separators
from netloom.data.uploads.sounds.odd_sounds import OddSounds
from netloom.data.uploads.sounds.sound_labels import (
    FOLDER,
    NAME,
    PART_OF_NAME,
    TABLE,
    classes_of,
    label_of,
    label_sources,
)
from netloom.data.uploads.sounds.soundfiles import (
    LEVELS,
    from_levels,
    native_rate,
    read_samples,
    read_sound,
    resampled,
    to_levels,
)
from netloom.data.uploads.tabular import SPLIT, TASK, known_rows, parts_of_column, target_of
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

_EARLIER_NAME = "the begin of the name"  # an answer that scripts may still give
LABEL = Question("label", "Class from", "choice", "Source of the class of a sound", when_added=True,
                 choices=(FOLDER, NAME, PART_OF_NAME, TABLE))  # fmt: skip
PART = Question("part", "Part of the name", "whole",
                "Position of the class in the name; its parts are separated by - _ . or blanks",
                low=1, high=30, when_added=True)  # fmt: skip
RATE = Question("rate", "Sample rate (Hz)", "whole", "All sounds are resampled to this rate", low=1_000, high=48_000,
                default=8_000, when_added=True)  # fmt: skip
SECONDS = Question("seconds", "Seconds", "number", "Sounds are cropped or padded with silence to this length", low=0.05,
                   high=60.0, default=1.0)  # fmt: skip
COLUMN = Question("target", "Column to predict", "choice", "The target column", optional=True)
_EARLIER_LEVELS = 32_767  # of uploads that do not name them
MAX_SAMPLES = 10 * MAX_CELLS  # of all sounds together; beyond MAX_CELLS they are memory-mapped
_BACKGROUND = re.compile(r"_.+_")
_TRANSCRIPTS = re.compile(r"(?i)[._-]trans(cripts?)?\.(txt|tsv|csv)$")  # of LibriSpeech


class Sounds(Reader):
    """WAV or FLAC files."""

    name = "sounds"
    title = "Sounds"
    about = (
        "A zip of WAV or FLAC files: the class of a sound is its folder (yes/1.wav), the beginning of its name "
        "(yes_1.wav) or another part of it, or a column of a table."
    )
    kind = "audio"
    target_question = "target"

    def likely(self, source: Source) -> float:
        if not source.members.of(file_types.SOUND):
            return 0.0
        sounds = _sounds(source)
        if len(sounds) < 2:
            return 0.0
        if label_sources(source, sounds):
            return 0.85
        return 0.01 if _transcripts_note(source, sounds) else 0.0  # low, but chosen if nothing else fits: it says why

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        names = _sounds(source)
        sources = label_sources(source, names)
        if not sources:
            refuse_other_names(source, names)
            raise DataError(
                "The sounds have no classes: put each into a folder of its class, begin its name with the class "
                f"(yes_1.wav), or add a table that names the files.{_transcripts_note(source, names)}"
            )
        label = answers.get("label") or sources[0]
        questions = [with_default(LABEL, sources[0], sources)]
        if label == TABLE:
            naming = _naming(source, names)
            labels = naming.labels(*naming.columns[:1])
            every = label_columns(naming.table, naming.columns[:1])
            guesses = likely_targets(naming.table[labels])
            questions += [with_default(COLUMN, guesses[0], every, guesses), TASK]
            questions += [with_default(SPLIT, naming.split, every)]
        if label == PART_OF_NAME:
            questions.append(with_default(PART, possible_parts(names)[0]))
        rate = min(8_000, _native_rate(source, names))
        return [*questions, with_default(RATE, max(1_000, rate)), with_default(SECONDS, _seconds(source, names))]

    def answered(self, source: Source, provided: Answers) -> JsonObject:
        is_earlier = provided.get("label") == _EARLIER_NAME
        return super().answered(source, {**provided, "label": NAME} if is_earlier else provided)

    def learned(self, source: Source, answers: Answers) -> str:
        if answers.get("label") == TABLE:
            return f"Predict {answers.get('target')!r} from a sound of {answers.get('seconds')} s."
        names = _sounds(source)
        classes = sorted(set(classes_of(stated_parts(source, names), names, *label_of(answers))))
        return f"Predict the class of a sound out of {len(classes)} classes: {', '.join(classes[:6])}" + (
            ", …" if len(classes) > 6 else "."
        )

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        names, table = self._rows(source, answers, [])
        rows = []
        for index in range(0, len(names), max(1, len(names) // PREVIEWED)):
            try:
                content = source.members.read(names[index])
                rate = native_rate(content, names[index])  # at a lower rate, high tones would be silent
                sound = read_sound(content, names[index], rate)
            except DamagedFileError:
                continue
            peaks = [float(abs(part).max()) for part in np.array_split(sound, min(60, len(sound)))]
            labels = {str(name): value for name, value in table.iloc[index].items()}
            rows.append({"file": names[index], "seconds": round(len(sound) / rate, 2), **labels, "loudness": peaks})
        return pd.DataFrame(rows[:PREVIEWED])

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        notes: list[str] = []
        names, table = self._rows(source, answers, notes)
        rate = Chosen(answers).whole("rate")
        odd = OddSounds()
        with tempfile.TemporaryFile(dir=folder) as file:  # beside the upload, all samples may not fit into memory
            lengths, rows = _written(source, names, rate, file, odd, progress)
            names, table = [names[row] for row in rows], table.iloc[rows].reset_index(drop=True)
            samples = np.memmap(file, np.int16, "r")
            arrays: dict[str, Any] = {"samples": samples, "lengths": np.array(lengths)}
            parts = (file_parts(names) if answers["label"] == TABLE else stated_parts(source, names)).of(names)
            if parts is not None:
                arrays["parts"] = parts
            np.savez(folder / "sounds.npz", **arrays)
            del samples, arrays["samples"]
        table.to_parquet(folder / "labels.parquet")
        notes += odd.notes()
        target = str(answers.get("target") or table.columns[0])
        summary = f"{len(names):,} sounds at {rate:,} Hz; predicts {target}"
        extra: ReaderMeta = {"rate": rate, "target": target, "levels": LEVELS, **separators_meta(table)}
        return StoredUpload(len(names), summary, list(table.columns), notes, extra)

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        import pandas as pd

        table = with_separators(pd.read_parquet(folder / "labels.parquet"), meta)
        columns = list(table.columns)
        split = with_default(SPLIT, meta["options"].get("split"), columns)
        questions = [with_default(COLUMN, meta["target"], columns), TASK, split, SECONDS]
        chosen = check_options(options, questions, meta["title"], "Sounds")
        target = chosen.optional_choice("target") or meta["target"]
        warnings: list[str] = []
        labeled = known_rows(table, [target], warnings)
        length = max(2, round(chosen.number("seconds") * meta["rate"]))
        if len(labeled) * length > MAX_SAMPLES:
            raise DataError(f"{len(labeled):,} sounds of {length:,} samples are too many; choose fewer seconds.")
        arrays = load_arrays(folder, "sounds.npz")
        rows = labeled.index.to_numpy()
        arguments = (arrays["samples"], arrays["lengths"], rows, length, meta.get("levels", _EARLIER_LEVELS))
        shape = (len(rows), length, 1)
        if math.prod(shape) > MAX_CELLS:
            windows = memmap_cache.filled(
                folder, ["sounds", target, length], shape, lambda values: _fill(values, *arguments)
            )
        else:
            windows = _fill(np.zeros(shape, np.float32), *arguments)
        raw = Series(
            name="sound",
            windows=windows,
            channels=("sound",),
            rate=meta["rate"],
            warnings=warnings,
            **target_of(labeled[target], chosen.optional_choice("task"), meta["title"]),
        )
        set_given_split(
            raw,
            parts_of_column(
                labeled, chosen.optional_choice("split"), arrays["parts"][rows] if "parts" in arrays else None
            ),
        )
        return raw

    def _rows(self, source: Source, answers: Answers, notes: list[str]) -> tuple[list[str], pd.DataFrame]:
        """Return the files, and a table with the labels of each."""
        import pandas as pd

        names = _sounds(source)
        if answers["label"] != TABLE:
            notes += filter(None, [_transcripts_note(source, names).strip()])
        if background := _background(_all_sounds(source)):
            notes.append(f"Left out {counted(len(background), 'sound')} of no class, such as {background[0][-60:]!r}.")
        if answers["label"] != TABLE:
            classes = classes_of(stated_parts(source, names), names, *label_of(answers))
            if "" in classes:
                file, part = names[classes.index("")], label_of(answers)[1]
                raise DataError(f"The name {file[-60:]!r} has no part {part} between its marks; choose another part.")
            notes += spelling_notes(classes)
            return names, pd.DataFrame({"class": classes}).astype("string")
        naming = _naming(source, names)
        notes += naming.notes
        table = rows_of(naming.table, naming.columns[:1], names, notes)
        return [str(file) for file in table[naming.columns[0]]], table.drop(columns=naming.columns[:1])


def _all_sounds(source: Source) -> list[str]:
    """Return all sounds, also files that are only named like sounds, so that reading reports the damage."""
    members = source.members
    return [
        name for name in source.names if members.form(name) == file_types.SOUND or name.lower().endswith(SOUND_SUFFIXES)
    ]


def _sounds(source: Source) -> list[str]:
    """Return the sounds, without those of no class.

    Raises:
        DataError: There are none.
    """
    sounds = _all_sounds(source)
    if not sounds:
        raise DataError("There are no WAV or FLAC sounds in these files.")
    left_out = {*_background(sounds)}
    return [name for name in sounds if name not in left_out]


def _background(sounds: list[str]) -> list[str]:
    """Return the sounds in a folder such as _background_noise_ of Speech Commands, which is not a class like others."""
    background = [name for name in sounds if any(map(_BACKGROUND.fullmatch, path_of(name)[-2:-1]))]
    return background if len(background) < len(sounds) else []


def _naming(source: Source, names: list[str]) -> NamingTable:
    naming = naming_table(source, names)
    if naming is None:
        raise DataError("No table beside the sounds names them; it needs a column of file names.")
    return naming


def _transcripts_note(source: Source, names: list[str]) -> str:
    """Return a sentence on transcripts, which cannot be predicted; "" without them."""
    naming = naming_table(source, names)
    file = naming.name if naming is not None else next(filter(_TRANSCRIPTS.search, source.names), "")
    where = f" in {file[-60:]!r}" if file else ""
    return (
        f" The texts{where} are not read: a class or a number of a sound is predicted, not its words." if where else ""
    )


def _native_rate(source: Source, names: list[str]) -> int:
    """Return the sample rate in Hz of the first sound that is not damaged."""
    for name in names:
        with suppress(DamagedFileError):
            return native_rate(source.members.read(name), name)
    return native_rate(source.members.read(names[0]), names[0])


def _seconds(source: Source, names: list[str]) -> float:
    """Return the 90% quantile of the lengths of a sample of sounds, in seconds."""
    import io

    import soundfile

    durations = []
    for name in names[:: max(1, len(names) // 100)]:
        try:
            info = soundfile.info(io.BytesIO(source.members.read(name)))
            durations.append(min(60.0, float(info.frames / info.samplerate)))
        except (soundfile.SoundFileError, RuntimeError, ZeroDivisionError, DataError):
            continue  # reading it later reports the error
    return float(max(0.1, round(float(np.quantile(durations, 0.9)), 2))) if durations else 1.0


def _written(
    source: Source, names: list[str], rate: int, file: IO[bytes], odd: OddSounds, progress: ProgressCallback
) -> tuple[list[int], list[int]]:
    """Write all sounds to a file, one after the other, as int16; names of odd ones are added to `odd`.

    Returns:
        The length of each sound in samples, and its index among the names, which lacks those of a few damaged files.

    Raises:
        DataError: There are too many sounds, or more than a few are damaged.
    """
    lengths: list[int] = []
    rows: list[int] = []
    damaged = DamagedFiles(source, len(names), "sound")
    for index, name in enumerate(names):
        if index % 32 == 0:
            progress(0.05 + 0.8 * index / len(names), f"Reading sound {index + 1:,} of {len(names):,}")
        try:
            content = source.members.read(name)
            samples, file_rate = read_samples(content, name)
        except DamagedFileError as error:
            damaged.add(name, error)
            continue
        rows.append(index)
        odd.add(content, name, samples)
        levels = to_levels(resampled(samples, file_rate, rate))
        file.write(levels.tobytes())
        lengths.append(len(levels))
        if file.tell() > MAX_STORED_BYTES:
            raise DataError(
                f"These sounds take more than {MAX_STORED_BYTES / 2**20:,.0f} MiB at {rate:,} Hz; choose a lower rate, "
                "or upload a part of them."
            )
    file.flush()
    odd.damaged = damaged.notes()
    return lengths, rows


def _fill(
    windows: np.ndarray, samples: np.ndarray, lengths: np.ndarray, rows: np.ndarray, length: int, levels: int
) -> np.ndarray:
    """Fill an array of zeros with sounds (R, length, 1), which are cut or padded with silence at the end."""
    ends = np.cumsum(lengths)
    for index, row in enumerate(rows.tolist()):
        sound = samples[ends[row] - lengths[row] : ends[row]][:length]
        windows[index, : len(sound), 0] = from_levels(sound, levels)
    return windows
