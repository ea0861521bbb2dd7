"""Sounds: each one's class is its folder, the begin of its name, or stands in a table."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_CELLS, MAX_STORED_BYTES
from netloom.data.preparation import memmap_cache
from netloom.data.raw_dataset import RawDataset, Series
from netloom.data.splits.given_splits import FileParts, file_parts, is_split, part_of
from netloom.data.tables.table_dataset import default_target
from netloom.data.uploads.filetables import NamingTable, label_columns, naming_table, rows_of, stated_parts
from netloom.data.uploads.images import load_arrays, set_given
from netloom.data.uploads.soundfiles import is_cut, own_rate, read_sound
from netloom.data.uploads.source import Source
from netloom.data.uploads.tabular import SPLIT, TASK, known_rows, parts_said, target_of
from netloom.data.uploads.upload_kind import (
    PREVIEWED,
    Answers,
    Kept,
    Question,
    Reader,
    Tell,
    check_options,
    with_default,
)

if TYPE_CHECKING:
    import pandas as pd

FOLDER, NAME, TABLE = "the folder", "the begin of the name", "a table"
LABEL = Question("label", "Class from", "choice", "Source of the class of a sound", choices=(FOLDER, NAME, TABLE),
                 when_added=True)  # fmt: skip
RATE = Question("rate", "Sample rate (Hz)", "whole", "All sounds are resampled to this rate", low=1_000, high=48_000,
                default=8_000, when_added=True)  # fmt: skip
SECONDS = Question("seconds", "Seconds", "number", "Sounds are cropped or padded with silence to this length", low=0.05,
                   high=60.0, default=1.0)  # fmt: skip
COLUMN = Question("target", "Column to predict", "choice", "The target column", optional=True)
MOST_SAMPLES = 10 * MAX_CELLS  # of all sounds together; beyond MAX_CELLS they lie in a file
_BEGIN = re.compile(r"([^_\-. ]+)[_\-. ].*")


class Sounds(Reader):
    """WAV or FLAC files."""

    name = "sounds"
    title = "Sounds"
    about = (
        "A zip of WAV or FLAC files: a sound's class is its folder (yes/1.wav), the begin of its name (yes_1.wav), or "
        "stands in a table beside them."
    )
    kind = "audio"
    target_question = "target"

    def likely(self, source: Source) -> float:
        found = source.members.of(file_types.SOUND)
        return 0.85 if len(found) > 1 and _ways(source, found) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        names = _sounds(source)
        ways = _ways(source, names)
        if not ways:
            raise DataError(
                "Nothing says what class a sound is: put each into a folder of its class, begin its name with the "
                "class (yes_1.wav), or bring a table that names the files."
            )
        label = answers.get("label") or ways[0]
        found = [with_default(LABEL, ways[0], ways)]
        if label == TABLE:
            beside = _naming(source, names)
            labels = beside.labels(*beside.columns[:1])
            every = label_columns(beside.table, beside.columns[:1])
            found += [with_default(COLUMN, default_target(beside.table[labels]), every), TASK]
            found += [with_default(SPLIT, beside.split, every)]
        rate = min(8_000, own_rate(source.members.read(names[0]), names[0]))
        return [*found, with_default(RATE, max(1_000, rate)), with_default(SECONDS, _seconds(source, names))]

    def learned(self, source: Source, answers: Answers) -> str:
        if answers.get("label") == TABLE:
            return f"Predict {answers.get('target')!r} from a sound of {answers.get('seconds')} s."
        names = _sounds(source)
        classes = sorted(set(_classes(stated_parts(source, names), names, str(answers.get("label")))))
        return f"Predict the class of a sound out of {len(classes)} classes: {', '.join(classes[:6])}" + (
            ", …" if len(classes) > 6 else "."
        )

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        names, table = self._rows(source, answers, [])
        rows = []
        for place in range(0, len(names), max(1, len(names) // PREVIEWED)):
            content = source.members.read(names[place])
            rate = own_rate(content, names[place])  # at a lower one high tones would be silent
            sound = read_sound(content, names[place], rate)
            peaks = [float(abs(part).max()) for part in np.array_split(sound, min(60, len(sound)))]
            said = {str(name): value for name, value in table.iloc[place].items()}
            rows.append({"file": names[place], "seconds": round(len(sound) / rate, 2), **said, "loudness": peaks})
        return pd.DataFrame(rows[:PREVIEWED])

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        notes: list[str] = []
        names, table = self._rows(source, answers, notes)
        rate = int(answers["rate"])
        cut: list[str] = []
        with tempfile.TemporaryFile(dir=folder) as file:  # all of them may not fit into memory beside the upload
            lengths = _written(source, names, rate, file, cut, tell)
            samples = np.memmap(file, np.int16, "r")
            arrays: dict[str, Any] = {"samples": samples, "lengths": np.array(lengths)}
            parts = (file_parts(names) if answers["label"] == TABLE else stated_parts(source, names)).of(names)
            if parts is not None:
                arrays["parts"] = parts
            np.savez(folder / "sounds.npz", **arrays)
            del samples, arrays["samples"]
        table.to_parquet(folder / "labels.parquet")
        if cut:
            notes.append(
                f"{len(cut):,} sound{'s end' if len(cut) > 1 else ' ends'} too early, {cut[0][:80]!r} for one; what "
                "there is was taken."
            )
        target = str(answers.get("target") or table.columns[0])
        summary = f"{len(names):,} sounds at {rate:,} Hz; predicts {target}"
        return Kept(len(names), summary, list(table.columns), notes, {"rate": rate, "target": target})

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> RawDataset:
        import pandas as pd

        table = pd.read_parquet(folder / "labels.parquet")
        columns = list(table.columns)
        split = with_default(SPLIT, meta["options"].get("split"), columns)
        asked = [with_default(COLUMN, meta["target"], columns), TASK, split, SECONDS]
        chosen = check_options(options, asked, str(meta["title"]), "Sounds")
        target = chosen["target"] or meta["target"]
        warnings: list[str] = []
        known = known_rows(table, [target], warnings)
        length = max(2, round(float(chosen["seconds"]) * int(meta["rate"])))
        if len(known) * length > MOST_SAMPLES:
            raise DataError(f"{len(known):,} sounds of {length:,} samples are too much; choose fewer seconds.")
        arrays = load_arrays(folder, "sounds.npz")
        rows = known.index.to_numpy()
        made = (arrays["samples"], arrays["lengths"], rows, length)
        shape = (len(rows), length, 1)
        if math.prod(shape) > MAX_CELLS:
            windows = memmap_cache.filled(folder, ["sounds", target, length], shape, lambda room: _fill(room, *made))
        else:
            windows = _fill(np.zeros(shape, np.float32), *made)
        raw = Series(
            name="sound",
            windows=windows,
            channels=("sound",),
            rate=int(meta["rate"]),
            warnings=warnings,
            **target_of(known[target], chosen["task"], str(meta["title"])),
        )
        set_given(raw, parts_said(known, chosen["split"], arrays["parts"][rows] if "parts" in arrays else None))
        return raw

    def _rows(self, source: Source, answers: Answers, notes: list[str]) -> tuple[list[str], pd.DataFrame]:
        """The files, and a table with what is said of each."""
        import pandas as pd

        names = _sounds(source)
        if answers["label"] != TABLE:
            classes = _classes(stated_parts(source, names), names, str(answers["label"]))
            return names, pd.DataFrame({"class": classes}).astype("string")
        beside = _naming(source, names)
        notes += beside.notes
        table = rows_of(beside.table, beside.columns[:1], names, notes)
        return [str(file) for file in table[beside.columns[0]]], table.drop(columns=beside.columns[:1])


def _sounds(source: Source) -> list[str]:
    found = source.members.of(file_types.SOUND)
    if not found:
        raise DataError("There are no WAV or FLAC sounds in these files.")
    return found


def _naming(source: Source, names: list[str]) -> NamingTable:
    found = naming_table(source, names)
    if found is None:
        raise DataError("No table beside the sounds names them; it needs a column with the files' names.")
    return found


def _ways(source: Source, names: list[str]) -> list[str]:
    """Where the classes of sounds may stand, the likeliest first."""
    beside = naming_table(source, names)
    ways = [TABLE] if beside is not None and beside.labels(*beside.columns[:1]) else []
    told = stated_parts(source, names)
    for way in (FOLDER, NAME):
        classes = _classes(told, names, way)
        named = 1 < len(set(classes)) <= max(2, len(names) // 2)
        if "" not in classes and named and not is_split(part_of(one) for one in set(classes)):
            ways.append(way)
    return ways


def _classes(told: FileParts, names: list[str], way: str) -> list[str]:
    """The class of each sound, by what its path says besides the part of the split."""
    found = []
    for name in names:
        *folders, stem = told.rest(name)
        if way == FOLDER:
            found.append(folders[-1][:100] if folders else "")
        else:
            begin = _BEGIN.fullmatch(stem)
            found.append(begin.group(1)[:100] if begin else "")
    return found


def _seconds(source: Source, names: list[str]) -> float:
    """A length that nearly all sounds have room in, from some of them."""
    import io

    import soundfile

    found = []
    for name in names[:: max(1, len(names) // 100)]:
        try:
            info = soundfile.info(io.BytesIO(source.members.read(name)))
            found.append(min(60.0, float(info.frames / info.samplerate)))
        except (soundfile.SoundFileError, RuntimeError, ZeroDivisionError, DataError):
            continue  # reading it will say what is wrong
    return float(max(0.1, round(float(np.quantile(found, 0.9)), 2))) if found else 1.0


def _written(source: Source, names: list[str], rate: int, file: IO[bytes], cut: list[str], tell: Tell) -> list[int]:
    """How long each sound is, behind each other in a file as int16; those that end too early are added to `cut`."""
    lengths: list[int] = []
    for place, name in enumerate(names):
        if place % 32 == 0:
            tell(0.05 + 0.8 * place / len(names), f"Reading sound {place + 1:,} of {len(names):,}")
        content = source.members.read(name)
        sound = read_sound(content, name, rate)
        cut += [name] if is_cut(content) else []
        file.write((sound.clip(-1, 1) * 32_767).astype(np.int16).tobytes())
        lengths.append(len(sound))
        if file.tell() > MAX_STORED_BYTES:
            raise DataError(
                f"These sounds take more than {MAX_STORED_BYTES / 2**20:,.0f} MiB at {rate:,} samples a second; "
                "choose a lower rate, or bring a part of them."
            )
    file.flush()
    return lengths


def _fill(found: np.ndarray, samples: np.ndarray, lengths: np.ndarray, rows: np.ndarray, length: int) -> np.ndarray:
    """Some sounds (R, length, 1), cut or filled with silence behind, in an array of zeros."""
    ends = np.cumsum(lengths)
    for place, row in enumerate(rows.tolist()):
        kept = samples[ends[row] - lengths[row] : ends[row]][:length]
        found[place, : len(kept), 0] = kept / np.float32(32_767)
    return found
