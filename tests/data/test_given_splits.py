"""Given splits (by column, files or folders) are honored row by row for every kind of data."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.splits.given_splits import file_parts, given_of, part_in, part_of, split_column
from netloom.data.uploads import fitting, open_source, readers
from netloom.document import DataChoice
from tests.data.brought import npz, png
from tests.data.crafted import make_csv, make_zip

ROWS = 40
NAMES = ("train", "valid", "test")  # as users name them
SPLITS = ("train", "validation", "test")
THREE, TWO = (0, 0, 2, 0, 1), (0, 0, 2, 0, 0)  # the split of each row, repeated
Parts = list[int]
Upload = tuple[Any, str]  # the content and the file name


def _rows_by_name(parts: Parts) -> dict[str, list[int]]:
    """The rows of each split by its name."""
    return {NAMES[part]: [row for row in range(len(parts)) if parts[row] == part] for part in sorted(set(parts))}


def _tables(head: str, cell: Callable[[int], str]) -> Callable[[str, Parts], Upload]:
    """The rows of one table in each layout."""

    def build(layout: str, parts: Parts) -> Upload:
        if layout == "column":
            return make_csv(
                f"{head},set", (f"{cell(row)},{NAMES[parts[row]].upper()}" for row in range(len(parts)))
            ), "a.csv"
        files = {name: make_csv(head, map(cell, rows)) for name, rows in _rows_by_name(parts).items()}
        if layout == "files":
            return {f"my_{name}.csv": content for name, content in files.items()}, "my"
        return make_zip({f"all/{name}/rows.csv": content for name, content in files.items()}), "a.zip"

    return build


def _wave(row: int) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.full(400, row / 100), 8_000, format="WAV")
    return stream.getvalue()


def _picture(row: int) -> bytes:
    return png(np.full((8, 8), 3 * row, np.uint8))


def _mask(row: int) -> bytes:
    mask = np.zeros((8, 8), np.uint8)
    mask[: 2 + row % 4, :3] = 1
    return png(mask)


def _in_classes(content: Callable[[int], bytes], ending: str) -> Callable[[str, Parts], Upload]:
    """Files in one folder per class, for two classes."""

    def build(layout: str, parts: Parts) -> Upload:
        def path(row: int) -> str:
            part, kind = NAMES[parts[row]], ("cat", "dog")[row % 2]
            stem = {"column": f"{kind}/{row}", "files": f"{kind}/{part}_{row}", "folders": f"{part}/{kind}/{row}",
                     "inner folders": f"{kind}/{part}/{row}"}[layout]  # fmt: skip
            return f"all/{stem}.{ending}"

        files = {path(row): content(row) for row in range(len(parts))}
        if layout == "column":
            files["all/split.csv"] = make_csv("file,split", (f"{path(r)},{NAMES[parts[r]]}" for r in range(len(parts))))
        return make_zip(files), "a.zip"

    return build


def _listed_in_table(
    content: Callable[[int], bytes], ending: str, columns: tuple[str, ...] = ("file",), box: bool = False
) -> Callable[[str, Parts], Upload]:
    """A table that lists the files of each row, one in each of these columns, with their class, and perhaps a box."""
    each = len(columns)

    def build(layout: str, parts: Parts) -> Upload:
        def path(row: int, number: int) -> str:
            folder = NAMES[parts[row]] if layout == "folders" else "files"
            return f"{folder}/{row}_{number}.{ending}"

        files = {path(row, n): content(row) for row in range(len(parts)) for n in range(each)}

        def line(row: int) -> str:
            names = ",".join(path(row, n).rpartition("/")[2] for n in range(each))
            return f"{names},{'1,1,5,5,' * box}{('cat', 'dog')[row % 2]}"

        head = ",".join([*columns, *["xmin", "ymin", "xmax", "ymax"] * box, "kind"])
        rows = range(len(parts))
        if layout == "column":
            files["labels.csv"] = make_csv(f"{head},split", (f"{line(row)},{NAMES[parts[row]]}" for row in rows))
        elif layout == "files":
            files |= {f"{name}.csv": make_csv(head, map(line, some)) for name, some in _rows_by_name(parts).items()}
        else:
            files["labels.csv"] = make_csv(head, map(line, rows))
        return make_zip(files), "a.zip"

    return build


def _masks(layout: str, parts: Parts) -> Upload:
    def path(row: int, folder: str) -> str:
        part = NAMES[parts[row]]
        return {"column": f"{folder}/{row}", "files": f"{folder}/{part}_{row}", "folders": f"{part}/{folder}/{row}",
                "inner folders": f"{folder}/{part}/{row}"}[layout] + ".png"  # fmt: skip

    files = {path(row, "images"): _picture(row) for row in range(len(parts))}
    files |= {path(row, "masks"): _mask(row) for row in range(len(parts))}
    if layout == "column":
        rows = (f"{path(row, 'images')},{NAMES[parts[row]]}" for row in range(len(parts)))
        files["split.csv"] = make_csv("file,split", rows)
    return make_zip(files), "a.zip"


def _objects(layout: str, parts: Parts) -> Upload:
    if layout != "inner folders":
        return _listed_in_table(_picture, "png", box=True)(layout, parts)
    files = {f"images/{NAMES[part]}/{row}.png": _picture(row) for row, part in enumerate(parts)}
    files |= {f"labels/{NAMES[part]}/{row}.txt": b"0 .5 .5 .5 .5\n" for row, part in enumerate(parts)}
    return make_zip(files), "a.zip"


def _arrays(layout: str, parts: Parts) -> Upload:
    x, y = np.tile(np.arange(len(parts), dtype=np.float32)[:, None], (1, 3)), np.arange(len(parts)) % 2
    arrays = (("x", x), ("y", y))
    if layout == "column":
        return npz(x=x, y=y, split=np.array([NAMES[part] for part in parts])), "a.npz"
    if layout == "files":
        return npz(**{f"{n}_{name}": a[rows] for name, rows in _rows_by_name(parts).items() for n, a in arrays}), "a"
    files = {f"d/{name}/{n}.npy": _npy(a[rows]) for name, rows in _rows_by_name(parts).items() for n, a in arrays}
    return make_zip(files), "a.zip"


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _tagged(layout: str, parts: Parts) -> Upload:
    def sentences(rows: list[int]) -> bytes:
        return "".join(f"w{row}\tO\nNew\tB-place\nYork\tI-place\n\n" for row in rows).encode()

    path = {"files": "x.{}.conll", "folders": "all/{}/x.conll"}[layout]
    return make_zip({path.format(name): sentences(rows) for name, rows in _rows_by_name(parts).items()}), "a.zip"


def _prose(layout: str, parts: Parts) -> Upload:
    """Each split repeats its own letter: a, b or c."""
    path = {"files": "book_{}.txt", "folders": "all/{}/book.txt"}[layout]
    texts = {name: f"{'abc'[NAMES.index(name)] * 9} " * 120 for name in _rows_by_name(parts)}
    return make_zip({path.format(name): text.encode() for name, text in texts.items()}), "a.zip"


def _graphs(layout: str, parts: Parts) -> Upload:
    def tables(rows: list[int], with_split: bool = False) -> dict[str, bytes]:
        nodes = [f"{row},{node},{row}" for row in rows for node in range(3)]
        edges = [f"{row},{node},{node + 1}" for row in rows for node in range(2)]
        split = [f",{NAMES[parts[row]]}" if with_split else "" for row in rows]
        labels = [f"{row},{('chain', 'ring')[row % 2]}{suffix}" for row, suffix in zip(rows, split, strict=True)]
        head = f"graph,shape{',split' if with_split else ''}"
        return {"nodes": make_csv("graph,node,charge", nodes), "edges": make_csv("graph,source,target", edges),
                "graphs": make_csv(head, labels)}  # fmt: skip

    if layout == "column":
        return make_zip({f"{n}.csv": c for n, c in tables(list(range(len(parts))), True).items()}), "a.zip"
    path = {"files": "{part}_{what}.csv", "folders": "all/{part}/{what}.csv"}[layout]
    return make_zip({path.format(part=name, what=table): content for name, rows in _rows_by_name(parts).items()
                   for table, content in tables(rows).items()}), "a.zip"  # fmt: skip


def _matrices(layout: str, parts: Parts) -> Upload:
    def records(rows: list[int], with_split: bool = False) -> bytes:
        examples = [{"adjacency": [[0, 1], [1, 0]], "features": [[row], [row]], "shape": "xy"[row % 2],
                 **({"split": NAMES[parts[row]]} if with_split else {})} for row in rows]  # fmt: skip
        return "\n".join(map(json.dumps, examples)).encode()

    if layout == "column":
        return records(list(range(len(parts))), True), "a.jsonl"
    path = {"files": "{}.jsonl", "folders": "all/{}/graphs.jsonl"}[layout]
    return make_zip({path.format(name): records(rows) for name, rows in _rows_by_name(parts).items()}), "a.zip"


def _sentence(row: int) -> str:
    return f"this is number{row} of them"


def _number_in_array(field: str) -> Callable[[dict[str, Any]], int]:
    """Reads the row number from the first value of this field."""
    return lambda row: round(float(np.asarray(row[field]).ravel()[0]))


def _number_in_text(field: str, begin: str = "number") -> Callable[[dict[str, Any]], int]:
    def read_number(row: dict[str, Any]) -> int:
        words = row[field] if isinstance(row[field], list) else row[field].split()
        return int(next(word for word in words if word.startswith(begin)).removeprefix(begin))

    return read_number


# By kind: how to build its files in each layout, how to read the row number back, and the layouts that its reader
# knows.
COMMON = ("column", "files", "folders")
KINDS: dict[str, tuple[Callable[[str, Parts], Upload], Callable[[dict[str, Any]], int], tuple[str, ...]]] = {
    "table": (_tables("n,kind", lambda row: f"{row},{'pq'[row % 2]}"), lambda row: int(row["n"]), COMMON),
    "ratings": (
        _tables("user_id,movie,rating", lambda row: f"u{row},film {row % 7},{row % 5 + 1}"),
        lambda row: int(row["user_id"][1:]), COMMON,
    ),
    "text_pairs": (
        _tables("question1,question2,duplicate", lambda row: f"{_sentence(row)},{_sentence(row)} too,{row % 2}"),
        _number_in_text("first"), COMMON,
    ),
    "text_triplets": (
        _tables("anchor,positive,negative", lambda row: f"{_sentence(row)},{_sentence(row)} too,no {row % 9}"),
        _number_in_text("first"), COMMON,
    ),
    "translation": (_tables("en,fr", lambda row: f"{_sentence(row)},oui{row}"), _number_in_text("text"), COMMON),
    "labeled_pictures": (_listed_in_table(_picture, "png"), lambda row: _number_in_array("image")(row) // 3, COMMON),
    "pixel_rows": (
        _tables(
            f"kind,{','.join(f'pixel{i}' for i in range(16))}",
            lambda row: f"{'pq'[row % 2]},{row},{','.join(str(200 - i) for i in range(15))}",
        ),
        _number_in_array("image"), COMMON,
    ),
    "series_rows": (
        _tables(
            ",".join(["kind", *(f"t{step}" for step in range(24))]),
            lambda row: ",".join(["pq"[row % 2], *(f"{row + step / 100}" for step in range(24))]),
        ),
        _number_in_array("series"), COMMON,
    ),
    "picture_pairs": (
        _listed_in_table(_picture, "png", ("a", "b")), lambda row: _number_in_array("first")(row) // 3, COMMON,
    ),
    "picture_triplets": (
        _listed_in_table(_picture, "png", ("anchor", "positive", "negative")),
        lambda row: _number_in_array("first")(row) // 3, COMMON,
    ),
    "picture_folders": (
        _in_classes(_picture, "png"), lambda row: _number_in_array("image")(row) // 3, (*COMMON, "inner folders"),
    ),
    "masks": (_masks, lambda row: _number_in_array("image")(row) // 3, (*COMMON, "inner folders")),
    "objects": (_objects, lambda row: _number_in_array("image")(row) // 3, (*COMMON, "inner folders")),
    "sounds": (
        _in_classes(_wave, "wav"), lambda row: round(100 * float(np.asarray(row["sound"]).ravel()[0])),
        (*COMMON, "inner folders"),
    ),
    "text_files": (
        _in_classes(lambda row: _sentence(row).encode(), "txt"), _number_in_text("text"), (*COMMON, "inner folders"),
    ),
    "arrays": (_arrays, lambda row: int(row["x1"]), COMMON),
    "tagged": (_tagged, _number_in_text("text", "w"), ("files", "folders")),
    "graphs": (_graphs, _number_in_array("nodes"), COMMON),
    "graph_matrices": (_matrices, _number_in_array("nodes"), COMMON),
}  # fmt: skip
# Kinds that read files and folders by the code of another one run in one layout; the others run with -m long.
LIKE = {
    **dict.fromkeys(("pixel_rows", "ratings", "series_rows", "text_pairs", "text_triplets", "translation"), "table"),
    "picture_triplets": "picture_pairs",
}
CASES = [
    pytest.param(kind, way, marks=pytest.mark.long if kind in LIKE and way != ways[0] else ())
    for kind, (_, _, ways) in KINDS.items()
    for way in ways
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def _add(upload: Upload, home: Path, kind: str = "", **options: Any) -> Prepared:
    content, name = upload
    info = add_file(content, name, home, kind=kind, options=options or None)
    return prepare(DataChoice(dataset=info.name), home)


def _rows_by_split(data: Prepared, number: Callable[[dict[str, Any]], int]) -> dict[str, set[int]]:
    return {name: {number(data.row(row)) for row in rows.tolist()} for name, rows in data.split.items()}


@pytest.mark.parametrize(("kind", "naming"), CASES)
def test_given_split_assigns_every_row(home: Path, kind: str, naming: str) -> None:
    build, number, namings = KINDS[kind]
    # Two splits only once for each kind, and once for each layout.
    for pattern in (THREE, TWO) if naming == namings[0] or kind == "picture_folders" else (THREE,):
        parts = [pattern[row % len(pattern)] for row in range(ROWS)]
        content, name = build(naming, parts)
        assert (
            fitting(open_source(content, name))[0].name == kind
        )  # and not as another kind with the classes train and test
        actual = _rows_by_split(_add((content, name), home, kind), number)  # to detect the kind again takes a third
        expected = {split: {row for row in range(ROWS) if parts[row] == index} for index, split in enumerate(SPLITS)}
        if pattern is THREE:
            assert actual == expected
        else:  # validation rows are taken from the training rows
            assert actual["test"] == expected["test"]
            assert actual["validation"]
            assert actual["train"] | actual["validation"] == expected["train"]
            assert not actual["train"] & actual["validation"]


@pytest.mark.parametrize("naming", COMMON)
def test_series_windows_stay_within_their_split(home: Path, naming: str) -> None:
    build = _tables("time,value", lambda row: f"2024-01-{1 + row // 24:02} {row % 24:02}:00,{row}")
    parts = [0] * 120 + [1] * 40 + [2] * 40
    data = _add(build(naming, parts), home, kind="series", window=5, horizon=2, reach_back=False)
    values_by_split: dict[str, set[int]] = {}
    for name, rows in data.split.items():
        values = [
            *(np.asarray(data.row(row)["series"]).ravel() for row in rows.tolist()),
            data.raw.target[rows.numpy()],
        ]
        values_by_split[name] = {int(value) for part in values for value in np.ravel(part)}
    assert values_by_split == {
        "train": set(range(120)),
        "validation": set(range(120, 160)),
        "test": set(range(160, 200)),
    }
    assert any("Left out 12 windows across two parts of the split" in note for note in data.warnings)
    # With only train and test given, validation is the end of training and shares no value with it.
    data = _add(build(naming, [0] * 160 + [2] * 40), home, kind="series", window=5, horizon=2, reach_back=False)
    last = max(int(np.asarray(data.row(row)["series"]).max()) for row in data.split["train"].tolist())
    first = min(int(np.asarray(data.row(row)["series"]).min()) for row in data.split["validation"].tolist())
    assert last + 2 < first
    assert len(data.split["test"]) == 34


@pytest.mark.parametrize("naming", ["files", "folders"])
def test_text_blocks_stay_within_their_split(home: Path, naming: str) -> None:
    data = _add(_prose(naming, [0, 1, 2]), home, length=16)
    for name, letter in zip(SPLITS, "abc", strict=True):
        texts = {data.row(row)["text"] for row in data.split[name].tolist()}
        assert texts
        assert set("".join(texts)) <= {letter, " ", "\n"}
    assert data.schema.target.kind == "next_token"


def test_every_reader_has_split_cases() -> None:
    assert {*KINDS, "series", "prose"} == set(readers())


# ---------------------------------------------------------------- warnings and rejections


HEAD = "text,label"
TEXTS = [f"I am sentence number {row} of all,{'pq'[row % 2]}" for row in range(40)]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.csv": make_csv(HEAD, TEXTS), "test.csv": "\n".join(TEXTS).encode()}, "same first line"),
        ({"train.csv": make_csv("n,m", ["1,2"] * 20), "test.csv": b"1,2\n" * 20}, "no line of column names"),
        ({"train.csv": make_csv(HEAD, TEXTS), "test.csv": make_csv("text,id", TEXTS)}, "lacks the columns 'label'"),
        (
            {"train.csv": make_csv(HEAD, TEXTS), "test.csv": make_csv("text,label,more", (f"{s},1" for s in TEXTS))},
            "'more'",
        ),
        ({f"{part}/{i}.png": _picture(i) for part in NAMES for i in range(8)}, "parts of a split"),
        ({f"{part}/{i}.wav": _wave(i) for part in NAMES for i in range(8)}, "parts of a split"),
        ({f"{part}_{i}.wav": _wave(i) for part in NAMES for i in range(8)}, "parts of a split"),
        ({f"{part}/{i}.txt": b"a b c d e" for part in NAMES for i in range(8)}, "parts of a split"),
        ({"train.txt": b"good\nfine\n" * 9, "test.txt": b"bad\npoor\n" * 9}, "parts of a split"),
        (
            {f"{part}/cat/{i}.png": _picture(i) for part in ("train", "test", "more") for i in range(9)},
            "9 of 27 files, such as 'more/cat/0.png', are in no part",
        ),
    ],
)  # fmt: skip
def test_split_names_are_never_classes(home: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        add_file(make_zip(files), "a.zip", home)
    if all("/" not in name for name in files):
        with pytest.raises(DataError, match=message):
            add_file(dict(files), "a", home)


def test_classes_resembling_split_names_stay_classes(home: Path) -> None:
    """A class may be named like a split, and words in longer names do not name a split if the names differ
    otherwise."""
    for names in (("train", "bus"), ("train_station", "test_tube"), ("development", "sales")):
        data = _add((make_zip({f"{name}/{i}.png": _picture(i) for name in names for i in range(12)}), "a.zip"), home)
        assert data.schema.target.classes == tuple(sorted(names))
    inner = {f"{part}/{kind}/{i}.png": _picture(i) for part in ("train", "test") for kind in ("train", "bus")
             for i in range(9)}  # fmt: skip
    data = _add((make_zip(inner), "a.zip"), home)
    assert data.schema.target.classes == ("bus", "train")
    assert len(data.split["test"]) == 18


def test_split_column_can_be_selected_or_disabled(home: Path) -> None:
    rows = [f"u{row},film {row % 7},{row % 5 + 1},{('train', 'train', 'test')[row % 3]}" for row in range(60)]
    content = make_csv("user_id,movie,rating,which", rows)
    tested = set(range(2, 60, 3))
    data = _add((content, "a.csv"), home)
    assert {int(data.row(row)["user_id"][1:]) for row in data.split["test"].tolist()} == tested
    data = _add((content, "a.csv"), home, split=None)
    assert {int(data.row(row)["user_id"][1:]) for row in data.split["test"].tolist()} != tested
    table = make_csv("a,y,which", (f"{row},{'pq'[row % 2]},{('train', 'test')[row % 3 == 2]}" for row in range(60)))
    data = _add((table, "a.csv"), home, split=None)
    assert data.raw.given is None
    with pytest.raises(DataError, match=r"no option 'splits'.*did you mean 'split'"):
        _add((content, "a.csv"), home, splits="which")


def test_older_upload_warns_about_its_unused_split_column(home: Path) -> None:
    rows = [f"u{row},film {row % 7},{row % 5 + 1},{('train', 'train', 'test')[row % 3]}" for row in range(60)]
    info = add_file(make_csv("user_id,movie,rating,split", rows), "a.csv", home)
    meta = home / "data" / info.name / "meta.json"
    content = json.loads(meta.read_text())
    del content["options"]["split"]
    meta.write_text(json.dumps(content))
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.raw.given is None
    assert any("'split' looks like a split of the rows and is not used" in note for note in data.warnings)
    with_split = prepare(DataChoice(dataset=info.name, options={"split": "split"}), home)
    assert with_split.raw.given is not None


def test_uploads_of_earlier_versions_keep_their_validation_rows(home: Path) -> None:
    """A small class has validation rows in new uploads; the rows of runs with older ones stay the same."""
    lines = [f"{row},{'rare' if row % 10 == 0 else 'usual'}" for row in range(100)]
    files = {f"{part}.csv": "\n".join(["x,label", *lines[rows]]).encode()
             for part, rows in (("train", slice(0, 80)), ("test", slice(80, 100)))}  # fmt: skip
    info = add_file(files, "parts.zip", home)

    def rare_rows(seeds: range) -> set[int]:
        prepared = [prepare(DataChoice(dataset=info.name, validation=0.25, seed=seed), home) for seed in seeds]
        return {int((data.raw.target[data.split["validation"]] == 0).sum()) for data in prepared}

    assert rare_rows(range(8)) <= {2, 3}
    meta = home / "data" / info.name / "meta.json"
    described = json.loads(meta.read_text())
    del described["stratifies_given"]
    meta.write_text(json.dumps(described))
    assert len(rare_rows(range(8, 20))) > 2


def test_split_names_as_classes_give_a_warning(home: Path) -> None:
    """Data imported before splits were detected, or data whose split column is the target."""
    table = make_csv("n,set", (f"{row},{('train', 'test')[row % 2]}" for row in range(60)))
    data = _add((table, "a.csv"), home, target="set", split=None)
    assert any("look like the parts of a split" in note for note in data.warnings)


def test_rows_without_a_split_are_counted(home: Path) -> None:
    table = make_csv("n,kind,set", (f"{row},{'pq'[row % 2]},{('train', 'test', '')[row % 3]}" for row in range(60)))
    data = _add((table, "a.csv"), home)
    assert sum(map(len, data.split.values())) == 40
    assert any("Left out 20 rows in no part of the split" in note for note in data.warnings)


def test_target_is_rejected_for_data_without_columns(home: Path) -> None:
    content = make_zip({f"{name}/{i}.png": _picture(i) for name in "ab" for i in range(12)})
    with pytest.raises(DataError, match="has no column to predict, so the target 'kind' cannot be used"):
        add_file(content, "a.zip", home, target="kind")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_unknown_option_is_rejected_by_every_reader(home: Path, kind: str) -> None:
    build, _, namings = KINDS[kind]
    content, name = build(namings[-1], [THREE[row % 5] for row in range(ROWS)])
    with pytest.raises(DataError, match="no option 'speed'"):
        add_file(content, name, home, options={"speed": 3})
    info = add_file(content, name, home)
    with pytest.raises(DataError, match="no option 'speed'"):
        prepare(DataChoice(dataset=info.name, options={"speed": 3}), home)


# ---------------------------------------------------------------- split names


def test_split_names_are_recognized() -> None:
    import pandas as pd

    expected = {"Train": 0, "training set": 0, "VAL": 1, "dev": 1, "hold-out": 2, " test ": 2, "boat": None, "": None}
    assert {word: part_of(word) for word in expected} == expected
    names = {"train2017": 0, "x_test": 2, "t10k-images": 2, "val_images": 1, "train_test": None, "latest": None}
    assert {name: part_in(name) for name in names} == names
    flags = pd.DataFrame({"a": [1, 2, 3], "is_test": [True, False, True], "y": ["p", "q", "p"]})
    assert split_column(flags) == "is_test"
    assert given_of(flags["is_test"], "is_test").tolist() == [2, 0, 2]
    assert given_of(pd.Series([1, 0]), "is_train").tolist() == [0, 2]
    split_files = file_parts(["d/train/cat/1.png", "d/test/cat/1.png"])
    assert split_files.remainder("d/train/cat/1.png") == ("d", "cat", "1")
