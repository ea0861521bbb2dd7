"""Generated datasets: independent checks of the properties that they document."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import networkx as nx
import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from netloom.data import Prepared, prepare
from netloom.data.builtin.paraphrases import MEANINGS
from netloom.data.builtin.requests import VALUES
from netloom.data.multi_field import Categories, MultiFieldDataset
from netloom.data.raw.images import Images
from netloom.data.raw.series import Series
from netloom.data.raw.table import Table
from netloom.data.raw.texts import TaggedTexts, Texts
from netloom.document import DataChoice
from netloom.modalities.encoding.tokenization import words


def data(name: str, **options: int | float) -> Prepared:
    return prepare(DataChoice(dataset=name, options=dict(options)))


def linear_accuracy(prepared: Prepared, rows: np.ndarray) -> float:
    """The test accuracy of a linear classifier on these features (R, D)."""
    train, test = prepared.split["train"].numpy(), prepared.split["test"].numpy()
    target = prepared.target.numpy()
    model = LogisticRegression(max_iter=2_000).fit(rows[train], target[train])
    return float(model.score(rows[test], target[test]))


def test_molecules_are_reactive_iff_n_bonds_to_o() -> None:
    prepared = data("molecules", rows=200)
    for row in range(200):
        columns = prepared.example(row).columns
        atoms = dict(re.findall(r"(\d+) (\w)", columns["atoms"]))
        graph: nx.Graph[str] = nx.Graph([tuple(bond.split("–")) for bond in columns["bonds"].split(", ")])
        assert nx.is_connected(graph)
        assert Counter(atoms.values())["N"] == Counter(atoms.values())["O"] == 2
        has_n_o_bond = any({atoms[first], atoms[second]} == {"N", "O"} for first, second in graph.edges)
        assert prepared.target_text(row) == ("reactive" if has_n_o_bond else "stable")
        adjacency = prepared.inputs["bonds"][row].numpy()
        assert (adjacency == adjacency.T).all()
        assert not adjacency.diagonal().any()


def test_atoms_alone_do_not_predict_reactivity() -> None:
    prepared = data("molecules")
    assert linear_accuracy(prepared, prepared.inputs["atoms"].flatten(1).numpy()) < 0.6


def test_parts_need_both_image_and_weight() -> None:
    prepared = data("parts")
    assert linear_accuracy(prepared, prepared.inputs["measured"].numpy()) < 0.6
    assert linear_accuracy(prepared, prepared.inputs["image"].flatten(1).numpy()) < 0.6
    assert isinstance(prepared.raw, MultiFieldDataset)
    pictures, table = prepared.raw.parts
    assert isinstance(table, Table)
    # Together they do: the label says whether the weight matches the shape.
    nearest = np.abs(table.numbers["weight"][:, None] - np.array([40, 60, 80, 100])).argmin(1)
    assert np.mean((nearest != pictures.target) == prepared.target.numpy()) > 0.97


def test_digit_pairs_share_no_image_across_splits() -> None:
    prepared = data("same_digits")
    assert isinstance(prepared.raw, MultiFieldDataset)
    images_by_split: dict[str, set[bytes]] = {}
    for part, rows in prepared.split.items():
        pictures = [field.pixels[rows.numpy()] for field in prepared.raw.parts if isinstance(field, Images)]
        images_by_split[part] = {picture.tobytes() for stack in pictures for picture in stack}
    assert not images_by_split["train"] & images_by_split["test"]
    assert not images_by_split["train"] & images_by_split["validation"]
    assert 0.4 < prepared.target.double().mean() < 0.6


def possible_meanings(text: str) -> set[tuple[int, tuple[tuple[str, str], ...]]]:
    """Every possible meaning of a request, with the values that it names."""
    kinds = {**VALUES, "goal": VALUES["place"]}
    meanings = set()
    for meaning, frames in enumerate(MEANINGS):
        for frame in frames:
            pattern = re.sub(r"\\\{(\w+)\\\}", lambda m: f"(?P<{m[1]}>{'|'.join(kinds[m[1]])})", re.escape(frame))
            match = re.fullmatch(pattern, text)
            meanings |= {(meaning, tuple(sorted(match.groupdict().items())))} if match else set()
    return meanings


def test_paraphrases_match_iff_meaning_and_values_match() -> None:
    prepared = data("paraphrases", rows=300)
    pairs = [tuple(prepared.row(row).values()) for row in range(300)]
    for row, (first, second) in enumerate(pairs):
        first_meanings, second_meanings = possible_meanings(first), possible_meanings(second)
        assert first_meanings, first
        assert second_meanings, second
        assert prepared.target_text(row) == ("the same" if first_meanings & second_meanings else "different")
    assert len({frozenset(pair) for pair in pairs}) == 300
    first_field, second_field = (prepared.token_field(field.name) for field in prepared.fields)
    assert first_field.vocabulary == second_field.vocabulary


def test_bag_of_words_does_not_predict_paraphrases() -> None:
    prepared = data("paraphrases")
    texts = [" ".join(prepared.row(row).values()) for row in range(prepared.schema.rows)]
    assert linear_accuracy(prepared, CountVectorizer().fit_transform(texts).toarray()) < 0.6


def test_ratings_have_unique_user_film_pairs() -> None:
    prepared = data("ratings")
    assert isinstance(prepared.raw, MultiFieldDataset)
    users, films = (part.columns for part in prepared.raw.parts if isinstance(part, Categories))
    pairs = list(zip(users["user"], films["film"], strict=True))
    assert len(set(pairs)) == len(pairs) == 5_000
    assert len(data("ratings", users=10, films=10).target) == 100


def test_unseen_categories_share_index_0() -> None:
    prepared = data("ratings")
    known = prepared.encode({"user": "user 003", "film": "film 007"})
    users: Any = prepared.fields[0].columns[0].state
    assert known["user"].item() == 1 + users.values.index("user 003")
    unknown = prepared.encode({"user": "nobody", "film": None})
    assert (unknown["user"].item(), unknown["film"].item()) == (0, 0)


def test_test_reviews_contain_words_unseen_in_training() -> None:
    prepared = data("reviews")
    assert isinstance(prepared.raw, Texts)
    texts = prepared.raw.texts
    assert prepared.raw.groups is not None
    train = {word for row in prepared.split["train"].tolist() for word in words(texts[row])}
    test = [words(texts[row]) for row in prepared.split["test"].tolist()]
    assert np.mean([any(word not in train for word in text) for text in test]) > 0.5
    assert 0.4 < prepared.target.double().mean() < 0.6


@pytest.mark.parametrize(("pairs", "least", "most"), [(False, 0.0, 0.65), (True, 0.75, 0.97)])
def test_reviews_need_bigrams_not_single_words(pairs: bool, least: float, most: float) -> None:
    """A network that solves this task therefore uses more than the set of words."""
    prepared = data("reviews")
    assert isinstance(prepared.raw, Texts)
    counts = CountVectorizer(ngram_range=(1, 2 if pairs else 1))
    counts.fit([prepared.raw.texts[row] for row in prepared.split["train"].tolist()])
    assert least <= linear_accuracy(prepared, counts.transform(prepared.raw.texts)) < most


def test_request_tags_mark_the_template_values() -> None:
    prepared = data("requests", rows=300)
    assert isinstance(prepared.raw, TaggedTexts)
    known = {kind: {" ".join(words(value)) for value in values} for kind, values in VALUES.items()}
    for text, tags in zip(prepared.raw.texts, prepared.raw.tags, strict=True):
        parts = words(text)
        assert len(parts) == len(tags)
        entities: list[tuple[str, list[str]]] = []
        for word, tag in zip(parts, tags, strict=True):
            if tag.startswith("B-"):
                entities.append((tag[2:], [word]))
            elif tag != "O":
                assert tag == f"I-{entities[-1][0]}"
                entities[-1][1].append(word)
        assert all(" ".join(entity) in known[kind] for kind, entity in entities)
    both = known["person"] & known["place"]
    assert len(both) == 4  # only the surrounding words distinguish these


def test_pulses_have_the_requested_anomaly_share() -> None:
    assert int(data("pulses").target.sum()) == 180
    prepared = data("pulses", rows=400, share=0.3)
    assert int(prepared.target.sum()) == 120
    assert isinstance(prepared.raw, Series)


def test_vowel_power_peaks_at_its_formants() -> None:
    """In the last vowel of "three", most power is below 500 Hz, followed by the second formant."""
    prepared = data("spoken", rows=100, noise=0.0)
    assert isinstance(prepared.raw, Series)
    three = [prepared.raw.windows[row, :, 0] for row in range(100) if prepared.target_text(row) == "three"]
    power = np.zeros(129)
    for wave in three:
        last = int(np.abs(wave).nonzero()[0][-1])
        piece = wave[last - 330 : last - 74] * np.hanning(256)
        power += np.abs(np.fft.rfft(piece)) ** 2
    frequency = np.arange(129) * 4_000 / 256
    band = [
        power[(frequency >= low) & (frequency < high)].sum() for low, high in ((80, 600), (600, 1500), (1500, 2000))
    ]
    assert band[0] > band[2] > 3 * band[1]


def test_cylinder_bell_and_funnel_have_their_shapes() -> None:
    raw = data("cbf", noise=0).raw
    assert isinstance(raw, Series)
    for window, number in zip(raw.windows[:, :, 0], raw.target.ravel(), strict=True):
        inside = np.flatnonzero(window)
        begin, end = inside[0], inside[-1]
        assert 15 <= begin <= 33  # steps from 1; a bell is 0 at its first step
        assert 30 <= end - begin <= 96
        changes = np.diff(window[begin : end + 1])
        expected = {"cylinder": 0, "bell": 1, "funnel": -1}[raw.classes[int(number)]]
        assert (np.sign(np.round(changes, 9)) == expected).all()
        assert np.allclose(changes, changes[0])


def test_cylinder_bell_and_funnel_are_not_linearly_separable() -> None:
    """The classifier of one nearest neighbor is published to have an error of 15%, and FCNs of 0%."""
    prepared = data("cbf")
    assert 0.6 < linear_accuracy(prepared, prepared.inputs["series"].flatten(1).numpy()) < 0.97
