"""Every supported file kind: how it is detected, and that the data read equals the data written."""

from __future__ import annotations

import gzip
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.uploads import fitting, open_source, readers
from netloom.data.uploads.kinds.arrays import Arrays
from netloom.document import DataChoice
from netloom.sandbox import read_batch
from netloom.templates.starting import starters
from tests.data import brought
from tests.data.brought import EXAMPLE_FILES, bars, conll, excel, idx, npz, people, png, tone
from tests.data.crafted import make_csv, make_zip, valid_csv


def _add(content: Any, home: Path, filename: str = "x", kind: str = "", **options: Any) -> Prepared:
    info = add_file(content, filename, home, kind=kind, options=options)
    return prepare(DataChoice(dataset=info.name), home)


@pytest.mark.parametrize(
    ("filename", "content", "kind"),
    [
        ("a.json", json.dumps([{"a": n, "x": n / 2, "y": n % 2} for n in range(60)]).encode(), "table"),
        ("a.npz", npz(a=np.arange(60.0), x=np.ones((60, 3)), y=np.arange(60) % 2), "arrays"),
    ],
)
def test_columns_named_like_matrices_are_not_graphs(filename: str, content: bytes, kind: str) -> None:
    assert fitting(open_source(content, filename))[0].name == kind


def test_headline_counts_the_columns_that_the_network_reads() -> None:
    rows = [f"{n},{20 + n % 7},{n * n},x{n * 7919}abc,{'yes' if n % 3 else 'no'}" for n in range(60)]
    source = open_source("\n".join(["id,age,income,name,buys", *rows]).encode(), "a.csv")
    reader = readers()["table"]
    learned = reader.learned(source, reader.answered(source, {}))
    assert learned == "Predict 'buys' from 'age', 'income'. Not used: 'id', 'name'."
    used = reader.answered(source, {"columns": {"id": {"role": "input"}, "income": {"role": "ignore"}}})
    assert reader.learned(source, used) == "Predict 'buys' from 'id', 'age'. Not used: 'name'."


@pytest.mark.parametrize("filename", EXAMPLE_FILES)
def test_reader_is_detected_from_content(home: Path, filename: str) -> None:
    build, kind = EXAMPLE_FILES[filename]
    source = open_source(build(), "misleading.png")
    reader = fitting(source)[0]
    assert reader.name == kind
    answers = reader.answered(source, {})
    assert reader.learned(source, answers)
    assert 0 < len(reader.preview(source, answers)) <= 8
    reported: list[float] = []
    info = add_file(build(), filename, home, progress=lambda share, what: reported.append(share))
    assert reported[0] == 0
    assert reported[-1] == 1
    assert all(before <= after for before, after in pairwise(reported))
    data = prepare(DataChoice(dataset=info.name), home)
    assert len(data.raw) == data.schema.rows > 10
    for values in data.inputs.values():
        assert values.isfinite().all()
    data.example(0)


def test_preview_columns_do_not_collide_with_table_columns() -> None:
    files = {f"p{n}.png": png(np.full((8, 8), 20 * n, np.uint8)) for n in range(12)}
    table = "\n".join(["image,image 1,kind", *(f"p{n}.png,p{n - 1 if n else 1}.png,{'ab'[n % 2]}" for n in range(12))])
    source = open_source(make_zip({**files, "table.csv": table.encode()}), "a.zip")
    for name, columns in (("labeled_pictures", ["image'"]), ("picture_pairs", ["image 1'", "image 2"])):
        reader = readers()[name]
        preview = reader.preview(source, reader.answered(source, {}))
        assert list(preview.columns) == [*columns, "image", "image 1", "kind"]
        assert preview[columns[0]].str.startswith("data:image/png").all()


def test_every_reader_is_tested() -> None:
    assert {kind for _, kind in EXAMPLE_FILES.values()} | {"picture_folders"} == set(readers())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_table_is_read_in_any_text_encoding(home: Path, encoding: str) -> None:
    text = valid_csv().decode().replace("a\n", "é\n")
    data = _add(text.encode(encoding), home)
    assert data.schema.target.classes == ("b", "é")
    assert any("Windows-1252" in warning for warning in data.warnings) == (encoding == "cp1252")


def test_gzipped_table_has_the_same_fingerprint(home: Path) -> None:
    assert _add(gzip.compress(valid_csv()), home, "x.csv.gz").fingerprint == _add(valid_csv(), home).fingerprint


@pytest.mark.parametrize("form", ["lines", "list", "under a name", "columns", "by key"])
def test_json_layouts_are_read_alike(home: Path, form: str) -> None:
    head, *rows = people()
    records = [dict(zip(head, row, strict=True)) for row in rows]
    content: Any = {
        "list": records,
        "under a name": {"rows": records},
        "columns": {name: [row[name] for row in records] for name in head},
        "by key": {str(index): row for index, row in enumerate(records)},
    }.get(form)
    text = "\n".join(map(json.dumps, records)) if form == "lines" else json.dumps(content)
    table = pd.DataFrame(rows, columns=head)
    same = _add(table.to_csv(index=False).encode(), home)
    data = _add(text.encode(), home)
    assert torch.equal(data.inputs["features"], same.inputs["features"])
    assert data.schema.target == same.schema.target


def test_nested_json_becomes_columns(home: Path) -> None:
    records = [{"a": {"b": i, "c": None if i % 5 == 0 else i * 2}, "y": "pq"[i % 2]} for i in range(40)]
    data = _add(json.dumps(records).encode(), home)
    assert data.row(7) == {"a.b": 7.0, "a.c": 14.0}
    assert data.row(5)["a.c"] is None


def test_excel_sheet_is_selectable_and_formulas_are_rejected(home: Path) -> None:
    other: list[list[Any]] = [["x", "y"], *([i, "uv"[i % 2]] for i in range(40))]
    content = excel({"Notes": [], "People": people(), "Other": other})
    data = _add(content, home, "book.xlsx")
    assert data.schema.target.classes == ("a", "b")
    assert any("'People'" in warning for warning in data.warnings)
    assert _add(content, home, "book.xlsx", sheet="Other").schema.target.classes == ("u", "v")
    with pytest.raises(DataError, match="no sheet 'None such'"):
        _add(content, home, "book.xlsx", sheet="None such")
    sums = excel({"S": [["x", "y"], *([f"={i}+1", f"=1+{i % 2}"] for i in range(40))]})
    with pytest.raises(DataError, match="formulas whose results were never saved"):
        _add(sums, home, "book.xlsx")


def test_first_sheet_that_is_a_table_is_read(home: Path) -> None:
    about: list[list[Any]] = [["About"], ["Measured in May"], ["Heights in meters"]]
    data = _add(excel({"About": about, "Empty": [["a", "b"]], "People": people()}), home, "book.xlsx")
    assert data.schema.target.name == "kind"
    assert any("'People'" in warning for warning in data.warnings)
    with pytest.raises(DataError, match="has one column"):
        _add(excel({"About": about}), home, "book.xlsx")


def test_sheet_with_the_columns_of_the_network_is_predicted(home: Path) -> None:
    other: list[list[Any]] = [["x", "y"], [1, "u"]]
    content = excel({"About": [["Measured in May"]], "Other": other, "People": people()})
    data = _add(content, home, "book.xlsx", sheet="People")
    file = read_batch(content, "book.xlsx", data.preprocess.to_json())
    assert [row["height"] for row in file.rows] == [row[0] for row in people()[1:]]
    assert file.notes == ["Of 3 sheets, 'People' was read."]


def test_train_and_test_tables_give_the_split(home: Path) -> None:
    head, *rows = valid_csv(90).decode().splitlines()
    content = {
        "train.csv": make_csv(head, rows[:60]),
        "test.csv": make_csv(head, rows[60:]),
        "about.json": b'["a"]',
    }
    data = _add(content, home)
    assert sorted(data.split["test"].tolist()) == list(range(60, 90))
    assert data.schema.inputs[0].columns == ("height", "width")


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize("form", ["idx files", "idx zip", "npz", "npy files"])
def test_array_formats_give_the_same_images(home: Path, form: str) -> None:
    pixels, labels = bars(120)
    npy = {}
    for name, array in (("images", pixels), ("labels", labels)):
        stream = io.BytesIO()
        np.save(stream, array)
        npy[f"{name}.npy"] = stream.getvalue()
    content: Any = {
        "idx files": {"images-idx3-ubyte.gz": gzip.compress(idx(pixels)), "labels-idx1-ubyte": idx(labels)},
        "idx zip": brought.idx_zip(),
        "npz": npz(x_train=pixels, y_train=labels),
        "npy files": npy,
    }[form]
    data = _add(content, home)
    assert data.schema.inputs[0].shape == (1, 10, 10)
    assert np.array_equal(np.stack([data.row(i)["image"][0] for i in range(120)]), pixels)
    assert data.target.tolist() == labels.tolist()
    if form == "idx zip":
        assert sorted(data.split["test"].tolist()) == list(range(90, 120))


def test_idx_float_and_int32_arrays_are_read(home: Path) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(">f4")
    target = (np.arange(50) % 2).astype(">i4")
    data = _add({"data": idx(values, 0x0D), "labels": idx(target, 0x0C)}, home)
    assert data.schema.inputs[0].kind == "vector"
    assert [data.row(4)[f"x{index}"] for index in (1, 2, 3)] == pytest.approx(values[4].tolist())
    assert data.target.tolist() == target.tolist()


@pytest.mark.parametrize("target", ["whole", "numbers", "one-hot", "texts", "vectors", "masks"])
def test_array_target_kind_is_inferred(home: Path, target: str) -> None:
    random = np.random.default_rng(0)
    pixels, labels = bars(60)
    array = {
        "whole": labels,
        "numbers": random.normal(size=60),
        "one-hot": np.eye(2)[labels],
        "texts": np.array(["lies", "stands"])[labels],
        "vectors": random.normal(size=(60, 3)),
        "masks": (pixels > 200).astype(np.uint8),
    }[target]
    data = _add(npz(x=pixels, y=array), home)
    target_schema = data.schema.target
    kinds = {"numbers": "number", "vectors": "number", "masks": "mask"}
    assert target_schema.kind == kinds.get(target, "class")
    if target_schema.kind == "number":
        assert data.restore(data.target).numpy() == pytest.approx(array.reshape(60, -1), abs=1e-5)
    elif target_schema.kind == "mask":
        assert np.array_equal(data.target.numpy(), array)
    else:
        assert data.target.tolist() == labels.tolist()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "float16", "bool"])
def test_2d_rows_are_images_only_for_byte_dtypes(home: Path, dtype: str) -> None:
    values = (np.arange(40 * 12 * 3).reshape(40, 12, 3) % 2).astype(dtype)
    data = _add(npz(x=values, y=np.arange(40) % 2), home)
    assert data.schema.inputs[0].kind == ("image" if dtype.endswith("int8") else "sequence")


def test_array_names_include_their_folder() -> None:
    content = io.BytesIO()
    np.save(content, np.ones((20, 3)))
    files = {name: content.getvalue() for name in ("train/x.npy", "test/more.npy", "new/y.npy")}
    source = open_source(make_zip(files), "a.zip")
    assert set(Arrays().questions(source, {})[0].choices) == {"train/x", "y"}


def test_array_columns_can_be_ignored(home: Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    info = add_file(npz(x=values, y=np.arange(40) % 2), "x.npz", home)
    data = prepare(DataChoice(dataset=info.name, options={"columns": {"x2": {"role": "ignore"}}}), home)
    assert data.schema.inputs[0].columns == ("x1", "x3")


def test_channels_first_and_last_arrays_are_equal(home: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 9, 9, 3)).astype(np.uint8)
    labels = np.arange(40) % 2
    last = _add(npz(x=pixels, y=labels), home)
    first = _add(npz(x=pixels.transpose(0, 3, 1, 2), y=labels), home)
    assert last.schema.inputs[0].shape == (3, 9, 9)
    assert torch.equal(last.inputs["image"], first.inputs["image"])


# ---------------------------------------------------------------- images


def test_images_can_have_a_numeric_target(home: Path) -> None:
    data = _add(brought.labeled_pictures(), home, target="brightness")
    assert data.schema.target.kind == "number"
    brightness = [float(data.row(i)["image"].mean()) / 10 for i in range(80)]
    assert data.restore(data.target).flatten().tolist() == pytest.approx(brightness, abs=0.5)
    assert _add(brought.labeled_pictures(), home).schema.target.classes == ("dark", "light")


def test_table_names_images_by_stem_or_path(home: Path) -> None:
    pictures = {f"a/b/{i}.png": png(np.full((8, 8), i * 5, np.uint8)) for i in range(30)}
    rows = [f"{i if i % 2 else f'b/{i}.png'},{'uv'[i % 2]}" for i in range(32)]
    # By the former name of this kind
    data = _add(make_zip({**pictures, "t.csv": make_csv("id,y", rows)}), home, kind="labelled_pictures")
    assert [int(data.row(i)["image"].mean()) for i in range(30)] == [i * 5 for i in range(30)]
    assert any("Left out 2 rows with names of missing files" in warning for warning in data.warnings)


@pytest.mark.parametrize("form", ["index", "palette", "colours"])
def test_mask_formats_give_the_same_classes(home: Path, form: str) -> None:
    data = _add(brought.masks(form), home)
    expected = _add(brought.masks("index"), home)
    assert data.schema.target.shape == (12, 12)
    order = [0, 2, 1] if form == "colours" else [0, 1, 2]  # blue sorts before red
    assert np.array_equal(np.array(order)[data.target.numpy()], expected.target.numpy())
    picture = data.row(3)["image"][0]
    assert np.array_equal(picture // 100, expected.target[3].numpy())


def test_mask_class_names_come_from_classes_file(home: Path) -> None:
    import zipfile

    stream = io.BytesIO(brought.masks())
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("set/classes.txt", "ground\nwater\nfield\n")
    assert _add(stream.getvalue(), home).schema.target.classes == ("ground", "water", "field")


def test_image_pairs_follow_the_table(home: Path) -> None:
    pixels, labels = bars(40)
    pairs = np.random.default_rng(2).integers(0, 40, (120, 2))
    data = _add(brought.picture_pairs(), home)
    assert [field.name for field in data.schema.inputs] == ["first", "second"]
    for row in (0, 7, 119):
        first, second = pairs[row]
        assert np.array_equal(data.row(row)["first"][0], pixels[first])
        assert np.array_equal(data.row(row)["second"][0], pixels[second])
        assert data.target_text(row) == ("same" if labels[first] == labels[second] else "different")
    assert np.array_equal(data.image_field("first").mean, data.image_field("second").mean)


def test_train_and_test_folders_give_the_split(home: Path) -> None:
    content = make_zip(
        {
            f"{part}/{name}/{i}.png": png(np.full((8, 8), i, np.uint8))
            for part, count in (("train", 12), ("test", 5))
            for name in "ab"
            for i in range(count)
        }
    )
    data = _add(content, home)
    assert len(data.split["test"]) == 10
    assert len(data.split["train"]) + len(data.split["validation"]) == 24


# ---------------------------------------------------------------- texts


def test_texts_are_read_from_folders_and_lines(home: Path) -> None:
    folders, by_line = _add(brought.text_folders(), home), _add(brought.text_lines(), home)
    for data in (folders, by_line):
        assert data.schema.target.classes == ("negative", "positive")
        for row in range(data.schema.rows):
            is_positive = any(word in data.row(row)["text"] for word in brought.GOOD)
            assert is_positive == (data.target_text(row) == "positive")
    assert (folders.schema.rows, by_line.schema.rows) == (60, 60)


def test_conll_tags_align_with_their_words(home: Path) -> None:
    data = _add(conll(), home)
    assert data.schema.rows == 60
    example = data.example(5)
    tagged = dict(zip(example.tokens, example.tags, strict=True))
    assert (tagged["new"], tagged["york"], tagged["with"]) == ("B-place", "I-place", "O")
    assert tagged.get("anna", tagged.get("bob")) == "B-person"


def test_other_tag_schemes_convert_to_bio_and_warn(home: Path) -> None:
    block = "Rio I-place\nde I-place\nAnna S-person\nin O\nNew B-place\nYork E-place\ndon't B-x\nI-95 O\n\n"
    data = _add((block * 12).encode(), home)
    example = data.example(0)
    assert list(zip(example.tokens, example.tags, strict=True)) == [
        ("rio", "B-place"), ("de", "I-place"), ("anna", "B-person"), ("in", "O"), ("new", "B-place"),
        ("york", "I-place"), ("don't", "B-x"), ("i-95", "O"),
    ]  # fmt: skip
    assert any("12 tags that continue no entity" in warning for warning in data.warnings)
    with pytest.raises(DataError, match=r"Line 2 of .* has no tag"):
        _add(b"a O\nb\n" + b"c O\n" * 30, home, kind="tagged")


def test_conll_file_names_give_the_split(home: Path) -> None:
    data = _add({"x.train.conll": conll(), "x.test.conll": conll(), "LICENSE": b"Free.\n" * 9}, home)
    assert (data.schema.rows, len(data.split["test"])) == (120, 60)


def test_translations_have_sequence_targets(home: Path) -> None:
    data = _add(brought.translations(), home)
    assert data.schema.target.kind == "sequence"
    assert (data.example(42).text, data.example(42).answer) == ("four two.", "42-x")


@pytest.mark.parametrize(
    "pattern",
    [
        "{text}\t{answer}\tCC-BY 2.0 (France) Attribution: tatoeba.org #{number} (CM) & #{number}7 (sac)",
        "id\ten\tfr\n{number}\t{text}\t{answer}",
        "en\tsource\tfr\n{text}\tbook\t{answer}",
    ],
)
def test_ids_and_sources_beside_translations_are_ignored(pattern: str, home: Path) -> None:
    header, _, line = pattern.rpartition("\n")
    pairs = [line.split("\t") for line in brought.translations().decode().splitlines()]
    lines = [
        line.format(text=text, answer=f"Say {answer}", number=number) for number, (text, answer) in enumerate(pairs)
    ]
    data = _add("\n".join([header, *lines]).lstrip().encode(), home)
    assert data.schema.target.kind == "sequence"
    assert (data.example(42).text, data.example(42).answer) == ("four two.", "Say 42-x")


def test_a_number_beside_two_texts_stays_the_target(home: Path) -> None:
    pairs = [line.split("\t") for line in brought.translations().decode().splitlines()]
    rows = [
        f"The number {text},We say {answer} in short,{number / 7:.2f}" for number, (text, answer) in enumerate(pairs)
    ]
    assert _add(make_csv("title,description,price", rows), home).schema.target.name == "price"


def test_text_pairs_share_one_vocabulary(home: Path) -> None:
    data = _add(brought.text_pairs(), home)
    first, second = data.token_field("first"), data.token_field("second")
    assert first.vocabulary == second.vocabulary
    assert "indeed" in first.vocabulary
    row = data.row(1)
    assert row["second"] == f"{row['first']} indeed"
    assert data.target_text(1) == "1"


def test_prose_blocks_have_next_token_targets(home: Path) -> None:
    data = _add(brought.prose(), home, length=32)
    prose = brought.prose().decode()
    assert data.row(2)["text"] == prose[64:96]
    assert data.target_text(2) == prose[65:97]


# ---------------------------------------------------------------- sounds, series, ratings, graphs


def test_sounds_are_resampled_and_keep_their_pitch(home: Path) -> None:
    data = _add(brought.sounds(), home, rate=4_000, seconds=0.2)
    assert data.schema.inputs[0].shape == (800, 1)
    assert data.schema.target.classes == ("high", "low")
    for row in (0, 1, 17):
        spectrum = abs(np.fft.rfft(data.row(row)["sound"][:, 0]))
        number = int(["0", "1", "10", "11", "12", "13", "14", "15", "2", "3", "4", "5", "6", "7", "8", "9"][row % 16])
        pitch = (900 if data.target_text(row) == "high" else 200) + 7 * number
        assert abs(spectrum.argmax() * 5 - pitch) <= 5  # 0.2 s give a resolution of 5 Hz
        assert abs(data.row(row)["sound"]).max() == pytest.approx(0.5, abs=0.03)


def test_sound_labels_come_from_names_or_a_table(home: Path) -> None:
    files = {f"{('yes', 'no')[i % 2]}_{i}.wav": tone(300 + i, 0.1, 8_000) for i in range(20)}
    assert _add(files, home).schema.target.classes == ("no", "yes")
    sounds, source = readers()["sounds"], open_source(make_zip(files), "a.zip")
    for spelling in ("the beginning of the name", "the begin of the name"):  # the second one is that of version 0.1.0
        assert sounds.answered(source, {"label": spelling})["label"] == "the beginning of the name"
    table = make_csv("clip,loudness", (f"{name},{i * 1.5}" for i, name in enumerate(files)))
    data = _add({**files, "labels.csv": table}, home)
    assert (data.schema.target.name, data.schema.target.kind) == ("loudness", "number")


def test_a_part_of_the_name_is_the_class_of_a_sound(home: Path) -> None:
    # The third number is the emotion, and the last one the actor, as in recordings of acted emotions.
    files = {
        f"Actor_{actor:02}/03-01-{emotion:02}-01-{repetition:02}-{actor:02}.wav": tone(300 + 40 * emotion, 0.05, 8_000)
        for actor in (1, 2) for emotion in (1, 3, 5) for repetition in (1, 2)
    }  # fmt: skip
    sounds, source = readers()["sounds"], open_source(make_zip(files), "emotions.zip")
    questions = {question.name: question for question in sounds.questions(source, {})}
    assert questions["label"].choices == ("a part of the name", "the folder")
    assert questions["part"].default == 3
    assert _add(files, home).schema.target.classes == ("01", "03", "05")
    assert _add(files, home, part=6).schema.target.classes == ("01", "02")
    with pytest.raises(DataError, match=r"has no part 9 between its marks; choose another part\."):
        _add(files, home, part=9)
    plain = {f"cat_{number}.wav": tone(300, 0.05, 8_000) for number in range(4)}
    plain |= {f"dog_{number}.wav": tone(600, 0.05, 8_000) for number in range(4)}
    source = open_source(make_zip(plain), "animals.zip")
    assert sounds.questions(source, {})[0].choices[0] == "the beginning of the name"


def test_series_windows_do_not_overlap_across_splits(home: Path) -> None:
    options: dict[str, Any] = {
        "window": 10,
        "horizon": 3,
        "values": ["value", "other"],
        "target": "value",
        "reach_back": False,
    }
    data = _add(brought.series(), home, **options)
    assert data.schema.inputs[0].shape == (10, 2)
    assert data.schema.target.shape == (3,)
    wave = [round(float(value), 4) for value in np.sin(np.arange(300) / 5)]
    for row in (0, 100, data.schema.rows - 1):
        assert data.row(row)["series"][:, 0].tolist() == pytest.approx(wave[row : row + 10])
        assert data.restore(data.target[row]).tolist() == pytest.approx(wave[row + 10 : row + 13], abs=1e-4)
    ranges = {name: (int(rows.min()), int(rows.max()) + 12) for name, rows in data.split.items()}
    assert ranges["train"][1] < ranges["validation"][0]
    assert ranges["validation"][1] < ranges["test"][0]


def test_gap_in_months_and_missing_first_values_are_named_as_they_are(home: Path) -> None:
    missing = (0, 1, 40)
    rows = [
        f"{2020 + i // 12}-{i % 12 + 1:02}-01,{'' if i in missing else i / 2}" for i in range(60) if not 20 <= i < 30
    ]
    assert _add(make_csv("month,sales", rows), home, kind="series").warnings == [
        "The times are irregular: 1 of 49 steps differs from the usual one of 1 month; the longest, before 2022-07-01, "
        "is 11 months. Windows take rows as if they were equally far apart.",
        "Filled 1 missing value in 'sales' with the last value before each.",
        "Filled 2 missing values at the start of 'sales' with the first value after.",
    ]


@pytest.mark.parametrize(
    ("start", "steps", "form"),
    [("2020-01-31", "ME", "%Y-%m-%d"), ("2020-01-01", "W", "%Y%m%d"), ("2020-01", "MS", "%Y%m")],
)
def test_ends_of_months_and_dates_of_digits_are_regular(start: str, steps: str, form: str, home: Path) -> None:
    times = pd.date_range(start, periods=60, freq=steps)
    rows = [f"{time:{form}},{i / 2}" for i, time in enumerate(times)]
    assert not _add(make_csv("date,v", rows), home, kind="series", time="date").warnings
    del rows[30]
    (warning,) = _add(make_csv("date,v", rows), home, kind="series", time="date").warnings
    unit = "week" if steps == "W" else "month"
    assert f"1 of 58 steps differs from the usual one of 1 {unit}; the longest" in warning
    assert f"before {times[31]:%Y-%m-%d}, is 2 {unit}s" in warning


def test_unordered_missing_and_irregular_times_give_warnings(home: Path) -> None:
    times = pd.date_range("2024-01-01", periods=100, freq="D").astype(str).tolist()
    rows = [f"{t},{i * 1.01}" for i, t in enumerate(times) if i not in (50, 51)]
    rows[3] = f"{times[3]},"
    rows = [*rows[::-1], f"{times[-1]},777"]
    data = _add(make_csv("day,v", rows), home, kind="series", window=5)
    warnings = " ".join(data.warnings)
    assert "put in the order of 'day'" in warnings
    assert "1 missing value " in warnings
    assert "irregular: 1 of 97 steps differs from the usual one of 1 day; the longest" in warnings
    assert "is 3 days" in warnings
    assert data.row(0)["series"][:, 0].tolist() == pytest.approx([0, 1.01, 2.02, 2.02, 4.04])
    months = make_csv("m,v", (f"{1990 + i // 12}-{i % 12 + 1:02},{i * 1.5}" for i in range(90)))
    assert not _add(months, home, window=6).warnings


def test_ratings_have_user_and_item_inputs(home: Path) -> None:
    data = _add(brought.ratings(), home)
    assert [field.name for field in data.schema.inputs] == ["user", "item"]
    first = brought.ratings().decode().splitlines()[1].split(",")
    assert data.row(0) == {"user_id": first[0], "movie": first[1]}
    assert data.restore(data.target[0]).item() == pytest.approx(float(first[2]), abs=1e-4)


@pytest.mark.parametrize("times", [False, True])
def test_clicks_need_no_column_of_ratings(times: bool, home: Path) -> None:
    rows = [f"{user},film {item}" for user in range(12) for item in range(user % 3, 9, 2)]
    header = "user_id,movie" + ",timestamp" * times
    content = make_csv(header, (f"{row},{number}" if times else row for number, row in enumerate(rows)))
    data = _add(content, home, kind="ratings")
    assert data.row(0) == {"user_id": "0", "movie": "film 0"}
    assert set(data.raw.target.flatten().tolist()) == {1.0}, "the times are not ratings"
    assert any("Recommendation (BPR)" in warning for warning in data.raw.warnings)
    assert [template.name for template in starters(DataChoice(), data.schema)] == ["ratings_ncf", "ratings_bpr"]


def test_graph_adjacency_matches_the_edge_table(home: Path) -> None:
    data = _add(brought.graphs(), home)
    assert data.schema.inputs[0].shape == (7, 3)  # C or N, one-hot, and a charge
    assert data.schema.inputs[1].shape == (7, 7)
    for row in (0, 1, 7):
        count = 4 + row % 4
        bonds = data.row(row)["edges"]
        assert bonds.sum() == 2 * (count if row % 2 else count - 1)
        assert np.array_equal(bonds, bonds.T)
        assert data.row(row)["nodes"][:count, 2].tolist() == [node % 3 for node in range(count)]


def test_reader_options_can_be_changed_in_a_project(home: Path) -> None:
    info = add_file(brought.series(), "x.csv", home)
    prepared = prepare(DataChoice(dataset=info.name, options={"window": 7, "horizon": 2}), home)
    assert (prepared.schema.inputs[0].shape, prepared.schema.target.shape) == ((7, 2), (2,))
    wrong: tuple[dict[str, Any], ...] = (
        {"window": 1},
        {"window": 10**9},
        {"target": "nothing"},
        {"speed": 1},
        {"values": []},
    )
    for options in wrong:
        with pytest.raises(DataError):
            prepare(DataChoice(dataset=info.name, options=options), home)
