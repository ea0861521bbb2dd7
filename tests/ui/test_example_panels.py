"""The example panels of the results page, which show inputs beside the outputs of the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from netloom.core.text import escape
from netloom.data import TargetSpec, add_file
from netloom.document import write
from netloom.explain.plots.class_colors import COLORS, color
from netloom.runs import evaluate
from netloom.ui.components.examples.example_panels import painted
from netloom.ui.components.examples.examples import label_text
from tests.runs.test_vae_sampling import autoencoder, untrained


def panels_page() -> None:
    """Every kind of panel, with markup in its text; AppTest runs the source of this function alone."""
    from netloom.training.objectives.evaluation import Panel, PanelPart
    from netloom.ui.components.examples.example_panels import panels, separation_charts

    grid, hostile = [[0, 1], [2, 1]], "<img src=x onerror=alert(1)>"
    parts: dict[str, PanelPart] = {
        "picture": {"title": "Picture", "kind": "picture", "values": [[[0.0, 1.0], [0.5, 2.0]]]},
        "coloured": {"title": "Colour", "kind": "picture", "values": [[[0.0]], [[1.0]], [[0.5]]]},
        "classes": {"title": "True", "kind": "classes", "values": grid},
        "series": {"title": "Series", "kind": "series", "values": [[0.0], [1.0]], "other": [[0.1], [0.9]]},
        "columns": {"title": "Row", "kind": "columns", "values": {"size": 1.0}, "other": {"size": 1.1}},
        "boxes": {
            "title": "Predicted",
            "kind": "boxes",
            "values": [[[0.0, 1.0], [0.5, 2.0]]],
            "boxes": [[1.0, 0.1, 0.2, 0.6, 0.9], [0.0, 0.0, 0.0, 1.0, 1.0]],
            "scores": [0.934, 0.5],
        },
        "tags": {"title": "Said", "kind": "tags", "words": ["to", hostile], "values": ["O", "B-place"]},
    }
    items: list[Panel] = [
        {"row": row, "group": group, "caption": hostile, "parts": [part]}
        for group in ("Worst", "Best")
        for row, part in enumerate(parts.values())
    ]
    items.append({"row": 6, "group": "Best", "caption": "", "parts": [parts["picture"], parts["classes"]]})
    panels(items, ("ground", hostile, "square"))
    separation_charts(
        {
            "usual": [0.1, 0.2],
            "unusual": [0.9],
            "threshold": 0.5,
            "false_positive_rate": [0.0, 1.0],
            "true_positive_rate": [0.0, 1.0],
        }
    )


def test_every_panel_kind_renders_with_escaped_text() -> None:
    app = AppTest.from_function(panels_page, default_timeout=60).run()
    assert not app.exception
    assert [item.value for item in app.markdown if item.value.startswith("**")] == ["**Worst**", "**Best**"]
    assert sum("Row 0" in item.value for item in app.caption) == 2
    assert "Picture · True" in [item.value for item in app.caption], "a title below a small picture would break"
    html_bodies = [body for item in app.get("html") if not (body := item.proto.body).startswith("<style")]
    boxes = [body for body in html_bodies if "data:image" in body]
    assert len(boxes) == 2  # in both groups
    assert all(body.count("<img") == 1 and "&lt;img" in body and " 93%</span>" in body for body in boxes)
    others = [body for body in html_bodies if body not in boxes]
    assert len(others) == 3  # the legend, and the tags of both groups
    assert not any("<img" in body for body in others)
    assert not any("<img" in item.value.replace("\\<", "") for item in app.caption)


def test_masks_use_the_legend_colors() -> None:
    shown = painted([[0, 1], [3, 0]])
    assert shown.shape == (2, 2, 3)
    expected = [int(COLORS[3][start : start + 2], 16) / 255 for start in (1, 3, 5)]
    assert shown[1, 0].tolist() == pytest.approx(expected)
    assert np.array_equal(shown[0, 0], shown[1, 1])


def test_class_colors_cover_any_number_of_classes() -> None:
    assert color(0) == COLORS[0]
    assert all(color(index) in COLORS[1:] for index in range(1, 200))
    assert len({color(index) for index in range(10)}) == 10


def samples_page() -> None:
    """Generated images of a GAN and of a decoder; AppTest runs the source of this function alone."""
    from netloom.ui.components.examples.example_panels import samples

    images = {"Generated": [[[[0.0, 1.0], [0.5, 0.2]]]] * 9, "From the data": [[[[1.0, 0.0], [0.1, 0.2]]]] * 9}
    samples(images, judged=True)
    samples(images, judged=False)


def test_generated_images_have_data_images_and_matching_captions() -> None:
    app = AppTest.from_function(samples_page, default_timeout=60).run()
    assert not app.exception
    assert [item.value for item in app.markdown] == ["**Generated**", "**From the data**"] * 2
    gan, decoder = (item.value for item in app.caption)
    assert "Likeness" in gan
    assert "N(0, 1)" in decoder
    assert "ikeness" not in decoder


def results_page(folder: str) -> None:
    """The results of the run in a folder."""
    from pathlib import Path
    from types import SimpleNamespace
    from typing import Any

    from netloom.store import RunArtifacts
    from netloom.store.run_summary import RunSummary
    from netloom.ui.train.run_tabs import run_tabs

    store = SimpleNamespace(artifacts=lambda _: RunArtifacts.in_directory(Path(folder)), home=None)
    live: Any = SimpleNamespace(store=store)
    run: Any = SimpleNamespace(id="run", state="finished", total_steps=0, summary=RunSummary(objective="autoencoder"))
    run_tabs(live, run, active=False)


def test_vae_results_show_samples_and_worst_reconstructions(
    tmp_path: Path,
) -> None:
    run = untrained(autoencoder())
    evaluation = evaluate(run)
    write(tmp_path / "project.json", run.project)
    (tmp_path / "model.py").write_text(run.source)
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation.as_json()))
    app = AppTest.from_function(results_page, kwargs={"folder": str(tmp_path)}, default_timeout=60).run()
    assert not app.exception
    titles = [item.value for item in app.markdown if item.value.startswith("**")]
    assert titles == [
        "**Generated from noise**", "**From the data**", "**Worst reconstructions**", "**Best reconstructions**",
    ]  # fmt: skip
    worst = evaluation.worst[0]
    row = f"Row {worst.row} · {worst.target} · "  # with its class, which the network does not predict
    assert [item.value for item in app.caption if item.value.startswith(row)] == [
        f"{row}{escape(f'error {worst.loss:.3g}')}"
    ]
    app.session_state["results run"] = "Errors"
    app.run()
    assert [item.value for item in app.caption if item.value.startswith(row)] == [
        f"{row}**{escape(f'error {worst.loss:.4g}')}**"
    ]


def test_a_date_is_edited_as_one_value(home: Path) -> None:
    """The network reads numbers of it, and reads the same ones of the edited row."""
    rows = "".join(f"2024-0{1 + index % 9}-1{index % 7},{index},{index % 2}\n" for index in range(40))
    info = add_file(f"day,size,label\n{rows}".encode(), "days.csv", home, target="label")
    app = AppTest.from_function(_form, args=(info.name,), default_timeout=60).run()
    assert not app.exception
    [day] = app.text_input
    assert (day.label, day.value) == ("day", "2024-01-10")
    assert [item.label for item in app.number_input] == ["size"]
    assert app.json[0].value == "[true, false]"


def _form(dataset: str) -> None:
    import json

    import numpy as np
    import streamlit as st

    from netloom.data import prepare
    from netloom.document import DataChoice
    from netloom.editing.server import store
    from netloom.ui.components.examples.custom_example import custom_example

    data = prepare(DataChoice(dataset=dataset), store().home)
    start = data.row(0)
    row = custom_example(data, start, "test")
    later = {**row, "day": "2024-05-31"}
    names = [field.name for field in data.fields]
    before, after, changed = (data.encode_arrays(value, names) for value in (start, row, later))
    equal = [all(np.array_equal(before[name], other[name]) for name in before) for other in (after, changed)]
    st.json(json.dumps(equal))


def test_label_of_several_targets_does_not_repeat_their_names() -> None:
    assert label_text(TargetSpec("class", "shape"), "*star*") == r"shape: **\*star\***"
    assert (
        label_text(TargetSpec("several", "shape, area"), "shape: star, area: 3")
        == f"**{escape('shape: star, area: 3')}**"
    )
