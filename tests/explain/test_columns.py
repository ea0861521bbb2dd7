"""A column of a table is one part in every view and sum, however many numbers stand for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue

from netloom.data import prepare
from netloom.data.uploads import add_file
from netloom.document import DataChoice, Training
from netloom.explain import explain, methods
from netloom.explain.core.explainer import registry
from netloom.explain.core.parts.columns import by_column, column_indices, column_names
from netloom.explain.core.run import ExplanationRequest, build_context
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.explain.evidence.comparison import Side, explain_and_compare
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
def mixed(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A table with a number of which some are missing, a date, a category of three values and a yes or no."""
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


def test_the_numbers_of_a_column_are_named_by_it(mixed: TrainedRun) -> None:
    spec = mixed.data.schema.inputs[0]
    assert set(column_names(mixed.data, spec)) == set(COLUMNS)
    assert len(spec.columns) > len(COLUMNS) + 3, "a date, a category and what is missing take several numbers"
    owners = dict(zip(spec.columns, column_indices(mixed.data, spec).tolist(), strict=True))
    names = column_names(mixed.data, spec)
    for cell, place in owners.items():
        assert cell.startswith(names[place]), f"{cell} stands for {names[place]}"


def test_every_method_gives_each_column_one_part(mixed: TrainedRun) -> None:
    spec = mixed.data.schema.inputs[0]
    for method in methods(mixed):
        if not method.available or method.explains_layer:
            continue
        found = explain(mixed, method.name, 3, **QUICK.get(method.name, {}))
        assert found.labels[spec.name] == column_names(mixed.data, spec), method.name
        assert found.attributions[spec.name].shape == (4,), method.name
        assert found.proofs.faithfulness is None or found.proofs.faithfulness.units == 4
        (picture,) = explanation_plots(found)
        assert len(picture.table["column"]) == 4


def test_a_column_is_the_sum_of_its_numbers(mixed: TrainedRun) -> None:
    context = build_context(mixed.project, mixed.model, mixed.data, ExplanationRequest("", 3))[0]
    cells = registry()["integrated_gradients"].model_validate({}).run(context).attributions
    name = mixed.data.schema.inputs[0].name
    found = explain(mixed, "integrated_gradients", 3)
    places = context.feature_mask(name)
    for column in range(4):
        assert found.attributions[name][column] == pytest.approx(cells[name][places == column].sum(), abs=1e-6)
    completeness = found.proofs.completeness
    assert completeness is not None
    assert completeness.sum == pytest.approx(found.attributions[name].sum(), abs=1e-6)
    stacked = by_column(mixed.data, {name: np.stack([cells[name]] * 2)})
    np.testing.assert_allclose(stacked[name][1], found.attributions[name], atol=1e-6)


def test_every_other_view_and_export_has_the_same_columns(mixed: TrainedRun, tmp_path: Path) -> None:
    name = mixed.data.schema.inputs[0].name
    many = global_attribution(mixed, rows=8)
    assert {part.name for part in many.parts} == set(COLUMNS)
    assert many.maps[name].shape == (1, 4)
    assert all(top.split()[0] in COLUMNS for row in many.rows for top in row.tops)
    one_by_one = global_attribution(mixed, rows=4, method="occlusion")
    assert {part.name for part in one_by_one.parts} == set(COLUMNS)
    sides = [Side(mixed, method) for method in ("integrated_gradients", "occlusion")]
    compared = explain_and_compare(sides[0], sides[1], 3)
    assert compared.agreement.parts <= 4
    assert compared.differences[name].shape == (4,)
    changed = {**mixed.data.row(3), "colour": "green"}
    moved = what_if(mixed, 3, changed)
    assert moved.after.attributions[name].shape == (4,)
    found = explain(mixed, "integrated_gradients", 3)
    assert len(found.as_json()["attributions"][name]) == 4
    write_html(found, tmp_path / "why.html")
    page = (tmp_path / "why.html").read_text()
    for text in (page, headline(found), json.dumps(found.as_json()["labels"])):
        assert "colour = blue" not in text or mixed.data.row(3)["colour"] == "blue"
        assert "size is missing" not in text
