"""A table column is one feature in every view and sum, however many numbers encode it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import JsonValue

from netloom.data import prepare
from netloom.data.uploads import add_file
from netloom.document import DataChoice, Training
from netloom.explain import explain, methods
from netloom.explain.comparison import Side, explain_and_compare
from netloom.explain.core.explainer import registry
from netloom.explain.core.parts.columns import by_column, column_indices, column_names
from netloom.explain.core.request import ExplanationRequest, build_context
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.explain.plots.explanation_plots import explanation_plots
from netloom.explain.plots.page import write_html
from netloom.explain.robustness.what_if import what_if
from netloom.runs import TrainedRun, fit_here
from netloom.ui.explain.headline import headline
from tests.explain.models import QUICK, Layer
from tests.networks import chain

ROWS = 90
COLUMNS = ("size", "when", "colour", "member")


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A table with a number that has missing values, a date, a category of three values and a boolean."""
    home = tmp_path_factory.mktemp("home")
    random = np.random.default_rng(0)
    lines = ["size,when,colour,member,target"]
    for _ in range(ROWS):
        size, colour, member = random.normal(), ("red", "green", "blue")[random.integers(3)], random.integers(2)
        day = f"20{random.integers(10, 24)}-{random.integers(1, 13):02}-{random.integers(1, 28):02}"
        shown = "" if random.random() < 0.2 else f"{size:.4f}"
        value = size + 2.0 * (colour == "red") + member + random.normal(scale=0.01)
        lines.append(f"{shown},{day},{colour},{('no', 'yes')[member]},{value:.4f}")
    options: dict[str, JsonValue] = {"columns": {"when": {"parts": ["year", "month"]}}}
    info = add_file("\n".join(lines).encode(), "mixed.csv", home, target="target")
    choice = DataChoice(dataset=info.name, options=options)
    field = prepare(choice, home).schema.inputs[0]
    source = ("Input", {"field": field.name, "kind": "vector", "shape": list(field.shape)})
    training = Training(objective="regression", epochs=8, learning_rate=0.03)
    layers: list[Layer] = [("Linear", {"units": 8}), ("ReLU", {}), ("Linear", {"units": 1})]
    return fit_here(chain(source, *layers, data=choice, training=training), home)


def test_encoded_features_are_named_after_their_column(mixed_run: TrainedRun) -> None:
    spec = mixed_run.data.schema.inputs[0]
    assert set(column_names(mixed_run.data, spec)) == set(COLUMNS)
    assert len(spec.columns) > len(COLUMNS) + 3, "dates, categories and missing indicators take several features"
    owners = dict(zip(spec.columns, column_indices(mixed_run.data, spec).tolist(), strict=True))
    names = column_names(mixed_run.data, spec)
    for cell, place in owners.items():
        assert cell.startswith(names[place]), f"{cell} belongs to {names[place]}"


def test_every_method_returns_one_value_per_column(mixed_run: TrainedRun) -> None:
    spec = mixed_run.data.schema.inputs[0]
    for method in methods(mixed_run):
        if not method.available or method.explains_layer:
            continue
        explanation = explain(mixed_run, method.name, 3, **QUICK.get(method.name, {}))
        assert explanation.labels[spec.name] == column_names(mixed_run.data, spec), method.name
        assert explanation.attributions[spec.name].shape == (4,), method.name
        assert explanation.proofs.faithfulness is None or explanation.proofs.faithfulness.units == 4
        (picture,) = explanation_plots(explanation)
        assert len(picture.table["column"]) == 4


def test_column_attribution_sums_its_encoded_features(mixed_run: TrainedRun) -> None:
    context = build_context(mixed_run.project, mixed_run.model, mixed_run.data, ExplanationRequest("", 3))[0]
    cells = registry()["integrated_gradients"].model_validate({}).run(context).attributions
    name = mixed_run.data.schema.inputs[0].name
    explanation = explain(mixed_run, "integrated_gradients", 3)
    places = context.feature_mask(name)
    for column in range(4):
        assert explanation.attributions[name][column] == pytest.approx(cells[name][places == column].sum(), abs=1e-6)
    completeness = explanation.proofs.completeness
    assert completeness is not None
    assert completeness.sum == pytest.approx(explanation.attributions[name].sum(), abs=1e-6)
    stacked = by_column(mixed_run.data, {name: np.stack([cells[name]] * 2)})
    np.testing.assert_allclose(stacked[name][1], explanation.attributions[name], atol=1e-6)


def test_all_views_and_exports_use_the_same_columns(mixed_run: TrainedRun, tmp_path: Path) -> None:
    name = mixed_run.data.schema.inputs[0].name
    summary = global_attribution(mixed_run, rows=8)
    assert {part.name for part in summary.parts} == set(COLUMNS)
    assert summary.maps[name].shape == (1, 4)
    assert all(top.split()[0] in COLUMNS for row in summary.rows for top in row.top_features)
    occlusion_summary = global_attribution(mixed_run, rows=4, method="occlusion")
    assert {part.name for part in occlusion_summary.parts} == set(COLUMNS)
    sides = [Side(mixed_run, method) for method in ("integrated_gradients", "occlusion")]
    comparison = explain_and_compare(sides[0], sides[1], 3)
    assert comparison.agreement.parts <= 4
    assert comparison.differences[name].shape == (4,)
    changed = {**mixed_run.data.row(3), "colour": "green"}
    moved = what_if(mixed_run, 3, changed)
    assert moved.after.attributions[name].shape == (4,)
    explanation = explain(mixed_run, "integrated_gradients", 3)
    plain: dict[str, Any] = explanation.as_json()
    assert len(plain["attributions"][name]) == 4
    write_html(explanation, tmp_path / "why.html")
    page = (tmp_path / "why.html").read_text()
    for text in (page, headline(explanation), json.dumps(explanation.as_json()["labels"])):
        assert "colour = blue" not in text or mixed_run.data.row(3)["colour"] == "blue"
        assert "size is missing" not in text
