"""Pairs and triplets of texts and of images: what is detected, the target, the groups and the split."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import DataError, Prepared, add_file, prepare, schema
from netloom.data.uploads import fitting, open_source, readers
from netloom.data.uploads.pairing import rows_of_triplets
from netloom.document import DataChoice
from netloom.templates.starting import start, starters
from tests.data.brought import bars, png
from tests.data.crafted import make_csv, make_zip

ROWS = 60


def prepared(content: bytes, name: str, home: Path, split: str = "auto", **options: Any) -> Prepared:
    info = add_file(content, name, home, options=options or None)
    return prepare(DataChoice.model_validate({"dataset": info.name, "split": split}), home)


def pictures(count: int = 20) -> dict[str, bytes]:
    """Images 0.png, 1.png …, of which the even and the odd ones are alike."""
    return {f"images/{i}.png": png(pixels) for i, pixels in enumerate(bars(count)[0])}


def text_pairs(head: str, last: str) -> bytes:
    """Pairs of texts; `last` is the format of the other cells by the number of the row."""
    return make_csv(head, (f"one is {i},two is {i},{last.format(same=i % 2, i=i, part=i % 3)}" for i in range(ROWS)))


@pytest.mark.parametrize(
    ("head", "last", "target"),
    [
        ("s1,s2,same", "{same}", "same"),
        ("s1,s2,same,topic", "{same},t{part}", "same"),  # a relation, not the usual name of a target in other tables
        ("s1,s2,topic,is_duplicate", "t{part},{same}", "is_duplicate"),
        ("s1,s2,part,kind", "{part},k{same}", "kind"),
        ("s1,s2,similarity", "{i}.25", "similarity"),
        ("sentence1,sentence2,id,qid1,qid2,is_duplicate", "{i},{i},{i},{same}", "is_duplicate"),  # as published
    ],
)
def test_relation_of_text_pairs_is_the_target(head: str, last: str, target: str, tmp_path: Path) -> None:
    data = prepared(text_pairs(head, last), "a.csv", tmp_path)
    assert [field.name for field in data.schema.inputs] == ["first", "second"]
    assert data.schema.target.name == target


def test_texts_with_ids_alone_are_not_pairs() -> None:
    source = open_source(text_pairs("s1,s2,id", "{i}"), "a.csv")
    assert "text_pairs" not in [reader.name for reader in fitting(source)]


@pytest.mark.parametrize("label", ["{same}", "{part}"])
def test_labels_do_not_name_images(label: str, tmp_path: Path) -> None:
    """The labels 0 and 1 are not the images 0.png and 1.png, where other columns have whole names."""
    rows = [f"{i % 20}.png,{(i + 3) % 20}.png,{label.format(same=i % 2, part=i % 3)}" for i in range(ROWS)]
    data = prepared(make_zip({**pictures(), "pairs.csv": make_csv("a,b,label", rows)}), "a.zip", tmp_path)
    assert [field.name for field in data.schema.inputs] == ["first", "second"]
    assert data.schema.target.name == "label"


def test_few_labels_do_not_name_images_without_suffixes(tmp_path: Path) -> None:
    rows = [f"{i},{i % 2},{i % 3}" for i in range(20)]
    data = prepared(make_zip({**pictures(), "labels.csv": make_csv("id,label,room", rows)}), "a.zip", tmp_path)
    assert [field.name for field in data.schema.inputs] == ["image"]
    assert data.schema.target.name == "label"


@pytest.mark.parametrize("kind", ["text_pairs", "picture_pairs", "labeled_pictures"])
def test_no_group_is_in_two_parts(kind: str, tmp_path: Path) -> None:
    if kind == "text_pairs":
        content, name = text_pairs("s1,s2,same,person", "{same},p{part}{same}"), "a.csv"
    else:
        both = "a,b,same,person" if kind == "picture_pairs" else "a,same,person"
        rows = [
            f"{i % 20}.png,{'' if kind != 'picture_pairs' else f'{(i + 3) % 20}.png,'}{i % 2},p{i % 6}"
            for i in range(ROWS)
        ]
        content, name = make_zip({**pictures(), "rows.csv": make_csv(both, rows)}), "a.zip"
    info = add_file(content, name, tmp_path, options={"target": "same", "group": "person"})
    data = prepare(DataChoice(dataset=info.name), tmp_path)
    groups = data.raw.groups
    assert groups is not None
    assert len(np.unique(groups)) == 6
    of_part = [set(groups[rows].tolist()) for rows in data.split.values()]
    assert sum(map(len, of_part)) == 6
    with pytest.raises(DataError, match="fewer than three groups"):
        prepare(DataChoice(dataset=info.name, options={"group": "same"}), tmp_path)


def test_triplets_of_texts_are_two_pairs_each(tmp_path: Path) -> None:
    rows = [f"cat {i % 12},cat {i % 12} too,dog {i}" for i in range(ROWS)]
    data = prepared(make_csv("anchor,positive,negative", rows), "a.csv", tmp_path)
    assert data.schema.target.classes == ("different", "same")
    assert data.raw.row(2) == {"first": "cat 1", "second": "cat 1 too"}
    assert data.raw.row(3) == {"first": "cat 1", "second": "dog 1"}
    assert data.target.tolist() == [1, 0] * ROWS
    # No anchor is in two parts
    anchors = [{data.raw.row(row)["first"] for row in rows.tolist()} for rows in data.split.values()]
    assert sum(map(len, anchors)) == len(set.union(*anchors)) == 12


def test_triplets_of_few_anchors_are_groups_themselves(tmp_path: Path) -> None:
    rows = [f"the cat,cat {i},dog {i}" for i in range(ROWS)]
    data = prepared(make_csv("query,pos,neg", rows), "a.csv", tmp_path)
    assert all(len(part) % 2 == 0 for part in data.split.values())
    assert {row // 2 for row in data.split["test"]}.isdisjoint({row // 2 for row in data.split["train"]})


def test_one_long_anchor_does_not_multiply_the_memory() -> None:
    anchors = [f"cat {i}" for i in range(500)] + ["a long text " * 5_000]
    tracemalloc.start()
    rows = rows_of_triplets(anchors, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert len(set(rows["groups"].tolist())) == 501


def test_triplets_of_images_are_two_pairs_each(tmp_path: Path) -> None:
    rows = [f"{i},{(i + 2) % 20},{(i + 1) % 20},{('train', 'test')[i % 4 == 0]}" for i in range(20)]
    content = make_zip({**pictures(), "t.csv": make_csv("anchor,positive,negative,split", rows)})
    data = prepared(content, "a.zip", tmp_path)
    pixels = bars(20)[0]
    for row, (first, second) in {4: (2, 4), 5: (2, 3), 39: (19, 0)}.items():
        example = data.raw.row(row)
        assert (np.asarray(example["first"])[0] == pixels[first]).all()
        assert (np.asarray(example["second"])[0] == pixels[second]).all()
    assert sorted(data.split["test"]) == [row for row in range(40) if row // 2 % 4 == 0]


def test_triplet_with_one_column_twice_is_rejected(tmp_path: Path) -> None:
    rows = [f"cat {i},cat {i} too,dog {i}" for i in range(ROWS)]
    with pytest.raises(DataError, match="three different columns"):
        prepared(make_csv("anchor,positive,negative", rows), "a.csv", tmp_path, positive="anchor")
    assert readers()["text_triplets"].target_question == ""


def test_score_of_text_pairs_starts_a_network_of_texts(tmp_path: Path) -> None:
    """Not one of users and items, whose fields are tokens, too."""
    info = add_file(text_pairs("s1,s2,similarity", "{i}.25"), "a.csv", tmp_path)
    choice = DataChoice(dataset=info.name)
    fields = schema(choice, tmp_path)
    assert fields is not None
    (template,) = starters(choice, fields)
    assert template.name == "paraphrases_siamese"
    project = start(template, choice, "pairs", tmp_path)
    assert project is not None
    assert project.training.objective == "regression"
