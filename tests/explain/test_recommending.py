"""Explanations of a rating network: users and films appear by name, not by index."""

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


def test_user_and_film_are_plotted_as_named_columns(rating: TrainedRun) -> None:
    row = int(rating.data.split["test"][0])
    explanation = explain(rating, "integrated_gradients", row, proofs=False)
    assert {name: plot_kind(explanation, name) for name in explanation.attributions} == dict.fromkeys(
        ("user", "film"), PlotKind.BARS
    )
    for plot in explanation_plots(explanation):
        assert plot.table["value"] == [explanation.example.columns[plot.title]]
        assert plot.figure is not None
        assert f"{plot.title} = {explanation.example.columns[plot.title]}" in plot.figure.to_json()


def test_global_features_use_user_and_film_names(rating: TrainedRun) -> None:
    summary = global_attribution(rating, rows=60)
    names = {part.name for part in summary.parts}
    assert names
    assert all(name.startswith(("user ", "film ")) for name in names)
    row = next(iter(summary.rows))
    columns = rating.data.example(row.row).columns
    assert any(columns["user"] in top or columns["film"] in top for top in row.top_features)


def test_numeric_category_names_include_their_column() -> None:
    encoder = field_encoder(
        {
            "name": "user",
            "encoding": "categories",
            "columns": [{"name": "userId", "type": "category", "values": ["7", "userId 8"]}],
        }
    )
    assert [token_names(encoder)(index) for index in (1, 2, 3)] == ["userId = 7", "userId 8", "userId = # 3"]
