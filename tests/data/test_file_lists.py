"""Files of a class or a part of the split per line, in the layouts in which images and sounds are published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from netloom.data import Prepared
from netloom.data.uploads import fitting, open_source
from tests.data.brought import tone
from tests.data.crafted import make_zip, solid_image
from tests.data.samples import import_and_prepare, import_error

ROWS = range(40)
NAMES = ("cat", "dog")
PARTS = {"train": ROWS[:24], "val": ROWS[24:32], "test": ROWS[32:]}


def _picture(row: int) -> bytes:
    return solid_image((6 * row, 0, 0), (4, 4))


def _lines(rows: range, line: Callable[[int], str]) -> bytes:
    return "\n".join(map(line, rows)).encode()


def _shades(data: Prepared) -> list[int]:
    return [round(float(np.asarray(data.raw.row(index)["image"])[0, 0, 0]) / 6) for index in range(len(data.raw))]


def _check(data: Prepared, classes: tuple[str, ...]) -> None:
    """Check that each image has the class and the part of its number, which its shade says."""
    shades = _shades(data)
    assert sorted(shades) == list(ROWS)
    assert data.raw.classes == classes
    assert [int(target) for target in data.raw.target] == [shade % 2 for shade in shades]
    assert data.raw.given is not None
    assert [next(i for i, rows in enumerate(PARTS.values()) if shade in rows) for shade in shades] == list(
        data.raw.given
    )


def _caffe() -> Mapping[str, bytes]:
    lists = {f"{part}.txt": _lines(rows, lambda row: f"images/{row}.png {row % 2}") for part, rows in PARTS.items()}
    return {**{f"images/{row}.png": _picture(row) for row in ROWS}, **lists}


def _imagenet() -> Mapping[str, bytes]:
    lists = {
        f"meta/{part}.txt": _lines(rows, lambda row: f"my pictures/{row}.png {NAMES[row % 2]}")
        for part, rows in PARTS.items()
    }
    return {
        **{f"data/my pictures/{row}.png": _picture(row) for row in ROWS},
        **lists,
        "synset_words.txt": b"n0 a cat\n",
    }


def _celeba() -> Mapping[str, bytes]:
    part_of = {row: number for number, rows in enumerate(PARTS.values()) for row in rows}
    attributes = _lines(ROWS, lambda row: f"{row:06}.png {'1' if row % 2 else '-1':>2} {'1' if row % 3 else '-1':>2}")
    return {
        **{f"img/{row:06}.png": _picture(row) for row in ROWS},
        "list_attr.txt": b"40\nMale Young\n" + attributes,
        "list_eval_partition.txt": _lines(ROWS, lambda row: f"{row:06}.png {part_of[row]}"),
    }


def test_lists_of_files_and_classes_are_read(home: Path) -> None:
    _check(import_and_prepare(make_zip(_caffe()), home, "caffe.zip"), ("0", "1"))


def test_names_with_blanks_in_lists_are_found(home: Path) -> None:
    _check(import_and_prepare(make_zip(_imagenet()), home, "imagenet.zip"), NAMES)


def test_attributes_below_their_names_are_read_with_their_partition(home: Path) -> None:
    _check(import_and_prepare(make_zip(_celeba()), home, "celeba.zip", target="Male"), ("-1", "1"))


def test_many_attributes_are_read(home: Path) -> None:
    names = [f"Attribute_{number}" for number in range(40)]
    marks = {row: [1 if (row >> number % 5) % 2 else -1 for number in range(40)] for row in ROWS}
    files = {f"img/{row:06}.png": _picture(row) for row in ROWS}
    attributes = _lines(ROWS, lambda row: f"{row:06}.png {' '.join(f'{mark:2}' for mark in marks[row])}")
    files["list_attr_celeba.txt"] = f"40\n{' '.join(names)} \n".encode() + attributes
    data = import_and_prepare(make_zip(files), home, "celeba.zip", target="Attribute_1")
    assert [int(target) for target in data.raw.target] == [(shade >> 1) % 2 for shade in _shades(data)]


def test_a_list_without_parts_is_split(home: Path) -> None:
    files = {name: content for name, content in _caffe().items() if name.endswith(".png")}
    files["labels.txt"] = _lines(ROWS, lambda row: f"{row}.png {NAMES[row % 2]}")
    data = import_and_prepare(make_zip(files), home, "one.zip")
    assert (data.raw.classes, data.raw.given) == (NAMES, None)


def test_cells_with_blanks_between_tabs_stay_whole(home: Path) -> None:
    breeds = ("great dane", "red fox")
    files = {f"{row}.png": _picture(row) for row in ROWS}
    files["labels.tsv"] = b"file\tplace\tbreed\n" + _lines(
        ROWS, lambda row: f"{row}.png\t{'zoo' if row % 3 else ''}\t{breeds[row % 2]}"
    )
    data = import_and_prepare(make_zip(files), home, "breeds.zip")
    assert (data.schema.target.name, data.raw.classes, len(data.raw)) == ("breed", breeds, len(ROWS))


def _marked(marks: dict[int, str]) -> Callable[[int], str]:
    return lambda row: f"{row:06} {marks[row]}"


def test_lists_of_each_class_of_pascal_voc_are_several_labels(home: Path) -> None:
    files = {f"VOC/JPEGImages/{row:06}.png": _picture(row) for row in ROWS}
    for part, rows in PARTS.items():
        files[f"VOC/ImageSets/Main/{part}.txt"] = _lines(rows, lambda row: f"{row:06}")
        for number, name in enumerate(NAMES):
            marks = {row: " 1" if row % 2 == number or row % 5 == 0 else "-1" for row in rows}
            files[f"VOC/ImageSets/Main/{name}_{part}.txt"] = _lines(rows, _marked(marks))
    data = import_and_prepare(make_zip(files), home, "voc.zip")
    assert (data.raw.target_kind, data.raw.classes) == ("labels", NAMES)
    assert data.raw.target.tolist() == [
        [int(shade % 2 == number or shade % 5 == 0) for number in range(2)] for shade in _shades(data)
    ]
    assert [len(data.split[part]) for part in ("train", "validation", "test")] == [24, 8, 8]


def test_a_line_with_a_single_word_is_left_out_of_the_list_of_a_class(home: Path) -> None:
    files = {f"{row:06}.png": _picture(row) for row in ROWS}
    for number, name in enumerate(NAMES):
        marks = {row: "1" if row % 2 == number else "-1" for row in ROWS}
        files[f"{name}_trainval.txt"] = _lines(ROWS, _marked(marks)) + b"\nend\n"
    data = import_and_prepare(make_zip(files), home, "voc.zip")
    assert (data.raw.classes, len(data.raw)) == (NAMES, len(ROWS))


def test_a_list_that_cannot_be_decoded_is_left_out(home: Path) -> None:
    files = {f"{NAMES[row % 2]}/{row}.png": _picture(row) for row in ROWS}
    lines = _lines(ROWS, lambda row: f"{row}.png {NAMES[row % 2]}")
    files["labels.txt"] = b"\n".join([lines, lines, b"39.png \xff\x01 is not a text"])
    assert import_and_prepare(make_zip(files), home, "broken.zip").raw.classes == NAMES


def test_numbers_of_files_are_not_their_names(home: Path) -> None:
    """images.txt of CUB numbers the files, and the other lists refer to these numbers, not to names such as 1.png."""
    files = {f"CUB/images/00{row % 2}.{NAMES[row % 2]}/{row}.png": _picture(row) for row in ROWS}
    files["CUB/images.txt"] = _lines(ROWS, lambda row: f"{row + 1} 00{row % 2}.{NAMES[row % 2]}/{row}.png")
    files["CUB/image_class_labels.txt"] = _lines(ROWS, lambda row: f"{row + 1} {row % 2 + 1}")
    files["CUB/train_test_split.txt"] = _lines(ROWS, lambda row: f"{row + 1} {int(row < 30)}")
    data = import_and_prepare(make_zip(files), home, "cub.zip")
    assert data.raw.classes == ("000.cat", "001.dog")
    assert [int(target) for target in data.raw.target] == [shade % 2 for shade in _shades(data)]
    assert data.raw.given is not None
    assert [int(part) for part in data.raw.given] == [0 if shade < 30 else 2 for shade in _shades(data)]


def test_a_table_to_submit_is_not_the_table_of_labels(home: Path) -> None:
    """A competition of Kaggle: images to predict, with a table of equal labels to fill in."""
    files = {f"{'train' if row < 30 else 'test'}/{row}.png": _picture(row) for row in ROWS}
    files["train.csv"] = b"id,label\n" + _lines(ROWS[:30], lambda row: f"{row},{NAMES[row % 2]}")
    files["sample_submission.csv"] = b"id,label\n" + _lines(ROWS[30:], lambda row: f"{row},cat")
    files["test.csv"] = b"id,width\n" + _lines(ROWS[30:], lambda row: f"{row},4")
    data = import_and_prepare(make_zip(files), home, "kaggle.zip")
    assert (len(data.raw), data.raw.classes) == (30, NAMES)


def _commands() -> dict[str, bytes]:
    sounds = {f"{('no', 'yes')[row % 2]}/{row}_nohash_0.wav": tone(200 + 300 * (row % 2), 0.1, 2_000) for row in ROWS}
    return sounds | {"_background_noise_/pink.wav": tone(90, 1, 2_000), "_background_noise_/README.md": b"Noise.\n"}


def test_the_lists_of_speech_commands_are_the_split(home: Path) -> None:
    files, names = _commands(), [*_commands()][: len(ROWS)]
    files["validation_list.txt"] = "\n".join(names[20:30]).encode()
    files["testing_list.txt"] = "\n".join(names[30:]).encode()
    data = import_and_prepare(make_zip(files), home, "commands.zip")
    assert data.raw.classes == ("no", "yes")
    assert [len(data.split[part]) for part in ("train", "validation", "test")] == [20, 10, 10]
    assert any("'_background_noise_/pink.wav'" in note for note in data.raw.warnings)


def test_transcripts_are_named_as_not_read(home: Path) -> None:
    files = {f"train-clean/{row % 2}/{row % 2}-9-{row:04}.wav": tone(200, 0.1, 2_000) for row in ROWS}
    files["train-clean/0/0-9.trans.txt"] = _lines(ROWS, lambda row: f"0-9-{row:04} SOME WORDS")
    content = make_zip(files)
    assert fitting(open_source(content, "libri.zip"))[0].name == "sounds"
    data = import_and_prepare(content, home, "libri.zip")
    assert any("'train-clean/0/0-9.trans.txt' are not read" in note for note in data.raw.warnings)


def test_sounds_with_transcripts_alone_are_refused(home: Path) -> None:
    files = {f"wavs/LJ{row:04}.wav": tone(200, 0.1, 2_000) for row in ROWS}
    files["metadata.csv"] = b"file|text\n" + _lines(ROWS, lambda row: f"LJ{row:04}|the words of row {row}")
    message = import_error(make_zip(files), home, "lj.zip")
    assert "have no classes" in message
    assert "'metadata.csv' are not read" in message


@pytest.mark.parametrize("kind", ["class", "labels"])
def test_columns_of_zeros_and_ones_are_classes_or_labels(kind: str, home: Path) -> None:
    names = ("healthy", "rust", "scab")
    rows = [[int(row % 3 == place or (kind == "labels" and row % 5 < place)) for place in range(3)] for row in ROWS]
    rows[4] = [0, 1, 0] if kind == "class" else [0, 0, 0]
    files = {f"images/{row}.png": _picture(row) for row in ROWS}
    files["train.csv"] = "\n".join(
        [f"image_id,{','.join(names)}", *(",".join(map(str, [row, *marks])) for row, marks in enumerate(rows))]
    ).encode()
    data = import_and_prepare(make_zip(files), home, "leaves.zip")
    assert (data.raw.target_kind, data.raw.classes) == (kind, names)
    expected = [rows[shade] for shade in _shades(data)]
    targets = data.raw.target.tolist() if kind == "labels" else np.eye(3, dtype=int)[data.raw.target].tolist()
    assert targets == expected


def test_sets_of_labels_beside_images_are_noted(home: Path) -> None:
    files = {f"images/{row}.png": _picture(row) for row in ROWS}
    cells = ["Mass", "Edema", "Mass|Edema", "No Finding"]
    files["entries.csv"] = b"Image,Finding Labels,Patient ID\n" + _lines(
        ROWS, lambda row: f"{row}.png,{cells[row % 4]},{row // 3}"
    )
    data = import_and_prepare(make_zip(files), home, "chest.zip")
    assert data.schema.target.name == "Finding Labels"
    assert any("look like sets of labels, such as 'Mass|Edema'" in note for note in data.raw.warnings)


def _sound(row: int, form: str = "WAV") -> bytes:
    return tone(300 + 10 * row, 0.05, 8_000, form)


SPEAKERS = [f"LA_{row % 7:04}" for row in ROWS]
ATTACKS = ["-" if row % 3 else f"A0{1 + row % 2}" for row in ROWS]


def _asvspoof(parts: Mapping[str, range], header: str = "") -> dict[str, bytes]:
    """Sounds in folders of parts, and a protocol for each: speaker, file without suffix, attack and label."""
    files: dict[str, bytes] = {}
    for part, rows in parts.items():
        files |= {f"LA/LA_{part}/flac/LA_T_{1_000 + row}.flac": _sound(row, "FLAC") for row in rows}
        lines = [f"{SPEAKERS[row]} LA_T_{1_000 + row} - {ATTACKS[row]} {'bonafide' if row % 3 else 'spoof'}"
                 for row in rows]  # fmt: skip
        protocol = "\n".join([header] * bool(header) + lines)
        files[f"LA/protocols/ASVspoof2019.LA.cm.{part}.{'trn' if part == 'train' else 'trl'}.txt"] = protocol.encode()
    return files


@pytest.mark.parametrize("header", ["", "speaker utterance codec attack key"])
def test_protocols_with_the_file_in_another_word_are_tables(header: str, home: Path) -> None:
    data = import_and_prepare(make_zip(_asvspoof({"train": ROWS}, header)), home, "LA.zip")
    assert (data.schema.target.name, data.raw.classes) == ("key" if header else "column 5", ("bonafide", "spoof"))
    assert [int(target) for target in data.raw.target] == [int(row % 3 == 0) for row in ROWS]


def test_protocols_of_the_parts_give_the_split(home: Path) -> None:
    parts = {"train": ROWS[:24], "dev": ROWS[24:32], "eval": ROWS[32:]}
    data = import_and_prepare(make_zip(_asvspoof(parts)), home, "LA.zip")
    assert data.raw.given is not None
    assert [*map(int, data.raw.given)] == [0] * 24 + [1] * 8 + [2] * 8
    assert [int(target) for target in data.raw.target] == [int(row % 3 == 0) for row in ROWS]


def test_images_are_named_in_another_word_too(home: Path) -> None:
    files = {f"images/{row:03}_a.png": _picture(row) for row in ROWS}
    files["labels.txt"] = _lines(ROWS, lambda row: f"scan {row:03}_a {NAMES[row % 2]}")
    data = import_and_prepare(make_zip(files), home, "scans.zip")
    assert (data.raw.classes, len(data.raw)) == (NAMES, len(ROWS))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("s{}", lambda row: f"{row % 2} yes/s{row}.wav no/s{row + 1}.wav"),  # pairs for verification, as in VoxCeleb
        ("s{}", lambda row: f"{1 + row % 3} {'no' if row % 2 else 'yes'}/s{row}.wav"),  # the part in VoxCeleb
        ("{}", lambda row: f"speaker {row} says {'no' if row % 2 else 'yes'}"),  # numbers that are names of files
        ("s{}", lambda row: f"the sound s{row} was recorded " + "on a very long day " * (row % 2)),
    ],
)
def test_other_lists_beside_sounds_do_not_replace_their_folders(
    name: str, line: Callable[[int], str], home: Path
) -> None:
    files = {f"{'no' if row % 2 else 'yes'}/{name.format(row)}.wav": _sound(row) for row in ROWS}
    files["list.txt"] = _lines(ROWS, line)
    data = import_and_prepare(make_zip(files), home, "sounds.zip")
    assert (data.schema.target.name, data.raw.classes) == ("class", ("no", "yes"))


def test_a_table_to_fill_in_is_not_the_test(home: Path) -> None:
    files = {f"{row}.png": _picture(row) for row in ROWS}
    files["train_labels.csv"] = b"image,animal\n" + _lines(ROWS[:30], lambda row: f"{row}.png,{NAMES[row % 2]}")
    files["test_predictions.csv"] = b"image,animal\n" + _lines(ROWS[30:], lambda row: f"{row}.png,cat")
    data = import_and_prepare(make_zip(files), home, "animals.zip")
    assert (data.raw.classes, len(data.raw), data.raw.given) == (NAMES, 30, None)
