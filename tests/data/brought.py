"""Small example files of every supported kind, each with a relationship that a network can learn."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from PIL import Image

from tests.data.crafted import make_csv, make_zip

WORDS = "the a my your this that cat dog bird house tree river is was runs sleeps sings falls red blue old".split()
GOOD, BAD = ("good", "fine", "lovely"), ("bad", "awful", "poor")


def png(pixels: np.ndarray, mode: str | None = None, palette: list[int] | None = None) -> bytes:
    image = Image.fromarray(pixels, mode) if mode is None else Image.fromarray(pixels).convert(mode)
    if palette is not None:
        image = Image.fromarray(pixels, "L").copy()
        image = Image.frombytes("P", image.size, pixels.tobytes())
        image.putpalette(palette)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def bars(rows: int, side: int = 10, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (R, side, side) of a horizontal (0) or vertical (1) bar."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    pixels = random.integers(0, 60, (rows, side, side)).astype(np.uint8)
    for row, label in enumerate(labels):
        position = int(random.integers(side))
        view = pixels[row] if label == 0 else pixels[row].T
        view[position] = 250
    return pixels, labels.astype(np.uint8)


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def idx_zip() -> bytes:
    pixels, labels = bars(120)
    parts = {"train": slice(0, 90), "t10k": slice(90, 120)}
    return make_zip(
        {f"{name}-images-idx3-ubyte.gz": gzip.compress(idx(pixels[part])) for name, part in parts.items()}
        | {f"{name}-labels-idx1-ubyte": idx(labels[part]) for name, part in parts.items()}
    )


def excel(sheets: Mapping[str, list[list[Any]]]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def people(rows: int = 60) -> list[list[Any]]:
    return [["height", "colour", "kind"], *([i * 0.5, ("red", "blue")[i % 2], "ab"[i % 2]] for i in range(rows))]


def labeled_pictures() -> bytes:
    """Images whose brightness is the number in the table."""
    random = np.random.default_rng(1)
    bright = random.integers(20, 235, 80)
    pictures = {
        f"photos/p{i}.png": png(np.clip(value + random.integers(-9, 9, (9, 9)), 0, 255).astype(np.uint8))
        for i, value in enumerate(bright)
    }
    rows = [f"p{i}.png,{value / 10:.2f},{'dark' if value < 128 else 'light'}" for i, value in enumerate(bright)]
    return make_zip({**pictures, "labels.csv": make_csv("file,brightness,label", rows)})


def picture_pairs() -> bytes:
    pixels, labels = bars(40)
    pictures = {f"{i}.png": png(pixels[i]) for i in range(40)}
    random = np.random.default_rng(2)
    pairs = random.integers(0, 40, (120, 2))
    rows = [f"{a}.png,{b}.png,{'same' if labels[a] == labels[b] else 'different'}" for a, b in pairs]
    return make_zip({**pictures, "pairs.csv": make_csv("one,two,verdict", rows)})


def pixel_rows() -> bytes:
    """Images with a column for each pixel, as MNIST is often published."""
    pixels, labels = bars(80)
    names = ",".join(f"pixel{i}" for i in range(pixels[0].size))
    rows = (f"{label},{','.join(map(str, image.ravel()))}" for image, label in zip(pixels, labels, strict=True))
    return make_csv(f"label,{names}", rows)


def masks(form: str = "index") -> bytes:
    """Squares of two classes on a background, with masks as class indices, palette colors or RGB colors."""
    random = np.random.default_rng(3)
    members: dict[str, bytes] = {}
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], dtype=np.uint8)
    for number in range(40):
        mask = np.zeros((12, 12), dtype=np.uint8)
        for kind in (1, 2):
            y, x = random.integers(0, 8, 2)
            mask[y : y + 4, x : x + 4] = kind
        picture = (mask * 100 + random.integers(0, 20, mask.shape)).astype(np.uint8)
        members[f"set/images/{number:02}.png"] = png(picture)
        if form == "index":
            members[f"set/masks/{number:02}.png"] = png(mask)
        elif form == "palette":
            members[f"set/masks/{number:02}.png"] = png(mask, palette=colors.ravel().tolist())
        else:
            members[f"set/masks/{number:02}_mask.png"] = png(colors[mask])
    return make_zip(members)


def boxes() -> bytes:
    """Up to two bright squares of two sizes on a dark background, with their boxes in the format of COCO."""
    random = np.random.default_rng(9)
    members: dict[str, bytes] = {}
    annotations = []
    for number in range(40):
        picture = random.integers(0, 40, (24, 24)).astype(np.uint8)
        for kind in range(number % 3):
            side = (6, 10)[kind]
            x, y = (int(edge) for edge in random.integers(0, 24 - side, 2))
            picture[y : y + side, x : x + side] = 250
            annotations.append({"image_id": number, "category_id": kind, "bbox": [x, y, side, side]})
        members[f"photos/{number:02}.png"] = png(picture)
    document = {
        "images": [{"id": number, "file_name": f"{number:02}.png", "width": 24, "height": 24} for number in range(40)],
        "annotations": annotations,
        "categories": [{"id": 0, "name": "small"}, {"id": 1, "name": "large"}],
    }
    return make_zip({**members, "boxes.json": json.dumps(document).encode()})


def sentence(random: np.random.Generator, count: int = 5) -> str:
    return " ".join(random.choice(WORDS, count))


def text_folders() -> bytes:
    random = np.random.default_rng(4)
    return make_zip(
        {
            f"reviews/{name}/{i}.txt": f"{sentence(random)} {random.choice(kind)} {sentence(random, 3)}.\n".encode()
            for name, kind in (("positive", GOOD), ("negative", BAD))
            for i in range(30)
        }
    )


def text_lines() -> bytes:
    random = np.random.default_rng(5)
    return make_zip(
        {
            f"{name}.txt": "\n".join(f"{sentence(random)} {random.choice(kind)}" for _ in range(30)).encode()
            for name, kind in (("positive", GOOD), ("negative", BAD))
        }
    )


def conll() -> bytes:
    random = np.random.default_rng(6)
    rows = ["# a comment\n", "-DOCSTART- O\n", "\n"]
    for _ in range(60):
        for word in random.choice(WORDS, 4):
            rows.append(f"{word}\tO\n")
        rows += [
            "New\tB-place\n",
            "York\tI-place\n",
            "with\tO\n",
            f"{random.choice(['Anna', 'Bob'])}\tB-person\n",
            "\n",
        ]
    return "".join(rows).encode()


def intents() -> bytes:
    """Requests with an intent and tags, as three files whose lines belong together."""
    random = np.random.default_rng(10)
    files: dict[str, list[str]] = {"seq.in": [], "seq.out": [], "label": []}
    for i in range(80):
        city = str(random.choice(["Rome", "Oslo", "New York"]))
        before = ["fly", "to"] if i % 2 else ["rain", "today", "in"]
        tags = ["O"] * len(before) + ["B-city", "I-city"][: len(city.split())]
        files["seq.in"].append(" ".join([*before, city]))
        files["seq.out"].append(" ".join(tags))
        files["label"].append(("weather", "flight")[i % 2])
    return make_zip({name: "\n".join(lines).encode() for name, lines in files.items()})


def translations() -> bytes:
    """Numbers in words, to be translated into digits."""
    digits = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return "".join(f"{digits[i // 10]} {digits[i % 10]}.\t{i:02}-x\n" for i in range(100)).encode()


def text_pairs() -> bytes:
    random = np.random.default_rng(7)
    rows = []
    for i in range(80):
        first = sentence(random)
        rows.append(f"{first},{first + ' indeed' if i % 2 else sentence(random)},{i % 2}")
    return make_csv("question1,question2,duplicate", rows)


def triplets() -> bytes:
    """A text, another one that continues it, and one that does not, with their own split."""
    random = np.random.default_rng(11)
    anchors = [sentence(random) for _ in range(60)]
    rows = (
        f"{text},{text} indeed,{sentence(random)},{('train', 'train', 'train', 'dev', 'test')[i % 5]}"
        for i, text in enumerate(anchors)
    )
    return make_csv("anchor,positive,negative,split", rows)


def picture_triplets() -> bytes:
    """Two bars of one direction, and one of the other."""
    pixels, _ = bars(40)
    random = np.random.default_rng(12)
    rows = []
    for _ in range(60):
        anchor, positive, negative = random.integers(0, 20, 3)
        direction = int(random.integers(2))
        rows.append(f"{2 * anchor + direction}.png,{2 * positive + direction}.png,{2 * negative + 1 - direction}.png")
    pictures = {f"{i}.png": png(pixels[i]) for i in range(40)}
    return make_zip({**pictures, "triplets.csv": make_csv("anchor,positive,negative", rows)})


def several_targets() -> bytes:
    """A class and a number, both given by the other columns, of 16 people in three parts of a split."""
    random = np.random.default_rng(13)
    numbers = random.normal(size=(80, 2)).round(3)
    parts = ("train", "train", "valid", "test")
    rows = (
        f"{a},{b},{'ns'[i % 2]},p{i % 16},{parts[i % 4]},{'low' if a + b < 0 else 'high'},{a - b:.3f}"
        for i, (a, b) in enumerate(numbers)
    )
    return make_csv("left,right,side,person,part,level,score", rows)


def tone(frequency: float, seconds: float, rate: int, form: str = "WAV", channels: int = 1) -> bytes:
    time = np.arange(int(seconds * rate)) / rate
    wave = 0.5 * np.sin(2 * np.pi * frequency * time)
    stream = io.BytesIO()
    soundfile.write(stream, np.repeat(wave[:, None], channels, axis=1), rate, format=form)
    return stream.getvalue()


def sounds() -> bytes:
    """Low and high tones of several lengths, sample rates, formats and channel counts."""
    return make_zip(
        {
            f"tones/{name}/{i}.{('wav', 'flac')[i % 2]}": tone(
                pitch + 7 * i, 0.2 + 0.01 * i, (8_000, 16_000)[i % 2], ("WAV", "FLAC")[i % 2], 1 + i % 2
            )
            for name, pitch in (("low", 200), ("high", 900))
            for i in range(16)
        }
    )


def series(rows: int = 300) -> bytes:
    times = pd.date_range("2024-01-01", periods=rows, freq="h")
    wave = np.sin(np.arange(rows) / 5)
    return make_csv("time,other,value", (f"{t},{-3 * v:.4f},{v:.4f}" for t, v in zip(times, wave, strict=True)))


def series_rows() -> bytes:
    """Series with a column for each step behind their class, without names, as in the UCR archive."""
    random = np.random.default_rng(12)
    steps = np.linspace(0, 1, 30)
    rows = (np.sin((5 + 5 * (row % 2)) * steps + random.normal()) for row in range(80))
    return "".join(
        f"{row % 2}\t" + "\t".join(f"{v:.4f}" for v in wave) + "\n" for row, wave in enumerate(rows)
    ).encode()


def ratings() -> bytes:
    random = np.random.default_rng(8)
    users, items = random.normal(size=12), random.normal(size=9)
    rows = [f"{u},film {i},{3 + users[u] + items[i]:.1f}" for u in range(12) for i in range(9) if random.random() < 0.9]
    return make_csv("user_id,movie,rating", rows)


def graphs() -> bytes:
    """Rings (1) and chains (0) of atoms."""
    nodes, edges, labels = [], [], []
    for graph in range(60):
        count = 4 + graph % 4
        nodes += [f"{graph},{node},{'CN'[node % 2]},{node % 3}" for node in range(count)]
        ring = graph % 2
        edges += [f"{graph},{node},{(node + 1) % count}" for node in range(count if ring else count - 1)]
        labels.append(f"{graph},{('chain', 'ring')[ring]}")
    return make_zip(
        {
            "nodes.csv": make_csv("graph,node,atom,charge", nodes),
            "edges.csv": make_csv("graph,source,target", edges),
            "graphs.csv": make_csv("graph,shape", labels),
        }
    )


def _rings(count: int, ring: int) -> tuple[np.ndarray, np.ndarray]:
    """The adjacency of a ring or chain with this number of nodes, and the node features."""
    adjacency = np.eye(count, k=1)
    adjacency[0, count - 1] = ring
    adjacency = np.maximum(adjacency, adjacency.T)
    return adjacency, np.stack([adjacency.sum(1), adjacency.sum(1) < 2], axis=1)


def graph_arrays(adjacency: tuple[int, ...] = (), labels: int = 60) -> bytes:
    """The graphs as arrays, all with five nodes; `adjacency` overrides the shape of the adjacency array."""
    rings = [_rings(5, number % 2) for number in range(60)]
    bonds = np.ones(adjacency) if adjacency else np.stack([matrix for matrix, _ in rings])
    return npz(
        adjacency=bonds, features=np.stack([node_features for _, node_features in rings]), labels=np.arange(labels) % 2
    )


def graph_records(wrong: object = None) -> bytes:
    """The graphs as JSON records with four to seven nodes; `wrong` replaces the adjacency of the third."""
    rows = []
    for number in range(60):
        adjacency, features = _rings(4 + number % 4, number % 2)
        bonds = wrong if wrong is not None and number == 2 else adjacency.tolist()
        rows.append({"adjacency": bonds, "features": features.tolist(), "shape": ("chain", "ring")[number % 2]})
    return "\n".join(json.dumps(row) for row in rows).encode()


def prose() -> bytes:
    random = np.random.default_rng(9)
    return "\n".join(sentence(random, 9) + "." for _ in range(120)).encode()


def jsonl() -> bytes:
    rows = people()
    return "\n".join(json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:]).encode()


def films() -> bytes:
    """A table whose genres are sets of values; comedies are liked, and newer than other films."""
    random = np.random.default_rng(3)
    genres = ["Action", "Comedy", "Crime", "Drama", "Horror"]
    cells = ["|".join(random.choice(genres, random.integers(1, 4), replace=False)) for _ in range(90)]
    liked = np.array(["Comedy" in cell for cell in cells])
    years = random.integers(1950, 1990, len(cells)) + 30 * liked
    rows = (f"{y},{cell},{'yes' if like else 'no'}" for y, cell, like in zip(years, cells, liked, strict=True))
    return make_csv("year,genres,liked", rows)


# One file of each kind, with the kind that is detected.
EXAMPLE_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "people.xlsx": (lambda: excel({"People": people()}), "table"),
    "people.jsonl": (jsonl, "table"),
    "films.csv": (films, "table"),
    "bars.csv": (pixel_rows, "pixel_rows"),
    "waves.tsv": (series_rows, "series_rows"),
    "bars.npz": (lambda: npz(x=bars(80)[0], y=bars(80)[1]), "arrays"),
    "mnist.zip": (idx_zip, "arrays"),
    "bright.zip": (labeled_pictures, "labeled_pictures"),
    "pairs.zip": (picture_pairs, "picture_pairs"),
    "squares.zip": (masks, "masks"),
    "boxes.zip": (boxes, "objects"),
    "reviews.zip": (text_folders, "text_files"),
    "lines.zip": (text_lines, "text_files"),
    "names.conll": (conll, "tagged"),
    "intents.zip": (intents, "tagged"),
    "numbers.tsv": (translations, "translation"),
    "questions.csv": (text_pairs, "text_pairs"),
    "targets.csv": (several_targets, "table"),
    "triplets.csv": (triplets, "text_triplets"),
    "triplets.zip": (picture_triplets, "picture_triplets"),
    "tones.zip": (sounds, "sounds"),
    "wave.csv": (series, "series"),
    "stars.csv": (ratings, "ratings"),
    "graphs.zip": (graphs, "graphs"),
    "rings.npz": (graph_arrays, "graph_matrices"),
    "rings.jsonl": (graph_records, "graph_matrices"),
    "book.txt": (prose, "prose"),
}
