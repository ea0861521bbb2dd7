"""What a network for ratings goes by: users and films by their names, and not by their numbers."""

from __future__ import annotations

import pytest

from netloom.explain import explain
from netloom.explain.dataset.aggregation import token_names
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.explain.plots.explanation_plots import PlotKind, explanation_plots, plot_kind
from netloom.modalities.encoding.field_encoder import field_encoder
from netloom.runs import TrainedRun
from netloom.templates import templates
from tests.explain.models import untrained_run


@pytest.fixture(scope="module")
def rating() -> TrainedRun:
    return untrained_run(templates()["ratings_ncf"].project)


def test_a_user_is_shown_as_a_column_with_its_name(rating: TrainedRun) -> None:
    row = int(rating.data.split["test"][0])
    found = explain(rating, "integrated_gradients", row, proofs=False)
    assert {name: plot_kind(found, name) for name in found.attributions} == dict.fromkeys(
        ("user", "film"), PlotKind.BARS
    )
    for one in explanation_plots(found):
        assert one.table["value"] == [found.example.columns[one.title]]
        assert one.figure is not None
        assert f"{one.title} = {found.example.columns[one.title]}" in one.figure.to_json()


def test_over_many_rows_they_go_by_their_names(rating: TrainedRun) -> None:
    found = global_attribution(rating, rows=60)
    names = {part.name for part in found.parts}
    assert names
    assert all(name.startswith(("user ", "film ")) for name in names)
    one = next(iter(found.rows))
    columns = rating.data.example(one.row).columns
    assert any(columns["user"] in top or columns["film"] in top for top in one.tops)


def test_a_bare_number_is_told_with_its_column() -> None:
    numbered = field_encoder(
        {
            "name": "user",
            "encoding": "categories",
            "columns": [{"name": "userId", "type": "category", "values": ["7", "userId 8"]}],
        }
    )
    assert [token_names(numbered)(place) for place in (1, 2, 3)] == ["userId = 7", "userId 8", "userId = # 3"]
